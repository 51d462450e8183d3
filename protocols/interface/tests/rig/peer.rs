//! A Web server's side of a FastCGI connection for tests, on the codec of the other side; it must not know what is asked.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by a panic")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use gatebridge_fastcgi::{Client, ClientEvent, ClientLimits, ProtocolStatus, RequestId, Role};

/// How long a test waits for an event before it fails.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// The variables of a request for this path.
pub fn variables<'a>(method: &'a str, path: &'a str, length: Option<&'a str>) -> Vec<(&'a str, &'a str)> {
    let mut variables = vec![
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_METHOD", method),
        ("SCRIPT_NAME", "/questions"),
        ("PATH_INFO", path),
        ("QUERY_STRING", "a=b"),
        ("SERVER_NAME", "test.example"),
        ("SERVER_PORT", "80"),
        ("SERVER_SOFTWARE", "gatebridge/0.1.0"),
        ("HTTP_X_FROM", "test"),
    ];
    variables.extend(length.map(|length| ("CONTENT_LENGTH", length)));
    variables
}

/// Script output without its head.
pub fn body(output: &[u8]) -> &[u8] {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n");
    end.map_or(b"", |end| &output[end + 4..])
}

/// What came back for one request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reply {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub ended: Option<(u32, ProtocolStatus)>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn body(&self) -> &[u8] {
        body(&self.stdout)
    }
}

/// One connection.
pub struct Peer {
    pub client: Client,
    pub stream: UnixStream,
    replies: Vec<(RequestId, Reply)>,
}

impl Peer {
    pub fn new(stream: UnixStream) -> Self {
        Self::with_limit(stream, 100)
    }

    /// One that has so many requests in progress.
    pub fn with_limit(stream: UnixStream, max_requests: u16) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let client = Client::new(ClientLimits { max_requests, ..ClientLimits::default() });
        Self { client, stream, replies: Vec::new() }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Begins a request and sends its variables.
    pub fn begin(&mut self, role: Role, method: &str, path: &str, length: Option<&str>) -> RequestId {
        let length: Vec<_> = length.map(|length| ("CONTENT_LENGTH", length)).into_iter().collect();
        self.begin_with(role, method, path, &length)
    }

    /// As [`Peer::begin`], with these variables beside the usual ones or in their place.
    pub fn begin_with(&mut self, role: Role, method: &str, path: &str, own: &[(&str, &str)]) -> RequestId {
        let mut out = Vec::new();
        let id = self.client.begin(role, true, &mut out).unwrap();
        let mut params = self.client.params(id, &mut out).unwrap();
        let mut all = variables(method, path, None);
        all.retain(|(name, _)| own.iter().all(|(other, _)| other != name));
        for (name, value) in all.iter().chain(own) {
            params.pair(name.as_bytes(), value.as_bytes());
        }
        params.finish().unwrap();
        self.write(&out);
        self.replies.push((id, Reply::default()));
        id
    }

    pub fn stdin(&mut self, id: RequestId, mut bytes: &[u8]) {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let framing = self.client.send_stdin(id, bytes.len()).unwrap();
            out.extend_from_slice(&framing.header);
            out.extend_from_slice(&bytes[..framing.content_length]);
            out.extend_from_slice(framing.padding());
            bytes = &bytes[framing.content_length..];
        }
        self.write(&out);
    }

    /// The last of a body with its end, in one piece: the worker may answer and go when it has what was announced.
    pub fn last_stdin(&mut self, id: RequestId, bytes: &[u8]) {
        let framing = self.client.send_stdin(id, bytes.len()).unwrap();
        let mut out = [&framing.header[..], bytes, framing.padding()].concat();
        self.client.end_stdin(id, &mut out).unwrap();
        self.write(&out);
    }

    pub fn end_stdin(&mut self, id: RequestId) {
        let mut out = Vec::new();
        self.client.end_stdin(id, &mut out).unwrap();
        self.write(&out);
    }

    pub fn data(&mut self, id: RequestId, bytes: &[u8]) {
        let framing = self.client.send_data(id, bytes.len()).unwrap();
        let mut out = [&framing.header[..], bytes, framing.padding()].concat();
        self.client.end_data(id, &mut out).unwrap();
        self.write(&out);
    }

    pub fn abort(&mut self, id: RequestId) {
        let mut out = Vec::new();
        self.client.abort(id, &mut out).unwrap();
        self.write(&out);
    }

    /// Reads once; `false` at the end of the connection.
    pub fn read(&mut self) -> bool {
        let mut bytes = vec![0; 65536];
        let count = self.stream.read(&mut bytes).expect("the worker says nothing");
        self.client.receive(&bytes[..count]);
        while let Some(event) = self.client.next_event().unwrap() {
            self.take(event);
        }
        count > 0
    }

    fn take(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Stdout(id, bytes) => self.reply(id).stdout.extend_from_slice(&bytes),
            ClientEvent::Stderr(id, bytes) => self.reply(id).stderr.extend_from_slice(&bytes),
            ClientEvent::EndRequest { id, app_status, protocol_status } => {
                self.reply(id).ended = Some((app_status, protocol_status));
            }
            _ => {}
        }
    }

    pub fn reply(&mut self, id: RequestId) -> &mut Reply {
        // Ids come again: the last one counts.
        let found = self.replies.iter_mut().rev().find(|(other, _)| *other == id);
        &mut found.expect("an answer to no request").1
    }

    /// Reads until the request has ended.
    pub fn finish(&mut self, id: RequestId) -> Reply {
        while self.reply(id).ended.is_none() {
            assert!(self.read(), "closed before the end: {:?}", self.reply(id));
        }
        self.reply(id).clone()
    }

    /// A whole request.
    pub fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Reply {
        let length = body.len().to_string();
        let id = self.begin(Role::Responder, method, path, (!body.is_empty()).then_some(&length));
        self.stdin(id, body);
        self.end_stdin(id);
        self.finish(id)
    }
}
