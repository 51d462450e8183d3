//! What processes have cost so far, as the kernel counts it in `/proc`. It must not know what they do, nor why it is
//! asked.

use std::collections::HashMap;
use std::fs;
use std::io;

/// CPU time in microseconds. The kernel tells it in ticks, mostly of 10 ms: a figure of a short time has that doubt.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct CpuTime {
    pub(super) user_us: f64,
    pub(super) system_us: f64,
}

impl CpuTime {
    fn plus(self, other: Self) -> Self {
        Self { user_us: self.user_us + other.user_us, system_us: self.system_us + other.system_us }
    }

    /// What was used since an earlier reading.
    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            user_us: (self.user_us - earlier.user_us).max(0.0),
            system_us: (self.system_us - earlier.system_us).max(0.0),
        }
    }

    /// The share of one among so many.
    pub(super) fn per(self, count: u64) -> Self {
        let count = count.max(1) as f64;
        Self { user_us: self.user_us / count, system_us: self.system_us / count }
    }
}

/// One line of `/proc/PID/stat`, as far as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stat {
    state: char,
    parent: u32,
    own: CpuTime,
    /// Of children that have ended and were waited for.
    children: CpuTime,
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    /// proc_pid_stat(5). The second field is the name in parentheses, and may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
        let tick_us = 1e6 / rustix::param::clock_ticks_per_second() as f64;
        let time = |user: usize, system: usize| {
            let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
            Some(CpuTime { user_us: ticks(user)? * tick_us, system_us: ticks(system)? * tick_us })
        };
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            own: time(11, 12)?,
            children: time(13, 14)?,
        })
    }
}

/// A process that serves, with everything that it started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family(u32);

/// What a family has used.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Used {
    /// By the process itself.
    pub(super) parent: CpuTime,
    /// By its descendants, those that have ended too.
    pub(super) descendants: CpuTime,
}

impl Family {
    /// The family of the process with this id.
    pub(super) fn of(id: u32) -> Self {
        Self(id)
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// When the process itself is gone.
    pub(super) fn used(self) -> io::Result<Used> {
        let stat = Stat::read(self.0)
            .filter(|stat| stat.state != 'Z')
            .ok_or_else(|| io::Error::other(format!("process {} has ended", self.0)))?;
        // The time of a child that ends between two readings goes from its own line to its parent's.
        let live = self.descendants().into_iter().filter_map(Stat::read);
        let descendants = live.fold(stat.children, |sum, one| sum.plus(one.own).plus(one.children));
        Ok(Used { parent: stat.own, descendants })
    }

    /// The processes that it started and that have not ended.
    pub(super) fn descendants(self) -> Vec<u32> {
        let mut parents: HashMap<u32, Vec<u32>> = HashMap::new();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        for id in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            if let Some(stat) = Stat::read(id).filter(|stat| stat.state != 'Z') {
                parents.entry(stat.parent).or_default().push(id);
            }
        }
        let mut found = Vec::new();
        let mut asked = vec![self.0];
        while let Some(children) = asked.pop().map(|id| parents.remove(&id).unwrap_or_default()) {
            found.extend_from_slice(&children);
            asked.extend(children);
            if asked.is_empty() {
                break;
            }
        }
        found
    }
}

/// Whether a process waits for something; `None` when it has ended.
pub(super) fn is_waiting(id: u32) -> Option<bool> {
    let state = Stat::read(id)?.state;
    (!matches!(state, 'Z' | 'X')).then_some(matches!(state, 'S' | 'D'))
}

/// The most memory that a process had resident at any time since it became the program that it is, in bytes; `None`
/// when it has ended. (What `wait4` tells is no help: it counts what the process was before its exec, a copy of its
/// parent.)
pub(super) fn peak_memory_bytes(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_line_is_understood_whatever_the_name_is() {
        let line = "42 (a ) 7 (b) S 7 42 42 0 -1 4194304 100 0 0 0 12 34 56 78 20 0 1 0 100 1 1";
        let stat = Stat::parse(line).unwrap();
        let tick = 1e6 / rustix::param::clock_ticks_per_second() as f64;
        assert_eq!((stat.state, stat.parent), ('S', 7));
        assert_eq!(stat.own, CpuTime { user_us: 12.0 * tick, system_us: 34.0 * tick });
        assert_eq!(stat.children, CpuTime { user_us: 56.0 * tick, system_us: 78.0 * tick });
        assert_eq!(Stat::parse("42 (a) S 7"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn a_family_knows_its_children_and_what_they_used() {
        let family = Family::of(std::process::id());
        let mut child = Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        assert!(family.descendants().contains(&child.id()));
        assert!(peak_memory_bytes(child.id()).unwrap() > 0);
        let id = child.id();
        // It reads from a pipe that nobody writes to.
        while is_waiting(id) != Some(true) {
            std::thread::yield_now();
        }
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!family.descendants().contains(&id));
        assert_eq!((peak_memory_bytes(id), is_waiting(id)), (None, None));
        assert!(Family::of(id).used().is_err());
    }

    #[test]
    fn cpu_time_that_is_used_is_counted() {
        let family = Family::of(std::process::id());
        let before = family.used().unwrap();
        // Until the kernel has counted a tick: it does, sooner or later.
        loop {
            std::hint::black_box((0..1_000_000_u64).map(std::hint::black_box).sum::<u64>());
            let used = family.used().unwrap().parent.since(before.parent);
            if used.user_us > 0.0 {
                assert_eq!(used.per(2).user_us, used.user_us / 2.0);
                break;
            }
        }
    }
}
