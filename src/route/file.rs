//! From a decoded path to the opened file that it names; it must not know what is done with the file.
//!
//! The same walls as for scripts: everything is opened beneath the folder (`openat2`, `RESOLVE_BENEATH`), hidden files and
//! the backups of editors are refused before the disk is asked, and only regular files are found.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

use super::script::{LookupFailure, Refusal, check_name, check_plain, failure, open_beneath_with};

/// A folder of files.
#[derive(Clone, Debug)]
pub struct FileRoot {
    path: PathBuf,
    /// Folders and files below it that are executed elsewhere, by their names and by what these lead to: their text is
    /// never an answer.
    programs: Vec<PathBuf>,
}

/// What a path names.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(Box<OpenedFile>),
    /// A folder, named without the slash at its end: relative links of its index would lead astray.
    FolderWithoutSlash,
}

/// A regular file that was found, open for reading.
#[derive(Debug)]
pub struct OpenedFile {
    /// The file.
    pub file: File,
    /// What the opened file is; the name may be another's by now.
    pub metadata: Metadata,
    /// Its path, for its type and for messages.
    pub path: PathBuf,
}

impl FileRoot {
    /// A folder of files; `programs` are absolute paths of CGI folders and scripts, which are refused where they lie in it
    /// (lesson 29: the source of a script is never served).
    #[must_use]
    pub fn new(path: &Path, programs: impl IntoIterator<Item = PathBuf>) -> Self {
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let real_root = real(path);
        let programs = programs
            .into_iter()
            .flat_map(|program| [real(&program), program])
            .filter(|program| program.starts_with(path) || program.starts_with(&real_root))
            .collect();
        Self { path: path.to_owned(), programs }
    }

    /// Finds the file for what is left of a [decoded path](super::decode_path) behind the route's path. A path that ends in
    /// a slash names `index` in that folder. Makes a few system calls on the calling thread.
    ///
    /// # Errors
    ///
    /// See [`LookupFailure`].
    pub fn lookup(&self, below: &[u8], index: &str) -> Result<Found, LookupFailure> {
        let below = below.strip_prefix(b"/").unwrap_or(below);
        check_plain(below)?;
        let mut relative = below.to_vec();
        if relative.is_empty() || relative.ends_with(b"/") {
            relative.extend_from_slice(index.as_bytes());
        }
        let path = self.path.join(OsStr::from_bytes(&relative));
        for name in relative.split(|&byte| byte == b'/') {
            // RFC 8615: the one hidden name that is meant for everybody.
            if name != b".well-known"
                && let Err(why) = check_name(name)
            {
                return Err(LookupFailure::Forbidden { path, why });
            }
        }
        if self.is_program(&path) {
            return Err(LookupFailure::Forbidden { path, why: Refusal::IsProgram });
        }
        let failed = |errno| failure(path.clone(), errno);
        let root = open(&self.path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed)?;
        // Without O_NONBLOCK the open of a FIFO would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file: File =
            open_beneath_with(root.as_fd(), OsStr::from_bytes(&relative), flags).map_err(failed)?.into();
        let metadata =
            file.metadata().map_err(|source| LookupFailure::Broken { path: path.clone(), source })?;
        // A link beneath the folder may lead to a program under another name.
        if !self.programs.is_empty() {
            let opened =
                real_path(&file).map_err(|source| LookupFailure::Broken { path: path.clone(), source })?;
            if self.is_program(&opened) {
                return Err(LookupFailure::Forbidden { path, why: Refusal::IsProgram });
            }
        }
        if metadata.is_dir() && !below.is_empty() && !below.ends_with(b"/") {
            return Ok(Found::FolderWithoutSlash);
        }
        if metadata.is_dir() {
            return Err(LookupFailure::NotFound { path });
        }
        if !metadata.is_file() {
            return Err(LookupFailure::Forbidden { path, why: Refusal::NotRegular });
        }
        Ok(Found::File(Box::new(OpenedFile { file, metadata, path })))
    }

    fn is_program(&self, path: &Path) -> bool {
        self.programs.iter().any(|program| path.starts_with(program))
    }
}

/// Where an opened file lies in truth, whatever links led to it.
fn real_path(file: &File) -> std::io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gatebridge-files-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(path.join("public/sub")).unwrap();
            std::fs::write(path.join("secret"), "secret").unwrap();
            std::fs::write(path.join("public/index.html"), "index").unwrap();
            Self(path)
        }

        fn root(&self) -> PathBuf {
            self.0.join("public")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn found(root: &FileRoot, below: &str) -> String {
        match root.lookup(below.as_bytes(), "index.html") {
            Ok(Found::File(found)) => std::io::read_to_string(found.file).unwrap(),
            Ok(Found::FolderWithoutSlash) => "folder".into(),
            Err(failure) => failure.status().to_string(),
        }
    }

    #[test]
    fn files_are_found_and_nothing_beside_the_folder_lesson_6() {
        let folder = Folder::new("beneath");
        symlink("../secret", folder.root().join("out")).unwrap();
        symlink("index.html", folder.root().join("in")).unwrap();
        let root = FileRoot::new(&folder.root(), []);
        assert_eq!(found(&root, "/"), "index");
        assert_eq!(found(&root, "/in"), "index");
        assert_eq!(found(&root, "/out"), "403");
        assert_eq!(found(&root, "/../secret"), "400");
        assert_eq!(found(&root, "/none"), "404");
        assert_eq!(found(&root, "/sub"), "folder");
        assert_eq!(found(&root, "/sub/"), "404");
    }

    #[test]
    fn hidden_files_backups_and_programs_are_never_served_lesson_29() {
        let folder = Folder::new("hidden");
        for name in [".env", "page.html~", "x.bak"] {
            std::fs::write(folder.root().join(name), "secret").unwrap();
        }
        std::fs::create_dir(folder.root().join("cgi-bin")).unwrap();
        std::fs::write(folder.root().join("cgi-bin/script"), "#!/bin/sh").unwrap();
        let root = FileRoot::new(&folder.root(), [folder.root().join("cgi-bin"), "/elsewhere".into()]);
        for path in ["/.env", "/page.html~", "/x.bak", "/cgi-bin/script"] {
            assert_eq!(found(&root, path), "403", "{path}");
        }
    }

    #[test]
    fn a_fifo_is_refused_and_not_waited_for() {
        let folder = Folder::new("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.root().join("fifo"), Mode::RUSR).unwrap();
        assert_eq!(found(&FileRoot::new(&folder.root(), []), "/fifo"), "403");
    }

    #[test]
    fn lesson_29_no_link_leads_to_the_text_of_a_program() {
        let folder = Folder::new("alias");
        let cgi = folder.root().join("cgi-bin");
        std::fs::create_dir(&cgi).unwrap();
        std::fs::write(cgi.join("hello"), "source").unwrap();
        symlink("cgi-bin", folder.root().join("alias")).unwrap();
        symlink("cgi-bin/hello", folder.root().join("hello.txt")).unwrap();
        symlink("public", folder.0.join("site")).unwrap();
        let root = FileRoot::new(&folder.root(), [cgi.clone()]);
        // The same folder by another name than the route of its programs has it.
        let by_link = FileRoot::new(&folder.0.join("site"), [cgi]);
        for root in [root, by_link] {
            for path in ["/cgi-bin/hello", "/alias/hello", "/hello.txt"] {
                assert_eq!(found(&root, path), "403", "{path}");
            }
            assert_eq!(found(&root, "/index.html"), "index");
        }
    }
}
