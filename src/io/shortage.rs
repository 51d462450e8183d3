//! What the machine can be short of for a while, and what to do about it: one wording, wherever it is met. It must not
//! know what was to be done with it.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// Something of which there is none at the moment, and which comes back without anybody's doing.
///
/// Displays as what is missing, without a full stop; [`Shortage::hint`] says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// EMFILE: this process has as many descriptors as it may.
    Descriptors,
    /// ENFILE: the whole system has.
    SystemDescriptors,
    /// ENOMEM and ENOBUFS.
    Memory,
}

impl Shortage {
    /// What the system was short of when it refused; `None` for an error that will not pass by itself.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE => Some(Self::Descriptors),
            Errno::NFILE => Some(Self::SystemDescriptors),
            Errno::NOMEM | Errno::NOBUFS => Some(Self::Memory),
            _ => None,
        }
    }

    /// What to do so that it does not happen again, in a few words.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Descriptors => "raise ulimit -n",
            Self::SystemDescriptors => "raise fs.file-max",
            Self::Memory => "lower the limits of processes and connections",
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => "no file descriptor is left in the gateway",
            Self::SystemDescriptors => "no file descriptor is left in the whole system",
            Self::Memory => "there is not enough memory",
        })
    }
}

/// Whether the system failed for want of something that will come back: descriptors, memory.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    Shortage::of(error).is_some()
}

/// An error of the system for the log: a shortage in the words of [`Shortage`], with its number and what to do; any other
/// in the system's own.
///
/// ```
/// let error = std::io::Error::from_raw_os_error(24);
/// assert_eq!(
///     gatebridge::io::in_words(&error),
///     "no file descriptor is left in the gateway (os error 24); raise ulimit -n"
/// );
/// ```
#[must_use]
pub fn in_words(error: &io::Error) -> String {
    match (Shortage::of(error), error.raw_os_error()) {
        (Some(shortage), Some(number)) => format!("{shortage} (os error {number}); {}", shortage.hint()),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lesson_22_each_shortage_says_what_is_missing_and_what_to_do() {
        for (errno, number, what, hint) in [
            (Errno::MFILE, 24, "in the gateway", "ulimit -n"),
            (Errno::NFILE, 23, "in the whole system", "fs.file-max"),
            (Errno::NOMEM, 12, "memory", "limits of processes"),
            (Errno::NOBUFS, 105, "memory", "limits of processes"),
        ] {
            let error = io::Error::from(errno);
            assert!(is_shortage(&error));
            let text = in_words(&error);
            for part in [what, hint, &format!("(os error {number})")] {
                assert!(text.contains(part), "no {part:?} in {text}");
            }
        }
    }

    #[test]
    fn what_does_not_pass_keeps_the_words_of_the_system() {
        for error in [io::Error::from(Errno::NOENT), io::Error::other("a text")] {
            assert!(!is_shortage(&error));
            assert_eq!(in_words(&error), error.to_string());
        }
    }
}
