//! The FastCGI runner for tasks: one reads each connection, and one answers each request. It must not know CGI's process
//! nor SCGI.
//!
//! ```text
//!                a task for each                      a task for each
//! connection  ->  recv, codec  ->  requests that are ready  ->  application
//!     ^             |    ^-------------- demand: room ------------|  |
//!     |             +---- pieces of bodies -> inbox of the request+  |
//!     +----------------------------- records <- outbox of the request+
//! ```
//!
//! A task that waits costs no thread, and a body that nobody reads stops its own connection only. What is understood and
//! said is the codec's, which the runner for threads uses too; here is how a task waits.

use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tokio::sync::{Mutex as Turns, Notify};
use ::tokio::task::JoinSet;
use ::tokio::time::{Instant, sleep_until};
use bytes::Bytes;
use gatebridge_fastcgi::{Error, Params, ProtocolStatus, Role};

use super::abort::Aborted;
use super::application::Application;
use super::input::{Input, Source};
use super::outbox::{Batch, Script};
use super::perform::{Link, Ways, perform};
use super::serve::on_descriptor_0;
use super::single::Host;
use super::socket::{Draining, Socket, accept, drained};
use crate::descriptor::{Descriptor, next_slices};
use crate::fastcgi::codec::{Codec, Framed, Out, Pause, refusal};
use crate::fastcgi::request::{Request, data_length};
use crate::inbox::{DATA, STDIN};
use crate::perform::Outcome;
use crate::script::Facts;
use crate::settings::{LINGER_MS, Settings};
use crate::socket::Listener;
use crate::stop::Stop;
use crate::worker::complain;

/// Answers FastCGI requests on the listening socket at descriptor 0 (FastCGI 1.0 2.2) until SIGTERM or SIGINT, then
/// finishes the requests in flight; a second signal ends the process at once. Exit statuses are those of the synchronous
/// [`run_fastcgi`](crate::run_fastcgi).
///
/// It starts a runtime with [`Settings::threads`] threads; one of them is enough for any number of requests that wait.
#[must_use = "it is what `main` returns"]
pub fn run_fastcgi(application: impl Application, settings: &Settings) -> ExitCode {
    on_descriptor_0("FastCGI", settings, async |socket, stop| {
        serve_fastcgi(application, socket, settings, stop).await
    })
}

/// Answers FastCGI requests on a listening socket (TCP or unix) until told to stop, then finishes the requests in
/// flight. A task for each request, [`Settings::max_requests`] of them at once; others wait their turn, in the order in
/// which they came.
///
/// What GET_VALUES is told: `FCGI_MAX_REQS` is [`Settings::max_requests`], `FCGI_MAX_CONNS` the number of connections that
/// are accepted, `FCGI_MPXS_CONNS` whether a connection may carry several requests.
///
/// # Errors
/// When the system refuses to watch sockets. What goes wrong on one connection is written to standard error and ends that
/// connection.
///
/// ```no_run
/// use gatebridge_interface::tokio::{application, serve_fastcgi};
/// use gatebridge_interface::{Settings, Stop};
/// use std::os::unix::net::UnixListener;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let hello = application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n"));
/// let listener = UnixListener::bind("hello.sock")?;
/// serve_fastcgi(hello, listener, &Settings::default(), &Stop::on_signals()?).await
/// # }
/// ```
pub async fn serve_fastcgi(
    application: impl Application,
    listener: impl Into<OwnedFd>,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    let listener = Listener::new(listener, settings.peers.clone())?;
    serve_first(application, listener, Vec::new(), settings, stop).await
}

/// The same with connections that were accepted before.
pub(super) async fn serve_first(
    application: impl Application,
    listener: Listener,
    first: Vec<OwnedFd>,
    settings: &Settings,
    stop: &Stop,
) -> io::Result<()> {
    let host = Host::new(application, settings);
    accept(listener, first, settings.max_connections, stop, |socket, draining| {
        let connection = Arc::new(Connection {
            socket,
            codec: Mutex::new(Codec::new(settings, settings.max_requests)),
            writing: Turns::new(()),
            paused: Pause::default(),
            demand: Notify::new(),
        });
        connection.serve(Arc::clone(&host), draining)
    })
    .await
}

/// One connection.
#[derive(Debug)]
struct Connection {
    socket: Socket,
    codec: Mutex<Codec>,
    /// Held while bytes go out, and from before their records are framed: the order of the calls is the order on the wire,
    /// and who waits longest is next.
    writing: Turns<()>,
    paused: Pause,
    /// Notified when a request waits for more while nothing is read.
    demand: Notify,
}

/// What reading has come to.
enum Heard {
    /// Requests that can be worked on, and whether it was the end.
    Requests(Vec<(Arc<Request>, Params)>, bool),
    /// The peer broke the protocol.
    Fault(Error, bool),
    /// Nothing can be read or written any more.
    Lost,
}

impl Connection {
    fn codec(&self) -> MutexGuard<'_, Codec> {
        self.codec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the connection until it is over, and gives each request a task.
    async fn serve<A: Application>(self: Arc<Self>, host: Arc<Host<A>>, mut draining: Draining) {
        let mut requests = JoinSet::new();
        let (mut is_open, mut is_draining, mut close_at) = (true, false, None);
        while !self.is_over(is_open, is_draining, &mut close_at) {
            let is_paused = self.paused.consider(|| self.codec());
            let has_to_say = !self.codec().said.is_empty();
            let deadline = close_at.unwrap_or_else(Instant::now);
            ::tokio::select! {
                () = drained(&mut draining), if !is_draining => {
                    is_draining = true;
                    self.codec().refuse_begun();
                }
                Some(_) = requests.join_next() => {}
                () = self.demand.notified() => {}
                () = sleep_until(deadline), if close_at.is_some() => break,
                said = self.say(), if has_to_say => if said.is_err() {
                    self.codec().abort_all(true);
                    break;
                },
                heard = self.hear(is_open && !is_paused, is_draining) => match heard {
                    Heard::Requests(ready, is_end) => {
                        for (request, params) in ready {
                            requests.spawn(Arc::clone(&self).work(Arc::clone(&host), request, params));
                        }
                        if is_end {
                            is_open = false;
                            // Lesson 49: a Web server that closes waits for no answer; one that has only ended its half
                            // still gets it.
                            self.codec().abort_all(false);
                        }
                    }
                    Heard::Fault(error, is_end) => {
                        // A peer that has left amid a request is none of the operator's business.
                        if !is_end {
                            complain(&format!("a FastCGI connection was closed: {error}"));
                        }
                        break;
                    }
                    Heard::Lost => {
                        self.codec().abort_all(true);
                        break;
                    }
                },
            }
        }
        // Whoever works on a request of it is told by the request.
        while requests.join_next().await.is_some() {}
    }

    /// Whether nothing is to be done any more. Sets until when a peer that was answered to the end may take to close.
    fn is_over(&self, is_open: bool, is_draining: bool, close_at: &mut Option<Instant>) -> bool {
        let codec = self.codec();
        if codec.is_busy() || !codec.said.is_empty() {
            return false;
        }
        // Closed between two requests, as KEEP_CONN allows.
        if !is_open || (is_draining && !codec.should_close()) {
            return true;
        }
        if codec.should_close() && close_at.is_none() {
            *close_at = Some(Instant::now() + Duration::from_millis(LINGER_MS));
        }
        false
    }

    /// Waits for bytes and takes them; or, if it is not to be read, for the end of both directions (lesson 49). To stop
    /// waiting loses nothing.
    async fn hear(&self, reads: bool, is_draining: bool) -> Heard {
        if !reads {
            // What cannot be watched is found out by writing.
            return if self.socket.hung_up().await.is_ok() { Heard::Lost } else { pending().await };
        }
        let received = |bytes: &[u8]| (self.codec().receive(bytes, is_draining), bytes.is_empty());
        match self.socket.receive(received).await {
            Ok((Ok(ready), is_end)) => Heard::Requests(ready, is_end),
            Ok((Err(error), is_end)) => Heard::Fault(error, is_end),
            Err(_) => Heard::Lost,
        }
    }

    /// Writes what the codec has to say by itself. To stop waiting loses nothing: what was not written is said later.
    async fn say(&self) -> io::Result<()> {
        let _writing = self.writing.lock().await;
        loop {
            let left = self.socket.write(|socket| {
                let mut codec = self.codec();
                if codec.said.is_empty() {
                    return Ok(0);
                }
                let count = next_slices(Descriptor(std::os::fd::AsFd::as_fd(socket)), &[&codec.said])?;
                codec.said.drain(..count);
                Ok(codec.said.len())
            });
            if left.await? == 0 {
                return Ok(());
            }
        }
    }

    /// Writes what `frame` frames.
    async fn write<'a>(
        &self,
        frame: impl FnOnce(&mut Codec) -> (Framed<'a>, io::Result<()>),
    ) -> io::Result<()> {
        let _writing = self.writing.lock().await;
        let (framed, fault) = frame(&mut self.codec());
        let written = self.socket.write_all(&framed.slices()).await;
        fault?;
        if framed.closes() {
            // FastCGI 1.0 5.1: without KEEP_CONN the application closes. Only the writing half at first: what the peer
            // still sends must not turn into a reset that overtakes the answer.
            self.socket.end();
        }
        written
    }

    async fn finish(&self, request: &Request, bytes: &[u8], status: ProtocolStatus) -> io::Result<()> {
        self.write(|codec| codec.finish(request, &[bytes], status)).await
    }

    async fn break_off(&self, request: &Request) -> io::Result<()> {
        let mut alone = false;
        let frame = |codec: &mut Codec| {
            codec.break_off(request).unwrap_or_else(|| {
                alone = true;
                (Framed::default(), Ok(()))
            })
        };
        let written = self.write(frame).await;
        if alone { self.socket.close() } else { written }
    }

    /// Wakes the task that reads the connection, if that stands still for the sake of another request.
    fn demand(&self) {
        if self.paused.is_on() {
            self.demand.notify_one();
        }
    }

    /// Answers one request.
    async fn work<A: Application>(
        self: Arc<Self>,
        host: Arc<Host<A>>,
        request: Arc<Request>,
        params: Params,
    ) {
        let _place = host.places.acquire().await;
        let ended = if request.inbox.is_cut() {
            self.finish(&request, &[], request.status()).await
        } else {
            self.answer(&host.application, &request, params).await
        };
        // Who has gone is not told anything; the task that reads the connection finds out by itself.
        drop(ended);
    }

    async fn answer(
        self: &Arc<Self>,
        application: &impl Application,
        request: &Arc<Request>,
        params: Params,
    ) -> io::Result<()> {
        let environ = match request.environ(&params) {
            Ok(environ) => environ,
            Err(fault) => {
                let (answer, text) = refusal(&fault);
                self.write(|codec| codec.send(request, Out::Stderr, &[text.as_bytes()])).await?;
                return self.finish(request, answer.as_bytes(), ProtocolStatus::RequestComplete).await;
            }
        };
        drop(params);
        let (facts, length) = (Facts::from(&environ), request.input_length(&environ));
        let (connection, request) = (Arc::clone(self), Arc::clone(request));
        let data_length = data_length(&environ);
        let ways = Ways { inbox: Arc::clone(&request.inbox), ..Ways::default() };
        let mut records = Records { connection: Arc::clone(self), request: Arc::clone(&request) };
        let source = RequestSource { connection, request: Arc::clone(&request), data_length };
        let asked = (environ, Input::new(source, length));
        match perform(application, asked, (Script, facts), &ways, &mut records).await {
            Outcome::Answered => Ok(()),
            Outcome::Aborted => self.finish(&request, &[], request.status()).await,
            Outcome::Broken => self.break_off(&request).await,
        }
    }
}

/// Script output as records.
struct Records {
    connection: Arc<Connection>,
    request: Arc<Request>,
}

impl Link for Records {
    async fn send(&mut self, batch: &Batch) -> io::Result<()> {
        let Self { connection, request } = self;
        if request.role == Role::Filter {
            // FastCGI 1.0 6.4: a Filter answers when STDIN has ended; the other roles may begin at once.
            poll_fn(|context| request.inbox.poll_end(context, STDIN, || connection.demand())).await;
        }
        if !batch.stderr.is_empty() {
            connection.write(|codec| codec.send(request, Out::Stderr, &[&batch.stderr])).await?;
        }
        if !batch.ends {
            return connection.write(|codec| codec.send(request, Out::Stdout, &[&batch.stdout])).await;
        }
        if request.inbox.is_cut() {
            let message = "the request was aborted before its answer ended";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, message));
        }
        connection.finish(request, &batch.stdout, ProtocolStatus::RequestComplete).await
    }
}

/// The input of a request.
struct RequestSource {
    connection: Arc<Connection>,
    request: Arc<Request>,
    /// The length of the file that a Filter filters, if that is known.
    data_length: Option<u64>,
}

impl Source for RequestSource {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        self.request.inbox.poll_piece(context, || self.connection.demand())
    }

    fn poll_next_stream(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Option<u64>>>> {
        if self.request.role != Role::Filter || self.request.inbox.reading() == DATA {
            return Poll::Ready(Ok(None));
        }
        // FastCGI 1.0 6.4: STDIN comes first and to its end.
        while !ready!(self.poll_piece(context))?.is_empty() {}
        self.request.inbox.turn_to(DATA);
        Poll::Ready(Ok(Some(self.data_length)))
    }

    fn aborted(&self) -> Aborted {
        Aborted::of(Arc::clone(&self.request.inbox))
    }
}
