//! Pipes and processes with real scripts: who may block whom, what an end means, and who is gone when.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use tokio::time::timeout;

use super::rig::{given, recorded_request, request, text, zeroes};
use super::rig_cgi::{Bed, DEADLINE, HEAD, Known};
use crate::exchange::{Body, FailureKind, ProgramEnd};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn lesson_19_a_mebibyte_out_before_a_mebibyte_in_does_not_deadlock() {
    let perl = "#!/usr/bin/perl\n$| = 1; print \"Content-Type: text/plain\\n\\n\", 'o' x (1 << 20);\n\
                my $all = 0; while (my $n = sysread STDIN, my $b, 65536) { $all += $n } print \"read $all\";\n";
    let bed = Bed::new(perl, "");
    let answer = text(bed.post(zeroes(MIB as u64)).await.unwrap()).await.unwrap();
    assert!(answer.ends_with("oread 1048576"), "{} bytes", answer.len());
    assert_eq!(answer.len(), MIB + "read 1048576".len());
}

#[tokio::test]
async fn lesson_19_an_unread_mebibyte_gives_the_scripts_own_answer() {
    let bed = Bed::sh(&format!("exec 0<&-; {HEAD}; echo fine"));
    for _ in 0..10 {
        let response = bed.post(zeroes(MIB as u64)).await.unwrap();
        assert_eq!(response.status, StatusCode::OK);
        assert_eq!(text(response).await.unwrap(), "fine\n");
    }
    let bed = Bed::sh(&format!("{HEAD}; echo fine"));
    assert_eq!(text(bed.post(zeroes(MIB as u64)).await.unwrap()).await.unwrap(), "fine\n");
}

#[tokio::test]
async fn the_first_byte_comes_while_the_script_still_runs() {
    let bed = Bed::sh(&format!("{HEAD}; echo first; read -r line; echo \"then $line\""));
    let (body, stream) = given();
    let length = Body::Stream(Box::new(Known(stream, 5)));
    let mut response = bed.post(length).await.unwrap();
    assert_eq!(response.body.chunk().await.unwrap().unwrap(), "first\n");
    body.send(Ok("more\n".into())).unwrap();
    drop(body);
    assert_eq!(text(response).await.unwrap(), "then more\n");
}

#[tokio::test]
async fn a_silent_script_and_its_children_are_gone_when_nobody_waits_any_more() {
    let bed = Bed::sh("exec 3>../fifo; echo started >&3; sleep 1000 & sleep 1000");
    let mut watch = bed.watch();
    let call = bed.call_aside(request(Method::GET, "/x", Body::Empty));
    watch.started().await;
    let left = Instant::now();
    call.abort();
    watch.gone().await;
    assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
    timeout(DEADLINE, bed.spawner.idle()).await.unwrap();
}

#[tokio::test]
async fn a_script_that_streams_is_gone_when_its_answer_is_dropped() {
    let bed =
        Bed::sh(&format!("exec 3>../fifo; echo started >&3; {HEAD}; while echo tick; do sleep 0.01; done"));
    let mut watch = bed.watch();
    let mut response = bed.get().await.unwrap();
    watch.started().await;
    assert_eq!(&response.body.chunk().await.unwrap().unwrap()[..5], b"tick\n");
    drop(response);
    watch.gone().await;
    timeout(DEADLINE, bed.spawner.idle()).await.unwrap();
}

#[tokio::test]
async fn lesson_31_a_request_that_is_dropped_while_its_process_starts_leaves_nothing() {
    let bed = Bed::new("#!/bin/sh\nexec sleep 1000\n", "max_processes = 1\nqueue = 1");
    for _ in 0..20 {
        let mut call = Box::pin(bed.get());
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_ready()));
        assert!(!polled.await, "it waits for the process, or for the one before to be gone");
    }
    timeout(DEADLINE, bed.spawner.idle()).await.unwrap();
}

#[tokio::test]
async fn a_script_without_a_body_reads_the_end_at_once() {
    let bed = Bed::sh(&format!("{HEAD}; echo \"$(wc -c) ${{CONTENT_LENGTH-none}}\""));
    assert_eq!(text(bed.get().await.unwrap()).await.unwrap(), "0 none\n");
}

#[tokio::test]
async fn a_script_that_takes_too_long_is_gone() {
    let bed = Bed::new("#!/bin/sh\nexec sleep 1000\n", "first_byte_timeout = \"100ms\"");
    let failure = bed.get().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimedOut, "{failure}");
    timeout(DEADLINE, bed.spawner.idle()).await.unwrap();
}

#[tokio::test]
async fn a_script_is_told_to_end_and_may_clean_up() {
    // In perl, because dash loses a signal that comes while it starts a command.
    let script = "#!/usr/bin/perl\nopen my $f, '>', '../fifo'; select $f; $| = 1;\n\
                  $SIG{TERM} = sub { print \"cleaned\\n\"; exit 0 }; print \"started\\n\"; sleep 1 while 1;\n";
    let bed = Bed::new(script, "");
    let mut watch = bed.watch();
    let call = bed.call_aside(request(Method::GET, "/x", Body::Empty));
    watch.started().await;
    call.abort();
    assert_eq!(watch.gone().await, "cleaned\n");
}

#[tokio::test]
async fn lesson_24_a_grandchild_that_holds_the_output_does_not_hold_the_response() {
    let bed = Bed::sh(&format!("exec 3>../fifo; echo started >&3; {HEAD}; echo all; sleep 1000 & exit 0"));
    let watch = bed.watch();
    let started = Instant::now();
    assert_eq!(text(bed.get().await.unwrap()).await.unwrap(), "all\n");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    watch.gone().await;
}

#[tokio::test]
async fn lesson_24_a_grandchild_that_writes_without_end_does_not_either() {
    let bed = Bed::sh(&format!("{HEAD}; yes & exit 0"));
    let answer = text(bed.get().await.unwrap()).await.unwrap();
    assert!(answer.starts_with("y\n"));
    timeout(DEADLINE, bed.spawner.idle()).await.unwrap();
}

#[tokio::test]
async fn lesson_24_what_was_in_the_pipe_before_the_exit_is_read_however_late() {
    let bed = Bed::sh(&format!(
        "exec 3>../fifo; echo started >&3; {HEAD}; printf %60000d 1; exec 3>&-; sleep 1000 3>&- & exit 0"
    ));
    let watch = bed.watch();
    let response = bed.get().await.unwrap();
    watch.gone().await;
    assert_eq!(text(response).await.unwrap().len(), 60000);
}

#[tokio::test]
async fn a_script_that_closed_its_output_on_purpose_has_ended_its_answer() {
    let bed =
        Bed::sh(&format!("exec 3>../fifo; echo started >&3; {HEAD}; echo all; exec 1>&- 2>&-; sleep 1000"));
    let watch = bed.watch();
    assert_eq!(text(bed.get().await.unwrap()).await.unwrap(), "all\n");
    watch.gone().await;
}

#[tokio::test]
async fn lesson_12_a_bad_exit_before_the_head_is_bad_output_with_status_and_last_words() {
    let bed = Bed::sh("echo 'no database' >&2; exit 3");
    let failure = bed.get().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadOutput);
    assert!(failure.detail.contains("exit status 3"), "{failure}");
    assert!(failure.detail.contains("\"no database\""), "{failure}");
    assert!(failure.detail.contains("bin/x"), "{failure}");

    let failure = Bed::sh("kill -SEGV $$").get().await.unwrap_err();
    assert!(failure.detail.contains("SEGV"), "{failure}");

    let failure = Bed::sh("exit 0").get().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadOutput);
}

#[tokio::test]
async fn lesson_12_a_bad_exit_after_the_head_breaks_the_response_off() {
    for end in ["exit 3", "kill -KILL $$"] {
        let bed = Bed::sh(&format!("{HEAD}; echo half; {end}"));
        let failure = text(bed.get().await.unwrap()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::BrokenOff, "{end}: {failure}");
    }
    let bed = Bed::sh("echo 'Content-Type: text/plain'; echo 'Content-Length: 5'; echo; echo half; exit 3");
    assert_eq!(text(bed.get().await.unwrap()).await.unwrap(), "half\n", "all that it announced is there");
}

#[tokio::test]
async fn exit_status_and_usage_are_noted_when_the_process_is_gone() {
    let bed = Bed::sh(&format!("{HEAD}; exit 3"));
    let (request, mut records) = recorded_request(Method::GET, "/x", Body::Empty);
    let _ = text(bed.call(request).await.unwrap()).await;
    let record = timeout(DEADLINE, records.recv()).await.unwrap().unwrap();
    let usage = record.usage.unwrap();
    assert_eq!(usage.ended, ProgramEnd::Exited(3));
    assert!(usage.peak_memory_bytes > 0);
    assert!(record.back.unwrap().ends_with("bin/x"));
    assert!(record.queue_wait.is_some());

    let bed = Bed::sh("exec 3>../fifo; echo started >&3; sleep 1000");
    let mut watch = bed.watch();
    let (request, mut records) = recorded_request(Method::GET, "/x", Body::Empty);
    let call = bed.call_aside(request);
    watch.started().await;
    call.abort();
    let record = timeout(DEADLINE, records.recv()).await.unwrap().unwrap();
    assert_eq!(record.usage.unwrap().ended, ProgramEnd::Signalled(15));
}

#[tokio::test]
async fn a_flood_on_stderr_does_not_stop_the_answer() {
    let bed = Bed::sh(&format!("{HEAD}; yes 'an error' | head -c 4000000 >&2; echo fine"));
    assert_eq!(text(bed.get().await.unwrap()).await.unwrap(), "fine\n");
}
