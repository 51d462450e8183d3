//! Programs inside this process, as their requests' tasks see them. It must not know how a front writes an answer.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use gatebridge_interface::{Application as Program, Environ, Input, Result, StartResponse, lint};
use http::{Method, StatusCode};

use super::app::{App, AppRules};
use super::junction::WINDOW_BYTES;
use super::rig::{read, recorded_request, request, text};
use crate::config::{Queue, RouteLimits};
use crate::exchange::{Application as _, Body, FailureKind};

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

fn rules(threads: usize) -> AppRules {
    let queue = Queue { length: 1, timeout: Duration::from_secs(30) };
    AppRules { threads, queue, stderr_lines: 10, authorization: false }
}

fn app(program: impl Program + 'static) -> App {
    App::new("app:/x", Arc::new(lint(program)), rules(4), &RouteLimits::default())
}

fn function<F>(function: F) -> F
where
    F: Fn(&Environ, &mut Input<'_>, StartResponse<'_>) -> Result + Send + Sync,
{
    function
}

#[tokio::test]
async fn a_short_answer_is_whole_when_its_head_is_there() {
    let app = app(function(|environ, _, start| {
        let name = environ.unique_id.escape_ascii().to_string();
        start.answer(201, TEXT, format!("hello {}", name.len()))
    }));
    let (request, mut records) = recorded_request(Method::GET, "/", Body::Empty);
    let response = app.call(request).await.unwrap();
    assert_eq!(
        (response.status, &response.headers["content-length"]),
        (StatusCode::CREATED, &"8".parse().unwrap())
    );
    assert!(matches!(response.body, Body::Bytes(_)), "{:?}", response.body);
    assert_eq!(text(response).await.unwrap(), "hello 20");
    let record = records.recv().await.unwrap();
    assert_eq!((record.back.as_deref(), record.queue_wait), (Some("app:/x"), Some(Duration::ZERO)));
}

#[tokio::test]
async fn a_body_goes_down_and_up_at_once_within_the_windows() {
    let app = app(function(|_, input, start| {
        let mut body = start.start(200, TEXT)?;
        std::io::copy(input, &mut body)?;
        Ok(body.end()?)
    }));
    let sent: Vec<u8> = (0..=250).cycle().take(20 * WINDOW_BYTES + 7).collect();
    let mut response =
        app.call(request(Method::POST, "/", Body::from(bytes::Bytes::from(sent.clone())))).await.unwrap();
    assert!(read(&mut response.body).await.unwrap() == sent);
}

#[tokio::test]
async fn a_program_waits_for_whoever_does_not_read() {
    let (told, written) = channel();
    let app = app(function(move |_, _, start| {
        let mut body = start.start(200, TEXT)?;
        let piece = vec![b'x'; WINDOW_BYTES];
        for number in 1.. {
            if body.write_all(&piece).is_err() {
                let _ = told.send(usize::MAX);
                assert!(body.is_aborted());
                break;
            }
            let _ = told.send(number);
        }
        Ok(body.end()?)
    }));
    let mut response = app.call(request(Method::GET, "/", Body::Empty)).await.unwrap();
    let piece = response.body.chunk().await.unwrap().unwrap();
    assert_eq!(piece.len(), WINDOW_BYTES);
    drop(response);
    app.idle().await;
    let written: Vec<_> = written.try_iter().collect();
    assert_eq!(written.last(), Some(&usize::MAX), "it was told that nobody reads");
    assert!(written.len() <= 5, "{written:?}: it ran ahead of its reader");
}

#[tokio::test]
async fn a_program_that_waits_for_input_is_told_that_its_client_left() {
    struct Silent;
    impl crate::exchange::BodyStream for Silent {
        fn poll_chunk(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<crate::exchange::Chunk>> {
            std::task::Poll::Pending
        }
        fn length(&self) -> Option<u64> {
            Some(5)
        }
    }
    let (told, heard) = channel();
    let app = app(function(move |_, input, start| {
        let read = input.read_to_end(&mut Vec::new());
        told.send((read.unwrap_err().kind(), start.is_aborted())).unwrap();
        Err("nobody to tell".into())
    }));
    let asked = app.call(request(Method::POST, "/", Body::Stream(Box::new(Silent))));
    assert!(tokio::time::timeout(Duration::from_millis(1), asked).await.is_err());
    app.idle().await;
    assert_eq!(heard.recv().unwrap(), (std::io::ErrorKind::ConnectionAborted, true));
}

#[tokio::test]
async fn errors_and_panics_before_the_head_are_a_500_and_afterwards_a_cut() {
    let app = app(function(|environ, _, start| match &environ.path_info[..] {
        b"/error" => Err("on purpose".into()),
        b"/panic" => panic!("on purpose"),
        b"/late" => {
            let mut body = start.start(200, TEXT)?;
            body.write_all(b"begun")?;
            body.flush()?;
            Err("on purpose".into())
        }
        _ => start.answer(200, TEXT, "well"),
    }));
    for path in ["/error", "/panic"] {
        let response = app.call(request(Method::GET, path, Body::Empty)).await.unwrap();
        assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(text(response).await.unwrap().contains("error log"), "{path}");
    }
    let mut response = app.call(request(Method::GET, "/late", Body::Empty)).await.unwrap();
    assert_eq!(response.body.chunk().await.unwrap().unwrap(), "begun");
    let failure = response.body.chunk().await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::BrokenOff);
    let response = app.call(request(Method::GET, "/", Body::Empty)).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "well", "and it costs nothing else");
}

#[tokio::test]
async fn beyond_its_threads_requests_wait_and_beyond_the_queue_they_are_refused() {
    let (open, gate) = channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let program = function(move |_, _, start| {
        let _ = gate.lock().unwrap().recv();
        start.answer(200, TEXT, "")
    });
    let app = Arc::new(App::new("app:/x", Arc::new(program), rules(1), &RouteLimits::default()));
    let ask = || {
        let app = Arc::clone(&app);
        async move { app.call(request(Method::GET, "/", Body::Empty)).await.map(|response| response.status) }
    };
    let mut first = Box::pin(ask());
    let mut second = Box::pin(ask());
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(second.as_mut().poll(cx).is_pending())).await);
    let failure = ask().await.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::Overloaded { .. }), "{failure}");
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (StatusCode::OK, StatusCode::OK));
}

#[tokio::test]
async fn a_file_is_passed_as_a_file_and_a_part_of_an_answer_is_read() {
    let path = std::env::temp_dir().join(format!("gatebridge-app-file-{}", std::process::id()));
    std::fs::write(&path, "0123456789").unwrap();
    let file = path.clone();
    let app = app(function(move |environ, _, start| {
        let file = std::fs::File::open(&file)?;
        let mut body = start.start(200, TEXT)?;
        if environ.path_info == "/whole" {
            return Ok(body.send_file(&file, 2..7)?);
        }
        body.write_all(b"<")?;
        body.write_file(&file, 2..7)?;
        body.write_all(b">")?;
        Ok(body.end()?)
    }));
    let response = app.call(request(Method::GET, "/whole", Body::Empty)).await.unwrap();
    assert!(
        matches!(&response.body, Body::File(range) if (range.offset, range.length) == (2, 5)),
        "{:?}",
        response.body
    );
    assert_eq!(text(response).await.unwrap(), "23456");
    let response = app.call(request(Method::GET, "/part", Body::Empty)).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "<23456>");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn lesson_48_a_body_to_head_is_not_sent_and_its_length_is_told() {
    let app = app(function(|_, _, start| start.answer(200, TEXT, "four")));
    let mut response = app.call(request(Method::HEAD, "/", Body::Empty)).await.unwrap();
    // Fronts ask the body, and believe no field.
    assert_eq!(response.body.length(), Some(4));
    assert!(response.body.chunk().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_silent_program_is_given_up_and_told() {
    let (open, gate) = channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (told, heard) = channel();
    let program = function(move |_, _, start| {
        let _ = gate.lock().unwrap().recv();
        told.send(start.is_aborted()).unwrap();
        start.answer(200, TEXT, "")
    });
    let limits = RouteLimits { first_byte_timeout: Some(Duration::from_secs(9)), ..RouteLimits::default() };
    let app = App::new("app:/x", Arc::new(program), rules(1), &limits);
    let failure = app.call(request(Method::GET, "/", Body::Empty)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut);
    assert!(failure.detail.contains("waited 9 s"), "{failure}");
    open.send(()).unwrap();
    assert!(heard.recv().unwrap());
}
