//! The service as a server in front sees it, with an application that tells what it was asked. It must not know what a real
//! gateway would answer.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use gatebridge_cgi::{Environ, Scheme};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use http_body::Body as _;
use tower_service::Service as _;

use super::{Arrival, GatewayService, ResponseBody};
use crate::exchange::testing::Recorded;
use crate::exchange::{
    self, Answer, Application, Body, BodyStream, Chunk, Ending, Failure, FailureKind, RecordSink, Response,
};
use crate::front::http::Applications;
use crate::io::Drain;

/// Keeps the environ, and answers with what the test has given.
#[derive(Default)]
struct Asked {
    environ: Mutex<Option<Environ>>,
    answer: Mutex<Option<Result<Response, Failure>>>,
}

impl Application for Asked {
    fn call(&self, request: exchange::Request) -> Answer<'_> {
        *self.environ.lock().unwrap() = Some(request.environ);
        let answer = self.answer.lock().unwrap().take();
        Box::pin(async { answer.unwrap_or_else(|| Ok(Response::text(StatusCode::OK, "well"))) })
    }
}

struct Bed {
    asked: Arc<Asked>,
    sink: Arc<Recorded>,
    drain: Drain,
}

impl Applications for (Arc<Asked>, Arc<Recorded>) {
    fn current(&self) -> (Arc<dyn Application>, Arc<dyn RecordSink>) {
        (Arc::clone(&self.0) as _, Arc::clone(&self.1) as _)
    }
}

impl Bed {
    fn new() -> Self {
        Self { asked: Arc::default(), sink: Recorded::new(), drain: Drain::new() }
    }

    fn service(&self) -> GatewayService {
        let applications = (Arc::clone(&self.asked), Arc::clone(&self.sink));
        GatewayService::new(
            Arc::new(applications),
            self.drain.entrance(),
            Bytes::from_static(b"gatebridge/0"),
        )
    }

    async fn ask(&self, request: Request<Body>) -> http::Response<ResponseBody> {
        let Ok(response) = self.service().call(request).await;
        response
    }

    async fn environ(&self, request: Request<Body>) -> Environ {
        assert_eq!(self.ask(request).await.status(), StatusCode::OK);
        self.asked.environ.lock().unwrap().take().unwrap()
    }

    fn answers(&self, answer: Result<Response, Failure>) {
        *self.asked.answer.lock().unwrap() = Some(answer);
    }
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::Empty).unwrap()
}

/// The whole body, and what it failed with.
async fn read(response: http::Response<ResponseBody>) -> (Vec<u8>, Option<FailureKind>) {
    let (mut body, mut all) = (Box::pin(response.into_body()), Vec::new());
    loop {
        match std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            None => return (all, None),
            Some(Err(failure)) => return (all, Some(failure.kind)),
            Some(Ok(frame)) => all.extend_from_slice(&frame.into_data().unwrap()),
        }
    }
}

#[tokio::test]
async fn the_host_and_the_scheme_are_found_wherever_they_stand() {
    let bed = Bed::new();
    let mut request = get("https://www.example.org:8443/a?b");
    *request.version_mut() = Version::HTTP_2;
    let environ = bed.environ(request).await;
    assert_eq!((&environ.server_name[..], environ.server_port), (&b"www.example.org"[..], 8443));
    assert_eq!(environ.scheme, Scheme::Https);
    assert_eq!(environ.headers["host"], "www.example.org:8443");
    assert_eq!((&environ.request_uri[..], environ.protocol), (&b"/a?b"[..], Version::HTTP_2));
    let mut request = get("/");
    request.headers_mut().insert("host", HeaderValue::from_static("www.example.org"));
    request.extensions_mut().insert(Arrival {
        remote: Some("[::ffff:192.0.2.7]:4711".parse().unwrap()),
        local: Some("10.0.0.1:8080".parse().unwrap()),
        scheme: Some(Scheme::Https),
        ..Arrival::default()
    });
    let environ = bed.environ(request).await;
    assert_eq!((environ.server_port, environ.scheme), (8080, Scheme::Https));
    assert_eq!((environ.remote_addr, environ.remote_port), (Some("192.0.2.7".parse().unwrap()), Some(4711)));
    assert_eq!(environ.server_software, "gatebridge/0");
    assert_eq!(bed.environ(get("/")).await.server_name, "localhost");
}

#[tokio::test]
async fn lesson_32_a_host_that_contradicts_the_authority_is_refused() {
    let bed = Bed::new();
    let mut request = get("https://one.example/");
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().insert("host", HeaderValue::from_static("two.example"));
    assert_eq!(bed.ask(request).await.status(), StatusCode::BAD_REQUEST);
    let mut request = get("/");
    request.headers_mut().insert("host", HeaderValue::from_static("no host"));
    assert_eq!(bed.ask(request).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_no_request_for_a_program_is_answered_here() {
    let bed = Bed::new();
    let asterisk = Request::builder().method(Method::OPTIONS).uri("*").body(Body::Empty).unwrap();
    assert_eq!(bed.ask(asterisk).await.status(), StatusCode::NO_CONTENT);
    let tunnel = Request::builder().method(Method::CONNECT).uri("a.test:443").body(Body::Empty).unwrap();
    assert_eq!(bed.ask(tunnel).await.status(), StatusCode::NOT_IMPLEMENTED);
    assert!(bed.asked.environ.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_failure_is_its_page_and_fields_of_a_connection_stay_here() {
    let bed = Bed::new();
    bed.answers(Err(Failure::overloaded(std::time::Duration::from_secs(3), "full")));
    let page = bed.ask(get("/")).await;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.headers()["retry-after"], "3");
    let mut response = Response::text(StatusCode::OK, "well");
    for (name, value) in [("connection", "x-own"), ("x-own", "1"), ("keep-alive", "9"), ("x-other", "2")] {
        response.headers.insert(name, HeaderValue::from_static(value));
    }
    bed.answers(Ok(response));
    let response = bed.ask(get("/")).await;
    let names: Vec<_> = response.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["content-type", "x-other"]);
    assert_eq!(read(response).await, (b"well".to_vec(), None));
}

/// Pieces without an end, or with one.
struct Pieces(Vec<&'static str>, bool);

impl BodyStream for Pieces {
    fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Chunk>> {
        match self.0.pop() {
            Some(piece) => Poll::Ready(Some(Ok(Bytes::from_static(piece.as_bytes())))),
            None if self.1 => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn streamed(pieces: &[&'static str], has_end: bool, length: Option<&'static str>) -> Response {
    let pieces = pieces.iter().rev().copied().collect();
    let mut response = Response::new(StatusCode::OK, Body::Stream(Box::new(Pieces(pieces, has_end))));
    if let Some(length) = length {
        response.headers.insert("content-length", HeaderValue::from_static(length));
    }
    response
}

#[tokio::test]
async fn lesson_11_a_length_is_kept_to_whatever_the_program_writes() {
    let bed = Bed::new();
    for (pieces, length, expected) in [
        (&["one", "two"][..], None, ("onetwo", None)),
        (&["one", "two"], Some("6"), ("onetwo", None)),
        (&["one", "two", "three"], Some("4"), ("onet", None)),
        (&["one"], Some("4"), ("one", Some(FailureKind::BrokenOff))),
    ] {
        bed.answers(Ok(streamed(pieces, true, length)));
        let (body, failed) = read(bed.ask(get("/")).await).await;
        assert_eq!((std::str::from_utf8(&body).unwrap(), failed), expected, "{pieces:?} {length:?}");
    }
    let endings: Vec<_> =
        bed.sink.records().iter().map(|record| (record.ending, record.bytes_sent)).collect();
    let complete = |bytes| (Ending::Complete, bytes);
    assert_eq!(endings, [complete(6), complete(6), complete(4), (Ending::BrokenOff, 3)]);
}

#[tokio::test]
async fn a_response_that_is_dropped_was_left_unless_all_of_it_was_taken() {
    let bed = Bed::new();
    bed.answers(Ok(streamed(&["one"], false, None)));
    drop(bed.ask(get("/")).await);
    bed.answers(Ok(streamed(&["one"], false, Some("3"))));
    let mut body = Box::pin(bed.ask(get("/")).await.into_body());
    assert!(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap().is_ok());
    drop(body);
    let head = Request::head("/").body(Body::Empty).unwrap();
    bed.answers(Ok(streamed(&["one"], true, Some("3"))));
    let response = bed.ask(head).await;
    assert_eq!(
        (&response.headers()["content-length"], response.body().is_end_stream()),
        (&"3".parse().unwrap(), true)
    );
    drop(response);
    let endings: Vec<_> = bed.sink.records().iter().map(|record| record.ending).collect();
    assert_eq!(endings, [Ending::ClientGone, Ending::Complete, Ending::Complete]);
}

#[tokio::test]
async fn a_gateway_that_ends_cuts_what_still_runs_and_begins_nothing() {
    let mut bed = Bed::new();
    bed.answers(Ok(streamed(&["one"], false, None)));
    let mut body = Box::pin(bed.ask(get("/")).await.into_body());
    assert!(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap().is_ok());
    bed.drain.begin();
    assert_eq!(bed.ask(get("/")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    bed.drain.cut();
    assert!(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await.unwrap().is_err());
    drop(body);
    bed.drain.ended().await;
}
