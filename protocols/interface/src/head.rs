//! The head of an answer, checked when it is made; it must not know when it is sent or how it looks on a wire.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Fields that belong to the connection, or to the gateway: an application that sets one would talk over its head.
// RFC 9110 7.6.1: fields of one connection. RFC 3875 6.3.3: `Status` is how the status travels.
const RESERVED: [&str; 8] = [
    "status",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The status and the fields of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The status, 200 to 999.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
}

impl Head {
    /// Checks and keeps a status and its fields: see [`IntoStatus`] and [`IntoHeaders`] for what can be given.
    ///
    /// # Errors
    /// Every [`HeadError`] but [`HeadError::TooLate`].
    ///
    /// ```
    /// use gatebridge_interface::Head;
    /// let head = Head::new(200, [("Content-Type", "text/plain"), ("Content-Length", "6")])?;
    /// assert_eq!(head.content_length(), Some(6));
    /// assert!(Head::new(200, [("X-Note", "two\r\nlines")]).is_err());
    /// # Ok::<(), gatebridge_interface::HeadError>(())
    /// ```
    pub fn new(status: impl IntoStatus, headers: impl IntoHeaders) -> Result<Self, HeadError> {
        Self::checked(status.into_status()?, headers.into_headers()?)
    }

    fn checked(status: StatusCode, headers: HeaderMap) -> Result<Self, HeadError> {
        if status.is_informational() {
            return Err(HeadError::Status { number: status.as_u16() });
        }
        check(&headers)?;
        Ok(Self { status, headers })
    }

    /// The length that the head announces, in bytes of body; `None` when it announces none.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH).and_then(digits)
    }

    /// Whether an answer with this status has a body: not 204 and 304 (RFC 9110 15.3.5, 15.4.5).
    #[must_use]
    pub fn has_body(&self) -> bool {
        !matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

/// Whether a field is not an application's to set.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(&name.as_str())
}

/// Checks the names of fields, and that there is one sound length at the most.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), HeadError> {
    if let Some(name) = headers.keys().find(|name| is_reserved(name)) {
        return Err(HeadError::Reserved { name: name.as_str().to_owned() });
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (Some(value), None) if digits(value).is_some() => Ok(()),
        (None, None) => Ok(()),
        (_, Some(value)) | (Some(value), _) => {
            Err(HeadError::ContentLength { value: value.as_bytes().escape_ascii().to_string() })
        }
    }
}

/// Digits alone, no more than 64 bits of them (RFC 9110 8.6).
fn digits(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Why a head cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// A number that no answer can have. (1xx is not an answer: see `early_hints`.)
    #[error("status {number} cannot be the status of an answer; use 200 to 999")]
    Status {
        /// The number.
        number: u16,
    },
    /// A name that is no token.
    #[error("\"{name}\" cannot be the name of a header field; use letters, digits and hyphens")]
    Name {
        /// The name, escaped.
        name: String,
    },
    /// A value with a control byte, such as an end of line.
    #[error("the header field {name} cannot have the value \"{value}\"; take out its control bytes")]
    Value {
        /// The field.
        name: String,
        /// Its value, escaped.
        value: String,
    },
    /// A field that belongs to the connection or to the gateway.
    #[error("the header field {name} is not the application's to set; leave it out")]
    Reserved {
        /// The field.
        name: String,
    },
    /// A `Content-Length` that is no number, or a second one.
    #[error(
        "Content-Length \"{value}\" is no number of bytes, or not the only one; send one number of digits alone"
    )]
    ContentLength {
        /// The offending value, escaped.
        value: String,
    },
    /// A head that comes after the first byte of the body.
    #[error(
        "the head can no longer be replaced: {written} bytes of the body were written; decide on it before"
    )]
    TooLate {
        /// Bytes of the body.
        written: u64,
    },
}

/// What can be given as a status: a number or a [`StatusCode`].
pub trait IntoStatus {
    /// The status.
    ///
    /// # Errors
    /// [`HeadError::Status`] outside of 100 to 999.
    fn into_status(self) -> Result<StatusCode, HeadError>;
}

impl IntoStatus for u16 {
    fn into_status(self) -> Result<StatusCode, HeadError> {
        StatusCode::from_u16(self).map_err(|_| HeadError::Status { number: self })
    }
}

impl IntoStatus for StatusCode {
    fn into_status(self) -> Result<StatusCode, HeadError> {
        Ok(self)
    }
}

/// What can be given as header fields: an array or a vector of pairs of texts, or a [`HeaderMap`].
pub trait IntoHeaders {
    /// The fields.
    ///
    /// # Errors
    /// [`HeadError::Name`] and [`HeadError::Value`].
    fn into_headers(self) -> Result<HeaderMap, HeadError>;
}

impl IntoHeaders for HeaderMap {
    fn into_headers(self) -> Result<HeaderMap, HeadError> {
        Ok(self)
    }
}

impl<N: AsRef<str>, V: AsRef<str>, const COUNT: usize> IntoHeaders for [(N, V); COUNT] {
    fn into_headers(self) -> Result<HeaderMap, HeadError> {
        collect(&self)
    }
}

impl<N: AsRef<str>, V: AsRef<str>> IntoHeaders for Vec<(N, V)> {
    fn into_headers(self) -> Result<HeaderMap, HeadError> {
        collect(&self)
    }
}

impl<N: AsRef<str>, V: AsRef<str>> IntoHeaders for &[(N, V)] {
    fn into_headers(self) -> Result<HeaderMap, HeadError> {
        collect(self)
    }
}

fn collect(pairs: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (name, value) in pairs {
        append(&mut headers, name.as_ref(), value.as_ref())?;
    }
    Ok(headers)
}

fn append(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), HeadError> {
    let escaped = |text: &str| text.escape_default().to_string();
    let field =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeadError::Name { name: escaped(name) })?;
    let checked = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| HeadError::Value { name: escaped(name), value: escaped(value) })?;
    headers.append(field, checked);
    Ok(())
}
