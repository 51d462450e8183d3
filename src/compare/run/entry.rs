//! Entrants as people write them on a command line: `[NAME=]COMMAND` and `NAME=URL`. It looks up programs and hosts, and
//! starts nothing.

use std::net::ToSocketAddrs as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::plan::{Entrant, Url, Way};
use crate::compare::findings::Mode;

/// Why somebody cannot enter: what was written, what is wrong, what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EntryError(String);

/// One who wants to enter: a name, if one was written, and the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was written before `=`.
    pub name: Option<String>,
    /// How it is run.
    pub way: Way,
}

impl Entry {
    /// Reads `[NAME=]COMMAND`: a program with arguments, split at blanks as a shell would, with quotes and backslashes and
    /// nothing else of a shell.
    ///
    /// # Errors
    /// When a quote is open, or there is no such program.
    pub fn command(text: &str, way: fn(Vec<String>) -> Way) -> Result<Self, EntryError> {
        let (name, command) = split_name(text);
        let words = split_words(command)?;
        Self::words(name, words, way)
    }

    /// Reads a command that is in words already.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn words(
        name: Option<String>,
        mut words: Vec<String>,
        way: fn(Vec<String>) -> Way,
    ) -> Result<Self, EntryError> {
        let Some(first) = words.first_mut() else {
            return Err(EntryError("a command is missing: the path of a program".into()));
        };
        *first = find_program(first)?;
        Ok(Self { name, way: way(words) })
    }

    /// Reads `[NAME=]http://HOST[:PORT][/PATH]`.
    ///
    /// # Errors
    /// When it is no such URL, or nobody knows the host.
    pub fn url(text: &str) -> Result<Self, EntryError> {
        let (name, url) = split_name(text);
        let Some(rest) = url.strip_prefix("http://") else {
            let text = format!("{url:?} is no URL that can be asked: write NAME=http://HOST:PORT/PATH");
            return Err(EntryError(text));
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(at);
        let port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            ""
        } else {
            ":80"
        };
        let address = format!("{host}{port}").to_socket_addrs().ok().and_then(|mut found| found.next());
        let Some(address) = address else {
            return Err(EntryError(format!("{url:?}: there is no host {host:?}")));
        };
        let path = match path {
            "" | "/" => None,
            path if path.starts_with('/') => Some(path.to_owned()),
            query => Some(format!("/{query}")),
        };
        Ok(Self { name, way: Way::Url(Url { text: url.to_owned(), address, host: host.to_owned(), path }) })
    }
}

/// Gives each its names: those that were written; else the protocol's, with the program's before it when several speak that
/// protocol; with a number when that is not enough.
#[must_use]
pub fn entrants(entries: Vec<Entry>) -> Vec<Entrant> {
    let unnamed = |mode: Mode| {
        entries.iter().filter(|other| other.name.is_none() && mode_of(&other.way) == mode).count()
    };
    let mut found: Vec<Entrant> = Vec::new();
    for entry in &entries {
        let (mode, program) = (mode_of(&entry.way), program(&entry.way));
        let wanted = match &entry.name {
            Some(name) => name.clone(),
            None if unnamed(mode) == 1 && mode != Mode::Url => mode.label().to_owned(),
            None if mode == Mode::Url => program.clone(),
            None => format!("{program} {}", mode.label()),
        };
        let taken = |name: &str| found.iter().any(|other| other.name == name);
        let numbered = (2..).map(|number| format!("{wanted} {number}"));
        let name = std::iter::once(wanted.clone()).chain(numbered).find(|name| !taken(name));
        found.push(Entrant { name: name.unwrap_or(wanted), program, way: entry.way.clone() });
    }
    found
}

fn mode_of(way: &Way) -> Mode {
    Entrant { name: String::new(), program: String::new(), way: way.clone() }.mode()
}

/// By what name programs are taken to be the same: the file's, or that of the script that an interpreter runs.
fn program(way: &Way) -> String {
    let words = match way {
        Way::Cgi(words) | Way::Fastcgi(words) | Way::Scgi(words) => words,
        Way::InProcess => return "gatebridge-demo".to_owned(),
        Way::Url(url) => return url.host.clone(),
    };
    let file_name =
        |word: &String| Path::new(word).file_name().map(|name| name.to_string_lossy().into_owned());
    let script = words.get(1).filter(|word| Path::new(word).is_file());
    script.or(words.first()).and_then(file_name).unwrap_or_default()
}

/// `NAME=rest`, where NAME has no blank, slash or quote: those are already a command.
fn split_name(text: &str) -> (Option<String>, &str) {
    match text.split_once('=') {
        Some((name, rest))
            if !name.is_empty()
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+')) =>
        {
            (Some(name.to_owned()), rest)
        }
        _ => (None, text),
    }
}

/// Splits at blanks. Within '...' everything stands for itself, within "..." and elsewhere all but the backslash.
fn split_words(text: &str) -> Result<Vec<String>, EntryError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, blank) if blank.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    if let Some(quote) = quote {
        return Err(EntryError(format!("in the command {text:?} the quote {quote} is not closed")));
    }
    words.extend(word);
    Ok(words)
}

/// The absolute path of a program: without a slash it is searched in PATH, and then here.
fn find_program(word: &str) -> Result<String, EntryError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let searched =
        std::env::split_paths(&path).map(|folder| folder.join(word)).find(|path| is_executable(path));
    let found = match searched.filter(|_| !word.contains('/')) {
        Some(found) => found,
        None => std::path::absolute(word).unwrap_or_else(|_| PathBuf::from(word)),
    };
    if is_executable(&found) {
        return Ok(found.display().to_string());
    }
    let why = match std::fs::metadata(&found) {
        Ok(metadata) if metadata.is_dir() => "is a folder".to_owned(),
        Ok(_) => "may not be executed: chmod +x it".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match word.contains('/') {
            true => "does not exist".to_owned(),
            false => "is neither in PATH nor here".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    Err(EntryError(format!("the program {word:?} {why}")))
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_a_shell_would() {
        for (text, expected) in [
            ("", &[][..]),
            (" a  b ", &["a", "b"]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            ("a\\ b '\\' \"\\\"\" ''", &["a b", "\\", "\"", ""]),
            ("x'y'z $HOME *", &["xyz", "$HOME", "*"]),
        ] {
            assert_eq!(split_words(text).unwrap(), expected, "{text:?}");
        }
        assert!(split_words("a 'b").unwrap_err().to_string().contains("the quote ' is not closed"));
    }

    #[test]
    fn a_name_is_what_cannot_be_a_command() {
        for (text, name, rest) in [
            ("a=b", Some("a"), "b"),
            ("php-8.2=php-cgi -d x=y", Some("php-8.2"), "php-cgi -d x=y"),
            ("php-cgi -d x=y", None, "php-cgi -d x=y"),
            ("./a=b", None, "./a=b"),
            ("=b", None, "=b"),
        ] {
            assert_eq!(split_name(text), (name.map(str::to_owned), rest), "{text:?}");
        }
    }

    #[test]
    fn a_program_is_found_or_it_is_told_why_not() {
        assert!(find_program("sh").unwrap().ends_with("/sh"));
        assert_eq!(find_program("/bin/sh").unwrap(), "/bin/sh");
        let told = |word| find_program(word).unwrap_err().to_string();
        assert_eq!(told("/nonexistent/x"), "the program \"/nonexistent/x\" does not exist");
        assert_eq!(told("no-such-program"), "the program \"no-such-program\" is neither in PATH nor here");
        assert_eq!(told("/bin/"), "the program \"/bin/\" is a folder");
        assert_eq!(told("/etc/passwd"), "the program \"/etc/passwd\" may not be executed: chmod +x it");
        assert!(Entry::command("a=", Way::Cgi).unwrap_err().to_string().contains("a command is missing"));
    }

    #[test]
    fn urls_are_of_http() {
        let url = |text| match Entry::url(text).unwrap() {
            Entry { name, way: Way::Url(url) } => (name, url.address.to_string(), url.host, url.path),
            other => panic!("{other:?}"),
        };
        let own = |text: &str| text.to_owned();
        assert_eq!(
            url("a=http://127.0.0.1:8080"),
            (Some(own("a")), own("127.0.0.1:8080"), own("127.0.0.1:8080"), None)
        );
        assert_eq!(url("http://127.0.0.1/x?y=z").3, Some(own("/x?y=z")));
        assert_eq!(url("http://[::1]?y").1, "[::1]:80");
        assert_eq!(url("http://127.0.0.1?y").3, Some(own("/?y")));
        assert!(Entry::url("a=https://x/").unwrap_err().to_string().contains("is no URL that can be asked"));
        assert!(Entry::url("http://:x/").unwrap_err().to_string().contains("no host"));
    }

    #[test]
    fn names_are_short_and_no_two_are_equal() {
        let entry = |text, way| Entry::command(text, way).unwrap();
        let names =
            |entries| -> Vec<String> { entrants(entries).into_iter().map(|entrant| entrant.name).collect() };
        let (cgi, fast) = (entry("/bin/sh", Way::Cgi), entry("/bin/sh", Way::Fastcgi));
        assert_eq!(names(vec![cgi.clone(), fast.clone()]), ["CGI", "FastCGI"]);
        let other = entry("/bin/true", Way::Cgi);
        assert_eq!(names(vec![cgi.clone(), other, fast]), ["sh CGI", "true CGI", "FastCGI"]);
        let named = entry("a=/bin/sh", Way::Cgi);
        assert_eq!(names(vec![named.clone(), cgi.clone(), named]), ["a", "CGI", "a 2"]);
        assert_eq!(names(vec![cgi.clone(), cgi]), ["sh CGI", "sh CGI 2"]);
        assert_eq!(names(vec![Entry::url("http://127.0.0.1:1").unwrap()]), ["127.0.0.1:1"]);
    }

    #[test]
    fn a_script_of_an_interpreter_is_the_program() {
        let program = |text: &str| entrants(vec![Entry::command(text, Way::Cgi).unwrap()]).remove(0).program;
        assert_eq!(program("/bin/sh"), "sh");
        assert_eq!(program("/bin/sh -c x"), "sh");
        assert_eq!(program("/bin/sh /etc/passwd"), "passwd");
    }
}
