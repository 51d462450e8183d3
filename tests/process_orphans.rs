//! Orphans are reaped on the main thread and nowhere else, so this test brings its own `main`; it needs no other harness.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by a panic, and tells the runner its name"
)]

mod common;

use std::num::NonZeroUsize;

use common::{eventually, process};
use gatebridge::process::{Child, Launch, RestOfGroup, Spawner, Status, adopt_orphans, orphan, reap_orphans};
use tokio::io::{AsyncBufReadExt, BufReader};

const NAME: &str = "lesson_24_orphans_are_reaped_and_no_status_is_stolen";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    if has("--list") {
        if !has("--ignored") {
            println!("{NAME}: test");
        }
        return;
    }
    adopt_orphans().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        tokio::select! {
            never = reap_orphans() => panic!("{never:?}"),
            () = orphans_are_reaped_and_no_status_is_stolen() => {}
        }
    });
    println!("test {NAME} ... ok");
}

async fn orphans_are_reaped_and_no_status_is_stolen() {
    let elsewhere = tokio::spawn(async { orphan::reap_orphans_now() });
    assert!(elsewhere.await.unwrap().unwrap_err().to_string().contains("main thread"));

    let spawner = Spawner::start(NonZeroUsize::MIN).unwrap();
    // Known children that have ended but are not asked yet, before and behind the orphan in the kernel's list.
    let mut first = exits_with(&spawner, 3).await;
    let mut orphaned = Launch::new("/bin/sh");
    orphaned.args = vec!["-c".into(), "sleep 1000 & echo $!".into()];
    orphaned.rest_of_group = RestOfGroup::Leave;
    let mut parent = spawner.spawn(orphaned).await.unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
    let orphan: u32 = line.trim().parse().unwrap();
    assert!(parent.wait().await.unwrap().success());
    drop(parent);
    let mut last = exits_with(&spawner, 4).await;

    let adopted = || process::children(std::process::id()).iter().any(|child| child.id == orphan);
    eventually("the orphan to be adopted", || adopted().then_some(()));
    process::signal(orphan, rustix::process::Signal::KILL);
    let start = tokio::time::Instant::now();
    while adopted() {
        assert!(start.elapsed() < common::DEADLINE, "the orphan stays a zombie");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await; // the reaper runs on this very thread
    }
    assert_eq!(first.wait().await.unwrap().status, Status::Code(3));
    assert_eq!(last.wait().await.unwrap().status, Status::Code(4));
}

async fn exits_with(spawner: &Spawner, code: i32) -> Child {
    let mut launch = Launch::new("/bin/sh");
    launch.args = vec!["-c".into(), format!("exit {code}").into()];
    let child = spawner.spawn(launch).await.unwrap();
    let number = child.pid().as_raw().cast_unsigned();
    eventually("a child to end", || (!process::runs(number)).then_some(()));
    child
}
