//! What is noted of one exchange, by whoever knows it, until nobody is left who could add to it; then it becomes one
//! finished record. It does not know how records are written.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderValue};
use http::{Method, StatusCode, Version};

use super::{FailureKind, UniqueId};

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The response went out whole.
    #[default]
    Complete,
    /// The client left before it had the whole response.
    ClientGone,
    /// The program, or the gateway, broke the response off.
    BrokenOff,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramEnd {
    /// It exited with this status, 0 to 255.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
}

/// What a CGI process used, once it has been reaped.
#[derive(Clone, Copy, Debug)]
pub struct ProgramUsage {
    /// How it ended.
    pub ended: ProgramEnd,
    /// CPU time of the process and of the children it waited for, user and system together.
    pub cpu: Duration,
    /// The largest resident size, in bytes.
    pub peak_memory_bytes: u64,
}

/// One finished exchange: what the access log, the metrics and the status page are made of.
#[derive(Clone, Debug)]
pub struct Record {
    /// The exchange's id; the program saw it as UNIQUE_ID, an error page shows it.
    pub id: UniqueId,
    /// When the request head was complete.
    pub at: SystemTime,
    /// The client's address, as believed (a trusted proxy may have named it); `None` on a unix socket.
    pub remote_addr: Option<IpAddr>,
    /// REMOTE_USER, where somebody authenticated the client.
    pub remote_user: Option<Bytes>,
    /// The request's method.
    pub method: Method,
    /// The request target as received.
    pub target: Bytes,
    /// The request's protocol version.
    pub version: Version,
    /// The `Host` that was asked for.
    pub host: Option<Bytes>,
    /// The `Referer` field.
    pub referer: Option<HeaderValue>,
    /// The `User-Agent` field.
    pub user_agent: Option<HeaderValue>,
    /// The route that answered, by its path as configured.
    pub route: Option<Arc<str>>,
    /// The back that answered: `cgi:SCRIPT`, `pool:NAME`, `files` ...
    pub back: Option<Arc<str>>,
    /// How long the request waited for a worker or a process slot.
    pub queue_wait: Option<Duration>,
    /// The final status that was sent; `None` if the client left before there was one.
    pub status: Option<StatusCode>,
    /// From the complete request head to the first byte of the final response head.
    pub first_byte: Option<Duration>,
    /// From the complete request head until the exchange was over for the client.
    pub total: Duration,
    /// Bytes of request body that were taken from the client.
    pub bytes_received: u64,
    /// Bytes of response body that were given to the client's socket.
    pub bytes_sent: u64,
    /// How it ended.
    pub ending: Ending,
    /// What a CGI process used.
    pub usage: Option<ProgramUsage>,
    /// What kind of trouble there was, if there was any: the first that was told.
    pub failure: Option<FailureKind>,
}

/// Takes finished records: the access log, the metrics.
pub trait RecordSink: Send + Sync {
    /// Takes one finished record. Called on the runtime's threads: it must not block.
    fn finish(&self, record: Record);
}

/// A 1xx response on its way up, before the final one (RFC 9110 15.2).
#[derive(Clone, Debug)]
pub struct Interim {
    /// 100 to 199, never 100 or 101 from a program.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
}

/// The note pad of one exchange, shared by all who have a hand in it.
///
/// The record is finished when the last holder drops it: the front when the client has been served, and a CGI back
/// when the process has been reaped, whichever comes last.
pub struct Exchange {
    started: Instant,
    record: Mutex<Option<Record>>,
    is_overdue: AtomicBool,
    is_peer_unknown: AtomicBool,
    deadline: OnceLock<Instant>,
    /// The front has something to do here: at first to leave its waker, later to take what was sent.
    interim_news: AtomicBool,
    interim: Mutex<InterimQueue>,
    sink: Arc<dyn RecordSink>,
}

#[derive(Default)]
struct InterimQueue {
    waiting: Vec<Interim>,
    front: Option<Waker>,
}

/// At most this many 1xx responses wait for the front; a program that sends more before the front could write any
/// loses the rest, which it may (RFC 9110 15.2: a 1xx response is only ever a hint).
const MAX_WAITING_INTERIMS: usize = 16;

impl Exchange {
    /// A note pad whose finished record goes to `sink`. `record.total` and the like are filled in later.
    pub fn new(record: Record, sink: Arc<dyn RecordSink>) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            record: Mutex::new(Some(record)),
            is_overdue: AtomicBool::new(false),
            is_peer_unknown: AtomicBool::new(false),
            deadline: OnceLock::new(),
            interim_news: AtomicBool::new(true),
            interim: Mutex::default(),
            sink,
        })
    }

    /// When the request head was complete: what deadlines count from.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// The exchange's id.
    #[must_use]
    pub fn id(&self) -> UniqueId {
        lock(&self.record).as_ref().map(|record| record.id.clone()).unwrap_or_default()
    }

    /// Notes something on the record.
    pub fn note(&self, write: impl FnOnce(&mut Record)) {
        if let Some(record) = lock(&self.record).as_mut() {
            write(record);
        }
    }

    /// Notes that the time of the whole request has passed, before what works on it is dropped: so that a drop for that
    /// reason can be told from one because the client left.
    pub fn set_overdue(&self) {
        self.is_overdue.store(true, Ordering::Release);
    }

    /// Whether the time of the whole request has passed.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.is_overdue.load(Ordering::Acquire)
    }

    /// Notes that nobody has told where the client is: without an address it need not be one on a unix socket.
    pub fn set_peer_unknown(&self) {
        self.is_peer_unknown.store(true, Ordering::Release);
    }

    /// Whether nobody has told where the client is.
    #[must_use]
    pub fn is_peer_unknown(&self) -> bool {
        self.is_peer_unknown.load(Ordering::Acquire)
    }

    /// Notes that all must be over in so long from now; the first who says so is right.
    pub fn set_time_left(&self, left: Duration) {
        let _ = Instant::now().checked_add(left).map(|deadline| self.deadline.set(deadline));
    }

    /// How much time is left for all that is still to be done; `None` when nobody set a limit.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.get().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Sends a 1xx response on its way up; the front passes it on as soon as it can, if the client's protocol has any.
    pub fn send_interim(&self, interim: Interim) {
        let mut queue = lock(&self.interim);
        if queue.waiting.len() < MAX_WAITING_INTERIMS {
            queue.waiting.push(interim);
            self.interim_news.store(true, Ordering::Release);
        }
        if let Some(front) = queue.front.take() {
            front.wake();
        }
    }

    /// For the front: takes the 1xx responses that wait, and has `front` woken by the next. Costs one load where there
    /// are none and `front` is known.
    pub fn poll_interims(&self, front: &Waker) -> Vec<Interim> {
        if !self.interim_news.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let mut queue = lock(&self.interim);
        if !queue.front.as_ref().is_some_and(|known| known.will_wake(front)) {
            queue.front = Some(front.clone());
        }
        std::mem::take(&mut queue.waiting)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(mut record) = lock(&self.record).take() {
            if record.total.is_zero() {
                // It was cut, and nobody could note it.
                record.total = self.started.elapsed();
            }
            self.sink.finish(record);
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("started", &self.started).finish_non_exhaustive()
    }
}

/// A panic elsewhere must not take the log down with it: the notes are plain values and stay usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{Recorded, request};

    #[test]
    fn a_record_is_finished_when_its_last_holder_drops_it() {
        let sink = Recorded::new();
        let request = request("/slow", &sink);
        let still_reaping = Arc::clone(&request.exchange);
        request.exchange.note(|record| record.bytes_sent = 7);
        drop(request);
        assert_eq!(sink.records().len(), 0, "somebody may add to it");
        still_reaping.note(|record| record.ending = Ending::BrokenOff);
        drop(still_reaping);
        let records = sink.records();
        assert_eq!((records.len(), records[0].bytes_sent, records[0].ending), (1, 7, Ending::BrokenOff));
    }

    #[test]
    fn waiting_interims_are_bounded_and_the_front_is_woken_by_the_next() {
        let request = request("/hints", &Recorded::new());
        let hint = || Interim { status: StatusCode::EARLY_HINTS, headers: HeaderMap::new() };
        for _ in 0..=MAX_WAITING_INTERIMS {
            request.exchange.send_interim(hint());
        }
        assert_eq!(request.exchange.poll_interims(Waker::noop()).len(), MAX_WAITING_INTERIMS);
        assert!(request.exchange.poll_interims(Waker::noop()).is_empty());
        request.exchange.send_interim(hint());
        assert_eq!(request.exchange.poll_interims(Waker::noop()).len(), 1);
    }
}
