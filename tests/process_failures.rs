//! Programs that cannot be started, each for its own reason, with real files: what is said, and what is to be done.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::num::NonZeroUsize;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use common::Folder;
use gatebridge::process::{FailureClass, FailureKind, Launch, SpawnFailure, Spawner};

fn fail(launch: Launch) -> SpawnFailure {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let program = launch.program.clone();
    let spawner = Spawner::start(NonZeroUsize::MIN).unwrap();
    let failure = runtime.block_on(spawner.spawn(launch)).unwrap_err();
    assert_eq!(failure.program, program);
    assert_eq!(spawner.live(), 0);
    let line = failure.to_string();
    assert!(line.contains(&program.display().to_string()) && line.contains(&failure.hint()), "{line}");
    assert!(!line.contains('\n'), "{line}");
    assert_eq!(failure.class(), FailureClass::Broken, "{line}");
    failure
}

fn kind(program: impl Into<PathBuf>) -> FailureKind {
    fail(Launch::new(program)).kind
}

#[test]
fn a_relative_path_is_not_searched_for() {
    assert_eq!(kind("sh"), FailureKind::NotAbsolute);
    assert_eq!(kind("bin/sh"), FailureKind::NotAbsolute);
}

#[test]
fn lesson_22_no_such_file() {
    let folder = Folder::new();
    let failure = fail(Launch::new(folder.join("none")));
    assert_eq!((failure.kind, failure.errno), (FailureKind::NotFound, Some(2)));
    assert_eq!(kind(folder.write("file", "").join("below")), FailureKind::NotFound);
}

#[test]
fn lesson_22_the_interpreter_is_missing() {
    let folder = Folder::new();
    for line in ["#!/no/such/python3", "#! /no/such/python3 -u", "#!\t/no/such/python3"] {
        let failure = fail(Launch::new(folder.script("script", format!("{line}\nprint()\n"))));
        assert_eq!(failure.kind, FailureKind::InterpreterMissing { interpreter: "/no/such/python3".into() });
        assert!(failure.to_string().contains("install /no/such/python3"), "{failure}");
    }
}

#[test]
fn lesson_22_the_first_line_ends_in_cr_lf() {
    let folder = Folder::new();
    let failure = fail(Launch::new(folder.script("script", "#!/bin/sh\r\necho\r\n")));
    assert_eq!(failure.kind, FailureKind::CrlfShebang { interpreter: "/bin/sh".into() });
    assert!(failure.hint().contains("LF"), "{failure}");
}

#[test]
fn the_interpreter_may_not_be_executed() {
    let folder = Folder::new();
    let interpreter = folder.write("interpreter", "");
    let script = folder.script("script", format!("#!{}\n", interpreter.display()));
    assert_eq!(kind(script), FailureKind::InterpreterRefused { interpreter });
}

#[test]
fn the_loader_of_a_binary_is_missing() {
    let folder = Folder::new();
    assert_eq!(
        kind(folder.script("program", elf(native_machine(), b"/no/such/ld.so\0"))),
        FailureKind::InterpreterMissing { interpreter: "/no/such/ld.so".into() }
    );
}

#[test]
fn lesson_22_a_binary_for_another_machine() {
    let folder = Folder::new();
    let failure = fail(Launch::new(folder.script("program", elf(0x1234, b"/lib/ld.so\0"))));
    assert_eq!((failure.kind, failure.errno), (FailureKind::BadFormat, Some(8)));
}

#[test]
fn lesson_22_a_text_without_a_first_line_is_not_given_to_a_shell() {
    let folder = Folder::new();
    for content in ["", "echo hello\n", "\n#!/bin/sh\n", "\u{feff}#!/bin/sh\n"] {
        let failure = fail(Launch::new(folder.script("script", content)));
        assert_eq!(failure.kind, FailureKind::NoShebang, "{content:?}");
        assert!(failure.hint().contains("#!"), "{failure}");
    }
}

#[test]
fn lesson_22_not_executable() {
    let folder = Folder::new();
    let failure = fail(Launch::new(folder.write("script", "#!/bin/sh\n")));
    assert_eq!((failure.kind, failure.errno), (FailureKind::NotExecutable { mode: 0o644 }, Some(13)));
}

#[test]
fn folders_and_noexec_mounts_and_circles() {
    let folder = Folder::new();
    assert_eq!(kind(folder.path()), FailureKind::NotRegular);
    symlink("circle", folder.join("circle")).unwrap();
    assert_eq!(kind(folder.join("circle")), FailureKind::SymlinkLoop);
    let version = Path::new("/proc/version"); // the kernel mounts its own file systems noexec, or else it has no x bit
    let kind = kind(version);
    assert!(matches!(kind, FailureKind::NoexecMount | FailureKind::NotExecutable { .. }), "{kind:?}");
}

#[test]
fn a_directory_that_may_not_be_searched_is_named() {
    let folder = Folder::new();
    let script = folder.script("closed/inner/script", "#!/bin/sh\n");
    folder.mode("closed", 0o700);
    let closed = folder.join("closed");
    // A thread of root becomes nobody, and the spawner that it starts with it; other threads stay who they are.
    let nobody = move || {
        if rustix::process::geteuid().is_root() {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
        } else {
            std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        }
        let kind = kind(script);
        let _ = std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700));
        assert_eq!(kind, FailureKind::SearchDenied { folder: closed });
    };
    std::thread::spawn(nobody).join().unwrap();
}

#[test]
fn the_working_directory_is_not_confused_with_the_program() {
    let folder = Folder::new();
    for cwd in [folder.join("none"), folder.write("file", "")] {
        let mut launch = Launch::new("/bin/true");
        launch.cwd.clone_from(&cwd);
        let kind = fail(launch).kind;
        assert!(matches!(&kind, FailureKind::Folder { folder, .. } if *folder == cwd), "{kind:?}");
    }
}

#[test]
fn lesson_22_too_long_is_told_with_the_largest_variable() {
    let mut launch = Launch::new("/bin/true");
    launch.env = vec![("SMALL".into(), "1".into()), ("HTTP_COOKIE".into(), "c".repeat(131_072 - 12).into())];
    let failure = fail(launch);
    assert_eq!(failure.errno, None, "the system is not even asked");
    assert!(failure.to_string().contains("131072 of them in HTTP_COOKIE"), "{failure}");

    let mut launch = Launch::new("/bin/true");
    launch.env = (0..200).map(|number| (format!("V{number}").into(), "x".repeat(100_000).into())).collect();
    let failure = fail(launch);
    assert_eq!(failure.errno, Some(7));
    assert!(matches!(failure.kind, FailureKind::TooBig { total_bytes: 20_000_000.., .. }), "{failure}");
}

#[test]
fn the_longest_string_passes() {
    let mut launch = Launch::new("/bin/true");
    launch.env = vec![("A".into(), "x".repeat(gatebridge::process::MAX_STRING_BYTES - 2).into())];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let spawner = Spawner::start(NonZeroUsize::MIN).unwrap();
    let exit = runtime.block_on(async { spawner.spawn(launch).await.unwrap().wait().await });
    assert!(exit.unwrap().success());
}

#[test]
fn strings_that_no_program_can_get() {
    let mut launch = Launch::new("/bin/true");
    launch.env = vec![("NAME".into(), "a\0b".into())];
    assert_eq!(fail(launch).kind, FailureKind::NulByte { what: "NAME".to_owned() });
    let mut launch = Launch::new("/bin/true");
    launch.args = vec!["a\0b".into()];
    assert_eq!(fail(launch).kind, FailureKind::NulByte { what: "argument 1".to_owned() });
    for name in ["", "A=B"] {
        let mut launch = Launch::new("/bin/true");
        launch.env = vec![(name.into(), "x".into())];
        assert_eq!(fail(launch).kind, FailureKind::BadVariableName { name: name.into() });
    }
}

#[test]
fn lesson_21_a_program_that_stays_open_for_writing() {
    let folder = Folder::new();
    let path = folder.script("script", "#!/bin/sh\n");
    let _writer = std::fs::File::options().append(true).open(&path).unwrap();
    let failure = fail(Launch::new(path));
    assert_eq!((failure.kind, failure.errno), (FailureKind::TextBusy, Some(26)));
}

fn native_machine() -> u16 {
    if cfg!(target_arch = "aarch64") { 183 } else { 62 }
}

/// The smallest 64-bit ELF file that asks for a loader.
fn elf(machine: u16, loader: &[u8]) -> Vec<u8> {
    const HEAD: u64 = 64;
    const SEGMENT: u64 = 56;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2, 0]); // an executable
    file.extend(machine.to_le_bytes());
    file.extend([1, 0, 0, 0]);
    file.extend(0u64.to_le_bytes()); // entry
    file.extend(HEAD.to_le_bytes()); // where the segments are listed
    file.extend(0u64.to_le_bytes());
    file.extend([0; 4]);
    for half in [HEAD, SEGMENT, 1, 0, 0, 0] {
        file.extend(u16::try_from(half).unwrap().to_le_bytes());
    }
    file.extend([3, 0, 0, 0, 4, 0, 0, 0]); // PT_INTERP, readable
    for field in [HEAD + SEGMENT, 0, 0, loader.len() as u64, loader.len() as u64, 1] {
        file.extend(field.to_le_bytes());
    }
    file.extend(loader);
    file
}
