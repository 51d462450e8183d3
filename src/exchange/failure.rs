//! Why there is no response: whose fault it is, which status says so, and what the log should tell. The one place
//! where "what went wrong" meets "what the client is told"; it does not write either.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

/// Why a request got no response of its own.
///
/// The `detail` is for the log: it names the path, the program, the reason and what to do. The client is told the
/// status and the request's id, never the detail.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What kind of trouble, and so which status.
    pub kind: FailureKind,
    /// What happened, to what, and what to do about it; for the log.
    pub detail: Cow<'static, str>,
}

/// The kinds of trouble; each line of the table "what answers what" is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The request itself is wrong: its path does not decode, has control bytes or escapes its root, or its body is
    /// malformed. 400.
    BadRequest,
    /// Nothing answers here: no such route, script or file. 404.
    NotFound,
    /// It is there but may not be run or read. 403.
    Forbidden,
    /// The route does not allow this method. 405. The detail is the list of those that it does allow: `GET, HEAD`.
    MethodNotAllowed,
    /// The request body is longer than the route allows. 413.
    BodyTooLarge,
    /// The client was too slow to send its request body. 408.
    ClientTooSlow,
    /// The client has left; nobody is there to be told.
    ClientGone,
    /// The program could not be started. 500.
    NotStarted,
    /// The program died, or said nothing valid, before its response head was complete. 502.
    BadOutput,
    /// The program broke off after its response head: the connection is cut short so that nothing looks complete.
    BrokenOff,
    /// No worker could be reached, or the one that was reached left before it answered. 502.
    Unreachable,
    /// No room: queue full, queue wait over, no process slot, or the kernel is short of something. 503 with a
    /// Retry-After.
    Overloaded {
        /// What Retry-After tells the client.
        retry_after: Duration,
    },
    /// The program took longer than its limit. 504.
    TimedOut,
    /// Local redirects without end. 500.
    RedirectLoop,
    /// The gateway itself failed. 500.
    Internal,
}

/// Whose matter a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client's: it asked wrongly, or left.
    Client,
    /// The program's, or that of whoever configured it.
    Program,
    /// Nobody's: there was more to do than room for it.
    Load,
    /// The gateway's own.
    Gateway,
}

impl Blame {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Client, Self::Program, Self::Load, Self::Gateway];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Program => "program",
            Self::Load => "load",
            Self::Gateway => "gateway",
        }
    }
}

impl FailureKind {
    /// Whose matter it is.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::Internal => Blame::Gateway,
            Self::Overloaded { .. } => Blame::Load,
            _ if self.is_clients_fault() => Blame::Client,
            _ => Blame::Program,
        }
    }

    /// The status that tells the client. `None` where nobody is there to be told, or where a response is already
    /// under way.
    #[must_use]
    pub const fn status(self) -> Option<StatusCode> {
        Some(match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ClientTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotStarted | Self::RedirectLoop | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BadOutput | Self::BrokenOff | Self::Unreachable => StatusCode::BAD_GATEWAY,
            Self::Overloaded { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::ClientGone => return None,
        })
    }

    /// Whether the client is to blame, so that the log need not alarm anybody.
    #[must_use]
    pub const fn is_clients_fault(self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::NotFound
                | Self::MethodNotAllowed
                | Self::BodyTooLarge
                | Self::ClientTooSlow
                | Self::ClientGone
        )
    }
}

impl Failure {
    /// A failure of this kind with its detail for the log.
    pub fn new(kind: FailureKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// The gateway itself failed.
    pub fn internal(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::Internal, detail)
    }

    /// The client has left.
    #[must_use]
    pub const fn client_gone() -> Self {
        Self { kind: FailureKind::ClientGone, detail: Cow::Borrowed("the client left") }
    }

    /// No room; `retry_after` is what the client is told.
    pub fn overloaded(retry_after: Duration, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::Overloaded { retry_after }, detail)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FailureKind::MethodNotAllowed => write!(f, "the route takes only {}", self.detail),
            _ => f.write_str(&self.detail),
        }
    }
}

impl std::error::Error for Failure {}
