//! An answer as script output (RFC 3875 6), which CGI, FastCGI and SCGI share: head lines, then the body. It must not
//! know what carries the bytes.

use std::fs::File;
use std::io;
use std::ops::{DerefMut, Range};

use gatebridge_cgi::Environ;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Method, StatusCode, Version};

use crate::head::Head;
use crate::outlet::{self, Outlet};

/// Bytes of body that are held back so that small writes leave together. Two pages: most small answers fit and leave
/// in one write; larger pieces pass without being copied.
pub(crate) const HELD_BYTES: usize = 8 * 1024;

/// 1 MiB of a body to HEAD are counted, to tell its length, before the head leaves without it: a program makes as much in a
/// moment, and a body may be without an end.
const UNTOLD_BYTES: u64 = 1024 * 1024;

/// What carries an answer. Slices are a head, and two pieces of the body behind it; each may be empty. They are to
/// leave in one write, if the system allows it.
pub(crate) trait Carrier: Send {
    /// The bytes of a head, final or 1xx.
    fn head(&mut self, head: &Head) -> io::Result<Vec<u8>> {
        Ok(lines(head))
    }

    /// Sends fields ahead of the answer; `false` when nobody takes them.
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        let head = Head { status: StatusCode::EARLY_HINTS, headers: headers.clone() };
        let lines = self.head(&head)?;
        self.send([&lines, b"", b""])?;
        Ok(true)
    }

    /// Sends bytes of the answer.
    fn send(&mut self, slices: [&[u8]; 3]) -> io::Result<()>;

    /// Sends bytes of the answer behind which more come at once.
    fn begin(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
        self.send(slices)
    }

    /// Sends the last bytes of the answer, and its end.
    fn finish(&mut self, slices: [&[u8]; 3]) -> io::Result<()>;

    /// Sends a range of a file, never an empty one. `false` when it must be read and sent by pieces.
    fn send_file(&mut self, _file: &File, _range: &Range<u64>) -> io::Result<bool> {
        Ok(false)
    }

    /// Writes to the error stream.
    fn errors(&mut self, text: &[u8]) -> io::Result<()>;

    /// Whether nobody waits any more.
    fn is_aborted(&self) -> bool;
}

/// How far the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing that the client can see has left.
    Held,
    /// The head has left, or part of it.
    Committed,
    /// The end has left.
    Ended,
}

/// What has to be known of a request to answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// It is a HEAD.
    pub(crate) is_head: bool,
    /// The next hop takes 1xx heads.
    pub(crate) takes_hints: bool,
}

impl From<&Environ> for Facts {
    fn from(environ: &Environ) -> Self {
        // RFC 3875 6.2 knows one head; every other gateway would take a 103 for the answer. RFC 9110 15.2: no 1xx
        // goes to a client of HTTP/1.0.
        let takes_hints =
            environ.server_software.starts_with(b"gatebridge/") && environ.protocol >= Version::HTTP_11;
        Self { is_head: environ.method == Method::HEAD, takes_hints }
    }
}

/// Writes an answer as script output, to whatever carries it.
// Not a parameter of each runner's own: a program that serves in three ways would hold three copies of what is below.
pub(crate) type ScriptOutlet<'a> = ScriptWriter<&'a mut dyn Carrier>;

/// Writes an answer as script output.
#[derive(Debug)]
pub(crate) struct ScriptWriter<C> {
    carrier: C,
    facts: Facts,
    progress: Progress,
    /// Until it is written.
    head: Option<Head>,
    held: Vec<u8>,
    /// What the head says about the length.
    declared: Option<u64>,
    /// No byte of the body may leave.
    is_bodiless: bool,
    /// Bytes of the body so far, those that do not leave too.
    taken: u64,
}

impl<'a> ScriptOutlet<'a> {
    pub(crate) const fn new(carrier: &'a mut dyn Carrier, facts: Facts) -> Self {
        Self::over(carrier, facts)
    }
}

impl<C> ScriptWriter<C> {
    pub(crate) const fn over(carrier: C, facts: Facts) -> Self {
        Self {
            carrier,
            facts,
            progress: Progress::Held,
            head: None,
            held: Vec::new(),
            declared: None,
            is_bodiless: false,
            taken: 0,
        }
    }

    /// What carries it.
    #[cfg(feature = "tokio")]
    pub(crate) const fn carrier(&self) -> &C {
        &self.carrier
    }

    pub(crate) const fn progress(&self) -> Progress {
        self.progress
    }

    /// Forgets an answer of which nothing has left.
    pub(crate) fn reset(&mut self) {
        (self.head, self.declared, self.taken) = (None, None, 0);
        self.held.clear();
    }

    /// Counts bytes of the body; fails on more than were declared.
    fn take(&mut self, count: u64) -> io::Result<()> {
        self.taken += count;
        match self.declared {
            Some(declared) if self.taken > declared => {
                let message = format!("{} bytes of body, but Content-Length is {declared}", self.taken);
                Err(io::Error::new(io::ErrorKind::InvalidData, message))
            }
            _ => Ok(()),
        }
    }
}

impl<C: DerefMut<Target: Carrier>> ScriptWriter<C> {
    /// Sends everything that is held back, and `bytes`; `more` when more follows at once.
    fn send(&mut self, bytes: &[u8], more: bool) -> io::Result<()> {
        let head = self.head.take();
        if head.is_none() && self.held.is_empty() && bytes.is_empty() {
            return Ok(());
        }
        self.progress = Progress::Committed;
        let lines = head.map(|head| self.carrier.head(&head)).transpose()?.unwrap_or_default();
        let slices = [&lines[..], &self.held, bytes];
        if more {
            self.carrier.begin(slices)?
        } else {
            self.carrier.send(slices)?
        }
        self.held.clear();
        Ok(())
    }

    /// What there is of a body that does not leave. Who writes for nobody is told, as with any other: a body without an end
    /// would never end otherwise.
    fn discard(&mut self) -> io::Result<()> {
        if self.taken > UNTOLD_BYTES {
            self.send(b"", false)?;
        }
        if self.taken > HELD_BYTES as u64 && self.carrier.is_aborted() {
            let message = "nobody waits for the answer any more";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, message));
        }
        Ok(())
    }
}

impl<C: DerefMut<Target: Carrier> + Send> Outlet for ScriptWriter<C> {
    fn early_hints(&mut self, headers: &HeaderMap) -> io::Result<bool> {
        if self.facts.takes_hints { self.carrier.early_hints(headers) } else { Ok(false) }
    }

    fn head(&mut self, head: Head) -> io::Result<()> {
        // Lesson 48: programs write a body to HEAD, and with statuses that have none; it does not leave.
        self.is_bodiless = self.facts.is_head || !head.has_body();
        self.declared = head.content_length();
        self.head = Some(head);
        Ok(())
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.take(bytes.len() as u64)?;
        if self.is_bodiless {
            return self.discard();
        }
        if self.held.len() + bytes.len() <= HELD_BYTES {
            self.held.extend_from_slice(bytes);
            return Ok(());
        }
        self.send(bytes, false)
    }

    fn file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        self.take(range.end - range.start)?;
        if self.is_bodiless {
            return self.discard();
        }
        self.send(b"", true)?;
        if self.carrier.send_file(file, &range)? {
            return Ok(());
        }
        outlet::by_pieces(file, range, |piece| self.carrier.send([b"", piece, b""]))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send(b"", false)
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(declared) = self.declared
            && self.taken < declared
            // RFC 9110 8.6: HEAD and 304 tell the length of a body that they do not have.
            && !(self.is_bodiless && self.taken == 0)
        {
            let message =
                format!("the body ended after {} bytes, but Content-Length is {declared}", self.taken);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let lines = self.head.take().map(|mut head| {
            // Nothing has left, so the whole is here and its length known; HEAD says it as GET would.
            if head.has_body() && (self.taken > 0 || !self.is_bodiless) {
                head.headers.entry(CONTENT_LENGTH).or_insert_with(|| self.taken.into());
            }
            self.carrier.head(&head)
        });
        self.progress = Progress::Committed;
        self.carrier.finish([&lines.transpose()?.unwrap_or_default(), &self.held, b""])?;
        self.held.clear();
        self.progress = Progress::Ended;
        Ok(())
    }

    fn errors(&mut self, text: &[u8]) -> io::Result<()> {
        self.carrier.errors(text)
    }

    fn is_aborted(&self) -> bool {
        self.carrier.is_aborted()
    }
}

/// A head as script output has it: `Status` first, so that a gateway need not guess (RFC 3875 6.3.3).
pub(crate) fn lines(head: &Head) -> Vec<u8> {
    let mut lines = Vec::with_capacity(256);
    lines.extend_from_slice(b"Status: ");
    lines.extend_from_slice(head.status.as_str().as_bytes());
    lines.push(b' ');
    // RFC 3875 6.3.3 has a reason phrase; a status without a name of its own gets an empty one.
    lines.extend_from_slice(head.status.canonical_reason().unwrap_or_default().as_bytes());
    for (name, value) in &head.headers {
        lines.extend_from_slice(b"\r\n");
        match name.as_str().strip_prefix("variable-") {
            // FastCGI 1.0 6.3: what follows is the name of a variable, in capitals as all names of variables are.
            Some(variable) => {
                lines.extend_from_slice(b"Variable-");
                lines.extend(variable.bytes().map(|byte| byte.to_ascii_uppercase()));
            }
            None => lines.extend_from_slice(name.as_str().as_bytes()),
        }
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
    }
    lines.extend_from_slice(b"\r\n\r\n");
    lines
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bytes::Bytes;
    use gatebridge_cgi::{Event, ScriptLimits, ScriptReader};
    use proptest::prelude::*;

    use super::*;
    use crate::answer::StartResponse;

    /// Keeps what is sent, one entry for each write.
    #[derive(Debug, Default)]
    struct Kept(Vec<Vec<u8>>, bool);

    impl Carrier for Kept {
        fn send(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
            self.0.push(slices.concat());
            Ok(())
        }

        fn finish(&mut self, slices: [&[u8]; 3]) -> io::Result<()> {
            self.send(slices)
        }

        fn errors(&mut self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn is_aborted(&self) -> bool {
            self.1
        }
    }

    fn facts(is_head: bool) -> Facts {
        Facts { is_head, takes_hints: true }
    }

    /// What the gateway's reader makes of the output, cut into pieces of that size.
    fn read(output: &[u8], cut: usize) -> (u16, Option<u64>, Vec<u8>, usize) {
        let mut reader = ScriptReader::new(ScriptLimits::default(), gatebridge_cgi::Facts::default());
        let (mut status, mut length, mut body, mut hints) = (0, None, Vec::new(), 0);
        let mut pieces = output.chunks(cut);
        loop {
            match reader.next_event().unwrap() {
                Event::NeedData => match pieces.next() {
                    Some(piece) => reader.receive(Bytes::copy_from_slice(piece)),
                    None => reader.receive_end(),
                },
                Event::Informational(_) => hints += 1,
                Event::Response(response) => {
                    (status, length) = (response.head.status.as_u16(), response.head.content_length);
                }
                Event::Body(bytes) => body.extend_from_slice(&bytes),
                Event::End => return (status, length, body, hints),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_an_application_writes_is_what_a_gateway_reads(
            pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..20_000), any::<bool>()), 0..6),
            status in 200_u16..600,
            hints in 0_usize..3,
            cut in 1_usize..30_000,
        ) {
            prop_assume!(!matches!(status, 204 | 304));
            let mut kept = Kept::default();
            let mut outlet = ScriptOutlet::new(&mut kept, facts(false));
            let mut start = StartResponse::new(&mut outlet);
            for _ in 0..hints {
                start.early_hints([("Link", "</a>; rel=preload")]).unwrap();
            }
            let mut body = start.start(status, [("Content-Type", "application/octet-stream")]).unwrap();
            let mut all = Vec::new();
            for (piece, flushes) in &pieces {
                body.write_all(piece).unwrap();
                all.extend_from_slice(piece);
                if *flushes {
                    body.flush().unwrap();
                }
            }
            let _answered = body.end().unwrap();
            let writes = &kept.0;
            let read = read(&writes.concat(), cut);
            prop_assert_eq!((read.0, &read.2, read.3), (status, &all, hints));
            prop_assert!(read.1.is_none_or(|length| length == all.len() as u64));
            let is_small = all.len() <= HELD_BYTES && !pieces.iter().any(|(_, flushes)| *flushes);
            if is_small {
                prop_assert_eq!((writes.len(), read.1), (hints + 1, Some(all.len() as u64)));
            }
        }
    }

    #[test]
    fn a_small_answer_reads_the_same_at_every_cut() {
        let mut kept = Kept::default();
        let mut outlet = ScriptOutlet::new(&mut kept, facts(false));
        let mut start = StartResponse::new(&mut outlet);
        start.early_hints([("Link", "</a>; rel=preload")]).unwrap();
        let _answered = start.answer(404, [("Content-Type", "text/plain")], "not here\n").unwrap();
        let output = kept.0.concat();
        for cut in 1..=output.len() {
            assert_eq!(read(&output, cut), (404, Some(9), b"not here\n".to_vec(), 1), "cut at {cut}");
        }
    }

    #[test]
    fn variables_of_an_authorizer_are_in_capitals() {
        let mut kept = Kept::default();
        let mut outlet = ScriptOutlet::new(&mut kept, facts(false));
        let fields = [("Variable-Remote_User", "alice"), ("X-Variable-A", "b")];
        let _answered = StartResponse::new(&mut outlet).answer(200, fields, "").unwrap();
        let output = String::from_utf8(kept.0.concat()).unwrap();
        assert!(output.contains("\r\nVariable-REMOTE_USER: alice\r\nx-variable-a: b\r\n"), "{output}");
    }

    #[test]
    fn lesson_11_a_length_is_kept_without_lint_too() {
        let text = [("Content-Type", "text/plain"), ("Content-Length", "3")];
        for (body, told) in
            [("four", "4 bytes of body, but Content-Length is 3"), ("to", "ended after 2 bytes")]
        {
            let mut kept = Kept::default();
            let mut outlet = ScriptOutlet::new(&mut kept, facts(false));
            let error = StartResponse::new(&mut outlet).answer(200, text, body).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
            assert_eq!(outlet.progress(), Progress::Held, "nothing wrong has left");
        }
    }

    #[test]
    fn lesson_48_a_body_without_an_end_ends_for_head_too() {
        for (has_left, expected) in [(true, Some(io::ErrorKind::ConnectionAborted)), (false, None)] {
            let mut kept = Kept(Vec::new(), has_left);
            let mut outlet = ScriptOutlet::new(&mut kept, facts(true));
            let mut body =
                StartResponse::new(&mut outlet).start(200, [("Content-Type", "text/plain")]).unwrap();
            let error = (0..2000).find_map(|_| body.write_all(&[b'x'; 1024]).err());
            assert_eq!(error.map(|error| error.kind()), expected);
            let head = b"Status: 200 OK\r\ncontent-type: text/plain\r\n\r\n";
            // Who waits has the head by now.
            assert_eq!(kept.0.concat(), if has_left { &b""[..] } else { head });
        }
    }

    #[test]
    fn lesson_48_head_says_what_get_would_and_nothing_else() {
        for (text, expected) in [("body", "content-length: 4\r\n\r\n"), ("", "text/plain\r\n\r\n")] {
            let mut kept = Kept::default();
            let mut outlet = ScriptOutlet::new(&mut kept, facts(true));
            let mut body =
                StartResponse::new(&mut outlet).start(200, [("Content-Type", "text/plain")]).unwrap();
            body.write_all(text.as_bytes()).unwrap();
            let _answered = body.end().unwrap();
            let output = String::from_utf8(kept.0.concat()).unwrap();
            assert!(output.ends_with(expected), "{output}");
        }
    }
}
