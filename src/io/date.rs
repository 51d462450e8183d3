//! The `Date` of responses, formatted once a second per thread. It knows nothing of responses.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

thread_local! {
    static CACHED: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The present date and time as a `Date` field wants it (RFC 9110 5.6.7, IMF-fixdate), to the second.
///
/// # Example
///
/// ```
/// assert!(gatebridge::io::http_date().to_str().unwrap().ends_with(" GMT"));
/// ```
#[must_use]
pub fn http_date() -> HeaderValue {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    CACHED.with_borrow_mut(|cached| match cached {
        Some((at, value)) if *at == seconds => value.clone(),
        _ => {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            // The text is 29 bytes of ASCII; should that ever change, an empty Date beats none of the response.
            let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
                .unwrap_or_else(|_| HeaderValue::from_static(""));
            *cached = Some((seconds, value.clone()));
            value
        }
    })
}
