//! What a process has used so far, as the kernel tells in `/proc`. It must not know what the process is.

use std::time::Duration;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its resident memory in bytes, shared pages included.
    pub memory_bytes: u64,
    /// Processor time, user and system together; that of children only once they were waited for.
    pub cpu: Duration,
}

/// Looks what a process has used so far; `None` when it is gone.
#[must_use]
pub fn usage(pid: u32) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(&stat, rustix::param::clock_ticks_per_second(), rustix::param::page_size() as u64)
}

/// proc_pid_stat(5): field 14 and 15 are the time in ticks, 16 and 17 that of children, 24 the resident pages. The second, the
/// name, may hold anything, parentheses and spaces too, so the fields are counted from the last parenthesis.
fn parse(stat: &str, ticks_per_second: u64, page_bytes: u64) -> Option<Usage> {
    let (_, after) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)? + number(16)? + number(17)?;
    let cpu = Duration::from_millis(ticks * 1000 / ticks_per_second.max(1));
    Some(Usage { memory_bytes: number(24)? * page_bytes, cpu })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_cannot_shift_the_fields() {
        let stat = "7 (a) S 1 (b) R 1 7 7 0 -1 4194560 9 0 0 0 120 30 4 1 20 0 1 0 100 2000 55 18446744073709551615 1\n";
        let usage = parse(stat, 100, 4096);
        assert_eq!(usage, Some(Usage { memory_bytes: 55 * 4096, cpu: Duration::from_millis(1550) }));
        assert_eq!(parse("7 (cut) S 1", 100, 4096), None);
    }

    #[test]
    fn one_that_is_gone_has_used_nothing_that_is_known() {
        assert!(usage(std::process::id()).is_some_and(|usage| usage.memory_bytes > 0));
        assert_eq!(usage(u32::MAX), None);
    }
}
