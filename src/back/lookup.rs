//! What is answered where no script or file is found: the same for every back. It must not know how it was looked for.

use std::time::Duration;

use crate::exchange::{Failure, FailureKind};
use crate::route::LookupFailure;

/// What Retry-After says when the machine is short of something: it is there again as soon as a request ends.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The failure of a request whose path led to nothing.
pub(super) fn not_there(failure: &LookupFailure) -> Failure {
    let kind = match failure.status() {
        400 => FailureKind::BadRequest,
        403 => FailureKind::Forbidden,
        404 => FailureKind::NotFound,
        503 => FailureKind::Overloaded { retry_after: RETRY_AFTER },
        _ => FailureKind::Internal,
    };
    Failure::new(kind, failure.to_string())
}
