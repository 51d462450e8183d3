//! What the gateway's own process must look like before the first child: it must not know what it will start.
#![allow(
    unsafe_code,
    reason = "signal dispositions, masks and close_range have no safe wrapper; each block carries its proof"
)]

use std::ffi::OsString;
use std::io;

/// Prepares the process for having children. Call it once, first thing in `main`, while there is one thread.
///
/// - Every descriptor from 3 up that was inherited is marked close-on-exec (it stays usable here), so that a child gets
///   0, 1 and 2 only. Whatever is opened later is opened close-on-exec.
/// - Signals that were ignored when we were started (by `nohup`, by a shell's `&`, by a careless supervisor) get their default
///   action back: children would inherit the ignoring, and an ignored SIGCHLD would make every exit status vanish.
/// - SIGPIPE is ignored here; children get its default action back when they are started.
///
/// # Errors
/// When `/proc/self/fd` cannot be read on a kernel before 5.11.
pub fn prepare() -> io::Result<()> {
    reset_ignored_signals();
    seal_descriptors()
}

fn reset_ignored_signals() {
    for number in 1..=libc::SIGRTMAX() {
        if matches!(number, libc::SIGKILL | libc::SIGSTOP | libc::SIGPIPE) {
            continue;
        }
        // SAFETY: a zeroed sigaction is valid, the pointer is to a live one, and a null new action only asks.
        let ignored = unsafe {
            let mut present: libc::sigaction = std::mem::zeroed();
            libc::sigaction(number, std::ptr::null(), &raw mut present) == 0
                && present.sa_sigaction == libc::SIG_IGN
        };
        if ignored {
            // SAFETY: SIG_DFL installs no code of ours.
            unsafe { libc::signal(number, libc::SIG_DFL) };
        }
    }
    // SAFETY: SIG_IGN installs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

fn seal_descriptors() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    // SAFETY: with CLOSE_RANGE_CLOEXEC nothing is closed, so no owner of a descriptor loses it.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 {
        return Ok(());
    }
    // Kernels before 5.11 do not know the flag: one by one.
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<libc::c_int>().ok())
        else {
            continue;
        };
        if number > 2 {
            // SAFETY: only the close-on-exec flag changes; a number that is no longer open answers EBADF.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Reads variables and takes them out of the process's environment. They stay there when there is another thread already,
/// which could be reading the environment at this moment.
pub(super) fn take_variables<const COUNT: usize>(names: [&str; COUNT]) -> [Option<OsString>; COUNT] {
    let values = names.map(std::env::var_os);
    let is_alone = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    if is_alone {
        for name in names {
            // SAFETY: the kernel has just said that this is the only thread, so nobody reads the environment meanwhile.
            unsafe { std::env::remove_var(name) };
        }
    }
    values
}

/// Unblocks every signal for the calling thread: a child inherits the mask of the thread that starts it.
pub(super) fn clear_signal_mask() {
    // SAFETY: the set is initialised by sigemptyset before it is read, and only this thread's mask changes.
    unsafe {
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(number: libc::c_int) -> bool {
        // SAFETY: a zeroed sigaction is valid, the pointer is to a live one, and a null new action only asks.
        unsafe {
            let mut present: libc::sigaction = std::mem::zeroed();
            assert_eq!(libc::sigaction(number, std::ptr::null(), &raw mut present), 0);
            present.sa_sigaction == libc::SIG_IGN
        }
    }

    #[test]
    fn lesson_25_ignored_signals_get_their_default_back_and_sigpipe_stays_ignored() {
        // Not SIGCHLD: other tests have children meanwhile.
        for number in [libc::SIGWINCH, libc::SIGRTMIN()] {
            // SAFETY: SIG_IGN installs no code of ours.
            unsafe { libc::signal(number, libc::SIG_IGN) };
        }
        prepare().unwrap();
        for number in 1..=libc::SIGRTMAX() {
            let internal = (32..libc::SIGRTMIN()).contains(&number); // the C library's own; nobody may ask about them
            if !internal {
                assert_eq!(ignored(number), number == libc::SIGPIPE, "signal {number}");
            }
        }
    }

    #[test]
    fn lesson_20_inherited_descriptors_are_sealed() {
        // SAFETY: a new descriptor without the flag, which this test alone knows.
        let inherited = unsafe { libc::fcntl(2, libc::F_DUPFD, 100) };
        assert!(inherited >= 100);
        seal_descriptors().unwrap();
        // SAFETY: asks for a flag of the descriptor made above, then closes it.
        let flags = unsafe { (libc::fcntl(inherited, libc::F_GETFD), libc::close(inherited)) };
        assert_eq!(flags, (libc::FD_CLOEXEC, 0));
    }

    #[test]
    fn lesson_25_a_blocked_signal_is_unblocked() {
        // SAFETY: the sets are initialised before they are read, and only this test's thread is concerned.
        let blocked = || unsafe {
            let mut mask: libc::sigset_t = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask);
            libc::sigismember(&raw const mask, libc::SIGUSR2) == 1
        };
        // SAFETY: as above.
        unsafe {
            let mut mask: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut mask);
            libc::sigaddset(&raw mut mask, libc::SIGUSR2);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const mask, std::ptr::null_mut());
        }
        assert!(blocked());
        clear_signal_mask();
        assert!(!blocked());
    }
}
