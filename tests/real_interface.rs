//! Programs on the interface crate as workers of nginx, without the gateway: by FastCGI and by SCGI, over unix sockets. It
//! must not know which of the two a program finds out to be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use common::{Answer, Client, Folder, Peer, Worker, example, noise};

/// nginx before two workers of one program: `/fastcgi` with kept connections, and `/scgi`.
struct Site {
    folder: Folder,
    workers: [Worker; 2],
    _nginx: Peer,
}

const WAYS: [&str; 2] = ["fastcgi", "scgi"];

impl Site {
    fn new(name: &str) -> Self {
        let folder = Folder::new();
        let workers = WAYS.map(|way| Worker::new(&example(name), &folder, &format!("{way}.sock"), &[]));
        let dir = folder.path().display();
        // nginx's own words for a group of servers cannot be avoided here.
        let groups = format!("upstream kept {{ server unix:{dir}/fastcgi.sock; keepalive 16; }}\n");
        let variables = |way: &str| {
            let pairs = [
                ("REQUEST_METHOD", "$request_method"),
                ("QUERY_STRING", "$query_string"),
                ("CONTENT_TYPE", "$content_type"),
                ("REQUEST_URI", "$request_uri"),
                ("SERVER_PROTOCOL", "$server_protocol"),
                ("SERVER_NAME", "$host"),
                ("REMOTE_ADDR", "$remote_addr"),
                ("PATH_INFO", "$fastcgi_path_info"),
            ];
            let lines = pairs.map(|(name, value)| format!("{way}_param {name} {value};\n"));
            lines.concat() + &format!("{way}_param SCRIPT_NAME /{way};\n{way}_buffering off;\n")
        };
        let split = "fastcgi_split_path_info ^(/[a-z]+)(.*)$;";
        let fastcgi = format!(
            "location /fastcgi {{ {split} fastcgi_pass kept; fastcgi_keep_conn on; fastcgi_request_buffering off;\n\
             fastcgi_param CONTENT_LENGTH $content_length;\n{} }}",
            variables("fastcgi")
        );
        let scgi = format!(
            "location /scgi {{ {split} scgi_pass unix:{dir}/scgi.sock;\n\
             scgi_param SCGI 1;\n{} }}",
            variables("scgi")
        );
        let front = format!("unix:{dir}/nginx.sock");
        let http = format!("{groups}server {{ listen {front}; client_max_body_size 0;\n{fastcgi}\n{scgi} }}");
        let nginx = Peer::nginx(&folder, &http, &front);
        Self { folder, workers, _nginx: nginx }
    }

    fn connect(&self) -> Client {
        Client::connect_unix(&self.folder.join("nginx.sock"))
    }

    fn ask(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        self.connect().ask(method, target, &[("X-Own", "one")], body)
    }
}

#[test]
fn hello_is_a_worker_of_nginx() {
    let mut site = Site::new("hello");
    for way in WAYS {
        for _ in 0..3 {
            let answer = site.ask("GET", &format!("/{way}"), b"").expect(200);
            assert_eq!(
                (answer.text().as_str(), answer.field("content-length")),
                ("Hello from Rust\n", Some("16"))
            );
        }
        let head = site.ask("HEAD", &format!("/{way}"), b"").expect(200);
        assert_eq!((head.text().as_str(), head.field("content-length")), ("", Some("16")));
    }
    for worker in &mut site.workers {
        worker.terminate();
        worker.wait();
    }
}

#[test]
fn bodies_and_variables_come_whole_through_nginx() {
    let site = Site::new("environ");
    let body = noise(23, 3_000_000);
    for way in WAYS {
        let told = site.ask("POST", &format!("/{way}/a/b?c=d"), &body).expect(200).text();
        assert!(told.ends_with("\n3000000 bytes of body\n"), "{way}: {told}");
        for line in ["HTTP_X_OWN=one", "QUERY_STRING=c=d", "PATH_INFO=/a/b", "SERVER_NAME=test.example"] {
            assert!(told.lines().any(|other| other == line), "no {line} by {way} in\n{told}");
        }
    }
}

#[test]
fn connections_that_nginx_keeps_starve_nobody() {
    // More kept connections than the worker has threads: it has one.
    let site = Site::new("hello");
    let mut clients: Vec<Client> = (0..12).map(|_| site.connect()).collect();
    for _ in 0..5 {
        for client in &mut clients {
            client.send("GET /fastcgi HTTP/1.1\r\nHost: test.example\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(client.receive().expect(200).text(), "Hello from Rust\n");
        }
    }
}

#[test]
fn a_client_that_leaves_amid_its_upload_frees_the_worker() {
    let site = Site::new("environ");
    let mut leaving = site.connect();
    leaving.send("POST /fastcgi HTTP/1.1\r\nHost: test.example\r\nContent-Length: 1000000\r\n\r\nabc");
    drop(leaving);
    let answer = site.ask("POST", "/fastcgi", b"next").expect(200).text();
    assert!(answer.ends_with("\n4 bytes of body\n"), "{answer}");
}
