//! Services of tower behind every runner: an axum router, and services that do what routers do not. It must not know the
//! runners' insides.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod rig;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::{Body as AxumBody, to_bytes};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use gatebridge_fastcgi::{ProtocolStatus, Role};
use gatebridge_interface::tokio::{Application, lint, rehearse, serve_fastcgi, serve_http, serve_scgi};
use gatebridge_interface::tower::{self, Body, Seen};
use gatebridge_interface::{Environ, Settings, Stop};
use rig::fastcgi::{Peer, listener};
use rig::tasks;
use tokio::sync::mpsc;
use tower_service::Service;

fn router() -> Router {
    let visits = Arc::new(AtomicUsize::new(0));
    Router::new()
        .route("/questions/hello/{name}", get(async |Path(name): Path<String>| format!("hello {name}\n")))
        .route("/questions/echo", post(async |request: Request| Response::new(request.into_body())))
        .route(
            "/questions/visits",
            get(async |State(visits): State<Arc<AtomicUsize>>| {
                visits.fetch_add(1, Ordering::Relaxed).to_string()
            }),
        )
        .route("/questions/told", any(told))
        .route("/questions/broken", get(async || AxumBody::new(Pieces::of(&[Some("this has left"), None]))))
        .route("/questions/fields", get(async || [("connection", "close"), ("x-kept", "yes")]))
        .route("/questions/switch", get(async || http::StatusCode::SWITCHING_PROTOCOLS))
        .route("/questions/panic", get(async || -> String { panic!("no luck at all") }))
        .with_state(visits)
}

/// What a service is told of a request.
async fn told(Extension(environ): Extension<Environ>, request: Request) -> String {
    let (head, body) = request.into_parts();
    let length = to_bytes(body, usize::MAX).await.unwrap().len();
    let field = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    format!(
        "{} {} {:?} {:?} {:?} {length} {} {}",
        head.method,
        head.uri,
        field("x-from"),
        field("content-length"),
        field("content-type"),
        environ.script_name.escape_ascii(),
        environ.headers.is_empty(),
    )
}

/// A body of pieces, `None` an error; it is never asked after its end.
struct Pieces(&'static [Option<&'static str>]);

impl Pieces {
    const fn of(pieces: &'static [Option<&'static str>]) -> Self {
        Self(pieces)
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        let next = self.0.split_off_first().copied();
        match next {
            Some(Some("")) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Some("trailers")) => {
                let mut trailers = http::HeaderMap::new();
                trailers.insert("x-sum", "1".parse().unwrap());
                Poll::Ready(Some(Ok(http_body::Frame::trailers(trailers))))
            }
            Some(Some(piece)) => Poll::Ready(Some(Ok(http_body::Frame::data(piece.into())))),
            Some(None) => Poll::Ready(Some(Err(std::io::Error::other("the source has dried up")))),
            None => Poll::Ready(None),
        }
    }
}

fn environ(method: &str, path: &str) -> Environ {
    Environ {
        method: method.parse().unwrap(),
        script_name: "/questions".into(),
        path_info: path.to_owned().into(),
        request_uri: format!("/questions{path}").into(),
        ..Environ::default()
    }
}

/// Asks under lint, as `rehearse` does.
fn ask(application: &impl Application, method: &str, path: &str) -> gatebridge_interface::Rehearsal {
    tasks::run(rehearse(application, &environ(method, path), "abc")).unwrap()
}

#[test]
fn a_router_is_told_all_about_a_request() {
    let router = tower::application(router());
    let text = ask(&router, "PUT", "/told").text();
    assert_eq!(text, "PUT /questions/told None Some(\"3\") None 3 /questions true");
    assert_eq!(ask(&router, "GET", "/hello/you").text(), "hello you\n");
    assert_eq!(ask(&router, "GET", "/hello").status, 404);
    let refused = ask(&router, "POST", "/hello/you");
    assert_eq!((refused.status.as_u16(), &refused.headers["allow"]), (405, &"GET,HEAD".parse().unwrap()));
    for visit in 0..3 {
        assert_eq!(ask(&router, "GET", "/visits").text(), visit.to_string(), "state is kept");
    }
    let fields = ask(&router, "GET", "/fields").headers;
    assert!(fields.contains_key("x-kept") && !fields.contains_key("connection"), "{fields:?}");
    let inner = Router::new().route("/told", any(told));
    let inner = tower::application(inner).seen(Seen::PathInfo);
    assert!(ask(&inner, "GET", "/told").text().starts_with("GET /told "));
}

#[test]
fn a_path_that_is_no_uri_is_refused() {
    let hello = tower::application(Router::new());
    let environ = Environ { query_string: Bytes::from_static(b"a b\xff"), ..environ("GET", "/") };
    let answer = tasks::run(rehearse(&hello, &environ, "")).unwrap();
    assert_eq!((answer.status.as_u16(), answer.text().starts_with("the path is no URI: ")), (400, true));
}

/// A service from a function of a request's head, with nothing that a router adds.
#[derive(Clone)]
struct Plain<F>(F);

impl<F: Fn() -> B, B> Service<Request<Body>> for Plain<F> {
    type Response = http::Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<http::Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let mut response = http::Response::new((self.0)());
        response.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        ready(Ok(response))
    }
}

#[test]
fn what_has_come_is_sent_before_the_next_is_waited_for() {
    let pieces = || Pieces::of(&[Some("a"), Some("b"), Some(""), Some("c"), Some("trailers")]);
    let answer = ask(&tower::application(Plain(pieces)), "GET", "/");
    assert_eq!((answer.text().as_str(), answer.flushes), ("abc", vec![2]));
}

#[test]
fn errors_and_panics_are_those_of_an_application() {
    let fails = |path: &str| {
        let application = tower::application(router());
        tasks::run(rehearse(&application, &environ("GET", path), "")).unwrap_err().to_string()
    };
    assert!(fails("/broken").contains("dried up"), "{}", fails("/broken"));
    assert!(fails("/switch").contains("101"), "{}", fails("/switch"));
}

/// Is ready only after it was asked twice, and counts its calls.
#[derive(Clone)]
struct Slow {
    asked: usize,
    calls: Arc<AtomicUsize>,
}

impl Service<Request<Body>> for Slow {
    type Response = http::Response<AxumBody>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.asked += 1;
        if self.asked > 2 {
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(self.asked > 2, "it was called before it was ready");
        self.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err(std::io::Error::other("no luck today")) })
    }
}

#[test]
fn a_service_is_not_called_before_it_is_ready() {
    let calls = Arc::new(AtomicUsize::new(0));
    let slow = tower::application(Slow { asked: 0, calls: Arc::clone(&calls) });
    let failed = tasks::run(rehearse(&slow, &environ("GET", "/"), "")).unwrap_err();
    assert_eq!((failed.to_string().as_str(), calls.load(Ordering::Relaxed)), ("no luck today", 1));
}

/// Runs a worker while `then` asks it.
fn with_worker(
    serve: impl AsyncFnOnce(std::os::unix::net::UnixListener, &Stop) + Send + 'static,
    then: impl FnOnce(&dyn Fn() -> UnixStream),
) {
    let (path, listener) = listener();
    let stop = Arc::new(Stop::new().unwrap());
    let told = Arc::clone(&stop);
    let worker = std::thread::spawn(move || tasks::run(serve(listener, &told)));
    then(&|| UnixStream::connect(&path).unwrap());
    stop.stop();
    worker.join().unwrap();
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_router_is_a_fastcgi_worker() {
    let serve = async |listener, stop: &Stop| {
        serve_fastcgi(lint(tower::application(router())), listener, &Settings::default(), stop)
            .await
            .unwrap();
    };
    with_worker(serve, |connect| {
        let mut peer = Peer::new(connect());
        assert_eq!(peer.ask("GET", "/hello/you", b"").body(), b"hello you\n");
        let body = vec![b'x'; 100_000];
        assert!(peer.ask("POST", "/echo", &body).body() == body, "another body");
        let told = peer.ask("PUT", "/told", b"12345").text();
        assert!(
            told.ends_with("PUT /questions/told?a=b Some(\"test\") Some(\"5\") None 5 /questions true"),
            "{told}"
        );
        // Both ways at once: the answer begins before the body has ended.
        let id = peer.begin(Role::Responder, "POST", "/echo", Some("4"));
        peer.stdin(id, b"ab");
        while peer.reply(id).body() != b"ab" {
            assert!(peer.read(), "closed");
        }
        peer.stdin(id, b"cd");
        peer.end_stdin(id);
        assert_eq!(peer.finish(id).body(), b"abcd");
        let panicked = peer.ask("GET", "/panic", b"");
        assert!(panicked.text().starts_with("Status: 500 "), "{}", panicked.text());
        let unread = peer.ask("POST", "/hello/you", &body);
        assert_eq!(unread.ended, Some((0, ProtocolStatus::RequestComplete)));
    });
}

#[test]
fn lesson_12_a_response_that_breaks_off_never_looks_whole() {
    let pieces = || Pieces::of(&[Some("this has left"), Some(""), None]);
    let serve = async move |listener, stop: &Stop| {
        serve_fastcgi(tower::application(Plain(pieces)), listener, &Settings::default(), stop).await.unwrap();
    };
    with_worker(serve, |connect| {
        let mut peer = Peer::new(connect());
        let id = peer.begin(Role::Responder, "GET", "/", None);
        peer.end_stdin(id);
        while peer.read() {}
        let reply = peer.reply(id).clone();
        assert_eq!((reply.body(), reply.ended), (&b"this has left"[..], None));
        assert!(String::from_utf8_lossy(&reply.stderr).contains("dried up"), "{reply:?}");
    });
}

/// Waits for ever, and tells when it is dropped.
#[derive(Clone)]
struct Endless(Arc<Mutex<mpsc::UnboundedSender<&'static str>>>);

struct Told(mpsc::UnboundedSender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.send("dropped").unwrap();
    }
}

impl Service<Request<Body>> for Endless {
    type Response = http::Response<AxumBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let tell = Told(self.0.lock().unwrap().clone());
        Box::pin(async move {
            tell.0.send("called").unwrap();
            std::future::pending().await
        })
    }
}

#[test]
fn lesson_49_a_client_that_leaves_drops_the_service_s_future() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let endless = Endless(Arc::new(Mutex::new(tell)));
    let serve = async |listener, stop: &Stop| {
        serve_fastcgi(tower::application(endless), listener, &Settings::default(), stop).await.unwrap();
    };
    with_worker(serve, |connect| {
        let mut peer = Peer::new(connect());
        let id = peer.begin(Role::Responder, "GET", "/", None);
        peer.end_stdin(id);
        assert_eq!(told.blocking_recv(), Some("called"));
        peer.abort(id);
        assert_eq!(told.blocking_recv(), Some("dropped"));
        assert_eq!(peer.finish(id).ended, Some((0, ProtocolStatus::RequestComplete)));
    });
}

#[test]
fn a_router_is_an_scgi_worker() {
    let serve = async |listener, stop: &Stop| {
        serve_scgi(lint(tower::application(router())), listener, &Settings::default(), stop).await.unwrap();
    };
    with_worker(serve, |connect| {
        let mut headers = gatebridge_scgi::HeaderWriter::new();
        headers.append(b"CONTENT_LENGTH", b"3");
        for (name, value) in rig::variables("POST", "/echo", None) {
            headers.append(name.as_bytes(), value.as_bytes());
        }
        let mut stream = connect();
        stream.write_all(&headers.finish().unwrap()).unwrap();
        stream.write_all(b"abc").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("Status: 200 OK\r\n") && answer.ends_with("\r\n\r\nabc"), "{answer}");
    });
}

#[test]
fn a_router_is_a_server_for_development() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let stop = Arc::new(Stop::new().unwrap());
    let told = Arc::clone(&stop);
    let inner = tower::application(router()).seen(Seen::PathInfo);
    let server = std::thread::spawn(move || {
        tasks::run(serve_http(inner, listener, &Settings::default(), &told)).unwrap();
    });
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /questions/hello/a%2Fb HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello a/b\n"), "{answer}");
    drop(stream);
    stop.stop();
    server.join().unwrap();
}
