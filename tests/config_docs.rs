//! `docs/configuration.md` against the table of keys, both ways, and its examples against the reader; it knows
//! nothing of the text between the tables.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

use gatebridge::config::{self, Kind, Only, Table};

const DOCUMENT: &str = include_str!("../docs/configuration.md");

/// A row of a table of the reference.
#[derive(Debug)]
struct Row {
    /// The heading of the second level that it stands under, without its marks: `[[listen]]`.
    table: String,
    /// The heading of the third level, empty if there is none since.
    only: String,
    cells: Vec<String>,
}

fn rows() -> Vec<Row> {
    let (mut table, mut only, mut rows) = (String::new(), String::new(), Vec::new());
    for line in DOCUMENT.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            table = heading.trim_matches('`').to_owned();
            only.clear();
        } else if let Some(heading) = line.strip_prefix("### ") {
            only = heading.to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells = format!("`{row}");
            let cells = cells.trim_end_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
            rows.push(Row { table: table.clone(), only: only.clone(), cells });
        }
    }
    rows
}

#[test]
fn every_key_is_documented_with_its_type_and_default() {
    let rows = rows();
    for table in Table::ALL {
        for key in table.keys() {
            let name = format!("`{}`", key.name);
            let place = format!("{} {name}", table.header());
            let mut found = rows.iter().filter(|row| row.table == table.header() && row.cells[0] == name);
            let row = found.next().unwrap_or_else(|| panic!("{place} is not in docs/configuration.md"));
            assert!(found.next().is_none(), "{place} is documented twice");
            let default = key.preset.to_string().replace(env!("CARGO_PKG_VERSION"), "VERSION");
            assert_eq!(row.cells[1], key.kind.to_string(), "{place}: its type");
            assert_eq!(row.cells[2], default, "{place}: its default");
            assert!(row.cells[3].len() > 10 && row.cells[3].ends_with(['.', ')']), "{place}: its meaning");
            let only = match key.only {
                Only::Any => String::new(),
                only => format!("Only for {}", only.words()),
            };
            assert_eq!(row.only, only, "{place}: the heading that it stands under");
        }
    }
}

#[test]
fn nothing_is_documented_that_does_not_exist() {
    for row in rows() {
        let table = Table::ALL.into_iter().find(|table| table.header() == row.table);
        let table = table.unwrap_or_else(|| panic!("there is no table {}", row.table));
        let known = table.keys().iter().any(|key| format!("`{}`", key.name) == row.cells[0]);
        assert!(known, "{} has no key {}", row.table, row.cells[0]);
    }
}

/// The fenced blocks of a language, each with the line that it starts in.
fn blocks(language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, usize, String)> = None;
    for (index, line) in DOCUMENT.lines().enumerate() {
        open = match (open.take(), line.strip_prefix("```")) {
            (None, Some(info)) => Some((info == language, index + 2, String::new())),
            (None, None) => None,
            (Some((wanted, start, text)), Some(_)) => {
                if wanted {
                    blocks.push((start, text));
                }
                None
            }
            (Some((wanted, start, text)), None) => Some((wanted, start, format!("{text}{line}\n"))),
        };
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

#[test]
fn every_example_is_read() {
    let examples = blocks("toml");
    assert!(examples.len() >= 9, "only {} examples were found", examples.len());
    for (line, mut source) in examples {
        if !source.contains("[[route]]") {
            source.push_str("[[route]]\npath = \"/\"\nfiles = \".\"\n");
        }
        let Err(report) = config::parse(Path::new("example/gatebridge.toml"), &source) else { continue };
        // The folders and programs of an example are not on this machine.
        for diagnostic in report.diagnostics() {
            assert_eq!(diagnostic.kind, Kind::Disk, "the example in line {line}: {report}");
        }
    }
}

#[test]
fn the_report_of_the_documentation_is_what_a_person_gets() {
    let source = "[[route]]\npath = \"/\"\nfiles = \".\"\ntimeuot = \"5m\"\n";
    let report = config::parse(Path::new("gatebridge.toml"), source).map(|_| ()).unwrap_err().to_string();
    assert!(blocks("text").iter().any(|(_, text)| *text == report), "{report}");
}

#[test]
fn links_within_the_document_lead_somewhere() {
    let anchors: Vec<String> = DOCUMENT
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| heading.replace(' ', "-").replace(|c: char| !c.is_alphanumeric() && c != '-', ""))
        .collect();
    for target in DOCUMENT.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(anchors.iter().any(|anchor| anchor == target), "#{target}");
    }
}
