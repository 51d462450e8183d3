//! One request on standard input and output (RFC 3875); must not know what is answered.

use std::io::{self, Read as _};

/// Serves the one request that this process was started for.
///
/// # Errors
/// When the body ends early, or the answer cannot be written.
pub(crate) fn serve() -> io::Result<()> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let length = variable("CONTENT_LENGTH").parse().unwrap_or(0);
    // Not `io::stdout()`: it buffers lines, and looks for them in every write.
    let (mut input, mut output) = (io::stdin().lock().take(length), std::fs::File::from(stdout()?));
    crate::answer(&variable("PATH_INFO"), &mut input, &mut output)
}

fn stdout() -> io::Result<std::os::fd::OwnedFd> {
    use std::os::fd::AsFd as _;
    io::stdout().as_fd().try_clone_to_owned()
}
