//! The question as a program is told it, without a gateway between: as variables, as FastCGI records, as SCGI. It must not
//! know processes and sockets.

use std::ffi::OsString;

use anyhow::Context as _;
use bytes::Bytes;
use gatebridge_cgi::{Environ, Environment, Listing};
use gatebridge_fastcgi::{Client, Role};
use gatebridge_scgi::HeaderWriter;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::compare::load::Question;
use crate::route::decode_path;

/// The environ of the question, as the gateway would make it for a program at `/`.
///
/// # Errors
/// For a path that no gateway takes.
pub(super) fn environ(question: &Question) -> anyhow::Result<Environ> {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::HOST, HeaderValue::from_static("127.0.0.1"));
    for (name, value) in &question.fields {
        headers.append(HeaderName::try_from(name.as_str())?, HeaderValue::from_str(value)?);
    }
    let target = Bytes::from(question.path.clone().into_bytes());
    let path = question.path.split('?').next().unwrap_or_default();
    let path = decode_path(path.as_bytes()).with_context(|| format!("the path {path:?}"))?;
    let method: Method = question.method.parse()?;
    let mut environ = Environ::from_head(method, target, Version::HTTP_11, headers);
    environ.path_info = Bytes::copy_from_slice(path.as_bytes());
    environ.server_name = Bytes::from_static(b"127.0.0.1");
    environ.server_port = 80;
    environ.server_software =
        Bytes::from_static(concat!("gatebridge/", env!("CARGO_PKG_VERSION")).as_bytes());
    environ.remote_addr = Some(std::net::Ipv4Addr::LOCALHOST.into());
    environ.redirect_status = 200;
    environ.content_length = question.body.as_ref().map(|body| body.len() as u64);
    Ok(environ)
}

/// The variables of a CGI program's process.
///
/// # Errors
/// When one cannot be a variable.
pub(super) fn variables(environ: &Environ) -> anyhow::Result<Vec<(OsString, OsString)>> {
    let mut environment = Environment::default();
    environ.walk_with(Listing::CGI, &mut environment);
    Ok(environment.finish()?)
}

/// The whole request as FastCGI records, on a connection for this request alone.
///
/// # Errors
/// When the codec refuses.
pub(super) fn fastcgi(environ: &Environ, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut client = Client::default();
    let mut request = Vec::new();
    let id = client.begin(Role::Responder, false, &mut request)?;
    let mut params = client.params(id, &mut request)?;
    environ.walk_with(Listing::FASTCGI, &mut |name: &[u8], value: &[u8]| params.pair(name, value));
    params.finish()?;
    let mut rest = body;
    while !rest.is_empty() {
        let framing = client.send_stdin(id, rest.len())?;
        let (now, later) = rest.split_at(framing.content_length);
        request.extend_from_slice(&framing.header);
        request.extend_from_slice(now);
        request.extend_from_slice(framing.padding());
        rest = later;
    }
    client.end_stdin(id, &mut request)?;
    Ok(request)
}

/// The whole request as SCGI says it.
///
/// # Errors
/// When the codec refuses.
pub(super) fn scgi(environ: &Environ, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut headers = HeaderWriter::new();
    environ.walk_with(Listing::SCGI, &mut |name: &[u8], value: &[u8]| headers.append(name, value));
    let mut request = headers.finish()?.to_vec();
    request.extend_from_slice(body);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatebridge_fastcgi::{Server, ServerEvent};
    use proptest::prelude::*;

    fn post(length: usize) -> (Question, Environ) {
        let body = Some(vec![b'x'; length]);
        let question = Question::new("POST", "/a%20b?c=d", vec![("X-Y".into(), "z".into())], body).unwrap();
        let environ = environ(&question).unwrap();
        (question, environ)
    }

    #[test]
    fn a_program_is_told_what_is_asked() {
        let (_, environ) = post(3);
        let variables = variables(&environ).unwrap();
        for (name, value) in [
            ("REQUEST_METHOD", "POST"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", "/a b"),
            ("QUERY_STRING", "c=d"),
            ("CONTENT_LENGTH", "3"),
            ("HTTP_X_Y", "z"),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
        ] {
            assert!(variables.contains(&(name.into(), value.into())), "{name}: {variables:?}");
        }
    }

    proptest! {
        #[test]
        fn fastcgi_and_scgi_say_the_whole_body(length in prop_oneof![0_usize..3, 65_000_usize..140_000]) {
            let (question, environ) = post(length);
            let body = question.body.unwrap();
            let mut server = Server::default();
            server.receive(&fastcgi(&environ, &body).unwrap());
            let mut told = Vec::new();
            let mut ended = false;
            while let Some(event) = server.next_event().unwrap() {
                match event {
                    ServerEvent::Stdin(_, piece) => told.extend_from_slice(&piece),
                    ServerEvent::StdinEnd(_) => ended = true,
                    _ => {}
                }
            }
            prop_assert!(ended && told == body);
            let text = scgi(&environ, &body).unwrap();
            prop_assert!(text.ends_with(&body) && text.windows(3).any(|part| part == b"\0,x" || part == b"/1."));
        }
    }
}
