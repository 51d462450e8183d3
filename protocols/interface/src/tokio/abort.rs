//! That nobody waits for an answer any more, as something to wait for; it must not know why.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::inbox::Inbox;

/// Ends when nobody waits for the answer any more: the client left, or the gateway gave up.
///
/// It borrows nothing, so it can be waited for beside anything else; a clone waits for the same.
///
/// ```
/// use gatebridge_interface::tokio::{Input, StartResponse};
/// use gatebridge_interface::{Environ, Result};
///
/// async fn think(_: Environ, _: Input, start: StartResponse) -> Result {
///     let answer = tokio::select! {
///         answer = long_thoughts() => answer,
///         () = start.aborted() => return Err("nobody waits for the answer".into()),
///     };
///     start.answer(200, [("Content-Type", "text/plain")], answer).await
/// }
/// # async fn long_thoughts() -> String { "42\n".to_owned() }
/// # fn runs(_: impl gatebridge_interface::tokio::Application) {}
/// # runs(think);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a future does nothing unless it is awaited; `is_aborted` asks at once"]
pub struct Aborted(Option<Arc<Inbox>>);

impl Aborted {
    pub(super) const fn of(inbox: Arc<Inbox>) -> Self {
        Self(Some(inbox))
    }

    /// Never ends: for requests that are all in memory.
    pub const fn never() -> Self {
        Self(None)
    }

    /// Whether nobody waits any more. Once so, it stays so.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.0.as_ref().is_some_and(|inbox| inbox.is_aborted())
    }
}

impl Future for Aborted {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_ref().map_or(Poll::Pending, |inbox| inbox.poll_aborted(context))
    }
}
