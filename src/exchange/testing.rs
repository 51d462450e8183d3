//! Requests for unit tests, and a sink that keeps the records. Knows nothing of what is tested.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gatebridge_cgi::Environ;
use http::{HeaderMap, Method, Version};

use super::{Body, Ending, Exchange, Record, RecordSink, Request, unique_id};

/// Keeps finished records.
pub(crate) struct Recorded(Mutex<Vec<Record>>);

impl Recorded {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// The records that have been finished so far.
    pub(crate) fn records(&self) -> Vec<Record> {
        self.0.lock().unwrap().clone()
    }
}

impl RecordSink for Recorded {
    fn finish(&self, record: Record) {
        self.0.lock().unwrap().push(record);
    }
}

/// A record with nothing noted yet.
pub(crate) fn record(target: &str) -> Record {
    Record {
        id: unique_id(),
        at: SystemTime::UNIX_EPOCH,
        remote_addr: None,
        remote_user: None,
        method: Method::GET,
        target: Bytes::copy_from_slice(target.as_bytes()),
        version: Version::HTTP_11,
        host: None,
        referer: None,
        user_agent: None,
        route: None,
        back: None,
        queue_wait: None,
        status: None,
        first_byte: None,
        total: Duration::ZERO,
        bytes_received: 0,
        bytes_sent: 0,
        ending: Ending::Complete,
        usage: None,
        failure: None,
    }
}

/// A GET of a target without a body, as a front makes it: the path is all PATH_INFO.
pub(crate) fn request(target: &str, sink: &Arc<Recorded>) -> Request {
    let mut environ = Environ::from_head(
        Method::GET,
        Bytes::copy_from_slice(target.as_bytes()),
        Version::HTTP_11,
        HeaderMap::new(),
    );
    let path = target.split('?').next().unwrap_or_default();
    environ.path_info = Bytes::copy_from_slice(path.as_bytes());
    let exchange = Exchange::new(record(target), Arc::clone(sink) as Arc<dyn RecordSink>);
    Request { environ, body: Body::Empty, exchange }
}
