//! The system calls that look at, signal and reap one child; it must not know who decides when.
#![allow(unsafe_code, reason = "waitid with rusage has no safe wrapper; each block carries its proof")]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::process::{PidfdFlags, Signal};

/// The process id of a child that this process started and has not reaped yet. The child leads a process group of its
/// own, so the same number names that group.
///
/// A newtype of its own, so that a pid can never be given where a signal number is wanted, or the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pid(rustix::process::Pid);

impl Pid {
    /// `None` for 0 and for numbers above `i32::MAX`: `kill` would take those for something else than one process.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        i32::try_from(number).ok().and_then(rustix::process::Pid::from_raw).map(Self)
    }

    /// The number that the kernel gave, always positive.
    #[must_use]
    pub fn as_raw(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_raw().fmt(f)
    }
}

/// The signals that the gateway sends to a child's process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSignal {
    /// SIGTERM: please end.
    Term,
    /// SIGKILL: cannot be refused.
    Kill,
    /// SIGUSR1: what FastCGI libraries take for "end after the present request".
    Usr1,
}

impl GroupSignal {
    fn as_rustix(self) -> Signal {
        match self {
            Self::Term => Signal::TERM,
            Self::Kill => Signal::KILL,
            Self::Usr1 => Signal::USR1,
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It called `exit` with this code, 0 to 255.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number, for example 11 for SIGSEGV.
        number: i32,
        /// Whether the kernel wrote a core dump.
        core_dumped: bool,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal { number, core_dumped } => {
                write!(f, "signal {number}")?;
                if let Some(name) = signal_name(number) {
                    write!(f, " ({name})")?;
                }
                if core_dumped { f.write_str(", core dumped") } else { Ok(()) }
            }
        }
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        libc::SIGHUP => "HUP",
        libc::SIGINT => "INT",
        libc::SIGQUIT => "QUIT",
        libc::SIGILL => "ILL",
        libc::SIGTRAP => "TRAP",
        libc::SIGABRT => "ABRT",
        libc::SIGBUS => "BUS",
        libc::SIGFPE => "FPE",
        libc::SIGKILL => "KILL",
        libc::SIGUSR1 => "USR1",
        libc::SIGSEGV => "SEGV",
        libc::SIGUSR2 => "USR2",
        libc::SIGPIPE => "PIPE",
        libc::SIGALRM => "ALRM",
        libc::SIGTERM => "TERM",
        libc::SIGXCPU => "XCPU",
        libc::SIGXFSZ => "XFSZ",
        libc::SIGSYS => "SYS",
        _ => return None,
    })
}

/// How a process ended and what it used, with the children that it reaped itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Code or signal.
    pub status: Status,
    /// CPU time in user space.
    pub cpu_user: Duration,
    /// CPU time in the kernel.
    pub cpu_system: Duration,
    /// Largest resident size in bytes, as the kernel tells it: exec carries the high-water mark of the memory that the
    /// child was started from over into the child, so the figure is never below the gateway's own peak at the launch.
    /// Read it as an upper bound while it is about the gateway's own size.
    pub peak_memory_bytes: u64,
}

impl Exit {
    /// Whether the program ended with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == Status::Code(0)
    }
}

/// A child that nobody has reaped yet: its number and a descriptor that means this very process, for ever.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    pidfd: OwnedFd,
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.pidfd.as_raw_fd()
    }
}

impl Process {
    /// Takes hold of a child that was just started. Until it is reaped its number cannot be given to another process,
    /// so nothing can come between.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM; the child still runs then, and the caller must end it.
    pub(super) fn watch(pid: Pid) -> io::Result<Self> {
        let pidfd = rustix::process::pidfd_open(pid.0, PidfdFlags::NONBLOCK)?;
        Ok(Self { pid, pidfd })
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it has ended; it stays a zombie, and its number and group stay taken.
    pub(super) fn peek(&self) -> io::Result<Option<Exit>> {
        wait_by_pidfd(self.pidfd.as_fd(), libc::WNOWAIT)
    }

    /// The same, and it is gone: its number may be given to another process from now on.
    pub(super) fn reap(&self) -> io::Result<Option<Exit>> {
        wait_by_pidfd(self.pidfd.as_fd(), 0)
    }

    /// Signals the whole process group. Only before `reap`, when the group's number is certainly ours.
    pub(super) fn signal_group(&self, signal: GroupSignal) -> io::Result<()> {
        signal_group(self.pid, signal)
    }
}

/// Signals every process of the group that `leader` led.
pub(super) fn signal_group(leader: Pid, signal: GroupSignal) -> io::Result<()> {
    Ok(rustix::process::kill_process_group(leader.0, signal.as_rustix())?)
}

/// Whether any process is left in the group that `leader` led; asked only when the leader itself is reaped.
///
/// Orphans of the group that have ended, and that are our children because we are a subreaper, are reaped on the way:
/// nobody else waits for them.
pub(super) fn rest_of_group_lives(leader: Pid) -> bool {
    use rustix::io::Errno;
    use rustix::process::{WaitOptions, test_kill_process, test_kill_process_group, waitpgid};
    // EPERM means that there are processes, none of which we may signal.
    let group_lives = || test_kill_process_group(leader.0) != Err(Errno::SRCH);
    if !group_lives() {
        return false;
    }
    // The kernel gives a number to a new process only when no process and no group has it. If there is a process of this
    // number again, our group is gone, and whatever group has the number now is somebody else's.
    if test_kill_process(leader.0) != Err(Errno::SRCH) {
        return false;
    }
    while let Ok(Some(_)) = waitpgid(leader.0, WaitOptions::NOHANG) {}
    group_lives()
}

/// Reaps a child for which there was no descriptor left to watch it by; blocks until it has ended.
pub(super) fn reap_blocking(pid: Pid) {
    let wait = || rustix::process::waitpid(Some(pid.0), rustix::process::WaitOptions::empty());
    while matches!(wait(), Err(rustix::io::Errno::INTR)) {}
}

fn wait_by_pidfd(pidfd: BorrowedFd<'_>, flags: i32) -> io::Result<Option<Exit>> {
    // SAFETY: both are plain C structures for which all bits zero is a valid value.
    let (mut info, mut usage): (libc::siginfo_t, libc::rusage) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    // The system call itself, because the C library's waitid drops the fifth argument, the resource usage.
    // SAFETY: the two pointers are to live, writable structures of the kernel's layout; the descriptor is borrowed, so
    // it stays open; nothing else is read or written.
    let result = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            pidfd.as_raw_fd(),
            &raw mut info,
            libc::WEXITED | libc::WNOHANG | flags,
            &raw mut usage,
        )
    };
    if result < 0 {
        let error = io::Error::last_os_error();
        // A non-blocking pidfd answers EAGAIN where WNOHANG alone would answer "nothing yet".
        return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
    }
    // SAFETY: waitid filled the child's part of the union, or left it zero when nothing has ended.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let status = match info.si_code {
        libc::CLD_EXITED => Status::Code(status),
        code => Status::Signal { number: status, core_dumped: code == libc::CLD_DUMPED },
    };
    Ok(Some(Exit {
        status,
        cpu_user: duration(usage.ru_utime),
        cpu_system: duration(usage.ru_stime),
        peak_memory_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024), // it comes in KiB
    }))
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let microseconds = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(microseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_never_zero_or_negative() {
        assert_eq!(Pid::new(0), None);
        assert_eq!(Pid::new(u32::MAX), None);
        assert_eq!(Pid::new(7).map(Pid::as_raw), Some(7));
    }

    #[test]
    fn a_status_says_what_happened() {
        assert_eq!(Status::Code(3).to_string(), "exit status 3");
        assert_eq!(Status::Signal { number: 9, core_dumped: false }.to_string(), "signal 9 (KILL)");
        assert_eq!(
            Status::Signal { number: 11, core_dumped: true }.to_string(),
            "signal 11 (SEGV), core dumped"
        );
        assert_eq!(Status::Signal { number: 40, core_dumped: false }.to_string(), "signal 40");
    }
}
