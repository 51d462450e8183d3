//! The page that tells how the gateway is: for people, as JSON and as metrics. It does not know where the facts come from: it
//! is handed something that gathers them.

use std::net::IpAddr;
use std::sync::Arc;

use gatebridge_cgi::Environ;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, VARY,
};
use http::header::{FORWARDED, VIA, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};

use crate::exchange::{Answer, Application, Body, Failure, FailureKind, Request, Response};
use crate::observe::status::{OPENMETRICS, Status};

/// Gathers the facts; it may look at files of `/proc`, so it is called on a thread that may wait.
pub type Gather = Arc<dyn Fn() -> Status + Send + Sync>;

/// Where proxies say for whom they ask.
const FORWARDED_FOR: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("x-real-ip")];

/// The page that tells how the gateway is.
pub struct StatusPage {
    is_public: bool,
    gather: Gather,
}

/// How the facts are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Json,
    OpenMetrics,
}

impl StatusPage {
    /// A page with the facts that `gather` finds, for everybody or only for those on this machine.
    #[must_use]
    pub fn new(is_public: bool, gather: Gather) -> Self {
        Self { is_public, gather }
    }

    async fn answer(&self, request: Request) -> Result<Response, Failure> {
        request.exchange.note(|record| record.back = Some("status".into()));
        let environ = &request.environ;
        if !self.is_public && (request.exchange.is_peer_unknown() || !is_from_here(environ)) {
            return Err(Failure::new(
                FailureKind::NotFound,
                "the status page is for clients on this machine only (see `public`)",
            ));
        }
        if !matches!(&*environ.path_info, b"/" | b"") {
            let path = String::from_utf8_lossy(&environ.path_info);
            let detail =
                format!("there is nothing below the status page, such as \"{}\"", path.escape_debug());
            return Err(Failure::new(FailureKind::NotFound, detail));
        }
        if !matches!(environ.method, Method::GET | Method::HEAD) {
            return Err(Failure::new(FailureKind::MethodNotAllowed, "GET, HEAD"));
        }
        let format = format(environ)?;
        let gather = Arc::clone(&self.gather);
        let text = tokio::task::spawn_blocking(move || format.write(&gather())).await;
        let text = text.map_err(|error| Failure::internal(format!("the status page: {error}")))?;
        Ok(response(format, text))
    }
}

impl Application for StatusPage {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(self.answer(request))
    }
}

impl Format {
    fn write(self, status: &Status) -> String {
        match self {
            Self::Html => status.html(),
            Self::Json => status.json(),
            Self::OpenMetrics => status.openmetrics(),
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::OpenMetrics => OPENMETRICS,
        }
    }
}

/// Whether the client is on this machine, as far as anybody says. A proxy on this machine is on this machine, too, but asks
/// for somebody else: when it says so it is believed, trusted or not.
fn is_from_here(environ: &Environ) -> bool {
    let is_here = |address: IpAddr| address.to_canonical().is_loopback();
    let has = |name: HeaderName| environ.headers.contains_key(name);
    environ.remote_addr.is_none_or(is_here)
        && !has(FORWARDED)
        && !has(VIA)
        && FORWARDED_FOR.into_iter().all(|name| {
            let mut lines = environ.headers.get_all(name).iter();
            lines.all(|line| {
                let names_here = |element: &str| element.trim().parse().is_ok_and(is_here);
                line.to_str().is_ok_and(|line| line.split(',').all(names_here))
            })
        })
}

/// What the query asks for, else what the client says it takes.
fn format(environ: &Environ) -> Result<Format, Failure> {
    let mut parts = environ.query_string.split(|byte| *byte == b'&');
    match parts.find_map(|part| part.strip_prefix(b"format=")) {
        Some(b"html") => Ok(Format::Html),
        Some(b"json") => Ok(Format::Json),
        Some(b"openmetrics") => Ok(Format::OpenMetrics),
        Some(other) => {
            let detail = format!("no format {}: html, json and openmetrics are", other.escape_ascii());
            Err(Failure::new(FailureKind::BadRequest, detail))
        }
        None => Ok(accepted(&environ.headers)),
    }
}

fn accepted(headers: &HeaderMap) -> Format {
    // RFC 9110 12.5.1: a list of media ranges. Browsers name HTML, collectors OpenMetrics, and neither names the other's, so
    // weights need not be compared.
    let accepts = |name: &str| {
        headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok()).any(|line| {
            let range = |element: &str| {
                element.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(name)
            };
            line.split(',').any(range)
        })
    };
    match () {
        () if accepts("text/html") => Format::Html,
        () if accepts("application/openmetrics-text") => Format::OpenMetrics,
        () if accepts("application/json") => Format::Json,
        () => Format::Html,
    }
}

fn response(format: Format, text: String) -> Response {
    let mut response = Response::new(StatusCode::OK, Body::from(text));
    let fields = [
        (CONTENT_TYPE, format.media_type()),
        // RFC 9111 5.2.2.5: nobody is to keep it.
        (CACHE_CONTROL, "no-store"),
        (VARY, "Accept"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ];
    for (name, value) in fields {
        response.headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{Recorded, request};

    fn asked(is_public: bool, change: impl FnOnce(&mut Request)) -> Result<Response, FailureKind> {
        let page = StatusPage::new(is_public, Arc::new(Status::default));
        let mut request = request("/", &Recorded::new());
        request.environ.remote_addr = Some([127, 0, 0, 1].into());
        change(&mut request);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(page.answer(request)).map_err(|failure| failure.kind)
    }

    fn answered(is_public: bool, address: Option<&str>, fields: &[(&'static str, &'static str)]) -> bool {
        let answer = asked(is_public, |request| {
            request.environ.remote_addr = address.map(|address| address.parse().unwrap());
            for (name, value) in fields {
                request.environ.headers.append(*name, HeaderValue::from_static(value));
            }
        });
        assert!(matches!(answer, Ok(_) | Err(FailureKind::NotFound)), "{answer:?}");
        answer.is_ok()
    }

    #[test]
    fn only_clients_on_this_machine_see_it_unless_it_is_public() {
        for here in [Some("127.0.0.1"), Some("127.1.2.3"), Some("::1"), Some("::ffff:127.0.0.1"), None] {
            assert!(answered(false, here, &[]), "{here:?}");
        }
        for elsewhere in ["192.0.2.1", "10.0.0.1", "0.0.0.0", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(!answered(false, Some(elsewhere), &[]), "{elsewhere}");
            assert!(answered(true, Some(elsewhere), &[]), "{elsewhere}");
        }
    }

    #[test]
    fn lesson_36_a_proxy_on_this_machine_that_asks_for_somebody_else_is_refused_trusted_or_not() {
        for peer in [Some("127.0.0.1"), None] {
            for field in [
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-for", "127.0.0.1, 192.0.2.1"),
                ("x-forwarded-for", "unknown"),
                ("x-forwarded-for", ""),
                ("x-real-ip", "192.0.2.1"),
                ("forwarded", "for=192.0.2.1"),
                ("via", "1.1 proxy"),
            ] {
                assert!(!answered(false, peer, &[field]), "{field:?}");
                assert!(answered(true, peer, &[field]), "{field:?}");
            }
            assert!(answered(false, peer, &[("x-forwarded-for", "127.0.0.1, ::1")]));
        }
    }

    #[test]
    fn a_client_of_whom_nothing_is_known_is_refused() {
        let unknown = |request: &mut Request| {
            request.environ.remote_addr = None;
            request.exchange.set_peer_unknown();
        };
        assert_eq!(asked(false, unknown).map(drop), Err(FailureKind::NotFound));
        assert!(asked(true, unknown).is_ok());
    }

    #[test]
    fn the_query_says_the_format_or_else_accept() {
        let of = |query: &'static str, accept: &'static str| {
            asked(false, |request| {
                request.environ.query_string = query.as_bytes().into();
                request.environ.headers.insert(ACCEPT, HeaderValue::from_static(accept));
            })
            .map(|response| {
                assert_eq!(response.headers[CACHE_CONTROL], "no-store");
                response.headers[CONTENT_TYPE].to_str().unwrap().split(';').next().unwrap().to_owned()
            })
        };
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (query, accept, wanted) in [
            ("", "*/*", "text/html"),
            ("", "text/html,application/xhtml+xml,application/json;q=0.1", "text/html"),
            ("", "application/json", "application/json"),
            ("", prometheus, "application/openmetrics-text"),
            ("format=json", "text/html", "application/json"),
            ("a=b&format=openmetrics", "text/html", "application/openmetrics-text"),
            ("format=html", "application/json", "text/html"),
        ] {
            assert_eq!(of(query, accept).as_deref(), Ok(wanted), "{query:?} {accept:?}");
        }
        assert_eq!(of("format=xml", "*/*"), Err(FailureKind::BadRequest));
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        let below = asked(false, |request| request.environ.path_info = "/x".into());
        assert_eq!(below.map(drop), Err(FailureKind::NotFound));
        let post = asked(false, |request| request.environ.method = Method::POST);
        assert_eq!(post.map(drop), Err(FailureKind::MethodNotAllowed));
    }
}
