//! The sockets of workers: who may connect to them, and how they are closed; it must not know what is spoken.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gatebridge_fastcgi::WEB_SERVER_ADDRS;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{Shutdown, SocketAddrAny, SocketFlags, acceptfrom_with, shutdown, sockopt};

use crate::settings::{HEADER_TIMEOUT_MS, LINGER_MS};
use crate::stop::Stop;

/// Who may connect over TCP. Whoever can speak FastCGI or SCGI to a program can claim to be any user, so by itself
/// only this machine may.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Peers {
    /// This machine: loopback addresses and unix sockets.
    #[default]
    Local,
    /// These addresses, and unix sockets.
    Listed(Vec<IpAddr>),
    /// Everybody.
    Any,
}

impl Peers {
    /// What `FCGI_WEB_SERVER_ADDRS` says (FastCGI 1.0 3.2): addresses with commas between them. Without it,
    /// [`Peers::Local`]. What is no address there admits nobody.
    #[must_use]
    pub fn from_environment() -> Self {
        std::env::var(WEB_SERVER_ADDRS).map_or(Self::Local, |list| Self::parse(&list))
    }

    fn parse(list: &str) -> Self {
        Self::Listed(list.split(',').filter_map(|address| address.trim().parse().ok()).collect())
    }

    /// Whether a peer with this address may connect; `None` is a peer of a unix socket, whose permissions decide.
    #[must_use]
    pub fn admit(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address.map(|address| address.to_canonical()) else { return true };
        match self {
            Self::Local => address.is_loopback(),
            Self::Listed(list) => list.iter().any(|listed| listed.to_canonical() == address),
            Self::Any => true,
        }
    }
}

/// A listening socket of whatever family.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: OwnedFd,
    peers: Peers,
}

impl Listener {
    /// Takes a listening socket; `accept` will not wait.
    pub(crate) fn new(socket: impl Into<OwnedFd>, peers: Peers) -> io::Result<Self> {
        let socket = socket.into();
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self { socket, peers })
    }

    /// Whether this is a listening socket.
    pub(crate) fn is_one(descriptor: impl AsFd) -> bool {
        sockopt::socket_acceptconn(descriptor).unwrap_or(false)
    }

    /// The next connection; `None` when there is none at the moment. Its socket waits when it is read or written.
    pub(crate) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        loop {
            match acceptfrom_with(&self.socket, SocketFlags::CLOEXEC) {
                Ok((connection, address)) if self.peers.admit(address.clone().and_then(ip_address)) => {
                    // Records are written whole, so nothing is gained by waiting for more.
                    let _ = sockopt::set_tcp_nodelay(&connection, true);
                    return Ok(Some(connection));
                }
                // Lesson 37: who may not connect is not even told why.
                Ok(_) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                // The peer has left before it was accepted; accept(2) names the others as passing troubles too.
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Listener {
    /// Waits for a connection, after those that were accepted before; `None` when told to stop.
    pub(crate) fn next(&self, first: &Mutex<Vec<OwnedFd>>, stop: &Stop) -> io::Result<Option<OwnedFd>> {
        loop {
            if let Some(socket) = first.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                return Ok(Some(socket));
            }
            let awaited = [stop.as_fd(), self.as_fd()];
            let mut awaited = awaited.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
            match poll(&mut awaited, None) {
                Ok(_) if !awaited[0].revents().is_empty() => return Ok(None),
                Ok(_) => {
                    // Another thread may have been faster.
                    if let Some(socket) = self.accept()? {
                        return Ok(Some(socket));
                    }
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits for bytes of a request's head; `false` when told to stop before they came, for who says nothing keeps nobody up.
///
/// # Errors
/// [`io::ErrorKind::TimedOut`] when none have come until then.
pub(crate) fn wait_for_head(socket: &OwnedFd, deadline: Instant, stop: &Stop) -> io::Result<bool> {
    loop {
        let mut awaited =
            [PollFd::new(socket, PollFlags::IN), PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN)];
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut awaited, Some(&left)) {
            Ok(0) => return Err(no_head()),
            Ok(_) => return Ok(!awaited[0].revents().is_empty()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The error of who connects and does not say what for.
pub(crate) fn no_head() -> io::Error {
    let message = format!("no request came within {} s", HEADER_TIMEOUT_MS / 1000);
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// Whether the peer has closed, which says that nobody waits any more (lesson 49).
pub(crate) fn has_gone(socket: &OwnedFd) -> bool {
    happened(socket, PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR)
}

/// Whether nothing can be written to the peer any more.
#[cfg(feature = "tokio")]
pub(crate) fn has_hung_up(socket: &OwnedFd) -> bool {
    happened(socket, PollFlags::HUP | PollFlags::ERR)
}

/// Whether there is something to be read.
#[cfg(feature = "tokio")]
pub(crate) fn has_bytes(socket: &OwnedFd) -> bool {
    happened(socket, PollFlags::IN)
}

fn happened(socket: &OwnedFd, what: PollFlags) -> bool {
    let mut peer = [PollFd::new(socket, what & (PollFlags::RDHUP | PollFlags::IN))];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut peer, Some(&at_once)).is_ok() && peer[0].revents().intersects(what)
}

/// Ends the writing half, and reads on until the peer closes too: to close with bytes unread would be a reset, which
/// takes the end of the answer with it (RFC 9112 9.6).
pub(crate) fn linger(socket: impl AsFd) {
    let socket = socket.as_fd();
    let deadline = Instant::now() + Duration::from_millis(LINGER_MS);
    if shutdown(socket, Shutdown::Write).is_err() {
        return;
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || sockopt::set_socket_timeout(socket, sockopt::Timeout::Recv, Some(left)).is_err()
        {
            return;
        }
        match rustix::io::read(socket, &mut [0; 4096][..]) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn ip_address(address: SocketAddrAny) -> Option<IpAddr> {
    SocketAddr::try_from(address).ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lesson_37_only_this_machine_may_connect_unless_told_otherwise() {
        let address = |text: &str| Some(text.parse().unwrap());
        let (local, listed) = (Peers::Local, Peers::parse("192.0.2.1, 2001:db8::1,nonsense"));
        for (peer, by_local, by_list) in [
            (None, true, true),
            (address("127.0.0.1"), true, false),
            (address("::1"), true, false),
            (address("::ffff:127.0.0.1"), true, false),
            (address("192.0.2.1"), false, true),
            (address("::ffff:192.0.2.1"), false, true),
            (address("2001:db8::1"), false, true),
            (address("192.0.2.2"), false, false),
        ] {
            assert_eq!((local.admit(peer), listed.admit(peer)), (by_local, by_list), "{peer:?}");
            assert!(Peers::Any.admit(peer));
        }
        assert!(!Peers::parse("").admit(address("127.0.0.1")));
    }
}
