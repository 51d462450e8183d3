//! How many connections a front has, in all and for each address. It does not know what they are doing.

use std::collections::HashMap;
use std::net::IpAddr;
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
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// The address has as many connections as it may.
#[derive(Debug)]
pub(super) struct Refused;

/// One connection's place in the count; dropping it leaves.
pub(super) struct Seat {
    shared: Arc<Shared>,
    address: Option<IpAddr>,
}

impl Census {
    pub(super) fn new(max: usize, max_per_ip: Option<usize>) -> Self {
        let addresses = max_per_ip.map(|max| Addresses { max, open: Mutex::default() });
        Self { open: AtomicUsize::new(0), max, left: Notify::new(), addresses }
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
    pub(super) fn enter(&self, shared: &Arc<Shared>, peer: Peer) -> Result<Seat, Refused> {
        let address = match (peer, &self.addresses) {
            (Peer::Tcp { remote, .. }, Some(addresses)) => {
                addresses.enter(remote.ip())?;
                Some(remote.ip())
            }
            _ => None,
        };
        self.open.fetch_add(1, Ordering::AcqRel);
        Ok(Seat { shared: Arc::clone(shared), address })
    }
}

impl Addresses {
    fn enter(&self, address: IpAddr) -> Result<(), Refused> {
        let mut open = lock(&self.open);
        let count = open.entry(address).or_insert(0);
        if *count >= self.max {
            return Err(Refused);
        }
        *count += 1;
        Ok(())
    }

    fn leave(&self, address: IpAddr) {
        let mut open = lock(&self.open);
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let census = &self.shared.census;
        if let (Some(address), Some(addresses)) = (self.address, &census.addresses) {
            addresses.leave(address);
        }
        census.open.fetch_sub(1, Ordering::AcqRel);
        census.left.notify_one();
    }
}

/// Counts are plain numbers, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
