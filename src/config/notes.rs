//! The mistakes found so far, and which of them are worth telling; it does not know what a key means.

use std::cell::RefCell;
use std::ops::Range;

use super::diagnostic::{Diagnostic, Kind as Mistake, Severity, line_of};
use super::keys::Table;
use super::nearest::nearest;

/// Bytes of the file.
pub(super) type Bytes = Range<usize>;

/// The mistakes found so far.
pub(super) struct Notes<'s> {
    source: &'s str,
    /// Whether parts of the file could not be read as TOML, so that what seems to be missing may well be there.
    partial: bool,
    found: RefCell<Vec<Diagnostic>>,
}

impl<'s> Notes<'s> {
    pub(super) fn new(source: &'s str, syntax: Vec<Diagnostic>) -> Self {
        Self { source, partial: !syntax.is_empty(), found: RefCell::new(syntax) }
    }

    pub(super) fn push(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    pub(super) fn error(
        &self,
        kind: Mistake,
        span: &Bytes,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.push(Diagnostic::error(kind, span.clone(), message).hint(hint));
    }

    /// Notes what is only a mistake if the whole file could be read.
    pub(super) fn if_whole(&self, diagnostic: Diagnostic) {
        if !self.partial {
            self.push(diagnostic);
        }
    }

    /// Notes a name that refers to nothing; what it refers to may stand in a part that could not be read.
    pub(super) fn dangling(&self, span: &Bytes, message: String, hint: String) {
        self.if_whole(Diagnostic::error(Mistake::Dangling, span.clone(), message).hint(hint));
    }

    /// These bytes of the file.
    pub(super) fn text(&self, span: &Bytes) -> &'s str {
        self.source.get(span.clone()).unwrap_or_default()
    }

    /// The line where they start.
    pub(super) fn line(&self, span: &Bytes) -> usize {
        line_of(self.source, span.start)
    }

    pub(super) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let found = self.found.into_inner();
        let broken: Vec<usize> = found
            .iter()
            .filter(|note| note.kind == Mistake::Syntax)
            .filter_map(|note| note.span.as_ref().map(|span| line_of(self.source, span.start)))
            .collect();
        // What was made of a broken line is a guess of the parser, and a second message about it is noise.
        let follows = |note: &Diagnostic| {
            let line = note.span.as_ref().map(|span| line_of(self.source, span.start));
            note.kind != Mistake::Syntax && line.is_some_and(|line| broken.contains(&line))
        };
        found.into_iter().filter(|note| !follows(note)).collect()
    }

    pub(super) fn any_error(&self) -> bool {
        self.found.borrow().iter().any(|note| note.severity == Severity::Error)
    }
}

/// A string of the file and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) span: Bytes,
}

/// Notes a key that its table does not have, with what was probably meant.
pub(super) fn note_unknown_key(notes: &Notes<'_>, kind: Table, table: &str, key: &str, span: &Bytes) {
    let message = format!("{table} has no key `{key}`");
    let mut homes = Table::ALL.iter().filter(|other| other.keys().iter().any(|known| known.name == key));
    let hint = match (nearest(key, kind.keys().iter().map(|known| known.name)), homes.next()) {
        (_, Some(home)) => format!("`{key}` belongs in {}", home.header()),
        (Some(near), None) => format!("did you mean `{near}`?"),
        // A longer list is no hint.
        (None, None) if kind.keys().len() > 8 => {
            format!("the keys of {} are in docs/configuration.md", kind.header())
        }
        (None, None) => {
            let all =
                kind.keys().iter().map(|known| format!("`{}`", known.name)).collect::<Vec<_>>().join(", ");
            format!("it has {all}")
        }
    };
    notes.error(Mistake::Unknown, span, message, hint);
}
