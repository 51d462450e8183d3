//! What holds for any bytes whatever: no panic, no limit passed, and the same said however they are cut. Run by the property
//! tests, over the corpus, and by the fuzz target.

use gatebridge_http1::Limits;
use http::Method;

use crate::transcript::{of_client, of_server};

/// Small limits, so that random bytes reach them.
pub(crate) const TIGHT: Limits = Limits {
    max_target_bytes: 64,
    max_method_bytes: 10,
    max_head_bytes: 512,
    max_fields: 8,
    max_blank_lines: 1,
    max_chunk_line_bytes: 24,
    max_extension_bytes: 32,
    max_trailer_bytes: 128,
    max_trailer_fields: 3,
    max_body_bytes: 256,
};

/// Panics if one of them does not hold. `selector` chooses cuts, limits and the client's method.
pub(crate) fn hold(selector: u8, bytes: &[u8]) {
    let limits = if selector & 1 == 0 { TIGHT } else { Limits::default() };
    let each: Vec<usize> = (0..bytes.len()).collect();
    let one = [usize::from(selector >> 1) % (bytes.len() + 1)];

    let whole = of_server(limits, bytes, &[]);
    assert_eq!(of_server(limits, bytes, &each), whole, "byte by byte");
    assert_eq!(of_server(limits, bytes, &one), whole, "cut at {one:?}");

    let method = match selector >> 1 & 3 {
        0 => Method::HEAD,
        1 => Method::CONNECT,
        _ => Method::GET,
    };
    let ends = selector >> 3 & 1 == 0;
    let whole = of_client(limits, &method, bytes, ends, &[]);
    assert_eq!(of_client(limits, &method, bytes, ends, &each), whole, "byte by byte");
    assert_eq!(of_client(limits, &method, bytes, ends, &one), whole, "cut at {one:?}");
}
