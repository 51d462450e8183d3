//! Programs of the interface crate inside this process, each request on a thread. It must not know which policies stand
//! before it, nor what the programs do.
//!
//! ```text
//!   request -> a thread's slot (or the queue) -> a thread: perform(program) <-> junction <-> this request's task -> response
//! ```
//!
//! Nothing can stop a thread from outside. A program whose client has left, or whose time is over, is told: reading and
//! writing fail, and `is_aborted` is true. Its slot is taken until it returns.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, BufRead, Read};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use gatebridge_cgi::Environ;
use gatebridge_interface::{self as interface, Head, Input, Outcome, Outlet, Source, perform};
use http::{HeaderMap, Method, StatusCode};

use super::inward::Inward;
use super::junction::{Junction, Piece, WINDOW_BYTES};
use super::patience::Patience;
use super::slots::{RETRY_AFTER, Slots, What};
use super::stderr::Stderr;
use super::threads::Threads;
use crate::config::{Queue, RouteLimits};
use crate::exchange::{Answer, Application, Body, Exchange, Failure, FileRange, Interim, Request, Response};

/// A program of the interface crate as an application of the gateway.
pub struct App {
    program: Arc<dyn interface::Application>,
    /// What it is called in logs: `app:/hello`.
    name: Arc<str>,
    threads: Threads,
    slots: Slots,
    patience: Patience,
    stderr_lines: usize,
    authorization: bool,
}

/// How many requests a program answers at once, how many wait, and what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppRules {
    /// The most requests that it answers at once: each has a thread.
    pub threads: usize,
    /// Requests that wait for a thread; 503 when it is full or the wait is over.
    pub queue: Queue,
    /// The most lines of its error stream that are logged per request.
    pub stderr_lines: usize,
    /// Whether HTTP_AUTHORIZATION is passed on.
    pub authorization: bool,
}

impl App {
    /// The program that is called `name` in logs, under these rules, with as much patience as `limits` have.
    #[must_use]
    pub fn new(
        name: impl Into<Arc<str>>,
        program: Arc<dyn interface::Application>,
        rules: AppRules,
        limits: &RouteLimits,
    ) -> Self {
        Self {
            program,
            name: name.into(),
            threads: Threads::new(),
            slots: Slots::new(What::Threads, rules.threads, rules.queue),
            patience: Patience { first_byte: limits.first_byte_timeout, output: limits.output_timeout },
            stderr_lines: rules.stderr_lines,
            authorization: rules.authorization,
        }
    }

    /// Waits until no request is answered any more: the program has returned from all calls.
    pub async fn idle(&self) {
        self.threads.idle().await;
    }

    async fn answer(&self, request: Request) -> Result<Response, Failure> {
        let Request { mut environ, mut body, exchange } = request;
        exchange.note(|record| record.back = Some(Arc::clone(&self.name)));
        if environ.unique_id.is_empty() {
            environ.unique_id = exchange.id();
        }
        let length = body.length();
        if length.is_some_and(|length| length > 0) {
            environ.content_length = length;
        }
        environ.complete_script_name();
        environ.pass_authorization &= self.authorization;
        // A script sees no more of a head than its variables, so neither does a program that could.
        environ.retain_listed();

        let slot = self.slots.take(&exchange).await?;
        let junction = Arc::new(Junction::default());
        let inbox = Inbox::new(&junction, &mut body);
        let stderr = Stderr::new(exchange.id(), self.name.to_string(), self.stderr_lines);
        let outbox =
            Outbox { junction: Arc::clone(&junction), exchange: Some(Arc::clone(&exchange)), stderr };
        let is_head = environ.method == Method::HEAD;
        let program = Arc::clone(&self.program);
        let job = move || {
            run(&*program, &environ, inbox, length, outbox);
            drop((program, slot));
        };
        self.threads.run(Box::new(job)).map_err(|error| self.no_thread(&error))?;
        let mut inward = Inward::new(junction, body, self.patience, Arc::clone(&self.name));
        let head = poll_fn(|cx| inward.poll_head(cx)).await?;
        let mut response = Response::new(head.status, Body::Empty);
        response.body = inward.into_body(is_head, &head);
        response.headers = head.headers;
        Ok(response)
    }

    fn no_thread(&self, error: &io::Error) -> Failure {
        Failure::overloaded(RETRY_AFTER, format!("cannot start a thread for {}: {error}", self.name))
    }
}

impl Application for App {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(self.answer(request))
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// One request, on its thread.
fn run(
    program: &dyn interface::Application,
    environ: &Environ,
    mut inbox: Inbox,
    length: Option<u64>,
    mut outbox: Outbox,
) {
    let mut input = Input::new(&mut inbox, length);
    let outcome = perform(program, environ, &mut input, &mut outbox);
    outbox.stderr.close();
    outbox.junction.close(outcome);
}

/// The body of the request, as the program reads it.
struct Inbox {
    junction: Arc<Junction>,
    /// It lies in this file, whole, and does not come by the junction.
    spooled: Option<FileRange>,
    current: Bytes,
}

impl Inbox {
    /// Takes a body that lies in a file from the task, which then has none to carry.
    fn new(junction: &Arc<Junction>, body: &mut Body) -> Self {
        let spooled = match body {
            Body::File(range) => Some(range.clone()),
            _ => None,
        };
        if spooled.is_some() {
            *body = Body::Empty;
        }
        Self { junction: Arc::clone(junction), spooled, current: Bytes::new() }
    }

    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Some(range) = &mut self.spooled else { return self.junction.read() };
        let wanted = usize::try_from(range.length).unwrap_or(usize::MAX).min(WINDOW_BYTES);
        let mut piece = vec![0; wanted];
        let count = range.file.read_at(&mut piece, range.offset)?;
        piece.truncate(count);
        range.offset += count as u64;
        range.length -= count as u64;
        Ok((count > 0).then(|| piece.into()))
    }
}

impl BufRead for Inbox {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty()
            && let Some(piece) = self.next()?
        {
            self.current = piece;
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        self.current.advance(count.min(self.current.len()));
    }
}

impl Read for Inbox {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl Source for Inbox {
    fn file(&self) -> io::Result<Option<File>> {
        let Some(range) = self.spooled.as_ref().filter(|range| range.offset == 0) else { return Ok(None) };
        // Opened once more: to read only, and with a position of its own.
        File::open(format!("/proc/self/fd/{}", range.file.as_raw_fd())).map(Some)
    }

    fn is_aborted(&self) -> bool {
        self.junction.is_abandoned()
    }
}

/// The answer, as the program gives it.
struct Outbox {
    junction: Arc<Junction>,
    /// For early hints; let go with the head, so that the record does not wait for what the program does afterwards.
    exchange: Option<Arc<Exchange>>,
    stderr: Stderr,
}

impl Outlet for Outbox {
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        if let Some(exchange) = &self.exchange {
            exchange.send_interim(Interim { status: StatusCode::EARLY_HINTS, headers: headers.clone() });
        }
        Ok(self.exchange.is_some())
    }

    fn head(&mut self, head: Head) -> io::Result<()> {
        self.exchange = None;
        self.junction.head(head)
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut pieces = bytes.chunks(WINDOW_BYTES);
        pieces.try_for_each(|piece| self.junction.put(Piece::Bytes(Bytes::copy_from_slice(piece))))
    }

    fn file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        let length = range.end.saturating_sub(range.start);
        let available = file.metadata()?.len().saturating_sub(range.start);
        if available < length {
            let message = format!("the file ends {} bytes before the range does", length - available);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        let file = Arc::new(file.try_clone()?);
        // An answer that is one file is to be seen as that, so its file waits for the end that follows at once.
        let is_first = self.junction.is_untouched();
        self.junction.put(Piece::File(FileRange { file, offset: range.start, length }))?;
        if is_first { Ok(()) } else { self.junction.send() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.junction.send()
    }

    fn end(&mut self) -> io::Result<()> {
        self.stderr.close();
        // Not to be waited for: what the program does after its answer is its own business.
        self.junction.close(Outcome::Answered);
        Ok(())
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.stderr.take(text);
        Ok(())
    }

    fn is_aborted(&self) -> bool {
        self.junction.is_abandoned()
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // If nothing was said until now, something below has panicked.
        self.junction.close(Outcome::Broken);
    }
}
