//! Numbers the lines of a text. It teaches the Filter role of FastCGI: a program that is given a file beside the request,
//! and answers with what it makes of it. It must not know where the file lies.
//!
//! In this role (FastCGI 1.0 6.4) the server has found the file, checked that the client may have it, and sends it as a
//! second input behind the body: `next_stream` goes over to it. `FCGI_DATA_LENGTH` and `FCGI_DATA_LAST_MOD` say how long it
//! is, in bytes, and when it was changed, in seconds since 1970, before a byte of it is read.
//!
//! Which servers can use it? The codec in `protocols/fastcgi` can, and so whatever is built upon it. None of nginx, lighttpd,
//! Apache (mod_proxy_fcgi), HAProxy and Caddy has the role, nor have gatebridge's routes: they ask every program as a
//! Responder. Asked like that, this program numbers the lines of the request's body, so that it can be tried anywhere:
//! `cargo run --example filter -- --listen 127.0.0.1:8080`, then `curl --data-binary @README.md http://127.0.0.1:8080/`.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use gatebridge_interface::http::header::IF_MODIFIED_SINCE;
use gatebridge_interface::{Environ, Input, Result, StartResponse, serve};

const TYPE: (&str, &str) = ("Content-Type", "text/plain; charset=utf-8");

/// Answers with the file, or as a Responder with the body, each line with its number before it.
pub fn number(environ: &Environ, input: &mut Input<'_>, start: StartResponse<'_>) -> Result {
    let mut fields = vec![(TYPE.0, TYPE.1.to_owned())];
    if environ.variable("FCGI_ROLE") == Some(b"FILTER") {
        if let Some(changed_s) = number_of(environ.variable("FCGI_DATA_LAST_MOD")) {
            if is_known(environ, changed_s) {
                // The file need not be read at all: the rest of it is skipped.
                return Ok(start.start(304, [("Last-Modified", date(changed_s))])?.end()?);
            }
            fields.push(("Last-Modified", date(changed_s)));
        }
        if !input.next_stream()? {
            return Err("the server called a Filter without a file".into());
        }
    } else if !matches!(environ.method.as_str(), "POST" | "PUT") {
        return start.answer(
            405,
            [("Allow", "POST, PUT"), TYPE],
            "POST a text to have its lines numbered.\n",
        );
    }

    // A line at a time: the text may be longer than the memory. That of one line is bounded, too.
    let mut body = start.start(200, fields)?;
    let mut is_new = true;
    let mut line_number: u64 = 0;
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(body.end()?);
        }
        let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1);
        if is_new {
            line_number += 1;
            write!(body, "{line_number:6}  ")?;
        }
        body.write_all(&bytes[..end])?;
        is_new = bytes[end - 1] == b'\n';
        input.consume(end);
    }
}

fn number_of(value: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(value?).ok()?.parse().ok()
}

/// Whether the client has the file as it was at that second, or later (RFC 9110 13.1.3).
fn is_known(environ: &Environ, changed_s: u64) -> bool {
    let since = environ.headers.get(IF_MODIFIED_SINCE).and_then(|value| value.to_str().ok());
    let since = since.and_then(|date| httpdate::parse_http_date(date).ok());
    since.is_some_and(|since| since >= UNIX_EPOCH + Duration::from_secs(changed_s))
}

fn date(changed_s: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(changed_s))
}

fn main() -> ExitCode {
    serve(number)
}
