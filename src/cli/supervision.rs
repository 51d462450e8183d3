//! Between `serve` and the service manager that started it: readiness, reloads, the end, signs of life, and the sockets that
//! it passed. It does not know what systemd does about any of it, nor how requests are served.

use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::{debug, warn};

use crate::config::{Config, ListenAddress, Listener};
use crate::gateway::Gateway;
use crate::process::{News, Notifier, Passed, PassedError};

/// The pause before workers that were not ready in time are asked about again. The manager has a time limit of its own.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What the service manager told us, and the tasks that tell it of us.
pub(super) struct Supervision {
    notifier: Notifier,
    passed: Passed,
    /// Tells that the gateway is ready; finished when it has been told.
    readiness: Option<JoinHandle<()>>,
}

impl Supervision {
    /// Takes the manager's variables out of the environment. First thing in `main`.
    pub(super) fn take() -> Self {
        Self { notifier: Notifier::take(), passed: Passed::take(), readiness: None }
    }

    /// Puts the descriptors that were passed in the place of their names: a listener for each, all with the same settings.
    ///
    /// # Errors
    ///
    /// A name that nothing was passed under.
    pub(super) fn find_sockets(&self, config: &mut Config) -> Result<(), PassedError> {
        let mut listeners = Vec::with_capacity(config.listeners.len());
        for listener in config.listeners.drain(..) {
            let ListenAddress::Named(name) = &listener.address else {
                listeners.push(listener);
                continue;
            };
            let numbers = self.passed.named(name)?;
            let at = |number| Listener { address: ListenAddress::Descriptor(number), ..listener.clone() };
            listeners.extend(numbers.into_iter().map(at));
        }
        config.listeners = listeners;
        Ok(())
    }

    /// Gives signs of life from now on, if the watchdog waits for them: from a task like all others, so that they stop when
    /// no task gets on.
    pub(super) fn live(&self) {
        let Some(pulse) = self.notifier.pulse() else { return };
        let notifier = self.notifier.clone();
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(pulse);
            loop {
                beat.tick().await;
                if let Err(error) = notifier.tell(News::Alive) {
                    debug!(%error, "the service manager's watchdog cannot be told that all is well");
                }
            }
        });
    }

    /// Tells that the gateway is ready as soon as its workers are.
    pub(super) fn tell_when_ready(&mut self, gateway: &Gateway) {
        if !self.notifier.is_heard() {
            return;
        }
        self.forget_readiness();
        let (notifier, status) = (self.notifier.clone(), status(gateway));
        let pools = gateway.readiness();
        self.readiness = Some(tokio::spawn(async move {
            while let Err(error) = pools.ready().await {
                tell(&notifier, News::Status(&format!("not ready: {error:#}")));
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            tell(&notifier, News::Ready(&status));
        }));
    }

    pub(super) fn reloading(&self) {
        tell(&self.notifier, News::Reloading);
    }

    /// Tells that a reload is over, with a line for people.
    pub(super) fn reloaded(&mut self, gateway: &Gateway, succeeded: bool) {
        if !self.notifier.is_heard() {
            return;
        }
        let is_ready = self.readiness.as_ref().is_some_and(JoinHandle::is_finished);
        if !is_ready {
            // It was never ready; the reload does not change that.
            return self.tell_when_ready(gateway);
        }
        let refused = "reload refused, the old configuration goes on; the log says why".to_owned();
        tell(&self.notifier, News::Ready(&if succeeded { status(gateway) } else { refused }));
    }

    pub(super) fn stopping(&mut self) {
        self.forget_readiness();
        tell(&self.notifier, News::Stopping);
    }

    /// From now on it is too late to tell that the gateway is ready.
    fn forget_readiness(&mut self) {
        if let Some(readiness) = self.readiness.take() {
            readiness.abort();
        }
    }
}

fn status(gateway: &Gateway) -> String {
    let addresses: Vec<String> = gateway.addresses().collect();
    format!("listening on {}", addresses.join(", "))
}

fn tell(notifier: &Notifier, news: News<'_>) {
    if let Err(error) = notifier.tell(news) {
        warn!(%error, ?news, "the service manager cannot be told (NOTIFY_SOCKET)");
    }
}
