//! One connection of the load generator: a request out, its answer in, again; it must not know when requests are due.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustix::event::PollFlags;
use socket2::{Domain, Protocol, Socket, Type};

use super::answer::AnswerReader;
use super::question::Target;
use super::trouble::Trouble;
use crate::compare::findings::FailureKind;

/// What is read at once.
pub(super) const READ_BYTES: usize = 64 * 1024;

/// What the connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No request is under way; there may be a socket for the next one.
    Idle,
    Connecting,
    /// This many bytes of the request have been taken.
    Sending(usize),
    Receiving,
}

/// What came of driving a connection.
#[derive(Debug)]
pub(super) enum Driven {
    /// The answer is not complete.
    Waiting,
    /// A right answer has come. The request was due at this moment.
    Answered(Instant),
    /// The request has failed.
    Failed(Trouble),
}

#[derive(Debug)]
pub(super) struct Connection {
    socket: Option<TcpStream>,
    state: State,
    reader: AnswerReader,
    /// When the request under way was due, and when it was begun.
    due: Instant,
    begun: Instant,
    /// How much of the expected body has come, and whether it is the expected one so far.
    body_bytes: usize,
    body_agrees: bool,
    /// Sockets that were opened.
    pub(super) opened: u64,
}

impl Connection {
    pub(super) fn new(target: &Target, now: Instant) -> Self {
        Self {
            socket: None,
            state: State::Idle,
            reader: AnswerReader::new(target.to_head),
            due: now,
            begun: now,
            body_bytes: 0,
            body_agrees: true,
            opened: 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// When the request under way was begun; `None` when there is none.
    pub(super) fn begun(&self) -> Option<Instant> {
        (!self.is_idle()).then_some(self.begun)
    }

    /// The socket and what it is polled for; `None` when nothing is under way.
    pub(super) fn awaits(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let flags = match self.state {
            State::Idle => return None,
            State::Connecting => PollFlags::OUT,
            // An answer may come before the whole request was taken.
            State::Sending(_) => PollFlags::OUT | PollFlags::IN,
            State::Receiving => PollFlags::IN,
        };
        self.socket.as_ref().map(|socket| (socket.as_fd(), flags))
    }

    /// Begins a request that was due at this moment, on the socket that is open or on a new one.
    pub(super) fn begin(&mut self, target: &Target, due: Instant, now: Instant) -> Driven {
        (self.due, self.begun) = (due, now);
        (self.body_bytes, self.body_agrees) = (0, true);
        if self.socket.is_none() {
            match connect(target) {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => return self.fail(FailureKind::Connect, &error),
            }
            self.opened += 1;
            // On the same machine the connection is there already, and the first write succeeds.
            self.state = State::Connecting;
        } else {
            self.state = State::Sending(0);
        }
        self.send(target)
    }

    /// Goes on after the socket was found ready.
    pub(super) fn drive(&mut self, target: &Target, buffer: &mut [u8], readable: bool) -> Driven {
        if matches!(self.state, State::Connecting | State::Sending(_))
            && let Driven::Failed(trouble) = self.send(target)
        {
            return Driven::Failed(trouble);
        }
        if readable { self.receive(target, buffer) } else { Driven::Waiting }
    }

    /// Gives up the request under way: it took too long.
    pub(super) fn time_out(&mut self, seconds: f64) -> Trouble {
        let detail =
            if self.reader.is_inside() { "its answer had begun" } else { "no byte of an answer had come" };
        self.reset();
        Trouble { kind: FailureKind::TimeOut, detail: format!("after {seconds:.1} s {detail}") }
    }

    fn send(&mut self, target: &Target) -> Driven {
        let Some(socket) = &mut self.socket else { return Driven::Waiting };
        if self.state == State::Connecting {
            match socket.take_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => return self.fail(FailureKind::Connect, &error),
            }
        }
        let mut sent = if let State::Sending(sent) = self.state { sent } else { 0 };
        while sent < target.request.len() {
            match socket.write(&target.request[sent..]) {
                Ok(taken) => sent += taken,
                Err(error) if waits(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.state == State::Connecting => {
                    return self.fail(FailureKind::Connect, &error);
                }
                // What the server said before it closed is still to be read.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => sent = target.request.len(),
                Err(error) => return self.fail(FailureKind::CutShort, &error),
            }
            self.state = State::Sending(sent);
        }
        if sent == target.request.len() {
            self.state = State::Receiving;
        }
        Driven::Waiting
    }

    fn receive(&mut self, target: &Target, buffer: &mut [u8]) -> Driven {
        loop {
            let Some(socket) = &mut self.socket else { return Driven::Waiting };
            let length = match socket.read(buffer) {
                Ok(length) => length,
                Err(error) if waits(&error) => return Driven::Waiting,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.fail(FailureKind::CutShort, &error),
            };
            let (at, agrees) = (&mut self.body_bytes, &mut self.body_agrees);
            let mut compare = |piece: &[u8]| {
                if let Some(expected) = &target.body {
                    *agrees &= expected.get(*at..*at + piece.len()).is_some_and(|part| part == piece);
                }
                *at += piece.len();
            };
            let read = match length {
                0 => self.reader.receive_end().map(Some),
                length => self.reader.receive(&buffer[..length], &mut compare),
            };
            match read {
                Ok(None) if length < buffer.len() => return Driven::Waiting,
                Ok(None) => {}
                Ok(Some(answer)) => return self.judge(target, answer.status, answer.keeps && length > 0),
                Err(error) if length == 0 => return self.fail(FailureKind::CutShort, &error),
                Err(error) => return self.fail(FailureKind::NotHttp, &error),
            }
        }
    }

    /// A whole answer has come: whether it is a right one.
    fn judge(&mut self, target: &Target, status: u16, keeps: bool) -> Driven {
        let whole = target.body.as_ref().is_none_or(|expected| expected.len() == self.body_bytes);
        let unread = self.state != State::Receiving;
        self.state = State::Idle;
        if !keeps || unread {
            self.reset();
        }
        if !(200..300).contains(&status) {
            return Driven::Failed(Trouble { kind: FailureKind::Status, detail: format!("status {status}") });
        }
        if !whole || !self.body_agrees {
            let detail =
                format!("a body of {} bytes that is not the one of the first answer", self.body_bytes);
            return Driven::Failed(Trouble { kind: FailureKind::Body, detail });
        }
        Driven::Answered(self.due)
    }

    fn fail(&mut self, kind: FailureKind, error: &dyn std::fmt::Display) -> Driven {
        self.reset();
        Driven::Failed(Trouble { kind, detail: error.to_string() })
    }

    fn reset(&mut self) {
        self.socket = None;
        self.state = State::Idle;
        self.reader.reset();
    }
}

fn waits(error: &io::Error) -> bool {
    // While a connection is being made, a write answers ENOTCONN.
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

fn connect(target: &Target) -> io::Result<TcpStream> {
    let socket =
        Socket::new(Domain::for_address(target.address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&target.address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}
