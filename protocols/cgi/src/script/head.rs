//! One head of a script's output, line by line; knows the grammar of RFC 3875 6.3 and not where lines come
//! from.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, TRANSFER_ENCODING,
};
use http::{HeaderMap, StatusCode};

use super::response::{Head, ScriptResponse};
use crate::error::{Excerpt, LineFault, ScriptError};
use crate::fields::{is_hop_by_hop, nominated};
use crate::limits::ScriptLimits;

/// What an empty line has finished.
#[derive(Debug)]
pub(super) enum Finished {
    /// A 1xx head; another head follows.
    Informational(Head),
    /// The final head.
    Final(ScriptResponse),
    /// A final head without `Content-Type`, `Location` and `Status`, and with no `Content-Length: 0`.
    WithoutCgiField(Head),
}

/// Takes the lines of heads until the final one is finished.
#[derive(Debug)]
pub(super) struct HeadParser {
    limits: ScriptLimits,
    nph: bool,
    /// Lines so far, over all heads.
    line: usize,
    /// Bytes of this head, line ends included.
    bytes: usize,
    draft: Draft,
}

/// What this head has said so far.
#[derive(Debug, Default)]
struct Draft {
    lines: usize,
    fields: usize,
    status_line: Option<(StatusCode, Option<Bytes>)>,
    status: Option<(StatusCode, Option<Bytes>)>,
    content_length: Option<u64>,
    /// Fields that were sent, but for `Location`, that do not allow a local redirect.
    besides_location: bool,
    headers: HeaderMap,
}

impl HeadParser {
    pub(super) fn new(limits: ScriptLimits, nph: bool) -> Self {
        Self { limits, nph, line: 0, bytes: 0, draft: Draft::default() }
    }

    /// Counts bytes of the head before anybody keeps them.
    pub(super) fn count_bytes(&mut self, count: usize) -> Result<(), ScriptError> {
        self.bytes = self.bytes.saturating_add(count);
        if self.bytes > self.limits.max_head_bytes {
            return Err(ScriptError::HeadTooLarge { limit: self.limits.max_head_bytes });
        }
        Ok(())
    }

    /// Takes a line without its LF; an empty one finishes the head.
    pub(super) fn take_line(&mut self, line: Bytes) -> Result<Option<Finished>, ScriptError> {
        self.line += 1;
        self.draft.lines += 1;
        // RFC 3875 6.3: NL is LF or CR LF, and scripts mix them.
        let line = if line.ends_with(b"\r") { line.slice(..line.len() - 1) } else { line };
        if line.is_empty() {
            return self.finish().map(Some);
        }
        if self.draft.lines == 1 && (self.nph || line.starts_with(b"HTTP/")) {
            self.draft.status_line = Some(self.status_line(&line)?);
            return Ok(None);
        }
        self.draft.fields += 1;
        if self.draft.fields > self.limits.max_fields {
            return Err(ScriptError::TooManyFields { limit: self.limits.max_fields });
        }
        self.field(&line)?;
        Ok(None)
    }

    fn fault(&self, fault: LineFault, line: &[u8]) -> ScriptError {
        ScriptError::Line { line: self.line, fault, text: Excerpt::of(line) }
    }

    /// `HTTP/1.1 200 OK`, as non-parsed-header scripts write it.
    fn status_line(&self, line: &Bytes) -> Result<(StatusCode, Option<Bytes>), ScriptError> {
        let version = match &line[..] {
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b' ', ..] => {
                major.is_ascii_digit() && minor.is_ascii_digit()
            }
            _ => false,
        };
        if !version {
            return Err(self.fault(LineFault::NoStatusLine, line));
        }
        parse_status(&line.slice(b"HTTP/1.1 ".len()..)).map_err(|fault| self.fault(fault, line))
    }

    fn field(&mut self, line: &Bytes) -> Result<(), ScriptError> {
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return Err(self.fault(LineFault::Folded, line));
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return Err(self.fault(LineFault::NoColon, line));
        };
        let Ok(name) = HeaderName::from_bytes(&line[..colon]) else {
            return Err(self.fault(LineFault::Name, line));
        };
        let value = trim(&line.slice(colon + 1..));
        let Ok(checked) = HeaderValue::from_maybe_shared(value.clone()) else {
            return Err(self.fault(LineFault::Value, line));
        };
        if name == "status" {
            return self.status(&value, line);
        }
        // RFC 3875 6.3: a NULL value of a field equals a field that was not sent.
        let acted_on = [CONTENT_TYPE, LOCATION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name);
        if acted_on && value.is_empty() {
            return Ok(());
        }
        match name {
            LOCATION => self.once(LOCATION, "Location", checked),
            CONTENT_TYPE => {
                self.draft.besides_location = true;
                self.once(CONTENT_TYPE, "Content-Type", checked)
            }
            CONTENT_LENGTH => {
                self.draft.besides_location = true;
                self.draft.content_length =
                    Some(parse_length(&value).ok_or_else(|| self.fault(LineFault::Length, line))?);
                self.once(CONTENT_LENGTH, "Content-Length", checked)
            }
            TRANSFER_ENCODING if !value.eq_ignore_ascii_case(b"identity") => {
                Err(self.fault(LineFault::TransferCoding, line))
            }
            // RFC 3875 6.3.5: extension fields for the server; one that it does not know it may delete.
            name if name.as_str().starts_with("x-cgi-") => Ok(()),
            name => {
                self.draft.besides_location = true;
                self.append(name, checked)
            }
        }
    }

    fn status(&mut self, value: &Bytes, line: &Bytes) -> Result<(), ScriptError> {
        if value.is_empty() {
            return Ok(());
        }
        if self.draft.status.is_some() {
            return Err(ScriptError::Duplicate { field: "Status", line: self.line });
        }
        self.draft.status = Some(parse_status(value).map_err(|fault| self.fault(fault, line))?);
        Ok(())
    }

    /// Keeps a field that may come once: two of them, even alike, are how one response is passed off as
    /// another.
    fn once(&mut self, name: HeaderName, field: &'static str, value: HeaderValue) -> Result<(), ScriptError> {
        if self.draft.headers.contains_key(&name) {
            return Err(ScriptError::Duplicate { field, line: self.line });
        }
        self.append(name, value)
    }

    fn append(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), ScriptError> {
        match self.draft.headers.try_append(name, value) {
            Ok(_) => Ok(()),
            Err(_) => Err(ScriptError::TooManyFields { limit: self.limits.max_fields }),
        }
    }

    fn finish(&mut self) -> Result<Finished, ScriptError> {
        let mut draft = std::mem::take(&mut self.draft);
        self.bytes = 0;
        if draft.lines == 1 {
            return Err(ScriptError::NoHead { line: self.line });
        }
        let stated = match (draft.status_line.take(), draft.status.take()) {
            (Some((line, _)), Some((field, _))) if line != field => {
                return Err(ScriptError::StatusConflict {
                    status_line: line.as_u16(),
                    field: field.as_u16(),
                });
            }
            (line, field) => line.or(field),
        };
        strip_hop_by_hop(&mut draft.headers);
        let explicit = stated.is_some();
        let (status, reason) = stated.unwrap_or((StatusCode::OK, None));
        let mut head = Head { status, reason, headers: draft.headers, content_length: draft.content_length };
        // RFC 9110 8.6: no Content-Length in a 1xx or 204.
        if status.is_informational() || status == StatusCode::NO_CONTENT {
            head.headers.remove(CONTENT_LENGTH);
            head.content_length = None;
        }
        if status.is_informational() {
            return Ok(Finished::Informational(head));
        }
        let named =
            explicit || head.headers.contains_key(CONTENT_TYPE) || head.headers.contains_key(LOCATION);
        if !named && head.content_length != Some(0) {
            return Ok(Finished::WithoutCgiField(head));
        }
        Ok(Finished::Final(ScriptResponse::classify(head, explicit, !explicit && !draft.besides_location)))
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let has_connection = headers.contains_key(CONNECTION);
    let gone = |name: &HeaderName| is_hop_by_hop(name) || (has_connection && nominated(headers, name));
    let gone: Vec<HeaderName> = headers.keys().filter(|name| gone(name)).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// `404`, `404 Not Found`, `404 ` and nothing else. The reason keeps its inner spaces and its spelling.
fn parse_status(text: &Bytes) -> Result<(StatusCode, Option<Bytes>), LineFault> {
    let code = match &text[..] {
        [a, b, c] | [a, b, c, b' ' | b'\t', ..] => {
            StatusCode::from_bytes(&[*a, *b, *c]).map_err(|_| LineFault::Status)?
        }
        _ => return Err(LineFault::Status),
    };
    if code == StatusCode::SWITCHING_PROTOCOLS {
        return Err(LineFault::Switching);
    }
    let reason = trim(&text.slice(3..));
    if reason.iter().any(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(LineFault::Value);
    }
    Ok((code, (!reason.is_empty()).then_some(reason)))
}

/// Digits alone: no sign, no list, no space, nothing beyond 64 bits.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn trim(value: &Bytes) -> Bytes {
    value.slice_ref(value.trim_ascii_blank())
}

/// Blank is what RFC 9110 calls OWS: space and tab, nothing else.
trait TrimBlank {
    fn trim_ascii_blank(&self) -> &[u8];
}

impl TrimBlank for Bytes {
    fn trim_ascii_blank(&self) -> &[u8] {
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let start = self.iter().position(|byte| !blank(byte)).unwrap_or(self.len());
        let end = self.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
        &self[start..end]
    }
}
