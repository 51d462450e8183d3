//! A whole file, or a folder without one, from as written to as meant: reads it, walks its tables and compares what
//! they say with each other; it knows no single key.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::address::default_listen;
use super::diagnostic::{Diagnostic, Kind as Mistake, Report};
use super::disk::Base;
use super::keys::Table;
use super::listen;
use super::meant::{AccessLog, Config, Listener, Route};
use super::meant_back::Pool;
use super::nearest::nearest;
use super::notes::{Bytes, Notes};
use super::pool;
use super::route::{self, Pools};
use super::section::Section;

/// The name of the file that is looked for in a folder.
pub const FILE_NAME: &str = "gatebridge.toml";

/// The longest configuration file, in bytes: tens of thousands of routes fit, and a file without an end, such as
/// `/dev/zero`, does not fill the memory of a gateway that reloads.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Reads a configuration file.
///
/// The report beside the configuration holds warnings only, and often nothing.
///
/// # Errors
///
/// The file cannot be read, or has mistakes: every one of them is in the report, and the file is refused whole.
pub fn load(file: &Path) -> Result<(Config, Report), Report> {
    load_for(Whose::Program, file)
}

/// The same for a gateway inside another program, see [`parse_embedded`].
///
/// # Errors
///
/// As [`load`].
pub fn load_embedded(file: &Path) -> Result<(Config, Report), Report> {
    load_for(Whose::Embedder, file)
}

fn load_for(whose: Whose, file: &Path) -> Result<(Config, Report), Report> {
    let bytes = read_bounded(file).map_err(|error| unreadable(file, &error))?;
    match String::from_utf8(bytes) {
        Ok(source) => parse_for(whose, file, &source),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let source = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let diagnostic =
                Diagnostic::error(Mistake::File, at..at + 1, "the file is not UTF-8 from here on")
                    .hint("save it as UTF-8");
            Err(Report::new(file.to_owned(), source, vec![diagnostic]))
        }
    }
}

/// What `gatebridge serve PLACE` means: a file is loaded; a folder is served by its `gatebridge.toml` if there is
/// one, else its `cgi-bin` at `/cgi-bin/` and its `public` at `/`. Without a place, the current folder is meant.
///
/// # Errors
///
/// As [`load`]; or the folder has nothing to serve.
pub fn open(place: Option<&Path>) -> Result<(Config, Report), Report> {
    let place = place.unwrap_or(Path::new("."));
    if !place.is_dir() {
        return load(place);
    }
    let file = if place == Path::new(".") { PathBuf::from(FILE_NAME) } else { place.join(FILE_NAME) };
    // Something of that name that cannot be read is a mistake to tell, not a reason to serve something else.
    match std::fs::symlink_metadata(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => for_folder(place),
        _ => load(&file),
    }
}

/// The configuration of a folder without a file.
fn for_folder(folder: &Path) -> Result<(Config, Report), Report> {
    let mut text = String::new();
    let has = |name: &str| folder.join(name).is_dir();
    if !has("cgi-bin") && !has("public") {
        let message = format!("there is nothing to serve in {}", folder.display());
        let hint =
            format!("make a folder cgi-bin with an executable in it, a folder public, or a {FILE_NAME}");
        let diagnostic = Diagnostic::about_file(Mistake::File, message).hint(hint);
        return Err(Report::unreadable(folder.to_owned(), diagnostic));
    }
    if has("cgi-bin") {
        text.push_str("[[route]]\npath = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\n");
    }
    let start = if has("public") { "files = \"public\"" } else { "page = \"index\"" };
    text.push_str(&format!("[[route]]\npath = \"/\"\n{start}\n"));
    let (mut config, report) = parse(&folder.join(FILE_NAME), &text)?;
    config.file = None;
    Ok((config, report))
}

/// Reads the text of a configuration file; relative paths start at the folder of `file`, which need not exist.
///
/// # Errors
///
/// The text has mistakes: every one of them is in the report.
pub fn parse(file: &Path, source: &str) -> Result<(Config, Report), Report> {
    parse_for(Whose::Program, file, source)
}

/// The same for a gateway inside another program, which has a say of its own: what that program mounts need not be in the
/// configuration, so routes may be missing; without `[[listen]]` there are no listeners; and without `log.access` there is
/// no access log, because standard output is not ours.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_embedded(file: &Path, source: &str) -> Result<(Config, Report), Report> {
    parse_for(Whose::Embedder, file, source)
}

/// Whose gateway a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// `gatebridge serve`, which has nothing but its configuration.
    Program,
    /// A program with a gateway inside.
    Embedder,
}

fn parse_for(whose: Whose, file: &Path, source: &str) -> Result<(Config, Report), Report> {
    let (document, errors) = DeTable::parse_recoverable(source);
    let notes = Notes::new(source, syntax_errors(source, &errors));
    let config = read(whose, file, document.get_ref(), &notes);
    let refused = notes.any_error();
    let report = Report::new(file.to_owned(), source.to_owned(), notes.into_diagnostics());
    if refused { Err(report) } else { Ok((config, report)) }
}

/// The mistakes of TOML itself, in our words where the parser's would mislead.
fn syntax_errors(source: &str, errors: &[toml::de::Error]) -> Vec<Diagnostic> {
    errors.iter().filter_map(|error| syntax_error(source, error, errors.len() > 1)).collect()
}

fn syntax_error(source: &str, error: &toml::de::Error, others: bool) -> Option<Diagnostic> {
    let span = error.span().unwrap_or(0..0);
    let line_start = source.get(..span.start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let before = &source[line_start..span.start];
    let after = source[span.start..].lines().next().unwrap_or_default();
    let message = error.message().trim().replace('\n', ", ");
    let (message, hint) = match message.as_str() {
        // A broken line makes the parser take the next header for a second one.
        "duplicate key" if others && before.starts_with("[[") => return None,
        "duplicate key" => (message, "a key or table can be written once"),
        _ if before.trim_end().ends_with('=')
            && after.split('#').next().unwrap_or_default().trim().is_empty() =>
        {
            ("there is no value behind the equals sign".to_owned(), "write one, or remove the key")
        }
        text if text.contains("must be quoted") => {
            ("a value without quotes".to_owned(), "write a string in quotes")
        }
        text if text.contains("unclosed table") => (message, "close the header with ] (or ]] for a list)"),
        text if text.contains("basic string") => {
            (message, "close the string with a quotation mark on the same line")
        }
        _ => (message, "this is not TOML; see https://toml.io"),
    };
    Some(Diagnostic::error(Mistake::Syntax, span, message).hint(hint))
}

fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is longer than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

fn unreadable(file: &Path, error: &io::Error) -> Report {
    let message = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "the file may not be read".to_owned(),
        io::ErrorKind::IsADirectory => "this is a folder".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    };
    let hint = match error.kind() {
        io::ErrorKind::IsADirectory => {
            format!("name the file in it, for example {}", file.join(FILE_NAME).display())
        }
        io::ErrorKind::PermissionDenied => {
            "give the user that runs gatebridge the right to read it".to_owned()
        }
        _ => "check the name; a relative one starts at the current folder".to_owned(),
    };
    Report::unreadable(file.to_owned(), Diagnostic::about_file(Mistake::File, message).hint(hint))
}

/// The absolute folder of a file.
fn folder_of(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

fn read(whose: Whose, file: &Path, document: &DeTable<'_>, notes: &Notes<'_>) -> Config {
    let base = Base::new(folder_of(file), notes);
    note_unknown_tables(document, notes);
    let listeners = read_listeners(whose, document, &base, notes);
    let empty = DeTable::new();
    let one = |kind, name| one_table(document, &empty, kind, name, notes);
    let server = listen::server(&one(Table::Server, "server"), &base);
    let section = one(Table::Log, "log");
    let mut log = listen::log(&section, &base);
    if whose == Whose::Embedder && section.key_span("access").is_none() {
        log.access = AccessLog::Off;
    }
    let pools = read_pools(document, &base, notes);
    let routes = read_routes(whose, document, &base, &pools, notes);
    Config {
        file: Some(file.to_owned()),
        folder: base.folder,
        listeners,
        server,
        log,
        pools: pools.into_iter().filter_map(|entry| entry.pool).map(Arc::new).collect(),
        routes: routes.into_iter().map(Arc::new).collect(),
    }
}

const TABLES: [(&str, Table); 5] = [
    ("listen", Table::Listen),
    ("server", Table::Server),
    ("log", Table::Log),
    ("pool", Table::Pool),
    ("route", Table::Route),
];

fn note_unknown_tables(document: &DeTable<'_>, notes: &Notes<'_>) {
    for (key, value) in document.iter() {
        let name = key.get_ref().as_ref();
        if TABLES.iter().any(|(table, _)| *table == name) {
            continue;
        }
        let is_table = value.get_ref().is_table() || value.get_ref().is_array();
        let home = Table::ALL.iter().find(|table| table.keys().iter().any(|known| known.name == name));
        let near = nearest(name, TABLES.iter().map(|(table, _)| *table));
        let near = near.and_then(|near| TABLES.iter().find(|(table, _)| *table == near));
        let hint = match (home, near) {
            (Some(home), _) if !is_table => format!("`{name}` belongs in {}", home.header()),
            (_, Some((_, near))) => format!("did you mean {}?", near.header()),
            _ => {
                let is_top = |table: &Table| *table != Table::Workers;
                let all: Vec<_> = Table::ALL.into_iter().filter(is_top).map(Table::header).collect();
                let all = all.join(", ");
                format!("a file has {all}")
            }
        };
        let what = if is_table { "table" } else { "key" };
        notes.error(Mistake::Unknown, &key.span(), format!("there is no {what} `{name}` here"), hint);
    }
}

/// `[server]` or `[log]`, empty if it was not written.
fn one_table<'t, 'n>(
    document: &'t DeTable<'t>,
    empty: &'t DeTable<'t>,
    kind: Table,
    name: &str,
    notes: &'n Notes<'n>,
) -> Section<'t, 'n> {
    let title = kind.header().to_owned();
    let Some(value) = document.get(name) else { return Section::open(kind, title, empty, 0..0, notes) };
    let table = value.get_ref().as_table();
    if table.is_none() {
        let hint = format!("write {} once", kind.header());
        notes.error(Mistake::Value, &value.span(), format!("`{name}` is one table"), hint);
    }
    Section::open(kind, title, table.unwrap_or(empty), value.span(), notes)
}

/// The tables of `[[listen]]` or `[[route]]`, each with its header.
fn many_tables<'t, 'n>(
    document: &'t DeTable<'t>,
    kind: Table,
    name: &str,
    notes: &'n Notes<'n>,
) -> Vec<Section<'t, 'n>> {
    let Some(value) = document.get(name) else { return Vec::new() };
    let items: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => vec![value],
    };
    let alone = !value.get_ref().is_array();
    let mut sections = Vec::new();
    for item in items {
        let table = item.get_ref().as_table();
        if alone || table.is_none() {
            let message = format!("`{name}` is a list of tables");
            let hint = format!("write {} with double brackets, once for each", kind.header());
            notes.error(Mistake::Value, &item.span(), message, hint);
        }
        if let Some(table) = table {
            sections.push(Section::open(kind, kind.header().to_owned(), table, item.span(), notes));
        }
    }
    sections
}

fn read_listeners(whose: Whose, document: &DeTable<'_>, base: &Base<'_>, notes: &Notes<'_>) -> Vec<Listener> {
    let sections = many_tables(document, Table::Listen, "listen", notes);
    let read: Vec<(Listener, Bytes)> = sections
        .iter()
        .filter_map(|section| {
            let listener = listen::listener(section, base)?;
            section.key_span("address").map(|_| (listener, section.value_span("address")))
        })
        .collect();
    listen::conflicts(&read, notes);
    if sections.is_empty() && whose == Whose::Program {
        return vec![Listener::at(default_listen())];
    }
    read.into_iter().map(|(listener, _)| listener).collect()
}

/// A pool of the file: its name, its header, and what it is if that could be told.
struct PoolEntry {
    name: String,
    span: Bytes,
    pool: Option<Pool>,
}

fn read_pools(document: &DeTable<'_>, base: &Base<'_>, notes: &Notes<'_>) -> Vec<PoolEntry> {
    let Some(value) = document.get("pool") else { return Vec::new() };
    let Some(pools) = value.get_ref().as_table() else {
        notes.error(
            Mistake::Value,
            &value.span(),
            "`pool` is a table of tables",
            "write [pool.NAME] for each",
        );
        return Vec::new();
    };
    let mut entries = Vec::new();
    for (key, value) in pools.iter() {
        let name = key.get_ref().clone().into_owned();
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("`{name}` stands in [pool], where only tables are");
            notes.error(Mistake::Value, &key.span(), message, "give the pool a name: [pool.NAME]");
            continue;
        };
        let section = Section::open(Table::Pool, format!("[pool.{name}]"), table, value.span(), notes);
        let pool = pool::pool(&name, &section, base);
        entries.push(PoolEntry { name, span: value.span(), pool });
    }
    entries
}

fn read_routes(
    whose: Whose,
    document: &DeTable<'_>,
    base: &Base<'_>,
    entries: &[PoolEntry],
    notes: &Notes<'_>,
) -> Vec<Route> {
    let sections = many_tables(document, Table::Route, "route", notes);
    let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    let read: Vec<Pool> = entries.iter().filter_map(|entry| entry.pool.clone()).collect();
    let pools = Pools { read: &read, names: &names };
    let mut routes: Vec<(Route, Bytes)> = Vec::new();
    for section in &sections {
        let Some(route) = route::route(section, base, &pools) else { continue };
        let same = |other: &Route| other.prefix == route.prefix && other.host == route.host;
        let span = section.value_span("path");
        if let Some((_, first)) = routes.iter().find(|(other, _)| same(other)) {
            let message = format!(
                "the route {} is there twice; the first is in line {}",
                route.name(),
                notes.line(first)
            );
            let hint = "remove one, or give one another path or host";
            notes.error(Mistake::Conflict, &span, message, hint);
        }
        routes.push((route, span));
    }
    if whose == Whose::Program && sections.is_empty() && document.get("route").is_none() {
        let hint = "add one: [[route]], with a `path` and one of `cgi`, `pool`, `files` and `page`";
        notes.if_whole(
            Diagnostic::about_file(Mistake::Missing, "there is no route, so nothing could be called")
                .hint(hint),
        );
    }
    note_unused_pools(entries, &sections, notes);
    routes.into_iter().map(|(route, _)| route).collect()
}

fn note_unused_pools(entries: &[PoolEntry], routes: &[Section<'_, '_>], notes: &Notes<'_>) {
    let used = |name: &str| {
        let named = |section: &Section<'_, '_>| {
            section.value("pool").and_then(|value| value.get_ref().as_str()).is_some_and(|pool| pool == name)
        };
        routes.iter().any(named)
    };
    for entry in entries.iter().filter(|entry| !used(&entry.name)) {
        let message = format!("no route uses the pool \"{}\"", entry.name);
        let hint = "add pool = to a route, or remove the pool";
        notes.if_whole(Diagnostic::warning(Mistake::Dangling, entry.span.clone(), message).hint(hint));
    }
}
