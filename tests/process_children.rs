//! Children from start to end: what they are given, how their end is told, and that nobody of their group stays.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod common;

use std::future::Future;
use std::io::{Seek, Write};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{Folder, eventually, process};
use gatebridge::process::{
    Child, FailureKind, Launch, Output, RestOfGroup, Spawner, Status, Stdin, adopt_orphans,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// A grace that no test waits for: what ends with it ended by TERM.
const LONG: Duration = Duration::from_secs(600);

fn spawner() -> Spawner {
    // Orphans that have ended are still in their group until their parent reaps them; process 1 takes its time.
    adopt_orphans().unwrap();
    Spawner::start(NonZeroUsize::new(2).unwrap()).unwrap()
}

fn sh(script: &str) -> Launch {
    let mut launch = Launch::new("/bin/sh");
    launch.args = vec!["-c".into(), script.into()];
    launch.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
    launch.grace = LONG;
    launch
}

async fn output(child: &mut Child) -> String {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    text
}

async fn run(launch: Launch) -> String {
    let mut child = spawner().spawn(launch).await.unwrap();
    let text = output(&mut child).await;
    assert_eq!(child.wait().await.unwrap().status, Status::Code(0), "{text}");
    text
}

/// The first line, as numbers of processes.
async fn numbers(child: &mut Child) -> Vec<u32> {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).await.unwrap();
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

#[tokio::test]
async fn bytes_go_in_and_come_out() {
    let mut launch = Launch::new("/bin/cat");
    launch.stdin = Stdin::Pipe;
    let mut child = spawner().spawn(launch).await.unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"hello").await.unwrap();
    drop(stdin);
    assert_eq!(output(&mut child).await, "hello");
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
async fn lesson_03_the_environment_is_what_was_given_and_nothing_else() {
    let mut launch = Launch::new("/usr/bin/env");
    launch.env = vec![("B".into(), "2=\n".into()), ("A".into(), String::new().into())];
    assert_eq!(run(launch).await, "A=\nB=2=\n\n");
    assert_eq!(run(Launch::new("/usr/bin/env")).await, "");
}

#[tokio::test]
async fn arguments_name_and_folder_arrive() {
    let mut launch = sh("printf '%s|' \"$0\" \"$@\"; pwd");
    launch.args.extend(["name", "a b", "", "$(id)"].map(Into::into));
    launch.cwd = "/usr".into();
    assert_eq!(run(launch).await, "name|a b||$(id)|/usr\n");

    let mut launch = Launch::new("/bin/cat");
    launch.arg0 = Some("purr".into());
    launch.args = vec!["/proc/self/cmdline".into()];
    assert_eq!(run(launch).await, "purr\0/proc/self/cmdline\0");
}

#[tokio::test]
async fn lesson_20_only_descriptors_0_1_2_reach_the_child() {
    // What this process itself inherited is sealed by what `main` does first.
    gatebridge::process::prepare().unwrap();
    let _open = std::fs::File::open("/dev/null").unwrap();
    let mut ls = Launch::new("/bin/ls");
    ls.args = vec!["/proc/self/fd".into()];
    assert_eq!(run(ls).await, "0\n1\n2\n3\n", "3 is the folder that ls reads");
    let mut launch = sh("readlink /proc/$$/fd/0 /proc/$$/fd/2");
    launch.stderr = Output::Null;
    assert_eq!(run(launch).await, "/dev/null\n/dev/null\n");
}

#[tokio::test]
async fn lesson_25_no_signal_is_blocked_or_ignored_and_the_group_is_its_own() {
    let mut launch = Launch::new("/bin/cat");
    launch.args = vec!["/proc/self/status".into()];
    let status = run(launch).await;
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    // This process itself ignores SIGPIPE. The C library ignores 32 and 33, its own, in whatever posix_spawn starts.
    let ignored = u64::from_str_radix(&field("SigIgn:"), 16).unwrap() & !(0b11 << 31);
    assert_eq!(ignored, 0, "{ignored:#x}");
    assert_eq!(field("SigBlk:"), "0000000000000000");
    assert_eq!(field("NSpgid:"), field("Pid:"));
}

#[tokio::test]
async fn a_spooled_body_becomes_descriptor_0() {
    let folder = Folder::new();
    let path = folder.write("body", "");
    let mut file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    file.write_all(b"spooled").unwrap();
    file.rewind().unwrap();
    let mut launch = Launch::new("/bin/cat");
    launch.stdin = Stdin::File(file.into());
    assert_eq!(run(launch).await, "spooled");
}

#[tokio::test]
async fn a_listening_socket_becomes_descriptor_0() {
    let folder = Folder::new();
    let listener = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
    let mut launch = sh("readlink /proc/$$/fd/0");
    launch.stdin = Stdin::ListenSocket(OwnedFd::from(listener));
    assert!(run(launch).await.starts_with("socket:["));
}

#[tokio::test]
async fn code_or_signal_and_what_it_used_are_told() {
    let spawner = spawner();
    let mut child =
        spawner.spawn(sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3")).await.unwrap();
    let exit = child.wait().await.unwrap();
    assert_eq!(exit.status, Status::Code(3));
    assert!(!exit.success());
    assert!(exit.cpu_user + exit.cpu_system > Duration::ZERO);
    assert!(exit.peak_memory_bytes > 100 * 1024, "{exit:?}");
    assert_eq!(child.wait().await.unwrap(), exit, "asked again");

    let mut child = spawner.spawn(sh("kill -SEGV $$")).await.unwrap();
    assert!(matches!(child.wait().await.unwrap().status, Status::Signal { number: 11, .. }));
}

#[tokio::test]
async fn waiting_can_be_given_up_and_taken_up_again() {
    let mut launch = sh("read line; exit 4");
    launch.stdin = Stdin::Pipe;
    let mut child = spawner().spawn(launch).await.unwrap();
    for _ in 0..3 {
        let mut waiting = pin!(child.wait());
        let mut context = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut context).is_pending());
    }
    child.stdin.take().unwrap().write_all(b"go\n").await.unwrap();
    assert_eq!(child.wait().await.unwrap().status, Status::Code(4));
}

#[tokio::test]
async fn lesson_24_dropping_a_child_ends_its_silent_group() {
    let spawner = spawner();
    let mut child = spawner.spawn(sh("sleep 1000 & a=$!; sleep 1000 & echo $$ $a $!; wait")).await.unwrap();
    let group = numbers(&mut child).await;
    assert_eq!(group.len(), 3);
    assert!(group.iter().all(|&number| process::runs(number)));
    assert_eq!(spawner.live(), 1);
    drop(child);
    spawner.idle().await;
    for number in group {
        process::wait_for_end(number);
    }
}

#[tokio::test]
async fn term_leaves_time_to_clean_up_and_for_last_words() {
    let script = "trap 'echo bye >&2; exit 7' TERM; echo $$; while :; do :; done";
    let mut child = spawner().spawn(sh(script)).await.unwrap();
    numbers(&mut child).await;
    let mut stderr = child.stderr.take().unwrap();
    assert_eq!(child.end(LONG).await.unwrap().status, Status::Code(7));
    let mut last_words = String::new();
    stderr.read_to_string(&mut last_words).await.unwrap();
    assert_eq!(last_words, "bye\n");
}

#[tokio::test]
async fn kill_follows_for_a_group_that_is_deaf_to_term() {
    let spawner = spawner();
    let mut child =
        spawner.spawn(sh("trap '' TERM; sleep 1000 & echo $$ $!; wait; sleep 1000")).await.unwrap();
    let group = numbers(&mut child).await;
    let exit = child.end(Duration::from_millis(30)).await.unwrap();
    assert_eq!(exit.status, Status::Signal { number: 9, core_dumped: false });
    spawner.idle().await;
    process::wait_for_end(group[1]);
}

#[tokio::test]
async fn an_ending_that_nobody_awaits_takes_place() {
    let spawner = spawner();
    let mut child = spawner.spawn(sh("trap '' TERM; echo $$; sleep 1000")).await.unwrap();
    let group = numbers(&mut child).await;
    drop(child.end(Duration::ZERO));
    spawner.idle().await;
    assert!(!process::runs(group[0]));
}

#[tokio::test]
async fn what_is_left_of_the_group_lives_until_the_child_is_dropped() {
    let spawner = spawner();
    let mut child = spawner.spawn(sh("sleep 1000 & echo $!")).await.unwrap();
    let left = numbers(&mut child).await[0];
    assert!(child.wait().await.unwrap().success());
    assert!(process::runs(left), "a pipeline may still be writing");
    drop(child);
    spawner.idle().await;
    process::wait_for_end(left);
}

#[tokio::test]
async fn what_is_left_and_deaf_to_term_is_killed_after_the_grace() {
    let spawner = spawner();
    let mut launch = sh("trap '' TERM; sleep 1000 & echo $!");
    launch.grace = Duration::from_millis(50);
    let mut child = spawner.spawn(launch).await.unwrap();
    let left = numbers(&mut child).await[0];
    child.wait().await.unwrap();
    drop(child);
    assert_eq!(spawner.live(), 1, "it is still counted");
    spawner.idle().await;
    process::wait_for_end(left);
}

#[tokio::test]
async fn who_detached_lives_and_so_does_the_rest_where_that_is_wanted() {
    let spawner = spawner();
    // The daemon tells its number itself, when it has its own session already.
    let mut child = spawner.spawn(sh("setsid sh -c 'echo $$; exec sleep 1000' & wait")).await.unwrap();
    let daemon = numbers(&mut child).await[0];
    drop(child);
    spawner.idle().await;
    assert!(process::runs(daemon));
    process::signal(daemon, rustix::process::Signal::KILL);

    let mut leave = sh("sleep 1000 & echo $!");
    leave.rest_of_group = RestOfGroup::Leave;
    let mut child = spawner.spawn(leave).await.unwrap();
    let left = numbers(&mut child).await[0];
    child.wait().await.unwrap();
    drop(child);
    spawner.idle().await;
    assert!(process::runs(left));
    process::signal(left, rustix::process::Signal::KILL);
}

#[tokio::test]
async fn an_asker_who_left_leaves_no_child() {
    let spawner = spawner();
    {
        let mut asking = pin!(spawner.spawn(sh("sleep 1000")));
        assert!(asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        eventually("the child to be started", || (spawner.live() == 1).then_some(()));
        // The answer may be on its way; nobody asks for it any more.
    }
    spawner.idle().await;
}

#[tokio::test]
async fn an_asker_who_left_early_enough_starts_nothing() {
    let folder = Folder::new();
    let busy = folder.script("busy", "#!/bin/sh\n");
    let _writer = std::fs::File::options().append(true).open(&busy).unwrap();
    let spawner = Spawner::start(NonZeroUsize::MIN).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut holds_the_thread = pin!(spawner.spawn(Launch::new(&busy)));
    assert!(holds_the_thread.as_mut().poll(&mut context).is_pending());
    {
        let mut asking = pin!(spawner.spawn(sh(&format!("echo x >{}", folder.join("trace").display()))));
        assert!(asking.as_mut().poll(&mut context).is_pending());
    }
    assert!(matches!(holds_the_thread.await.unwrap_err().kind, FailureKind::TextBusy));
    let mut last = spawner.spawn(Launch::new("/bin/true")).await.unwrap();
    last.wait().await.unwrap();
    drop(last);
    spawner.idle().await;
    assert!(!folder.join("trace").exists());
}

#[test]
fn a_child_outlives_no_runtime() {
    let spawner = spawner();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let child = runtime.block_on(spawner.spawn(sh("sleep 1000"))).unwrap();
    let ending = runtime.block_on(spawner.spawn(sh("sleep 1000"))).unwrap();
    drop(runtime);
    drop(child);
    drop(ending.end(LONG));
    eventually("both to be seen out", || (spawner.live() == 0).then_some(()));
}

#[tokio::test]
async fn the_last_handle_may_go_before_the_child() {
    let spawner = spawner();
    let mut child = spawner.spawn(sh("echo $$; sleep 1000")).await.unwrap();
    drop(spawner);
    let number = numbers(&mut child).await[0];
    drop(child);
    process::wait_for_end(number);
}

#[tokio::test]
async fn lesson_21_a_program_that_is_still_being_written_is_tried_again() {
    let folder = Folder::new();
    let path = folder.script("script", "#!/bin/sh\nexit 5\n");
    let writer = std::fs::File::options().append(true).open(&path).unwrap();
    let spawner = spawner();
    let mut asking = pin!(spawner.spawn(Launch::new(&path)));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(asking.as_mut().poll(&mut context).map(|_| ()), Poll::Pending);
    drop(writer);
    assert_eq!(asking.await.unwrap().wait().await.unwrap().status, Status::Code(5));
}

#[tokio::test]
async fn lesson_21_programs_written_while_others_start_are_started() {
    let folder = std::sync::Arc::new(Folder::new());
    let spawner = Spawner::start(NonZeroUsize::new(4).unwrap()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..64 {
        let (spawner, folder) = (spawner.clone(), folder.clone());
        tasks.spawn(async move {
            let path = folder.script(&format!("script-{number}"), format!("#!/bin/sh\nexit {number}\n"));
            let mut child = spawner.spawn(Launch::new(path)).await.unwrap();
            assert_eq!(child.wait().await.unwrap().status, Status::Code(number));
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    spawner.idle().await;
}

#[tokio::test]
async fn lesson_08_no_shell_ever_stands_between() {
    let folder = Folder::new();
    let path = folder.script("no-shebang", "echo run by a shell\n");
    let failure = spawner().spawn(Launch::new(&path)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NoShebang);
}
