//! The gateway's own signals, really sent. One test, because a signal goes to the whole process.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use gatebridge::process::{Signal, Signals, prepare};
use rustix::process::{Signal as Number, getpid, kill_process};

#[tokio::test]
async fn signals_become_what_they_mean() {
    prepare().unwrap();
    kill_process(getpid(), Number::PIPE).unwrap(); // ignored: a client or a program that left ends nothing
    let mut signals = Signals::listen().unwrap();
    for (number, meaning) in [
        (Number::TERM, Signal::Drain),
        (Number::INT, Signal::Drain),
        (Number::HUP, Signal::Reload),
        (Number::USR1, Signal::ReopenLogs),
    ] {
        kill_process(getpid(), number).unwrap();
        assert_eq!(signals.next().await, meaning);
    }
    kill_process(getpid(), Number::HUP).unwrap();
    kill_process(getpid(), Number::TERM).unwrap();
    assert_eq!(signals.next().await, Signal::Drain, "the end comes before a reload");
}
