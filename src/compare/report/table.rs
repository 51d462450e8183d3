//! A comparison for the terminal: figures in columns, then what they mean. It knows how wide a terminal is and how
//! colours are written, not whether there is one.

use std::ffi::OsStr;

use super::escape::{columns, cut, visible};
use super::sections::Section;
use super::{machine, method, title};
use crate::compare::findings::{Contestant, Findings};
use crate::compare::quantity::Quantity;
use crate::compare::verdict::{Verdicts, fastest};
use crate::compare::words;

/// What every terminal has, nearly: no line is longer.
pub const WIDTH: usize = 100;

/// The widest column of names.
const NAME_WIDTH: usize = 28;

/// Between columns.
const GAP: usize = 2;

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Bold headings, the fastest in green, warnings in yellow.
    Colours,
    /// Text alone.
    Plain,
}

impl Paint {
    /// Colours for a terminal, unless the variable NO_COLOR is there and not empty (<https://no-color.org>).
    ///
    /// ```
    /// use gatebridge::compare::report::table::Paint;
    ///
    /// assert_eq!(Paint::choose(true, None), Paint::Colours);
    /// assert_eq!(Paint::choose(true, Some("1".as_ref())), Paint::Plain);
    /// assert_eq!(Paint::choose(false, None), Paint::Plain);
    /// ```
    #[must_use]
    pub fn choose(is_terminal: bool, no_color: Option<&OsStr>) -> Self {
        let is_refused = no_color.is_some_and(|value| !value.is_empty());
        if is_terminal && !is_refused { Self::Colours } else { Self::Plain }
    }

    fn dress(self, code: &str, text: &str) -> String {
        match self {
            Self::Colours if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    fn heading(self, text: &str) -> String {
        self.dress("1", text)
    }

    fn best(self, text: &str) -> String {
        self.dress("32", text)
    }

    fn warning(self, text: &str) -> String {
        self.dress("33", text)
    }

    fn faint(self, text: &str) -> String {
        self.dress("2", text)
    }
}

/// The whole comparison, for people.
#[must_use]
pub fn table(findings: &Findings, paint: Paint) -> String {
    let verdicts = Verdicts::of(findings);
    let mut out = String::new();
    paragraph(&mut out, &visible(&words::headline(findings, &verdicts)), "", |line| paint.heading(line));
    out.push('\n');
    for section in Section::all(findings) {
        section.write(&mut out, findings, paint);
    }
    for sentence in words::conclusions(findings, &verdicts) {
        paragraph(&mut out, &visible(&sentence), "- ", str::to_owned);
    }
    for warning in words::warnings(&verdicts) {
        // What a program or its gateway said may have lines of its own.
        for (index, line) in warning.lines().enumerate() {
            let mark = if index == 0 { "! " } else { "    " };
            paragraph(&mut out, &visible(line), mark, |line| paint.warning(line));
        }
    }
    out.push('\n');
    paragraph(&mut out, &visible(&method(&findings.settings)), "", |line| paint.faint(line));
    paragraph(&mut out, &visible(&machine(findings)), "", |line| paint.faint(line));
    out
}

impl Section {
    /// Nothing at all when no contestant has a figure.
    fn write(&self, out: &mut String, findings: &Findings, paint: Paint) {
        if self.is_empty() {
            return;
        }
        let names: Vec<String> = findings.contestants.iter().map(name).collect();
        let name_width = names.iter().map(|name| columns(name)).chain([columns(&self.heading)]).max();
        let name_width = name_width.unwrap_or(0);
        let widths: Vec<Widths> = (0..self.columns.len()).map(|at| self.widths(at)).collect();
        let mut line = paint.heading(&padded(&self.heading, name_width));
        for (column, widths) in self.columns.iter().zip(&widths) {
            line.push_str(&" ".repeat(GAP + widths.all() - columns(column)));
            line.push_str(&paint.faint(column));
        }
        push_line(out, &line);
        let best = fastest(findings).map(|contestant| contestant.name.as_str());
        let rows = findings.contestants.iter().zip(&names).zip(&self.rows);
        for ((contestant, name), row) in rows.filter(|(_, row)| Self::has_figures(row)) {
            let name = padded(name, name_width);
            let is_best = best == Some(contestant.name.as_str()) && findings.contestants.len() > 1;
            let mut line = if is_best { paint.best(&name) } else { name };
            for (cell, widths) in row.iter().zip(&widths) {
                line.push_str(&" ".repeat(GAP));
                line.push_str(&widths.aligned(cell.as_ref()));
            }
            push_line(out, &line);
        }
        out.push('\n');
    }

    fn widths(&self, at: usize) -> Widths {
        let cells = || self.rows.iter().filter_map(|row| row.get(at)?.as_ref());
        let widest = |text: fn(&Quantity) -> usize| cells().map(text).max().unwrap_or(0);
        let number = widest(|cell| columns(&cell.number));
        let unit = widest(|cell| columns(cell.unit));
        let figures = number + unit + usize::from(unit > 0);
        let heading = self.columns.get(at).map_or(0, |column| columns(column));
        Widths { number: number + heading.saturating_sub(figures), unit }
    }
}

/// How wide a column is: its numbers to the right, its units to the left of their own part.
struct Widths {
    number: usize,
    unit: usize,
}

impl Widths {
    fn all(&self) -> usize {
        self.number + self.unit + usize::from(self.unit > 0)
    }

    fn aligned(&self, cell: Option<&Quantity>) -> String {
        let Some(cell) = cell else { return format!("{}-", " ".repeat(self.all().saturating_sub(1))) };
        let space = if self.unit > 0 { " " } else { "" };
        let before = " ".repeat(self.number.saturating_sub(columns(&cell.number)));
        format!("{before}{}{space}{}", cell.number, padded(cell.unit, self.unit))
    }
}

fn name(contestant: &Contestant) -> String {
    cut(&visible(&title(contestant)), NAME_WIDTH)
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(columns(text))))
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line.trim_end());
    out.push('\n');
}

/// Words, broken into lines of [`WIDTH`]; those after the first are indented by the width of the mark.
fn paragraph(out: &mut String, text: &str, mark: &str, dress: impl Fn(&str) -> String) {
    let mut line = String::new();
    let mut lead = mark.to_owned();
    let mut flush = |line: &mut String| {
        push_line(out, &dress(&format!("{lead}{line}")));
        lead = " ".repeat(columns(mark));
        line.clear();
    };
    let room = WIDTH - columns(mark);
    for word in text.split(' ') {
        if !line.is_empty() && columns(&line) + 1 + columns(word) > room {
            flush(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        // A word that is longer than a line fills lines of its own.
        for c in word.chars() {
            if columns(&line) + columns(c.encode_utf8(&mut [0; 4])) > room {
                flush(&mut line);
            }
            line.push(c);
        }
    }
    flush(&mut line);
}
