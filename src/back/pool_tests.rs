//! What is true of a pool whatever its workers speak: capacity, the queue, kept connections, addresses that refuse, and
//! where the script is.

use std::task::Poll;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use super::rig::{recorded_request, request, text, zeroes};
use super::rig_pool::{Folder, HEAD, Peer, another, ask, back, connected, get};
use crate::exchange::{Application, Body, Failure, FailureKind, Response};

/// Lets everything that is ready go on, as often as anything can be waiting for anything here.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn wish_24_there_are_never_more_connections_than_the_workers_take() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "max_connections = 1");
    let asking: Vec<_> = (0..20).map(|number| get(&route, &format!("/{number}"))).collect();
    let mut peer = Peer::accept(&listener).await;
    for number in 0..20 {
        let params = peer.serve("one after the other").await;
        assert_eq!(params.get(b"PATH_INFO"), Some(format!("/{number}").as_bytes()), "in their order");
    }
    for asking in asking {
        assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "one after the other");
    }
    assert!(is_quiet(&listener).await, "a second connection");
}

async fn is_quiet(listener: &UnixListener) -> bool {
    settle().await;
    std::future::poll_fn(|cx| Poll::Ready(listener.poll_accept(cx).is_pending())).await
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_noted_and_who_waits_too_long_is_told_when_to_come_again() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "max_connections = 1\nqueue_timeout = \"10s\"");
    let first = get(&route, "/1");
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    let (waits, mut records) = recorded_request(Method::GET, "/2", Body::Empty);
    let second = ask(&route, waits);
    settle().await;
    tokio::time::advance(Duration::from_secs(4)).await;
    let third = get(&route, "/3");
    settle().await;
    tokio::time::advance(Duration::from_secs(3)).await;
    peer.body().await;
    peer.say(HEAD).await;
    peer.end(0, gatebridge_fastcgi::ProtocolStatus::RequestComplete).await;
    drop(first.await.unwrap().unwrap());
    peer.request().await;
    let failure = third.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Overloaded { retry_after: Duration::from_secs(1) });
    assert!(failure.detail.contains("10 s") && failure.detail.contains("\"p\""), "{failure}");
    second.abort();
    drop(second.await);
    assert_eq!(records.recv().await.unwrap().queue_wait, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn wish_2_the_queue_is_bounded_in_length() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "max_connections = 1\nqueue = 2");
    let _busy = get(&route, "/");
    let _peer = Peer::accept(&listener).await;
    let _waiting = [get(&route, "/"), get(&route, "/")];
    settle().await;
    let failure = get(&route, "/").await.unwrap().unwrap_err();
    assert!(matches!(failure.kind, FailureKind::Overloaded { .. }), "{failure}");
    assert!(failure.detail.contains("2 requests wait"), "{failure}");
}

/// Answers the request that this worker has, when it is complete.
async fn finish(peer: &mut Peer) {
    peer.body().await;
    peer.say(HEAD).await;
    peer.end(0, gatebridge_fastcgi::ProtocolStatus::RequestComplete).await;
}

#[tokio::test(start_paused = true)]
async fn wish_3_who_would_wait_for_too_long_is_told_so_at_once() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let more = "max_connections = 1\nqueue_timeout = \"10s\"";
    let route = connected(&folder, "fastcgi", &[&address], more);
    let first = get(&route, "/1");
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    tokio::time::advance(Duration::from_secs(4)).await;
    finish(&mut peer).await;
    drop(first.await.unwrap().unwrap());
    // Requests take four seconds, as far as is known. One is under way, and two may wait.
    let _busy = get(&route, "/2");
    peer.request().await;
    let _waiting = [get(&route, "/3"), get(&route, "/4")];
    settle().await;
    let since = tokio::time::Instant::now();
    let failure = get(&route, "/5").await.unwrap().unwrap_err();
    assert!(matches!(failure.kind, FailureKind::Overloaded { .. }), "{failure}");
    assert!(failure.detail.contains("in about 12.0 s") && failure.detail.contains("10.0 s"), "{failure}");
    assert_eq!(since.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn wish_3_what_is_left_of_the_time_of_a_route_counts_and_nothing_is_foretold_when_that_is_switched_off()
{
    for (more, refused) in [("", true), ("predict_wait = false", false)] {
        let folder = Folder::new();
        let (listener, address) = folder.listen("w");
        let route = connected(&folder, "fastcgi", &[&address], &format!("max_connections = 1\n{more}"));
        let first = get(&route, "/1");
        let mut peer = Peer::accept(&listener).await;
        peer.request().await;
        tokio::time::advance(Duration::from_secs(4)).await;
        finish(&mut peer).await;
        drop(first.await.unwrap().unwrap());
        let busy = get(&route, "/2");
        peer.request().await;
        let hurried = request(Method::GET, "/3", Body::Empty);
        // It would wait for four seconds and then take four.
        hurried.exchange.set_time_left(Duration::from_secs(7));
        let hurried = ask(&route, hurried);
        settle().await;
        assert_eq!(hurried.is_finished(), refused);
        busy.abort();
    }
}

#[tokio::test]
async fn when_requests_wait_those_of_a_route_with_a_higher_priority_come_first() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let pool = format!("speak = \"fastcgi\"\nconnect = [{address:?}]\nmax_connections = 1");
    let (pool, usual) = back(&folder, &pool, "");
    let urgent = another(&folder, &pool, "priority = 9");
    let busy = get(&usual, "/0");
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    // Each answer is read by a task of its own, so that the worker is free for the next.
    let read = |asking: JoinHandle<Result<Response, Failure>>| {
        tokio::spawn(async { text(asking.await.unwrap().unwrap()).await.unwrap() })
    };
    let mut asking = vec![read(get(&usual, "/3")), read(get(&usual, "/4"))];
    settle().await;
    asking.extend([read(get(&urgent, "/1")), read(get(&urgent, "/2"))]);
    settle().await;
    finish(&mut peer).await;
    drop(busy.await.unwrap().unwrap());
    for number in 1..=4 {
        let params = peer.serve("").await;
        assert_eq!(params.get(b"PATH_INFO"), Some(format!("/{number}").as_bytes()));
        let waited: u64 =
            std::str::from_utf8(params.get(b"QUEUE_WAIT_US").unwrap()).unwrap().parse().unwrap();
        assert!(waited > 0, "the program is told");
    }
    for asking in asking {
        assert_eq!(asking.await.unwrap(), "");
    }
}

#[tokio::test]
async fn wish_1_a_queued_request_whose_client_left_is_forgotten() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let (pool, route) = back(
        &folder,
        &format!("speak = \"fastcgi\"\nconnect = [{address:?}]\nmax_connections = 1\nqueue = 2"),
        "",
    );
    let first = get(&route, "/1");
    let mut peer = Peer::accept(&listener).await;
    peer.request().await;
    let (left, stays) = (get(&route, "/2"), get(&route, "/3"));
    settle().await;
    assert_eq!(pool.waiting(), 2);
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    assert_eq!(pool.waiting(), 1);
    peer.body().await;
    peer.say(HEAD).await;
    peer.end(0, gatebridge_fastcgi::ProtocolStatus::RequestComplete).await;
    drop(first.await.unwrap().unwrap());
    assert_eq!(peer.serve("").await.get(b"PATH_INFO"), Some(&b"/3"[..]));
    assert!(stays.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_turn_that_was_granted_to_one_who_left_goes_to_the_next() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let (pool, route) =
        back(&folder, &format!("speak = \"fastcgi\"\nconnect = [{address:?}]\nmax_connections = 1"), "");
    let first = get(&route, "/1");
    let mut peer = Peer::accept(&listener).await;
    // Polled by hand, so that it does not learn of its turn.
    let mut leaves = route.call(request(Method::GET, "/2", Body::Empty));
    assert!(std::future::poll_fn(|cx| Poll::Ready(leaves.as_mut().poll(cx).is_pending())).await);
    let stays = get(&route, "/3");
    peer.serve("").await;
    assert!(first.await.unwrap().is_ok());
    assert_eq!(pool.waiting(), 1, "the second has its turn");
    drop(leaves);
    let params = Peer::accept(&listener).await.serve("").await;
    assert_eq!(params.get(b"PATH_INFO"), Some(&b"/3"[..]));
    assert!(stays.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_that_nobody_uses_is_closed() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "idle_timeout = \"60s\"");
    let asking = get(&route, "/");
    let mut peer = Peer::accept(&listener).await;
    peer.serve("").await;
    drop(asking.await.unwrap().unwrap());
    let since = tokio::time::Instant::now();
    assert!(peer.next().await.is_none());
    assert_eq!(since.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn without_keep_alive_every_request_has_its_own_connection() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "fastcgi", &[&address], "keep_alive = false");
    for _ in 0..3 {
        let asking = get(&route, "/");
        let mut peer = Peer::accept(&listener).await;
        peer.serve("").await;
        assert!(peer.next().await.is_none());
        assert!(asking.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn an_address_that_refuses_is_passed_over() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let nobody = format!("unix:{}", folder.path().join("nobody").display());
    let route = connected(&folder, "fastcgi", &[&nobody, &address], "max_connections = 4");
    for _ in 0..4 {
        let asking = ask(&route, request(Method::POST, "/", Body::from("body")));
        Peer::accept(&listener).await.serve("").await;
        assert!(asking.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn when_nobody_can_be_reached_every_address_is_named() {
    let folder = Folder::new();
    let addresses = ["a", "b"].map(|name| format!("unix:{}", folder.path().join(name).display()));
    let route = connected(&folder, "fastcgi", &[&addresses[0], &addresses[1]], "");
    for _ in 0..2 {
        let failure = get(&route, "/").await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreachable);
        for address in &addresses {
            assert!(failure.detail.contains(&format!("{address}: No such file")), "{failure}");
        }
    }
}

#[tokio::test]
async fn workers_may_be_reached_by_tcp_and_by_name() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for address in [format!("127.0.0.1:{port}"), format!("localhost:{port}")] {
        let route = connected(&folder, "scgi", &[&address], "");
        let asking = get(&route, "/");
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; 4096];
        assert!(stream.read(&mut seen).await.unwrap() > 0);
        stream.write_all(&[HEAD, b"by TCP"].concat()).await.unwrap();
        drop(stream);
        assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "by TCP");
    }
}

#[tokio::test]
async fn lesson_47_scgi_begins_with_the_length_and_its_end_is_the_end_of_the_connection() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "scgi", &[&address], "");
    for (body, length) in [(Body::Empty, "0"), (Body::from("a body"), "6")] {
        let asking = ask(&route, request(Method::POST, "/x", body));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut server = gatebridge_scgi::Server::default();
        let mut seen = bytes::BytesMut::with_capacity(64 * 1024);
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        let netstring = String::from_utf8_lossy(&seen).into_owned();
        let (_, headers) = netstring.split_once(':').unwrap();
        assert!(headers.starts_with(&format!("CONTENT_LENGTH\0{length}\0")), "{netstring}");
        assert_eq!(headers.matches("CONTENT_LENGTH").count(), 1);
        // All of it came with one write.
        server.receive(seen.freeze());
        let Ok(gatebridge_scgi::ServerEvent::Request(headers)) = server.next_event() else {
            panic!("{netstring}")
        };
        assert_eq!(headers.get(b"PATH_INFO").unwrap(), "/x");
        let body = server.next_event().unwrap();
        match length {
            "0" => assert!(matches!(body, gatebridge_scgi::ServerEvent::End)),
            _ => assert!(matches!(body, gatebridge_scgi::ServerEvent::Body(body) if body == "a body")),
        }
        stream.write_all(&[HEAD, b"until I close"].concat()).await.unwrap();
        drop(stream);
        assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "until I close");
    }
}

#[tokio::test]
async fn an_scgi_worker_that_closes_without_a_word_was_not_reached() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "scgi", &[&address], "");
    let asking = get(&route, "/");
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
    drop(stream);
    let failure = asking.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.detail.contains(&address), "{failure}");
}

#[tokio::test]
async fn lesson_39_an_scgi_worker_may_answer_without_reading_the_body() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "scgi", &[&address], "");
    let (mut request, _records) = recorded_request(Method::POST, "/", zeroes(1 << 20));
    request.environ.content_length = Some(1 << 20);
    let asking = ask(&route, request);
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(&[HEAD, b"no, thanks"].concat()).await.unwrap();
    drop(stream); // with most of the body unread, which resets the connection
    assert_eq!(text(asking.await.unwrap().unwrap()).await.unwrap(), "no, thanks");
}

#[tokio::test]
async fn lesson_49_an_scgi_worker_sees_the_end_of_the_connection() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let route = connected(&folder, "scgi", &[&address], "");
    let asking = get(&route, "/");
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut seen = vec![0; 4096];
    assert!(stream.read(&mut seen).await.unwrap() > 0);
    asking.abort();
    assert_eq!(stream.read(&mut seen).await.unwrap(), 0);
}

#[tokio::test]
async fn the_script_is_told_where_it_is_and_what_the_route_adds() {
    let folder = Folder::new();
    let (listener, address) = folder.listen("w");
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    for file in ["index.php", "sub/a.php", "upload.jpg"] {
        std::fs::write(root.join(file), "<?php").unwrap();
    }
    let lines = format!("root = {root:?}\nindex = \"index.php\"\nenv = {{ COLOUR = \"blue\" }}");
    let (_, route) = back(&folder, &format!("speak = \"fastcgi\"\nconnect = [{address:?}]"), &lines);
    for (path, script, path_info) in [
        ("/", "/index.php", ""),
        ("/sub/a.php/b/c.php", "/sub/a.php", "/b/c.php"),
        ("/index.php", "/index.php", ""),
    ] {
        let asking = get(&route, path);
        let params = Peer::accept(&listener).await.serve("").await;
        let root = root.display();
        for (name, value) in [
            ("SCRIPT_NAME", script.to_owned()),
            ("PATH_INFO", path_info.to_owned()),
            ("SCRIPT_FILENAME", format!("{root}{script}")),
            ("DOCUMENT_ROOT", root.to_string()),
            ("COLOUR", "blue".to_owned()),
        ] {
            assert_eq!(
                params.get(name.as_bytes()).map(String::from_utf8_lossy),
                Some(value.into()),
                "{path} {name}"
            );
        }
        let translated =
            params.get(b"PATH_TRANSLATED").map(|path| String::from_utf8_lossy(path).into_owned());
        assert_eq!(translated, (!path_info.is_empty()).then(|| format!("{root}{path_info}")));
        assert!(asking.await.unwrap().is_ok());
    }
    for (path, kind) in [
        ("/upload.jpg", FailureKind::NotFound),
        ("/upload.jpg/x.php", FailureKind::NotFound),
        ("/missing.php", FailureKind::NotFound),
        ("/a.php/%0a", FailureKind::NotFound),
        ("/sub/a.php/\n", FailureKind::BadRequest),
    ] {
        let failure = route.call(request(Method::GET, path, Body::Empty)).await.unwrap_err();
        assert_eq!(failure.kind, kind, "lessons 4 and 5: {path}: {failure}");
    }
}
