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
use http::Uri;
use http_body::Body as _;
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
            let request = service_request(request)?;
            let answered = unless_it_panics(async move {
                let mut service = service;
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(request).await
            });
            match answered.await {
                Some(Ok(response)) => Ok(self.response(response)),
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
    fn response<B>(&self, response: http::Response<B>) -> Response
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<AnyError>,
    {
        let (head, body) = response.into_parts();
        let body = if body.is_end_stream() && !head.headers.contains_key(http::header::CONTENT_LENGTH) {
            Body::Empty
        } else {
            Body::Stream(Box::new(Payload { body: Box::pin(body), name: Arc::clone(&self.name) }))
        };
        let mut response = Response::new(head.status, body);
        response.headers = head.headers;
        response
    }
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
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => {
                    let error: AnyError = error.into();
                    return broken(&format!("failed ({error})"));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not passed on: RFC 9110 6.5.1 lets whoever forwards leave them out.
                    if let Ok(mut data) = frame.into_data()
                        && data.has_remaining()
                    {
                        return Poll::Ready(Some(Ok(data.copy_to_bytes(data.remaining()))));
                    }
                }
            }
        }
    }

    fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{HeaderValue, Method, StatusCode};

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
