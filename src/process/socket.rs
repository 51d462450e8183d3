//! The listening sockets that workers are started with: one each, in a folder that only we may enter. It must not know
//! what is spoken there.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::io::in_words;

/// The longest path of a unix socket, without the zero byte at its end: `sun_path` has 108 bytes.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// How many names are tried for a folder: each is taken only when a process of the same number left it behind.
const FOLDER_ATTEMPTS: usize = 64;

/// A folder for sockets, 0700 and removed at the end.
#[derive(Debug)]
pub struct SocketFolder(PathBuf);

impl SocketFolder {
    /// Makes a folder of its own inside `parent`, which must exist.
    ///
    /// # Errors
    ///
    /// With the path that could not be made.
    pub fn create(parent: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut attempts = FOLDER_ATTEMPTS;
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("gatebridge-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts > 0 => attempts -= 1,
                Err(error) => {
                    let (path, error_text) = (path.display(), in_words(&error));
                    let text = format!("cannot make the folder {path} for workers' sockets: {error_text}");
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Gives a listening socket the file name `name`: what waits there goes on waiting, and nobody who knows the old name
    /// can connect any more.
    ///
    /// # Errors
    ///
    /// With the path, when it is too long or cannot be had.
    pub fn rename(&self, socket: &mut WorkerSocket, name: &str) -> io::Result<()> {
        let path = self.path_of(name)?;
        std::fs::rename(socket.path(), &path).map_err(|error| {
            let (old, new, error_text) = (socket.path().display(), path.display(), in_words(&error));
            let text = format!("cannot rename {old} to {new}: {error_text}");
            io::Error::new(error.kind(), text)
        })?;
        socket.path.0 = path;
        Ok(())
    }

    /// Opens a listening socket with the file name `name`.
    ///
    /// # Errors
    ///
    /// With the path, when it is too long or cannot be bound.
    pub fn listen(&self, name: &str) -> io::Result<WorkerSocket> {
        let path = self.path_of(name)?;
        let listener = UnixListener::bind(&path).map_err(|error| {
            let text = format!("cannot listen at {}: {}", path.display(), in_words(&error));
            io::Error::new(error.kind(), text)
        })?;
        Ok(WorkerSocket { path: SocketPath(path), listener: listener.into() })
    }

    fn path_of(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        let length = path.as_os_str().len();
        if length > MAX_SOCKET_PATH_BYTES {
            let text = format!(
                "the path {} of a worker's socket has {length} bytes, and {MAX_SOCKET_PATH_BYTES} are the most that a \
                 unix socket may have: choose a shorter `temp_dir` or a shorter name for the pool",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(path)
    }
}

impl Drop for SocketFolder {
    fn drop(&mut self) {
        // What is left then is an empty folder, which harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A worker's listening socket; its path is removed at the end, and the connections that wait are reset.
///
/// We keep a descriptor of it for as long as the worker lives: connections that it leaves behind, because it ends by
/// itself, then wait for its successor instead of being lost.
///
/// FastCGI 1.0, 2.2: descriptor 0 of the worker refers to it, and nothing else is open on the worker's side.
#[derive(Debug)]
pub struct WorkerSocket {
    path: SocketPath,
    listener: OwnedFd,
}

impl WorkerSocket {
    /// Where to connect.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path.0
    }

    /// A descriptor of it for the worker.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left.
    pub fn share(&self) -> io::Result<OwnedFd> {
        self.listener.try_clone()
    }

    /// Whether a connection waits that the worker has not taken.
    ///
    /// # Errors
    ///
    /// When the kernel is out of memory.
    pub fn has_waiting_connection(&self) -> io::Result<bool> {
        let mut watched = [PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN)];
        Ok(poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? > 0)
    }
}

/// The path of a socket; removed at the end.
#[derive(Debug)]
struct SocketPath(PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        // The folder goes at the latest with its pool.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;

    #[test]
    fn nobody_else_may_enter_and_nothing_is_left() {
        let folder = SocketFolder::create(&std::env::temp_dir()).unwrap();
        let path = folder.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let socket = folder.listen("w.1").unwrap();
        assert!(socket.path().exists());
        drop(socket);
        assert!(!path.join("w.1").exists());
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn two_pools_have_two_folders() {
        let parent = std::env::temp_dir();
        let (one, two) = (SocketFolder::create(&parent).unwrap(), SocketFolder::create(&parent).unwrap());
        assert_ne!(one.path(), two.path());
    }

    #[test]
    fn a_path_that_is_too_long_says_so() {
        let folder = SocketFolder::create(&std::env::temp_dir()).unwrap();
        let error = folder.listen(&"x".repeat(120)).unwrap_err().to_string();
        assert!(error.contains("107") && error.contains("temp_dir"), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = SocketFolder::create(Path::new("/proc/nowhere")).unwrap_err().to_string();
        assert!(error.contains("/proc/nowhere/gatebridge-"), "{error}");
    }

    #[test]
    fn what_waits_at_a_socket_that_is_renamed_goes_on_waiting() {
        let folder = SocketFolder::create(&std::env::temp_dir()).unwrap();
        let mut socket = folder.listen("w.1").unwrap();
        let (old, _connection) = (socket.path().to_owned(), UnixStream::connect(socket.path()).unwrap());
        folder.rename(&mut socket, "w.2").unwrap();
        assert!(socket.has_waiting_connection().unwrap());
        assert_eq!(UnixStream::connect(&old).unwrap_err().kind(), io::ErrorKind::NotFound);
        UnixStream::connect(folder.path().join("w.2")).unwrap();
        let error = folder.rename(&mut socket, &"x".repeat(120)).unwrap_err().to_string();
        assert!(error.contains("107"), "{error}");
        drop(socket);
        assert!(!folder.path().join("w.2").exists());
    }

    #[test]
    fn whether_a_connection_was_taken_can_be_seen() {
        let folder = SocketFolder::create(&std::env::temp_dir()).unwrap();
        let socket = folder.listen("w").unwrap();
        let worker = UnixListener::from(socket.share().unwrap());
        assert!(!socket.has_waiting_connection().unwrap());
        let _connection = UnixStream::connect(socket.path()).unwrap();
        assert!(socket.has_waiting_connection().unwrap());
        let _taken = worker.accept().unwrap();
        assert!(!socket.has_waiting_connection().unwrap());
    }
}
