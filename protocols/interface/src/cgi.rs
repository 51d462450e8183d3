//! The CGI runner (RFC 3875): one process, one request, three standard streams. It must not start a thread, nor know
//! any other runner.

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::process::ExitCode;

use gatebridge_cgi::{Environ, names};
use http::Method;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::stdio::{stderr, stdin, stdout};

use crate::application::Application;
use crate::descriptor::{Descriptor, write_all};
use crate::input::{Input, Pull, Pulled};
use crate::perform::{Outcome, perform};
use crate::script::{Carrier, Facts, ScriptOutlet};
use crate::socket;

/// What the client's `Transfer-Encoding` would be: gateways that take an upload in chunks apart do not pass it on.
const TRANSFER_ENCODING: &str = "HTTP_TRANSFER_ENCODING";

/// Bytes of the request's body that are read at once. Sixteen pages: what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// Exit status after an answer that was cut short: the gateway must not take it for a whole one.
pub const EXIT_BROKEN: u8 = 1;
/// Exit status when this is no CGI process: sysexits' `EX_USAGE`.
pub const EXIT_NO_CGI: u8 = 64;

/// Answers the one request of a CGI process, and says with which status to exit.
///
/// It reads the environment, gives the application the standard input up to `CONTENT_LENGTH` (behind Apache, an upload
/// whose client does not tell its length up to its end), and writes its answer to
/// standard output: a small one by a single system call. There is no runtime, no thread and no signal handler; a
/// gateway that wants the program to stop ends the process.
///
/// | exit status | when |
/// |---|---|
/// | 0 | the answer is whole (if only a 500), or nobody waited for it any more |
/// | [`EXIT_BROKEN`] | the answer is cut short |
/// | [`EXIT_NO_CGI`] | the environment is not that of a CGI process |
///
/// ```no_run
/// use gatebridge_interface::{application, run_cgi};
///
/// fn main() -> std::process::ExitCode {
///     run_cgi(application(|_, _, start| start.answer(200, [("Content-Type", "text/plain")], "hello\n")))
/// }
/// ```
#[must_use = "it is what `main` returns"]
pub fn run_cgi(application: impl Application) -> ExitCode {
    answer(&application)
}

/// The same, compiled once and apart from the program.
pub(crate) fn answer(application: &dyn Application) -> ExitCode {
    // The process ends with its request: to give back every variable before would only take time.
    let Some(environ) = environ_or_complain().map(ManuallyDrop::new) else { return EXIT_NO_CGI.into() };
    let length = length(&environ);
    let mut body = Stdin::new(length.unwrap_or(u64::MAX));
    let mut source = Pulled(&mut body);
    let mut input = Input::new(&mut source, length);
    let mut stdout = Stdout;
    let mut outlet = ScriptOutlet::new(&mut stdout, Facts::from(&*environ));
    let outcome = perform(application, &environ, &mut input, &mut outlet);
    if body.left > 0 {
        leave_body();
    }
    match outcome {
        Outcome::Answered | Outcome::Aborted => ExitCode::SUCCESS,
        // Lesson 12: only the exit status can say that the output is not whole.
        Outcome::Broken => EXIT_BROKEN.into(),
    }
}

/// Whether a gateway has started this process to answer one request.
pub(crate) fn is_cgi() -> bool {
    // RFC 3875 4.1.4: the variable that a gateway must set.
    std::env::var_os(names::GATEWAY_INTERFACE).is_some()
}

/// The length of the body; `None` when it lasts until standard input ends.
pub(crate) fn length(environ: &Environ) -> Option<u64> {
    // Lesson 44: RFC 3875 4.2 knows no body without a length, but Apache sends one for an upload in chunks, and says so.
    let is_chunked = || std::env::var_os(TRANSFER_ENCODING).is_some_and(|coding| coding == "chunked");
    if environ.content_length.is_none() && environ.method != Method::GET && is_chunked() {
        return None;
    }
    Some(environ.content_length.unwrap_or(0))
}

/// The environ of the process; why there is none is told on standard error.
pub(crate) fn environ_or_complain() -> Option<Environ> {
    let variables = std::env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec()));
    Environ::from_variables(variables)
        .map_err(|fault| {
            let text = format!("this is no CGI process: {fault}; a gateway sets RFC 3875's variables\n");
            let _ = write_all(Descriptor(stderr()), &[text.as_bytes()]);
        })
        .ok()
}

/// Leaves the rest of a body that was not read to its end. Where standard input is a socket and standard output is the
/// same one (Apache's mod_cgid), to end with bytes unread would be a reset, which takes the answer with it (lesson 39).
#[cold]
pub(crate) fn leave_body() {
    let status = rustix::fs::fstat(stdin());
    if status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Socket) {
        socket::linger(stdin());
    }
}

/// Standard input, never read behind the body (RFC 3875 4.2).
struct Stdin {
    /// Bytes of the body that were not read yet.
    left: u64,
    buffer: Vec<u8>,
    /// What of the buffer was not consumed yet.
    ready: Range<usize>,
}

impl Stdin {
    const fn new(length: u64) -> Self {
        Self { left: length, buffer: Vec::new(), ready: 0..0 }
    }
}

impl Pull for Stdin {
    fn fill(&mut self) -> io::Result<&[u8]> {
        if self.ready.is_empty() && self.left > 0 {
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(READ_BYTES);
            self.buffer.resize(wanted, 0);
            let count = rustix::io::retry_on_intr(|| rustix::io::read(stdin(), &mut self.buffer[..wanted]))?;
            self.left = if count == 0 { 0 } else { self.left - count as u64 };
            self.ready = 0..count;
        }
        Ok(&self.buffer[self.ready.clone()])
    }

    fn consume(&mut self, count: usize) {
        self.ready.start += count;
    }

    fn file(&self) -> io::Result<Option<File>> {
        let status = rustix::fs::fstat(stdin())?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        Ok(Some(stdin().try_clone_to_owned()?.into()))
    }

    fn is_aborted(&self) -> bool {
        reader_has_gone()
    }
}

/// Standard output and standard error.
struct Stdout;

impl Carrier for Stdout {
    fn send(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        write_all(Descriptor(stdout()), &slices)
    }

    fn finish(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        // The end of the process is the end of its output.
        self.send(slices)
    }

    fn send_file(&mut self, file: &File, range: &Range<u64>) -> io::Result<bool> {
        let mut at = range.start;
        while at < range.end {
            let wanted = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            match rustix::fs::sendfile(stdout(), file.as_fd(), Some(&mut at), wanted) {
                Ok(0) => return Err(crate::outlet::ended_early(at, range)),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // Not every pair of descriptors can do it; then nothing has been sent.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if at == range.start => {
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        write_all(Descriptor(stderr()), &[text])
    }

    fn is_aborted(&self) -> bool {
        reader_has_gone()
    }
}

/// Whether whoever read our output has closed it.
fn reader_has_gone() -> bool {
    let mut output = [PollFd::from_borrowed_fd(stdout(), PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut output, Some(&at_once)) {
        Ok(_) => output[0].revents().intersects(PollFlags::ERR | PollFlags::HUP),
        Err(_) => false,
    }
}
