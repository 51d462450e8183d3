//! From a decoded path to the executable that answers it and the PATH_INFO behind; it must not know how it is run.
//!
//! The path is walked component by component, each opened by `openat2` beneath the folder (`RESOLVE_BENEATH`), until one
//! is a regular file: that is the script, and the rest is PATH_INFO, whatever it looks like. No pattern and no suffix
//! decides (RFC 3875 3.3, 4.1.5), so `photo.jpg/x.php` asks `photo.jpg`, and `photo.jpg` is not executable: 403. The
//! text of a script is never an answer.
//!
//! A symbolic link is followed while it stays beneath the folder. The checks are made on opened files, the program is
//! then executed by its path: whoever can exchange files inside the folder between the two can put programs there anyway.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, accessat, fstat, fstatvfs,
    open, openat2,
};
use rustix::io::Errno;

use super::path::PathError;
use crate::io::{in_words, is_shortage};

/// Ends of names that editors and package managers leave beside a file: an old version of a script is no script.
const BACKUP_SUFFIXES: &[&str] = &[
    "~",
    ".bak",
    ".orig",
    ".old",
    ".save",
    ".swp",
    ".swo",
    ".rej",
    ".tmp",
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-tmp",
    ".rpmsave",
    ".rpmorig",
    ".rpmnew",
];

/// How often a component is tried when the file system changes so fast that the kernel cannot tell whether a `..` of a
/// link stays beneath (EAGAIN).
const RACE_ATTEMPTS: usize = 8;

/// A folder of executables, or one executable.
#[derive(Clone, Debug)]
pub struct ScriptRoot {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
}

/// Why a root cannot be used; found out at start-up.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// No such file or folder, or not to be reached.
    #[error("cannot open {}: {}", .path.display(), in_words(.source))]
    Open {
        /// The root.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// One file is to answer everything, and cannot be executed.
    #[error("{} cannot be executed: {why}", .path.display())]
    Refused {
        /// The root.
        path: PathBuf,
        /// Which check failed.
        why: Refusal,
    },
    /// The system call that keeps a path beneath its folder does not exist.
    #[error(
        "this kernel, or the sandbox around us, has no openat2 ({source}): script folders need Linux 5.6 and a seccomp profile \
         that allows it"
    )]
    NoOpenat2 {
        /// ENOSYS or EPERM.
        source: io::Error,
    },
}

/// A script that was found, and what is left of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Absolute: the root and the components below it, links not resolved. To be executed, and SCRIPT_FILENAME.
    pub path: PathBuf,
    /// The folder that `path` lies in: the working directory (RFC 3875 7.2).
    pub folder: PathBuf,
    /// What belongs to SCRIPT_NAME behind the route's own path: `/` and the components up to the script's; empty when the
    /// root is one file.
    pub script_name: Vec<u8>,
    /// PATH_INFO: empty, or `/` and the rest of the path with a `/` at its end if there was one.
    pub path_info: Vec<u8>,
}

/// Why there is no script for a path.
#[derive(Debug, thiserror::Error)]
pub enum LookupFailure {
    /// Nothing of this name, or only a folder.
    #[error("no script {}", .path.display())]
    NotFound {
        /// How far the path led.
        path: PathBuf,
    },
    /// It is there but may not be run.
    #[error("{} may not be run: {why}", .path.display())]
    Forbidden {
        /// What may not be run or entered.
        path: PathBuf,
        /// Which check failed.
        why: Refusal,
    },
    /// The path was not made plain.
    #[error(transparent)]
    BadPath(#[from] PathError),
    /// The machine failed, and nothing is known about the script.
    #[error("cannot look for {}: {}", .path.display(), in_words(.source))]
    Broken {
        /// What was looked at.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl LookupFailure {
    /// The HTTP status that answers it.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NotFound { .. } => 404,
            Self::Forbidden { .. } => 403,
            Self::BadPath(_) => 400,
            // EAGAIN: the folder changes faster than it can be looked through.
            Self::Broken { source, .. } => match Errno::from_io_error(source) {
                Some(Errno::AGAIN) => 503,
                _ if is_shortage(source) => 503,
                _ => 500,
            },
        }
    }
}

/// Which check failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A name that begins with a dot.
    #[error("names that begin with a dot are hidden")]
    Hidden,
    /// A name as editors and package managers give to old versions.
    #[error("the name is that of a backup or temporary file")]
    Backup,
    /// A symbolic link that leads out of the folder, or an absolute one.
    #[error("a symbolic link leads out of the folder (an absolute link always counts as leading out)")]
    Escapes,
    /// Links in a circle, or a link of `/proc` that is none.
    #[error("too many symbolic links, or a magic one")]
    Links,
    /// A folder may not be searched.
    #[error("it, or a directory on the way to it, is closed to this user (permission denied)")]
    SearchDenied,
    /// A device, a socket, a pipe.
    #[error("it is neither a regular file nor a directory")]
    NotRegular,
    /// No execute permission.
    #[error("it is not executable by this user (mode {mode:04o}; chmod +x)")]
    NotExecutable {
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to a CGI route and is asked for as a file.
    #[error("it belongs to a CGI route: programs are run, their text is never served")]
    IsProgram,
    /// Mounted `noexec`.
    #[error("its file system is mounted noexec")]
    NoexecMount,
}

impl ScriptRoot {
    /// Opens a folder of executables, or one executable. A relative path counts from the present working directory.
    ///
    /// The folder is opened anew for each lookup, so a deployment that exchanges it, or a link to it, is seen at once.
    ///
    /// # Errors
    /// It is not there, is one file that cannot be executed, or the kernel has no `openat2`.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let path =
            std::path::absolute(path).map_err(|source| RootError::Open { path: path.to_owned(), source })?;
        let failed = |source: Errno| RootError::Open { path: path.clone(), source: source.into() };
        let root = open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
        let metadata = fstat(&root).map_err(failed)?;
        let kind = match FileType::from_raw_mode(metadata.st_mode) {
            FileType::Directory => Kind::Folder,
            FileType::RegularFile => Kind::File,
            _ => return Err(RootError::Refused { path, why: Refusal::NotRegular }),
        };
        if kind == Kind::File {
            if let Err(why) = may_run(CWD, path.as_os_str(), root.as_fd(), metadata.st_mode) {
                return Err(RootError::Refused { path, why });
            }
        } else if let Err(source @ (Errno::NOSYS | Errno::PERM)) = open_beneath(root.as_fd(), OsStr::new("."))
        {
            return Err(RootError::NoOpenat2 { source: source.into() });
        }
        Ok(Self { path, kind })
    }

    /// The folder or file, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finds the script for what is left of a [decoded path](super::decode_path) behind the route's path, with or without
    /// the `/` between them. Makes a handful of system calls on the calling thread.
    ///
    /// # Errors
    /// See [`LookupFailure`].
    pub fn lookup(&self, below: &[u8]) -> Result<Script, LookupFailure> {
        let inside = below.strip_prefix(b"/").unwrap_or(below);
        check_plain(inside)?;
        match self.kind {
            // RFC 3875 4.1.5: PATH_INFO is all that the client put behind the script's path, and be it a `/`.
            Kind::File if below.is_empty() => self.the_file(b""),
            Kind::File => self.the_file(&[b"/", inside].concat()),
            Kind::Folder => self.walk(inside),
        }
    }

    fn the_file(&self, path_info: &[u8]) -> Result<Script, LookupFailure> {
        Ok(Script {
            path: self.path.clone(),
            folder: self.path.parent().unwrap_or(&self.path).to_owned(),
            script_name: Vec::new(),
            path_info: path_info.to_vec(),
        })
    }

    fn walk(&self, below: &[u8]) -> Result<Script, LookupFailure> {
        let failed = |path: PathBuf, errno| failure(path, errno);
        let root = open(&self.path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failed(self.path.clone(), errno))?;
        let mut end = 0; // of the components walked so far
        loop {
            let rest = below.get(end..).unwrap_or_default();
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            if rest.is_empty() {
                return Err(LookupFailure::NotFound { path: self.path.join(OsStr::from_bytes(below)) });
            }
            let name = rest.split(|&byte| byte == b'/').next().unwrap_or(rest);
            end = below.len() - rest.len() + name.len();

            // Always from the root and never from the folder before: a link may lead up as long as it stays beneath.
            let walked = OsStr::from_bytes(below.get(..end).unwrap_or_default());
            let path = self.path.join(walked);
            if let Err(why) = check_name(name) {
                return Err(LookupFailure::Forbidden { path, why });
            }
            let file = open_beneath(root.as_fd(), walked).map_err(|errno| failed(path.clone(), errno))?;
            let mode = fstat(&file).map_err(|errno| failed(path.clone(), errno))?.st_mode;
            match FileType::from_raw_mode(mode) {
                FileType::Directory => {}
                FileType::RegularFile => {
                    return match may_run(root.as_fd(), walked, file.as_fd(), mode) {
                        Ok(()) => Ok(self.found(path, below, end)),
                        Err(why) => Err(LookupFailure::Forbidden { path, why }),
                    };
                }
                _ => return Err(LookupFailure::Forbidden { path, why: Refusal::NotRegular }),
            }
        }
    }

    fn found(&self, path: PathBuf, below: &[u8], end: usize) -> Script {
        let (script_name, path_info) = below.split_at(end);
        Script {
            folder: path.parent().unwrap_or(&self.path).to_owned(),
            path,
            script_name: [b"/", script_name].concat(),
            path_info: path_info.to_vec(),
        }
    }
}

pub(super) fn failure(path: PathBuf, errno: Errno) -> LookupFailure {
    let why = match errno {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => return LookupFailure::NotFound { path },
        Errno::XDEV => Refusal::Escapes,
        Errno::LOOP => Refusal::Links,
        Errno::ACCESS => Refusal::SearchDenied,
        _ => return LookupFailure::Broken { path, source: errno.into() },
    };
    LookupFailure::Forbidden { path, why }
}

pub(super) fn open_beneath(root: BorrowedFd<'_>, path: &OsStr) -> Result<OwnedFd, Errno> {
    open_beneath_with(root, path, OFlags::PATH)
}

/// Opens what lies beneath `root` and nothing else, links included.
pub(super) fn open_beneath_with(root: BorrowedFd<'_>, path: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let attempt = || openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), beneath);
    for _ in 1..RACE_ATTEMPTS {
        match attempt() {
            Err(Errno::AGAIN | Errno::INTR) => {}
            settled => return settled,
        }
    }
    attempt()
}

fn may_run(folder: BorrowedFd<'_>, path: &OsStr, file: BorrowedFd<'_>, mode: u32) -> Result<(), Refusal> {
    if accessat(folder, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok() {
        return Ok(());
    }
    if fstatvfs(file).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        return Err(Refusal::NoexecMount);
    }
    Err(Refusal::NotExecutable { mode: mode & 0o7777 })
}

/// What [`decode_path`](super::decode_path) promises is looked at again: the price of a mistake elsewhere would be too high.
pub(super) fn check_plain(below: &[u8]) -> Result<(), PathError> {
    if let Some(&byte) = below.iter().find(|byte| byte.is_ascii_control()) {
        return Err(PathError::ControlByte { byte });
    }
    let components = below.strip_suffix(b"/").unwrap_or(below);
    if below == b"/" || (!components.is_empty() && components.split(|&byte| byte == b'/').any(is_special)) {
        return Err(PathError::NotPlain);
    }
    Ok(())
}

fn is_special(component: &[u8]) -> bool {
    matches!(component, b"" | b"." | b"..")
}

/// Refused before the disk is asked, so that the answer does not tell whether there is such a file.
pub(super) fn check_name(name: &[u8]) -> Result<(), Refusal> {
    if name.starts_with(b".") {
        return Err(Refusal::Hidden);
    }
    let ends_with = |suffix: &str| {
        let suffix = suffix.as_bytes();
        name.len() >= suffix.len()
            && name.iter().rev().zip(suffix.iter().rev()).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    let emacs = name.starts_with(b"#") && name.ends_with(b"#");
    if emacs || BACKUP_SUFFIXES.iter().any(|suffix| ends_with(suffix)) {
        Err(Refusal::Backup)
    } else {
        Ok(())
    }
}
