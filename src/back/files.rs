//! A folder of files as an application: plain files for GET and HEAD, sent without entering user space. It does not know
//! which routes lead here.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::exchange::{Answer, Application, Body, Failure, FailureKind, FileRange, Request, Response};
use crate::route::{FileRoot, Found, OpenedFile};

use super::lookup::not_there;

/// A folder of files.
pub struct Files {
    root: FileRoot,
    index: String,
}

impl Files {
    /// The files below `root`; a path that ends in a slash is answered by the `index` of that folder.
    #[must_use]
    pub const fn new(root: FileRoot, index: String) -> Self {
        Self { root, index }
    }

    fn answer(&self, request: &Request) -> Result<Response, Failure> {
        let environ = &request.environ;
        if !matches!(environ.method, Method::GET | Method::HEAD) {
            return Err(Failure::new(FailureKind::MethodNotAllowed, "GET, HEAD"));
        }
        match self.root.lookup(&environ.path_info, &self.index).map_err(|failure| not_there(&failure))? {
            Found::FolderWithoutSlash => Ok(with_slash(&environ.request_uri)),
            Found::File(found) => Ok(file(*found, &environ.headers)),
        }
    }
}

impl Application for Files {
    fn call(&self, request: Request) -> Answer<'_> {
        let response = self.answer(&request);
        request.exchange.note(|record| record.back = Some("files".into()));
        Box::pin(std::future::ready(response))
    }
}

/// The folder's own address, so that relative links of its index are right. The request's target is kept as it was
/// written, but for the slash.
fn with_slash(target: &[u8]) -> Response {
    let (path, query) = match memchr::memchr(b'?', target) {
        Some(question) => target.split_at(question),
        None => (target, &b""[..]),
    };
    let path = without_authority(path);
    // Two slashes at the start would name another host (RFC 3986 4.2), and to a browser a backslash is a slash.
    let first = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
    let rest = match &path[first..] {
        [b'\\', rest @ ..] => [b"%5C", rest].concat(),
        rest => rest.to_vec(),
    };
    let mut response =
        Response::text(StatusCode::MOVED_PERMANENTLY, "the folder's address ends in a slash\n");
    if let Ok(location) = HeaderValue::from_bytes(&[b"/", &rest[..], b"/", query].concat()) {
        response.headers.insert(header::LOCATION, location);
    }
    response
}

/// RFC 9112 3.2.2: a target in absolute form names scheme and host before its path.
fn without_authority(path: &[u8]) -> &[u8] {
    match memchr::memmem::find(path, b"://") {
        Some(colon) if !path.starts_with(b"/") => {
            let rest = &path[colon + 3..];
            &rest[memchr::memchr(b'/', rest).unwrap_or(rest.len())..]
        }
        _ => path,
    }
}

fn file(found: OpenedFile, asked: &HeaderMap) -> Response {
    let modified = found.metadata.modified().ok();
    if is_unmodified(asked, modified) {
        let mut response = Response::new(StatusCode::NOT_MODIFIED, Body::Empty);
        insert_last_modified(&mut response.headers, modified);
        return response;
    }
    let length = found.metadata.len();
    let content_type = mime_guess::from_path(&found.path).first_raw().unwrap_or("application/octet-stream");
    let body = Body::File(FileRange { file: Arc::new(found.file), offset: 0, length });
    let mut response = Response::new(StatusCode::OK, if length == 0 { Body::Empty } else { body });
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // A type that we guessed from a name must not be guessed anew from the content.
    response.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    insert_last_modified(&mut response.headers, modified);
    response
}

fn insert_last_modified(headers: &mut HeaderMap, modified: Option<SystemTime>) {
    if let Some(modified) = modified
        && let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(modified))
    {
        headers.insert(header::LAST_MODIFIED, date);
    }
}

/// RFC 9110 13.1.3: If-Modified-Since, ignored beside If-None-Match, which we have no tags for.
fn is_unmodified(asked: &HeaderMap, modified: Option<SystemTime>) -> bool {
    let since = asked
        .get(header::IF_MODIFIED_SINCE)
        .filter(|_| !asked.contains_key(header::IF_NONE_MATCH))
        .and_then(|value| value.to_str().ok())
        .and_then(|text| httpdate::parse_http_date(text).ok());
    match (since, modified) {
        // A Last-Modified has whole seconds.
        (Some(since), Some(modified)) => modified < since + Duration::from_secs(1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{Recorded, request};

    async fn get(files: &Files, target: &str) -> Result<Response, Failure> {
        files.call(request(target, &Recorded::new())).await
    }

    fn files(name: &str) -> Files {
        let root = std::env::temp_dir().join(format!("gatebridge-back-files-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("page.html"), "<p>page").unwrap();
        Files::new(FileRoot::new(&root, []), "index.html".into())
    }

    #[tokio::test]
    async fn a_file_has_its_type_length_and_date() {
        let files = files("file");
        let response = get(&files, "/page.html").await.unwrap();
        assert_eq!(response.headers[header::CONTENT_TYPE], "text/html");
        assert_eq!(response.body.length(), Some(7));
        let mut again = request("/page.html", &Recorded::new());
        let date = response.headers[header::LAST_MODIFIED].clone();
        again.environ.headers.insert(header::IF_MODIFIED_SINCE, date);
        assert_eq!(files.call(again).await.unwrap().status, StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn a_folder_is_asked_for_with_a_slash_at_the_same_host() {
        let files = files("folder");
        assert_eq!(get(&files, "/sub?a=b").await.unwrap().headers[header::LOCATION], "/sub/?a=b");
        let mut sly = request("/sub", &Recorded::new());
        sly.environ.request_uri = bytes::Bytes::from_static(b"//sub");
        assert_eq!(files.call(sly).await.unwrap().headers[header::LOCATION], "/sub/");
    }

    #[tokio::test]
    async fn the_address_of_a_folder_never_leads_to_another_host() {
        let files = files("host");
        for (target, location) in [
            ("http://a.example/sub?b", "/sub/?b"),
            ("http://a.example//sub", "/sub/"),
            ("/\\evil.example/../sub", "/%5Cevil.example/../sub/"),
            ("//\\evil.example/../sub", "/%5Cevil.example/../sub/"),
            ("/sub?c=http://d/", "/sub/?c=http://d/"),
        ] {
            let mut asked = request("/sub", &Recorded::new());
            asked.environ.request_uri = target.into();
            assert_eq!(files.call(asked).await.unwrap().headers[header::LOCATION], location, "{target}");
        }
    }

    #[tokio::test]
    async fn only_get_and_head_are_allowed() {
        let mut post = request("/page.html", &Recorded::new());
        post.environ.method = Method::POST;
        let failure = files("post").call(post).await.unwrap_err();
        assert_eq!((failure.kind, &*failure.detail), (FailureKind::MethodNotAllowed, "GET, HEAD"));
    }
}
