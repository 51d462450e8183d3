//! How many connections a front has, in all and for each address. It does not know what they are doing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Shared;
use crate::io::Peer;

/// The count of a front's connections.
#[derive(Debug)]
pub(super) struct Census {
    open: AtomicUsize,
    max: usize,
    left: Notify,
    addresses: Option<Addresses>,
}

#[derive(Debug)]
struct Addresses {
    max: usize,
    open: Mutex<HashMap<IpAddr, Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    served: usize,
    refused: usize,
}

/// What becomes of a connection that has come.
pub(super) enum Admission {
    /// It is served.
    Served(Seat),
    /// Its address has as many connections as it may, and it is told so.
    Refused(Seat),
    /// Its address has as many connections as it may, and as many again that are being told so: it is closed without a
    /// word, so that nobody can take all the room by being refused.
    Dropped,
}

/// One connection's place in the count; dropping it leaves.
pub(super) struct Seat {
    shared: Arc<Shared>,
    address: Option<IpAddr>,
    is_refused: bool,
}

impl Census {
    pub(super) fn new(max: usize, max_per_ip: Option<usize>) -> Self {
        let addresses = max_per_ip.map(|max| Addresses { max, open: Mutex::default() });
        Self { open: AtomicUsize::new(0), max, left: Notify::new(), addresses }
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until there is room for one more.
    pub(super) async fn room(&self) {
        while self.open.load(Ordering::Acquire) >= self.max {
            self.left.notified().await;
        }
    }

    /// Waits until a connection leaves.
    pub(super) async fn one_left(&self) {
        self.left.notified().await;
    }

    /// Counts one more. Only the accepting task enters, so the room it saw is still there.
    pub(super) fn enter(&self, shared: &Arc<Shared>, peer: Peer) -> Admission {
        let mut seat = Seat { shared: Arc::clone(shared), address: None, is_refused: false };
        self.open.fetch_add(1, Ordering::AcqRel);
        let (Peer::Tcp { remote, .. }, Some(addresses)) = (peer, &self.addresses) else {
            return Admission::Served(seat);
        };
        let address = whose(remote.ip());
        let mut open = lock(&addresses.open);
        let counts = open.entry(address).or_default();
        if counts.served < addresses.max {
            counts.served += 1;
        } else if counts.refused < addresses.max {
            counts.refused += 1;
            seat.is_refused = true;
        } else {
            // The seat's drop takes the lock too.
            drop(open);
            return Admission::Dropped;
        }
        seat.address = Some(address);
        if seat.is_refused { Admission::Refused(seat) } else { Admission::Served(seat) }
    }
}

impl Addresses {
    fn leave(&self, address: IpAddr, is_refused: bool) {
        let mut open = lock(&self.open);
        if let Some(counts) = open.get_mut(&address) {
            let count = if is_refused { &mut counts.refused } else { &mut counts.served };
            *count -= 1;
            if counts.served == 0 && counts.refused == 0 {
                open.remove(&address);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let census = &self.shared.census;
        if let (Some(address), Some(addresses)) = (self.address, &census.addresses) {
            addresses.leave(address, self.is_refused);
        }
        census.open.fetch_sub(1, Ordering::AcqRel);
        census.left.notify_one();
    }
}

/// Whom an address stands for: of IPv6, one subscriber has a network of 64 bits at least (RFC 6177 2), and so as many
/// addresses as it likes.
fn whose(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Counts are plain numbers, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ipv6_network_is_one_client_and_every_ipv4_address_its_own() {
        let whose = |text: &str| whose(text.parse().unwrap());
        assert_eq!(whose("2001:db8:1:2:3:4:5:6"), whose("2001:db8:1:2:ffff::1"));
        assert_ne!(whose("2001:db8:1:2::1"), whose("2001:db8:1:3::1"));
        assert_ne!(whose("192.0.2.1"), whose("192.0.2.2"));
        assert_eq!(whose("::ffff:192.0.2.1"), whose("192.0.2.1"));
    }
}
