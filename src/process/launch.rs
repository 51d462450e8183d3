//! A program with its arguments, environment and descriptors, as data; it must not know how it is started.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

/// How long a process group has between TERM and KILL when nobody said otherwise: long enough to remove a temporary
/// file and roll back a transaction, short enough that a busy server does not fill up with the dying.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// What is to be started. Nothing is inherited but what stands here: no variable, no descriptor above 2, no shell between.
///
/// The fields are public because a launch is plain data; [`Launch::new`] gives every one of them its default.
#[derive(Debug)]
#[non_exhaustive]
pub struct Launch {
    /// The file to execute; an absolute path, so that no search takes place and the fast path of the C library is kept.
    pub program: PathBuf,
    /// What the program sees as its own name; without it, `program`.
    pub arg0: Option<OsString>,
    /// The other arguments. They come from the configuration, never from a request: a query string that becomes an
    /// option of an interpreter is a remote shell.
    pub args: Vec<OsString>,
    /// The whole environment. Of two entries with one name the later counts.
    pub env: Vec<(OsString, OsString)>,
    /// The working directory; default `/`.
    pub cwd: PathBuf,
    /// Descriptor 0.
    pub stdin: Stdin,
    /// Descriptor 1.
    pub stdout: Output,
    /// Descriptor 2.
    pub stderr: Output,
    /// The time between TERM and KILL when the child is dropped before its end, and for what is left of its group.
    pub grace: Duration,
    /// What becomes of the group when the program itself has ended.
    pub rest_of_group: RestOfGroup,
}

impl Launch {
    /// A launch without arguments and variables, in `/`, with nothing to read and both outputs piped.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arg0: None,
            args: Vec::new(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            stdin: Stdin::Null,
            stdout: Output::Pipe,
            stderr: Output::Pipe,
            grace: DEFAULT_GRACE,
            rest_of_group: RestOfGroup::End,
        }
    }
}

/// What the program reads from.
#[derive(Debug)]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    Null,
    /// A pipe whose other end is [`Child::stdin`](super::Child::stdin).
    Pipe,
    /// An open file, read from its present offset: a body that was spooled.
    File(OwnedFd),
    /// A listening socket: FastCGI 1.0, 2.2 calls it FCGI_LISTENSOCK_FILENO, and it is descriptor 0.
    ListenSocket(OwnedFd),
}

/// What the program writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A pipe that [`Child`](super::Child) holds the reading end of.
    Pipe,
    /// Nowhere: `/dev/null`.
    Null,
}

/// What happens to processes that the program left behind in its group when it ended by itself.
///
/// A process that left the group (`setsid`, as every daemon does) is not asked and lives on in either case: whoever
/// detaches on purpose is believed, whoever merely forgot a `&` behind is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestOfGroup {
    /// TERM when the [`Child`](super::Child) is dropped, KILL after the grace.
    End,
    /// They are left alone.
    Leave,
}
