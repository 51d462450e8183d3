//! Local redirects: a program names another resource of this gateway, and the routes are asked for that (RFC 3875
//! 6.2.2). It does not know which program asked.

use bytes::Bytes;
use gatebridge_cgi::{Environ, Redirect as RedirectedFrom};
use http::Method;
use http::header;

use crate::exchange::{Answer, Application, Body, Failure, FailureKind, LocalRedirect, Request, Response};
use crate::route::{PathError, decode_path};

/// So many local redirects in a row are followed; a loop is a program's mistake and must end.
pub const MAX_LOCAL_REDIRECTS: usize = 10;

/// Lets a program's local redirect ask `inner` again, as a GET without a body, at the same host.
pub struct Redirect<A> {
    inner: A,
}

impl<A> Redirect<A> {
    /// Follows the local redirects of `inner`.
    pub const fn new(inner: A) -> Self {
        Self { inner }
    }
}

impl<A: Application> Application for Redirect<A> {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let exchange = std::sync::Arc::clone(&request.exchange);
            let mut response = self.inner.call(request).await?;
            for _ in 0..MAX_LOCAL_REDIRECTS {
                let Some(redirect) = response.local_redirect.take() else { return Ok(response) };
                let environ = redirected(*redirect)?;
                let request =
                    Request { environ, body: Body::Empty, exchange: std::sync::Arc::clone(&exchange) };
                response = self.inner.call(request).await?;
            }
            end_of_patience(response)
        })
    }
}

fn end_of_patience(response: Response) -> Result<Response, Failure> {
    match response.local_redirect {
        None => Ok(response),
        Some(redirect) => Err(Failure::new(
            FailureKind::RedirectLoop,
            format!(
                "more than {MAX_LOCAL_REDIRECTS} local redirects in a row, the last one to {}: the programs send it in a circle",
                String::from_utf8_lossy(&redirect.target).escape_debug()
            ),
        )),
    }
}

/// The environ of the request that the redirect stands for: as if the client had asked for `target`, by GET.
fn redirected(redirect: LocalRedirect) -> Result<Environ, Failure> {
    let LocalRedirect { target, mut environ } = redirect;
    let question = memchr::memchr(b'?', &target);
    let path = target.slice(..question.unwrap_or(target.len()));
    let path = decode_path(&path).map_err(|error| bad_target(&target, &error))?;
    let path = below(path.as_bytes(), &environ.mount_point).ok_or_else(|| elsewhere(&target, &environ))?;
    environ.redirect.get_or_insert_with(|| RedirectedFrom {
        url: [&environ.script_name[..], &environ.path_info[..]].concat().into(),
        query_string: environ.query_string.clone(),
        request_method: environ.method.clone(),
    });
    if environ.method != Method::HEAD {
        environ.method = Method::GET;
    }
    environ.query_string = question.map_or_else(Bytes::new, |question| target.slice(question + 1..));
    environ.script_name = Bytes::new();
    environ.path_info = path;
    environ.request_uri = target;
    environ.path_translated = None;
    environ.script_filename = None;
    environ.document_root = None;
    environ.variables.clear();
    // The next route decides for itself.
    environ.pass_authorization = true;
    // The body was for the first program, and with it go the fields that describe it (RFC 9110 8).
    environ.content_length = None;
    environ.content_type = None;
    for field in
        [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::TRANSFER_ENCODING]
    {
        environ.headers.remove(field);
    }
    Ok(environ)
}

/// What of a path is below the place where this gateway is mounted in another server.
fn below(path: &[u8], mount_point: &[u8]) -> Option<Bytes> {
    let rest = path.strip_prefix(mount_point)?;
    (rest.is_empty() || rest.starts_with(b"/")).then(|| Bytes::copy_from_slice(rest))
}

fn elsewhere(target: &Bytes, environ: &Environ) -> Failure {
    let detail = format!(
        "the program redirected to {:?}, which is outside of {:?}, where this gateway is mounted: only the server around it \
         could answer",
        String::from_utf8_lossy(target).escape_debug(),
        String::from_utf8_lossy(&environ.mount_point).escape_debug()
    );
    Failure::new(FailureKind::BadOutput, detail)
}

fn bad_target(target: &Bytes, error: &PathError) -> Failure {
    let target = String::from_utf8_lossy(target);
    Failure::new(
        FailureKind::BadOutput,
        format!(
            "the program redirected to {:?}, which is no path of this server: {error}",
            target.escape_debug()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{Recorded, request};
    use http::{HeaderValue, StatusCode};
    use std::sync::Mutex;

    /// Redirects `/N` to `/N-1`, `/to?TARGET` to TARGET, and answers all else; keeps what it was asked.
    #[derive(Default)]
    struct Counting(Mutex<Vec<(Environ, Option<u64>)>>);

    impl Application for std::sync::Arc<Counting> {
        fn call(&self, request: Request) -> Answer<'_> {
            let mut environ = request.environ;
            self.0.lock().unwrap().push((environ.clone(), request.body.length()));
            let path = String::from_utf8(environ.path_info.to_vec()).unwrap();
            let target = match path[1..].parse::<u32>() {
                Ok(0) => None,
                Ok(left) => Some(Bytes::from(format!("/{}?left={left}", left - 1))),
                Err(_) => (path == "/to").then(|| environ.query_string.clone()),
            };
            // As the routes and a back leave it.
            (environ.script_name, environ.path_info) = (environ.path_info, Bytes::new());
            environ.script_filename = Some("/srv/script".into());
            let mut response = Response::new(StatusCode::OK, Body::Empty);
            response.local_redirect = target.map(|target| Box::new(LocalRedirect { target, environ }));
            Box::pin(async { Ok(response) })
        }
    }

    /// The outcome, and every environ that was asked with.
    async fn follow(method: Method, target: &str) -> (Result<StatusCode, FailureKind>, Vec<Environ>) {
        let counting = std::sync::Arc::new(Counting::default());
        let sink = Recorded::new();
        let mut request = request(target, &sink);
        request.environ.method = method;
        request.environ.content_length = Some(4);
        request.environ.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        request.environ.headers.insert(header::HOST, HeaderValue::from_static("here.example"));
        request.body = Body::from("body");
        let outcome = Redirect::new(std::sync::Arc::clone(&counting)).call(request).await;
        let asked = std::mem::take(&mut *counting.0.lock().unwrap());
        assert!(asked.iter().skip(1).all(|(_, length)| *length == Some(0)), "the body was for the first");
        let outcome = outcome.map(|response| response.status).map_err(|failure| failure.kind);
        (outcome, asked.into_iter().map(|(environ, _)| environ).collect())
    }

    #[tokio::test]
    async fn lesson_35_ten_local_redirects_are_followed_and_the_eleventh_is_a_loop() {
        let (outcome, asked) = follow(Method::GET, "/10").await;
        assert_eq!((outcome, asked.len()), (Ok(StatusCode::OK), 11));
        let (outcome, asked) = follow(Method::GET, "/11").await;
        assert_eq!((outcome, asked.len()), (Err(FailureKind::RedirectLoop), 11));
    }

    #[tokio::test]
    async fn lesson_35_the_next_request_is_a_get_without_a_body_at_the_same_host() {
        let (_, asked) = follow(Method::POST, "/2?first=1").await;
        let next = &asked[1];
        assert_eq!((&next.method, &next.path_info[..]), (&Method::GET, &b"/1"[..]));
        assert_eq!((&next.query_string[..], &next.request_uri[..]), (&b"left=2"[..], &b"/1?left=2"[..]));
        assert_eq!((&next.script_name[..], &next.script_filename), (&b""[..], &None));
        assert_eq!((next.content_length, next.headers.contains_key(header::CONTENT_TYPE)), (None, false));
        assert_eq!(next.headers[header::HOST], "here.example");
        let from = asked[2].redirect.as_ref().unwrap();
        assert_eq!(
            (&from.url[..], &from.query_string[..]),
            (&b"/2"[..], &b"first=1"[..]),
            "the first, not the last"
        );
        assert_eq!(from.request_method, Method::POST);
        let (_, asked) = follow(Method::HEAD, "/1").await;
        assert_eq!(asked[1].method, Method::HEAD);
    }

    #[tokio::test]
    async fn a_mounted_gateway_is_asked_for_what_is_below_its_place() {
        let outcome = |target: &'static str| async move {
            let counting = std::sync::Arc::new(Counting::default());
            let mut request = request("/to", &Recorded::new());
            request.environ.mount_point = Bytes::from_static(b"/at");
            request.environ.query_string = Bytes::from_static(target.as_bytes());
            let outcome = Redirect::new(std::sync::Arc::clone(&counting)).call(request).await;
            let asked = std::mem::take(&mut *counting.0.lock().unwrap());
            (outcome.map_err(|failure| failure.kind).map(|_| ()), asked.last().unwrap().0.path_info.clone())
        };
        assert_eq!(outcome("/at/0").await, (Ok(()), Bytes::from_static(b"/0")));
        assert_eq!(outcome("/0").await.0, Err(FailureKind::BadOutput));
        assert_eq!(outcome("/attic").await.0, Err(FailureKind::BadOutput));
    }

    #[tokio::test]
    async fn a_target_that_is_no_path_is_the_programs_mistake() {
        for target in ["/to?/../up", "/to?/%00", "/to?/%zz"] {
            let (outcome, asked) = follow(Method::GET, target).await;
            assert_eq!((outcome, asked.len()), (Err(FailureKind::BadOutput), 1), "{target}");
        }
    }
}
