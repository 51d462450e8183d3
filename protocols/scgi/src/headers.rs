//! The headers of a request and the rules that both sides hold them to; knows neither who is who nor how the
//! bytes came.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use crate::error::{Error, Excerpt, Fault};
use crate::limits::Limits;
use crate::netstring::NetstringWriter;

/// The header that comes first.
pub const CONTENT_LENGTH: &str = "CONTENT_LENGTH";
/// The header that says which protocol this is; its value is `1`.
pub const SCGI: &str = "SCGI";

/// The headers of one request, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    pairs: Vec<(Bytes, Bytes)>,
    content_length: u64,
}

impl Headers {
    /// Bytes of the body, as the first header says.
    #[must_use]
    pub const fn content_length(&self) -> u64 {
        self.content_length
    }

    /// The value of a header, compared byte by byte.
    #[must_use]
    pub fn get(&self, name: &[u8]) -> Option<&Bytes> {
        self.pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// All headers, `CONTENT_LENGTH` and `SCGI` among them.
    #[must_use]
    pub fn pairs(&self) -> &[(Bytes, Bytes)] {
        &self.pairs
    }

    /// All headers by value, `CONTENT_LENGTH` and `SCGI` among them.
    #[must_use]
    pub fn into_pairs(self) -> Vec<(Bytes, Bytes)> {
        self.pairs
    }

    /// Reads the content of the netstring. Names and values are slices of it.
    pub(crate) fn parse(content: &Bytes, limits: Limits) -> Result<Self, Fault> {
        if content.last().is_some_and(|&last| last != 0) {
            return Err(Fault::NotTerminated);
        }
        let count = content.iter().filter(|&&byte| byte == 0).count();
        if count / 2 > limits.max_headers {
            return Err(Fault::TooManyHeaders { limit: limits.max_headers });
        }
        if !count.is_multiple_of(2) {
            return Err(Fault::OddStrings { count });
        }
        let mut strings = content.split(|&byte| byte == 0).map(|string| content.slice_ref(string));
        let mut pairs = Vec::with_capacity(count / 2);
        while pairs.len() < count / 2 {
            let (Some(name), Some(value)) = (strings.next(), strings.next()) else { break };
            pairs.push((name, value));
        }
        let content_length = check(&pairs)?;
        Ok(Self { pairs, content_length })
    }
}

/// Holds complete headers to the rules; gives the length of the body.
fn check(pairs: &[(Bytes, Bytes)]) -> Result<u64, Fault> {
    let (first, length) = pairs.first().map_or((&b""[..], &b""[..]), |(name, value)| (name, value));
    let content_length = first_is_length(first, length)?;
    let mut seen = HashSet::with_capacity(pairs.len());
    for (at, (name, value)) in pairs.iter().enumerate() {
        if name.is_empty() {
            return Err(Fault::EmptyName { index: at + 1 });
        }
        if !seen.insert(&name[..]) {
            return Err(Fault::Duplicate { name: Excerpt::of(name) });
        }
        if name == SCGI && value != "1" {
            return Err(Fault::ScgiVersion { value: Excerpt::of(value) });
        }
    }
    if !seen.contains(SCGI.as_bytes()) {
        return Err(Fault::NoScgi);
    }
    Ok(content_length)
}

/// SCGI: "CONTENT_LENGTH" is the first header, always there, and a decimal number.
fn first_is_length(name: &[u8], value: &[u8]) -> Result<u64, Fault> {
    if name != CONTENT_LENGTH.as_bytes() {
        return Err(Fault::LengthNotFirst { first: Excerpt::of(name) });
    }
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.ok_or_else(|| Fault::ContentLength { value: Excerpt::of(value) })
}

/// Writes the headers of a request.
///
/// Append `CONTENT_LENGTH` first (also without a body: `0`), then the others; the writer adds `SCGI` = `1`
/// itself. It has the shape of an appender, so it cannot refuse at once: the first mistake is remembered
/// until [`finish`](Self::finish).
///
/// ```
/// use gatebridge_scgi::HeaderWriter;
///
/// let mut writer = HeaderWriter::new();
/// writer.append(b"CONTENT_LENGTH", b"0");
/// writer.append(b"REQUEST_METHOD", b"GET");
/// assert_eq!(&writer.finish()?[..], b"43:CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0,");
/// # Ok::<(), gatebridge_scgi::Error>(())
/// ```
#[derive(Debug)]
pub struct HeaderWriter {
    limits: Limits,
    netstring: NetstringWriter,
    /// Where each name lies in the netstring's content.
    names: Vec<Range<usize>>,
    content_length: u64,
    fault: Option<Fault>,
}

impl Default for HeaderWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl HeaderWriter {
    /// An empty writer with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// An empty writer.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        let netstring = NetstringWriter::new();
        Self { limits, netstring, names: Vec::new(), content_length: 0, fault: None }
    }

    /// Appends one header.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        if self.fault.is_none()
            && let Err(fault) = self.try_append(name, value)
        {
            self.fault = Some(fault);
        }
    }

    fn try_append(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let is_first = self.names.is_empty();
        if is_first {
            self.content_length = first_is_length(name, value)?;
        }
        if name.is_empty() {
            return Err(Fault::EmptyName { index: self.names.len() + 1 });
        }
        if name.contains(&0) || value.contains(&0) {
            return Err(Fault::Nul { name: Excerpt::of(name) });
        }
        let size =
            self.netstring.len().saturating_add(name.len()).saturating_add(value.len()).saturating_add(2);
        if size > self.limits.max_header_bytes {
            return Err(Fault::HeaderTooLarge { size, limit: self.limits.max_header_bytes });
        }
        if self.names.len() >= self.limits.max_headers {
            return Err(Fault::TooManyHeaders { limit: self.limits.max_headers });
        }
        let start = self.netstring.len();
        self.names.push(start..start + name.len());
        self.netstring.append_string(name);
        self.netstring.append_string(value);
        if is_first {
            return self.try_append(SCGI.as_bytes(), b"1");
        }
        Ok(())
    }

    /// The netstring, ready to be sent before the body.
    ///
    /// # Errors
    /// The first mistake of an [`append`](Self::append), blamed on the caller: a first header that is not
    /// `CONTENT_LENGTH` (or none at all), a value of it that is no number, a NUL, an empty name, the same
    /// name twice, too much of it.
    pub fn finish(self) -> Result<Bytes, Error> {
        self.finish_with_length().map(|(bytes, _)| bytes)
    }

    /// The netstring and the body's length.
    pub(crate) fn finish_with_length(self) -> Result<(Bytes, u64), Error> {
        if let Some(fault) = self.fault {
            return Err(Error::caller(fault));
        }
        if self.names.is_empty() {
            return Err(Error::caller(Fault::LengthNotFirst { first: Excerpt::of(b"") }));
        }
        if let Some(name) = self.duplicate() {
            return Err(Error::caller(Fault::Duplicate { name: Excerpt::of(name) }));
        }
        Ok((self.netstring.finish(), self.content_length))
    }

    /// A name that came twice: after sorting, the same names are neighbours. One allocation for any number of
    /// headers.
    fn duplicate(&self) -> Option<&[u8]> {
        let content = self.netstring.content();
        let mut names: Vec<&[u8]> = self.names.iter().map(|name| &content[name.clone()]).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}
