//! The appenders for a process's environment; knows what the kernel takes and starts nothing.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::error::{EnvironmentError, Excerpt};
use crate::limits::MAX_ENVIRONMENT_STRING_BYTES;
use crate::walker::Appender;

/// Collects variables as pairs, for `std::process::Command::envs`.
///
/// ```
/// use gatebridge_cgi::{Environ, Environment};
///
/// let mut environment = Environment::default();
/// Environ::default().walk(&mut environment);
/// assert!(environment.finish()?.contains(&("PATH_INFO".into(), "".into())));
/// # Ok::<(), gatebridge_cgi::EnvironmentError>(())
/// ```
#[derive(Debug, Default)]
pub struct Environment {
    pairs: Vec<(OsString, OsString)>,
    fault: Option<EnvironmentError>,
}

impl Environment {
    /// The pairs, in the order in which they came.
    ///
    /// # Errors
    /// The first [`EnvironmentError`] that an append met.
    pub fn finish(self) -> Result<Vec<(OsString, OsString)>, EnvironmentError> {
        self.fault.map_or(Ok(self.pairs), Err)
    }
}

impl Appender for Environment {
    fn append(&mut self, name: &[u8], value: &[u8]) {
        match check(name, value) {
            Ok(()) => self.pairs.push((OsStr::from_bytes(name).into(), OsStr::from_bytes(value).into())),
            Err(fault) => {
                self.fault.get_or_insert(fault);
            }
        }
    }
}

/// Collects variables as `NAME=value` strings with a NUL after each: what `execve` takes, in one piece of
/// memory.
#[derive(Debug, Default)]
pub struct EnvironmentBlock {
    block: Vec<u8>,
    fault: Option<EnvironmentError>,
}

impl EnvironmentBlock {
    /// The block, in the order in which the variables came.
    ///
    /// # Errors
    /// The first [`EnvironmentError`] that an append met.
    pub fn finish(self) -> Result<Vec<u8>, EnvironmentError> {
        self.fault.map_or(Ok(self.block), Err)
    }
}

impl Appender for EnvironmentBlock {
    fn append(&mut self, name: &[u8], value: &[u8]) {
        match check(name, value) {
            Ok(()) => {
                self.block.reserve(string_size(name, value));
                self.block.extend_from_slice(name);
                self.block.push(b'=');
                self.block.extend_from_slice(value);
                self.block.push(0);
            }
            Err(fault) => {
                self.fault.get_or_insert(fault);
            }
        }
    }
}

/// Bytes of `NAME=value` and its NUL.
fn string_size(name: &[u8], value: &[u8]) -> usize {
    name.len().saturating_add(value.len()).saturating_add(2)
}

fn check(name: &[u8], value: &[u8]) -> Result<(), EnvironmentError> {
    let size = string_size(name, value);
    if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
        return Err(EnvironmentError::Name { name: Excerpt::of(name) });
    }
    if value.contains(&0) {
        return Err(EnvironmentError::Value { name: Excerpt::of(name) });
    }
    if size > MAX_ENVIRONMENT_STRING_BYTES {
        let limit = MAX_ENVIRONMENT_STRING_BYTES;
        return Err(EnvironmentError::TooLong { name: Excerpt::of(name), size, limit });
    }
    Ok(())
}
