//! One finished exchange as a line of text: the combined format with the gateway's own facts behind it, or JSON. It
//! writes into a buffer and knows no file.

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Version};
use serde::Serialize;

use crate::exchange::{Ending, ProgramEnd, Record};

/// What the combined format shows as the status of a client that left before there was one, as nginx does.
const STATUS_CLIENT_GONE: u16 = 499;

/// Appends a line in the combined format of Apache and nginx, followed by `key=value` facts:
/// `id`, `route`, `back`, `queue`, `first`, `total` (seconds), `in` (body bytes received), and for CGI `exit` (or
/// `signal`), `cpu` (seconds) and `mem` (bytes).
pub(super) fn combined(out: &mut String, record: &Record) {
    // Writing to a String cannot fail.
    let _ = write_combined(out, record);
}

fn write_combined(out: &mut String, record: &Record) -> fmt::Result {
    match record.remote_addr {
        Some(address) => write!(out, "{address}")?,
        None => out.push('-'),
    }
    write!(out, " - {} [{}] \"", Field(record.remote_user.as_deref()), ClfTime(record.at))?;
    write!(out, "{} {} {}\" ", record.method, Escaped(&record.target), version(record.version))?;
    let status = record.status.map_or(STATUS_CLIENT_GONE, |status| status.as_u16());
    write!(out, "{status} {} ", record.bytes_sent)?;
    write!(out, "\"{}\" \"{}\"", Field(bytes_of(&record.referer)), Field(bytes_of(&record.user_agent)))?;
    write!(out, " id={}", Escaped(&record.id))?;
    if let Some(route) = &record.route {
        write!(out, " route={}", Escaped(route.as_bytes()))?;
    }
    if let Some(back) = &record.back {
        write!(out, " back={}", Escaped(back.as_bytes()))?;
    }
    if let Some(wait) = record.queue_wait {
        write!(out, " queue={}", Seconds(wait))?;
    }
    if let Some(first) = record.first_byte {
        write!(out, " first={}", Seconds(first))?;
    }
    write!(out, " total={} in={}", Seconds(record.total), record.bytes_received)?;
    match record.ending {
        Ending::Complete => {}
        Ending::ClientGone => out.push_str(" ending=client_gone"),
        Ending::BrokenOff => out.push_str(" ending=broken_off"),
    }
    if let Some(usage) = &record.usage {
        match usage.ended {
            ProgramEnd::Exited(code) => write!(out, " exit={code}")?,
            ProgramEnd::Signalled(signal) => write!(out, " signal={signal}")?,
        }
        write!(out, " cpu={} mem={}", Seconds(usage.cpu), usage.peak_memory_bytes)?;
    }
    out.push('\n');
    Ok(())
}

/// Appends a JSON object and a line feed. Names are those of the combined format's facts, spelled out; times are in
/// seconds, sizes in bytes; what is not known is left out.
pub(super) fn json(out: &mut String, record: &Record) {
    // Strings and numbers always serialise.
    if let Ok(line) = serde_json::to_string(&JsonLine::from(record)) {
        out.push_str(&line);
        out.push('\n');
    }
}

#[derive(Serialize)]
struct JsonLine {
    time: String,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_addr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_user: Option<String>,
    method: String,
    target: String,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    back: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    ending: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_wait: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte: Option<f64>,
    total: f64,
    bytes_received: u64,
    bytes_sent: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_memory: Option<u64>,
}

impl From<&Record> for JsonLine {
    fn from(record: &Record) -> Self {
        let text = harmless;
        let ended = record.usage.as_ref().map(|usage| usage.ended);
        Self {
            time: IsoTime(record.at).to_string(),
            id: text(&record.id),
            remote_addr: record.remote_addr.map(|address| address.to_string()),
            remote_user: record.remote_user.as_deref().map(text),
            method: record.method.to_string(),
            target: text(&record.target),
            protocol: version(record.version),
            host: record.host.as_deref().map(text),
            referer: bytes_of(&record.referer).map(text),
            user_agent: bytes_of(&record.user_agent).map(text),
            route: record.route.as_deref().map(str::to_owned),
            back: record.back.as_deref().map(str::to_owned),
            status: record.status.map(|status| status.as_u16()),
            ending: match record.ending {
                Ending::Complete => "complete",
                Ending::ClientGone => "client_gone",
                Ending::BrokenOff => "broken_off",
            },
            queue_wait: record.queue_wait.map(seconds),
            first_byte: record.first_byte.map(seconds),
            total: seconds(record.total),
            bytes_received: record.bytes_received,
            bytes_sent: record.bytes_sent,
            exit_status: match ended {
                Some(ProgramEnd::Exited(code)) => Some(code),
                _ => None,
            },
            signal: match ended {
                Some(ProgramEnd::Signalled(signal)) => Some(signal),
                _ => None,
            },
            cpu: record.usage.as_ref().map(|usage| seconds(usage.cpu)),
            peak_memory: record.usage.as_ref().map(|usage| usage.peak_memory_bytes),
        }
    }
}

/// Text from outside for JSON, which escapes the control characters below a space itself; DEL and those of the upper half, which
/// some terminals obey too, are replaced like bytes that are no text (lesson 27).
fn harmless(bytes: &[u8]) -> String {
    let replaced = |c: char| if matches!(c, '\u{7f}'..='\u{9f}') { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(bytes).chars().map(replaced).collect()
}

/// Whole microseconds: more digits would be noise.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

fn bytes_of(value: &Option<HeaderValue>) -> Option<&[u8]> {
    value.as_ref().map(HeaderValue::as_bytes)
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

/// Bytes from outside, made harmless: printable ASCII but `"` and `\` stands for itself, all else is `\xHH`, so that
/// nobody can forge a line or steer a terminal (lesson 27).
struct Escaped<'b>(&'b [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'"' | b'\\' | 0..0x20 | 0x7f.. => write!(f, "\\x{byte:02X}")?,
                _ => f.write_char(byte.into())?,
            }
        }
        Ok(())
    }
}

/// A value that may be missing, which the combined format shows as `-`.
struct Field<'b>(Option<&'b [u8]>);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) if !bytes.is_empty() => Escaped(bytes).fmt(f),
            _ => f.write_char('-'),
        }
    }
}

/// `06/Nov/1994:08:49:37 +0000`, cut out of the IMF-fixdate `Sun, 06 Nov 1994 08:49:37 GMT`.
struct ClfTime(SystemTime);

impl fmt::Display for ClfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = httpdate::fmt_http_date(self.0);
        write!(f, "{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25])
    }
}

/// `1994-11-06T08:49:37.123Z`.
struct IsoTime(SystemTime);

impl fmt::Display for IsoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let date = httpdate::fmt_http_date(self.0);
        let month = MONTHS.find(&date[8..11]).map_or(0, |at| at / 3 + 1);
        let millis = self.0.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_millis();
        write!(f, "{}-{month:02}-{}T{}.{millis:03}Z", &date[12..16], &date[5..7], &date[17..25])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{ProgramUsage, testing};
    use bytes::Bytes;

    fn record() -> Record {
        let mut record = testing::record("/a?b=\"c\"");
        record.id = Bytes::from_static(b"0123456789abcdefghjk");
        record.at = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_123);
        record.remote_addr = Some("192.0.2.1".parse().unwrap());
        record.user_agent = Some(HeaderValue::from_bytes(b"evil\xfe[2J\t127.0.0.1").unwrap());
        record.status = Some(http::StatusCode::OK);
        record.back = Some("cgi:/srv/hello".into());
        record.total = Duration::from_micros(1_500);
        record.usage = Some(ProgramUsage {
            ended: ProgramEnd::Exited(3),
            cpu: Duration::from_millis(2),
            peak_memory_bytes: 4096,
        });
        record
    }

    #[test]
    fn a_combined_line_has_the_facts_and_nothing_that_could_forge_another_lesson_27() {
        let mut out = String::new();
        combined(&mut out, &record());
        assert_eq!(
            out,
            "192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /a?b=\\x22c\\x22 HTTP/1.1\" 200 0 \"-\" \
             \"evil\\xFE[2J\\x09127.0.0.1\" id=0123456789abcdefghjk back=cgi:/srv/hello total=0.001500 in=0 \
             exit=3 cpu=0.002000 mem=4096\n"
        );
    }

    #[test]
    fn a_json_line_is_one_object_with_the_same_facts() {
        let mut out = String::new();
        json(&mut out, &record());
        assert_eq!(out.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["time"], "1994-11-06T08:49:37.123Z");
        assert_eq!(value["exit_status"], 3);
        assert_eq!(value["total"], 0.0015);
        assert_eq!(value.get("queue_wait"), None);
    }

    #[test]
    fn lesson_27_json_has_no_control_characters_either() {
        let mut record = record();
        record.user_agent = Some(HeaderValue::from_bytes("a\u{9b}2Jb\tc\u{e9}".as_bytes()).unwrap());
        let mut out = String::new();
        json(&mut out, &record);
        assert_eq!(out.chars().filter(|c| c.is_control()).collect::<String>(), "\n", "{out:?}");
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["user_agent"], "a\u{fffd}2Jb\tc\u{e9}");
    }

    #[test]
    fn a_client_that_left_before_the_status_is_499() {
        let mut gone = record();
        gone.status = None;
        gone.ending = Ending::ClientGone;
        let mut out = String::new();
        combined(&mut out, &gone);
        assert!(out.contains("\" 499 0 \"") && out.contains("ending=client_gone"), "{out}");
    }
}
