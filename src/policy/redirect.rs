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
    environ.path_info = Bytes::copy_from_slice(path.as_bytes());
    environ.request_uri = target;
    environ.path_translated = None;
    environ.script_filename = None;
    environ.document_root = None;
    environ.variables.clear();
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
