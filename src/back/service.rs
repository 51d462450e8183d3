//! A tower service inside this process (an axum router, for example) as an application of the gateway. It must not know
//! what the service does, nor which policies stand before it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use gatebridge_cgi::Environ;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode, Uri};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::exchange::{
    Answer, Application, Body, BodyStream, Chunk, Failure, FailureKind, Request, Response,
};

/// Any error, as services have them.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// RFC 3986 3.3: what a path may hold as it is; all else is encoded.
const NO_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A tower service as an application of the gateway.
///
/// It sees the path below the place where it is mounted (`/` for that place itself), the query as it came, the header fields
/// without those of the connection, and the body as it comes. The request's extensions hold the [`Environ`], so SCRIPT_NAME,
/// addresses and the request's id are there too; its header fields are in the request.
///
/// Nothing is run on a thread of its own: the service is polled where the request is served, as services expect.
pub struct Service<S> {
    /// Only to be cloned: a service that is asked needs itself mutable.
    service: Mutex<S>,
    name: Arc<str>,
}

impl<S> Service<S> {
    /// The service that is called `name` in logs.
    pub fn new(name: impl Into<Arc<str>>, service: S) -> Self {
        Self { service: Mutex::new(service), name: name.into() }
    }
}

impl<S, B> Application for Service<S>
where
    S: tower_service::Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + 'static,
    S::Error: Into<AnyError>,
    S::Future: Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Error: Into<AnyError>,
{
    fn call(&self, request: Request) -> Answer<'_> {
        let service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            request.exchange.note(|record| record.back = Some(Arc::clone(&self.name)));
            let is_head = request.environ.method == Method::HEAD;
            let request = service_request(request)?;
            let answered = unless_it_panics(async move {
                let mut service = service;
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            });
            match answered.await {
                Some(Ok(response)) => self.response(response, is_head),
                Some(Err(error)) => {
                    let error: AnyError = error.into();
                    Err(Failure::internal(format!("{} failed: {error}", self.name)))
                }
                None => Err(Failure::internal(format!("{} panicked", self.name))),
            }
        })
    }
}

impl<S> Service<S> {
    fn response<B>(&self, response: http::Response<B>, is_head: bool) -> Result<Response, Failure>
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<AnyError>,
    {
        let (head, body) = response.into_parts();
        let (announced, exact) = (announced(&head.headers), body.size_hint().exact());
        let mut response = Response::new(head.status, Body::Empty);
        response.headers = head.headers;
        // RFC 9110 9.3.2: the head says what it would say to GET; a body that is known to be empty would contradict.
        let has_body = !is_head && !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = if has_body { announced.or(exact) } else { announced };
        if has_body
            && let (Some(announced), Some(exact)) = (announced, exact)
            && announced != exact
        {
            let name = &self.name;
            let detail = format!("{name} announced {announced} bytes, and its body has {exact}");
            return Err(Failure::internal(detail));
        }
        if is_head || length != Some(0) {
            let payload =
                Payload { body: Box::pin(body), has_body, left: length, name: Arc::clone(&self.name) };
            response.body = Body::Stream(Box::new(payload));
        }
        Ok(response)
    }
}

/// The length that a head announces, in bytes.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl<S> fmt::Debug for Service<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `None` when it panicked; whoever serves other requests on this thread is not to suffer.
async fn unless_it_panics<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// The request as services know them.
fn service_request(request: Request) -> Result<http::Request<Body>, Failure> {
    let Request { mut environ, body, .. } = request;
    let wrong = |error: http::Error| {
        Failure::new(FailureKind::BadRequest, format!("no service can be asked for this: {error}"))
    };
    environ.complete_script_name();
    let uri = uri(&environ).map_err(|error| wrong(error.into()))?;
    let mut asked = http::Request::new(body);
    *asked.method_mut() = environ.method.clone();
    *asked.uri_mut() = uri;
    *asked.version_mut() = environ.protocol;
    *asked.headers_mut() = std::mem::take(&mut environ.headers);
    gatebridge_cgi::remove_hop_by_hop(asked.headers_mut());
    asked.extensions_mut().insert(environ);
    Ok(asked)
}

/// What is below the place of the service. It is made from PATH_INFO, which is plain and was decoded once.
fn uri(environ: &Environ) -> Result<Uri, http::uri::InvalidUri> {
    let path = if environ.path_info.is_empty() { b"/" } else { &environ.path_info[..] };
    let mut uri = percent_encode(path, NO_PATH).to_string().into_bytes();
    if !environ.query_string.is_empty() {
        uri.push(b'?');
        uri.extend_from_slice(&environ.query_string);
    }
    Uri::from_maybe_shared(Bytes::from(uri))
}

/// The body of a service's response.
struct Payload<B> {
    body: Pin<Box<B>>,
    /// What of it comes goes to the client.
    has_body: bool,
    /// Bytes still to come, where that is known.
    left: Option<u64>,
    name: Arc<str>,
}

impl<B> BodyStream for Payload<B>
where
    B: http_body::Body + Send,
    B::Error: Into<AnyError>,
{
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let broken = |why: &str| {
            let detail = format!("{} {why} after the head of its response", self.name);
            Poll::Ready(Some(Err(Failure::new(FailureKind::BrokenOff, detail))))
        };
        loop {
            let Ok(polled) = catch_unwind(AssertUnwindSafe(|| self.body.as_mut().poll_frame(cx))) else {
                return broken("panicked");
            };
            match polled {
                Poll::Pending => return Poll::Pending,
                // Lesson 11: too little must not look like all of it.
                Poll::Ready(None) => match self.left {
                    Some(left @ 1..) if self.has_body => {
                        return broken(&format!("ended {left} bytes before its Content-Length"));
                    }
                    _ => return Poll::Ready(None),
                },
                Poll::Ready(Some(Err(error))) => {
                    let error: AnyError = error.into();
                    return broken(&format!("failed ({error})"));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not passed on: RFC 9110 6.5.1 lets whoever forwards leave them out.
                    let Ok(mut data) = frame.into_data() else { continue };
                    let count = data.remaining() as u64;
                    if self.has_body && self.left.is_some_and(|left| count > left) {
                        return broken("went on behind its Content-Length");
                    }
                    if count > 0 {
                        self.left = self.left.map(|left| left.saturating_sub(count));
                        return Poll::Ready(Some(Ok(data.copy_to_bytes(data.remaining()))));
                    }
                }
            }
        }
    }

    fn length(&self) -> Option<u64> {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::HeaderValue;

    use super::*;
    use crate::back::rig::{read, request};

    /// What a service is asked, as text, or what it does on purpose.
    #[derive(Clone)]
    struct Echo;

    type Echoed = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    impl tower_service::Service<http::Request<Body>> for Echo {
        type Response = http::Response<Body>;
        type Error = Infallible;
        type Future = Echoed;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, mut request: http::Request<Body>) -> Echoed {
            Box::pin(async move {
                assert_ne!(request.uri().path(), "/panic", "on purpose");
                let body = read(request.body_mut()).await.unwrap();
                let environ = request.extensions().get::<Environ>().unwrap();
                let text = format!(
                    "{} {} at {} {:?} {}",
                    request.method(),
                    request.uri(),
                    String::from_utf8_lossy(&environ.script_name),
                    request.headers().keys().map(|name| name.as_str()).collect::<Vec<_>>(),
                    String::from_utf8_lossy(&body)
                );
                Ok(http::Response::builder().status(StatusCode::ACCEPTED).body(Body::from(text)).unwrap())
            })
        }
    }

    /// A body in pieces, whose length is known to nobody.
    struct Pieces(Vec<&'static str>);

    impl BodyStream for Pieces {
        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Chunk>> {
            let next = (!self.0.is_empty()).then(|| self.0.remove(0));
            Poll::Ready(next.map(|piece| Ok(piece.into())))
        }
    }

    /// A service that says this of its body, and has that one.
    fn saying(length: Option<&'static str>, body: Body) -> http::Response<Body> {
        let mut response = http::Response::new(body);
        if let Some(length) = length {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static(length));
        }
        response
    }

    #[tokio::test]
    async fn lesson_11_a_body_is_as_long_as_it_was_said_to_be() {
        let service = service();
        let pieces = || Body::Stream(Box::new(Pieces(vec!["half", "more"])));
        for (length, ends) in [
            ("8", "halfmore"),
            ("10", "service:/at ended 2 bytes before its Content-Length after the head of its response"),
            ("6", "service:/at went on behind its Content-Length after the head of its response"),
        ] {
            let mut response = service.response(saying(Some(length), pieces()), false).unwrap();
            assert_eq!(response.body.length(), length.parse().ok());
            match read(&mut response.body).await {
                Ok(body) => assert_eq!(&body[..], ends.as_bytes()),
                Err(failure) => {
                    assert_eq!((failure.kind, &*failure.detail), (FailureKind::BrokenOff, ends));
                }
            }
        }
        let failure = service.response(saying(Some("2"), Body::from("four")), false).unwrap_err();
        let told = "service:/at announced 2 bytes, and its body has 4";
        assert_eq!((failure.kind, &*failure.detail), (FailureKind::Internal, told));
    }

    #[tokio::test]
    async fn lesson_48_head_tells_the_length_that_get_would() {
        let service = service();
        // What axum makes of a GET route that is asked for its head: the length, and no body.
        for (length, told) in [(Some("6"), Some(6)), (None, None)] {
            let mut response = service.response(saying(length, Body::Empty), true).unwrap();
            assert_eq!(response.body.length(), told);
            assert!(read(&mut response.body).await.unwrap().is_empty());
        }
        let response = service.response(saying(None, Body::Empty), false).unwrap();
        assert_eq!(response.body.length(), Some(0));
    }

    fn service() -> Service<Echo> {
        Service::new("service:/at", Echo)
    }

    #[tokio::test]
    async fn a_service_sees_what_is_below_its_place() {
        let mut request = request(Method::POST, "/a b/%41/\u{e4}", Body::from("body"));
        request.environ.script_name = "/at".into();
        request.environ.query_string = "x=%20&y".into();
        for name in ["accept", "connection", "x-own", "te"] {
            request.environ.headers.insert(name, HeaderValue::from_static("x-own"));
        }
        let mut response = service().call(request).await.unwrap();
        assert_eq!(response.status, StatusCode::ACCEPTED);
        let text = String::from_utf8(read(&mut response.body).await.unwrap()).unwrap();
        assert_eq!(text, "POST /a%20b/%2541/%C3%A4?x=%20&y at /at [\"accept\"] body");
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_and_nothing_else() {
        let service = service();
        let failure = service.call(request(Method::GET, "/panic", Body::Empty)).await.unwrap_err();
        assert_eq!((failure.kind, &*failure.detail), (FailureKind::Internal, "service:/at panicked"));
        assert!(service.call(request(Method::GET, "", Body::Empty)).await.is_ok());
    }
}
