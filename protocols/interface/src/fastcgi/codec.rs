//! What is understood and said on one FastCGI connection, and its requests; it must not know the socket, nor whether
//! threads or tasks use it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use gatebridge_fastcgi::{
    Capabilities, Error, Params, ProtocolStatus, RecordFraming, RequestId, Role, Server, ServerEvent,
    ServerLimits,
};

use super::request::Request;
use crate::inbox::{DATA, STDIN};
use crate::settings::{MAX_INPUT_BYTES, Settings};
use crate::worker::as_text;

/// Slices of up to so many bytes together are copied into one record.
const ONE_RECORD_BYTES: usize = 16 * 1024;

/// A stream from the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Out {
    Stdout,
    Stderr,
}

/// Records around their payloads, and perhaps the end of a request.
type Records<'a> = (Vec<(RecordFraming, &'a [u8])>, Option<Vec<u8>>);

/// Records that are to be written, in this order: what the codec has to say by itself, records around their payloads, the
/// end of a request.
#[derive(Debug, Default)]
pub(crate) struct Framed<'a> {
    said: Vec<u8>,
    frames: Vec<(RecordFraming, &'a [u8])>,
    tail: Option<Vec<u8>>,
    closes: bool,
}

impl Framed<'_> {
    /// The bytes, for a vectored write.
    pub(crate) fn slices(&self) -> Vec<&[u8]> {
        let mut slices = Vec::with_capacity(2 + 3 * self.frames.len());
        slices.push(&self.said[..]);
        for (framing, payload) in &self.frames {
            slices.extend([&framing.header[..], payload, framing.padding()]);
        }
        slices.push(self.tail.as_deref().unwrap_or_default());
        slices
    }

    /// Whether the connection is to be closed behind them.
    pub(crate) const fn closes(&self) -> bool {
        self.closes && self.tail.is_some()
    }
}

/// The codec of a connection, and its requests.
#[derive(Debug)]
pub(crate) struct Codec {
    server: Server,
    /// Records that are to be written before any other.
    pub(crate) said: Vec<u8>,
    /// Requests whose variables have not all come.
    begun: Vec<(RequestId, Role)>,
    requests: Vec<Arc<Request>>,
}

impl Codec {
    /// For a new connection to a worker that works on so many requests at once.
    pub(crate) fn new(settings: &Settings, max_reqs: usize) -> Self {
        let max_requests = settings.max_connection_requests.max(1);
        let limits = ServerLimits { max_requests, ..ServerLimits::default() };
        let number = |count: usize| Some(u32::try_from(count.max(1)).unwrap_or(u32::MAX));
        // FastCGI 1.0 4.1: the truth about this worker.
        let capabilities = Capabilities {
            max_conns: number(settings.max_connections),
            max_reqs: number(max_reqs),
            mpxs_conns: Some(max_requests > 1),
        };
        Self {
            server: Server::new(limits, capabilities),
            said: Vec::new(),
            begun: Vec::new(),
            requests: Vec::new(),
        }
    }

    /// Takes received bytes, or their end, and gives the requests that can be worked on now. With `draining`, new ones
    /// are refused.
    ///
    /// # Errors
    /// When the peer broke the protocol: all its requests are aborted, and the connection is to be dropped.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        draining: bool,
    ) -> Result<Vec<(Arc<Request>, Params)>, Error> {
        if bytes.is_empty() {
            self.server.receive_end();
        } else {
            self.server.receive(bytes);
        }
        let mut ready = Vec::new();
        loop {
            match self.server.next_event() {
                Ok(Some(event)) => self.take(event, draining, &mut ready),
                Ok(None) => return Ok(ready),
                Err(error) => {
                    self.abort_all(true);
                    return Err(error);
                }
            }
        }
    }

    fn take(&mut self, event: ServerEvent, draining: bool, ready: &mut Vec<(Arc<Request>, Params)>) {
        match event {
            ServerEvent::BeginRequest { id, .. } if draining => self.refuse(id),
            ServerEvent::BeginRequest { id, role, .. } => self.begun.push((id, role)),
            ServerEvent::Params(id, params) => {
                if let Some(at) = self.begun.iter().position(|(begun, _)| *begun == id) {
                    let (_, role) = self.begun.swap_remove(at);
                    let request = Arc::new(Request::new(id, role));
                    self.requests.push(Arc::clone(&request));
                    ready.push((request, params));
                }
            }
            ServerEvent::Stdin(id, piece) => self.deliver(id, STDIN, piece),
            ServerEvent::Data(id, piece) => self.deliver(id, DATA, piece),
            ServerEvent::StdinEnd(id) => self.with(id, |request| request.inbox.end(STDIN)),
            ServerEvent::DataEnd(id) => self.with(id, |request| request.inbox.end(DATA)),
            ServerEvent::Abort(id) => {
                if let Some(at) = self.begun.iter().position(|(begun, _)| *begun == id) {
                    // Nobody works on it yet, so its end is said here.
                    self.begun.swap_remove(at);
                    let _ = self.server.end_request(id, 0, ProtocolStatus::RequestComplete, &mut self.said);
                }
                self.with(id, |request| request.inbox.abort(true));
            }
            ServerEvent::Answer(answer) => self.said.extend_from_slice(&answer.bytes),
        }
    }

    fn with(&self, id: RequestId, then: impl FnOnce(&Request)) {
        if let Some(request) = self.requests.iter().find(|request| request.id == id) {
            then(request);
        }
    }

    fn deliver(&self, id: RequestId, stream: usize, piece: Bytes) {
        self.with(id, |request| {
            if request.inbox.deliver(stream, piece) > MAX_INPUT_BYTES {
                request.inbox.overload();
            }
        });
    }

    fn refuse(&mut self, id: RequestId) {
        let _ = self.server.end_request(id, 0, ProtocolStatus::Overloaded, &mut self.said);
    }

    /// Nobody waits for any of its answers any more; `cut` says that they could not even be written.
    pub(crate) fn abort_all(&mut self, cut: bool) {
        for request in &self.requests {
            request.inbox.abort(cut);
        }
    }

    /// Refuses the requests whose variables have not all come: a peer that never completes them does not keep a worker
    /// that was told to stop.
    pub(crate) fn refuse_begun(&mut self) {
        for (id, _) in std::mem::take(&mut self.begun) {
            self.refuse(id);
        }
    }

    /// Whether a request is in progress.
    pub(crate) fn is_busy(&self) -> bool {
        self.server.requests_in_progress() > 0
    }

    /// Whether the connection is to be closed after what was written.
    pub(crate) fn should_close(&self) -> bool {
        self.server.should_close()
    }

    /// Whether the connection is better not read now: one of its requests has enough, and none waits for more.
    fn is_full(&self) -> bool {
        let (mut full, mut awaited) = (false, false);
        for request in &self.requests {
            let (is_full, is_awaited) = request.inbox.pressure();
            full |= is_full && !request.inbox.is_cut();
            awaited |= is_awaited;
        }
        full && !awaited
    }

    /// Frames bytes of a stream of a request. What is to be said goes with it, also beside an error.
    pub(crate) fn send<'a>(
        &mut self,
        request: &Request,
        out: Out,
        slices: &[&'a [u8]],
    ) -> (Framed<'a>, io::Result<()>) {
        let framed = self.frame(request, out, slices).map(|frames| (frames, None));
        self.complete(framed)
    }

    /// Frames the last bytes of a request's answer, and that it is over.
    pub(crate) fn finish<'a>(
        &mut self,
        request: &Request,
        slices: &[&'a [u8]],
        status: ProtocolStatus,
    ) -> (Framed<'a>, io::Result<()>) {
        let frames =
            if request.inbox.is_cut() { Ok(Vec::new()) } else { self.frame(request, Out::Stdout, slices) };
        let framed = frames.and_then(|frames| Ok((frames, Some(self.end(request, 0, status)?))));
        self.complete(framed)
    }

    /// Frames the end of a request whose answer is not whole. `None` when that is said by closing the connection without
    /// END_REQUEST, which every Web server understands; beside other requests the application status has to do.
    pub(crate) fn break_off(&mut self, request: &Request) -> Option<(Framed<'static>, io::Result<()>)> {
        if self.server.requests_in_progress() <= 1 {
            self.forget(request);
            return None;
        }
        let tail = self.end(request, 1, ProtocolStatus::RequestComplete);
        Some(self.complete(tail.map(|tail| (Vec::new(), Some(tail)))))
    }

    fn complete<'a>(&mut self, framed: io::Result<Records<'a>>) -> (Framed<'a>, io::Result<()>) {
        let (said, closes) = (std::mem::take(&mut self.said), self.server.should_close());
        match framed {
            Ok((frames, tail)) => (Framed { said, frames, tail, closes }, Ok(())),
            Err(error) => (Framed { said, ..Framed::default() }, Err(error)),
        }
    }

    fn end(&mut self, request: &Request, app_status: u32, status: ProtocolStatus) -> io::Result<Vec<u8>> {
        let mut tail = Vec::with_capacity(32);
        self.server.end_request(request.id, app_status, status, &mut tail).map_err(as_text)?;
        self.forget(request);
        Ok(tail)
    }

    fn forget(&mut self, request: &Request) {
        self.requests.retain(|other| other.id != request.id);
    }

    /// Frames slices as records of a stream.
    fn frame<'a>(
        &mut self,
        request: &Request,
        out: Out,
        slices: &[&'a [u8]],
    ) -> io::Result<Vec<(RecordFraming, &'a [u8])>> {
        if request.inbox.is_cut() {
            let message = "the request was aborted while it was being answered";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, message));
        }
        let mut frames = Vec::with_capacity(slices.len());
        for mut slice in slices.iter().copied() {
            while !slice.is_empty() {
                let framing = match out {
                    Out::Stdout => self.server.send_stdout(request.id, slice.len()),
                    Out::Stderr => self.server.send_stderr(request.id, slice.len()),
                }
                .map_err(as_text)?;
                let (now, later) = slice.split_at(framing.content_length);
                frames.push((framing, now));
                slice = later;
            }
        }
        Ok(frames)
    }
}

/// Whether a connection is not being read, because some request of it has enough.
#[derive(Debug, Default)]
pub(crate) struct Pause(AtomicBool);

impl Pause {
    /// Finds out whether a connection is better not read now.
    pub(crate) fn consider<'c>(&self, codec: impl FnOnce() -> std::sync::MutexGuard<'c, Codec>) -> bool {
        // Set before it is found out: a request that begins to wait in between sees it, and wakes us.
        self.0.store(true, Ordering::SeqCst);
        let is_full = codec().is_full();
        self.0.store(is_full, Ordering::SeqCst);
        is_full
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The answer to variables that make no request, and what the operator is told.
pub(crate) fn refusal(fault: &gatebridge_cgi::VariablesError) -> (String, String) {
    let text = format!("the FastCGI variables make no request: {fault}\n");
    let answer = format!("Status: 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n{text}");
    (answer, text)
}

/// Slices as one, if that is short.
pub(super) fn joined(slices: [&[u8]; 3]) -> Option<Vec<u8>> {
    let length: usize = slices.iter().map(|slice| slice.len()).sum();
    (length <= ONE_RECORD_BYTES).then(|| slices.concat())
}
