//! A program on the interface crate behind Apache: as a FastCGI worker, an SCGI worker and a CGI program. It must not know
//! how the program finds out which it is.

mod common;

use common::Server;
use common::asked::{self, Chunked};

const WORKERS: [&str; 2] = ["/fastcgi", "/scgi"];
const ALL: [&str; 3] = ["/fastcgi", "/scgi", "/cgi/app"];

#[test]
fn bodies_pass_whole() {
    let server = Server::apache();
    for (mount, chunked) in [
        ("/fastcgi", Chunked::Counted),
        ("/cgi/app", Chunked::Counted),
        // SCGI needs the length first, and this server does not wait until it is known.
        ("/scgi", Chunked::Refused(411)),
    ] {
        asked::bodies(&server, mount, chunked);
    }
}

#[test]
fn answers_pass_as_they_are() {
    let server = Server::apache();
    for mount in ALL {
        asked::answers(&server, mount);
    }
}

#[test]
fn variables_say_what_was_asked() {
    let server = Server::apache();
    for mount in ALL {
        let text = asked::variables(&server, mount);
        assert!(text.contains("\nSERVER_SOFTWARE=Apache/"), "{text}");
    }
}

#[test]
fn requests_are_worked_on_at_once() {
    let server = Server::apache();
    for mount in WORKERS {
        asked::together(&server, mount, || {});
    }
}

#[test]
fn the_program_learns_that_its_client_has_left() {
    let server = Server::apache();
    for mount in WORKERS {
        asked::a_client_leaves(&server, mount, "/ticks");
    }
}

#[test]
fn a_worker_that_is_told_to_stop_ends_its_requests() {
    let mut server = Server::apache();
    for mount in WORKERS {
        let status = asked::stopping(&mut server, mount);
        assert_eq!(status, 503, "{mount}");
    }
}
