//! Ten thousand requests of every kind, a third of them given up half-way, and what they leave behind: nothing. It must
//! not know what the gateway keeps. Large bodies, and requests that all go well, are in `endurance.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails by a panic")]

mod common;

use std::process::Command;

use common::peer::test_program;
use common::{Client, Ended, Folder, Gateway, Peer, eventually, noise, process};

/// Requests of one round, by all threads together.
const ROUND: usize = 2_500;
/// After the first round, which makes what is made once, three more: ten thousand in all.
const ROUNDS: usize = 4;
/// How many ask at once: more than there are places, so that some wait in the queues.
const ASKERS: usize = 8;
/// How much more memory the later rounds may leave: 100 bytes for each request, where a buffer or a record that is
/// forgotten is more. What the allocator does by itself is a fifth of it.
const GROWTH_LIMIT_KIB: u64 = 768;

const BACKS: [&str; 5] = ["cgi", "fastcgi", "scgi", "fastcgi-external", "scgi-external"];

struct Bed {
    gateway: Gateway,
    _workers: Vec<Peer>,
    _folder: Folder,
}

/// A gateway with `transfer` behind every kind of back.
fn serve() -> Bed {
    let (transfer, folder) = (test_program("transfer"), Folder::new());
    let mut config = format!(
        "[log]\naccess = \"off\"\nlevel = \"error\"\n[[route]]\npath = \"/cgi\"\ncgi = \"{transfer}\"\n"
    );
    let mut workers = Vec::new();
    for kind in ["fastcgi", "scgi"] {
        let address = format!("unix:{}", folder.join(kind).display());
        let mut command = Command::new(&transfer);
        command.args([kind, &address]);
        workers.push(Peer::start_at(command, &address));
        config += &format!(
            "[pool.{kind}]\nspeak = \"{kind}\"\ncommand = [\"{transfer}\", \"{kind}\"]\nworkers = 2\n\
             [[route]]\npath = \"/{kind}\"\npool = \"{kind}\"\n\
             [pool.{kind}-external]\nspeak = \"{kind}\"\nconnect = [\"{address}\"]\nmax_connections = 1\n\
             [[route]]\npath = \"/{kind}-external\"\npool = \"{kind}-external\"\n"
        );
    }
    Bed { gateway: Gateway::start(&folder, &config), _workers: workers, _folder: folder }
}

/// One asker, with a connection that it keeps as long as it may.
struct Asker {
    address: std::net::SocketAddr,
    kept: Option<Client>,
}

impl Asker {
    fn client(&mut self) -> Client {
        self.kept.take().unwrap_or_else(|| Client::connect(self.address))
    }

    fn keep(&mut self, client: Client) {
        self.kept = Some(client);
    }

    /// One request, of the kind that `dice` says.
    fn ask(&mut self, back: &str, dice: u8) {
        let head = |method: &str, path: &str, fields: &str| {
            format!("{method} /{back}{path} HTTP/1.1\r\nHost: test.example\r\n{fields}\r\n")
        };
        let body = vec![b'x'; 1 + usize::from(dice) * 37];
        let mut client = self.client();
        match dice % 12 {
            0..=3 => {
                assert_eq!(client.ask("POST", &format!("/{back}/loop"), &[], &body).expect(200).body, body);
                self.keep(client);
            }
            4 => {
                client.send(head("GET", "/hello", "Connection: close\r\n"));
                assert_eq!(client.receive().expect(200).text(), "hello\n");
            }
            5 => {
                client.send(format!("GET /{back}/source/70000 HTTP/1.0\r\n\r\n"));
                let answer = client.receive();
                assert_eq!((answer.status(), answer.body.len()), (200, 70_000));
            }
            6 => {
                client.send(head("POST", "/loop", "Transfer-Encoding: chunked\r\n"));
                client.send(format!("{:x}\r\n{}\r\n0\r\n\r\n", body.len(), "x".repeat(body.len())));
                let answer = client.receive().expect(200);
                assert_eq!((answer.body.len(), answer.ended), (body.len(), Ended::Complete));
                self.keep(client);
            }
            7 => {
                client.ask("GET", "/nowhere", &[], b"").expect(404);
                client.send("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n");
                assert_eq!(client.receive().status(), 400);
            }
            // The others leave: at once, in the middle of the body, in the middle of the response, in a head.
            8 => client.send(head("GET", "/hello", "")),
            9 => {
                client.send(head("POST", "/loop", "Content-Length: 100000\r\n"));
                client.send(&body);
                client.reset();
            }
            10 => {
                client.send(head("GET", "/source/10000000", ""));
                assert_eq!(client.receive_head("GET").status, 200);
                client.receive_piece().unwrap();
            }
            _ => {
                client.send("GET /half-a-he");
                client.reset();
            }
        }
    }
}

/// Sends as many requests as a round has, of kinds that the seed decides.
fn round(gateway: &Gateway, seed: u64) {
    let askers = (0..ASKERS).map(|number| {
        let mut asker = Asker { address: gateway.address(), kept: None };
        let dice = noise(seed * 1000 + number as u64 + 1, ROUND / ASKERS);
        std::thread::spawn(move || {
            for (turn, dice) in dice.into_iter().enumerate() {
                asker.ask(BACKS[(turn + number) % BACKS.len()], dice);
            }
        })
    });
    let askers: Vec<_> = askers.collect();
    for asker in askers {
        asker.join().unwrap_or_else(|_| panic!("an asker of seed {seed} failed"));
    }
}

/// What is open and held when all is quiet: descriptors other than kept connections to workers, and memory.
fn settle(gateway: &Gateway) -> (usize, u64) {
    // Four workers, and no script.
    eventually("the scripts to be gone", || {
        let children = process::children(gateway.id());
        (children.len() == 4 && children.iter().all(|child| child.state != 'Z')).then_some(())
    });
    // One that is kept to each FastCGI worker; clients and SCGI keep none.
    for back in BACKS {
        gateway.get(&format!("/{back}/hello")).expect(200);
    }
    let descriptors = eventually("the connections to be closed", || {
        let before = process::descriptors(gateway.id());
        std::thread::yield_now();
        (process::descriptors(gateway.id()) == before).then_some(before)
    });
    (descriptors, process::resident_kib(gateway.id()))
}

#[test]
fn lesson_20_ten_thousand_requests_of_every_kind_leave_nothing_behind() {
    let bed = serve();
    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    round(&bed.gateway, seed);
    let (descriptors, memory_kib) = settle(&bed.gateway);
    for number in 1..ROUNDS as u64 {
        round(&bed.gateway, seed + number);
    }
    eventually("as few descriptors as before", || {
        let now = settle(&bed.gateway).0;
        // A started worker may have had no connection at the first count.
        (now <= descriptors + 1).then_some(())
    });
    let later_kib = settle(&bed.gateway).1;
    assert!(
        later_kib <= memory_kib + GROWTH_LIMIT_KIB,
        "{memory_kib} KiB after the first quarter, {later_kib} KiB in the end"
    );
    assert_eq!(process::zombies(bed.gateway.id()), []);
}
