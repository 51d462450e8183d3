//! The sockets that a service manager passed when it started this process, by name: sd_listen_fds(3). It opens none, and
//! must not know what they are for.

use std::ffi::{OsStr, OsString};

use thiserror::Error;

use super::startup::take_variables;

/// sd_listen_fds(3): the first descriptor that is passed.
const FIRST: i32 = 3;

/// What sd_listen_fds(3) calls a descriptor whose name nobody told.
const NAMELESS: &str = "unknown";

/// The sockets that were passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The name of each, from descriptor 3 up.
    names: Vec<String>,
    /// The process that they were meant for, if that was not us.
    stranger: Option<String>,
}

/// No socket of that name was passed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PassedError {
    /// Nothing was passed at all.
    #[error(
        "no socket was passed to this process (LISTEN_FDS is not set), so there is none of the name \"{0}\": start it by \
         its socket unit, or name an address to listen at"
    )]
    Nothing(String),
    /// What was passed was meant for another process.
    #[error(
        "sockets were passed to the process {pid} (LISTEN_PID) and not to this one, {own}, so there is none of the name \
         \"{name}\": start gatebridge itself, without a program around it that stays"
    )]
    Stranger {
        /// The name that was asked for.
        name: String,
        /// LISTEN_PID.
        pid: String,
        /// Our own number.
        own: u32,
    },
    /// There are others.
    #[error(
        "no socket of the name \"{name}\" was passed; there are {there} (LISTEN_FDNAMES): set FileDescriptorName={name} in \
         the socket unit, or use one of these names"
    )]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        there: String,
    },
}

impl Passed {
    /// Reads `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`, and takes them out of the environment, so that no program takes
    /// them for its own. Call it first thing in `main`, while there is one thread: afterwards they can be read only.
    #[must_use]
    pub fn take() -> Self {
        let [count, pid, names, _] =
            take_variables(["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"]);
        Self::of(count.as_deref(), pid, names.as_deref(), std::process::id())
    }

    fn of(count: Option<&OsStr>, pid: Option<OsString>, names: Option<&OsStr>, own: u32) -> Self {
        // No more than a process can have: a number that is nonsense must not take memory.
        let count = count.and_then(|text| text.to_str()?.parse::<u16>().ok()).unwrap_or(0);
        let pid = pid.unwrap_or_default().to_string_lossy().into_owned();
        if pid.parse() != Ok(own) {
            return Self {
                names: Vec::new(),
                stranger: Some(pid).filter(|pid| count > 0 && !pid.is_empty()),
            };
        }
        let names = names.unwrap_or_default().to_string_lossy();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let name = |_| names.next().unwrap_or(NAMELESS).to_owned();
        Self { names: (0..count).map(name).collect(), stranger: None }
    }

    /// The descriptors of this name, at least one: all sockets of a unit have one name.
    ///
    /// # Errors
    ///
    /// [`PassedError`] says what was passed instead, and what to do.
    pub fn named(&self, name: &str) -> Result<Vec<i32>, PassedError> {
        let name = name.to_owned();
        if let Some(pid) = &self.stranger {
            return Err(PassedError::Stranger { name, pid: pid.clone(), own: std::process::id() });
        }
        if self.names.is_empty() {
            return Err(PassedError::Nothing(name));
        }
        let found: Vec<i32> = (FIRST..)
            .zip(&self.names)
            .filter(|(_, other)| **other == name)
            .map(|(number, _)| number)
            .collect();
        if found.is_empty() {
            let there: Vec<String> = self.names.iter().map(|name| format!("{name:?}")).collect();
            return Err(PassedError::Unknown { name, there: there.join(", ") });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(count: &str, pid: &str, names: Option<&str>) -> Passed {
        Passed::of(Some(OsStr::new(count)), Some(pid.into()), names.map(OsStr::new), 42)
    }

    #[test]
    fn names_stand_for_descriptors_from_3_up_and_one_name_for_several() {
        let three = passed("3", "42", Some("web:admin:web"));
        assert_eq!(three.named("web"), Ok(vec![3, 5]));
        assert_eq!(three.named("admin"), Ok(vec![4]));
        assert_eq!(passed("2", "42", None).named("unknown"), Ok(vec![3, 4]));
    }

    #[test]
    fn a_name_that_was_not_passed_is_told_with_those_that_were() {
        let error = passed("2", "42", Some("web:admin")).named("wbe").unwrap_err();
        assert!(matches!(error, PassedError::Unknown { .. }));
        let text = error.to_string();
        assert!(text.contains("\"wbe\"") && text.contains("\"web\", \"admin\""), "{text}");
    }

    #[test]
    fn sockets_for_another_process_are_not_taken() {
        let error = passed("1", "43", Some("web")).named("web").unwrap_err();
        assert!(matches!(error, PassedError::Stranger { .. }) && error.to_string().contains("43"), "{error}");
    }

    #[test]
    fn nothing_passed_is_told_as_that() {
        let unset = Passed::of(None, None, None, 42);
        for none in [unset, passed("0", "42", None), passed("-1", "42", None), passed("many", "42", None)] {
            assert_eq!(none.named("web"), Err(PassedError::Nothing("web".to_owned())), "{none:?}");
        }
    }
}
