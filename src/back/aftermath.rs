//! What becomes of a program whose response is complete before it has ended: it may end in peace, within limits. It
//! must not know the response.

use std::future::poll_fn;
use std::time::Duration;

use super::line::Line;

/// How long a program may go on after its response is complete. Long enough for the work that scripts do "behind the
/// client's back" (send a mail, write a log), short enough that a script that forgot to end does not keep its place.
const AFTERMATH_LIMIT: Duration = Duration::from_secs(30);

/// How many bytes it may still write. Programs write payload to HEAD requests too; one that writes without end is
/// stopped after this much rather than read for ever.
const AFTERMATH_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Sees the program out: reads and discards what it writes until it ends, and gives the line back if it was `honest`.
///
/// This runs beside the exchange, whose client need not wait for it. Outside a runtime the line is dropped instead,
/// which ends the program.
pub(crate) fn see_out<L: Line>(mut line: L, honest: bool) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        let ended = tokio::time::timeout(AFTERMATH_LIMIT, discard(&mut line)).await;
        if honest && ended == Ok(true) {
            line.finish();
        }
    });
}

/// Whether the program ended properly, and before it wrote too much.
async fn discard<L: Line>(line: &mut L) -> bool {
    let mut discarded = 0;
    loop {
        match poll_fn(|cx| line.poll_output(cx)).await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(piece)) => discarded += piece.len(),
        }
        if discarded > AFTERMATH_MAX_BYTES {
            return false;
        }
    }
}
