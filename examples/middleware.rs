//! Programs around a program. It teaches middlewares: what they may do to a request and to its answer, in which order,
//! and how one ends a request early. It must not know what the program inside answers.
//!
//! A middleware is an application that holds another one. A request goes through them from the outside in, its answer from
//! the inside out:
//!
//! ```text
//! request  ->  Timed  ->  ReadOnly  ->  Tagged  ->  squares
//! answer   <-  Timed  <-  ReadOnly  <-  Tagged  <-  squares
//!                             \-> a POST ends here: Timed still measures it, Tagged and squares never see it
//! ```
//!
//! Try it: `cargo run --example middleware -- --listen 127.0.0.1:8080`, then `curl -i http://127.0.0.1:8080/`, then the same
//! with `-H 'If-None-Match: "THE ETAG"'`, and with `-d x`.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use gatebridge_interface::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use gatebridge_interface::http::{HeaderMap, HeaderValue, StatusCode};
use gatebridge_interface::{Application, Environ, Head, Input, Onward, Outlet, Result, StartResponse, serve};

/// The program inside, which knows nothing of all this.
pub fn squares(_: &Environ, _: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    let mut body = start.start(200, [("Content-Type", "text/plain; charset=utf-8")])?;
    for number in 1..=1000 {
        writeln!(body, "{number} x {number} = {}", number * number)?;
    }
    Ok(body.end()?)
}

/// Adds `Server-Timing` to every answer: how long it took until there was one. It changes heads, and `Onward` does the rest.
pub struct Timed<A>(pub A);

impl<A: Application> Application for Timed<A> {
    fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
        let began = Instant::now();
        let mut outlet = Onward::new(start).on_head(move |head| {
            let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
            head.headers.append("server-timing", format!("program;dur={duration_ms:.3}").parse()?);
            Ok(())
        });
        let _inside = self.0.call(environ, input, StartResponse::new(&mut outlet))?;
        // The proof that the answer has ended is the outlet's to give: the one from inside would prove another answer.
        outlet.answered()
    }
}

/// Lets nothing in but GET and HEAD. It ends a request early by answering it, and not calling what is inside.
pub fn read_only(inside: impl Application) -> impl Application {
    gatebridge_interface::application(move |environ, input, start| match environ.method.as_str() {
        "GET" | "HEAD" => inside.call(environ, input, start),
        _ => {
            let fields = [("Allow", "GET, HEAD"), ("Content-Type", "text/plain; charset=utf-8")];
            start.answer(405, fields, "There is nothing to be changed here.\n")
        }
    })
}

/// Gives answers an `ETag`, and 304 instead of a body that the client has (RFC 9110 13.1.2). It changes bodies, so it has an
/// outlet of its own.
pub struct Tagged<A>(pub A);

impl<A: Application> Application for Tagged<A> {
    fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
        let known = environ.headers.get_all(IF_NONE_MATCH).iter().cloned().collect();
        let mut outlet = Tagging { onward: Onward::new(start), known, head: None, held: Vec::new() };
        let _inside = self.0.call(environ, input, StartResponse::new(&mut outlet))?;
        outlet.onward.answered()
    }
}

/// Bodies up to 64 KiB get a tag: they are held back until they have ended. Others pass as they come.
const TAGGED_BYTES: usize = 64 * 1024;

/// Holds an answer back until its tag can stand in its head.
struct Tagging<'a> {
    onward: Onward<'a>,
    /// What the client says that it has.
    known: Vec<HeaderValue>,
    /// The head, as long as it is held back.
    head: Option<Head>,
    held: Vec<u8>,
}

impl Tagging<'_> {
    /// Gives up holding back.
    fn release(&mut self) -> io::Result<()> {
        let Some(head) = self.head.take() else { return Ok(()) };
        self.onward.head(head)?;
        self.onward.body(&std::mem::take(&mut self.held))
    }

    fn is_known(&self, tag: &str) -> bool {
        let tags = self.known.iter().filter_map(|value| value.to_str().ok());
        let mut tags = tags.flat_map(|list| list.split(',')).map(str::trim);
        tags.any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    }
}

/// The same text has the same tag in every process of this program.
fn tag(body: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

impl Outlet for Tagging<'_> {
    fn head(&mut self, head: Head) -> io::Result<()> {
        if head.status == StatusCode::OK && !head.headers.contains_key(ETAG) {
            self.head = Some(head);
            return Ok(());
        }
        self.onward.head(head)
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.head.is_some() && self.held.len() + bytes.len() <= TAGGED_BYTES {
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        self.release()?;
        self.onward.body(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Who flushes wants the client to see it now.
        self.release()?;
        self.onward.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(mut head) = self.head.take() {
            let tag = tag(&self.held);
            head.headers.insert(ETAG, tag.parse().map_err(io::Error::other)?);
            if self.is_known(&tag) {
                head.status = StatusCode::NOT_MODIFIED;
                head.headers.remove(CONTENT_LENGTH);
                head.headers.remove(CONTENT_TYPE);
                self.held.clear();
            }
            self.onward.head(head)?;
            self.onward.body(&std::mem::take(&mut self.held))?;
        }
        self.onward.end()
    }

    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        self.onward.early_hints(headers)
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.onward.errors(text)
    }

    fn is_aborted(&self) -> bool {
        self.onward.is_aborted()
    }
}

/// All of it, from the outside in.
pub fn application() -> impl Application {
    Timed(read_only(Tagged(squares)))
}

fn main() -> ExitCode {
    serve(application())
}
