//! One call of an asynchronous application and what comes of it, the same under every runner; it must not know the runner.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use ::tokio::sync::Notify;
use bytes::Bytes;
use gatebridge_cgi::Environ;

use super::abort::Aborted;
use super::answer::StartResponse;
use super::application::Application;
use super::input::{Input, Source};
use super::lint::watch;
use super::outbox::{Batch, Form, Outbox, Posting};
use super::outlet::Shared;
use crate::application::Result;
use crate::inbox::Inbox;
use crate::perform::{Outcome, conclude, name, panic_text};
use crate::script::{Facts, ScriptWriter};

/// Both ways of one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways {
    pub(super) inbox: Arc<Inbox>,
    pub(super) outbox: Arc<Outbox>,
}

/// Takes what leaves to where it goes.
pub(super) trait Link: Send {
    /// Writes a batch, and returns when the system has it.
    fn send(&mut self, batch: &Batch) -> impl Future<Output = io::Result<()>> + Send;
}

/// Calls the application, and takes away what it answers meanwhile. An error or a panic becomes a 500 if nothing has left,
/// and is told on the error stream.
pub(super) async fn perform(
    application: &impl Application,
    (environ, input): (Environ, Input),
    (form, facts): (impl Form, Facts),
    ways: &Ways,
    link: &mut impl Link,
) -> Outcome {
    // The environ is the application's. What its failure would be told with costs no copy.
    let told = Environ {
        method: environ.method.clone(),
        script_name: environ.script_name.clone(),
        path_info: environ.path_info.clone(),
        ..Environ::default()
    };
    let Ways { inbox, outbox } = ways.clone();
    let posting = Posting { form, inbox: Arc::clone(&inbox), outbox: Arc::clone(&outbox) };
    let outlet = Shared::new(ScriptWriter::over(Box::new(posting), facts));
    let start = StartResponse::new(outlet.clone());
    let answer = async {
        let call = async {
            // As with `debug_assert`: who writes a program sees its mistakes, and who runs it does not pay for the search.
            if cfg!(debug_assertions) && application.is_watched() {
                watch(application, environ, input, start).await
            } else {
                application.call(environ, input, start).await
            }
        };
        let called = caught(call).await;
        let outcome = outlet.with(|outlet| conclude(called, || name(&told), outlet));
        outbox.close();
        outcome
    };
    let carry = async {
        while let Some(batch) = poll_fn(|context| outbox.poll_batch(context)).await {
            let left = link.send(&batch).await;
            if left.is_err() {
                inbox.abort(true);
            }
            outbox.done(left);
        }
    };
    match ::tokio::join!(answer, carry).0 {
        // An apology is given without waiting; only here is it known whether anybody took it, and with it the end.
        Outcome::Answered if outbox.has_failed() => Outcome::Aborted,
        outcome => outcome,
    }
}

/// A panic as an error.
async fn caught(call: impl Future<Output = Result>) -> Result {
    let mut call = pin!(call);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
        polled.unwrap_or_else(|payload| Poll::Ready(Err(panic_text(&*payload).into())))
    })
    .await
}

/// The body of a request as it comes into its inbox.
pub(super) struct InboxSource {
    pub(super) inbox: Arc<Inbox>,
    /// Notified when the application waits for a piece.
    pub(super) demand: Arc<Notify>,
    /// The file in which the whole body lies.
    pub(super) file: Option<File>,
}

impl Source for InboxSource {
    fn poll_piece(&mut self, context: &mut std::task::Context<'_>) -> Poll<io::Result<Bytes>> {
        self.inbox.poll_piece(context, || self.demand.notify_one())
    }

    fn file(&self) -> io::Result<Option<File>> {
        self.file.as_ref().map(File::try_clone).transpose()
    }

    fn aborted(&self) -> Aborted {
        Aborted::of(Arc::clone(&self.inbox))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokio::application;
    use crate::tokio::outbox::Script;

    /// A connection whose peer has aborted the request.
    struct Aborted;

    impl Link for Aborted {
        async fn send(&mut self, _: &Batch) -> io::Result<()> {
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }

    #[::tokio::test]
    async fn lesson_15_an_apology_that_nobody_takes_does_not_end_a_request() {
        let fails = application(|_, _, _| async { Err("no luck".into()) });
        let asked = (Environ::default(), Input::new(Bytes::new(), Some(0)));
        let facts = Facts { is_head: false, takes_hints: false };
        let outcome = perform(&fails, asked, (Script, facts), &Ways::default(), &mut Aborted).await;
        assert_eq!(outcome, Outcome::Aborted, "else its runner would not say END_REQUEST");
    }
}
