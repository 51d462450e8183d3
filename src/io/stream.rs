//! Connected streams: TCP and unix under one type, with what a gateway asks of both. Knows no protocol and no limit.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncReadExt, AsyncWrite, Interest, Ready};
use tokio::net::{TcpStream, UnixStream};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection's two addresses.
    Tcp {
        /// The peer's.
        remote: SocketAddr,
        /// Ours, as the peer reached it.
        local: SocketAddr,
    },
    /// A unix socket has no addresses worth telling.
    Unix,
}

/// A connected stream.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    /// There may be bytes in the kernel of which the runtime has been told to forget; see [`Stream::poll_gone`].
    hidden: bool,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// How much is read at once past the runtime's readiness.
const HIDDEN_PIECE_BYTES: usize = 4096;

/// The same call on whichever socket it is.
macro_rules! on_socket {
    ($stream:expr, $socket:ident => $call:expr) => {
        match &mut $stream.socket {
            Socket::Tcp($socket) => $call,
            Socket::Unix($socket) => $call,
        }
    };
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Self { socket: Socket::Tcp(socket), hidden: false }
    }
}

impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Self {
        Self { socket: Socket::Unix(socket), hidden: false }
    }
}

impl Stream {
    /// Ready when there is something to read, or the end; needs no buffer meanwhile.
    ///
    /// # Errors
    ///
    /// Only when the runtime is shutting down.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hidden {
            return Poll::Ready(Ok(()));
        }
        on_socket!(self, socket => socket.poll_read_ready(cx))
    }

    /// Reads into the spare room of `buffer`, which must have some; 0 is the end.
    ///
    /// # Errors
    ///
    /// What the socket says; a reset is one.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        if self.hidden {
            // The runtime believes that nothing is there, so the kernel is asked past it; rare enough for a copy.
            let mut piece = [0; HIDDEN_PIECE_BYTES];
            let room = piece.len().min(buffer.capacity() - buffer.len());
            match rustix::net::recv(self.as_fd(), &mut piece[..room], RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN | Errno::INTR) => self.hidden = false,
                Err(error) => return Poll::Ready(Err(error.into())),
                Ok((read, _)) => {
                    buffer.extend_from_slice(&piece[..read]);
                    return Poll::Ready(Ok(read));
                }
            }
        }
        on_socket!(self, socket => pin!(socket.read_buf(buffer)).poll(cx))
    }

    /// Ready once the peer has closed its sending side or reset the connection, even behind bytes that nobody has
    /// read yet; until then the task is woken by it, without spinning on those bytes.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_until(cx, Interest::READABLE, Ready::is_read_closed)
    }

    /// Ready once the connection is closed both ways or reset. A peer that has closed only its sending side is still there;
    /// from then on only a write finds out that it has left, and nobody is woken.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // RST and the close of a unix socket are told with the state of the sending side.
        self.poll_until(cx, Interest::READABLE | Interest::WRITABLE, Ready::is_write_closed)
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, asked: Interest, is_it: fn(Ready) -> bool) -> Poll<()> {
        loop {
            match on_socket!(self, socket => socket.poll_read_ready(cx)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let ready = on_socket!(self, socket => match pin!(socket.ready(asked)).poll(cx) {
                Poll::Ready(Ok(ready)) => ready,
                _ => Ready::EMPTY,
            });
            if is_it(ready) {
                return Poll::Ready(());
            }
            if ready.is_read_closed() {
                return Poll::Pending;
            }
            // Unread bytes keep the socket readable, which would hide the next event: the runtime is told to forget
            // them, and we remember.
            let forget = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _: io::Result<()> = on_socket!(self, socket => socket.try_io(Interest::READABLE, forget));
            self.hidden = true;
        }
    }

    /// Writes what the kernel takes of `slices`, at least one byte.
    ///
    /// # Errors
    ///
    /// What the socket says; a peer that left is one.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        on_socket!(self, socket => Pin::new(socket).poll_write_vectored(cx, slices))
    }

    /// Runs `call`, which must do one non-blocking write-like system call on the socket, once there is room; asks to be
    /// woken where it says that it would block.
    ///
    /// # Errors
    ///
    /// What `call` says, but for "would block".
    pub fn poll_write_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut call: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match on_socket!(self, socket => socket.poll_write_ready(cx)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            let done = match &self.socket {
                Socket::Tcp(socket) => socket.try_io(Interest::WRITABLE, || call(socket.as_fd())),
                Socket::Unix(socket) => socket.try_io(Interest::WRITABLE, || call(socket.as_fd())),
            };
            match done {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    /// Ends our sending side; the peer sees the end after what was sent.
    pub fn finish_sending(&mut self) {
        // A peer that is gone cannot be told, and need not be.
        let _ = rustix::net::shutdown(self.as_fd(), rustix::net::Shutdown::Write);
    }

    /// Makes the close that follows a reset: for a response that must not look complete.
    pub fn reset_on_close(&self) {
        // A peer that is gone needs no reset.
        let _ = rustix::net::sockopt::set_socket_linger(self.as_fd(), Some(std::time::Duration::ZERO));
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}
