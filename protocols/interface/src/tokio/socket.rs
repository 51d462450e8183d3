//! Connections that tasks wait for, and the loop that accepts them; it must not know what is spoken.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use ::tokio::sync::watch::{Receiver, channel};
use ::tokio::task::JoinSet;
use ::tokio::time::timeout;
use rustix::net::{Shutdown, shutdown, sockopt};

use crate::descriptor::{Descriptor, next_slices};
use crate::settings::{HEADER_TIMEOUT_MS, LINGER_MS, READ_BYTES};
use crate::socket::{Listener, has_bytes, has_gone, has_hung_up, no_head};
use crate::stop::Stop;
use crate::worker::complain;

thread_local! {
    /// What is read goes here first, and then only as many bytes as there are take memory of their own: an idle connection
    /// has no buffer.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Reads once from a descriptor, and does something with the bytes.
pub(super) fn read<T>(descriptor: impl AsFd, limit: usize, then: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(READ_BYTES, 0);
        let buffer = &mut scratch[..limit.min(READ_BYTES)];
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&descriptor, &mut *buffer))?;
        Ok(then(&buffer[..count]))
    })
}

/// One connection.
#[derive(Debug)]
pub(super) struct Socket {
    watched: AsyncFd<OwnedFd>,
    /// There may be bytes though the runtime does not know of them any more.
    is_forgotten: AtomicBool,
}

impl Socket {
    /// Takes a connection.
    ///
    /// # Errors
    /// When the system refuses to watch it.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        let watched = watch(socket, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { watched, is_forgotten: AtomicBool::new(false) })
    }

    pub(super) fn get(&self) -> &OwnedFd {
        self.watched.get_ref()
    }

    /// Waits for bytes and does something with them; no bytes are the end. One reader at a time; to stop waiting loses
    /// nothing.
    pub(super) async fn receive<T>(&self, mut then: impl FnMut(&[u8]) -> T) -> io::Result<T> {
        let mut count = 0;
        let mut read = |socket: &OwnedFd| {
            read(socket, READ_BYTES, |bytes| {
                count = bytes.len();
                then(bytes)
            })
        };
        if self.is_forgotten.load(Ordering::Relaxed) {
            match read(self.get()) {
                // Only now is there nothing that the runtime would not tell of.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_forgotten.store(false, Ordering::Relaxed);
                }
                done => return done,
            }
        }
        loop {
            let mut ready = self.watched.readable().await?;
            let Ok(done) = ready.try_io(|watched| read(watched.get_ref())) else { continue };
            if (1..READ_BYTES).contains(&count) {
                // epoll(7), question 9: less than was asked for is all there is.
                ready.clear_ready();
            }
            return done;
        }
    }

    /// Waits until the peer has closed its half, without reading; for whoever reads.
    pub(super) async fn gone(&self) {
        while let Ok(mut ready) = self.watched.readable().await {
            if ready.ready().is_read_closed() || has_gone(self.get()) {
                return;
            }
            self.is_forgotten.store(true, Ordering::Relaxed);
            ready.clear_ready();
        }
    }

    /// Waits until nothing can be written any more, without reading.
    pub(super) async fn hung_up(&self) -> io::Result<()> {
        // Watched apart: what is forgotten here is none of the writer's business.
        let watched = watch(self.get().try_clone()?, Interest::WRITABLE)?;
        loop {
            let mut ready = watched.writable().await?;
            if has_hung_up(self.get()) {
                return Ok(());
            }
            ready.clear_ready();
        }
    }

    /// Writes slices, by one call if the system takes them all at once.
    pub(super) async fn write_all(&self, slices: &[&[u8]]) -> io::Result<()> {
        let mut left = slices.to_vec();
        while left.iter().any(|slice| !slice.is_empty()) {
            let count = self.write(|socket| next_slices(Descriptor(socket.as_fd()), &left)).await?;
            advance(&mut left, count);
        }
        Ok(())
    }

    /// Waits until it can be written to, and calls what writes.
    pub(super) async fn write<T>(&self, mut write: impl FnMut(&OwnedFd) -> io::Result<T>) -> io::Result<T> {
        // Most often there is room: to be told so is not waited for.
        match write(self.get()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return written,
        }
        self.watched.async_io(Interest::WRITABLE, |socket| write(socket)).await
    }

    /// Ends the writing half.
    pub(super) fn end(&self) {
        let _ = shutdown(self.get(), Shutdown::Write);
    }

    /// Ends both halves.
    pub(super) fn close(&self) -> io::Result<()> {
        Ok(shutdown(self.get(), Shutdown::Both)?)
    }

    /// Makes the close a reset, which no peer takes for an end (TCP only).
    pub(super) fn reset(&self) {
        let _ = sockopt::set_socket_linger(self.get(), Some(Duration::ZERO));
    }

    /// Ends the writing half, and reads on until the peer closes too: to close with bytes unread would be a reset, which
    /// takes the end of the answer with it (RFC 9112 9.6).
    pub(super) async fn linger(&self) {
        self.end();
        let until_closed = async { while let Ok(1..) = self.receive(<[u8]>::len).await {} };
        let _ = timeout(Duration::from_millis(LINGER_MS), until_closed).await;
    }
}

/// Takes the first bytes off slices.
pub(super) fn advance(slices: &mut Vec<&[u8]>, mut count: usize) {
    let mut done = 0;
    for slice in slices.iter_mut() {
        let now = count.min(slice.len());
        *slice = &slice[now..];
        count -= now;
        if !slice.is_empty() {
            break;
        }
        done += 1;
    }
    slices.drain(..done);
}

/// Has the runtime watch a descriptor.
///
/// # Errors
/// When the system refuses, or the descriptor is of a kind that nobody can wait for ([`io::ErrorKind::PermissionDenied`]).
#[allow(
    deprecated,
    reason = "its successor is unsafe for the sake of borrowed descriptors; this one is owned"
)]
pub(super) fn watch(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// Something that a runner is told through a descriptor.
pub(super) async fn told(stop: &Stop) -> io::Result<()> {
    // A descriptor of its own: several runners may be given one `Stop`, and a runtime watches a descriptor once.
    let told = watch(stop.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
    let _ready = told.readable().await?;
    Ok(())
}

/// Whether a worker takes no more requests.
pub(super) type Draining = Receiver<bool>;

/// Waits until a worker takes no more requests.
pub(super) async fn drained(draining: &mut Draining) {
    // Nobody who could tell any more is the same.
    let _ = draining.wait_for(|draining| *draining).await;
}

/// Waits for the head of a request; `None` when told to stop before it came, for who says nothing keeps nobody up.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when it has not come for too long.
pub(super) async fn unless_drained<T>(
    head: impl Future<Output = T>,
    socket: &Socket,
    draining: &mut Draining,
) -> io::Result<Option<T>> {
    let mut head = std::pin::pin!(timeout(Duration::from_millis(HEADER_TIMEOUT_MS), head));
    let came = ::tokio::select! {
        biased;
        came = &mut head => came,
        () = drained(draining) => {
            // What has come already is in flight, though the runtime may not know yet.
            if !has_bytes(socket.get()) {
                return Ok(None);
            }
            head.await
        }
    };
    came.map(Some).map_err(|_| no_head())
}

/// Accepts connections and gives each a task, until told to stop; then waits for those tasks.
pub(super) async fn accept<T>(
    listener: Listener,
    first: Vec<OwnedFd>,
    max_connections: usize,
    stop: &Stop,
    begin: impl Fn(Socket, Draining) -> T,
) -> io::Result<()>
where
    T: Future<Output = ()> + Send + 'static,
{
    let (drain, draining) = channel(false);
    let watched = watch(listener.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
    let mut connections = JoinSet::new();
    for socket in first {
        connections.spawn(begin(Socket::new(socket)?, draining.clone()));
    }
    let mut told = std::pin::pin!(told(stop));
    let mut is_full = false;
    loop {
        let accepts = !is_full && connections.len() < max_connections.max(1);
        ::tokio::select! {
            told = &mut told => break told?,
            Some(_) = connections.join_next() => is_full = false,
            accepted = watched.async_io(Interest::READABLE, |_| accept_one(&listener)), if accepts => {
                match accepted.and_then(Socket::new) {
                    Ok(socket) => drop(connections.spawn(begin(socket, draining.clone()))),
                    // Lesson 23: no descriptors are left. Those who are here are served, and others when one has gone.
                    Err(error) if !connections.is_empty() => {
                        complain(&format!("cannot accept a connection: {error}; waiting until one has ended"));
                        is_full = true;
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
    drop((watched, listener));
    let _ = drain.send(true);
    while connections.join_next().await.is_some() {}
    Ok(())
}

fn accept_one(listener: &Listener) -> io::Result<OwnedFd> {
    listener.accept()?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
}
