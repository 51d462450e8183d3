//! What large bodies and many requests leave behind: the gateway's own memory, descriptors and processes, seen from
//! outside; it must not know which buffers there are.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::io::Write as _;

use common::peer::test_program;
use common::{Ended, Folder, Gateway, Head, eventually, process};

/// How large a large body is.
const GIB: u64 = 1 << 30;
/// How much more resident memory than idle a large body may cost.
const MEMORY_LIMIT_KIB: u64 = 16 * 1024;
/// How many requests are many.
const MANY: usize = 10_000;
/// The routes, one for each back.
const BACKS: [&str; 3] = ["cgi", "fastcgi", "scgi"];

/// A gateway with `transfer` behind `/cgi`, `/fastcgi` and `/scgi`, two workers each.
fn serve(folder: &Folder) -> Gateway {
    let transfer = test_program("transfer");
    let mut config = format!("[log]\naccess = \"off\"\n[[route]]\npath = \"/cgi\"\ncgi = \"{transfer}\"\n");
    for kind in ["fastcgi", "scgi"] {
        config += &format!(
            "[pool.{kind}]\nspeak = \"{kind}\"\ncommand = [\"{transfer}\", \"{kind}\"]\nworkers = 2\n\
             [[route]]\npath = \"/{kind}\"\npool = \"{kind}\"\n"
        );
    }
    Gateway::start(folder, &config)
}

/// Asks each back once, so that whatever is made at the first request is there.
fn warm_up(gateway: &Gateway) {
    for back in BACKS {
        assert_eq!(gateway.get(&format!("/{back}/hello")).expect(200).text(), "hello\n");
    }
}

/// Fails when a transfer has cost more memory than it may. The peak counts, not what is left.
fn assert_lean(gateway: &Gateway, idle_kib: u64, what: &str) {
    let peak = process::peak_resident_kib(gateway.id());
    assert!(peak <= idle_kib + MEMORY_LIMIT_KIB, "{what}: {peak} KiB at most, {idle_kib} KiB when idle");
}

#[test]
fn a_gib_down_costs_no_memory() {
    let folder = Folder::new();
    let gateway = serve(&folder);
    warm_up(&gateway);
    let idle = process::resident_kib(gateway.id());
    for back in BACKS {
        let mut client = gateway.connect();
        client.send(format!("GET /{back}/source/{GIB} HTTP/1.1\r\nHost: test.example\r\n\r\n"));
        let head: Head = client.receive_head("GET");
        assert_eq!(
            (head.status, head.field("content-length")),
            (200, Some(GIB.to_string().as_str())),
            "{back}"
        );
        let (mut received, mut last) = (0, 0);
        let ended = loop {
            match client.receive_piece() {
                Ok(piece) => {
                    // Byte I is I modulo 251: a piece that is lost, doubled or moved shows at its ends.
                    assert_eq!(u64::from(piece[0]), received % 251, "{back} at byte {received}");
                    received += piece.len() as u64;
                    last = u64::from(*piece.last().unwrap());
                }
                Err(ended) => break ended,
            }
        };
        assert_eq!((received, ended), (GIB, Ended::Complete), "{back}");
        assert_eq!(last, (GIB - 1) % 251, "{back}");
        assert_lean(&gateway, idle, back);
    }
}

#[test]
fn a_gib_up_costs_no_memory() {
    let folder = Folder::new();
    let gateway = serve(&folder);
    warm_up(&gateway);
    let idle = process::resident_kib(gateway.id());
    let piece: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let sum = piece.iter().map(|&byte| u64::from(byte)).sum::<u64>() * (GIB >> 20);
    for back in BACKS {
        let mut client = gateway.connect();
        client.send(format!(
            "POST /{back}/sink HTTP/1.1\r\nHost: test.example\r\nContent-Length: {GIB}\r\n\r\n"
        ));
        for _ in 0..GIB >> 20 {
            client.send(&piece);
        }
        assert_eq!(client.receive().expect(200).text(), format!("{GIB} {sum}\n"), "{back}");
        assert_lean(&gateway, idle, back);
    }
}

/// A body of unknown length goes to a temporary file first (lesson 44), not into memory, and the file goes away.
#[test]
fn lesson_44_a_chunked_body_of_256_mib_costs_no_memory() {
    let folder = Folder::new();
    let gateway = serve(&folder);
    warm_up(&gateway);
    let (idle, descriptors) = (process::resident_kib(gateway.id()), process::descriptors(gateway.id()));
    let mut chunk = b"100000\r\n".to_vec();
    chunk.extend(std::iter::repeat_n(1, 1 << 20));
    chunk.extend(b"\r\n");
    for back in BACKS {
        let mut client = gateway.connect();
        client.send(format!("POST /{back}/sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
        let mut sender = client.sender();
        for _ in 0..256 {
            sender.write_all(&chunk).unwrap();
        }
        client.send("0\r\n\r\n");
        let size = 256 << 20;
        assert_eq!(client.receive().expect(200).text(), format!("{size} {size}\n"), "{back}");
        assert_lean(&gateway, idle, back);
    }
    eventually("the temporary files to be closed", || {
        (process::descriptors(gateway.id()) <= descriptors).then_some(())
    });
}

/// Sends `count` requests to each back over kept connections, from as many threads as there are backs.
fn ask_many(gateway: &Gateway, count: usize) {
    let askers = BACKS.map(|back| {
        let mut client = gateway.connect();
        std::thread::spawn(move || {
            for number in 0..count {
                let answer = client.ask("POST", &format!("/{back}/loop"), &[], b"a body");
                assert_eq!(
                    (answer.status(), answer.text().as_str()),
                    (200, "a body"),
                    "{back}, request {number}"
                );
            }
        })
    });
    for asker in askers {
        asker.join().unwrap();
    }
}

#[test]
fn ten_thousand_requests_leave_nothing_behind() {
    let folder = Folder::new();
    let gateway = serve(&folder);
    // The first third makes whatever is made once: buffers, kept connections, the allocator's arenas.
    ask_many(&gateway, MANY / 9);
    let settled = || {
        eventually("the children to be gone", || {
            let children = process::children(gateway.id());
            (children.len() == 4 && children.iter().all(|child| child.state != 'Z')).then_some(())
        });
        (process::descriptors(gateway.id()), process::resident_kib(gateway.id()))
    };
    let (descriptors, memory_kib) = settled();
    ask_many(&gateway, MANY * 2 / 9);
    eventually("as few descriptors as before", || {
        (process::descriptors(gateway.id()) <= descriptors).then_some(())
    });
    let (_, later_kib) = settled();
    assert!(later_kib <= memory_kib + 2048, "{memory_kib} KiB after a third, {later_kib} KiB in the end");
    assert_eq!(process::zombies(gateway.id()), []);
}
