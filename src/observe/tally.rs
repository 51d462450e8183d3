//! Counts finished exchanges on their way to the access log, without a lock and without an allocation. It does not know who
//! asks for the counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, Spread};
use super::status::Requests;
use crate::exchange::{Blame, Ending, Record, RecordSink};

/// Each thread counts in one of so many places, so that few ever wait for the same line of a processor's cache; a power of two.
const SHARDS: usize = 16;

/// The classes of a final status, by its first digit; the first is for exchanges that never had one.
const CLASSES: [&str; 6] = ["none", "other", "2xx", "3xx", "4xx", "5xx"];

/// Between two looks whether the last exchange has ended: what is waited for then is a task that has something to drop.
const SETTLED_PAUSE: Duration = Duration::from_millis(1);

/// The counts of a gateway, over all reloads.
#[derive(Debug, Default)]
pub struct Tally {
    shards: [Shard; SHARDS],
}

/// The counts of some of the threads, in cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    begun: AtomicU64,
    ended: AtomicU64,
    classes: [AtomicU64; CLASSES.len()],
    failures: [AtomicU64; Blame::ALL.len()],
    clients_gone: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    took: Histogram,
}

impl Tally {
    /// Counts an exchange that begins; its record must come to the sink that [`Tally::before`] makes.
    pub fn begin(&self) {
        self.shard().begun.fetch_add(1, Ordering::Relaxed);
    }

    /// A sink that counts each record and passes it on.
    pub fn before(self: &Arc<Self>, next: Arc<dyn RecordSink>) -> Arc<dyn RecordSink> {
        Arc::new(Counted { tally: Arc::clone(self), next })
    }

    /// What has been counted so far. Exchanges go on meanwhile, so one may be in one number and not in another.
    #[must_use]
    pub fn requests(&self) -> Requests {
        let sum = |of: &dyn Fn(&Shard) -> u64| self.shards.iter().map(of).sum::<u64>();
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // The ended first: what ends in between has begun before, so that never fewer than none are running.
        let ended = self.ended();
        let begun = sum(&|shard| load(&shard.begun));
        let class = |at: usize| (CLASSES[at], sum(&|shard| load(&shard.classes[at])));
        let blame = |blame: Blame| (blame.as_str(), sum(&|shard| load(&shard.failures[blame as usize])));
        let mut took = Spread::default();
        self.shards.iter().for_each(|shard| took.add(&shard.took.spread()));
        Requests {
            running: begun.saturating_sub(ended),
            ended,
            by_status: (0..CLASSES.len()).map(class).collect(),
            failures: Blame::ALL.into_iter().map(blame).collect::<BTreeMap<_, _>>(),
            clients_gone: sum(&|shard| load(&shard.clients_gone)),
            bytes_received: sum(&|shard| load(&shard.bytes_received)),
            bytes_sent: sum(&|shard| load(&shard.bytes_sent)),
            took,
        }
    }

    /// Waits until no exchange is running: until the record of each is where it belongs.
    pub async fn settled(&self) {
        // To ring a bell would cost every request something; this is asked once, at the end.
        while self.ended() < self.shards.iter().map(|shard| shard.begun.load(Ordering::Relaxed)).sum() {
            tokio::time::sleep(SETTLED_PAUSE).await;
        }
    }

    fn ended(&self) -> u64 {
        self.shards.iter().map(|shard| shard.ended.load(Ordering::Acquire)).sum()
    }

    fn shard(&self) -> &Shard {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        }
        // A thread that is about to end has no variables of its own any more.
        &self.shards[MINE.try_with(|mine| *mine).unwrap_or_default()]
    }

    fn count(&self, record: &Record) {
        let shard = self.shard();
        let one = |count: &AtomicU64| _ = count.fetch_add(1, Ordering::Relaxed);
        let class = record.status.map_or(0, |status| match status.as_u16() / 100 {
            class @ 2..=5 => usize::from(class),
            _ => 1,
        });
        one(&shard.classes[class]);
        if let Some(failure) = record.failure {
            one(&shard.failures[failure.blame() as usize]);
        }
        if record.ending == Ending::ClientGone {
            one(&shard.clients_gone);
        }
        shard.bytes_received.fetch_add(record.bytes_received, Ordering::Relaxed);
        shard.bytes_sent.fetch_add(record.bytes_sent, Ordering::Relaxed);
        shard.took.note(record.total);
    }
}

struct Counted {
    tally: Arc<Tally>,
    next: Arc<dyn RecordSink>,
}

impl RecordSink for Counted {
    fn finish(&self, record: Record) {
        self.tally.count(&record);
        self.next.finish(record);
        // Last: whoever waits until none is running finds every record where it belongs.
        self.tally.shard().ended.fetch_add(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::exchange::testing::{Recorded, record};
    use crate::exchange::{Exchange, FailureKind};

    #[test]
    fn every_exchange_is_counted_once_whatever_thread_ends_it() {
        let (tally, sink) = (Arc::new(Tally::default()), Recorded::new());
        let counted = tally.before(sink.clone());
        let outcomes = [
            (Some(StatusCode::OK), None, Ending::Complete),
            (Some(StatusCode::BAD_GATEWAY), Some(FailureKind::BadOutput), Ending::Complete),
            (
                Some(StatusCode::SERVICE_UNAVAILABLE),
                Some(FailureKind::Overloaded { retry_after: Duration::ZERO }),
                Ending::Complete,
            ),
            (None, Some(FailureKind::ClientGone), Ending::ClientGone),
        ];
        std::thread::scope(|scope| {
            for (status, failure, ending) in outcomes {
                let (tally, counted) = (&tally, &counted);
                scope.spawn(move || {
                    tally.begin();
                    let mut record = record("/");
                    (record.status, record.failure, record.ending) = (status, failure, ending);
                    (record.bytes_received, record.bytes_sent) = (3, 10);
                    drop(Exchange::new(record, Arc::clone(counted)));
                });
            }
        });
        tally.begin();
        let requests = tally.requests();
        assert_eq!((requests.ended, requests.running, requests.clients_gone), (4, 1, 1));
        assert_eq!(
            (requests.by_status["2xx"], requests.by_status["5xx"], requests.by_status["none"]),
            (1, 2, 1)
        );
        assert_eq!(
            Blame::ALL.map(|blame| requests.failures[blame.as_str()]),
            [1, 1, 1, 0],
            "client, program, load, gateway"
        );
        assert_eq!((requests.bytes_received, requests.bytes_sent, requests.took.count()), (12, 40, 4));
        assert_eq!(sink.records().len(), 4, "all have been passed on");
    }

    #[tokio::test]
    async fn who_waits_until_all_is_settled_finds_every_record_where_it_belongs() {
        let (tally, sink) = (Arc::new(Tally::default()), Recorded::new());
        let counted = tally.before(sink.clone());
        tally.settled().await;
        tally.begin();
        let exchange = Exchange::new(record("/"), counted);
        let mut settled = std::pin::pin!(tally.settled());
        assert!(tokio::time::timeout(Duration::ZERO, settled.as_mut()).await.is_err(), "one is running");
        drop(exchange);
        settled.await;
        assert_eq!(sink.records().len(), 1);
    }
}
