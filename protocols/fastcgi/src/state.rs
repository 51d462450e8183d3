//! The streams of a request: which a role has, in which order, and when they end. All rules of order live here; it
//! must not know which side it serves or how records look.
//!
//! ```text
//! role         to the application, one after the other       from the application, both at once
//! Responder    PARAMS ->| STDIN -> nothing                   STDOUT  unused -> open -> ended
//! Authorizer   PARAMS ->| nothing                            STDERR  unused -> open -> ended
//! Filter       PARAMS -> STDIN ->| DATA -> nothing
//! ```
//!
//! `|` is where the application may begin to write.
//!
//! A record with content keeps a stream open, one without content ends it. The whole request ends with END_REQUEST,
//! which the application may send at any time and which ends every stream that is still open.
//!
//! The side that sends asks the same table as the side that receives, so what one may write the other will read.

use crate::record::{RecordType, RequestId, Role};

/// A stream to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum InputStream {
    Params,
    Stdin,
    Data,
}

impl InputStream {
    pub(crate) const fn record_type(self) -> RecordType {
        match self {
            Self::Params => RecordType::Params,
            Self::Stdin => RecordType::Stdin,
            Self::Data => RecordType::Data,
        }
    }
}

/// What is awaited once a stream of a role has ended: the table in the picture above.
// FastCGI 1.0 6.2, 6.3, 6.4: the streams of a Responder, an Authorizer and a Filter, in this order.
const fn after(role: Role, ended: InputStream) -> Option<InputStream> {
    match (role, ended) {
        (Role::Responder | Role::Filter, InputStream::Params) => Some(InputStream::Stdin),
        (Role::Filter, InputStream::Stdin) => Some(InputStream::Data),
        (Role::Authorizer, InputStream::Params)
        | (Role::Responder | Role::Authorizer, InputStream::Stdin)
        | (_, InputStream::Data) => None,
    }
}

/// What a record does to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It carries content.
    Content,
    /// It ends the stream.
    End,
    /// It ends a stream that has ended already, or that the role does not have.
    EndAgain,
}

/// A record whose turn it is not; holds the stream that is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfTurn(pub(crate) Option<InputStream>);

/// How far the streams to the application have come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input {
    pub(crate) role: Role,
    awaited: Option<InputStream>,
}

impl Input {
    pub(crate) const fn new(role: Role) -> Self {
        Self { role, awaited: Some(InputStream::Params) }
    }

    /// A record of that stream goes by.
    pub(crate) fn step(&mut self, stream: InputStream, is_empty: bool) -> Result<Step, OutOfTurn> {
        match self.awaited {
            Some(awaited) if awaited == stream && is_empty => {
                self.awaited = after(self.role, stream);
                Ok(Step::End)
            }
            Some(awaited) if awaited == stream => Ok(Step::Content),
            Some(awaited) if awaited < stream => Err(OutOfTurn(self.awaited)),
            // Web servers are known to end a stream twice, and to end the STDIN that an Authorizer does not have.
            _ if is_empty => Ok(Step::EndAgain),
            _ => Err(OutOfTurn(self.awaited)),
        }
    }

    /// The stream whose turn it is; `None` when all have ended.
    pub(crate) const fn awaited(&self) -> Option<InputStream> {
        self.awaited
    }

    /// Whether every stream has ended.
    pub(crate) const fn is_complete(&self) -> bool {
        self.awaited.is_none()
    }

    /// Whether the application has read what it must before it writes STDOUT or STDERR.
    // FastCGI 1.0 6.2, 6.4: a Responder waits for the end of PARAMS, a Filter for the end of STDIN as well.
    pub(crate) const fn allows_output(&self) -> bool {
        match self.awaited {
            Some(InputStream::Params) => false,
            Some(InputStream::Stdin) => !matches!(self.role, Role::Filter),
            Some(InputStream::Data) | None => true,
        }
    }

    /// Whether the variables have not all come.
    pub(crate) const fn awaits_params(&self) -> bool {
        matches!(self.awaited, Some(InputStream::Params))
    }

    /// Nothing more is awaited: the request was aborted.
    pub(crate) const fn cut_off(&mut self) {
        self.awaited = None;
    }
}

/// A stream from the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputStream {
    Stdout,
    Stderr,
}

impl OutputStream {
    pub(crate) const fn record_type(self) -> RecordType {
        match self {
            Self::Stdout => RecordType::Stdout,
            Self::Stderr => RecordType::Stderr,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Unused,
    Open,
    Ended,
}

/// How far the streams from the application have come. They are independent of each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    stdout: Progress,
    stderr: Progress,
}

impl Output {
    pub(crate) const fn new() -> Self {
        Self { stdout: Progress::Unused, stderr: Progress::Unused }
    }

    fn progress(&mut self, stream: OutputStream) -> &mut Progress {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }

    /// A record of that stream goes by.
    pub(crate) fn step(&mut self, stream: OutputStream, is_empty: bool) -> Result<Step, OutOfTurn> {
        let progress = self.progress(stream);
        match (*progress, is_empty) {
            (Progress::Ended, true) => Ok(Step::EndAgain),
            (Progress::Ended, false) => Err(OutOfTurn(None)),
            (_, true) => {
                *progress = Progress::Ended;
                Ok(Step::End)
            }
            (_, false) => {
                *progress = Progress::Open;
                Ok(Step::Content)
            }
        }
    }

    /// Whether content of the stream was sent and its end was not.
    pub(crate) fn is_open(&mut self, stream: OutputStream) -> bool {
        *self.progress(stream) == Progress::Open
    }

    /// Whether the end of the stream was sent.
    pub(crate) fn has_ended(&mut self, stream: OutputStream) -> bool {
        *self.progress(stream) == Progress::Ended
    }
}

/// The requests in progress on one connection, by id.
#[derive(Debug)]
pub(crate) struct Requests<T> {
    /// Sorted by id.
    slots: Vec<(RequestId, T)>,
}

impl<T> Requests<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn contains(&self, id: RequestId) -> bool {
        self.place(id).is_ok()
    }

    pub(crate) fn get_mut(&mut self, id: RequestId) -> Option<&mut T> {
        let place = self.place(id).ok()?;
        self.slots.get_mut(place).map(|(_, request)| request)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().map(|(_, request)| request)
    }

    /// The lowest id that is not in use, if it is not above the limit.
    pub(crate) fn lowest_free(&self, limit: u16) -> Option<RequestId> {
        // Slot n holds id n + 1 up to the first gap, and a higher one behind it.
        let (mut taken, mut end) = (0, self.slots.len());
        while taken < end {
            let middle = taken.midpoint(end);
            match self.slots.get(middle) {
                Some((id, _)) if usize::from(id.get()) == middle + 1 => taken = middle + 1,
                _ => end = middle,
            }
        }
        u16::try_from(taken + 1).ok().filter(|number| *number <= limit).and_then(RequestId::new)
    }

    pub(crate) fn insert(&mut self, id: RequestId, request: T) {
        match self.place(id) {
            Ok(place) => self.slots[place].1 = request,
            Err(place) => self.slots.insert(place, (id, request)),
        }
    }

    pub(crate) fn remove(&mut self, id: RequestId) -> Option<T> {
        self.place(id).ok().map(|place| self.slots.remove(place).1)
    }

    fn place(&self, id: RequestId) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&id, |(id, _)| *id)
    }
}
