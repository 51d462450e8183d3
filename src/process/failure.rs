//! Why a program could not be started, and what to do about it, as data. It must not look at a file, nor answer in HTTP.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::io::Shortage;

/// The longest argument or `NAME=value` that the kernel takes, in bytes without the closing NUL (MAX_ARG_STRLEN is 32
/// pages of 4 KiB with it).
pub const MAX_STRING_BYTES: usize = 32 * 4096 - 1;

/// Why a program could not be started.
///
/// Displays as one line for the log: the program's path, the reason, the system's error number, what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {}: {kind}{}; {}", .program.display(), number(.kind, *.errno), .kind.hint())]
pub struct SpawnFailure {
    /// The reason, with what is to be known about it.
    pub kind: FailureKind,
    /// The program as it was to be started.
    pub program: PathBuf,
    /// The system's error number, where the system was asked.
    pub errno: Option<i32>,
}

/// Whose matter a failure is, and so how it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The program or its configuration is at fault; trying again changes nothing. HTTP says 500.
    Broken,
    /// The machine has no room now; later it may work. HTTP says 503, with Retry-After.
    Busy,
}

impl SpawnFailure {
    /// Whether trying again later makes sense.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        use FailureKind::{NoMemory, SpawnerGone, TooManyFiles, TooManyProcesses};
        match self.kind {
            NoMemory | TooManyFiles { .. } | TooManyProcesses | SpawnerGone => FailureClass::Busy,
            _ => FailureClass::Broken,
        }
    }

    /// What to do about it, in a few words.
    #[must_use]
    pub fn hint(&self) -> String {
        self.kind.hint()
    }

    pub(super) fn spawner_gone(program: &Path) -> Self {
        Self { kind: FailureKind::SpawnerGone, program: program.to_owned(), errno: None }
    }
}

/// The number is what manuals and the web are searched by; the system's own words hold it already.
fn number(kind: &FailureKind, errno: Option<i32>) -> String {
    match (kind, errno) {
        (FailureKind::Other { .. }, _) | (_, None) => String::new(),
        (_, Some(errno)) => format!(" (os error {errno})"),
    }
}

const fn no_descriptors(system_wide: bool) -> Shortage {
    if system_wide { Shortage::SystemDescriptors } else { Shortage::Descriptors }
}

/// The reasons.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// The path does not begin with `/`.
    #[error("the path is not absolute")]
    NotAbsolute,
    /// A string with a NUL byte cannot be given to a program.
    #[error("{what} contains a NUL byte")]
    NulByte {
        /// Which string.
        what: String,
    },
    /// The name of a variable is empty or contains `=`.
    #[error("{name:?} cannot be the name of a variable")]
    BadVariableName {
        /// The name.
        name: OsString,
    },
    /// No file of this name.
    #[error("no such file")]
    NotFound,
    /// The working directory is missing, is no directory, or may not be entered.
    #[error("its working directory {} cannot be entered ({error})", .folder.display())]
    Folder {
        /// The working directory.
        folder: PathBuf,
        /// What the system says about it.
        error: String,
    },
    /// The file is there, what should run it is not.
    #[error("its interpreter {} does not exist", .interpreter.display())]
    InterpreterMissing {
        /// As the `#!` line or the program's header names it.
        interpreter: PathBuf,
    },
    /// The file is there, what should run it may not be executed.
    #[error("its interpreter {} may not be executed", .interpreter.display())]
    InterpreterRefused {
        /// As the `#!` line names it.
        interpreter: PathBuf,
    },
    /// The first line ends in CR LF, so that the system looks for an interpreter whose name ends in CR.
    #[error("its first line, #!{}, ends in CR LF", .interpreter.display())]
    CrlfShebang {
        /// The interpreter without the CR.
        interpreter: PathBuf,
    },
    /// No execute permission for us.
    #[error("it is not executable by this user (mode {mode:04o})")]
    NotExecutable {
        /// The file's permission bits.
        mode: u32,
    },
    /// A directory, a device, a socket.
    #[error("it is not a regular file")]
    NotRegular,
    /// The file system is mounted `noexec`.
    #[error("the file system that it lies on is mounted noexec")]
    NoexecMount,
    /// A directory on the way may not be searched.
    #[error("the directory {} may not be searched by this user", .folder.display())]
    SearchDenied {
        /// The first such directory from the root.
        folder: PathBuf,
    },
    /// Denied, and none of the usual checks explains it.
    #[error("permission denied, though the mode and the directories allow it")]
    PermissionDenied,
    /// A text without a `#!` line. It is never given to a shell instead.
    #[error("it has no #! line and is not a program for this machine")]
    NoShebang,
    /// A binary for another machine, or a damaged one.
    #[error("it is a binary that this machine cannot run")]
    BadFormat,
    /// More symbolic links than the system follows.
    #[error("too many symbolic links")]
    SymlinkLoop,
    /// Too many bytes in arguments and environment.
    #[error(
        "the argument list is too long: {total_bytes} bytes of arguments and environment, \
         {largest_bytes} of them in {largest}"
    )]
    TooBig {
        /// All strings together, with their closing NULs.
        total_bytes: usize,
        /// The variable's name, or `argument N`.
        largest: String,
        /// The largest string, `NAME=value`.
        largest_bytes: usize,
    },
    /// Somebody has the file open for writing, and kept it so.
    #[error("it is open for writing")]
    TextBusy,
    /// EAGAIN: RLIMIT_NPROC, pids.max of the cgroup, or threads-max.
    #[error("the limit of processes is reached")]
    TooManyProcesses,
    /// ENOMEM.
    #[error("there is not enough memory")]
    NoMemory,
    /// EMFILE or ENFILE.
    #[error("{}", no_descriptors(*.system_wide))]
    TooManyFiles {
        /// The machine's limit and not the process's.
        system_wide: bool,
    },
    /// The spawner's threads are gone.
    #[error("the gateway is ending")]
    SpawnerGone,
    /// Anything else.
    #[error("{message}")]
    Other {
        /// The system's words.
        message: String,
    },
}

impl FailureKind {
    pub(super) fn hint(&self) -> String {
        match self {
            Self::NotAbsolute => "give the path from / on".to_owned(),
            Self::NulByte { .. } => "remove it".to_owned(),
            Self::BadVariableName { .. } => "use a name without =".to_owned(),
            Self::NotFound => "check the path".to_owned(),
            Self::Folder { .. } => "create it or correct its permissions".to_owned(),
            Self::InterpreterMissing { interpreter } => {
                format!("install {} or correct the first line", interpreter.display())
            }
            Self::InterpreterRefused { interpreter } => format!("chmod +x {}", interpreter.display()),
            Self::CrlfShebang { .. } => "save the file with LF line ends (sed -i 's/\\r$//')".to_owned(),
            Self::NotExecutable { .. } => "chmod +x it".to_owned(),
            Self::NotRegular => "name a file".to_owned(),
            Self::NoexecMount => "move it, or remount without noexec".to_owned(),
            Self::SearchDenied { folder } => format!("chmod +x {}", folder.display()),
            Self::PermissionDenied => "look for SELinux, AppArmor or Landlock denials".to_owned(),
            Self::NoShebang => "add a first line such as #!/bin/sh".to_owned(),
            Self::BadFormat => "build it for this machine".to_owned(),
            Self::SymlinkLoop => "look for a link that leads to itself".to_owned(),
            Self::TooBig { .. } => {
                format!("one string may have {MAX_STRING_BYTES} bytes, all together a quarter of ulimit -s")
            }
            Self::TextBusy => "replace programs by rename, not by writing into them".to_owned(),
            Self::TooManyProcesses => {
                "raise ulimit -u or the cgroup's pids.max, or lower the process limit".to_owned()
            }
            Self::NoMemory => "lower the process limit".to_owned(),
            Self::TooManyFiles { system_wide } => no_descriptors(*system_wide).hint().to_owned(),
            Self::SpawnerGone => "nothing to be done".to_owned(),
            Self::Other { .. } => "see the system's message".to_owned(),
        }
    }
}
