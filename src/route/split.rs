//! Where the script's name ends and PATH_INFO begins, for a worker that runs scripts by their file name. It must not
//! know which worker that is, nor what a script is.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::path::PathError;
use super::script::{LookupFailure, Refusal, failure, open_beneath};

/// A decoded path, split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// The script, with a `/` before it: what belongs to SCRIPT_NAME.
    pub script: &'a [u8],
    /// The name of the index file that completes `script`, which then ends in a slash.
    pub index: Option<&'a str>,
    /// PATH_INFO: empty, or `/` and the rest of the path.
    pub path_info: &'a [u8],
}

impl Split<'_> {
    /// The script with the index, where there is one.
    #[must_use]
    pub fn script_name(&self) -> Vec<u8> {
        [self.script, self.index.unwrap_or_default().as_bytes()].concat()
    }
}

/// Splits a [decoded path](super::decode_path) after its first component that ends in `suffix`, such as `.php`; for a path
/// without one that ends in a slash, `index` is the script. `None`: the path names no script.
///
/// Components are compared as bytes and whole: no pattern that a line break stops (CVE-2019-11043), no folding of cases
/// that changes lengths, and `x.phpx` or `a.php.jpg` are no scripts.
///
/// ```
/// use gatebridge::route::split;
///
/// let split = split(b"/blog/index.php/2026/11", ".php", None)?.unwrap();
/// assert_eq!((split.script, split.path_info), (&b"/blog/index.php"[..], &b"/2026/11"[..]));
/// # Ok::<(), gatebridge::route::PathError>(())
/// ```
///
/// # Errors
///
/// [`PathError::ControlByte`]: decoding refuses these, and they are looked for again because of what they have opened.
pub fn split<'a>(
    path: &'a [u8],
    suffix: &str,
    index: Option<&'a str>,
) -> Result<Option<Split<'a>>, PathError> {
    if let Some(&byte) = path.iter().find(|byte| byte.is_ascii_control()) {
        return Err(PathError::ControlByte { byte });
    }
    let mut end = 0;
    for component in path.split(|&byte| byte == b'/') {
        end += component.len();
        // A component that is nothing but the suffix is a hidden file.
        if component.len() > suffix.len() && component.ends_with(suffix.as_bytes()) {
            let (script, path_info) = path.split_at(end);
            return Ok(Some(Split { script, index: None, path_info }));
        }
        end += 1;
    }
    let index = index.filter(|_| path.ends_with(b"/"));
    Ok(index.map(|index| Split { script: path, index: Some(index), path_info: b"" }))
}

/// The path of a file: `root` and what follows from SCRIPT_NAME or PATH_INFO, which begins with `/` or is empty.
#[must_use]
pub fn below(root: &Path, name: &[u8]) -> PathBuf {
    let name = name.strip_prefix(b"/").unwrap_or(name);
    root.join(OsStr::from_bytes(name))
}

/// Checks that `script` is there below `root`, is a regular file, and is not reached by a link out of `root`. Makes a
/// handful of system calls on the calling thread.
///
/// A worker that is handed the name of another kind of file may be talked into running it: `upload.jpg/x.php` names no
/// script where `upload.jpg` is a file.
///
/// # Errors
///
/// See [`LookupFailure`]; never that it may not be executed, which an interpreter's script need not be.
pub fn check_script(root: &Path, script: &[u8]) -> Result<(), LookupFailure> {
    let path = below(root, script);
    let fail = |errno| failure(path.clone(), errno);
    let folder =
        open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(fail)?;
    let name = OsStr::from_bytes(script.strip_prefix(b"/").unwrap_or(script));
    let file = open_beneath(folder.as_fd(), name).map_err(fail)?;
    match FileType::from_raw_mode(fstat(&file).map_err(fail)?.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(LookupFailure::NotFound { path }),
        _ => Err(LookupFailure::Forbidden { path, why: Refusal::NotRegular }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn parts(path: &str) -> Option<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let split = split(path.as_bytes(), ".php", Some("index.php")).unwrap()?;
        Some((text(&split.script_name()), text(split.path_info)))
    }

    #[test]
    fn lesson_04_a_path_is_split_by_components() {
        for (path, script, path_info) in [
            ("/a.php", "/a.php", ""),
            ("/a.php/", "/a.php", "/"),
            ("/a.php/b/c.php", "/a.php", "/b/c.php"),
            ("/x/y/a.php/b", "/x/y/a.php", "/b"),
            ("/", "/index.php", ""),
            ("/x/", "/x/index.php", ""),
            ("/a.php.d/b.php", "/a.php.d/b.php", ""),
        ] {
            assert_eq!(parts(path), Some((script.to_owned(), path_info.to_owned())), "{path}");
        }
    }

    #[test]
    fn lesson_05_only_ascii_bytes_at_the_end_of_a_component_count() {
        // U+212A and U+017F fold to k and s, U+0130 to two characters.
        for path in [
            "/a.phpx",
            "/a.php.jpg",
            "/a.PHP",
            "/a.ph\u{ff50}",
            "/a.php\u{130}",
            "/.php",
            "/a",
            "/x/y.jpg",
            "",
        ] {
            assert_eq!(parts(path), None, "{path}");
        }
    }

    #[test]
    fn lesson_04_control_bytes_are_refused_though_decoding_refused_them_already() {
        for byte in [0, b'\n', b'\r', 0x1f, 0x7f] {
            let path = [b"/a.php/", &[byte][..], b"/b"].concat();
            assert_eq!(split(&path, ".php", None), Err(PathError::ControlByte { byte }));
        }
    }

    #[test]
    fn without_an_index_a_folder_names_no_script() {
        assert_eq!(split(b"/x/", ".php", None), Ok(None));
    }

    struct Root(PathBuf);

    impl Drop for Root {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn lesson_05_a_script_must_be_there_and_regular_and_below_the_root() {
        let root = std::env::temp_dir().join(format!("gatebridge-split-{}", std::process::id()));
        std::fs::create_dir_all(root.join("sub.php")).unwrap();
        let root = Root(root);
        std::fs::write(root.0.join("a.php"), "<?php").unwrap();
        std::fs::write(root.0.join("upload.jpg"), "<?php").unwrap();
        symlink("a.php", root.0.join("inside.php")).unwrap();
        symlink("/etc/passwd", root.0.join("outside.php")).unwrap();
        let status =
            |script: &str| check_script(&root.0, script.as_bytes()).map_err(|failure| failure.status()).err();
        assert_eq!(status("/a.php"), None);
        assert_eq!(status("/inside.php"), None);
        assert_eq!(status("/missing.php"), Some(404));
        assert_eq!(status("/upload.jpg/x.php"), Some(404));
        assert_eq!(status("/sub.php"), Some(404));
        assert_eq!(status("/outside.php"), Some(403));
    }
}
