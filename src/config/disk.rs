//! Paths of the file, made absolute and looked at; it does not know what they are for.

use std::fs::Metadata;
use std::path::{Component, Path, PathBuf};

use super::diagnostic::Kind as Mistake;
use super::notes::{Notes, Written};

/// The folder that relative paths start at.
pub(super) struct Base<'n> {
    pub(super) folder: PathBuf,
    notes: &'n Notes<'n>,
}

impl<'n> Base<'n> {
    pub(super) fn new(folder: PathBuf, notes: &'n Notes<'n>) -> Self {
        Self { folder, notes }
    }

    /// The absolute path of what is written, without looking at the disk.
    pub(super) fn resolve(&self, text: &str) -> PathBuf {
        let joined = self.folder.join(text);
        // `.` goes; `..` stays, because behind a symbolic link it is not what it seems to be.
        joined.components().filter(|component| *component != Component::CurDir).collect()
    }

    /// What is written, as a path; `None` after a mistake.
    pub(super) fn path(&self, key: &str, written: &Written) -> Option<PathBuf> {
        let problem = match written.text.as_str() {
            "" => Some((format!("`{key}` is empty"), "write a path; \".\" is the folder of this file")),
            text if text.starts_with('~') => Some((
                format!("`{key}` starts with a tilde, which only shells understand"),
                "write the whole path",
            )),
            text if text.starts_with('$') => Some((
                format!("`{key}` starts with a dollar sign, and nothing is expanded here"),
                "write the whole path",
            )),
            _ => None,
        };
        match problem {
            Some((message, hint)) => {
                self.notes.error(Mistake::Value, &written.span, message, hint);
                None
            }
            None => Some(self.resolve(&written.text)),
        }
    }

    /// An existing folder. The path comes back after a mistake of the disk too, so that other checks can go on.
    pub(super) fn folder(&self, key: &str, written: &Written) -> Option<PathBuf> {
        let path = self.path(key, written)?;
        if let Some(metadata) = self.look(key, &path, written)
            && !metadata.is_dir()
        {
            let message = format!("`{key}`: {} is not a folder", path.display());
            self.notes.error(Mistake::Disk, &written.span, message, "name the folder that it is in");
        }
        Some(path)
    }

    /// What is there; notes that nothing is.
    pub(super) fn look(&self, key: &str, path: &Path, written: &Written) -> Option<Metadata> {
        match std::fs::metadata(path) {
            Ok(metadata) => Some(metadata),
            Err(error) => {
                let message = format!("`{key}`: {}", what_failed(path, &error));
                self.notes.error(Mistake::Disk, &written.span, message, self.hint_for(path, &error, written));
                None
            }
        }
    }

    /// Checks that the folder in which a file is to be made exists.
    pub(super) fn parent_exists(&self, key: &str, path: &Path, written: &Written) {
        let Some(parent) = path.parent() else { return };
        if !parent.is_dir() {
            let message = format!("`{key}`: the folder {} does not exist", parent.display());
            self.notes.error(Mistake::Disk, &written.span, message, "create it, or choose another place");
        }
    }

    fn hint_for(&self, path: &Path, error: &std::io::Error, written: &Written) -> String {
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            return "give the user that runs gatebridge the right to search every folder on the way"
                .to_owned();
        }
        let missing = path.ancestors().skip(1).take_while(|ancestor| !ancestor.exists()).last();
        match missing {
            Some(folder) => {
                format!("the first folder on the way that does not exist is {}", folder.display())
            }
            None if !written.text.starts_with('/') => {
                format!("a relative path starts at the folder of this file, {}", self.folder.display())
            }
            None => "create it, or correct the path".to_owned(),
        }
    }
}

fn what_failed(path: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => format!("{} does not exist", path.display()),
        std::io::ErrorKind::PermissionDenied => {
            format!("{} cannot be reached: permission denied", path.display())
        }
        std::io::ErrorKind::NotADirectory => {
            format!("{} does not exist: a part of it is a file", path.display())
        }
        _ => format!("{} cannot be looked at: {error}", path.display()),
    }
}

/// Whether this process may run the file.
pub(super) fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Whether this process may create files in the folder.
pub(super) fn is_writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// The executable of that name in the folders of a PATH, as a shell would find it.
pub(super) fn find_in_path(name: &str, path: &std::ffi::OsStr) -> Option<PathBuf> {
    std::env::split_paths(path)
        // An empty or relative entry means the current folder, which is whatever the gateway was started in.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file() && is_executable(candidate))
}
