//! The FastCGI back against workers that behave, and against one for each way to misbehave.

use std::time::Duration;

use gatebridge_fastcgi::{ProtocolStatus, ServerEvent};
use http::Method;
use tokio::io::AsyncReadExt;
use tokio::net::UnixListener;

use super::rig::{given, read, recorded_request, request, text, zeroes};
use super::rig_pool::{Folder, HEAD, Peer, ask, connected, get};
use crate::exchange::{Body, FailureKind};

#[tokio::test]
async fn a_worker_is_told_everything_and_its_answer_comes_back() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let (request, mut records) = recorded_request(Method::POST, "/extra", Body::from("a body"));
    let asking = ask(&route, request);
    let mut peer = Peer::accept(&listener).await;
    let params = peer.request().await;
    for (name, value) in [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/extra"), ("CONTENT_LENGTH", "6")] {
        assert_eq!(params.get(name.as_bytes()), Some(value.as_bytes()), "{name}");
    }
    assert_eq!(peer.body().await, b"a body");
    peer.say(b"Status: 201 Made It\r\nContent-Type: text/plain\r\n\r\nhello").await;
    peer.end(0, ProtocolStatus::RequestComplete).await;
    let response = asking.await.unwrap().unwrap();
    assert_eq!(response.status.as_u16(), 201);
    assert_eq!(text(response).await.unwrap(), "hello");
    let record = records.recv().await.unwrap();
    assert_eq!(record.back.as_deref(), Some("pool:p"));
    assert_eq!(record.queue_wait, Some(Duration::ZERO));
}

#[tokio::test]
async fn a_small_request_is_one_write() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    for (method, body) in [(Method::GET, Body::Empty), (Method::POST, Body::from("small"))] {
        let has_body = !body.is_empty();
        let asking = ask(&route, request(method, "/", body));
        let mut peer = Peer::accept(&listener).await;
        let mut seen = vec![0; 64 * 1024];
        let read = peer.stream.read(&mut seen).await.unwrap();
        let end_of_stdin = [1, 5, 0, 1, 0, 0, 0, 0];
        assert!(seen[..read].ends_with(&end_of_stdin), "the first read has it all (body: {has_body})");
        drop(peer);
        assert_eq!(asking.await.unwrap().unwrap_err().kind, FailureKind::Unreachable);
    }
}

#[tokio::test]
async fn a_clean_connection_is_used_again() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let asking = get(&route, "/");
    let mut peer = Peer::accept(&listener).await;
    peer.serve("1").await;
    assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "1");
    for number in ["2", "3"] {
        let asking = get(&route, "/");
        peer.serve(number).await;
        assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), number);
    }
}

#[tokio::test]
async fn lesson_14_padding_and_a_missing_end_of_stdout_leave_the_connection_clean() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let mut peer = kept(&route, &listener).await;
    for _ in 0..3 {
        let asking = get(&route, "/");
        peer.request().await;
        peer.body().await;
        let size = HEAD.len() as u8;
        peer.raw(&[&[1, 6, 0, 1, 0, size, 255, 0], HEAD, &[b'p'; 255]].concat()).await;
        peer.raw(&[1, 3, 0, 1, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'p', b'p', b'p']).await;
        // Told to the codec too, so that it expects the next request; what it would have written is not sent.
        peer.forget();
        assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "");
    }
}

/// Plays a worker whose answer fails; the kind of failure, and what the worker's name and stderr are told with.
async fn fails(
    route: &std::sync::Arc<super::pool_route::PoolRoute>,
    listener: &UnixListener,
    says: &[&[u8]],
) -> (FailureKind, String) {
    let asking = get(route, "/");
    let mut peer = Peer::accept(listener).await;
    peer.request().await;
    peer.body().await;
    for bytes in says {
        peer.raw(bytes).await;
    }
    drop(peer);
    let failure = asking.await.unwrap().unwrap_err();
    (failure.kind, failure.detail.into_owned())
}

#[tokio::test]
async fn what_is_no_fastcgi_is_bad_output_and_the_connection_is_not_used_again() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let head: &[u8] = &[&[1, 6, 0, 1, 0, HEAD.len() as u8, 0, 0], HEAD].concat();
    let wrong_id: &[u8] = &[1, 6, 0, 2, 0, 1, 0, 0, b'x'];
    let end = |id, size| [1, 3, 0, id, 0, size, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (says, kind, word) in [
        (&[][..], FailureKind::Unreachable, "broke off"),
        (&[&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]][..], FailureKind::BadOutput, "version"),
        (&[wrong_id][..], FailureKind::BadOutput, "2"),
        (&[&end(2, 8)[..]][..], FailureKind::BadOutput, "2"),
        (&[&end(1, 4)[..12]][..], FailureKind::BadOutput, "4"),
        (&[&head[..12]][..], FailureKind::BadOutput, ""),
        (&[&end(1, 8)[..]][..], FailureKind::BadOutput, ""),
    ] {
        let (found, detail) = fails(&route, &listener, says).await;
        assert_eq!(found, kind, "{says:?}: {detail}");
        assert!(detail.contains(word) && detail.contains(&address), "{says:?}: {detail}");
    }
}

#[tokio::test]
async fn lesson_12_an_answer_without_end_request_breaks_off() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let asking = get(&route, "/");
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    peer.body().await;
    peer.say(&[HEAD, b"looks whole"].concat()).await;
    peer.raw(&[1, 6, 0, 1, 0, 0, 0, 0]).await;
    drop(peer);
    let mut response = asking.await.unwrap().unwrap();
    assert_eq!(read(&mut response.body).await.unwrap_err().kind, FailureKind::BrokenOff);
}

#[tokio::test]
async fn stderr_is_testimony_and_an_application_status_after_the_head_is_only_noted() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let asking = get(&route, "/");
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    peer.body().await;
    peer.complain(b"PHP Fatal error: no\n").await;
    peer.end(255, ProtocolStatus::RequestComplete).await;
    let failure = asking.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadOutput);
    assert!(failure.detail.contains("PHP Fatal error: no"), "{failure}");
    assert!(failure.detail.contains("application status 255"), "{failure}");

    let asking = get(&route, "/");
    // It failed, but it kept to the protocol; only its answer was none, and so it is not trusted again.
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    peer.body().await;
    peer.say(&[HEAD, b"all of it"].concat()).await;
    peer.end(3, ProtocolStatus::RequestComplete).await;
    assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "all of it");
}

#[tokio::test]
async fn a_refusal_goes_to_another_worker_whatever_the_method() {
    let folder = Folder::new();
    let (one, first) = folder.listen("1");
    let (two, second) = folder.listen("2");
    let route = connected(&folder, "fastcgi", &[&first, &second], "");
    for status in [ProtocolStatus::Overloaded, ProtocolStatus::CantMultiplex, ProtocolStatus::UnknownRole] {
        let asking = ask(&route, request(Method::POST, "/", Body::from("body")));
        let (mut refusing, other) = tokio::select! {
            peer = Peer::accept(&one) => (peer, &two),
            peer = Peer::accept(&two) => (peer, &one),
        };
        refusing.request().await;
        refusing.end(0, status).await;
        let mut willing = Peer::accept(other).await;
        willing.serve("taken").await;
        assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "taken", "{status}");
        drop(willing);
    }
}

#[tokio::test]
async fn a_refusal_by_all_is_the_answer() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    for (status, kind) in [
        (ProtocolStatus::Overloaded, FailureKind::Overloaded { retry_after: Duration::from_secs(1) }),
        (ProtocolStatus::CantMultiplex, FailureKind::Overloaded { retry_after: Duration::from_secs(1) }),
        (ProtocolStatus::UnknownRole, FailureKind::BadOutput),
    ] {
        let asking = get(&route, "/");
        let mut peer = Peer::accept(&listener).await;
        peer.request().await;
        peer.end(0, status).await;
        let failure = asking.await.unwrap().unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.detail.contains(&status.to_string()), "{failure}");
    }
}

#[tokio::test]
async fn lesson_49_a_worker_is_told_at_once_that_its_client_left() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let asking = get(&route, "/");
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    peer.body().await;
    asking.abort();
    assert!(matches!(peer.next().await, Some(ServerEvent::Abort(_))));
    assert!(peer.next().await.is_none(), "and the connection is closed");
}

#[tokio::test]
async fn lesson_49_so_is_one_whose_response_is_no_longer_wanted() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let asking = get(&route, "/");
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    peer.body().await;
    peer.say(&[HEAD, b"half"].concat()).await;
    let mut response = asking.await.unwrap().unwrap();
    assert_eq!(response.body.chunk().await.unwrap().unwrap(), "half");
    drop(response);
    assert!(matches!(peer.next().await, Some(ServerEvent::Abort(_))));
    assert!(peer.next().await.is_none());
}

#[tokio::test]
async fn lesson_49_in_the_middle_of_a_record_only_closing_is_understood() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let asking = ask(
        &route,
        request(
            Method::POST,
            "/",
            Body::from(vec![0_u8; 8 << 20].into_iter().map(char::from).collect::<String>()),
        ),
    );
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    let mut rest = Vec::new();
    let _ = peer.stream.read_to_end(&mut rest).await;
    assert!(!rest.ends_with(&[1, 2, 0, 1, 0, 0, 0, 0]), "an ABORT_REQUEST here would be taken for payload");
}

#[tokio::test]
async fn lesson_17_a_late_answer_never_reaches_the_next_request() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let asking = get(&route, "/1");
    let mut given_up = Peer::accept(&listener).await;
    given_up.request().await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    let asking = get(&route, "/2");
    let mut peer = Peer::accept(&listener).await;
    peer.serve("the second").await;
    assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "the second");
}

#[tokio::test]
async fn lesson_17_a_connection_with_bytes_that_nobody_asked_for_is_closed() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let asking = get(&route, "/1");
    let mut peer = Peer::accept(&listener).await;
    peer.serve("first").await;
    assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "first");
    peer.raw(&[1, 6, 0, 1, 0, 4, 0, 0, b'l', b'a', b't', b'e']).await;
    tokio::task::yield_now().await;
    let asking = get(&route, "/2");
    let mut fresh = Peer::accept(&listener).await;
    assert!(peer.next().await.is_none());
    fresh.serve("second").await;
    assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "second");
}

#[tokio::test]
async fn lesson_19_a_worker_that_writes_before_it_reads_is_heard() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let (mut request, _records) = recorded_request(Method::POST, "/", zeroes(4 << 20));
    request.environ.content_length = Some(4 << 20);
    let asking = ask(&route, request);
    let worker = async {
        let mut peer = Peer::accept(&listener).await;
        peer.request().await;
        peer.say(HEAD).await;
        peer.say(&vec![b'x'; 4 << 20]).await;
        assert_eq!(peer.body().await.len(), 4 << 20);
        peer.end(0, ProtocolStatus::RequestComplete).await;
        peer
    };
    let answer = async { text(asking.await.unwrap().unwrap()).await.unwrap().len() };
    let (length, mut peer) = tokio::join!(answer, worker);
    assert_eq!(length, 4 << 20);
    let asking = get(&route, "/");
    peer.serve("and the connection is as good as new").await;
    assert!(asking.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_reads_is_given_up() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let (mut request, _records) = recorded_request(Method::POST, "/", zeroes(64 << 20));
    request.environ.content_length = Some(64 << 20);
    let asking = ask(&route, request);
    let _peer = Peer::accept(&listener).await;
    assert_eq!(asking.await.unwrap().unwrap_err().kind, FailureKind::TimedOut);
}

#[tokio::test]
async fn lesson_18_a_connection_that_went_stale_costs_an_idempotent_request_nothing() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    for (method, body) in [(Method::GET, Body::Empty), (Method::PUT, Body::from("again"))] {
        let mut peer = kept(&route, &listener).await;
        let asking = ask(&route, request(method, "/", body));
        peer.request().await;
        drop(peer); // read, and left without an answer
        Peer::accept(&listener).await.serve("at the second attempt").await;
        assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "at the second attempt");
    }
}

#[tokio::test]
async fn lesson_18_what_may_have_been_read_is_not_repeated_when_it_is_not_idempotent() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let mut peer = kept(&route, &listener).await;
    let asking = ask(&route, request(Method::POST, "/", Body::from("once")));
    peer.request().await;
    drop(peer);
    assert_eq!(asking.await.unwrap().unwrap_err().kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn lesson_18_a_body_of_which_something_was_pulled_is_not_repeated() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let mut peer = kept(&route, &listener).await;
    let (sender, stream) = given();
    let (mut request, _records) = recorded_request(Method::PUT, "/", stream);
    request.environ.content_length = Some(100);
    let asking = ask(&route, request);
    peer.request().await;
    sender.send(Ok("piece".into())).unwrap();
    assert!(matches!(peer.next().await, Some(ServerEvent::Stdin(..))));
    drop(peer);
    assert_eq!(asking.await.unwrap().unwrap_err().kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn lesson_18_a_worker_that_dies_of_a_request_on_a_new_connection_is_asked_once() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let asking = get(&route, "/");
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    drop(peer);
    assert_eq!(asking.await.unwrap().unwrap_err().kind, FailureKind::Unreachable);
}

#[tokio::test]
async fn lesson_51_a_connection_that_the_worker_closed_while_it_was_kept_is_not_used_for_a_post() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    drop(kept(&route, &listener).await);
    let asking = ask(&route, request(Method::POST, "/", Body::from("body")));
    Peer::accept(&listener).await.serve("on a new one").await;
    assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "on a new one");
}

#[tokio::test]
async fn lesson_44_a_body_of_unknown_length_is_not_sent() {
    let folder = Folder::new();
    let (_listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "");
    let (_sender, stream) = given();
    let failure = ask(&route, request(Method::POST, "/", stream)).await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Internal);
}

/// A worker with a connection that is kept.
async fn kept(route: &std::sync::Arc<super::pool_route::PoolRoute>, listener: &UnixListener) -> Peer {
    let asking = get(route, "/");
    let mut peer = Peer::accept(listener).await;
    peer.serve("kept").await;
    assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "kept");
    peer
}
