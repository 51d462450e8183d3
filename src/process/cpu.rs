//! Whether a processor has nothing to do. It must not know why somebody asks.

use std::thread::available_parallelism;

/// Whether fewer tasks want to run than there are processors for us, by the kernel's count at this moment; `true` where
/// it does not tell.
///
/// The one who asks runs, too, and is not counted.
#[must_use]
pub(super) fn is_to_be_had() -> bool {
    let Ok(text) = std::fs::read_to_string("/proc/loadavg") else { return true };
    let processors = available_parallelism().map_or(1, usize::from);
    runnable(&text).is_none_or(|tasks| tasks.saturating_sub(1) < processors)
}

/// The fourth word of `/proc/loadavg` is `runnable/all`.
fn runnable(loadavg: &str) -> Option<usize> {
    loadavg.split_ascii_whitespace().nth(3)?.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_word_tells_who_wants_to_run() {
        assert_eq!(runnable("0.20 0.18 0.12 3/80 11206\n"), Some(3));
        for strange in ["", "0.20 0.18 0.12", "0.20 0.18 0.12 x/80", "0.20 0.18 0.12 3"] {
            assert_eq!(runnable(strange), None, "{strange:?}");
        }
    }

    #[test]
    fn this_kernel_tells() {
        let text = std::fs::read_to_string("/proc/loadavg").unwrap();
        assert!(runnable(&text).is_some_and(|tasks| tasks >= 1), "this test runs: {text}");
    }
}
