//! The request target and its four forms (RFC 9112 3.2), kept byte for byte; knows no route and decodes nothing.

use std::ops::Range;

use bytes::Bytes;
use http::Method;

use crate::error::Excerpt;
use crate::grammar::is_target;
use crate::host::Host;
use crate::violation::PeerError;

/// In which of the four forms a target was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `/path?query`: what clients send to servers.
    Origin,
    /// `http://host/path?query`: what clients send to proxies, and every server must take (RFC 9112 3.2.2).
    Absolute,
    /// `host:port`, for CONNECT only.
    Authority,
    /// `*`, for OPTIONS only.
    Asterisk,
}

/// A request target: exactly the bytes that were received, and where its parts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    bytes: Bytes,
    form: Form,
    path: Range<usize>,
    has_query: bool,
}

impl Target {
    /// Takes a target apart, by the method that it came with. The second part of the result is the host that an
    /// absolute-form or authority-form target names.
    pub(crate) fn parse(bytes: Bytes, method: &Method) -> Result<(Self, Option<Host>), PeerError> {
        if let Some(byte) = bytes.iter().copied().find(|b| !is_target(*b)) {
            return Err(PeerError::TargetByte { target: Excerpt::of(&bytes), byte });
        }
        let malformed = || PeerError::TargetForm {
            target: Excerpt::of(&bytes),
            method: Excerpt::of(method.as_str().as_bytes()),
        };
        // RFC 9112 3.2.3: CONNECT has the authority-form and no other, and the port is not left out.
        if *method == Method::CONNECT {
            let host = Host::parse(&bytes).map_err(|_| malformed())?;
            if host.port().is_none() || host.name().is_empty() {
                return Err(malformed());
            }
            return Ok((Self { form: Form::Authority, path: 0..0, has_query: false, bytes }, Some(host)));
        }
        if bytes.first() == Some(&b'/') {
            return Ok((Self::with_path(bytes, 0, Form::Origin), None));
        }
        // RFC 9112 3.2.4: the asterisk is for OPTIONS.
        if bytes.as_ref() == b"*" {
            if *method != Method::OPTIONS {
                return Err(malformed());
            }
            return Ok((Self { form: Form::Asterisk, path: 0..0, has_query: false, bytes }, None));
        }
        let authority = authority_of_absolute(&bytes).ok_or_else(malformed)?;
        let host = Host::parse(&bytes.slice(authority.clone()))?;
        // RFC 9110 4.2.1: an http URI with an empty host is invalid.
        if host.name().is_empty() {
            return Err(malformed());
        }
        Ok((Self::with_path(bytes, authority.end, Form::Absolute), Some(host)))
    }

    fn with_path(bytes: Bytes, start: usize, form: Form) -> Self {
        let question = memchr::memchr(b'?', &bytes[start..]).map(|at| start + at);
        let path = start..question.unwrap_or(bytes.len());
        Self { form, path, has_query: question.is_some(), bytes }
    }

    /// The exact bytes, ASCII all of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The exact bytes to keep, without a copy.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The exact text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII gets through `parse`.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The form it was sent in.
    #[must_use]
    pub const fn form(&self) -> Form {
        self.form
    }

    /// The path, not decoded. `/` for an absolute-form target that has none (RFC 9110 4.2.3); empty for `*` and CONNECT.
    #[must_use]
    pub fn path(&self) -> &str {
        match self.form {
            Form::Absolute if self.path.is_empty() => "/",
            _ => self.as_str().get(self.path.clone()).unwrap_or_default(),
        }
    }

    /// What stands behind the first `?`, not decoded; `None` without a `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        if self.has_query { self.as_str().get(self.path.end + 1..) } else { None }
    }
}

/// Where the authority of `scheme://authority[/...]` lies; RFC 9110 4.2: the schemes of HTTP are `http` and `https`.
fn authority_of_absolute(bytes: &[u8]) -> Option<Range<usize>> {
    let colon = memchr::memchr(b':', bytes)?;
    default_port(&bytes[..colon])?;
    let start = colon + 3;
    if bytes.get(colon..start)? != b"://" {
        return None;
    }
    let end =
        bytes[start..].iter().position(|b| matches!(b, b'/' | b'?')).map_or(bytes.len(), |at| start + at);
    Some(start..end)
}

/// The port that a missing one means, or `None` if the scheme is not HTTP's.
pub(crate) fn default_port(scheme: &[u8]) -> Option<u16> {
    if scheme.eq_ignore_ascii_case(b"http") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case(b"https") {
        Some(443)
    } else {
        None
    }
}
