//! What a connection costs that waits for its next request: a descriptor, a small task, and no buffer. Must not know what is in
//! the task.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]
#![allow(clippy::print_stderr, reason = "the figure is worth to be seen")]

mod common;

use common::{Client, Folder, Gateway, process};

/// How many wait; each takes a descriptor here and there.
const CONNECTIONS: u64 = 2_000;
/// Bytes of resident memory that each may take in the gateway, where nothing is optimised.
const MAX_BYTES_EACH: u64 = 3 * 1024;

#[test]
fn an_idle_connection_holds_no_buffers() {
    let folder = Folder::new();
    folder.write("public/index.html", vec![b'x'; 20_000]);
    let gateway = Gateway::start(
        &folder,
        "[log]\naccess = \"off\"\nlevel = \"error\"\n[[route]]\npath = \"/\"\nfiles = \"public\"\n",
    );
    let (soft, hard) = {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX))
    };
    if soft < CONNECTIONS + 100 {
        assert!(
            hard >= CONNECTIONS + 100,
            "raise the limit of open files (ulimit -n) to {}",
            CONNECTIONS + 100
        );
        let limit = rustix::process::Rlimit { current: Some(hard), maximum: Some(hard) };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    }
    let asked = |count: u64| -> Vec<Client> {
        (0..count)
            .map(|_| {
                let mut client = gateway.connect();
                // Large heads and bodies, so that a buffer that was kept would be seen.
                let cookie = "c".repeat(6_000);
                client.ask("GET", "/", &[("Cookie", &cookie)], b"").expect(200);
                client.ask("POST", "/", &[], &[b'x'; 20_000]);
                client
            })
            .collect()
    };
    // What is allocated once and for all is there before it is measured.
    drop(asked(100));
    let before = process::resident_kib(gateway.id());
    let held = asked(CONNECTIONS);
    let after = process::resident_kib(gateway.id());
    let each = after.saturating_sub(before) * 1024 / CONNECTIONS;
    eprintln!("{each} bytes for each idle connection ({before} KiB, then {after} KiB)");
    assert!(each <= MAX_BYTES_EACH, "{each} bytes for each idle connection");
    drop(held);
}
