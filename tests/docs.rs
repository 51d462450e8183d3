//! The documents against the repository: links, files and tests that they name, sections that they cite, examples; it
//! knows what a document points at, not what it says.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod tree;

use std::collections::BTreeSet;
use std::path::Path;

use tree::{File, files, line_of, root};

fn none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn document(path: &str) -> File {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    File { path: path.to_owned(), text }
}

/// The anchors that a reader of Markdown makes of the headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| -> String {
        let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        heading.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    headings.map(slug).collect()
}

#[test]
fn links_lead_somewhere() {
    let (mut found, mut seen) = (Vec::new(), 0);
    for file in files(".md") {
        for (at, _) in file.text.match_indices("](") {
            let target = file.text[at + 2..].split(')').next().unwrap();
            if target.contains("://") || target.contains(' ') {
                continue;
            }
            seen += 1;
            let (path, anchor) =
                target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let folder = root().join(&file.path).parent().unwrap().to_owned();
            let place = if path.is_empty() { root().join(&file.path) } else { folder.join(path) };
            let line = line_of(&file.text, at);
            if !place.exists() {
                found.push(format!("{}:{line}: {target} is not there: correct the link", file.path));
            } else if let Some(anchor) = anchor
                && !anchors(&std::fs::read_to_string(&place).unwrap()).iter().any(|known| known == anchor)
            {
                found.push(format!("{}:{line}: {target}: no such heading: correct the link", file.path));
            }
        }
    }
    assert!(seen > 20, "only {seen} links were recognised: the test is blind");
    none(found);
}

/// What stands between backticks in the rows of tables.
fn quoted(row: &str) -> Vec<&str> {
    row.split('`').skip(1).step_by(2).collect()
}

/// The names of all functions that the tests are made of.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files(".rs") {
        for after in file.text.split("fn ").skip(1) {
            names.insert(after.chars().take_while(|c| *c == '_' || c.is_alphanumeric()).collect());
        }
        // Where a test has no harness, its name is a string.
        for name in file.text.split('"').filter(|text| text.starts_with("lesson_")) {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn conformance_names_files_and_tests_that_exist() {
    let (table, known) = (document("docs/conformance.md"), functions());
    let (mut found, mut seen) = (Vec::new(), 0);
    let end = table.text.find("## Deliberately different").unwrap();
    let rules = table.text.find("## Rules").unwrap();
    for (index, line) in table.text.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
        let at = table.text.find(line).unwrap();
        if (end..rules).contains(&at) {
            continue;
        }
        if at > rules && !line.starts_with("| | ") && !line.trim_end().ends_with("` |") {
            found.push(format!(
                "docs/conformance.md:{}: a rule without a test: write one and name it",
                index + 1
            ));
        }
        // The requirement itself may quote what it likes.
        let checked = if at < rules { 2 } else { 1 };
        for name in
            line.split(" | ").collect::<Vec<_>>().iter().rev().take(checked).flat_map(|cell| quoted(cell))
        {
            seen += 1;
            let is_file = name.contains('/');
            let exists = if is_file { root().join(name).is_file() } else { known.contains(name) };
            if !exists {
                found.push(format!(
                    "docs/conformance.md:{}: {name} does not exist: it was renamed or removed; name what took its place",
                    index + 1
                ));
            }
        }
    }
    assert!(seen > 250, "only {seen} names were recognised: the test is blind");
    none(found);
}

#[test]
fn every_rule_that_a_test_names_is_in_the_table() {
    let table = document("docs/conformance.md");
    let rules = &table.text[table.text.find("## Rules").unwrap()..];
    let mut found = Vec::new();
    for name in functions().iter().filter(|name| name.contains("lesson_") || name.contains("lessons_")) {
        let tail = name.split("lesson").nth(1).unwrap().trim_start_matches(['s', '_']);
        let number: String = tail.chars().take_while(char::is_ascii_digit).collect();
        let row = format!("\n| {} | ", number.trim_start_matches('0'));
        if !number.is_empty() && !rules.contains(&row) {
            found.push(format!("docs/conformance.md: no rule {number}, which {name} tests: add its row"));
        }
    }
    none(found);
}

/// The sections that a standard has, as numbers and ranges of their last part.
const SECTIONS: [(&str, &str); 5] = [
    (
        "RFC 3875",
        "1-11 1.1-4 2.1-3 3.1-4 4.1-4 4.1.1-18 4.3.1-4 5.1-2 6.1-4 6.2.1-4 6.3.1-5 7.1-3 8.1-2 9.1-9",
    ),
    ("FastCGI 1.0", "1-8 2.1-3 3.1-5 4.1-2 5.1-5 6.1-4"),
    (
        "RFC 3986",
        "1-10 1.1-3 1.1.1-3 1.2.1-3 2.1-5 3.1-5 3.2.1-3 4.1-5 5.1-4 5.1.1-4 5.2.1-4 5.4.1-2 6.1-2 6.2.1-4 6.2.2.1-3 7.1-6",
    ),
    (
        "RFC 9110",
        "1-19 1.1-4 2.1-5 3.1-9 4.1-3 4.2.1-5 4.3.1-5 5.1-6 5.6.1-7 5.6.1.1-2 6.1-6 6.4.1-2 6.5.1-2 6.6.1-2 7.1-8 \
         7.3.1-4 7.6.1-3 8.1-8 8.3.1-3 8.4.1-1 8.8.1-4 9.1-3 9.2.1-3 9.3.1-8 10.1-2 10.1.1-6 10.2.1-4 11.1-7 \
         12.1-5 12.5.1-5 13.1-2 13.1.1-5 13.2.1-2 14.1-6 15.1-6 15.2.1-2 15.3.1-7 15.4.1-9 15.5.1-22 15.6.1-6 17.1-17",
    ),
    ("RFC 9112", "1-12 1.1-2 2.1-3 3.1-3 3.2.1-4 5.1-2 6.1-3 7.1-4 7.1.1-3 9.1-8 9.3.1-2 10.1-2 11.1-4"),
];

fn has_section(sections: &str, section: &str) -> bool {
    let (parent, last) = section.rsplit_once('.').map_or(("", section), |(parent, last)| (parent, last));
    let last: u32 = last.parse().unwrap();
    sections.split_whitespace().any(|range| {
        let (first, end) = range.rsplit_once('-').unwrap();
        let (of, first) = first.rsplit_once('.').unwrap_or(("", first));
        of == parent && (first.parse().unwrap()..=end.parse().unwrap()).contains(&last)
    })
}

#[test]
fn cited_sections_exist() {
    let (mut found, mut seen) = (Vec::new(), 0);
    for file in files(".rs").into_iter().chain(files(".md")) {
        for (standard, sections) in SECTIONS {
            for (at, _) in file.text.match_indices(standard) {
                let rest = file.text[at + standard.len()..].trim_start_matches([' ', ',']);
                let rest = rest.strip_prefix("section ").unwrap_or(rest);
                let section: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
                let section = section.trim_end_matches('.');
                if section.is_empty() {
                    continue;
                }
                seen += 1;
                if !has_section(sections, section) {
                    let line = line_of(&file.text, at);
                    found.push(format!(
                        "{}:{line}: {standard} has no section {section}: look it up",
                        file.path
                    ));
                }
            }
        }
    }
    assert!(seen > 150, "only {seen} citations were recognised: the test is blind");
    none(found);
}

#[test]
fn sections_are_told_from_what_is_none() {
    let rfc_3875 = SECTIONS[0].1;
    for (section, exists) in
        [("4.1.18", true), ("4.1.19", false), ("6", true), ("12", false), ("7.2", true), ("7.2.1", false)]
    {
        assert_eq!(has_section(rfc_3875, section), exists, "{section}");
    }
}

#[test]
fn the_examples_of_the_readme_are_read() {
    let texts = ["README.md", "docs/interface.md"].map(|path| document(path).text).concat();
    let mut seen = 0;
    for block in texts.split("```toml\n").skip(1) {
        let source = block.split("```").next().unwrap();
        let is_for_cargo = ["[dependencies]", "[profile."].iter().any(|start| source.starts_with(start));
        if is_for_cargo {
            continue;
        }
        seen += 1;
        let Err(report) = gatebridge::config::parse(Path::new("example/gatebridge.toml"), source) else {
            continue;
        };
        for diagnostic in report.diagnostics() {
            // The folders and programs of an example are not on this machine.
            assert_eq!(diagnostic.kind, gatebridge::config::Kind::Disk, "{report}");
        }
    }
    assert!(seen >= 7, "only {seen} examples were found");
}

#[test]
fn what_the_tutorial_shows_of_an_example_is_in_it() {
    let tutorial = document("docs/interface.md");
    let (mut shown, mut found, mut seen) = (String::new(), Vec::new(), 0);
    // Text and blocks take turns.
    for (index, part) in tutorial.text.split("```").enumerate() {
        if index % 2 == 0 {
            let part = part.replace('\n', " ");
            shown =
                part.rsplit_once("From [").map_or(shown, |(_, link)| link.split(']').next().unwrap().into());
            continue;
        }
        let (kind, code) = part.split_once('\n').unwrap();
        // The others are documentation tests, see src/lib.rs.
        let is_taken = kind == "rust,ignore" || code.contains("/// Says the same to everybody.");
        if !is_taken {
            continue;
        }
        seen += 1;
        if !document(&shown).text.contains(code) {
            found.push(format!(
                "docs/interface.md: {shown} does not have this any more: show it as it is now\n{code}"
            ));
        }
    }
    assert!(seen >= 4, "only {seen} were recognised: the test is blind");
    none(found);
}

#[test]
fn messages_that_are_explained_are_written_by_the_code() {
    let operations = document("docs/operations.md").text;
    let table = operations.split("## Troubleshooting").nth(1).unwrap().split("\n## ").next().unwrap();
    // As the compiler reads it: without the line breaks of long strings.
    let sources = files(".rs")
        .into_iter()
        .filter(|file| !file.is_test())
        .map(|file| file.text.split("\\\n").map(str::trim_start).collect::<String>());
    let sources: String = sources.collect();
    let (mut found, mut seen) = (Vec::new(), 0);
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let message = quoted(row)[0];
        for part in message.split("...").map(|part| part.trim_matches([' ', ':', ';', ','])) {
            seen += 1;
            let is_written = part.split(": ").all(|half| sources.contains(half));
            if !is_written {
                found.push(format!(
                    "docs/operations.md: no message has {part:?}: write {message:?} as it is now"
                ));
            }
        }
    }
    assert!(seen > 25, "only {seen} parts were recognised: the test is blind");
    none(found);
}

#[test]
fn the_status_table_knows_every_page() {
    let operations = document("docs/operations.md").text;
    let table =
        &operations[operations.find("## What answers what").unwrap()..operations.find("## Limits").unwrap()];
    let pages = document("src/front/http/refusal.rs").text;
    for line in pages.lines().map(str::trim) {
        let Some(status) = line.split_once(" => \"").map(|(status, _)| status).filter(|text| text.len() == 3)
        else {
            continue;
        };
        assert!(
            table.contains(status),
            "docs/operations.md: {status} is answered and not in the table of statuses"
        );
    }
}
