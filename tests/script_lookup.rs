//! Script lookup on real folders: what is found, what is refused and why, and that nothing leads out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use common::Folder;
use gatebridge::route::{LookupFailure, PathError, Refusal, RootError, Script, ScriptRoot, decode_path};
use proptest::prelude::*;

const SCRIPT: &str = "#!/bin/sh\n";

/// `cgi-bin` with the scripts `hello` and `sub/deep`, and `secret` beside it.
fn house() -> (Folder, ScriptRoot) {
    let folder = Folder::new();
    folder.script("cgi-bin/hello", SCRIPT);
    folder.script("cgi-bin/sub/deep", SCRIPT);
    folder.write("cgi-bin/photo.jpg", "not a program");
    folder.script("secret", SCRIPT);
    let root = ScriptRoot::open(&folder.join("cgi-bin")).unwrap();
    (folder, root)
}

fn found(root: &ScriptRoot, below: &str) -> (String, String) {
    let Script { script_name, path_info, path, folder } = root.lookup(below.as_bytes()).unwrap();
    let script_name = String::from_utf8(script_name).unwrap();
    assert_eq!(path, root.path().join(&script_name[1..]));
    assert_eq!(folder, path.parent().unwrap());
    (script_name, String::from_utf8(path_info).unwrap())
}

fn refused(root: &ScriptRoot, below: &str) -> Refusal {
    match root.lookup(below.as_bytes()) {
        Err(failure @ LookupFailure::Forbidden { why, .. }) => {
            assert_eq!(failure.status(), 403);
            assert!(failure.to_string().contains(&why.to_string()), "{failure}");
            why
        }
        other => panic!("{below}: {other:?}"),
    }
}

fn status(root: &ScriptRoot, below: &str) -> u16 {
    root.lookup(below.as_bytes()).unwrap_err().status()
}

#[test]
fn lesson_04_path_info_is_split_off_by_components() {
    let (_folder, root) = house();
    for (below, script_name, path_info) in [
        ("hello", "/hello", ""),
        ("/hello", "/hello", ""),
        ("hello/", "/hello", "/"),
        ("hello/extra", "/hello", "/extra"),
        ("/hello/sub/deep/", "/hello", "/sub/deep/"),
        ("sub/deep/a.php/b~/.c", "/sub/deep", "/a.php/b~/.c"),
    ] {
        assert_eq!(found(&root, below), (script_name.to_owned(), path_info.to_owned()), "{below}");
    }
    assert!(matches!(
        root.lookup(b"hello\n/x"),
        Err(LookupFailure::BadPath(PathError::ControlByte { byte: 10 }))
    ));
}

#[test]
fn lesson_05_a_picture_is_never_run_nor_shown_whatever_stands_behind_it() {
    let (_folder, root) = house();
    for below in ["photo.jpg", "photo.jpg/", "photo.jpg/x.php"] {
        assert_eq!(refused(&root, below), Refusal::NotExecutable { mode: 0o644 }, "{below}");
    }
}

#[test]
fn what_is_not_there_and_folders_are_404() {
    let (_folder, root) = house();
    for below in ["", "/", "none", "none/hello", "sub", "sub/", "sub/none", "HELLO", &"x".repeat(300)] {
        assert_eq!(status(&root, below), 404, "{below}");
    }
}

#[test]
fn lesson_06_nothing_leads_out_of_the_folder() {
    let (folder, root) = house();
    for below in
        ["..", "../secret", "sub/../../secret", "hello/../..", "./hello", "sub//deep", "//hello", "hello//"]
    {
        assert!(
            matches!(root.lookup(below.as_bytes()), Err(LookupFailure::BadPath(PathError::NotPlain))),
            "{below}"
        );
        assert_eq!(status(&root, below), 400);
    }
    symlink("../secret", folder.join("cgi-bin/out")).unwrap();
    symlink(folder.join("secret"), folder.join("cgi-bin/absolute")).unwrap();
    symlink("..", folder.join("cgi-bin/up")).unwrap();
    for below in ["out", "out/x", "absolute", "up", "up/secret"] {
        assert_eq!(refused(&root, below), Refusal::Escapes, "{below}");
    }
}

#[test]
fn links_that_stay_beneath_are_followed_and_keep_their_name() {
    let (folder, root) = house();
    symlink("hello", folder.join("cgi-bin/hi")).unwrap();
    symlink("../hello", folder.join("cgi-bin/sub/hi")).unwrap();
    symlink("sub", folder.join("cgi-bin/under")).unwrap();
    assert_eq!(found(&root, "hi/x"), ("/hi".to_owned(), "/x".to_owned()));
    assert_eq!(found(&root, "sub/hi"), ("/sub/hi".to_owned(), String::new()));
    assert_eq!(found(&root, "under/deep/x"), ("/under/deep".to_owned(), "/x".to_owned()));

    symlink("circle", folder.join("cgi-bin/circle")).unwrap();
    assert_eq!(refused(&root, "circle"), Refusal::Links);
    symlink("nowhere", folder.join("cgi-bin/dangling")).unwrap();
    assert_eq!(status(&root, "dangling"), 404);
}

#[test]
fn lesson_29_hidden_and_backup_names_are_refused_whether_or_not_they_exist() {
    let (folder, root) = house();
    folder.script("cgi-bin/.hidden", SCRIPT);
    folder.script("cgi-bin/.git/hooks/run", SCRIPT);
    for below in [".hidden", ".git/hooks/run", ".none", "sub/.none", "..."] {
        assert_eq!(refused(&root, below), Refusal::Hidden, "{below}");
    }
    folder.script("cgi-bin/hello~", SCRIPT);
    for below in
        ["hello~", "hello.bak", "hello.BAK", "x.swp/info", "#hello#", "hello.orig", "hello.dpkg-old", "~"]
    {
        assert_eq!(refused(&root, below), Refusal::Backup, "{below}");
    }
    folder.script("cgi-bin/bak", SCRIPT);
    found(&root, "bak");
}

#[test]
fn each_refusal_says_which_check_failed() {
    let (folder, root) = house();
    let _listener = UnixListener::bind(folder.join("cgi-bin/socket")).unwrap();
    assert_eq!(refused(&root, "socket"), Refusal::NotRegular);
    folder.mode("cgi-bin/hello", 0o640);
    assert_eq!(refused(&root, "hello"), Refusal::NotExecutable { mode: 0o640 });
    if std::path::Path::new("/proc/version").exists() {
        let proc = ScriptRoot::open("/proc".as_ref()).unwrap();
        assert_eq!(refused(&proc, "self/exe"), Refusal::Links, "a magic link");
        let why = refused(&proc, "version");
        assert!(matches!(why, Refusal::NoexecMount | Refusal::NotExecutable { .. }), "{why:?}");
    }
}

#[test]
fn a_folder_that_may_not_be_searched_is_forbidden() {
    let (folder, root) = house();
    let sub = folder.join("cgi-bin/sub");
    folder.mode("cgi-bin/sub", 0o600);
    // A thread of root becomes nobody; other threads stay who they are.
    let nobody = move || {
        if rustix::process::geteuid().is_root() {
            rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
        }
        assert_eq!(refused(&root, "sub/deep"), Refusal::SearchDenied);
        assert_eq!(found(&root, "hello").0, "/hello");
    };
    let looked = std::thread::spawn(nobody).join();
    std::fs::set_permissions(sub, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    looked.unwrap();
}

#[test]
fn a_machine_without_descriptors_is_busy_and_one_with_a_broken_disk_is_broken() {
    for (errno, status) in [(24, 503), (23, 503), (12, 503), (5, 500)] {
        let source = std::io::Error::from_raw_os_error(errno);
        assert_eq!(LookupFailure::Broken { path: "/x".into(), source }.status(), status, "errno {errno}");
    }
}

#[test]
fn one_file_answers_everything_below() {
    let (folder, _) = house();
    let root = ScriptRoot::open(&folder.join("cgi-bin/hello")).unwrap();
    for (below, path_info) in [("", ""), ("/", "/"), ("/a/b", "/a/b"), ("a/", "/a/")] {
        let script = root.lookup(below.as_bytes()).unwrap();
        assert_eq!(script.script_name, b"");
        assert_eq!(script.path_info, path_info.as_bytes(), "{below}");
        assert_eq!(script.path, folder.join("cgi-bin/hello"));
        assert_eq!(script.folder, folder.join("cgi-bin"));
    }
    assert_eq!(status(&root, "../x"), 400);
}

#[test]
fn a_root_that_cannot_be_used_is_told_at_the_start() {
    let (folder, _) = house();
    assert!(matches!(ScriptRoot::open(&folder.join("none")), Err(RootError::Open { .. })));
    let why = ScriptRoot::open(&folder.join("cgi-bin/photo.jpg")).unwrap_err();
    assert!(matches!(why, RootError::Refused { why: Refusal::NotExecutable { mode: 0o644 }, .. }), "{why}");
    let why = ScriptRoot::open("/dev/null".as_ref()).unwrap_err();
    assert!(matches!(why, RootError::Refused { why: Refusal::NotRegular, .. }), "{why}");
    let no_openat2 = RootError::NoOpenat2 { source: std::io::Error::from_raw_os_error(38) };
    assert!(no_openat2.to_string().contains("Linux 5.6"), "{no_openat2}");
}

#[test]
fn a_folder_that_was_exchanged_is_seen_at_once() {
    let (folder, _) = house();
    folder.script("next/new", SCRIPT);
    symlink("cgi-bin", folder.join("current")).unwrap();
    let root = ScriptRoot::open(&folder.join("current")).unwrap();
    assert_eq!(status(&root, "new"), 404);
    symlink("next", folder.join("current.new")).unwrap();
    std::fs::rename(folder.join("current.new"), folder.join("current")).unwrap();
    found(&root, "new");
    std::fs::remove_file(folder.join("current")).unwrap();
    assert_eq!(status(&root, "new"), 404);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn what_is_found_lies_in_the_folder_and_nothing_of_the_path_is_lost(
        target in "(/(hello|sub|deep|up|out|secret|\\.\\.|%2e%2e|\\.|%2F|[a-c~.]{0,3})){1,6}"
    ) {
        let (folder, root) = house();
        symlink("..", folder.join("cgi-bin/up")).unwrap();
        symlink("../secret", folder.join("cgi-bin/out")).unwrap();
        if let Ok(path) = decode_path(target.as_bytes())
            && let Ok(script) = root.lookup(path.as_bytes())
        {
            prop_assert_eq!([&script.script_name[..], &script.path_info].concat(), path.as_bytes());
            prop_assert!(script.path.canonicalize().unwrap().starts_with(root.path()));
            prop_assert!(script.path_info.first().is_none_or(|&byte| byte == b'/'));
        }
    }
}
