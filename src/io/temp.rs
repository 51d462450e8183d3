//! Temporary files without a name, and how much all of them together may take. It does not know what is kept in them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::{AtFlags, Mode, OFlags, open, openat, unlinkat};
use rustix::io::Errno;

/// How often a name is tried where files need one for a moment. Names are 64 random bits: the second try is a rarity, the
/// third an attack or a broken file system.
const NAME_ATTEMPTS: usize = 8;

/// Entries of files that are gone are swept when there are twice as many entries as after the last time, and never below
/// this: the work is spread, and the list no longer than twice what is held.
const MIN_SWEEP_FILES: usize = 64;

/// Only the gateway's own user reads and writes.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A folder for temporary files with a quota for all of them together. A cheap handle: clone it.
///
/// The files have no name (`O_TMPFILE`; created and unlinked at once where the file system has none), so that nothing is
/// left when the gateway dies, and nobody else can open them. They are never synced: nobody reads them after a crash.
#[derive(Clone, Debug)]
pub struct TempFolder {
    path: Arc<Path>,
    quota: Arc<Mutex<Quota>>,
}

/// What all temporary files of a folder take.
#[derive(Debug)]
struct Quota {
    limit_bytes: u64,
    used_bytes: u64,
    next: u64,
    /// A file counts until its last owner has let go, which only the file itself knows.
    files: HashMap<u64, (Weak<File>, u64)>,
    /// At this many entries those of files that are gone are looked for.
    sweep_at: usize,
}

/// A temporary file that is being written.
#[derive(Debug)]
pub struct TempFile {
    file: Arc<File>,
    length: u64,
    number: u64,
    folder: TempFolder,
}

/// Why a temporary file could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum TempError {
    /// All temporary files together would take more than they may.
    #[error("the temporary files in {} take {used_bytes} bytes of {limit_bytes}: no room for {wanted_bytes} more", .folder.display())]
    Full {
        /// Where.
        folder: PathBuf,
        /// What they take.
        used_bytes: u64,
        /// What they may.
        limit_bytes: u64,
        /// What was to be written.
        wanted_bytes: u64,
    },
    /// The file system refused.
    #[error("a temporary file in {}: {}", .folder.display(), super::in_words(.source))]
    Io {
        /// Where.
        folder: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

impl TempError {
    /// Whether there was no room for the bytes, on the disk or in what may be used of it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
        }
    }

    /// Whether it may work later without anybody's doing: there was no room, on the disk or in a table of the kernel.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        self.is_full() || matches!(self, Self::Io { source, .. } if super::is_shortage(source))
    }
}

impl TempFolder {
    /// Temporary files in `path`, which exists, of `limit_bytes` altogether.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, limit_bytes: u64) -> Self {
        let quota =
            Quota { limit_bytes, used_bytes: 0, next: 0, files: HashMap::new(), sweep_at: MIN_SWEEP_FILES };
        Self { path: path.into().into(), quota: Arc::new(Mutex::new(quota)) }
    }

    /// A new, empty file.
    ///
    /// # Errors
    ///
    /// The file system refused.
    pub fn create(&self) -> Result<TempFile, TempError> {
        let descriptor = create_nameless(&self.path)
            .or_else(|error| if has_no_tmpfile(error) { create_named(&self.path) } else { Err(error) })
            .map_err(|errno| self.io(errno.into()))?;
        let file = Arc::new(File::from(descriptor));
        let mut quota = self.quota();
        if quota.files.len() >= quota.sweep_at {
            quota.sweep();
            quota.sweep_at = MIN_SWEEP_FILES.max(2 * quota.files.len());
        }
        let number = quota.next;
        quota.next += 1;
        quota.files.insert(number, (Arc::downgrade(&file), 0));
        Ok(TempFile { file, length: 0, number, folder: self.clone() })
    }

    /// What the files take that are still in somebody's hands, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        let mut quota = self.quota();
        quota.sweep();
        quota.used_bytes
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self, source: io::Error) -> TempError {
        TempError::Io { folder: self.path.to_path_buf(), source }
    }
}

impl Quota {
    /// Forgets the files that nobody holds any more.
    fn sweep(&mut self) {
        let mut freed_bytes = 0;
        self.files.retain(|_, (file, bytes)| {
            let is_held = file.strong_count() > 0;
            freed_bytes += if is_held { 0 } else { *bytes };
            is_held
        });
        self.used_bytes -= freed_bytes;
    }

    fn reserve(&mut self, number: u64, bytes: u64) -> bool {
        if self.limit_bytes.saturating_sub(self.used_bytes) < bytes {
            self.sweep();
        }
        if self.limit_bytes.saturating_sub(self.used_bytes) < bytes {
            return false;
        }
        if let Some((_, taken)) = self.files.get_mut(&number) {
            *taken += bytes;
            self.used_bytes += bytes;
        }
        true
    }
}

impl TempFile {
    /// Writes behind what is there. The position of the open file stays at its start.
    ///
    /// This goes into the page cache and waits for the disk only when the machine has far too much to write.
    ///
    /// # Errors
    ///
    /// The quota is used up, or the file system refused.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), TempError> {
        let wanted_bytes = bytes.len() as u64;
        {
            let mut quota = self.folder.quota();
            if !quota.reserve(self.number, wanted_bytes) {
                return Err(TempError::Full {
                    folder: self.folder.path.to_path_buf(),
                    used_bytes: quota.used_bytes,
                    limit_bytes: quota.limit_bytes,
                    wanted_bytes,
                });
            }
        }
        self.file.write_all_at(bytes, self.length).map_err(|error| self.folder.io(error))?;
        self.length += wanted_bytes;
        Ok(())
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The file, to be read. It takes its part of the quota until its last owner drops it.
    #[must_use]
    pub fn into_file(self) -> Arc<File> {
        self.file
    }
}

fn create_nameless(folder: &Path) -> Result<OwnedFd, Errno> {
    // With O_EXCL it can never be given a name.
    open(folder, OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC, PRIVATE)
}

/// Some network and overlay file systems have no files without a name.
fn has_no_tmpfile(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL)
}

fn create_named(folder: &Path) -> Result<OwnedFd, Errno> {
    let folder = open(folder, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for attempt in 0..NAME_ATTEMPTS {
        let random = RandomState::new().hash_one(attempt);
        let name = OsString::from(format!(".gatebridge-{random:016x}"));
        match openat(&folder, &name, flags, PRIVATE) {
            Ok(file) => {
                unlinkat(&folder, &name, AtFlags::empty())?;
                return Ok(file);
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn folder(limit_bytes: u64) -> TempFolder {
        TempFolder::new(std::env::temp_dir(), limit_bytes)
    }

    fn read(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn lesson_40_a_file_is_private_and_has_no_name() {
        for descriptor in [create_nameless(&std::env::temp_dir()), create_named(&std::env::temp_dir())] {
            let metadata = File::from(descriptor.unwrap()).metadata().unwrap();
            assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o600, 0));
        }
    }

    #[test]
    fn what_is_appended_is_there_and_the_position_stays() {
        use std::io::Read;
        let mut temp = folder(100).create().unwrap();
        temp.append(b"one ").unwrap();
        temp.append(b"two").unwrap();
        assert_eq!(temp.length(), 7);
        let file = temp.into_file();
        assert_eq!(read(&file), b"one two");
        let mut text = String::new();
        (&*file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "one two");
    }

    #[test]
    fn lesson_40_all_files_together_are_counted_until_their_last_owner_lets_go() {
        let folder = folder(10);
        let mut first = folder.create().unwrap();
        let mut second = folder.create().unwrap();
        first.append(b"123456").unwrap();
        second.append(b"1234").unwrap();
        let error = second.append(b"5").unwrap_err();
        assert!(error.is_shortage());
        assert!(error.to_string().contains("10 bytes of 10"), "{error}");

        let file = first.into_file();
        let shared = Arc::clone(&file);
        drop(file);
        assert_eq!(folder.used_bytes(), 10);
        drop(shared);
        second.append(b"567890").unwrap();
        assert_eq!(folder.used_bytes(), 10);
        drop(second);
        assert_eq!(folder.used_bytes(), 0);
    }

    #[test]
    fn lesson_40_files_that_are_gone_are_forgotten_long_before_the_quota_is_full() {
        let folder = folder(u64::MAX);
        for _ in 0..10 * MIN_SWEEP_FILES {
            folder.create().unwrap().append(b"1").unwrap();
        }
        assert!(folder.quota().files.len() <= MIN_SWEEP_FILES);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = TempFolder::new("/no/such/folder", 1).create().unwrap_err();
        assert!(!error.is_shortage());
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
