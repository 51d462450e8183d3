//! One breach for each violation that lint knows, and what it lets pass; knows no runner.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use std::io::{self, BufRead, Read, Write};

use gatebridge_interface::http::{HeaderMap, header};
use gatebridge_interface::{
    Answered, Application, Environ, Head, Input, Onward, Outlet, Result, Source, StartResponse, Violation,
    application, lint, rehearse,
};

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

/// The violation that a call under lint ends with.
#[track_caller]
fn breach(application: &dyn Application, environ: &Environ) -> Violation {
    let error = rehearse(application, environ, b"body").expect_err("nothing was found");
    *error.downcast::<Violation>().expect("an error, but no violation")
}

fn hello() -> impl Application {
    application(|_, _, start| start.answer(200, TEXT, "hello"))
}

/// An outlet that fails, or says that nobody waits, as it is told.
#[derive(Default)]
struct Odd {
    fails: bool,
    aborted: std::sync::Mutex<Vec<bool>>,
}

impl Outlet for Odd {
    fn early_hints(&mut self, _: &HeaderMap) -> io::Result<bool> {
        Ok(false)
    }

    fn head(&mut self, _: Head) -> io::Result<()> {
        Ok(())
    }

    fn body(&mut self, _: &[u8]) -> io::Result<()> {
        if self.fails { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
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
        self.aborted.lock().unwrap().pop().unwrap_or(false)
    }
}

#[track_caller]
fn call(
    application: impl Application,
    outlet: &mut dyn Outlet,
    source: &mut dyn Source,
) -> Option<Violation> {
    let mut input = Input::new(source, None);
    let called = lint(application).call(&Environ::default(), &mut input, StartResponse::new(outlet));
    called.err().map(|error| *error.downcast::<Violation>().expect("an error, but no violation"))
}

#[test]
fn an_incomplete_environ_is_the_callers_fault() {
    let environ = |change: fn(&mut Environ)| {
        let mut environ = Environ::default();
        change(&mut environ);
        environ
    };
    assert_eq!(breach(&hello(), &environ(|e| e.server_name = "".into())), Violation::ServerName);
    for name in ["/", "hello"] {
        let found = breach(&hello(), &Environ { script_name: name.into(), ..Environ::default() });
        assert_eq!(found, Violation::ScriptName { value: name.to_owned() });
    }
    let found = breach(&hello(), &environ(|e| e.path_info = "a\n".into()));
    assert_eq!(found, Violation::PathInfo { value: "a\\n".to_owned() });
}

#[test]
fn an_input_of_another_length_is_the_callers_fault() {
    let (mut source, mut outlet) = (&b"body"[..], Odd::default());
    let mut input = Input::new(&mut source, Some(4));
    let called = lint(hello()).call(&Environ::default(), &mut input, StartResponse::new(&mut outlet));
    let found = *called.unwrap_err().downcast::<Violation>().unwrap();
    assert_eq!(found, Violation::InputLength { input: Some(4), content_length: None });
}

#[test]
fn an_abort_that_is_taken_back_is_the_callers_fault() {
    let asking = application(|_, _, start| {
        let body = start.start(204, [("X-Note", "")])?;
        let _ = (body.is_aborted(), body.is_aborted());
        Ok(body.end()?)
    });
    let mut outlet = Odd { aborted: vec![false, true].into(), ..Odd::default() };
    assert_eq!(call(asking, &mut outlet, &mut io::empty()), Some(Violation::AbortRevoked));
    let mut outlet = Odd { aborted: vec![true, false].into(), ..Odd::default() };
    assert_eq!(call(asking, &mut outlet, &mut io::empty()), None);
}

#[test]
fn the_proof_of_another_answer_is_no_proof() {
    let fooling = application(|environ, _, start| {
        let _kept = start;
        let mut elsewhere = Odd::default();
        let other: Answered = hello().call(
            environ,
            &mut Input::new(&mut io::empty(), Some(0)),
            StartResponse::new(&mut elsewhere),
        )?;
        Ok(other)
    });
    assert_eq!(breach(&fooling, &Environ::default()), Violation::NotEnded);
}

#[test]
fn a_body_says_what_it_is() {
    let untyped = application(|_, _, start| start.answer(404, [("X-Note", "")], "what?"));
    assert_eq!(breach(&untyped, &Environ::default()), Violation::NoContentType { status: 404 });
    let file = application(|_, _, start| {
        let file = std::fs::File::open(std::env::current_exe()?)?;
        Ok(start.start(200, [("X-Note", "")])?.send_file(&file, 0..10)?)
    });
    assert_eq!(breach(&file, &Environ::default()), Violation::NoContentType { status: 200 });
    let empty = application(|_, _, start| start.answer(200, [("X-Note", "")], ""));
    assert!(rehearse(&empty, &Environ::default(), b"").is_ok());
}

#[test]
fn a_status_without_a_body_has_none() {
    for status in [204, 304] {
        let found =
            breach(&application(|_, _, start| start.answer(status, TEXT, "body")), &Environ::default());
        assert_eq!(found, Violation::Bodiless { status, what: "body" });
    }
    let length = application(|_, _, start| start.answer(204, [("Content-Length", "0")], ""));
    let found = breach(&length, &Environ::default());
    assert_eq!(found, Violation::Bodiless { status: 204, what: "Content-Length" });
    let not_modified = application(|_, _, start| start.answer(304, [("Content-Length", "10")], ""));
    assert!(rehearse(&not_modified, &Environ::default(), b"").is_ok());
}

#[test]
fn lesson_11_a_length_is_kept() {
    let saying = |length: &'static str, text: &'static str| {
        application(move |_, _, start| {
            start.answer(200, [("Content-Type", "text/plain"), ("Content-Length", length)], text)
        })
    };
    let environ = Environ::default();
    assert_eq!(breach(&saying("3", "four"), &environ), Violation::Length { declared: 3, written: 4 });
    assert_eq!(breach(&saying("5", "four"), &environ), Violation::Length { declared: 5, written: 4 });
    assert_eq!(breach(&saying("5", ""), &environ), Violation::Length { declared: 5, written: 0 });
    assert!(rehearse(&saying("4", "four"), &environ, b"").is_ok());
    let head = Environ { method: "HEAD".parse().unwrap(), ..environ };
    assert!(rehearse(&saying("5", ""), &head, b"").is_ok());
    assert_eq!(breach(&saying("5", "four"), &head), Violation::Length { declared: 5, written: 4 });
}

#[test]
fn a_status_comes_with_its_field() {
    for (status, field) in [
        (301, header::LOCATION),
        (302, header::LOCATION),
        (303, header::LOCATION),
        (307, header::LOCATION),
        (308, header::LOCATION),
        (401, header::WWW_AUTHENTICATE),
        (405, header::ALLOW),
    ] {
        let bare = application(|_, _, start| start.answer(status, TEXT, "body"));
        let found = breach(&bare, &Environ::default());
        assert_eq!(found, Violation::MissingField { status, field: field.clone() });
        let whole = application(|_, _, start| {
            start.answer(status, [("Content-Type", "text/plain"), (field.as_str(), "x")], "body")
        });
        assert!(rehearse(&whole, &Environ::default(), b"").is_ok(), "{status}");
    }
}

#[test]
fn hints_say_nothing_about_a_body() {
    for field in [header::CONTENT_LENGTH, header::CONTENT_TYPE] {
        let hinting = application(|_, _, mut start| {
            let _ = start.early_hints([(field.as_str(), "5")]);
            start.answer(204, [("X-Note", "")], "")
        });
        assert_eq!(breach(&hinting, &Environ::default()), Violation::Hint { field: field.clone() });
    }
}

#[test]
fn an_error_is_final() {
    let deaf = application(|_, _, start| {
        let mut body = start.start(200, TEXT)?;
        let _ = body.write_all(b"to nobody");
        let _ = body.write_all(b"to nobody either");
        Ok(body.end()?)
    });
    let mut outlet = Odd { fails: true, ..Odd::default() };
    let found = call(deaf, &mut outlet, &mut io::empty());
    assert!(matches!(&found, Some(Violation::WroteOn { error }) if error.contains("pipe")), "{found:?}");
}

#[test]
fn an_error_of_the_input_may_be_answered() {
    let polite = application(|_, input, start| match input.read_to_end(&mut Vec::new()) {
        Ok(_) => Err("the body did not break off".into()),
        Err(error) => start.answer(400, TEXT, error.to_string()),
    });
    let environ = Environ { content_length: Some(9), ..Environ::default() };
    let (mut source, mut outlet) = (&b"body"[..], Odd::default());
    let mut input = Input::new(&mut source, Some(9));
    lint(polite).call(&environ, &mut input, StartResponse::new(&mut outlet)).map(drop).unwrap();
}

#[test]
fn more_input_than_was_shown_cannot_be_consumed() {
    let greedy = application(|_, input, start| {
        let shown = input.fill_buf()?.len();
        input.consume(shown + 1);
        start.answer(204, [("X-Note", "")], "")
    });
    assert_eq!(breach(&greedy, &Environ::default()), Violation::Consumed { consumed: 5, shown: 4 });
}

#[test]
fn lint_changes_nothing_that_is_right() {
    struct Twice<A>(A);
    impl<A: Application> Application for Twice<A> {
        fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
            let mut onward = Onward::new(start);
            lint(|environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>| {
                self.0.call(environ, input, start)
            })
            .call(environ, input, StartResponse::new(&mut onward))
            .and_then(|_| onward.answered())
        }
    }
    let echo = application(|_, input, mut start| {
        start.early_hints([("Link", "</a>; rel=preload")])?;
        writeln!(start.errors(), "seen")?;
        let mut body = start.start(200, TEXT)?;
        io::copy(input, &mut body)?;
        body.flush()?;
        Ok(body.end()?)
    });
    let environ = Environ::default();
    let plain = rehearse(&echo, &environ, b"body").unwrap();
    assert_eq!(plain.text(), "body");
    assert_eq!(rehearse(&Twice(echo), &environ, b"body").unwrap(), plain);
}
