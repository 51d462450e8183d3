//! Finds the picture in a request's body: the body itself, or a file in a form; it must not know what a picture is.

use std::io::Read as _;

use gatebridge_interface::{Environ, Input};
use memchr::memmem;

/// 10 MiB: larger than what cameras and telephones save. It is held in memory, twice while it comes.
pub(crate) const MAX_UPLOAD_BYTES: u64 = 10 * 1024 * 1024;

/// What can be sent.
pub(crate) const ACCEPTED: &str = "image/jpeg, image/png, multipart/form-data";

/// Why there is no picture in a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The `Content-Type` is none of [`ACCEPTED`].
    #[error(
        "send a picture as image/jpeg or image/png, or a form with a file; this is {}",
        named(content_type)
    )]
    Type {
        /// What it is; empty when the request does not say.
        content_type: String,
    },
    /// It is longer than [`MAX_UPLOAD_BYTES`].
    #[error("the request has {}; {} MiB are the most that is taken", bytes(*length), MAX_UPLOAD_BYTES >> 20)]
    TooLong {
        /// How long, if that was said.
        length: Option<u64>,
    },
    /// There is nothing in it.
    #[error("no picture came: choose a file first")]
    Empty,
    /// The form has no file, or is no form.
    #[error("the form {0}")]
    Form(&'static str),
    /// The body broke off.
    #[error("the picture did not come whole: {0}")]
    Broken(#[from] std::io::Error),
}

fn named(content_type: &str) -> String {
    if content_type.is_empty() { "without a Content-Type".to_owned() } else { format!("\"{content_type}\"") }
}

fn bytes(length: Option<u64>) -> String {
    length.map_or_else(|| "more bytes than that".to_owned(), |length| format!("{length} bytes"))
}

/// Reads the body and gives the picture's bytes.
pub(crate) fn picture(environ: &Environ, input: &mut Input<'_>) -> Result<Vec<u8>, Error> {
    let content_type = environ.content_type.as_ref().map_or(&b""[..], |value| value.as_bytes());
    let content_type = String::from_utf8_lossy(content_type).into_owned();
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let boundary = match kind.as_str() {
        "image/jpeg" | "image/png" => None,
        "multipart/form-data" => Some(boundary(&content_type).ok_or(Error::Form("has no boundary"))?),
        _ => return Err(Error::Type { content_type }),
    };
    if input.length().is_some_and(|length| length > MAX_UPLOAD_BYTES) {
        return Err(Error::TooLong { length: input.length() });
    }
    let mut body = Vec::new();
    input.take(MAX_UPLOAD_BYTES + 1).read_to_end(&mut body)?;
    if body.len() as u64 > MAX_UPLOAD_BYTES {
        return Err(Error::TooLong { length: None });
    }
    let picture = match boundary {
        None => body,
        Some(boundary) => first_file(&body, &boundary)?.to_vec(),
    };
    if picture.is_empty() { Err(Error::Empty) } else { Ok(picture) }
}

/// The parameter `boundary` of a `Content-Type`, quoted or not.
// RFC 2046 5.1.1: 1 to 70 characters.
fn boundary(content_type: &str) -> Option<String> {
    let parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let mut boundaries = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"));
    let boundary = boundaries.next()?.1.trim().trim_matches('"');
    (1..=70).contains(&boundary.len()).then(|| boundary.to_owned())
}

/// The content of the first part that has a file name. Browsers send one with an empty name when none was chosen.
fn first_file<'a>(body: &'a [u8], boundary: &str) -> Result<&'a [u8], Error> {
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter stands at the very beginning, or behind a preamble.
    let start = if body.starts_with(&delimiter.as_bytes()[2..]) {
        delimiter.len() - 2
    } else {
        memmem::find(body, delimiter.as_bytes()).ok_or(Error::Form("has no part"))? + delimiter.len()
    };
    let mut rest = &body[start..];
    while !rest.starts_with(b"--") {
        let end = memmem::find(rest, delimiter.as_bytes()).ok_or(Error::Form("is cut short"))?;
        let (part, behind) = (&rest[..end], &rest[end + delimiter.len()..]);
        let head = memmem::find(part, b"\r\n\r\n").ok_or(Error::Form("has a part without a head"))?;
        if memmem::find(&part[..head].to_ascii_lowercase(), b"filename=").is_some() {
            return Ok(&part[head + 4..]);
        }
        rest = behind;
    }
    Err(Error::Form("has no file"))
}
