//! The route table: host and path choose an application, and the path is split into SCRIPT_NAME and PATH_INFO. It does
//! not know what the applications are.

use std::sync::Arc;

use bytes::Bytes;

use crate::exchange::{Answer, Application, Failure, FailureKind, Request};

/// One route and what answers it.
pub struct Entry {
    /// The host it is for, in lower case and without a port; `None` is any host.
    pub host: Option<String>,
    /// The decoded path it is for, by whole components and without a slash at its end: `/cgi-bin`, and `` for all.
    pub prefix: Bytes,
    /// Its name in logs.
    pub name: Arc<str>,
    /// What answers.
    pub application: Arc<dyn Application>,
}

/// The route table: an application that hands each request to one of many.
///
/// Routes for the request's host are looked at first, then those for any host; among them the longest path that the
/// request's path begins with, component by component, wins. The order of the table does not matter.
pub struct RouteTable {
    entries: Vec<Entry>,
}

impl RouteTable {
    /// A table of these routes.
    #[must_use]
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| {
            b.host.is_some().cmp(&a.host.is_some()).then_with(|| b.prefix.len().cmp(&a.prefix.len()))
        });
        Self { entries }
    }

    /// The route that a request for `path` (decoded) at `host` takes.
    #[must_use]
    pub fn find(&self, host: &[u8], path: &[u8]) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.matches(host, path))
    }
}

impl Entry {
    fn matches(&self, host: &[u8], path: &[u8]) -> bool {
        let host_matches = match &self.host {
            None => true,
            Some(own) => own.as_bytes().eq_ignore_ascii_case(host),
        };
        host_matches && below(path, &self.prefix).is_some()
    }
}

/// What of `path` is below `prefix`, which must end where a component of the path ends: empty, or begins with `/`.
fn below<'p>(path: &'p [u8], prefix: &[u8]) -> Option<&'p [u8]> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

impl Application for RouteTable {
    fn call(&self, mut request: Request) -> Answer<'_> {
        let environ = &mut request.environ;
        let Some(entry) = self.find(&environ.server_name, &environ.path_info) else {
            let path = String::from_utf8_lossy(&environ.path_info);
            let detail = format!("no route for {:?}", path.escape_debug());
            return Box::pin(async { Err(Failure::new(FailureKind::NotFound, detail)) });
        };
        environ.script_name = entry.prefix.clone();
        environ.path_info = environ.path_info.slice(entry.prefix.len()..);
        request.exchange.note(|record| record.route = Some(Arc::clone(&entry.name)));
        entry.application.call(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Response;

    struct Nobody;

    impl Application for Nobody {
        fn call(&self, _request: Request) -> Answer<'_> {
            Box::pin(async { Ok(Response::text(http::StatusCode::OK, "")) })
        }
    }

    fn table(routes: &[(Option<&str>, &str)]) -> RouteTable {
        let entry = |&(host, prefix): &(Option<&str>, &str)| Entry {
            host: host.map(str::to_owned),
            prefix: Bytes::copy_from_slice(prefix.as_bytes()),
            name: format!("{}{prefix}", host.unwrap_or("*")).into(),
            application: Arc::new(Nobody),
        };
        RouteTable::new(routes.iter().map(entry).collect())
    }

    fn found(table: &RouteTable, host: &str, path: &str) -> Option<String> {
        table.find(host.as_bytes(), path.as_bytes()).map(|entry| entry.name.to_string())
    }

    #[test]
    fn the_longest_path_wins_by_whole_components() {
        let table = table(&[(None, ""), (None, "/a"), (None, "/a/b")]);
        assert_eq!(found(&table, "x", "/a/b/c").as_deref(), Some("*/a/b"));
        assert_eq!(found(&table, "x", "/a/bc").as_deref(), Some("*/a"));
        assert_eq!(found(&table, "x", "/ab").as_deref(), Some("*"));
        assert_eq!(found(&table, "x", "/a").as_deref(), Some("*/a"));
    }

    #[test]
    fn routes_for_the_host_come_first_whatever_the_case_of_its_name() {
        let table = table(&[(None, "/a/b"), (Some("blog.example.org"), "")]);
        assert_eq!(found(&table, "Blog.Example.ORG", "/a/b").as_deref(), Some("blog.example.org"));
        assert_eq!(found(&table, "example.org", "/a/b").as_deref(), Some("*/a/b"));
        assert_eq!(found(&table, "example.org", "/"), None);
    }
}
