//! The relay against a scripted line: every order of events, every cut of the head, every time-out.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::{Instant, timeout};

use super::line::Line;
use super::patience::Patience;
use super::relay::{Rules, answer};
use super::rig::{Act, Scripted, given, read, request, scripted, text, zeroes};
use crate::exchange::{Body, Failure, FailureKind, Response};

const HEAD: &[u8] = b"Status: 201 Made It\r\nContent-Type: text/plain\r\n\r\n";
const SECOND: Duration = Duration::from_secs(1);
const RULES: Patience = Patience { first_byte: Some(Duration::from_secs(10)), output: Some(SECOND) };

async fn ask(line: impl Line, method: Method, body: Body) -> Result<Response, Failure> {
    answer(line, request(method, "/", body), Rules { patience: RULES, ..Rules::default() }).await
}

async fn get(line: Scripted) -> Result<Response, Failure> {
    ask(line, Method::GET, Body::Empty).await
}

#[tokio::test]
async fn the_output_means_the_same_at_every_cut() {
    let output: &'static [u8] = [HEAD, b"one and two"].concat().leak();
    for first in 0..output.len() {
        let cuts = [0, first, (first + 3).min(output.len()), output.len()];
        let says = cuts.windows(2).map(|cut| &output[cut[0]..cut[1]]).filter(|piece| !piece.is_empty());
        let (line, seen) = scripted(says.map(Act::Say));
        let response = get(line).await.unwrap();
        assert_eq!(response.status, StatusCode::CREATED, "cut at {first}");
        assert_eq!(response.reason.as_deref(), Some(&b"Made It"[..]), "lesson 46, cut at {first}");
        assert_eq!(text(response).await.unwrap(), "one and two", "cut at {first}");
        assert!(seen.lock().unwrap().finished, "cut at {first}");
    }
}

#[tokio::test]
async fn a_small_answer_that_is_complete_needs_no_stream() {
    let (line, seen) = scripted([Act::Say(b"Content-Type: text/plain\n\nall of it")]);
    let response = get(line).await.unwrap();
    assert!(matches!(&response.body, Body::Bytes(bytes) if bytes == "all of it"), "{response:?}");
    assert!(seen.lock().unwrap().finished);
}

#[tokio::test]
async fn lesson_19_a_program_that_writes_before_it_reads_is_heard() {
    let (line, seen) = scripted([Act::Say(HEAD), Act::Say(b"early"), Act::HearAll, Act::Say(b" late")]);
    let response = ask(line, Method::POST, zeroes(1 << 20)).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "early late");
    let seen = seen.lock().unwrap();
    assert_eq!((seen.heard.len(), seen.input_ended, seen.finished), (1 << 20, true, true));
}

#[tokio::test]
async fn lesson_19_a_program_that_reads_nothing_may_answer() {
    let (line, seen) = scripted([Act::Deafen, Act::Say(HEAD), Act::Say(b"no, thanks")]);
    let response = ask(line, Method::POST, zeroes(1 << 20)).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "no, thanks");
    let seen = seen.lock().unwrap();
    assert!(!seen.input_ended, "a body that is cut short must not look complete");
    assert!(seen.finished);
}

#[tokio::test]
async fn lesson_39_the_rest_of_an_unwanted_body_is_let_go_at_once() {
    let (body, stream) = given();
    body.send(Ok("some".into())).unwrap();
    let (line, _seen) = scripted([Act::Hear(4), Act::Deafen, Act::Say(HEAD), Act::Hang]);
    let response = ask(line, Method::POST, stream).await.unwrap();
    body.closed().await;
    drop(response);
}

#[tokio::test]
async fn input_goes_on_while_the_consumer_takes_no_output() {
    let (body, stream) = given();
    let (line, seen) = scripted([Act::Say(HEAD), Act::Say(b"x"), Act::HearAll]);
    let mut response = ask(line, Method::POST, stream).await.unwrap();
    body.send(Ok("abc".into())).unwrap();
    drop(body);
    // The line hears one piece when it is asked for output, so the end can be told only after that.
    std::future::poll_fn(|cx| {
        response.body.poll_progress(cx);
        std::task::Poll::Ready(())
    })
    .await;
    assert_eq!(read(&mut response.body).await.unwrap(), b"x");
    assert_eq!(seen.lock().unwrap().heard, b"abc");
}

#[tokio::test]
async fn lesson_12_a_program_that_ends_before_its_head_is_complete_has_said_nothing() {
    for cut in 0..HEAD.len() {
        let says = (cut > 0).then_some(Act::Say(&HEAD[..cut]));
        let (line, seen) = scripted(says);
        let failure = get(line).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadOutput, "cut at {cut}");
        assert!(failure.detail.contains("the scripted program"), "{failure}");
        assert!(!seen.lock().unwrap().finished);
        assert!(seen.lock().unwrap().dropped);
    }
}

#[tokio::test]
async fn lesson_12_what_breaks_off_after_the_head_never_looks_complete() {
    let failure = Failure::new(FailureKind::BrokenOff, "exit status 3");
    let (line, seen) = scripted([Act::Say(HEAD), Act::Say(b"half"), Act::Break(failure)]);
    let mut response = get(line).await.unwrap();
    assert_eq!(response.body.chunk().await.unwrap().unwrap(), "half");
    for _ in 0..2 {
        assert_eq!(response.body.chunk().await.unwrap().unwrap_err().kind, FailureKind::BrokenOff);
    }
    assert!(!seen.lock().unwrap().finished);
}

#[tokio::test]
async fn what_breaks_off_before_the_head_is_bad_output_unless_the_line_knows_better() {
    for (kind, answer) in [
        (FailureKind::BrokenOff, FailureKind::BadOutput),
        (FailureKind::Unreachable, FailureKind::Unreachable),
        (FailureKind::Overloaded { retry_after: SECOND }, FailureKind::Overloaded { retry_after: SECOND }),
    ] {
        let (line, _seen) = scripted([Act::Break(Failure::new(kind, "why"))]);
        assert_eq!(get(line).await.unwrap_err().kind, answer);
    }
}

#[tokio::test]
async fn lesson_10_a_head_that_is_no_head_is_bad_output() {
    for bad in [&b"Content-Type: a/b\r\nX: a\0b\r\n\r\n"[..], b"<html>\n\n", b"Status: 2000\n\n"] {
        let (line, _seen) = scripted([Act::Say(bad)]);
        assert_eq!(get(line).await.unwrap_err().kind, FailureKind::BadOutput, "{}", bad.escape_ascii());
    }
}

#[tokio::test]
async fn lesson_11_a_program_that_says_less_than_it_announced_breaks_off() {
    let (line, seen) = scripted([Act::Say(b"Content-Type: a/b\nContent-Length: 10\n\n12345")]);
    let mut response = get(line).await.unwrap();
    let failure = read(&mut response.body).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BrokenOff);
    assert!(!seen.lock().unwrap().finished);
}

#[tokio::test]
async fn lesson_11_what_a_program_says_beyond_its_announcement_is_cut_and_the_line_not_reused() {
    let (line, seen) = scripted([
        Act::Say(b"Content-Type: a/b\nContent-Length: 3\n\n12"),
        Act::Say(b"345"),
        Act::Say(b"678"),
    ]);
    let response = get(line).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "123");
    let seen = seen.lock().unwrap();
    assert!(seen.dropped && !seen.finished);
}

#[tokio::test]
async fn lesson_12_a_bad_end_after_all_that_was_announced_is_nobodys_loss() {
    let failure = Failure::new(FailureKind::BrokenOff, "signal 11 (SEGV)");
    let (line, seen) =
        scripted([Act::Say(b"Content-Type: a/b\nContent-Length: 3\n\n123"), Act::Break(failure)]);
    assert_eq!(text(get(line).await.unwrap()).await.unwrap(), "123");
    assert!(!seen.lock().unwrap().finished);
}

#[tokio::test(start_paused = true)]
async fn lesson_48_a_payload_to_head_is_heard_to_its_end_and_thrown_away() {
    let (line, seen) = scripted([Act::Say(HEAD), Act::Say(b"payload"), Act::Work(SECOND), Act::Say(b"more")]);
    let response = ask(line, Method::HEAD, Body::Empty).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "");
    assert!(!seen.lock().unwrap().dropped, "the client has its answer, the program is not done");
    tokio::time::sleep(2 * SECOND).await;
    assert!(seen.lock().unwrap().finished);
}

#[tokio::test]
async fn the_answer_to_head_tells_the_length_that_get_would_have() {
    for (output, length) in [
        (&b"Content-Type: a/b\nContent-Length: 7\n\n"[..], Some(7)),
        (b"Content-Type: a/b\nContent-Length: 7\n\npayload", Some(7)),
        (b"Content-Type: a/b\n\n", None),
        (b"Status: 304\nContent-Length: 7\n\n", None),
    ] {
        let (line, seen) = scripted([Act::Say(output)]);
        let response = ask(line, Method::HEAD, Body::Empty).await.unwrap();
        assert_eq!(response.body.length(), length, "{}", output.escape_ascii());
        assert_eq!(text(response).await.unwrap(), "");
        assert!(seen.lock().unwrap().finished);
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_goes_on_after_its_answer_does_not_hold_the_client_but_ends_some_time() {
    let (line, seen) = scripted([Act::Say(b"Content-Type: a/b\nContent-Length: 2\n\nok"), Act::Hang]);
    let started = Instant::now();
    assert_eq!(text(get(line).await.unwrap()).await.unwrap(), "ok");
    assert_eq!(started.elapsed(), Duration::ZERO);
    tokio::time::sleep(60 * SECOND).await;
    let seen = seen.lock().unwrap();
    assert!(seen.dropped && !seen.finished);
}

#[tokio::test]
async fn a_local_redirect_comes_back_with_its_environ_after_the_program_ended() {
    let (line, seen) = scripted([Act::Say(b"Location: /other?a=b\n\n"), Act::HearAll]);
    let response = ask(line, Method::POST, zeroes(100)).await.unwrap();
    assert!(response.body.is_empty());
    let redirect = response.local_redirect.unwrap();
    assert_eq!(redirect.target, "/other?a=b");
    assert_eq!(redirect.environ.content_length, Some(100));
    let seen = seen.lock().unwrap();
    assert!(seen.input_ended && seen.finished);
}

#[tokio::test]
async fn a_local_redirect_whose_request_body_fails_is_that_failure() {
    let (body, stream) = given();
    body.send(Err(Failure::client_gone())).unwrap();
    let (line, seen) = scripted([Act::Say(b"Location: /other\n\n"), Act::HearAll]);
    assert_eq!(ask(line, Method::POST, stream).await.unwrap_err().kind, FailureKind::ClientGone);

    let (body, stream) = given();
    let (later, seen_later) = scripted([Act::Say(b"Location: /other\n\n"), Act::HearAll]);
    let (answer, ()) = tokio::join!(ask(later, Method::POST, stream), async {
        tokio::task::yield_now().await;
        body.send(Err(Failure::client_gone())).unwrap();
    });
    assert_eq!(answer.unwrap_err().kind, FailureKind::ClientGone);
    assert!(seen.lock().unwrap().dropped && seen_later.lock().unwrap().dropped);
}

#[tokio::test]
async fn heads_of_1xx_go_ahead() {
    let hint = b"Status: 103 Early Hints\nLink: </a.css>; rel=preload\n\n";
    let (line, _seen) = scripted([Act::Say(hint), Act::Say(HEAD)]);
    let request = request(Method::GET, "/", Body::Empty);
    let exchange = std::sync::Arc::clone(&request.exchange);
    assert_eq!(answer(line, request, Rules::default()).await.unwrap().status, StatusCode::CREATED);
    let interims = exchange.poll_interims(std::task::Waker::noop());
    assert_eq!(interims.len(), 1);
    assert_eq!(interims[0].status.as_u16(), 103);
    assert!(interims[0].headers.contains_key("link"));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_says_no_head_in_time_is_given_up() {
    let started = Instant::now();
    let (line, seen) = scripted([Act::Hang]);
    let failure = get(line).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut);
    assert_eq!(started.elapsed().as_secs(), 10, "{failure}");
    assert!(failure.detail.contains("10 s"), "{failure}");
    assert!(seen.lock().unwrap().dropped);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_a_head_that_does_not_come() {
    let drip = HEAD.chunks(1).flat_map(|byte| [Act::Say(byte), Act::Work(SECOND)]);
    let (line, _seen) = scripted(drip);
    let started = Instant::now();
    assert_eq!(get(line).await.unwrap_err().kind, FailureKind::TimedOut);
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_falls_silent_later_breaks_off() {
    let (line, _seen) = scripted([Act::Say(HEAD), Act::Say(b"half"), Act::Hang]);
    let mut response = get(line).await.unwrap();
    let started = Instant::now();
    assert_eq!(read(&mut response.body).await.unwrap_err().kind, FailureKind::BrokenOff);
    assert_eq!(started.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_last_longer_than_any_silence() {
    let ticks = std::iter::repeat_n([Act::Work(SECOND * 9 / 10), Act::Say(b"tick ")], 50).flatten();
    let (line, seen) = scripted([Act::Say(HEAD)].into_iter().chain(ticks));
    assert_eq!(text(get(line).await.unwrap()).await.unwrap().len(), 250);
    assert!(seen.lock().unwrap().finished);
}

#[tokio::test(start_paused = true)]
async fn time_that_the_consumer_takes_is_not_the_programs() {
    let (line, _seen) = scripted([Act::Say(HEAD), Act::Say(b"one"), Act::Work(SECOND / 2), Act::Say(b"two")]);
    let mut response = get(line).await.unwrap();
    assert_eq!(response.body.chunk().await.unwrap().unwrap(), "one");
    tokio::time::sleep(3600 * SECOND).await;
    assert_eq!(response.body.chunk().await.unwrap().unwrap(), "two");
}

#[tokio::test(start_paused = true)]
async fn lesson_30_while_the_client_owes_input_the_programs_clock_stands_still() {
    let (body, stream) = given();
    let (line, seen) = scripted([Act::HearAll, Act::Work(9 * SECOND), Act::Say(HEAD)]);
    let slow_client = async {
        for _ in 0..10 {
            tokio::time::sleep(60 * SECOND).await;
            body.send(Ok("piece".into())).unwrap();
        }
        drop(body);
    };
    let (response, ()) = tokio::join!(ask(line, Method::POST, stream), slow_client);
    assert_eq!(response.unwrap().status, StatusCode::CREATED);
    assert_eq!(seen.lock().unwrap().heard.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_stops_reading_without_a_word_is_given_up() {
    let (line, _seen) = scripted([Act::Hear(1), Act::Hang]);
    let started = Instant::now();
    let failure = ask(line, Method::POST, zeroes(1 << 20)).await.unwrap_err();
    assert_eq!((failure.kind, started.elapsed().as_secs()), (FailureKind::TimedOut, 10));
}

#[tokio::test]
async fn what_the_request_body_fails_with_is_the_answer_and_the_program_is_aborted() {
    let (body, stream) = given();
    body.send(Ok("abc".into())).unwrap();
    body.send(Err(Failure::new(FailureKind::ClientTooSlow, "3 bytes in 60 s"))).unwrap();
    let (line, seen) = scripted([Act::HearAll, Act::Say(HEAD)]);
    let failure = ask(line, Method::POST, stream).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::ClientTooSlow);
    let seen = seen.lock().unwrap();
    assert!(seen.dropped && !seen.input_ended && !seen.finished);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_question_or_the_answer_drops_the_line() {
    let (line, seen) = scripted([Act::Hang]);
    assert!(timeout(SECOND, get(line)).await.is_err());
    assert!(seen.lock().unwrap().dropped);

    let (line, seen) = scripted([Act::Say(HEAD), Act::Hang]);
    let response = get(line).await.unwrap();
    assert!(!seen.lock().unwrap().dropped);
    drop(response);
    assert!(seen.lock().unwrap().dropped && !seen.lock().unwrap().finished);
}

#[tokio::test]
async fn the_length_that_was_announced_is_known_and_counts_down() {
    let (line, _seen) = scripted([
        Act::Say(b"Content-Type: a/b\nContent-Length: 6\n\n123"),
        Act::Say(b"4"),
        Act::Hear(0),
        Act::Say(b"56"),
    ]);
    let mut response = get(line).await.unwrap();
    let mut left = 6;
    while left > 0 {
        assert_eq!(response.body.length(), Some(left));
        left -= response.body.chunk().await.unwrap().unwrap().len() as u64;
    }
    assert!(response.body.chunk().await.is_none());
}
