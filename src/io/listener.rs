//! Listening sockets: TCP, unix, inherited. Knows nothing of what is spoken over them.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, Socket, Type};
use thiserror::Error;
use tokio::net::{TcpListener, UnixListener};

use super::{Peer, Stream, in_words};

/// How many connections may wait in the kernel until they are accepted. The kernel lowers it to `somaxconn`; a burst
/// must not be refused while the gateway is only a moment behind.
const BACKLOG: i32 = 4096;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP address; port 0 asks the kernel for a free one.
    Tcp(SocketAddr),
    /// A unix socket, made with these permission bits.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A listening socket that was inherited under this descriptor.
    Inherited(RawFd),
}

/// A listening socket could not be had.
#[derive(Debug, Error)]
#[error("cannot listen on {endpoint}: {}{hint}", in_words(.reason))]
pub struct BindError {
    endpoint: String,
    reason: io::Error,
    hint: &'static str,
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: ListenSocket,
    /// Made by us and so removed by us.
    file: Option<SocketFile>,
}

/// The file of a unix socket, told apart from one that somebody else put in its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

#[derive(Debug)]
enum ListenSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Opens the endpoint.
    ///
    /// A unix socket's path that nobody listens on any more is taken over; one that somebody answers on, or that is
    /// no socket, is refused.
    ///
    /// # Errors
    ///
    /// [`BindError`] names the endpoint, the reason and what to do.
    pub fn bind(endpoint: &Endpoint) -> Result<Self, BindError> {
        let result = match endpoint {
            Endpoint::Tcp(address) => bind_tcp(*address).map(|socket| Self { socket, file: None }),
            Endpoint::Unix { path, mode } => {
                bind_unix(path, *mode).map(|(socket, file)| Self { socket, file: Some(file) })
            }
            Endpoint::Inherited(descriptor) => inherit(*descriptor).map(|socket| Self { socket, file: None }),
        };
        result.map_err(|reason| BindError {
            endpoint: endpoint.to_string(),
            hint: match reason.kind() {
                io::ErrorKind::AddrInUse => "; something else listens there: stop it, or choose another address",
                io::ErrorKind::PermissionDenied => {
                    "; ports below 1024 need CAP_NET_BIND_SERVICE, and a unix socket needs a folder we may write to"
                }
                io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
                io::ErrorKind::NotFound => "; the folder of a unix socket must exist",
                _ => "",
            },
            reason,
        })
    }

    /// Where it listens in truth: `http://127.0.0.1:41234`'s part after the scheme, or `unix:/path`.
    #[must_use]
    pub fn local_name(&self) -> String {
        match &self.socket {
            ListenSocket::Tcp(socket) => match socket.local_addr() {
                Ok(address) => address.to_string(),
                Err(_) => "an unknown address".to_owned(),
            },
            ListenSocket::Unix(socket) => match socket.local_addr() {
                Ok(address) => match address.as_pathname() {
                    Some(path) => format!("unix:{}", path.display()),
                    None => "unix:(unnamed)".to_owned(),
                },
                Err(_) => "unix:(unknown)".to_owned(),
            },
        }
    }

    /// Its TCP address in truth, also where the kernel chose the port; a unix socket has none.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.socket {
            ListenSocket::Tcp(socket) => socket.local_addr().ok(),
            ListenSocket::Unix(_) => None,
        }
    }

    /// Whether it is a unix socket.
    #[must_use]
    pub const fn is_unix(&self) -> bool {
        matches!(self.socket, ListenSocket::Unix(_))
    }

    /// Changes the permission bits of a unix socket's file; others have none.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        match &self.file {
            Some(file) if file.is_there() => {
                std::fs::set_permissions(&file.path, Permissions::from_mode(mode))
            }
            _ => Ok(()),
        }
    }

    /// The next connection.
    ///
    /// # Errors
    ///
    /// What accept says; [`is_shortage`](super::is_shortage) tells whether waiting helps. A connection that was gone before it was
    /// accepted is no error and not reported.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        loop {
            let accepted = match &self.socket {
                ListenSocket::Tcp(listener) => listener.accept().await.and_then(|(stream, address)| {
                    stream.set_nodelay(true)?;
                    let local = stream.local_addr()?;
                    Ok((Stream::from(stream), Peer::Tcp { remote: address, local }))
                }),
                ListenSocket::Unix(listener) => {
                    listener.accept().await.map(|(stream, _)| (Stream::from(stream), Peer::Unix))
                }
            };
            match accepted {
                Err(error) if is_gone_already(&error) => {}
                other => return other,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(file) = self.file.as_ref().filter(|file| file.is_there()) {
            // Best effort: a tidy administrator may be quicker.
            let _ = std::fs::remove_file(&file.path);
        }
    }
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() })
    }

    fn is_there(&self) -> bool {
        Self::of(&self.path).is_ok_and(|now| (now.device, now.inode) == (self.device, self.inode))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Self::Inherited(descriptor) => write!(f, "fd:{descriptor}"),
        }
    }
}

/// accept(2) reports errors of connections that died while they waited; these say nothing about the listener.
fn is_gone_already(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}

fn bind_tcp(address: SocketAddr) -> io::Result<ListenSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec().nonblocking(), None)?;
    // A restart must not wait for the TIME_WAIT of its predecessor's connections.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(ListenSocket::Tcp(TcpListener::from_std(socket.into())?))
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<(ListenSocket, SocketFile)> {
    remove_stale_socket(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    // The permissions are set before the first listen, so that nobody can connect in between.
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    let file = SocketFile::of(path)?;
    Ok((ListenSocket::Unix(UnixListener::from_std(socket.into())?), file))
}

/// A socket file outlives its listener when that was killed; nobody answers there, so it may go.
fn remove_stale_socket(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of that name that is no socket",
        ));
    }
    // Non-blocking, because a listener with a full backlog would keep us waiting.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    match probe.connect(&socket2::SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::AddrInUse.into()),
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) => Err(error),
    }
}

fn inherit(descriptor: RawFd) -> io::Result<ListenSocket> {
    use rustix::net::{AddressFamily, sockopt};
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

    // A descriptor that the kernel duplicates by number needs no assumption about who owns the original.
    let this_process = pidfd_open(getpid(), PidfdFlags::empty())?;
    let socket = pidfd_getfd(this_process, descriptor, PidfdGetfdFlags::empty())?;
    // A descriptor that is no socket at all fails here.
    if !sockopt::socket_acceptconn(&socket).unwrap_or(false) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the descriptor is no listening socket"));
    }
    let family = sockopt::socket_domain(&socket)?;
    let socket = Socket::from(socket);
    socket.set_nonblocking(true)?;
    match family {
        AddressFamily::UNIX => Ok(ListenSocket::Unix(UnixListener::from_std(socket.into())?)),
        _ => Ok(ListenSocket::Tcp(TcpListener::from_std(socket.into())?)),
    }
}
