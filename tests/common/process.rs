//! What the kernel says about processes, from `/proc` and pidfds; must not know which programs they run.

use std::fs;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::DEADLINE;

/// One line of `/proc/PID/stat`, as far as the tests ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: u32,
    /// The id of its parent.
    pub parent: u32,
    /// The id of its process group.
    pub group: u32,
    /// Its state: `R`, `S`, `Z` for a zombie, ...
    pub state: char,
}

/// The process with this id, a zombie too; `None` when there is none.
pub fn look(id: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name in parentheses, and may hold anything.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Process { id, parent, group, state })
}

/// Every process of the machine.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| look(entry.ok()?.file_name().to_str()?.parse().ok()?)).collect()
}

/// The children of a process, zombies too.
pub fn children(id: u32) -> Vec<Process> {
    all().into_iter().filter(|process| process.parent == id).collect()
}

/// The children of a process, their children, and so on.
pub fn descendants(id: u32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = Vec::new();
    let mut ids = vec![id];
    while let Some(id) = ids.pop() {
        for process in all.iter().filter(|process| process.parent == id) {
            found.push(*process);
            ids.push(process.id);
        }
    }
    found
}

/// The children of a process that have ended and were not waited for.
pub fn zombies(id: u32) -> Vec<Process> {
    children(id).into_iter().filter(|process| process.state == 'Z').collect()
}

/// How many descriptors a process has open.
pub fn descriptors(id: u32) -> usize {
    fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// What the descriptors of a process point at, for a message about a leak.
pub fn descriptor_targets(id: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    entries.filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.display().to_string())).collect()
}

/// The resident memory of a process, in KiB.
pub fn resident_kib(id: u32) -> u64 {
    status_kib(id, "VmRSS:")
}

/// The most resident memory that a process ever had, in KiB.
pub fn peak_resident_kib(id: u32) -> u64 {
    status_kib(id, "VmHWM:")
}

fn status_kib(id: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The arguments that a process was started with, joined by blanks; empty for a zombie.
pub fn command_line(id: u32) -> String {
    let bytes = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
}

/// Whether a process runs: it exists and is no zombie.
pub fn runs(id: u32) -> bool {
    look(id).is_some_and(|process| process.state != 'Z')
}

/// Waits until a process has ended (a zombie has). `false` when `limit` was over first.
pub fn ends_within(id: u32, limit: Duration) -> bool {
    let Ok(descriptor) = pidfd_open(Pid::from_raw(id.cast_signed()).unwrap(), PidfdFlags::empty()) else {
        return !runs(id);
    };
    let limit = Timespec::try_from(limit).unwrap();
    // A pidfd becomes readable when its process ends.
    let mut ended = [PollFd::new(&descriptor, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut ended, Some(&limit))).unwrap() > 0
}

/// Waits until a process has ended.
///
/// # Panics
/// After [`DEADLINE`].
pub fn wait_for_end(id: u32) {
    assert!(ends_within(id, DEADLINE), "process {id} ({}) does not end", command_line(id));
}

/// Sends a signal to a process; no matter if it is gone.
pub fn signal(id: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal);
}
