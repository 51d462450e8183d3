//! The CGI back with real scripts: what they see, who may run, and what they say on stderr.

use std::fs::{self, File};
use std::io::Write;
use std::sync::{Arc, Mutex};

use http::{HeaderValue, Method, StatusCode};
use tokio::time::timeout;

use super::rig::{given, request, text};
use super::rig_cgi::{Bed, DEADLINE, HEAD, Known, write_script};
use crate::exchange::{Body, FailureKind, FileRange, Response};

#[tokio::test]
async fn a_script_sees_where_it_was_called_and_runs_in_its_folder() {
    let bed = Bed::sh(&format!(
        "{HEAD}; echo \"$SCRIPT_NAME $PATH_INFO $PATH_TRANSLATED $SCRIPT_FILENAME $DOCUMENT_ROOT $REDIRECT_STATUS\"; pwd"
    ));
    let answer =
        text(bed.call(request(Method::GET, "/x/more/of it", Body::Empty)).await.unwrap()).await.unwrap();
    let bin = bed.folder.join("bin").display().to_string();
    assert_eq!(answer, format!("/cgi/x /more/of it {bin}/more/of it {bin}/x {bin} 200\n{bin}\n"));
}

#[tokio::test]
async fn lesson_3_the_environment_is_built_from_nothing_and_no_header_sets_the_servers_variables() {
    let bed = Bed::new(
        &format!("#!/bin/sh\n{HEAD}; env | sort\n"),
        "env = { GIT_PROJECT_ROOT = \"/srv/git\" }\npass_env = [\"HOME\", \"NO_SUCH\"]",
    );
    let mut request = request(Method::GET, "/x", Body::Empty);
    for name in ["Proxy", "Content-Length", "Git-Project-Root", "Accept"] {
        request
            .environ
            .headers
            .insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("1"));
    }
    let answer = text(bed.call(request).await.unwrap()).await.unwrap();
    let names: Vec<_> = answer.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert!(answer.contains("GIT_PROJECT_ROOT=/srv/git\n"), "{answer}");
    let home = std::env::var("HOME").map(|home| format!("HOME={home}"));
    assert_eq!(answer.lines().find(|line| line.starts_with("HOME=")), home.as_deref().ok(), "{answer}");
    assert!(answer.contains("PATH=/"), "{answer}");
    assert!(answer.contains("PATH_INFO=\n"), "lesson 43: {answer}");
    assert!(names.contains(&"HTTP_ACCEPT") && names.contains(&"UNIQUE_ID"), "{answer}");
    for stranger in ["NO_SUCH", "CARGO_MANIFEST_DIR", "HTTP_PROXY", "HTTP_CONTENT_LENGTH", "CONTENT_LENGTH"] {
        assert!(!names.contains(&stranger), "{stranger} in {answer}");
    }
}

#[tokio::test]
async fn lesson_19_a_spooled_body_is_a_file_that_the_script_may_seek_in_but_not_write() {
    let python = "#!/usr/bin/env python3\nimport os, sys\n\
        first = os.read(0, 100); os.lseek(0, 0, 0); again = os.read(0, 100)\n\
        try: os.write(0, b'x'); wrote = True\n\
        except OSError: wrote = False\n\
        print('Content-Type: text/plain\\n')\nprint(first == again, first, wrote, os.environ['CONTENT_LENGTH'])\n";
    let bed = Bed::new(python, "");
    let path = bed.folder.join("body");
    fs::write(&path, "spooled").unwrap();
    let file = Arc::new(File::options().read(true).write(true).open(&path).unwrap());
    for (offset, length, expected) in [(0, 7, "True b'spooled' False 7\n"), (2, 3, "")] {
        let range = FileRange { file: Arc::clone(&file), offset, length };
        let answer = bed.post(Body::File(range)).await;
        // A part of a file is no file of its own: it comes through a pipe, in which nobody can seek.
        match text(answer.unwrap_or_else(|failure| Response::text(StatusCode::OK, failure.to_string()))).await
        {
            Ok(answer) if offset == 0 => assert_eq!(answer, expected),
            answer => assert!(format!("{answer:?}").contains("Illegal seek"), "{answer:?}"),
        }
    }
    assert_eq!(Arc::strong_count(&file), 1, "the gateway holds the file no longer than the process lives");
}

#[tokio::test]
async fn lesson_44_a_body_of_unknown_length_is_refused_rather_than_called_empty() {
    let bed = Bed::sh(HEAD);
    let (_body, stream) = given();
    assert_eq!(bed.post(stream).await.unwrap_err().kind, FailureKind::Internal);
}

#[tokio::test]
async fn lesson_31_a_place_is_free_only_when_the_process_is_gone() {
    let script = "#!/bin/sh\ntrap '' TERM; exec 3>../fifo; echo started >&3; while :; do sleep 0.01; done\n";
    let settings = "max_processes = 1\nqueue = 0\nkill_grace = \"300ms\"";
    let bed = Bed::new(script, settings);
    write_script(&bed.folder.join("bin/quick"), &format!("#!/bin/sh\n{HEAD}; echo quick\n"));
    let mut watch = bed.watch();
    let call = bed.call_aside(request(Method::GET, "/x", Body::Empty));
    watch.started().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    let failure = bed.call(request(Method::GET, "/quick", Body::Empty)).await.unwrap_err();
    assert!(matches!(failure.kind, FailureKind::Overloaded { .. }), "the process ignores TERM: {failure}");
    watch.gone().await;
    bed.spawner.idle().await;
    // The task that gives the place back may come a moment after the process is gone.
    let answer = timeout(DEADLINE, async {
        loop {
            match bed.call(request(Method::GET, "/quick", Body::Empty)).await {
                Ok(response) => break text(response).await.unwrap(),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    assert_eq!(answer.await.unwrap(), "quick\n");
}

#[tokio::test]
async fn a_request_waits_for_a_process_slot() {
    let bed = Bed::new(&format!("#!/bin/sh\n{HEAD}; read -r line; echo \"$line\"\n"), "max_processes = 1");
    let (body, stream) = given();
    let first = bed.post(Body::Stream(Box::new(Known(stream, 4)))).await.unwrap();
    let (second, first) = tokio::join!(bed.post(Body::from("two\n")), async {
        body.send(Ok("one\n".into())).unwrap();
        drop(body);
        text(first).await.unwrap()
    });
    assert_eq!(first, "one\n");
    assert_eq!(text(second.unwrap()).await.unwrap(), "two\n");
}

#[tokio::test]
async fn what_cannot_be_run_says_why() {
    let bed = Bed::sh(HEAD);
    fs::write(bed.folder.join("bin/text"), "#!/bin/sh\n").unwrap();
    write_script(&bed.folder.join("bin/lost"), "#!/no/such/interpreter\n");
    for (path, kind, word) in [
        ("/none", FailureKind::NotFound, "none"),
        ("/text", FailureKind::Forbidden, "bin/text"),
        ("/../x", FailureKind::BadRequest, ".."),
        ("/lost", FailureKind::NotStarted, "/no/such/interpreter"),
    ] {
        let failure = bed.call(request(Method::GET, path, Body::Empty)).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{path}: {failure}");
        assert!(failure.detail.contains(word), "{path}: {failure}");
    }
}

#[tokio::test]
async fn lesson_22_a_variable_that_no_process_can_take_is_told_by_name() {
    let bed = Bed::sh(HEAD);
    let mut request = request(Method::GET, "/x", Body::Empty);
    let long = HeaderValue::from_bytes(&[b'a'; 200_000]).unwrap();
    request.environ.headers.insert("x-long", long);
    let failure = bed.call(request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotStarted);
    assert!(failure.detail.contains("HTTP_X_LONG"), "{failure}");
}

#[tokio::test]
async fn a_script_named_nph_writes_the_whole_head() {
    let bed = Bed::sh(HEAD);
    let script =
        "#!/bin/sh\nprintf 'HTTP/1.1 418 Short and Stout\\r\\nContent-Type: text/plain\\r\\n\\r\\ntea'\n";
    write_script(&bed.folder.join("bin/nph-tea"), script);
    let response = bed.call(request(Method::GET, "/nph-tea", Body::Empty)).await.unwrap();
    assert_eq!(response.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(response.reason.as_deref(), Some(&b"Short and Stout"[..]));
    assert_eq!(text(response).await.unwrap(), "tea");
}

/// Everything that was logged while a test runs on its own thread.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn wish_34_stderr_is_logged_line_by_line_with_the_requests_id() {
    let logged = Logged::default();
    let writer = logged.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let bed = Bed::new(
        &format!(
            "#!/bin/sh\n{HEAD}; printf 'one\\ntwo \\033[31mred\\nthree\\nfour\\n' >&2; exec 1>&-; printf last >&2\n"
        ),
        "stderr_lines = 3",
    );
    let request = request(Method::GET, "/x", Body::Empty);
    let id = String::from_utf8(request.exchange.id().to_vec()).unwrap();
    text(bed.call(request).await.unwrap()).await.unwrap();
    let log = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("program: ") && line.contains(&id)).collect();
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines[0].contains("one") && lines[0].contains("bin/x"), "{log}");
    assert!(lines[1].contains("two \\u{1b}[31mred"), "lesson 27: {log}");
    assert!(lines[3].contains("2 more lines"), "{log}");
}
