//! Lines that a program writes to an output: cut, bounded, made harmless, and the last of them kept as testimony. It must
//! not know where the bytes come from, nor how a log is written.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// The longest line that is passed on, in bytes as written by the program; the rest of it is counted and dropped. Stack
/// traces fit; a program that dumps a file does not fill the log.
pub const MAX_LINE_BYTES: usize = 4096;

/// How many of the last lines are kept as testimony: enough for the end of a stack trace.
pub const KEPT_LINES: usize = 8;

/// The most bytes of testimony: it stands within one line of the log.
pub const MAX_TESTIMONY_BYTES: usize = 1024;

/// Cuts what a program writes into lines.
#[derive(Debug, Default)]
pub struct Journal {
    partial: Vec<u8>,
    dropped: usize,
    kept: VecDeque<String>,
}

impl Journal {
    /// An empty journal; it allocates nothing before the first byte.
    #[must_use]
    pub const fn new() -> Self {
        Self { partial: Vec::new(), dropped: 0, kept: VecDeque::new() }
    }

    /// Takes bytes and hands every line that they complete to `log`, escaped and bounded, without its line end.
    pub fn write(&mut self, mut bytes: &[u8], mut log: impl FnMut(&str)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.append(&bytes[..end]);
            self.complete(&mut log);
            bytes = &bytes[end + 1..];
        }
        self.append(bytes);
    }

    /// The output has ended: a line without its end counts too.
    pub fn finish(&mut self, mut log: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            self.complete(&mut log);
        }
    }

    /// The last lines, `"..."` each; empty when there was none.
    #[must_use]
    pub fn testimony(&self) -> String {
        let mut text = String::new();
        let mut first = self.kept.len();
        let mut length = 0;
        while first > 0 && length + self.kept[first - 1].len() <= MAX_TESTIMONY_BYTES {
            first -= 1;
            length += self.kept[first].len();
        }
        for line in self.kept.range(first..) {
            let separator = if text.is_empty() { "" } else { ", " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{separator}\"{line}\"");
        }
        text
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_BYTES - self.partial.len();
        let taken = bytes.len().min(room);
        self.partial.extend_from_slice(&bytes[..taken]);
        self.dropped += bytes.len() - taken;
    }

    fn complete(&mut self, log: &mut impl FnMut(&str)) {
        if self.partial.last() == Some(&b'\r') {
            self.partial.pop();
        }
        let mut line = escape(&self.partial);
        if self.dropped > 0 {
            let _ = write!(line, " [{} more bytes]", self.dropped);
        }
        self.partial.clear();
        self.dropped = 0;
        if line.is_empty() {
            return;
        }
        log(&line);
        if self.kept.len() == KEPT_LINES {
            self.kept.pop_front();
        }
        let mut end = line.len().min(MAX_TESTIMONY_BYTES);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        self.kept.push_back(line);
    }
}

/// Text as it is, but control characters and bytes that are no UTF-8 as escapes, and the backslash doubled so that an
/// escape can be told from its imitation.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\t' => shown.push('\t'),
                '\\' => shown.push_str("\\\\"),
                // U+2028, U+2029 end lines for some viewers; U+202A to U+202E and U+2066 to U+2069 turn text around.
                c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                    shown.extend(c.escape_default());
                }
                c => shown.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> (Vec<String>, Journal) {
        let mut journal = Journal::new();
        let mut lines = Vec::new();
        for piece in pieces {
            journal.write(piece, |line| lines.push(line.to_owned()));
        }
        journal.finish(|line| lines.push(line.to_owned()));
        (lines, journal)
    }

    #[test]
    fn lines_are_the_same_at_every_cut() {
        let text = b"first\nsecond\r\n\nlast";
        for cut in 0..=text.len() {
            let (lines, journal) = lines(&[&text[..cut], &text[cut..]]);
            assert_eq!(lines, ["first", "second", "last"], "cut at {cut}");
            assert_eq!(journal.testimony(), r#""first", "second", "last""#);
        }
    }

    #[test]
    fn lesson_27_what_a_program_writes_cannot_forge_or_flood_the_log() {
        let (lines, _) = lines(&[b"\x1b[2Jgone \xff\\x\rforged\n", &[b'a'; MAX_LINE_BYTES + 5], b"\n"]);
        assert_eq!(lines[0], r"\u{1b}[2Jgone \xff\\x\rforged");
        assert_eq!(lines[1], format!("{} [5 more bytes]", "a".repeat(MAX_LINE_BYTES)));
    }

    #[test]
    fn testimony_is_the_end_and_bounded() {
        let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
        assert!(lines(&[text.as_bytes()]).1.testimony().starts_with("\"line 92\", "));
        let long = [b'x'; MAX_LINE_BYTES];
        let testimony = lines(&[b"early\n", &long, b"\n"]).1.testimony();
        assert_eq!(testimony.len(), MAX_TESTIMONY_BYTES + 2);
    }

    #[test]
    fn silence_has_no_testimony() {
        assert_eq!(Journal::new().testimony(), "");
    }
}
