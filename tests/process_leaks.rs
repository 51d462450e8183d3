//! A thousand children later: no descriptor more, no zombie, no thread more. Alone in its process, since it counts there.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::num::NonZeroUsize;

use common::{eventually, process};
use gatebridge::process::{Launch, Spawner, Stdin, adopt_orphans};
use tokio::io::AsyncReadExt;

const CHILDREN: usize = 1000;
const AT_ONCE: usize = 16;

/// Ends in one of the ways that a child can end, by its number.
async fn one(spawner: Spawner, number: usize) {
    if number % 5 == 4 {
        spawner.spawn(Launch::new("/no/such/program")).await.unwrap_err();
        return;
    }
    let mut launch = Launch::new("/bin/cat");
    launch.stdin = Stdin::Pipe;
    let mut child = spawner.spawn(launch).await.unwrap();
    match number % 5 {
        0 => drop(child),
        1 => {
            child.end(std::time::Duration::ZERO).await.unwrap();
        }
        2 => {
            drop(child.stdin.take());
            let mut output = Vec::new();
            child.stdout.take().unwrap().read_to_end(&mut output).await.unwrap();
            assert!(child.wait().await.unwrap().success());
        }
        _ => {
            drop(child.stdin.take());
            child.wait().await.unwrap();
            child.end(std::time::Duration::ZERO).await.unwrap();
        }
    }
}

async fn many(spawner: &Spawner, children: usize) {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..children {
        tasks.spawn(one(spawner.clone(), number));
        if tasks.len() == AT_ONCE {
            tasks.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    spawner.idle().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lesson_20_a_thousand_children_leave_nothing_behind() {
    adopt_orphans().unwrap();
    let spawner = Spawner::start(NonZeroUsize::new(2).unwrap()).unwrap();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = (process::descriptors(std::process::id()), threads());
    many(&spawner, CHILDREN).await;
    assert_eq!(process::children(std::process::id()).len(), 0);
    // The last child's descriptor may be closed by its thread a moment after it is counted out.
    let now = || (process::descriptors(std::process::id()), threads());
    eventually("every descriptor to be closed", || (now() == before).then_some(()));
}
