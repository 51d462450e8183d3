//! The asynchronous shape by itself: what an application can do and what it may not. It must not know the runners.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod rig;

use std::future::{Future, poll_fn};
use std::io::{self, Write as _};
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use gatebridge_interface::tokio::{
    Aborted, Application, Input, Onward, Shared, StartResponse, application, rehearse,
};
use gatebridge_interface::{Environ, Head, HeadError, Outlet, Result, Violation, WRITE_BYTES};
use rig::{TEXT, tasks};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};

fn ask(path: &str, body: &'static [u8]) -> gatebridge_interface::Rehearsal {
    let environ = Environ { path_info: path.to_owned().into(), ..Environ::default() };
    tasks::run(rehearse(&tasks::answer, &environ, body)).unwrap()
}

/// What breaks the contract is told by its rule.
#[track_caller]
fn violates(application: impl Application, violation: Violation) {
    let error = tasks::run(rehearse(&application, &Environ::default(), "body")).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&violation), "{error}");
}

#[test]
fn answers_are_what_the_synchronous_shape_says() {
    for (path, body) in [("/hello", "hello\n"), ("/echo", "abc"), ("/count", "3 of Some(3)\n")] {
        assert_eq!(ask(path, b"abc").text(), body);
    }
    let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let answer = ask("/file", b"");
    assert!(answer.body == file && answer.headers["content-length"] == file.len().to_string().as_str());
    assert_eq!((ask("/restart", b"").status.as_u16(), ask("/empty", b"").status.as_u16()), (503, 204));
    assert_eq!(ask("/complain", b"").errors, b"the cellar is wet\n");
    assert_eq!(ask("/hints", b"").hints.len(), 1);
}

#[test]
fn pieces_of_a_stream_do_not_wait_for_the_next_one() {
    let answer = ask("/pieces", b"");
    assert_eq!((answer.text().as_str(), &answer.flushes[..]), ("0\n1\n2\n", &[2, 4, 6][..]));
}

#[test]
fn lint_knows_the_same_rules() {
    let typeless = Violation::NoContentType { status: 200 };
    violates(application(|_, _, start| start.answer(200, [("X-Note", "none")], "text")), typeless);
    violates(
        application(|_, _, start| start.answer(405, TEXT, "no\n")),
        Violation::MissingField { status: 405, field: http::header::ALLOW },
    );
    violates(
        application(|_, _, start: StartResponse| async {
            let mut body = start.start(200, [("Content-Type", "text/plain"), ("Content-Length", "2")])?;
            body.write_all(b"three").await?;
            Ok(body.end().await?)
        }),
        Violation::Length { declared: 2, written: 5 },
    );
    violates(
        application(|_, mut input: Input, start: StartResponse| async move {
            // Another answer's proof.
            let mut told = Vec::new();
            input.read_to_end(&mut told).await?;
            let kept = Shared::new(Kept::default());
            let _given_up = start.start(200, TEXT)?;
            StartResponse::new(kept).answer(200, TEXT, told).await
        }),
        Violation::NotEnded,
    );
    violates(
        application(|_, mut input: Input, start: StartResponse| async move {
            let mut start = start;
            let hinted = start.early_hints([("Content-Length", "3")]).await;
            assert!(hinted.is_err());
            input.piece().await?;
            start.answer(200, TEXT, "text").await
        }),
        Violation::Hint { field: http::header::CONTENT_LENGTH },
    );
}

#[test]
fn a_head_can_be_replaced_until_the_first_byte() {
    let application = application(|_, _, start: StartResponse| async {
        let mut body = start.start(200, TEXT)?.restart(404, TEXT)?;
        body.write_all(b"not here\n").await?;
        assert_eq!(body.written(), 9);
        let error = body.restart(500, TEXT).unwrap_err();
        assert_eq!(error, HeadError::TooLate { written: 9 });
        Err("too late".into())
    });
    let error = tasks::run(rehearse(&application, &Environ::default(), "")).unwrap_err();
    assert_eq!(error.to_string(), "too late");
}

#[test]
fn a_body_is_read_to_its_length_and_no_further() {
    tasks::run(async {
        let mut input = Input::new(Bytes::from_static(b"one\ntwo, and what does not belong to it"), Some(7));
        let mut line = String::new();
        input.read_line(&mut line).await.unwrap();
        assert_eq!((line.as_str(), input.position(), input.length()), ("one\n", 4, Some(7)));
        assert_eq!(input.piece().await.unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!((input.piece().await.unwrap(), input.position()), (None, 7));
        let mut cut = Input::new(Bytes::from_static(b"cut"), Some(7));
        let error = cut.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("3 of 7 bytes"), "{error}");
        assert!(!cut.next_stream().await.unwrap() && !cut.is_aborted() && cut.file().unwrap().is_none());
    });
}

/// An outlet whose reader is as slow as the test wants.
#[derive(Debug, Default)]
struct Kept {
    taken: Vec<u8>,
    is_stuck: bool,
}

impl Outlet for Kept {
    fn early_hints(&mut self, _: &http::HeaderMap) -> io::Result<bool> {
        Ok(false)
    }

    fn head(&mut self, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.taken.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn errors(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn is_aborted(&self) -> bool {
        false
    }
}

impl gatebridge_interface::tokio::Outlet for Kept {
    fn poll_sent(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_stuck { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn aborted(&self) -> Aborted {
        Aborted::never()
    }
}

#[test]
fn a_slow_reader_slows_its_writer() {
    let outlet = Shared::new(Kept { is_stuck: true, ..Kept::default() });
    let start = StartResponse::new(outlet.clone());
    tasks::run(async {
        let mut answer = pin!(start.answer(200, TEXT, vec![b'x'; 3 * WRITE_BYTES]));
        let mut poll =
            async || poll_fn(|context| Poll::Ready(answer.as_mut().poll(context).is_ready())).await;
        assert!(
            !poll().await && outlet.with(|kept| kept.taken.is_empty()),
            "nothing is taken while nothing leaves"
        );
        outlet.with(|kept| kept.is_stuck = false);
        assert!(poll().await);
        assert_eq!(outlet.with(|kept| kept.taken.len()), 3 * WRITE_BYTES);
        let mut body = StartResponse::new(outlet.clone()).start(200, TEXT).unwrap();
        assert_eq!(body.write(&[b'x'; 2 * WRITE_BYTES]).await.unwrap(), WRITE_BYTES, "no more at once");
    });
}

/// A middleware that shouts.
struct Loud<A>(A);

impl<A: Application> Application for Loud<A> {
    async fn call(&self, environ: Environ, input: Input, start: StartResponse) -> Result {
        let outlet = Shared::new(Shouting(Onward::new(start)));
        let mut start = StartResponse::new(outlet.clone());
        writeln!(start.errors(), "LISTEN")?;
        let _passed_on = self.0.call(environ, input, start).await?;
        outlet.with(|outlet| outlet.0.answered())
    }
}

struct Shouting(Onward);

impl Outlet for Shouting {
    fn early_hints(&mut self, headers: &http::HeaderMap) -> io::Result<bool> {
        self.0.early_hints(headers)
    }

    fn head(&mut self, head: Head) -> io::Result<()> {
        self.0.head(head)
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.body(&bytes.to_ascii_uppercase())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn end(&mut self) -> io::Result<()> {
        self.0.end()
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.0.errors(text)
    }

    fn is_aborted(&self) -> bool {
        self.0.is_aborted()
    }
}

impl gatebridge_interface::tokio::Outlet for Shouting {
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_sent(context)
    }

    fn aborted(&self) -> Aborted {
        self.0.aborted()
    }
}

#[test]
fn a_middleware_changes_what_it_passes_on() {
    for (path, body) in [("/hello", "HELLO\n"), ("/pieces", "0\n1\n2\n"), ("/hints", "HINTS: TRUE\n")] {
        let environ = Environ { path_info: path.into(), ..Environ::default() };
        let answer = tasks::run(rehearse(&Loud(tasks::answer), &environ, "")).unwrap();
        assert_eq!((answer.text().as_str(), answer.errors.as_slice()), (body, &b"LISTEN\n"[..]));
    }
}

#[test]
fn onward_keeps_the_order() {
    let outlet = Shared::new(Kept::default());
    let mut onward = Onward::new(StartResponse::new(outlet));
    assert!(onward.body(b"a body without a head").is_err());
    assert!(onward.head(Head::new(200, TEXT).unwrap()).is_err(), "a step failed before");
    assert!(onward.answered().is_err());
}
