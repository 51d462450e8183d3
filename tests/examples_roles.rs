//! The examples of FastCGI's other roles: a Filter asked by the codec's Web server, since no server has the role; an Authorizer
//! before files and programs of lighttpd, which has it, and for nginx's `auth_request`. It must not know how they decide.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;
#[path = "../protocols/interface/tests/rig/peer.rs"]
mod peer;

use std::os::unix::net::UnixStream;
use std::process::Command;

use common::{Client, Folder, Peer, Standing, program};
use gatebridge_fastcgi::Role;

/// A worker, and a connection to it.
fn worker(name: &str) -> (Folder, Standing, peer::Peer) {
    let folder = Folder::new();
    let worker = Standing::new(name, &folder, "worker.sock", &[]);
    let peer = peer::Peer::new(UnixStream::connect(worker.socket()).unwrap());
    (folder, worker, peer)
}

#[test]
fn a_filter_answers_with_what_it_makes_of_the_file() {
    let (_folder, _worker, mut peer) = worker("filter");
    let mut ask = |own: &[(&str, &str)], data: &[u8]| {
        let id = peer.begin_with(Role::Filter, "GET", "/poem.txt", own);
        peer.end_stdin(id);
        peer.data(id, data);
        peer.finish(id)
    };
    let length = ("FCGI_DATA_LENGTH", "15");
    let changed = ("FCGI_DATA_LAST_MOD", "1000000000");
    let head = "Status: 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n";
    let last = "last-modified: Sun, 09 Sep 2001 01:46:40 GMT\r\n";
    let rest = "content-length: 39\r\n\r\n     1  roses\n     2  \n     3  violets\n";
    assert_eq!(ask(&[length, changed], b"roses\n\nviolets\n").text(), format!("{head}{last}{rest}"));
    assert_eq!(ask(&[length], b"roses\n\nviolets\n").text(), format!("{head}{rest}"));

    // The client has it: the file is not read, and the next request does not find a rest of it.
    let since = |date| [length, changed, ("HTTP_IF_MODIFIED_SINCE", date)];
    let reply = ask(&since("Sun, 09 Sep 2001 01:46:40 GMT"), b"roses\n\nviolets\n");
    assert_eq!(reply.text(), format!("Status: 304 Not Modified\r\n{last}\r\n"));
    let reply = ask(&since("Sun, 09 Sep 2001 01:46:39 GMT"), b"roses\n\nviolets\n");
    assert_eq!(reply.text(), format!("{head}{last}{rest}"));

    // A file that is shorter than was said is no file.
    let reply = ask(&[length, changed], b"roses\n");
    assert!(reply.text().starts_with("Status: 500 "), "{}", reply.text());
    assert!(String::from_utf8_lossy(&reply.stderr).contains("6 of 15 bytes"), "{reply:?}");
}

#[test]
fn a_filter_reads_a_large_file_as_it_comes() {
    let (_folder, _worker, mut peer) = worker("filter");
    let lines: String = (1..=5000).map(|number| format!("line {number}\n")).collect();
    let id = peer.begin_with(Role::Filter, "POST", "/", &[("CONTENT_LENGTH", "100000")]);
    // A body beside it, of which the program wants nothing.
    peer.stdin(id, &vec![b'x'; 100_000]);
    peer.end_stdin(id);
    peer.data(id, lines.as_bytes());
    let answer = String::from_utf8(peer.finish(id).body().to_vec()).unwrap();
    for (at, line) in answer.lines().enumerate() {
        assert_eq!(line, format!("{:6}  line {}", at + 1, at + 1));
    }
    assert_eq!(answer.lines().count(), 5000);
}

#[test]
fn an_authorizer_is_asked_without_a_body() {
    let (_folder, _worker, mut peer) = worker("authorizer");
    let mut ask = |method, own: &[(&str, &str)]| {
        // FastCGI 1.0 6.3: no STDIN at all, not even its end.
        let id = peer.begin_with(Role::Authorizer, method, "", own);
        peer.finish(id).text()
    };
    let answer = ask("POST", &[("HTTP_AUTHORIZATION", "Bearer swordfish"), ("CONTENT_LENGTH", "1000")]);
    let head = "Status: 200 OK\r\nVariable-REMOTE_USER: alice\r\nVariable-AUTH_TYPE: Bearer\r\n";
    assert!(answer.starts_with(head), "{answer}");
    assert!(ask("GET", &[]).starts_with("Status: 401 Unauthorized\r\nwww-authenticate: Bearer "));
    assert!(
        ask("PUT", &[("HTTP_AUTHORIZATION", "Bearer open-sesame")]).starts_with("Status: 403 Forbidden\r\n")
    );
}

/// Asks a server that is guarded by the authorizer as somebody.
fn ask(folder: &Folder, method: &str, path: &str, token: &str) -> common::Answer {
    let mut client = Client::connect_unix(&folder.join("front.sock"));
    let bearer = format!("Bearer {token}");
    let fields: &[(&str, &str)] = if token.is_empty() { &[] } else { &[("Authorization", &bearer)] };
    client.ask(method, path, fields, b"")
}

#[test]
fn an_authorizer_guards_files_and_programs_of_lighttpd() {
    let folder = Folder::new();
    let worker = Standing::new("authorizer", &folder, "authorizer.sock", &[]);
    folder.write("site/secret.txt", "the treasure is under the oak\n");
    folder.write(
        "site/who.sh",
        "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n%s by %s\\n' \"$REMOTE_USER\" \"$AUTH_TYPE\"\n",
    );
    let dir = folder.path().display();
    let config = format!(
        "server.document-root = \"{dir}/site\"\nserver.bind = \"{dir}/front.sock\"\n\
         server.errorlog = \"/dev/stderr\"\nserver.modules = (\"mod_fastcgi\", \"mod_cgi\")\n\
         mimetype.assign = (\".txt\" => \"text/plain\")\ncgi.assign = (\".sh\" => \"/bin/sh\")\n\
         fastcgi.server = (\"/\" => ((\"socket\" => \"{}\", \"mode\" => \"authorizer\", \"check-local\" => \"disable\",\n\
         \"docroot\" => \"{dir}/site\")))\n",
        worker.socket().display()
    );
    let config = folder.write("lighttpd.conf", config);
    let mut command = Command::new(program(&["lighttpd"]));
    command.arg("-D").arg("-f").arg(config);
    let _lighttpd = Peer::start_at(command, &format!("unix:{dir}/front.sock"));

    let refused = ask(&folder, "GET", "/secret.txt", "").expect(401);
    assert_eq!(refused.text(), "Say who you are: Authorization: Bearer TOKEN\n");
    assert_eq!(refused.field("www-authenticate"), Some("Bearer realm=\"the workshop\""));
    ask(&folder, "GET", "/secret.txt", "guess").expect(401);
    for token in ["swordfish", "open-sesame"] {
        let answer = ask(&folder, "GET", "/secret.txt", token).expect(200);
        assert_eq!(answer.text(), "the treasure is under the oak\n", "{token}");
        assert!(
            answer.head.fields.iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("variable"))
        );
    }
    // What it says of the request reaches the program behind.
    assert_eq!(ask(&folder, "GET", "/who.sh", "swordfish").expect(200).text(), "alice by Bearer\n");
    assert_eq!(ask(&folder, "POST", "/who.sh", "swordfish").expect(200).text(), "alice by Bearer\n");
    assert_eq!(ask(&folder, "GET", "/who.sh", "open-sesame").expect(200).text(), "bob by Bearer\n");
    let refused = ask(&folder, "POST", "/who.sh", "open-sesame").expect(403);
    assert_eq!(refused.text(), "bob may look, and change nothing.\n");
    ask(&folder, "GET", "/who.sh", "").expect(401);
}

#[test]
fn an_authorizer_serves_auth_request_of_nginx() {
    let folder = Folder::new();
    let worker = Standing::new("authorizer", &folder, "authorizer.sock", &[]);
    folder.write("site/secret.txt", "the treasure is under the oak\n");
    let dir = folder.path().display();
    let http = format!(
        "server {{ listen unix:{dir}/front.sock; root {dir}/site;\n\
         location / {{ auth_request /may; auth_request_set $user $upstream_http_variable_remote_user;\n\
         add_header X-User $user; }}\n\
         location = /may {{ internal; fastcgi_pass unix:{}; fastcgi_pass_request_body off;\n\
         fastcgi_param REQUEST_METHOD $request_method; fastcgi_param SERVER_NAME $server_name; }} }}",
        worker.socket().display()
    );
    let _nginx = Peer::nginx(&folder, &http, &format!("unix:{dir}/front.sock"));
    let refused = ask(&folder, "GET", "/secret.txt", "").expect(401);
    assert_eq!(refused.field("www-authenticate"), Some("Bearer realm=\"the workshop\""));
    let answer = ask(&folder, "GET", "/secret.txt", "swordfish").expect(200);
    assert_eq!(
        (answer.text().as_str(), answer.field("x-user")),
        ("the treasure is under the oak\n", Some("alice"))
    );
    ask(&folder, "GET", "/secret.txt", "open-sesame").expect(200);
    ask(&folder, "DELETE", "/secret.txt", "open-sesame").expect(403);
}
