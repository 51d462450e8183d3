//! Reads one HTTP/1.1 answer out of bytes that come in any pieces; it must not know sockets, time, or a line of the
//! server's own parser, whose mistakes it would repeat.

use std::fmt;

/// The longest head of an answer that is taken: no server that is compared has a reason for more.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The longest line within a chunked body: a size with extensions, or a field of the trailer.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// What one answer was, when all of it has come. Its body went to the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The status, 200 to 999.
    pub status: u16,
    /// Whether the connection may be used again.
    pub keeps: bool,
}

/// Why bytes are no answer of HTTP/1.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub(super) String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// Where in an answer the next byte belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Head,
    /// This many bytes of the body are missing.
    Length(u64),
    /// RFC 9112 7.1: the line with a chunk's size.
    ChunkSize,
    /// This many bytes of the chunk are missing.
    Chunk(u64),
    /// The empty line behind a chunk.
    ChunkEnd,
    /// RFC 9112 7.1.2: fields behind the last chunk, up to an empty line.
    Trailer,
    /// RFC 9112 6.3: without a length, the body ends with the connection.
    UntilClose,
    Done,
}

/// The reader of one connection's answers, one after the other.
#[derive(Debug)]
pub struct AnswerReader {
    /// The request was a HEAD: its answer has no body, whatever the head says.
    to_head: bool,
    place: Place,
    /// The head or the line, as far as it has come.
    pending: Vec<u8>,
    status: u16,
    keeps: bool,
}

impl AnswerReader {
    /// A reader of answers to requests of this kind; `to_head` says that their method is HEAD.
    #[must_use]
    pub fn new(to_head: bool) -> Self {
        Self { to_head, place: Place::Head, pending: Vec::new(), status: 0, keeps: true }
    }

    /// Whether a byte of an answer has come and the answer is not complete.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.place != Place::Head || !self.pending.is_empty()
    }

    /// Forgets what has come: the next byte is the first of an answer on another connection.
    pub fn reset(&mut self) {
        (self.place, self.keeps) = (Place::Head, true);
        self.pending.clear();
    }

    /// Takes bytes as they came; pieces of the body go to `body`. Gives the answer when it is complete, and is then
    /// ready for the next one.
    ///
    /// # Errors
    /// [`Malformed`] when this is no answer, or when more comes than one answer: nothing else was asked.
    pub fn receive(
        &mut self,
        mut bytes: &[u8],
        body: &mut impl FnMut(&[u8]),
    ) -> Result<Option<Answer>, Malformed> {
        while !bytes.is_empty() {
            match self.place {
                Place::Head => bytes = self.head(bytes)?,
                Place::Length(missing) => {
                    let taken = pour(&mut bytes, missing, body);
                    self.place = rest(missing - taken, Place::Length, Place::Done);
                }
                Place::Chunk(missing) => {
                    let taken = pour(&mut bytes, missing, body);
                    self.place = rest(missing - taken, Place::Chunk, Place::ChunkEnd);
                }
                Place::ChunkSize | Place::ChunkEnd | Place::Trailer => bytes = self.line(bytes)?,
                Place::UntilClose => {
                    body(bytes);
                    bytes = &[];
                }
                Place::Done => {
                    return Err(Malformed(format!("{} bytes more than one answer came", bytes.len())));
                }
            }
        }
        Ok((self.place == Place::Done).then(|| self.finish()))
    }

    /// The peer has closed the connection.
    ///
    /// # Errors
    /// [`Malformed`] when the answer was not complete.
    pub fn receive_end(&mut self) -> Result<Answer, Malformed> {
        match self.place {
            Place::UntilClose => {
                self.keeps = false;
                Ok(self.finish())
            }
            Place::Head => Err(Malformed(format!("it ended after {} bytes of a head", self.pending.len()))),
            place => Err(Malformed(format!("it ended within the body ({place:?})"))),
        }
    }

    fn finish(&mut self) -> Answer {
        let answer = Answer { status: self.status, keeps: self.keeps };
        self.reset();
        answer
    }

    /// Takes bytes of a head; gives what came behind it.
    fn head<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Malformed> {
        // The end of the head may lie across two pieces.
        let before = self.pending.len();
        self.pending.extend_from_slice(bytes);
        let searched = before.saturating_sub(3);
        let Some(at) = memchr::memmem::find(&self.pending[searched..], b"\r\n\r\n") else {
            if self.pending.len() > MAX_HEAD_BYTES {
                return Err(Malformed(format!("its head is longer than {MAX_HEAD_BYTES} bytes")));
            }
            return Ok(&[]);
        };
        let end = searched + at;
        let head = std::mem::take(&mut self.pending);
        self.place = self.begin(&head[..end])?;
        self.pending = head;
        self.pending.clear();
        Ok(&bytes[end + 4 - before..])
    }

    /// Understands a whole head: where the next byte belongs.
    fn begin(&mut self, head: &[u8]) -> Result<Place, Malformed> {
        let mut lines =
            head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.next().unwrap_or_default();
        let (minor, status) =
            status_line(first).ok_or_else(|| Malformed(format!("it begins with \"{}\"", shown(first))))?;
        let (mut length, mut chunked, mut keeps) = (None, false, minor > 0);
        for line in lines {
            let Some(colon) = line.iter().position(|&byte| byte == b':') else {
                return Err(Malformed(format!("a line of its head has no colon: \"{}\"", shown(line))));
            };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                let value = number(value, 10).filter(|&value| length.is_none_or(|other| other == value));
                length = Some(value.ok_or_else(|| Malformed(format!("its length: \"{}\"", shown(line))))?);
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                if !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed(format!("a coding that nobody asked for: \"{}\"", shown(line))));
                }
                chunked = true;
            } else if name.eq_ignore_ascii_case(b"connection") {
                let says = |word: &[u8]| {
                    value.split(|&byte| byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
                };
                keeps = !says(b"close") && (keeps || says(b"keep-alive"));
            }
        }
        if (100..200).contains(&status) {
            // RFC 9110 15.2: an interim answer; the one that counts comes behind it.
            return Ok(Place::Head);
        }
        (self.status, self.keeps) = (status, keeps);
        // RFC 9112 6.3: these have no body; a coding goes before a length.
        Ok(match length {
            _ if self.to_head || matches!(status, 204 | 304) => Place::Done,
            _ if chunked => Place::ChunkSize,
            Some(0) => Place::Done,
            Some(length) => Place::Length(length),
            None => Place::UntilClose,
        })
    }

    /// Takes bytes up to the end of a line within a chunked body; gives what came behind it.
    fn line<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Malformed> {
        let Some(at) = memchr::memchr(b'\n', bytes) else {
            self.pending.extend_from_slice(bytes);
            if self.pending.len() > MAX_LINE_BYTES {
                return Err(Malformed(format!("a chunk's line is longer than {MAX_LINE_BYTES} bytes")));
            }
            return Ok(&[]);
        };
        self.pending.extend_from_slice(&bytes[..at]);
        let line = self.pending.strip_suffix(b"\r").unwrap_or(&self.pending);
        self.place = match self.place {
            Place::ChunkSize => {
                let size = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
                match number(size, 16) {
                    Some(0) => Place::Trailer,
                    Some(size) => Place::Chunk(size),
                    None => return Err(Malformed(format!("a chunk's size is \"{}\"", shown(line)))),
                }
            }
            Place::ChunkEnd if line.is_empty() => Place::ChunkSize,
            Place::ChunkEnd => {
                return Err(Malformed(format!("a chunk is longer than it said, by \"{}\"", shown(line))));
            }
            _ if line.is_empty() => Place::Done,
            place => place,
        };
        self.pending.clear();
        Ok(&bytes[at + 1..])
    }
}

/// Where the next byte belongs when so many are missing.
fn rest(missing: u64, more: impl FnOnce(u64) -> Place, end: Place) -> Place {
    if missing == 0 { end } else { more(missing) }
}

/// Gives at most `missing` bytes to the sink; says how many.
fn pour(bytes: &mut &[u8], missing: u64, body: &mut impl FnMut(&[u8])) -> u64 {
    let taken = usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len());
    body(&bytes[..taken]);
    *bytes = &bytes[taken..];
    taken as u64
}

/// The minor version and the status of `HTTP/1.1 200 OK`.
fn status_line(line: &[u8]) -> Option<(u8, u16)> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let status = number(rest.strip_prefix(b" ")?.get(..3)?, 10)?;
    let ends = rest.get(4).is_none_or(|&byte| byte == b' ');
    let status = u16::try_from(status).ok().filter(|&status| status >= 100)?;
    (ends && minor.is_ascii_digit()).then(|| (minor - b'0', status))
}

/// Digits and nothing else.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let digit = |&byte: &u8| char::from(byte).is_digit(radix);
    let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(digit))?;
    u64::from_str_radix(text, radix).ok()
}

/// The beginning of some bytes for a message, without what steers a terminal.
fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 60;
    bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the reader says of an answer that comes in these pieces, and of the connection's end behind it.
    fn read(pieces: &[&[u8]], to_head: bool) -> Result<(Answer, Vec<u8>), Malformed> {
        let mut reader = AnswerReader::new(to_head);
        let mut body = Vec::new();
        for piece in pieces {
            if let Some(answer) = reader.receive(piece, &mut |bytes| body.extend_from_slice(bytes))? {
                assert!(!reader.is_inside());
                return Ok((answer, body));
            }
        }
        reader.receive_end().map(|answer| (answer, body))
    }

    /// Answers, their status, whether the connection stays, their body.
    const ANSWERS: [(&str, u16, bool, &str); 9] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, true, "hello"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n", 404, true, ""),
        (
            "HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            200,
            true,
            "hello",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n", 200, true, ""),
        ("HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 1\r\n\r\nx", 200, false, "x"),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, false, "x"),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", 200, true, "x"),
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, false, "until the end"),
        ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, true, ""),
    ];

    #[test]
    fn answers_are_understood_at_every_cut() {
        for (text, status, keeps, body) in ANSWERS {
            for cut in 0..=text.len() {
                let (left, right) = text.as_bytes().split_at(cut);
                let expected = (Answer { status, keeps }, body.as_bytes().to_vec());
                assert_eq!(read(&[left, right], false), Ok(expected), "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn one_reader_reads_one_answer_after_the_other() {
        let mut reader = AnswerReader::new(false);
        for (text, status, keeps, _) in ANSWERS.into_iter().filter(|(_, _, keeps, _)| *keeps) {
            assert_eq!(reader.receive(text.as_bytes(), &mut |_| ()), Ok(Some(Answer { status, keeps })));
        }
    }

    #[test]
    fn an_answer_to_head_has_no_body() {
        let answer = read(&[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], true);
        assert_eq!(answer, Ok((Answer { status: 200, keeps: true }, Vec::new())));
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "a".repeat(MAX_HEAD_BYTES));
        let chunked = |rest: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}");
        let cases = [
            ("HTTP/2 200 OK\r\n\r\n".to_owned(), "it begins with"),
            ("HTTP/1.1 99 OK\r\n\r\n".into(), "it begins with"),
            ("HTTP/1.1 2000 OK\r\n\r\n".into(), "it begins with"),
            ("HTTP/1.1 200 OK\r\nno field\r\n\r\n".into(), "no colon"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello".into(), "its length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\n".into(), "its length"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell".into(), "ended within the body"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello".into(), "1 bytes more than one answer"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".into(), "a coding"),
            ("HTTP/1.1 200 OK\r\n".into(), "ended after 17 bytes of a head"),
            (chunked("x\r\n"), "a chunk's size is \"x\""),
            (chunked("\r\n"), "a chunk's size is \"\""),
            (chunked("1\r\nab\r\n"), "longer than it said, by \"b\""),
            (chunked(&"1".repeat(MAX_LINE_BYTES + 1)), "a chunk's line is longer"),
            (long, "its head is longer"),
        ];
        for (text, told) in cases {
            let error = read(&[text.as_bytes()], false).unwrap_err().to_string();
            assert!(error.contains(told), "{:?}: {error}", &text[..text.len().min(60)]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_alike_however_they_are_cut(
            text in prop::sample::select(ANSWERS.map(|answer| answer.0).to_vec()),
            noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut bytes = text.as_bytes().to_vec();
            for (at, byte) in noise {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.index(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            // What comes behind an answer is found where it comes, so only whole answers are compared.
            if let (Ok(whole), Ok(cut)) = (read(&[&bytes], false), read(&pieces, false)) {
                prop_assert_eq!(whole, cut);
            }
        }
    }
}
