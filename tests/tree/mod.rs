//! The files of the repository as text, for tests that read them; it knows no rule and judges nothing.

#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are made by tools and are not in the repository.
const MADE: [&str; 5] = [".git", "target", "fuzz/target", "fuzz/corpus", "fuzz/artifacts"];

/// A file of the repository.
pub(crate) struct File {
    /// Its path from the root of the repository, with slashes.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files whose names end so, sorted by path.
pub(crate) fn files(ending: &str) -> Vec<File> {
    let mut paths = Vec::new();
    gather(root(), &mut paths);
    let mut files: Vec<File> = paths
        .into_iter()
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .filter_map(|path| {
            let text = fs::read_to_string(&path).ok()?;
            Some(File { path: path.strip_prefix(root()).unwrap().to_str()?.to_owned(), text })
        })
        .collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(!files.is_empty(), "there is no file that ends in {ending}");
    files
}

fn gather(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let made = MADE.iter().any(|made| path == root().join(made));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && !made => gather(&path, paths),
            kind if kind.is_file() => paths.push(path),
            _ => {}
        }
    }
}

impl File {
    /// Whether all of it is test code: an integration test, a file that only tests include, a benchmark, a fuzz target.
    pub(crate) fn is_test(&self) -> bool {
        let path = self.path.as_str();
        let name = path.rsplit('/').next().unwrap_or(path);
        ["tests/", "benches/", "fuzz/"].iter().any(|folder| path.starts_with(folder))
            || path.contains("/tests/")
            || name.ends_with("_tests.rs")
            || name == "testing.rs"
            || name.starts_with("rig")
    }

    /// The code without comments and without what stands in strings, line by line; blanks take their place.
    pub(crate) fn code(&self) -> String {
        bare(&self.text)
    }

    /// [`File::code`] up to the tests, which are last in a file by rule; nothing of a file that is a test.
    pub(crate) fn production_code(&self) -> String {
        if self.is_test() {
            return String::new();
        }
        let code = self.code();
        let tests = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
        code[..tests].to_owned()
    }

    /// The tests of a file: all of it, or what [`File::production_code`] leaves out.
    pub(crate) fn test_code(&self) -> String {
        self.code()[self.production_code().len()..].to_owned()
    }
}

/// Where a lexer stands.
#[derive(Clone, Copy, PartialEq)]
enum In {
    Code,
    Line,
    Block(u32),
    Text,
    /// With so many `#`.
    Raw(usize),
}

/// Replaces comments and the contents of strings and characters by blanks, and keeps every line feed.
fn bare(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let (mut state, mut at) = (In::Code, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (next, length) = match state {
            In::Code => step(rest, bytes[..at].last().copied()),
            In::Line if rest[0] == b'\n' => (In::Code, 1),
            In::Block(depth) if rest.starts_with(b"*/") => {
                (if depth == 1 { In::Code } else { In::Block(depth - 1) }, 2)
            }
            In::Block(depth) if rest.starts_with(b"/*") => (In::Block(depth + 1), 2),
            In::Text if rest[0] == b'\\' => (state, 2),
            In::Text if rest[0] == b'"' => (In::Code, 1),
            In::Raw(hashes) if rest[0] == b'"' && count(&rest[1..], b'#') >= hashes => (In::Code, 1 + hashes),
            In::Line | In::Block(_) | In::Text | In::Raw(_) => (state, 1),
        };
        let keep = state == In::Code && next == In::Code && length == 1;
        let end = bytes.len().min(at + length);
        for &byte in &bytes[at..end] {
            out.push(if keep || byte == b'\n' { byte } else { b' ' });
        }
        (state, at) = (next, end);
    }
    String::from_utf8(out).unwrap_or_default()
}

/// What begins here in code, and how many bytes of it are to be taken at once.
fn step(rest: &[u8], before: Option<u8>) -> (In, usize) {
    let in_a_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match rest {
        [b'/', b'/', ..] => (In::Line, 2),
        [b'/', b'*', ..] => (In::Block(1), 2),
        [b'"', ..] => (In::Text, 1),
        [b'r', b'"' | b'#', ..] if !in_a_word || before == Some(b'b') => {
            let hashes = count(&rest[1..], b'#');
            if rest.get(1 + hashes) == Some(&b'"') { (In::Raw(hashes), 2 + hashes) } else { (In::Code, 1) }
        }
        // A character, and not a lifetime. The longest escape is '\u{10ffff}'.
        [b'\'', b'\\', ..] => {
            let end = rest.iter().skip(3).take(12).position(|&byte| byte == b'\'');
            (In::Code, end.map_or(1, |end| end + 4))
        }
        [b'\'', tail @ ..] => match tail.iter().take(5).position(|&byte| byte == b'\'') {
            Some(end) if end > 0 && std::str::from_utf8(&tail[..end]).is_ok_and(is_one_character) => {
                (In::Code, end + 2)
            }
            _ => (In::Code, 1),
        },
        _ => (In::Code, 1),
    }
}

fn is_one_character(text: &str) -> bool {
    text.chars().count() == 1
}

fn count(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().take_while(|&&byte| byte == wanted).count()
}

/// The line of a position in a text, counted from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}
