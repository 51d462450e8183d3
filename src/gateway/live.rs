//! What answers right now, as one front sees it. It does not know when or why that changes.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::Listener;
use crate::exchange::{Application, Record, RecordSink};
use crate::front::http::Applications;
use crate::observe::Tally;
use crate::policy::Forwarded;

/// What answers the requests of one front right now; a reload swaps it between two requests.
pub(super) struct Live {
    answering: ArcSwap<Answering>,
    tally: Arc<Tally>,
}

struct Answering {
    application: Arc<dyn Application>,
    sink: Arc<dyn RecordSink>,
}

impl Live {
    pub(super) fn new(
        listener: &Listener,
        application: &Arc<dyn Application>,
        sink: &Arc<dyn RecordSink>,
        tally: &Arc<Tally>,
    ) -> Self {
        let answering = ArcSwap::from_pointee(answering(listener, application, sink));
        Self { answering, tally: Arc::clone(tally) }
    }

    /// What answers those who come by no listener of ours, and so by no proxy that a listener could trust.
    pub(super) fn direct(
        application: &Arc<dyn Application>,
        sink: &Arc<dyn RecordSink>,
        tally: &Arc<Tally>,
    ) -> Self {
        let answering = Answering { application: Arc::clone(application), sink: Arc::clone(sink) };
        Self { answering: ArcSwap::from_pointee(answering), tally: Arc::clone(tally) }
    }

    pub(super) fn swap_direct(&self, application: &Arc<dyn Application>, sink: &Arc<dyn RecordSink>) {
        self.answering
            .store(Arc::new(Answering { application: Arc::clone(application), sink: Arc::clone(sink) }));
    }

    pub(super) fn swap(
        &self,
        listener: &Listener,
        application: &Arc<dyn Application>,
        sink: &Arc<dyn RecordSink>,
    ) {
        self.answering.store(Arc::new(answering(listener, application, sink)));
    }
}

fn answering(
    listener: &Listener,
    application: &Arc<dyn Application>,
    sink: &Arc<dyn RecordSink>,
) -> Answering {
    let application = Arc::clone(application);
    let application: Arc<dyn Application> =
        if listener.trusted_proxies.is_empty() && !listener.trust_unix_peers {
            application
        } else {
            Arc::new(Forwarded::new(listener.trusted_proxies.clone(), listener.trust_unix_peers, application))
        };
    Answering { application, sink: Arc::clone(sink) }
}

impl Applications for Live {
    fn current(&self) -> (Arc<dyn Application>, Arc<dyn RecordSink>) {
        // The front asks once for each record that it begins, and every record comes to the sink.
        self.tally.begin();
        let answering = self.answering.load();
        (Arc::clone(&answering.application), Arc::clone(&answering.sink))
    }
}

/// Where records go when there is no access log.
pub(super) struct Unrecorded;

impl RecordSink for Unrecorded {
    fn finish(&self, _record: Record) {}
}
