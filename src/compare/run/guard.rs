//! A program that is started without a gateway, and whatever it starts: it ends with its owner, and with this process,
//! however that ends. It must not know what the program is for.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::stage::ends_within;

/// How long a program that was told to end may take before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Leads a process group, and kills it when nobody holds the other end of its input any more.
#[derive(Debug)]
pub(super) struct Guard(Child);

/// A program in the group of a guard.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) child: Child,
    guard: Guard,
}

impl Guard {
    /// A guard without anybody to look after.
    pub(super) fn new() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "read never; kill -KILL 0"]).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self)
    }

    /// Starts the program in the group. Nothing else is done here: this is what is timed.
    pub(super) fn start(self, command: &mut Command) -> io::Result<Guarded> {
        let child = command.process_group(self.0.id().cast_signed()).spawn()?;
        Ok(Guarded { child, guard: self })
    }

    fn signal(&self, signal: Signal) {
        // The group has this number as long as its leader was not waited for.
        if let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) {
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl Guarded {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its status, if it has ended.
    pub(super) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let (Ok(None), Some(pid)) = (self.child.try_wait(), Pid::from_raw(self.id().cast_signed())) {
            // Asked nicely first: it may have files to remove.
            self.guard.signal(Signal::TERM);
            ends_within(pid, END_TIMEOUT);
        }
        self.guard.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    /// A shell with a child; both keep the pipe open that is given back.
    fn family(before: &str) -> (Guarded, std::process::ChildStdout) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{before}; sleep 1000 & echo started; wait")]).stdout(Stdio::piped());
        let mut guarded = Guard::new().unwrap().start(&mut command).unwrap();
        let mut stdout = guarded.child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 8]).unwrap();
        (guarded, stdout)
    }

    #[test]
    fn a_program_ends_with_its_owner_and_so_do_its_children() {
        for before in [":", "trap '' TERM"] {
            let (guarded, mut stdout) = family(before);
            drop(guarded);
            // The end comes when nobody has the pipe any more.
            assert_eq!(stdout.read(&mut [0]).unwrap(), 0, "{before}");
        }
    }

    #[test]
    fn a_program_ends_when_its_owner_cannot_end_it() {
        let (mut guarded, mut stdout) = family("trap '' TERM");
        // As if this process were gone.
        drop(guarded.guard.0.stdin.take());
        assert_eq!(stdout.read(&mut [0]).unwrap(), 0);
    }
}
