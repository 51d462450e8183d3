//! Ids for exchanges. It does not know what they are used for.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// The id of one exchange: 20 characters of `[0-9a-z]`, safe in a log, a header, a file name or a shell.
///
/// The first twelve are random and the same for all exchanges of one gateway process, the last eight count them; so two
/// never meet, and those of one process sort by time.
pub type UniqueId = Bytes;

/// Crockford's alphabet: no letter that is mistaken for a digit.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const PREFIX_CHARACTERS: usize = 12;
const COUNTER_CHARACTERS: usize = 8;

static PREFIX: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
static COUNTER: AtomicU64 = AtomicU64::new(1);

/// A new id.
///
/// # Example
///
/// ```
/// let id = gatebridge::exchange::unique_id();
/// assert_eq!(id.len(), 20);
/// assert_ne!(id, gatebridge::exchange::unique_id());
/// ```
#[must_use]
pub fn unique_id() -> UniqueId {
    let mut text = [0; PREFIX_CHARACTERS + COUNTER_CHARACTERS];
    let (prefix, counter) = text.split_at_mut(PREFIX_CHARACTERS);
    write(*PREFIX, prefix);
    write(COUNTER.fetch_add(1, Ordering::Relaxed), counter);
    Bytes::copy_from_slice(&text)
}

fn write(mut number: u64, place: &mut [u8]) {
    for character in place.iter_mut().rev() {
        *character = ALPHABET[(number & 31) as usize];
        number >>= 5;
    }
}
