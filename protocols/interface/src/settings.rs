//! What a persistent worker may be told, and every limit with its reason; it must not know how they are kept.

use crate::socket::Peers;

/// One thread, as a FastCGI program has always had: a program that is not made for more is not surprised by them.
pub const DEFAULT_THREADS: usize = 1;
/// 512 connections: far more than a gateway keeps to one worker; each costs one descriptor and a kilobyte.
pub const DEFAULT_CONNECTIONS: usize = 512;
/// 64 requests on one connection at once: they wait for threads, and each may hold [`INPUT_BYTES`].
pub const DEFAULT_CONNECTION_REQUESTS: u16 = 64;
/// 1,024 requests at once in the asynchronous shape: a task that waits costs a few kilobytes; beyond that, the queue is
/// better kept by the gateway, which can refuse.
#[cfg(feature = "tokio")]
pub const DEFAULT_REQUESTS: usize = 1024;
/// 64 KiB of an answer are taken from a task before it waits until they have left.
#[cfg(feature = "tokio")]
pub const WRITE_BYTES: usize = 64 * 1024;
/// 64 KiB of errors that nobody has taken yet: a task that goes on without waiting gets an error instead of memory.
#[cfg(feature = "tokio")]
pub const ERRORS_BYTES: usize = 64 * 1024;
/// 256 KiB of a body that the application has not read: then its connection is not read either, and whoever sends
/// waits. Four times what a pipe holds.
pub const INPUT_BYTES: usize = 256 * 1024;
/// 16 MiB of a body, when the connection has to be read on for the sake of another request that waits for its own
/// body. FastCGI cannot tell a peer to hold back one request only, so a request above this is given up.
pub const MAX_INPUT_BYTES: usize = 16 * 1024 * 1024;
/// 64 KiB are read from a connection before the next one has its turn.
pub const READ_BYTES: usize = 64 * 1024;
/// 5 s for a peer to close a connection that was answered to its end, so that the end of the answer reaches it.
pub const LINGER_MS: u64 = 5_000;
/// 10 s for the header of an SCGI request, which a gateway sends in one write.
pub const HEADER_TIMEOUT_MS: u64 = 10_000;

/// How a persistent worker runs.
///
/// ```
/// let settings = gatebridge_interface::Settings::default().threads(4);
/// assert_eq!(settings.threads, 4);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Threads, 1 and up. Each works on one request; in the asynchronous shape they share all of them. Default
    /// [`DEFAULT_THREADS`].
    pub threads: usize,
    /// Requests that are worked on at once in the asynchronous shape, 1 and up; others wait their turn. Default
    /// [`DEFAULT_REQUESTS`].
    #[cfg(feature = "tokio")]
    pub max_requests: usize,
    /// Connections at once, 1 and up; further ones wait in the kernel. Default [`DEFAULT_CONNECTIONS`].
    pub max_connections: usize,
    /// Requests at once on one FastCGI connection, worked on or waiting; 1 refuses multiplexing. Default
    /// [`DEFAULT_CONNECTION_REQUESTS`].
    pub max_connection_requests: u16,
    /// Who may connect. Default: what `FCGI_WEB_SERVER_ADDRS` says, else this machine.
    pub peers: Peers,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threads: DEFAULT_THREADS,
            #[cfg(feature = "tokio")]
            max_requests: DEFAULT_REQUESTS,
            max_connections: DEFAULT_CONNECTIONS,
            max_connection_requests: DEFAULT_CONNECTION_REQUESTS,
            peers: Peers::from_environment(),
        }
    }
}

impl Settings {
    /// The same with so many threads.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// The same with so many requests at once in the asynchronous shape.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn max_requests(self, max_requests: usize) -> Self {
        Self { max_requests: max_requests.max(1), ..self }
    }

    /// The same with so many requests at once on one FastCGI connection.
    #[must_use]
    pub fn max_connection_requests(self, max_connection_requests: u16) -> Self {
        Self { max_connection_requests: max_connection_requests.max(1), ..self }
    }

    /// The same for these peers.
    #[must_use]
    pub fn peers(self, peers: Peers) -> Self {
        Self { peers, ..self }
    }
}
