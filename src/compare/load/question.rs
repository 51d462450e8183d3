//! What is asked, as bytes that are made once, and what is expected as its answer; it must not know sockets.

use std::net::SocketAddr;

/// A request. The same for all that are compared, but for its Host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// A token, such as `GET`.
    pub method: String,
    /// The path with its query, as it is sent.
    pub path: String,
    /// Further fields of the head, beside Host, User-Agent and Content-Length.
    pub fields: Vec<(String, String)>,
    /// The body; without one, no Content-Length is sent.
    pub body: Option<Vec<u8>>,
}

impl Default for Question {
    fn default() -> Self {
        Self { method: "GET".into(), path: "/".into(), fields: Vec::new(), body: None }
    }
}

/// Why something cannot be asked: in words, with what was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unaskable(String);

impl Question {
    /// The method, the path and the fields, checked: what is sent must be one request and not two.
    ///
    /// # Errors
    /// [`Unaskable`] for bytes that may not stand there.
    pub fn new(
        method: &str,
        path: &str,
        fields: Vec<(String, String)>,
        body: Option<Vec<u8>>,
    ) -> Result<Self, Unaskable> {
        let is_token = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        if !is_token(method) {
            return Err(Unaskable(format!("the method {method:?} is no token, such as GET or POST")));
        }
        if !path.starts_with('/') || path.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
            return Err(Unaskable(format!(
                "the path {path:?} must begin with a slash, and have other characters than visible ASCII as %XX"
            )));
        }
        for (name, value) in &fields {
            if !is_token(name) || value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
                return Err(Unaskable(format!("the field {name:?}: {value:?} cannot be sent")));
            }
            if ["content-length", "transfer-encoding", "connection"].contains(&&*name.to_ascii_lowercase()) {
                return Err(Unaskable(format!(
                    "the field {name:?} is not to be chosen: the body decides it"
                )));
            }
        }
        Ok(Self { method: method.into(), path: path.into(), fields, body })
    }

    /// The bytes that are sent to a server with this name.
    #[must_use]
    pub fn encode(&self, host: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let mut field = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        let given = |name: &str| self.fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !given("host") {
            field("Host", host);
        }
        if !given("user-agent") {
            field("User-Agent", concat!("gatebridge-compare/", env!("CARGO_PKG_VERSION")));
        }
        if let Some(body) = &self.body {
            field("Content-Length", &body.len().to_string());
        }
        for (name, value) in &self.fields {
            field(name, value);
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    /// Whether its answers have no body.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// Where a question is asked, and how it and a right answer look there.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// The bytes of one request.
    pub request: Vec<u8>,
    /// The request is a HEAD.
    pub to_head: bool,
    /// The body that every answer must have; `None` when answers differ by themselves, and only their status is looked
    /// at.
    pub body: Option<Vec<u8>>,
}

impl Target {
    /// A question at this address, with any answer right that has a good status.
    #[must_use]
    pub fn new(address: SocketAddr, host: &str, question: &Question) -> Self {
        Self { address, request: question.encode(host), to_head: question.is_head(), body: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_request() {
        let fields = vec![("Accept".to_owned(), "text/plain".to_owned())];
        let question = Question::new("POST", "/a?b=c", fields, Some(b"body".to_vec())).unwrap();
        let text = String::from_utf8(question.encode("127.0.0.1:80")).unwrap();
        let agent = concat!("User-Agent: gatebridge-compare/", env!("CARGO_PKG_VERSION"), "\r\n");
        let head = format!("POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:80\r\n{agent}");
        assert_eq!(text, format!("{head}Content-Length: 4\r\nAccept: text/plain\r\n\r\nbody"));
        let named = Question { fields: vec![("hOST".into(), "a".into())], ..Question::default() };
        assert!(!String::from_utf8(named.encode("b")).unwrap().contains("Host: b"));
    }

    #[test]
    fn what_would_be_two_requests_is_refused() {
        let ask = |method, path, name: &str, value: &str| {
            Question::new(method, path, vec![(name.into(), value.into())], None).unwrap_err().to_string()
        };
        assert!(ask("GE T", "/", "A", "b").contains("method \"GE T\""));
        assert!(ask("GET", "a", "A", "b").contains("path \"a\""));
        assert!(ask("GET", "/a b", "A", "b").contains("path \"/a b\""));
        assert!(ask("GET", "/", "A:", "b").contains("field \"A:\""));
        assert!(ask("GET", "/", "A", "b\r\nC: d").contains("field \"A\""));
        assert!(ask("GET", "/", "content-Length", "5").contains("the body decides"));
    }
}
