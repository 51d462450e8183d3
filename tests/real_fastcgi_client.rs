//! A program on the interface crate as a FastCGI worker, asked by the client of another crate, which shares no line with
//! ours. It must not know how either of them frames a record.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::path::PathBuf;

use common::peer::test_program;
use common::{Folder, Worker, eventually, noise};
use fastcgi_client::response::Content;
use fastcgi_client::{Client, Params, Request, Response};
use futures_util::StreamExt as _;
use tokio::io::empty;
use tokio::net::UnixStream;

/// A worker with its folder.
fn worker() -> (Folder, Worker) {
    let folder = Folder::new();
    let worker =
        Worker::new(&PathBuf::from(test_program("interface-questions")), &folder, "worker.sock", &[]);
    (folder, worker)
}

async fn connect(folder: &Folder) -> UnixStream {
    UnixStream::connect(folder.join("worker.sock")).await.unwrap()
}

fn params(method: &'static str, question: &str, length: Option<usize>) -> Params<'static> {
    let params = Params::default()
        .request_method(method)
        .script_name("/app")
        .server_name("test.example")
        .server_port(80)
        .custom("PATH_INFO", question.to_owned());
    length.into_iter().fold(params, Params::content_length)
}

/// Status line, and what stands behind the head.
fn parts(response: &Response) -> (String, String) {
    let text = String::from_utf8(response.stdout.clone().unwrap()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn ok(body: &str) -> (String, String) {
    ("Status: 200 OK".to_owned(), body.to_owned())
}

#[tokio::test]
async fn one_connection_carries_one_request_after_the_other() {
    let (folder, mut worker) = worker();
    let mut client = Client::new_keep_alive_tokio(connect(&folder).await);
    let sockets = worker.sockets();
    for _ in 0..3 {
        // Without a body it ends STDIN twice: the second end arrives amid the answer, or after it.
        let hello = client.execute(Request::new_tokio(params("GET", "/hello", None), empty())).await.unwrap();
        assert_eq!(parts(&hello), ok("hello\n"));
        let head = client.execute(Request::new_tokio(params("HEAD", "/hello", None), empty())).await.unwrap();
        assert_eq!(parts(&head), ok(""));
    }
    let body = noise(5, 1024 * 1024);
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    for length in [Some(body.len()), None] {
        let counted = params("POST", "/count", length);
        let counted = client.execute(Request::new_tokio(counted, &body[..])).await.unwrap();
        assert_eq!(parts(&counted), ok(&format!("1048576 {sum}\n")), "announced: {length:?}");
    }
    let long = "v".repeat(70_000);
    let environ = params("GET", "/environ", None)
        .custom("HTTP_X_LONG", long.clone())
        .custom("HTTP_X_EMPTY", String::new());
    let told = parts(&client.execute(Request::new_tokio(environ, empty())).await.unwrap()).1;
    for line in ["FCGI_ROLE=RESPONDER", "HTTP_X_EMPTY=", &format!("HTTP_X_LONG={long}")] {
        assert!(told.lines().any(|other| other == line), "no {:.40} in\n{told:.2000}", line);
    }
    let failed = client.execute(Request::new_tokio(params("GET", "/fail", None), empty())).await.unwrap();
    assert_eq!(parts(&failed).0, "Status: 500 Internal Server Error");
    let error = String::from_utf8(failed.stderr.unwrap()).unwrap();
    assert_eq!(error, "GET /app/fail: the application failed: no luck today\n");
    assert_eq!(worker.sockets().len(), sockets.len().max(2), "one connection, and the socket that listens");
    drop(client);
    worker.terminate();
    worker.wait();
}

#[tokio::test]
async fn a_connection_that_is_not_kept_is_closed() {
    let (folder, worker) = worker();
    for _ in 0..3 {
        let client = Client::new_tokio(connect(&folder).await);
        let answer = client.execute_once(Request::new_tokio(params("GET", "/hello", None), empty())).await;
        assert_eq!(parts(&answer.unwrap()), ok("hello\n"));
    }
    eventually("the end of every connection", || (worker.sockets().len() == 1).then_some(()));
}

#[tokio::test]
async fn an_answer_before_its_body_does_not_stop_who_sends_it() {
    let (folder, _worker) = worker();
    let mut client = Client::new_keep_alive_tokio(connect(&folder).await);
    // It reads nothing before it has sent the whole body, which nobody wants.
    let body = noise(6, 4 * 1024 * 1024);
    for _ in 0..2 {
        let refused = params("POST", "/refuse", Some(body.len()));
        let refused = client.execute(Request::new_tokio(refused, &body[..])).await.unwrap();
        assert_eq!(parts(&refused), ("Status: 403 Forbidden".to_owned(), "not for you\n".to_owned()));
    }
}

#[tokio::test]
async fn twenty_connections_are_served_at_once() {
    let (folder, _worker) = worker();
    let asking = (0..20).map(async |_| {
        let client = Client::new_tokio(connect(&folder).await);
        client.execute_once(Request::new_tokio(params("GET", "/meet/20", None), empty())).await.unwrap()
    });
    for answer in futures_util::future::join_all(asking).await {
        assert_eq!(parts(&answer), ok("met\n"));
    }
}

#[tokio::test]
async fn lesson_49_a_peer_that_leaves_ends_its_request() {
    let (folder, worker) = worker();
    for question in ["/silent", "/ticks"] {
        let client = Client::new_tokio(connect(&folder).await);
        let mut answer = client
            .execute_once_stream(Request::new_tokio(params("GET", question, None), empty()))
            .await
            .unwrap();
        let Some(Ok(Content::Stdout(first))) = answer.next().await else {
            unreachable!("no output");
        };
        assert!(first.ends_with(b"waiting\n"));
        drop(answer);
    }
    eventually("the end of both connections", || (worker.sockets().len() == 1).then_some(()));
    let client = Client::new_tokio(connect(&folder).await);
    let left = client.execute_once(Request::new_tokio(params("GET", "/left", None), empty())).await.unwrap();
    assert_eq!(parts(&left), ok("2"));
}
