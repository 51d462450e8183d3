//! Mistakes in a configuration file and how they are shown to a person; it knows positions and words, and nothing of
//! what any key means.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken, but it probably does not mean what its author thinks.
    Warning,
}

/// What sort of mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The file could not be read, or is not UTF-8.
    File,
    /// It is not TOML.
    Syntax,
    /// A key or table that does not exist, or not here.
    Unknown,
    /// A key that must be there is not.
    Missing,
    /// A value of the wrong type, out of range, or without meaning.
    Value,
    /// Two things that do not go together, or the same thing twice.
    Conflict,
    /// A name that refers to nothing.
    Dangling,
    /// A file or folder that is not there or not as it must be.
    Disk,
    /// Recognised, but not in this version.
    Unavailable,
}

/// One mistake, or one thing to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What sort of mistake it is.
    pub kind: Kind,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The bytes of the file that it is about; `None` when it is about the file as a whole.
    pub span: Option<Range<usize>>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error about these bytes of the file.
    pub fn error(kind: Kind, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, kind, message: message.into(), span: Some(span), hint: None }
    }

    /// A warning about these bytes of the file.
    pub fn warning(kind: Kind, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(kind, span, message) }
    }

    /// An error about the file as a whole.
    pub fn about_file(kind: Kind, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, kind, message: message.into(), span: None, hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Everything that was found in one file. Its `Display` is what a person reads: one block a mistake, in the order of
/// the file, each with `file:line:column`, the line itself and a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    file: PathBuf,
    source: String,
    diagnostics: Vec<Diagnostic>,
    unreadable: bool,
}

impl Report {
    /// A report of these diagnostics on a file with this content.
    pub fn new(file: PathBuf, source: String, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|one, other| order(one).cmp(&order(other)));
        diagnostics.dedup();
        Self { file, source, diagnostics, unreadable: false }
    }

    /// The report on a file that could not be read at all.
    pub fn unreadable(file: PathBuf, diagnostic: Diagnostic) -> Self {
        Self { file, source: String::new(), diagnostics: vec![diagnostic], unreadable: true }
    }

    /// The file, as it was named.
    pub fn file(&self) -> &std::path::Path {
        &self.file
    }

    /// What was found, in the order of the file.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// Whether the file could not be read at all, so that nothing is known about its content.
    pub fn is_unreadable(&self) -> bool {
        self.unreadable
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.diagnostics.len() - self.errors()
    }

    fn block(&self, diagnostic: &Diagnostic, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let file = self.file.display().to_string();
        let file = Visible(&file);
        writeln!(formatter, "{word}: {}", Visible(&diagnostic.message))?;
        match &diagnostic.span {
            None => writeln!(formatter, " --> {file}")?,
            Some(span) => {
                let place = Place::find(&self.source, span);
                let margin = " ".repeat(place.line.to_string().len());
                writeln!(formatter, "{margin}--> {file}:{}:{}", place.line, place.column)?;
                writeln!(formatter, "{margin} |")?;
                writeln!(formatter, "{} | {}", place.line, Visible(&place.text))?;
                writeln!(formatter, "{margin} | {}{}", place.indent, "^".repeat(place.width))?;
            }
        }
        match &diagnostic.hint {
            Some(hint) => writeln!(formatter, "  hint: {}", Visible(hint)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            self.block(diagnostic, formatter)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// What is about the file as a whole comes last: it usually follows from what stands before.
fn order(diagnostic: &Diagnostic) -> (bool, usize, usize, Severity, &str) {
    let (start, end) = diagnostic.span.as_ref().map_or((0, 0), |span| (span.start, span.end));
    (diagnostic.span.is_none(), start, end, diagnostic.severity, &diagnostic.message)
}

/// The most characters of a line that are shown: a value may be of any length, and a screen is not.
const MAX_SHOWN: usize = 160;

/// Where a span starts, and what is shown of its first line.
struct Place {
    line: usize,
    column: usize,
    text: String,
    indent: String,
    width: usize,
}

impl Place {
    fn find(source: &str, span: &Range<usize>) -> Self {
        let start = floor_boundary(source, span.start);
        let end = floor_boundary(source, span.end).max(start);
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |newline| start + newline);
        let text = source[line_start..line_end].trim_end_matches('\r');
        let before = source[line_start..start].chars().count();
        let marked = &source[start..end.min(line_start + text.len()).max(start)];
        let is_long = text.chars().count() > MAX_SHOWN;
        let skipped = if is_long { before.saturating_sub(MAX_SHOWN / 2) } else { 0 };
        let mut shown: String = text.chars().skip(skipped).take(MAX_SHOWN).collect();
        // A tab before the caret stays a tab, so that both lines are indented alike whatever a tab's width is.
        let blank = |char| if char == '\t' { '\t' } else { ' ' };
        let mut indent: String = shown.chars().take(before - skipped).map(blank).collect();
        let width = marked.trim_end().chars().count().min(MAX_SHOWN - (before - skipped)).max(1);
        if skipped > 0 {
            shown.insert(0, '…');
            indent.insert(0, ' ');
        }
        if text.chars().count() > skipped + MAX_SHOWN {
            shown.push('…');
        }
        Self { line: line_of(source, start), column: before + 1, text: shown, indent, width }
    }
}

/// The line number, from 1, of a byte of the file.
pub(super) fn line_of(source: &str, at: usize) -> usize {
    source.as_bytes()[..at.min(source.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn floor_boundary(source: &str, at: usize) -> usize {
    let at = at.min(source.len());
    (0..=at).rev().find(|&index| source.is_char_boundary(index)).unwrap_or(0)
}

/// Text from a file, with its control characters made visible: a report must not be able to steer a terminal.
struct Visible<'s>(&'s str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\t' => write!(formatter, "\t")?,
                // One mark for one character, so that the caret below stays where it belongs.
                char if char.is_control() => write!(formatter, "\u{fffd}")?,
                char => write!(formatter, "{char}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_line_only_the_part_around_the_mistake_is_shown() {
        let (many, bad) = ("x".repeat(100_000), "BAD");
        for before in ["", "a\t", &many[..100], &many] {
            let source = format!("first\n{before}{bad}{many}\n");
            let start = "first\n".len() + before.len();
            let mistake = Diagnostic::error(Kind::Syntax, start..start + bad.len(), "no");
            let report = Report::new("file".into(), source, vec![mistake]).to_string();
            let lines: Vec<&str> = report.lines().collect();
            assert!(lines.iter().all(|line| line.chars().count() < 200), "{report}");
            assert!(lines[1].ends_with(&format!("file:2:{}", before.len() + 1)), "{report}");
            let place = |line: &str, what: &str| line.find(what).map(|at| line[..at].chars().count());
            assert_eq!(place(lines[4], "^^^"), place(lines[3], bad), "{report}");
            assert!(!lines[4].contains("^^^^") && lines[3].ends_with('…'), "{report}");
        }
    }
}
