//! The one thread that accepts and reads every connection; it must not call an application, nor wait for a write.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use super::codec::Codec;
use super::connection::Connection;
use super::queue::{Job, Queue};
use super::wake::Waker;
use crate::settings::{LINGER_MS, READ_BYTES, Settings};
use crate::socket::Listener;
use crate::stop::Stop;
use crate::worker::complain;

/// The loop and what it owns.
pub(super) struct Reactor<'a> {
    listener: &'a Listener,
    settings: &'a Settings,
    stop: &'a Stop,
    queue: &'a Queue,
    waker: &'a Waker,
    peers: Vec<Peer>,
    buffer: Vec<u8>,
    /// No more requests are taken.
    draining: bool,
    /// There were no descriptors left: nothing is accepted before a connection has gone.
    is_full: bool,
}

/// One connection as the loop sees it.
struct Peer {
    connection: Arc<Connection>,
    /// It may still send something.
    is_open: bool,
    /// It was answered to the end, and is to close by itself until then.
    close_at: Option<Instant>,
    is_gone: bool,
}

impl<'a> Reactor<'a> {
    pub(super) fn new(
        listener: &'a Listener,
        settings: &'a Settings,
        stop: &'a Stop,
        queue: &'a Queue,
        waker: &'a Waker,
    ) -> Self {
        let (peers, buffer) = (Vec::new(), vec![0; READ_BYTES]);
        Self { listener, settings, stop, queue, waker, peers, buffer, draining: false, is_full: false }
    }

    /// Runs until told to stop and the last request in flight has ended.
    /// Begins with connections that were accepted before.
    pub(super) fn run(mut self, first: Vec<OwnedFd>) -> io::Result<()> {
        for socket in first {
            self.add(socket);
        }
        loop {
            self.sweep();
            if self.draining && self.peers.is_empty() {
                return Ok(());
            }
            let (accepts, ready) = self.wait()?;
            for (at, events) in ready {
                self.attend(at, events);
            }
            if accepts {
                self.accept()?;
            }
        }
    }

    /// Waits until something can be done: whether there are connections to accept, and what is the matter with which
    /// connection.
    fn wait(&mut self) -> io::Result<(bool, Vec<(usize, PollFlags)>)> {
        let accepts =
            !self.draining && !self.is_full && self.peers.len() < self.settings.max_connections.max(1);
        let wanted = |wants: bool| if wants { PollFlags::IN } else { PollFlags::empty() };
        let mut awaited = Vec::with_capacity(3 + self.peers.len());
        awaited.push(PollFd::from_borrowed_fd(self.stop.as_fd(), wanted(!self.draining)));
        awaited.push(PollFd::from_borrowed_fd(self.waker.as_fd(), PollFlags::IN));
        awaited.push(PollFd::from_borrowed_fd(self.listener.as_fd(), wanted(accepts)));
        for peer in &self.peers {
            let mut events = wanted(peer.is_open && !peer.connection.pause());
            if peer.connection.has_to_say() {
                events |= PollFlags::OUT;
            }
            awaited.push(PollFd::new(peer.connection.socket(), events));
        }
        let patience = self.peers.iter().filter_map(|peer| peer.close_at).min().map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() }
        });
        match poll(&mut awaited, patience.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok((false, Vec::new())),
            Err(error) => return Err(error.into()),
        }
        let happened = |at: usize| awaited[at].revents();
        self.draining |= !happened(0).is_empty();
        if !happened(1).is_empty() {
            self.waker.clear();
        }
        let ready = (3..awaited.len()).filter(|&at| !happened(at).is_empty());
        Ok((
            accepts && !happened(2).is_empty() && !self.draining,
            ready.map(|at| (at - 3, happened(at))).collect(),
        ))
    }

    fn accept(&mut self) -> io::Result<()> {
        while self.peers.len() < self.settings.max_connections.max(1) {
            match self.listener.accept() {
                Ok(Some(socket)) => self.add(socket),
                Ok(None) => break,
                // Lesson 23: no descriptors are left. Those who are here are served, and others when one has gone.
                Err(error) if !self.peers.is_empty() => {
                    complain(&format!("cannot accept a connection: {error}; waiting until one has ended"));
                    self.is_full = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn add(&mut self, socket: OwnedFd) {
        let codec = Codec::new(self.settings, self.settings.threads);
        let connection = Arc::new(Connection::new(socket, codec));
        self.peers.push(Peer { connection, is_open: true, close_at: None, is_gone: false });
    }

    /// Something is the matter with a connection.
    fn attend(&mut self, at: usize, events: PollFlags) {
        let Some(peer) = self.peers.get_mut(at) else { return };
        if events.contains(PollFlags::OUT) {
            peer.connection.say();
        }
        if events.contains(PollFlags::IN) {
            // One read, and then the next one has its turn.
            match recv(peer.connection.socket(), &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, count)) => self.receive(at, count),
                Err(Errno::INTR | Errno::WOULDBLOCK) => {}
                Err(_) => self.lose(at),
            }
        } else if events.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            // Lesson 49: the other end is gone in both directions.
            self.lose(at);
        }
    }

    fn receive(&mut self, at: usize, count: usize) {
        let peer = &mut self.peers[at];
        peer.is_open &= count > 0;
        match peer.connection.receive(&self.buffer[..count], self.draining) {
            Ok(ready) => {
                for (request, params) in ready {
                    let connection = Arc::clone(&peer.connection);
                    self.queue.put(Job { request, params, connection });
                }
                peer.connection.say();
                if count == 0 {
                    // Lesson 49: a Web server that closes waits for no answer; one that has only ended its half still
                    // gets it.
                    peer.connection.abort_all(false);
                }
            }
            Err(error) => {
                // A peer that has left amid a request is none of the operator's business.
                if count > 0 {
                    complain(&format!("a FastCGI connection was closed: {error}"));
                }
                self.lose(at);
            }
        }
    }

    fn lose(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        peer.connection.abort_all(true);
        peer.is_gone = true;
    }

    /// Lets go of connections that are over.
    fn sweep(&mut self) {
        let before = self.peers.len();
        let now = Instant::now();
        let draining = self.draining;
        self.peers.retain_mut(|peer| {
            if peer.is_gone {
                return false;
            }
            if draining {
                peer.connection.refuse_begun();
                peer.connection.say();
            }
            if draining || !peer.is_open {
                // Before the question, so that a request that ends after it wakes us.
                peer.connection.watch();
            }
            if peer.connection.is_busy() {
                return true;
            }
            if !peer.is_open || peer.close_at.is_some_and(|at| at <= now) {
                return peer.connection.has_to_say() && peer.close_at.is_none_or(|at| at > now);
            }
            if (draining || peer.connection.should_close()) && peer.close_at.is_none() {
                if draining && !peer.connection.should_close() {
                    // Nothing is owed to it: closed between two requests, as KEEP_CONN allows.
                    return peer.connection.has_to_say();
                }
                peer.close_at = Some(now + Duration::from_millis(LINGER_MS));
            }
            true
        });
        self.is_full &= self.peers.len() == before;
    }
}
