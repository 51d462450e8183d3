//! The end of service, told to whoever serves, and the wait until all have ended. It does not know why it drains.

use tokio::sync::{mpsc, watch};

/// How far the end of service has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Service goes on.
    Serving,
    /// Whatever has begun is ended in peace; nothing new is begun.
    Draining,
    /// The time for that is over: everything ends at once.
    Cut,
}

/// Starts the drain and waits for its end.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
    guard: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

/// Sees how far the drain has come, and keeps it from being over for as long as it lives. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DrainWatch {
    phase: watch::Receiver<Phase>,
    _guard: mpsc::Sender<()>,
}

/// Lets those in who serve one thing each, for as long as the drain has not begun; keeps nothing from being over itself.
#[derive(Clone, Debug)]
pub struct Entrance {
    phase: watch::Receiver<Phase>,
    guard: mpsc::WeakSender<()>,
}

impl Entrance {
    /// A view for one who begins now; `None` when nothing new is to be begun.
    #[must_use]
    pub fn enter(&self) -> Option<DrainWatch> {
        let is_open = self.phase.has_changed().is_ok() && *self.phase.borrow() == Phase::Serving;
        let guard = is_open.then(|| self.guard.upgrade()).flatten()?;
        Some(DrainWatch { phase: self.phase.clone(), _guard: guard })
    }
}

impl Drain {
    /// A drain that has not begun.
    #[must_use]
    pub fn new() -> Self {
        let (guard, ended) = mpsc::channel(1);
        Self { phase: watch::Sender::new(Phase::Serving), guard, ended }
    }

    /// A view of it for those who serve.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        DrainWatch { phase: self.phase.subscribe(), _guard: self.guard.clone() }
    }

    /// A way in for those who come one by one.
    #[must_use]
    pub fn entrance(&self) -> Entrance {
        Entrance { phase: self.phase.subscribe(), guard: self.guard.downgrade() }
    }

    /// Tells everybody to end what they have begun and to begin nothing new.
    pub fn begin(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Tells everybody to end at once.
    pub fn cut(&self) {
        self.phase.send_replace(Phase::Cut);
    }

    /// Whether every watch has been dropped.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase.receiver_count() == 0
    }

    /// Waits until every watch has been dropped. May be cancelled and called again.
    pub async fn ended(&mut self) {
        // Our own sender would keep the channel open for ever; after this nobody can watch any more, and need not.
        self.guard = mpsc::channel(1).0;
        self.ended.recv().await;
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl DrainWatch {
    /// Whether the drain has come so far.
    #[must_use]
    pub fn is(&self, phase: Phase) -> bool {
        *self.phase.borrow() >= phase
    }

    /// Waits until the drain has come further than this watch has been told, and tells how far.
    pub async fn next_phase(&mut self) -> Phase {
        match self.phase.changed().await {
            Ok(()) => *self.phase.borrow_and_update(),
            // A sender that is gone means that nobody can drain any more: the same as the end.
            Err(_) => Phase::Cut,
        }
    }

    /// Waits until the drain has come so far; at once if it has.
    pub async fn reached(&mut self, phase: Phase) {
        // A sender that is gone means that nobody can drain any more: the same as the end.
        drop(self.phase.wait_for(|reached| *reached >= phase).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_entrance_is_closed_when_the_drain_begins_and_keeps_nobody_waiting() {
        let mut drain = Drain::new();
        let entrance = drain.entrance();
        let inside = entrance.enter().unwrap();
        drain.begin();
        assert!(entrance.enter().is_none());
        drop(inside);
        drain.ended().await;
        let left = Drain::new().entrance();
        assert!(left.enter().is_none(), "nobody is there to drain it");
    }

    #[tokio::test]
    async fn a_drain_ends_when_the_last_watch_is_dropped() {
        let mut drain = Drain::new();
        let mut watch = drain.watch();
        assert!(!watch.is(Phase::Draining));
        drain.begin();
        assert_eq!(
            watch.clone().next_phase().await,
            Phase::Draining,
            "a clone is told what its original was not"
        );
        watch.reached(Phase::Draining).await;
        assert!(!watch.is(Phase::Cut));
        {
            let ended = std::pin::pin!(drain.ended());
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(std::future::Future::poll(ended, &mut cx).is_pending());
        }
        drain.cut();
        watch.reached(Phase::Cut).await;
        assert!(!drain.is_over());
        drop(watch);
        assert!(drain.is_over());
        drain.ended().await;
    }
}
