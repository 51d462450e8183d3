//! A Web server's side of a FastCGI connection for tests, on the codec of the other side; it must not know what is asked.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use gatebridge_fastcgi::{Client, ClientEvent, ClientLimits, ProtocolStatus, RequestId, Role};
use gatebridge_interface::{Settings, Stop};

use super::{DEADLINE, shape, variables};

/// A worker in a thread of its own.
pub struct Worker {
    pub path: PathBuf,
    pub stop: Arc<Stop>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Worker {
    pub fn new(settings: Settings) -> Self {
        let (path, listener) = listener();
        let stop = Arc::new(Stop::new().unwrap());
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || shape::serve_fastcgi(listener, &settings, &told));
        Self { path, stop, thread: Some(thread) }
    }

    pub fn connect(&self) -> Peer {
        Peer::new(UnixStream::connect(&self.path).unwrap())
    }

    /// Tells it to stop, and waits until it has.
    pub fn end(&mut self) {
        self.stop.stop();
        self.wait();
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A unix socket with a short path.
pub fn listener() -> (PathBuf, UnixListener) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("gi-{}-{number}.sock", std::process::id()));
    // An earlier process with this number may have left its socket.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    (path, listener)
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
        super::body(&self.stdout)
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
