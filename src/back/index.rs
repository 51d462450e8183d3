//! The page that lists what can be called, with links: `page = "index"` of a route, and the start page of a folder
//! without a `public`. It does not know how any of it is run.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};

use crate::exchange::{Answer, Application, Failure, FailureKind, Request, Response};

/// More names than this are not listed: the page is for a person.
const MAX_NAMES: usize = 500;

/// One route that the page tells of.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its path, with the slash at its end if it is a folder of programs.
    pub path: String,
    /// What answers there, for people: `cgi-bin`, `pool hello`.
    pub what: String,
    /// The folder whose executables are listed one by one.
    pub folder: Option<PathBuf>,
}

/// The page that lists what can be called.
pub struct Index {
    routes: Vec<Listed>,
}

impl Index {
    /// A page that tells of these routes.
    #[must_use]
    pub const fn new(routes: Vec<Listed>) -> Self {
        Self { routes }
    }

    fn page(&self) -> String {
        let mut html = String::from(HEAD);
        for route in &self.routes {
            // Writing to a String cannot fail.
            let _ = route.write(&mut html);
        }
        if self.routes.is_empty() {
            html.push_str(
                "<p>Nothing yet. Make a folder <code>cgi-bin</code> and put an executable into it.</p>\n",
            );
        }
        html.push_str(FOOT);
        html
    }
}

impl Listed {
    fn write(&self, html: &mut String) -> std::fmt::Result {
        let path = escaped(&self.path);
        let Some(folder) = &self.folder else {
            return writeln!(html, "<h2><a href=\"{path}\">{path}</a></h2>\n<p>{}</p>", escaped(&self.what));
        };
        writeln!(html, "<h2>{path}</h2>\n<p>{}</p>\n<ul>", escaped(&self.what))?;
        for name in executables(folder) {
            let href = escaped(&percent_encoding::percent_encode(name.as_bytes(), UNSAFE).to_string());
            writeln!(html, "<li><a href=\"{path}{href}\">{}</a>", escaped(&name))?;
        }
        writeln!(html, "</ul>")
    }
}

impl Application for Index {
    fn call(&self, request: Request) -> Answer<'_> {
        let environ = &request.environ;
        let response = match (&*environ.path_info, &environ.method) {
            (b"/" | b"", &Method::GET | &Method::HEAD) => Ok(Response::html(StatusCode::OK, self.page())),
            (b"/" | b"", _) => Err(Failure::new(FailureKind::MethodNotAllowed, "GET, HEAD")),
            _ => {
                let path = String::from_utf8_lossy(&environ.path_info);
                Err(Failure::new(FailureKind::NotFound, format!("no route for \"{}\"", path.escape_debug())))
            }
        };
        request.exchange.note(|record| record.back = Some("index".into()));
        Box::pin(std::future::ready(response))
    }
}

/// The names of the executables right in a folder, sorted; a folder that cannot be read has none to tell of.
fn executables(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_program = |entry: &std::fs::DirEntry| {
        let hidden = entry.file_name().as_bytes().starts_with(b".");
        !hidden
            && std::fs::metadata(entry.path())
                .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    let mut names: Vec<String> = entries
        .filter(is_program)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .take(MAX_NAMES)
        .collect();
    names.sort();
    names
}

/// What must be encoded in a path component (RFC 3986 3.3: pchar stands for itself).
const UNSAFE: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'+')
    .remove(b'@');

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\"><title>gatebridge</title>\n\
    <style>body{font:16px/1.6 system-ui,sans-serif;margin:8vh auto;max-width:40em;padding:0 1em;color:#222;background:#fff}\
    h1{font-size:1.6em}h2{font-size:1.1em;margin:1.6em 0 0;font-family:ui-monospace,monospace}p{margin:.2em 0;color:#666}\
    ul{list-style:none;padding:0;columns:2}a{color:#0b57d0;text-decoration:none}a:hover{text-decoration:underline}\
    @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}p{color:#999}a{color:#8ab4f8}}</style>\n\
    <h1>gatebridge</h1>\n<p>It runs. This is what can be called here.</p>\n";

const FOOT: &str = "<p style=\"margin-top:3em\">gatebridge makes this page itself: each executable that is put into a folder of programs \
    appears here.</p>\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Body;
    use crate::exchange::testing::{Recorded, request};

    #[tokio::test]
    async fn the_page_links_what_can_be_called_and_escapes_names() {
        let folder = std::env::temp_dir().join(format!("gatebridge-index-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, mode) in [("a<b", 0o755), ("plain.txt", 0o644), (".hidden", 0o755)] {
            std::fs::write(folder.join(name), "").unwrap();
            std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let listed =
            Listed { path: "/cgi-bin/".into(), what: "programs".into(), folder: Some(folder.clone()) };
        let response = Index::new(vec![listed]).call(request("/", &Recorded::new())).await.unwrap();
        let Body::Bytes(page) = response.body else { panic!("a page is in memory") };
        let page = String::from_utf8(page.to_vec()).unwrap();
        assert!(page.contains("<a href=\"/cgi-bin/a%3Cb\">a&lt;b</a>"), "{page}");
        assert!(!page.contains("plain.txt") && !page.contains("hidden"), "only what can be called");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn other_paths_are_not_found() {
        let failure = Index::new(Vec::new()).call(request("/x", &Recorded::new())).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotFound);
    }
}
