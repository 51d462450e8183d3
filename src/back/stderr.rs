//! What a program says on its standard error, on its way into the log: line by line, with the request's id, escaped and
//! bounded. It must not know how the bytes came.

use std::collections::VecDeque;
use std::fmt::Write;

use crate::exchange::UniqueId;
use crate::process::journal::escape;

/// The longest line that is logged, in bytes. Real messages stay below; a program that never ends its line must not
/// make one entry of everything it says.
const MAX_LINE_BYTES: usize = 2048;

/// How many lines are kept to be quoted when the program fails: the last ones tell why.
const KEPT_LINES: usize = 8;

/// How much of each kept line is quoted, in bytes; with [`KEPT_LINES`] it bounds a quotation to 2 KiB.
const KEPT_LINE_BYTES: usize = 256;

/// One program's standard error during one exchange.
///
/// Each line becomes one event of target `program` at level WARN with the fields `id` and `program`. Lines that do not
/// fit are cut, lines beyond the limit are counted and said once, and control bytes are escaped, so that a program can
/// neither flood the log nor forge entries in it.
#[derive(Debug)]
pub(crate) struct Stderr {
    id: UniqueId,
    program: String,
    lines_left: usize,
    lines_dropped: u64,
    line: Vec<u8>,
    bytes_cut: u64,
    kept: VecDeque<String>,
}

impl Stderr {
    /// For the exchange `id`, from `program` (as the log should call it), at most `max_lines` lines.
    pub(crate) const fn new(id: UniqueId, program: String, max_lines: usize) -> Self {
        Self {
            id,
            program,
            lines_left: max_lines,
            lines_dropped: 0,
            line: Vec::new(),
            bytes_cut: 0,
            kept: VecDeque::new(),
        }
    }

    /// Takes what the program wrote, cut anywhere.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.gather(&bytes[..end]);
            self.end_line();
            bytes = &bytes[end + 1..];
        }
        self.gather(bytes);
    }

    /// The program says no more: a last line without its end is logged, and how many were not.
    pub(crate) fn close(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        let dropped = std::mem::take(&mut self.lines_dropped);
        if dropped > 0 {
            tracing::warn!(
                target: "program",
                id = %self.id.escape_ascii(),
                program = self.program,
                "{dropped} more lines on stderr were not logged (the route's limit of lines per request)"
            );
        }
    }

    /// The last lines, quoted and escaped; `None` if there were none. A line that is not complete yet counts.
    pub(crate) fn last_lines(&self) -> Option<String> {
        let unfinished = (!self.line.is_empty()).then(|| keep(&self.line));
        let lines: Vec<_> =
            self.kept.iter().cloned().chain(unfinished).map(|line| format!("\"{line}\"")).collect();
        let first = lines.len().saturating_sub(KEPT_LINES);
        (!lines.is_empty()).then(|| lines[first..].join(", "))
    }

    fn gather(&mut self, bytes: &[u8]) {
        let room = MAX_LINE_BYTES.saturating_sub(self.line.len()).min(bytes.len());
        self.line.extend_from_slice(&bytes[..room]);
        self.bytes_cut += (bytes.len() - room) as u64;
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let cut = std::mem::take(&mut self.bytes_cut);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        if self.kept.len() == KEPT_LINES {
            self.kept.pop_front();
        }
        self.kept.push_back(keep(text));
        if self.lines_left == 0 {
            self.lines_dropped += 1;
            return;
        }
        self.lines_left -= 1;
        let mut shown = escape(text);
        if cut > 0 {
            let _ = write!(shown, "... ({cut} more bytes)");
        }
        tracing::warn!(target: "program", id = %self.id.escape_ascii(), program = self.program, "{shown}");
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.close();
    }
}

fn keep(line: &[u8]) -> String {
    if line.len() <= KEPT_LINE_BYTES {
        return escape(line);
    }
    escape(&line[..KEPT_LINE_BYTES]) + "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stderr(max_lines: usize) -> Stderr {
        Stderr::new(UniqueId::from_static(b"0123"), "/srv/x".to_owned(), max_lines)
    }

    #[test]
    fn lines_are_the_same_at_every_cut() {
        let text = b"one\ntwo\r\n\nlast";
        for cut in 0..=text.len() {
            let mut stderr = stderr(9);
            stderr.take(&text[..cut]);
            stderr.take(&text[cut..]);
            assert_eq!(stderr.last_lines().unwrap(), r#""one", "two", "", "last""#, "cut at {cut}");
        }
    }

    #[test]
    fn lesson_27_control_bytes_cannot_forge_an_entry() {
        assert_eq!(escape(b"a\x1b[2Jb\rc\0\xff\\x41 \xc3\xa9"), "a\\u{1b}[2Jb\\rc\\u{0}\\xff\\\\x41 \u{e9}");
        assert_eq!(escape("\u{202e}\u{85}".as_bytes()), "\\u{202e}\\u{85}");
    }

    #[test]
    fn lesson_27_a_line_without_end_is_bounded() {
        let mut stderr = stderr(9);
        for _ in 0..1000 {
            stderr.take(&[b'x'; 1000]);
        }
        assert_eq!(stderr.line.len(), MAX_LINE_BYTES);
        assert_eq!(stderr.bytes_cut, 1_000_000 - MAX_LINE_BYTES as u64);
        assert!(stderr.last_lines().unwrap().len() < KEPT_LINE_BYTES + 10);
    }

    #[test]
    fn wish_34_lines_beyond_the_limit_are_counted_and_the_last_kept() {
        let mut stderr = stderr(2);
        for line in 0..100 {
            stderr.take(format!("{line}\n").as_bytes());
        }
        assert_eq!(stderr.lines_dropped, 98);
        assert!(stderr.last_lines().unwrap().ends_with("\"98\", \"99\""));
        assert_eq!(stderr.kept.len(), KEPT_LINES);
        stderr.close();
        assert_eq!(stderr.lines_dropped, 0);
    }

    #[test]
    fn silence_has_no_last_lines() {
        assert_eq!(stderr(1).last_lines(), None);
    }
}
