//! The contract as an application meets it: heads, bodies, inputs, middlewares; knows no runner.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

use gatebridge_interface::http::{HeaderMap, StatusCode};
use gatebridge_interface::{
    Application, Environ, Head, HeadError, Input, Onward, Result, StartResponse, application, rehearse,
};

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

fn get() -> Environ {
    Environ::default()
}

#[test]
fn every_shape_of_an_application_is_one() {
    fn function(_: &Environ, _: &mut Input<'_>, start: StartResponse<'_>) -> Result {
        start.answer(200, TEXT, "function")
    }
    struct Type(&'static str);
    impl Application for Type {
        fn call(&self, _: &Environ, _: &mut Input<'_>, start: StartResponse<'_>) -> Result {
            start.answer(StatusCode::OK, TEXT, self.0)
        }
    }
    let boxed: Box<dyn Application> = Box::new(Type("boxed"));
    let shared: Arc<dyn Application> = Arc::new(Type("shared"));
    let captured = String::from("closure");
    let closure = application(|_, _, start| start.answer(200, TEXT, &captured));
    for (application, text) in [
        (&function as &dyn Application, "function"),
        (&Type("type"), "type"),
        (&boxed, "boxed"),
        (&shared, "shared"),
        (&closure, "closure"),
    ] {
        assert_eq!(rehearse(application, &get(), b"").unwrap().text(), text);
    }
}

#[test]
fn fields_can_be_given_in_every_shape() {
    let map: HeaderMap =
        [("content-type".parse().unwrap(), "text/plain".parse().unwrap())].into_iter().collect();
    let owned = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    let pairs: &[(&str, String)] = &[("content-type", "text/plain".to_owned())];
    let heads = [
        Head::new(200, TEXT).unwrap(),
        Head::new(StatusCode::OK, map).unwrap(),
        Head::new(200, owned).unwrap(),
        Head::new(200, pairs).unwrap(),
    ];
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
    let two = Head::new(200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]).unwrap();
    assert_eq!(two.headers.get_all("set-cookie").iter().count(), 2);
}

#[test]
fn every_error_of_a_head_is_met() {
    let name = |name: &str| HeadError::Name { name: name.to_owned() };
    let length = |value: &str| HeadError::ContentLength { value: value.to_owned() };
    for (status, fields, error) in [
        (99, vec![], HeadError::Status { number: 99 }),
        (103, vec![], HeadError::Status { number: 103 }),
        (1000, vec![], HeadError::Status { number: 1000 }),
        (200, vec![("X Note", "")], name("X Note")),
        (200, vec![("", "")], name("")),
        (
            200,
            vec![("X-Note", "two\r\nSet-Cookie: lines")],
            HeadError::Value { name: "X-Note".to_owned(), value: "two\\r\\nSet-Cookie: lines".to_owned() },
        ),
        (200, vec![("Status", "404")], HeadError::Reserved { name: "status".to_owned() }),
        (
            200,
            vec![("Transfer-Encoding", "chunked")],
            HeadError::Reserved { name: "transfer-encoding".to_owned() },
        ),
        (200, vec![("Content-Length", "+5")], length("+5")),
        (200, vec![("Content-Length", "")], length("")),
        (200, vec![("Content-Length", "5"), ("Content-Length", "5")], length("5")),
    ] {
        assert_eq!(Head::new(status, fields.clone()), Err(error), "{status} {fields:?}");
    }
}

#[test]
fn lesson_10_a_field_with_an_end_of_line_never_leaves() {
    let injecting = application(|environ, _, start| {
        let value = String::from_utf8_lossy(&environ.query_string).into_owned();
        start.answer(200, [("Content-Type", "text/plain"), ("X-Echo", &value)], "")
    });
    let environ = Environ { query_string: "a\r\nSet-Cookie: evil=1".into(), ..get() };
    let error = rehearse(&injecting, &environ, b"").unwrap_err().to_string();
    assert!(error.contains("x-echo") || error.contains("X-Echo"), "{error}");
}

#[test]
fn the_head_can_be_replaced_until_the_first_byte() {
    let restarted = application(|_, _, start| {
        let mut body =
            start.start(200, TEXT)?.restart(503, [("Content-Type", "text/html"), ("Retry-After", "5")])?;
        assert_eq!(body.written(), 0);
        body.write_all(b"")?;
        body = body.restart(500, TEXT)?;
        body.write_all(b"late")?;
        let error = body.restart(200, TEXT).unwrap_err();
        assert_eq!(error, HeadError::TooLate { written: 4 });
        Err(error.into())
    });
    assert!(rehearse(&restarted, &get(), b"").unwrap_err().is::<HeadError>());
    let flushed = application(|_, _, start| {
        let mut body = start.start(200, TEXT)?;
        body.flush()?;
        Ok(body.restart(500, TEXT)?.end()?)
    });
    assert!(rehearse(&flushed, &get(), b"").unwrap_err().is::<HeadError>());
}

#[test]
fn a_whole_answer_gets_its_length() {
    let answer = rehearse(&application(|_, _, start| start.answer(200, TEXT, "four")), &get(), b"").unwrap();
    assert_eq!(answer.headers["content-length"], "4");
    let none =
        rehearse(&application(|_, _, start| start.answer(204, [("X-Note", "")], "")), &get(), b"").unwrap();
    assert!(!none.headers.contains_key("content-length"));
}

#[test]
fn pieces_of_an_iterator_leave_one_by_one() {
    let pieces = application(|_, _, start| Ok(start.start(200, TEXT)?.send_all(["one", "three", ""])?));
    let answer = rehearse(&pieces, &get(), b"").unwrap();
    assert_eq!((answer.text().as_str(), answer.flushes), ("onethree", vec![3, 8, 8]));
}

#[test]
fn a_file_is_an_answer() {
    let path = std::env::current_exe().unwrap();
    let all = std::fs::read(&path).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    let length = all.len() as u64;
    let part = application(|_, _, start| Ok(start.start(200, TEXT)?.send_file(&file, 10..100_010)?));
    let answer = rehearse(&part, &get(), b"").unwrap();
    assert_eq!(answer.headers["content-length"], "100000");
    assert!(answer.body == all[10..100_010], "other bytes");
    let behind =
        application(|_, _, start| Ok(start.start(200, TEXT)?.send_file(&file, length..length + 1)?));
    let error = rehearse(&behind, &get(), b"").unwrap_err();
    assert_eq!(error.downcast::<io::Error>().unwrap().kind(), io::ErrorKind::UnexpectedEof);
    #[expect(clippy::reversed_empty_ranges, reason = "that is the mistake")]
    let turned = application(|_, _, start| Ok(start.start(200, TEXT)?.send_file(&file, 2..1)?));
    let error = rehearse(&turned, &get(), b"").unwrap_err();
    assert_eq!(error.downcast::<io::Error>().unwrap().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn hints_and_complaints_take_their_own_ways() {
    let app = application(|_, _, mut start| {
        assert!(start.early_hints([("Link", "</a>; rel=preload")])?);
        assert!(start.early_hints([("Link", "</b>; rel=preload")])?);
        assert!(start.early_hints([("Status", "200")]).is_err());
        write!(start.errors(), "before; ")?;
        let mut body = start.start(200, TEXT)?;
        write!(body.errors(), "after")?;
        assert!(!body.is_aborted());
        Ok(body.end()?)
    });
    let answer = rehearse(&app, &get(), b"").unwrap();
    assert_eq!((answer.hints.len(), answer.errors.as_slice()), (2, &b"before; after"[..]));
}

#[test]
fn an_input_ends_where_it_should() {
    let mut source = &b"0123456789"[..];
    let mut input = Input::new(&mut source, Some(4));
    assert_eq!((input.length(), input.position()), (Some(4), 0));
    assert_eq!(input.fill_buf().unwrap(), b"0123");
    input.consume(3);
    assert_eq!(input.position(), 3);
    let mut rest = Vec::new();
    assert_eq!((input.read_to_end(&mut rest).unwrap(), rest.as_slice()), (1, &b"3"[..]));
    assert_eq!(input.read(&mut [0; 8]).unwrap(), 0);
    assert!(!input.next_stream().unwrap() && input.file().unwrap().is_none() && !input.is_aborted());

    let mut source = &b"0123"[..];
    assert_eq!(Input::new(&mut source, None).read_to_end(&mut Vec::new()).unwrap(), 4);
    let mut source = &b"012"[..];
    let error = Input::new(&mut source, Some(4)).read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("3 of 4"), "{error}");
}

#[test]
fn a_middleware_passes_on_and_cannot_be_fooled() {
    struct Through<A>(A);
    impl<A: Application> Application for Through<A> {
        fn call(&self, environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
            let mut onward = Onward::new(start);
            let called = self.0.call(environ, input, StartResponse::new(&mut onward));
            called.and_then(|_| onward.answered())
        }
    }
    let inner = application(|_, input, mut start| {
        start.early_hints([("Link", "</a>; rel=preload")])?;
        writeln!(start.errors(), "inner")?;
        let mut body = start.start(201, TEXT)?;
        io::copy(input, &mut body)?;
        body.flush()?;
        Ok(body.end()?)
    });
    let answer = rehearse(&Through(Through(inner)), &get(), b"abc").unwrap();
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (201, "abc"));
    assert_eq!((answer.hints.len(), answer.errors.as_slice(), answer.flushes), (1, &b"inner\n"[..], vec![3]));

    let failing = application(|_, _, start| {
        let _given_up = start.start(200, TEXT)?;
        Err("inner trouble".into())
    });
    assert_eq!(rehearse(&Through(failing), &get(), b"").unwrap_err().to_string(), "inner trouble");
}
