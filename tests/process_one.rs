//! The gateway as process 1 of a container, which is a PID namespace of its own here. It must not know how orphans are
//! reaped.
//!
//! A namespace takes rights that not every machine gives: where they are missing the tests say so, and nothing is tested.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by a panic, and says why it tests nothing"
)]

mod common;

use std::process::Command;

use common::{Folder, Gate, Gateway, eventually, gateway, process};
use rustix::process::Signal;

/// Process 1 of what it starts; with it all the others go, whatever happens to the test.
const CONTAINER: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];

/// A command that starts its arguments as process 1; `None` where that is not permitted.
fn container() -> Option<Command> {
    let command = || {
        let mut command = Command::new(common::program(&["unshare"]));
        command.args(CONTAINER);
        command
    };
    let tried = command().arg("true").output().unwrap();
    if !tried.status.success() {
        eprintln!("SKIPPED: no PID namespace: {}", String::from_utf8_lossy(&tried.stderr).trim());
        return None;
    }
    Some(command())
}

/// A gateway as process 1, and its number as it is seen from outside.
fn start(folder: &Folder, config: &str) -> Option<(Gateway, u32)> {
    let mut container = container()?;
    let gateway = Gateway::start_with(folder, config, |command| {
        container.args([gateway::PROGRAM, "serve"]).arg(folder.join("gatebridge.toml"));
        container.current_dir(folder.path());
        *command = container;
    });
    let [one] = process::children(gateway.id())[..] else { unreachable!("one child: the gateway") };
    Some((gateway, one.id))
}

/// Writes a script that leaves two processes behind, in a session of their own: its group is ended with it.
fn leave(folder: &Folder) {
    let gate = Gate::new(folder, "gate").path().display().to_string();
    folder.script(
        "cgi-bin/leave",
        format!(
            "#!/bin/sh\nexec 3<>{gate}\n\
             setsid sh -c 'echo gone >{gate}; sleep 1000; :' </dev/null >/dev/null 2>&1 3<&- &\n\
             read gone <&3\nprintf 'Content-Type: text/plain\\n\\nleft'\n"
        ),
    );
}

/// The children of a process, when they are so many and each is called so.
fn children_called(parent: u32, count: usize, name: &str) -> Option<Vec<u32>> {
    let children = process::children(parent);
    let is_it = |child: &process::Process| process::command_line(child.id).starts_with(name);
    (children.len() == count && children.iter().all(is_it))
        .then(|| children.into_iter().map(|child| child.id).collect())
}

#[test]
fn wish_31_process_1_reaps_the_orphans_of_its_programs() {
    const COUNT: usize = 3;
    let folder = Folder::new();
    leave(&folder);
    let config = "[log]\naccess = \"off\"\n[[route]]\npath = \"/cgi-bin/\"\ncgi = \"cgi-bin\"\n";
    let Some((mut gateway, one)) = start(&folder, config) else { return };
    for _ in 0..COUNT {
        assert_eq!(gateway.get("/cgi-bin/leave").expect(200).text(), "left");
    }
    let leaders =
        eventually("the orphans to land at process 1", || children_called(one, COUNT, "sh -c echo"));
    for leader in leaders {
        eventually("its child", || children_called(leader, 1, "sleep"));
        process::signal(leader, Signal::KILL);
    }
    // Their children become orphans by that, and are reaped as well when they end.
    let sleeping = eventually("the next generation", || children_called(one, COUNT, "sleep"));
    for sleeping in sleeping {
        process::signal(sleeping, Signal::KILL);
    }
    eventually("no zombie", || process::children(one).is_empty().then_some(()));
    assert_eq!(
        gateway.get("/cgi-bin/leave").expect(200).text(),
        "left",
        "it still knows how its own children end"
    );
    process::signal(one, Signal::TERM);
    assert!(gateway.wait().success());
}

#[test]
fn process_1_obeys_signals_that_the_kernel_keeps_from_others_of_its_kind() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        folder.write("public/index.html", "welcome\n");
        let config = "[log]\naccess = \"off\"\n[[route]]\npath = \"/\"\nfiles = \"public\"\n";
        let Some((mut gateway, one)) = start(&folder, config) else { return };
        let mark = gateway.stderr.mark();
        process::signal(one, Signal::HUP);
        gateway.stderr.wait_for_after(mark, "reloaded");
        process::signal(one, signal);
        gateway.wait_for_line("all has ended");
        assert!(gateway.wait().success());
    }
}
