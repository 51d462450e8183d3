//! A failure becomes a page: what the client is told when there is no response. The detail is for the log and never
//! in here.

use std::fmt::Write as _;
use std::time::Duration;

use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use crate::exchange::{Body, Failure, FailureKind, Response, UniqueId};

/// The response that tells of a failure; `None` where nobody is there to be told.
pub(in crate::front) fn response(failure: &Failure, id: &UniqueId) -> Option<Response> {
    if let FailureKind::Overloaded { retry_after } = failure.kind {
        return Some(busy(retry_after, id));
    }
    let mut response = page(failure.kind.status()?, id);
    if failure.kind == FailureKind::MethodNotAllowed
        && let Ok(allowed) = HeaderValue::from_str(&failure.detail)
    {
        // RFC 9110 15.5.6: the response must say what is allowed; the route puts it into the detail.
        response.headers.insert(ALLOW, allowed);
    }
    Some(response)
}

/// The page of a server that has no room just now.
pub(in crate::front) fn busy(retry_after: Duration, id: &UniqueId) -> Response {
    let mut response = page(StatusCode::SERVICE_UNAVAILABLE, id);
    // RFC 9110 10.2.3: whole seconds; a zero would invite the same crowd at once.
    response.headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
    response
}

/// A small page for a status, with the id under which the log knows more.
pub(in crate::front) fn page(status: StatusCode, id: &UniqueId) -> Response {
    let reason = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{code} {reason}</title>\n\
         <style>body{{font:16px/1.5 system-ui,sans-serif;margin:12vh auto;max-width:34em;padding:0 1em;\
         color:#222;background:#fff}}h1{{font-size:1.4em}}p{{color:#555}}code{{color:#222}}\
         @media(prefers-color-scheme:dark){{body,code{{color:#ddd;background:#181818}}p{{color:#aaa}}}}</style>\n\
         <h1>{code} {reason}</h1>\n<p>{}</p>\n",
        explanation(status)
    );
    if !id.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(html, "<p>Request <code>{}</code></p>", String::from_utf8_lossy(id));
    }
    let mut response = Response::new(status, Body::from(html));
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// What the status means for the person who sees it.
fn explanation(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "The request could not be understood.",
        403 => "This may not be called.",
        404 => "There is nothing at this address.",
        405 => "This address does not take that method.",
        408 => "The request took too long to arrive.",
        413 => "The request is larger than this address takes.",
        414 => "The address is too long.",
        417 => "The request expects something that is not offered here.",
        431 => "The head of the request is too large.",
        500 => "The program could not be run. The server's log says why.",
        501 => "The request uses something that is not implemented here.",
        502 => "The program gave no valid answer. The server's log says why.",
        503 => "The server is busy. Please try again in a moment.",
        504 => "The program took too long to answer.",
        505 => "This version of HTTP is not spoken here.",
        _ => "The request could not be served.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn every_failure_that_somebody_can_be_told_of_has_a_page() {
        let id = UniqueId::from_static(b"abc");
        let busy = Failure::overloaded(Duration::from_millis(200), "queue full");
        let page = response(&busy, &id).unwrap();
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(page.headers[RETRY_AFTER], "1", "never less than a second");
        assert!(response(&Failure::client_gone(), &id).is_none());
    }

    #[test]
    fn the_detail_stays_in_the_log() {
        let failure = Failure::new(FailureKind::NotStarted, "/srv/secret/path: no such interpreter");
        let page = response(&failure, &UniqueId::from_static(b"abc")).unwrap();
        let Body::Bytes(html) = page.body else { panic!("a page is in memory") };
        assert!(!contains(&html, b"secret"));
        assert!(contains(&html, b"abc"), "the id connects the page with the log");
    }

    fn contains(text: &Bytes, needle: &[u8]) -> bool {
        memchr::memmem::find(text, needle).is_some()
    }
}
