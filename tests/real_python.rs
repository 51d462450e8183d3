//! Python behind the gateway: the standard library's CGI runner, and flup's SCGI and FastCGI servers, all under the
//! standard library's strict WSGI validator; it must not know how.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::process::Command;

use common::{Folder, Gateway, Peer, noise, python};

/// A WSGI application; the validator refuses, for one, HTTP_CONTENT_LENGTH beside CONTENT_LENGTH.
const APPLICATION: &str = r#"
import hashlib
import sys
from wsgiref.validate import validator


def application(environ, start_response):
    body = b""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0 and (piece := environ["wsgi.input"].read(min(left, 65536))):
        left -= len(piece)
        body += piece
    environ["wsgi.errors"].write("a line for the log\n")
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_X_ONE")
    text = "".join(f"{name}={environ.get(name, '(unset)')}\n" for name in names)
    text += f"scheme={environ['wsgi.url_scheme']}\nbody={len(body)} {hashlib.md5(body).hexdigest()}\n"
    start_response("207 Many Things", [("Content-Type", "text/plain"), ("X-Answer", "42")])
    return [text.encode()]


application = validator(application)
"#;

const SCGI: &str = "from app import application\nfrom flup.server.scgi import WSGIServer\nimport sys\n\
    WSGIServer(application, bindAddress=sys.argv[1], scriptName='/app', debug=False).run()\n";

const FASTCGI: &str = "from app import application\nfrom flup.server.fcgi import WSGIServer\n\
    WSGIServer(application, debug=False).run()\n";

/// Asks the application at `/app` and compares what it saw.
fn ask(gateway: &Gateway) {
    let mut client = gateway.connect();
    let body = noise(9, 500_000);
    for _ in 0..3 {
        let answer = client.ask("GET", "/app/a%20b?x=%20", &[("X-One", "eins")], b"").expect(207);
        assert_eq!((answer.head.reason.as_str(), answer.field("x-answer")), ("Many Things", Some("42")));
        assert_eq!(
            answer.text(),
            "REQUEST_METHOD=GET\nSCRIPT_NAME=/app\nPATH_INFO=/a b\nQUERY_STRING=x=%20\nHTTP_X_ONE=eins\nscheme=http\n\
             body=0 d41d8cd98f00b204e9800998ecf8427e\n"
        );
        let fields = [("Content-Type", "application/octet-stream"), ("X-Forwarded-For", "1.2.3.4")];
        let answer = client.ask("POST", "/app", &fields, &body).expect(207).text();
        assert!(answer.starts_with("REQUEST_METHOD=POST\nSCRIPT_NAME=/app\nPATH_INFO=\n"), "{answer}");
        assert!(answer.contains("\nbody=500000 "), "{answer}");
    }
}

#[test]
fn lesson_42_a_validated_wsgi_application_runs_as_cgi() {
    let folder = Folder::new();
    let python = python().display().to_string();
    folder.write("app.py", APPLICATION);
    let run = "from wsgiref.handlers import CGIHandler\nfrom app import application\nCGIHandler().run(application)\n";
    folder.script("run.py", format!("#!{python}\n{run}"));
    let gateway = Gateway::start(&folder, "[[route]]\npath = \"/app\"\ncgi = \"run.py\"\n");
    ask(&gateway);
    gateway.wait_for_line("a line for the log");
}

#[test]
fn lesson_47_a_flup_application_answers_over_scgi() {
    let folder = Folder::new();
    folder.write("app.py", APPLICATION);
    let server = folder.write("scgi.py", SCGI);
    let socket = folder.join("scgi.sock").display().to_string();
    let mut command = Command::new(python());
    command.arg(server).arg(&socket);
    let _flup = Peer::start_at(command, &format!("unix:{socket}"));
    let config = format!(
        "[pool.flup]\nspeak = \"scgi\"\nconnect = [\"unix:{socket}\"]\n[[route]]\npath = \"/app\"\npool = \"flup\"\n"
    );
    ask(&Gateway::start(&folder, &config));
}

#[test]
fn a_flup_application_is_started_as_a_fastcgi_worker() {
    let folder = Folder::new();
    folder.write("app.py", APPLICATION);
    let server = folder.write("fastcgi.py", FASTCGI);
    let config = format!(
        "[pool.flup]\nspeak = \"fastcgi\"\ncommand = [\"{}\", \"{}\"]\nworkers = 2\nconcurrency = 4\n\
         [[route]]\npath = \"/app\"\npool = \"flup\"\n",
        python().display(),
        server.display()
    );
    ask(&Gateway::start(&folder, &config));
}
