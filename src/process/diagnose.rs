//! Looks at a launch and at the files around it to find out why it failed. It must not know who asked, nor start anything.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statvfs};
use rustix::io::Errno;

use super::failure::{FailureKind, MAX_STRING_BYTES, SpawnFailure};
use super::launch::Launch;

/// How much of a file is read to find its interpreter: what the kernel itself looks at (BINPRM_BUF_SIZE).
const HEAD_BYTES: usize = 256;

/// What is remembered of a launch for the case that it fails.
#[derive(Debug)]
pub(super) struct Facts {
    program: PathBuf,
    cwd: PathBuf,
    total_bytes: usize,
    largest: String,
    largest_bytes: usize,
}

impl Facts {
    /// Gathers them, and refuses what no system could start.
    pub(super) fn gather(launch: &Launch) -> Result<Self, SpawnFailure> {
        let refuse = |kind| Err(SpawnFailure { kind, program: launch.program.clone(), errno: None });
        if !launch.program.is_absolute() {
            return refuse(FailureKind::NotAbsolute);
        }
        let mut facts = Self {
            program: launch.program.clone(),
            cwd: launch.cwd.clone(),
            total_bytes: 0,
            largest: "the program's name".to_owned(),
            largest_bytes: 0,
        };
        let name = launch.arg0.as_deref().unwrap_or(launch.program.as_os_str());
        for (index, argument) in std::iter::once(name).chain(launch.args.iter().map(|one| &**one)).enumerate()
        {
            if argument.as_bytes().contains(&0) {
                return refuse(FailureKind::NulByte { what: format!("argument {index}") });
            }
            facts.count(argument.len(), || format!("argument {index}"));
        }
        for (name, value) in &launch.env {
            let (name_bytes, value_bytes) = (name.as_bytes(), value.as_bytes());
            if name_bytes.is_empty() || name_bytes.contains(&b'=') {
                return refuse(FailureKind::BadVariableName { name: name.clone() });
            }
            if name_bytes.contains(&0) || value_bytes.contains(&0) {
                return refuse(FailureKind::NulByte { what: name.to_string_lossy().into_owned() });
            }
            facts.count(name.len() + 1 + value.len(), || name.to_string_lossy().into_owned());
        }
        if facts.largest_bytes > MAX_STRING_BYTES { refuse(facts.too_big()) } else { Ok(facts) }
    }

    fn count(&mut self, bytes: usize, name: impl FnOnce() -> String) {
        self.total_bytes += bytes + 1;
        if bytes > self.largest_bytes {
            self.largest_bytes = bytes;
            self.largest = name();
        }
    }

    fn too_big(&self) -> FailureKind {
        FailureKind::TooBig {
            total_bytes: self.total_bytes,
            largest: self.largest.clone(),
            largest_bytes: self.largest_bytes,
        }
    }
}

/// A failure of a call that had nothing to do with the program's file.
pub(super) fn diagnose_io(program: &Path, error: &io::Error) -> SpawnFailure {
    let kind = match Errno::from_io_error(error) {
        Some(Errno::MFILE) => FailureKind::TooManyFiles { system_wide: false },
        Some(Errno::NFILE) => FailureKind::TooManyFiles { system_wide: true },
        Some(Errno::NOMEM | Errno::NOSPC) => FailureKind::NoMemory,
        Some(Errno::AGAIN) => FailureKind::TooManyProcesses,
        _ => FailureKind::Other { message: error.to_string() },
    };
    SpawnFailure { kind, program: program.to_owned(), errno: error.raw_os_error() }
}

/// Looks at the files to find out what one error number of many meanings meant. Called after the fact, so a file that
/// changed meanwhile may be described as it is now.
pub(super) fn diagnose(facts: &Facts, error: &io::Error) -> SpawnFailure {
    let Facts { program, cwd, .. } = facts;
    let kind = match Errno::from_io_error(error) {
        Some(Errno::TOOBIG) => facts.too_big(),
        Some(Errno::TXTBSY) => FailureKind::TextBusy,
        Some(Errno::NOEXEC) => bad_format(program),
        Some(errno @ (Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP | Errno::PERM)) => {
            folder_failure(cwd).unwrap_or_else(|| path_failure(program, errno))
        }
        _ => return diagnose_io(program, error),
    };
    SpawnFailure { kind, program: program.clone(), errno: error.raw_os_error() }
}

fn folder_failure(cwd: &Path) -> Option<FailureKind> {
    let entered = accessat(CWD, cwd, Access::EXEC_OK, AtFlags::EACCESS).map_err(io::Error::from);
    let error = match entered {
        Ok(()) if cwd.is_dir() => return None,
        Ok(()) => io::Error::from(Errno::NOTDIR),
        Err(error) => error,
    };
    Some(FailureKind::Folder { folder: cwd.to_owned(), error: error.to_string() })
}

fn path_failure(program: &Path, errno: Errno) -> FailureKind {
    if errno == Errno::LOOP {
        return FailureKind::SymlinkLoop;
    }
    let metadata = match program.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return first_closed_folder(program)
                .map_or(FailureKind::PermissionDenied, |folder| FailureKind::SearchDenied { folder });
        }
        Err(_) => return FailureKind::NotFound,
    };
    if !metadata.is_file() {
        return FailureKind::NotRegular;
    }
    if errno == Errno::NOENT || errno == Errno::NOTDIR {
        return interpreter_failure(program).unwrap_or(FailureKind::NotFound);
    }
    if statvfs(program).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        return FailureKind::NoexecMount;
    }
    if !may_execute(program) {
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
        return FailureKind::NotExecutable { mode };
    }
    interpreter_failure(program).unwrap_or(FailureKind::PermissionDenied)
}

fn may_execute(path: &Path) -> bool {
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

fn first_closed_folder(program: &Path) -> Option<PathBuf> {
    let mut folders: Vec<&Path> = program.ancestors().skip(1).collect();
    folders.reverse();
    folders.into_iter().find(|folder| !may_execute(folder)).map(Path::to_owned)
}

fn interpreter_failure(program: &Path) -> Option<FailureKind> {
    let head = read_head(program)?;
    let Some(shebang) = Shebang::of(&head) else {
        let loader = elf_loader(program)?;
        return (!loader.exists()).then_some(FailureKind::InterpreterMissing { interpreter: loader });
    };
    let interpreter = shebang.interpreter;
    if !interpreter.exists() {
        return Some(match interpreter.as_os_str().as_bytes().strip_suffix(b"\r") {
            Some(name) => FailureKind::CrlfShebang {
                interpreter: Path::new(std::ffi::OsStr::from_bytes(name)).to_owned(),
            },
            None => FailureKind::InterpreterMissing { interpreter: interpreter.to_owned() },
        });
    }
    let refused = !interpreter.is_file() || !may_execute(interpreter);
    refused.then(|| FailureKind::InterpreterRefused { interpreter: interpreter.to_owned() })
}

fn bad_format(program: &Path) -> FailureKind {
    match read_head(program) {
        Some(head) if head.starts_with(b"\x7fELF") => FailureKind::BadFormat,
        Some(head) if Shebang::of(&head).is_some() => FailureKind::BadFormat,
        _ => FailureKind::NoShebang,
    }
}

fn read_head(program: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    std::fs::File::open(program).ok()?.take(HEAD_BYTES as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

struct Shebang<'a> {
    interpreter: &'a Path,
}

impl<'a> Shebang<'a> {
    /// The kernel's own reading: blanks after `#!`, then the interpreter up to a blank or the line's end.
    fn of(head: &'a [u8]) -> Option<Self> {
        let line = head.strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line.iter().position(|byte| !blank(byte))?;
        let name = line.get(start..)?.split(blank).next()?;
        Some(Self { interpreter: Path::new(std::ffi::OsStr::from_bytes(name)) })
    }
}

/// The dynamic loader that a 64-bit little-endian ELF file asks for (its PT_INTERP segment).
fn elf_loader(program: &Path) -> Option<PathBuf> {
    const PT_INTERP: u32 = 3;
    const LONGEST_FILE_HEAD: u64 = 64 * 1024;
    let mut file = Vec::new();
    std::fs::File::open(program).ok()?.take(LONGEST_FILE_HEAD).read_to_end(&mut file).ok()?;
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let field = file.get(at..at.checked_add(bytes)?)?;
        usize::try_from(field.iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))).ok()
    };
    let (table, entry_bytes, entries) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for index in 0..entries {
        let entry = table.checked_add(index.checked_mul(entry_bytes)?)?;
        if number(entry, 4)? == PT_INTERP as usize {
            let (offset, bytes) = (number(entry.checked_add(8)?, 8)?, number(entry.checked_add(32)?, 8)?);
            let name = file.get(offset..offset.checked_add(bytes)?)?;
            let name = name.strip_suffix(b"\0").unwrap_or(name);
            return Some(Path::new(std::ffi::OsStr::from_bytes(name)).to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::FailureClass;

    /// What cannot be provoked without starving the whole machine is told by its number.
    #[test]
    fn lesson_22_a_machine_without_room_is_busy_and_not_broken() {
        for (errno, kind) in [
            (Errno::AGAIN, FailureKind::TooManyProcesses),
            (Errno::NOMEM, FailureKind::NoMemory),
            (Errno::MFILE, FailureKind::TooManyFiles { system_wide: false }),
            (Errno::NFILE, FailureKind::TooManyFiles { system_wide: true }),
        ] {
            let facts = Facts::gather(&Launch::new("/bin/true")).unwrap();
            let failure = diagnose(&facts, &errno.into());
            assert_eq!(failure.kind, kind);
            assert_eq!(failure.class(), FailureClass::Busy);
            assert_eq!(failure.errno, Some(errno.raw_os_error()));
        }
        assert_eq!(SpawnFailure::spawner_gone("/x".as_ref()).class(), FailureClass::Busy);
    }

    #[test]
    fn an_unknown_number_keeps_the_systems_words() {
        let failure = diagnose_io("/x".as_ref(), &Errno::IO.into());
        assert_eq!(failure.class(), FailureClass::Broken);
        assert!(failure.to_string().starts_with("cannot start /x: Input/output error"), "{failure}");
    }

    #[test]
    fn permission_denied_without_a_visible_reason_says_where_to_look() {
        assert_eq!(path_failure("/bin/sh".as_ref(), Errno::ACCESS), FailureKind::PermissionDenied);
        assert!(FailureKind::PermissionDenied.hint().contains("SELinux"));
    }

    #[test]
    fn a_first_line_is_read_as_the_kernel_reads_it() {
        let interpreter =
            |head: &[u8]| Shebang::of(head).map(|shebang| shebang.interpreter.display().to_string());
        assert_eq!(interpreter(b"#!/bin/sh\n").as_deref(), Some("/bin/sh"));
        assert_eq!(interpreter(b"#! \t/usr/bin/env python3 -u\nx").as_deref(), Some("/usr/bin/env"));
        assert_eq!(interpreter(b"#!/bin/sh").as_deref(), Some("/bin/sh"));
        assert_eq!(interpreter(b"#!/bin/sh\r\n").as_deref(), Some("/bin/sh\r"));
        assert_eq!(interpreter(b"#!\n/bin/sh"), None);
        assert_eq!(interpreter(b"# !/bin/sh"), None);
    }
}
