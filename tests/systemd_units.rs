//! The units that `gatebridge systemd` prints, as an administrator reads them, and as systemd does where it is installed. It
//! must not know how they are put together.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by a panic, and says why it tests nothing"
)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Folder, fixture, gateway};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    gateway::run(folder, &[&["systemd"], arguments].concat())
}

fn unit(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn assert_lines(unit: &str, lines: &[&str]) {
    for line in lines {
        assert!(unit.lines().any(|other| other == *line), "{line:?} is missing in:\n{unit}");
    }
}

/// A site in a folder whose name would mean something in a unit.
fn site(listen: &str) -> Folder {
    let folder = Folder::new();
    folder.write("100% a\"b/public/index.html", "welcome\n");
    folder.write("100% a\"b/site.toml", format!("{listen}[[route]]\npath = \"/\"\nfiles = \"public\"\n"));
    folder
}

const SITE: &str = "100% a\"b/site.toml";

#[test]
fn a_service_unit_runs_the_configuration_with_its_limits() {
    let folder = Folder::new();
    folder.script("cgi-bin/hello", "#!/bin/sh\n");
    let worker = fixture("fastcgi-worker");
    folder.write(
        "site.toml",
        format!(
            "[server]\ngrace = \"20s\"\n[pool.app]\nspeak = \"fastcgi\"\ncommand = [{worker:?}]\n\
             start_timeout = \"5m\"\nstop_grace = \"8s\"\n\
             [[route]]\npath = \"/app\"\npool = \"app\"\n\
             [[route]]\npath = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\nkill_grace = \"1500ms\"\n"
        ),
    );
    let unit = unit(folder.path(), &["site.toml", "--user", "www"]);
    let program = Path::new(gateway::PROGRAM).canonicalize().unwrap();
    let exec = format!("ExecStart={} serve {}", program.display(), folder.join("site.toml").display());
    assert_lines(
        &unit,
        &[
            &exec,
            "User=www",
            "Type=notify-reload",
            "WatchdogSec=30",
            "KillMode=mixed",
            "NoNewPrivileges=yes",
            // 5 min and 10 s; 20 s, 8 s and 15 s.
            "TimeoutStartSec=310",
            "TimeoutStopSec=43",
            "CapabilityBoundingSet=",
        ],
    );
    // What everybody may write to is private, unless something that is served is there.
    let shared = folder.path().starts_with("/tmp") || folder.path().starts_with("/var/tmp");
    assert_lines(&unit, &[if shared { "PrivateTmp=no" } else { "PrivateTmp=yes" }]);
}

#[test]
fn paths_are_written_so_that_nothing_in_them_means_something() {
    let folder = site("");
    let unit = unit(folder.path(), &[SITE]);
    let place = format!("\"{}/100%% a\\\"b/site.toml\"", folder.path().display());
    let exec = unit.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
    assert!(exec.ends_with(&place), "{exec}");
    let folder = Folder::new();
    folder.write("new\nline/public/index.html", "");
    let output = run(folder.path(), &["new\nline"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot stand in a unit"), "{output:?}");
}

#[test]
fn what_is_listened_at_says_what_is_needed() {
    let low = site("[[listen]]\naddress = \"0.0.0.0:80\"\n");
    assert_lines(&unit(low.path(), &[SITE]), &["AmbientCapabilities=CAP_NET_BIND_SERVICE"]);
    let passed = site("[[listen]]\naddress = \"fd:web\"\n");
    assert_lines(&unit(passed.path(), &[SITE]), &["Requires=gatebridge.socket", "Also=gatebridge.socket"]);
    let socket = unit(passed.path(), &[SITE, "--socket"]);
    assert_lines(&socket, &["FileDescriptorName=web", "ListenStream=127.0.0.1:8080"]);
}

#[test]
fn a_socket_unit_has_the_addresses_of_the_configuration() {
    let listen = "[[listen]]\naddress = \"[::]:80\"\n[[listen]]\naddress = \"0.0.0.0:80\"\n\
                  [[listen]]\naddress = \"unix:public/site.sock\"\nmode = \"0600\"\n";
    let folder = site(listen);
    let unit = unit(folder.path(), &[SITE, "--socket", "--user", "www"]);
    let path = format!("ListenStream={}/100%% a\"b/public/site.sock", folder.path().display());
    assert_lines(
        &unit,
        &[
            "ListenStream=[::]:80",
            "ListenStream=0.0.0.0:80",
            &path,
            "BindIPv6Only=ipv6-only",
            "SocketUser=www",
            "SocketMode=0600",
            "FileDescriptorName=gatebridge",
            "#   address = \"fd:gatebridge\"",
        ],
    );
}

#[test]
fn mistakes_are_told_and_nothing_is_printed() {
    let folder = site("[[listen]]\naddress = \"8080\"\n");
    let output = run(folder.path(), &[SITE]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("site.toml:2:11"));
    for user in ["", "-x", "a b", "a\nb"] {
        assert_eq!(run(folder.path(), &[SITE, &format!("--user={user}")]).status.code(), Some(2), "{user:?}");
    }
}

#[test]
fn systemd_understands_the_units() {
    let verify = |unit: &Path| Command::new("systemd-analyze").arg("verify").arg(unit).output();
    let folder =
        site("[[listen]]\naddress = \"127.0.0.1:80\"\n[[listen]]\naddress = \"unix:public/site.sock\"\n");
    let service = unit(folder.path(), &[SITE]);
    // Before 253 it says that it does not know this, and goes on.
    let service = service.replace("Type=notify-reload\n", "");
    let socket = folder.write("gatebridge.socket", unit(folder.path(), &[SITE, "--socket"]));
    let service = folder.write("gatebridge.service", service);
    for unit in [service, socket] {
        let Ok(output) = verify(&unit) else {
            eprintln!("SKIPPED: systemd-analyze is not installed");
            return;
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains(&unit.display().to_string()), "{said}");
    }
}
