//! Where a pool's requests can go: places with their capacity, what is taken of it, and what is kept there for the next.
//! Pure: it must not know sockets, tasks or the present time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::ConnectAddress;
use crate::observe::status::AddressStatus;
use crate::process::WorkerHandle;

/// The first rest of a place that refused a connection: a server that is being restarted is back that soon at the
/// earliest, and until then the others can do without the detour. Doubled each time.
const REST_MIN: Duration = Duration::from_millis(100);

/// The longest such rest: how late a place may be noticed to be back.
const REST_MAX: Duration = Duration::from_secs(5);

/// The number of a place, never given twice within a pool.
pub(crate) type PlaceKey = u64;

/// Somewhere to connect to.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its number.
    pub(crate) key: PlaceKey,
    /// Its name in the log: the worker's name, or the address.
    pub(crate) name: Arc<str>,
    /// Where to connect.
    pub(crate) address: ConnectAddress,
    /// The most connections at once; at least 1.
    pub(crate) capacity: usize,
    /// The worker that we started there.
    pub(crate) worker: Option<Arc<WorkerHandle>>,
    /// What is held against the worker's way with kept connections.
    pub(crate) suspicion: Suspicion,
    /// How many requests were sent there.
    pub(crate) uses: AtomicU64,
}

/// What is known of a worker of ours that closed a connection which was kept.
///
/// Most that do so are about to end: a new connection would still be taken by the kernel, and be lost with the worker.
/// The others always do so.
#[derive(Debug, Default)]
pub(crate) struct Suspicion(AtomicU8);

impl Suspicion {
    const NONE: u8 = 0;
    const RAISED: u8 = 1;
    const REFUTED: u8 = 2;

    /// It closed a connection that was kept.
    pub(crate) fn raise(&self) {
        let _ = self.0.compare_exchange(Self::NONE, Self::RAISED, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// It lives all the same, so it is no sign with this worker.
    pub(crate) fn refute(&self) {
        self.0.store(Self::REFUTED, Ordering::Relaxed);
    }

    /// Whether it may be about to end.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::RAISED
    }
}

/// The places of one pool; `K` is what is kept at a place: connections.
#[derive(Debug)]
pub(crate) struct Places<K> {
    slots: Vec<Slot<K>>,
}

#[derive(Debug)]
struct Slot<K> {
    place: Arc<Place>,
    /// Never more than the capacity, together with what is kept.
    taken: usize,
    /// The one used last is last, and is used first: the others may become old enough to be closed.
    kept: Vec<(K, Instant)>,
    rests_until: Option<Instant>,
    refusals: u32,
    /// The last request here was given up, and the worker may not have noticed yet.
    is_doubtful: bool,
}

/// Where a request may go.
#[derive(Debug)]
pub(crate) enum Choice<K> {
    /// To this place, one unit of whose capacity is now taken, with what was kept there.
    Go(Arc<Place>, Option<K>),
    /// All that might take it are busy.
    Busy,
    /// There is none that was not tried.
    AllTried,
    /// There are none at all.
    Nobody,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self { slots: Vec::new() }
    }
}

impl<K> Places<K> {
    /// Adds a place, with something to be kept there.
    pub(crate) fn open(&mut self, place: Arc<Place>, kept: Option<(K, Instant)>) {
        self.slots.push(Slot {
            place,
            taken: 0,
            kept: kept.into_iter().collect(),
            rests_until: None,
            refusals: 0,
            is_doubtful: false,
        });
    }

    /// Removes the places that `is_it`, and gives back what was kept there. What is taken there is forgotten.
    pub(crate) fn close(&mut self, is_it: impl Fn(&Place) -> bool) -> Vec<K> {
        let mut kept = Vec::new();
        self.slots.retain_mut(|slot| {
            let goes = is_it(&slot.place);
            if goes {
                kept.extend(slot.kept.drain(..).map(|(kept, _)| kept));
            }
            !goes
        });
        kept
    }

    /// Chooses the least busy of the places that are not in `tried`, and takes a unit of its capacity.
    ///
    /// A place whose last request was given up comes after the others, and one that refused a connection rests for a
    /// while; but a request that would otherwise have to be refused is let try even there.
    pub(crate) fn take(&mut self, tried: &[PlaceKey], now: Instant) -> Choice<K> {
        let is_open = |slot: &Slot<K>| !tried.contains(&slot.place.key);
        let best = self
            .slots
            .iter_mut()
            .filter(|slot| is_open(slot) && slot.has_room() && !slot.rests(now))
            .min_by_key(|slot| (slot.is_doubtful, slot.taken, slot.kept.is_empty()));
        if let Some(slot) = best {
            return slot.take();
        }
        if self.slots.iter().any(|slot| is_open(slot) && !slot.rests(now)) {
            return Choice::Busy;
        }
        let (is_any_open, is_empty) = (self.slots.iter().any(is_open), self.slots.is_empty());
        let rested_longest = self
            .slots
            .iter_mut()
            .filter(|slot| is_open(slot) && slot.has_room())
            .min_by_key(|slot| slot.rests_until);
        match rested_longest {
            Some(slot) => slot.take(),
            None if is_any_open => Choice::Busy,
            None if is_empty => Choice::Nobody,
            None => Choice::AllTried,
        }
    }

    /// Takes something else that is kept at a place of which a unit is taken already.
    pub(crate) fn take_kept(&mut self, key: PlaceKey) -> Option<K> {
        self.slot(key)?.kept.pop().map(|(kept, _)| kept)
    }

    /// Gives a unit of capacity back, perhaps with something to keep. What cannot be kept comes back.
    pub(crate) fn give_back(&mut self, key: PlaceKey, kept: Option<(K, Instant)>) -> Option<K> {
        let Some(slot) = self.slot(key) else { return kept.map(|(kept, _)| kept) };
        slot.taken = slot.taken.saturating_sub(1);
        slot.kept.extend(kept);
        None
    }

    /// The place answered: whatever was held against it is forgotten.
    pub(crate) fn trust(&mut self, key: PlaceKey) {
        if let Some(slot) = self.slot(key) {
            slot.is_doubtful = false;
            slot.refusals = 0;
            slot.rests_until = None;
        }
    }

    /// A request was given up there.
    pub(crate) fn doubt(&mut self, key: PlaceKey) {
        if let Some(slot) = self.slot(key) {
            slot.is_doubtful = true;
        }
    }

    /// The place refused a connection: it rests from `now` on.
    pub(crate) fn refused(&mut self, key: PlaceKey, now: Instant) {
        if let Some(slot) = self.slot(key) {
            let rest = REST_MIN.saturating_mul(1 << slot.refusals.min(16)).min(REST_MAX);
            slot.refusals = slot.refusals.saturating_add(1);
            slot.rests_until = Some(now + rest);
        }
    }

    /// Takes out everything that is kept at a place.
    pub(crate) fn clear_kept(&mut self, key: PlaceKey) -> Vec<K> {
        self.slot(key).map(|slot| slot.kept.drain(..).map(|(kept, _)| kept).collect()).unwrap_or_default()
    }

    /// Takes out what was kept before `before`.
    pub(crate) fn take_old(&mut self, before: Instant) -> Vec<K> {
        let mut old = Vec::new();
        for slot in &mut self.slots {
            let fresh = slot.kept.iter().position(|(_, since)| *since > before).unwrap_or(slot.kept.len());
            old.extend(slot.kept.drain(..fresh).map(|(kept, _)| kept));
        }
        old
    }

    /// Since when the oldest thing is kept.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.kept.first()).map(|(_, since)| *since).min()
    }

    /// How many places there are.
    pub(crate) const fn count(&self) -> usize {
        self.slots.len()
    }

    /// How many requests the places take at once.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.iter().map(|slot| slot.place.capacity).sum()
    }

    /// How many places have nothing to do.
    pub(crate) fn idle(&self) -> usize {
        self.slots.iter().filter(|slot| slot.taken == 0).count()
    }

    /// The places as they are at `now`.
    pub(crate) fn status(&self, now: Instant) -> Vec<AddressStatus> {
        let status = |slot: &Slot<K>| AddressStatus {
            name: slot.place.name.to_string(),
            in_flight: slot.taken,
            served: slot.place.uses.load(Ordering::Relaxed),
            rests: slot.rests(now),
        };
        self.slots.iter().map(status).collect()
    }

    /// When the next rest is over.
    pub(crate) fn next_rest_end(&self, now: Instant) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.rests_until).filter(|until| *until > now).min()
    }

    fn slot(&mut self, key: PlaceKey) -> Option<&mut Slot<K>> {
        self.slots.iter_mut().find(|slot| slot.place.key == key)
    }
}

impl<K> Slot<K> {
    fn has_room(&self) -> bool {
        self.taken < self.place.capacity
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }

    fn take(&mut self) -> Choice<K> {
        self.taken += 1;
        Choice::Go(Arc::clone(&self.place), self.kept.pop().map(|(kept, _)| kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(count: u64, capacity: usize) -> Places<&'static str> {
        let mut places = Places::default();
        for key in 1..=count {
            let address = ConnectAddress::Unix(format!("/{key}").into());
            let name = address.to_string().into();
            places.open(
                Arc::new(Place {
                    key,
                    name,
                    address,
                    capacity,
                    worker: None,
                    suspicion: Suspicion::default(),
                    uses: AtomicU64::new(0),
                }),
                None,
            );
        }
        places
    }

    fn key(choice: Choice<&str>) -> Option<PlaceKey> {
        if let Choice::Go(place, _) = choice { Some(place.key) } else { None }
    }

    #[test]
    fn the_least_busy_is_taken_until_all_are_full() {
        let (mut places, now) = (places(2, 2), Instant::now());
        let order: Vec<_> = (0..5).map(|_| key(places.take(&[], now))).collect();
        assert_eq!(order, [Some(1), Some(2), Some(1), Some(2), None]);
        assert!(matches!(places.take(&[], now), Choice::Busy));
        places.give_back(2, None);
        assert_eq!(key(places.take(&[], now)), Some(2));
    }

    #[test]
    fn wish_24_taken_and_kept_together_never_exceed_the_capacity() {
        let (mut places, now) = (places(1, 1), Instant::now());
        assert_eq!(key(places.take(&[], now)), Some(1));
        places.give_back(1, Some(("a", now)));
        assert!(
            matches!(places.take(&[], now), Choice::Go(_, Some("a"))),
            "what is kept is used, not added to"
        );
        assert!(matches!(places.take(&[], now), Choice::Busy));
    }

    #[test]
    fn of_two_idle_places_the_one_with_a_kept_connection_is_taken() {
        let (mut places, now) = (places(2, 1), Instant::now());
        assert_eq!(key(places.take(&[1], now)), Some(2));
        places.give_back(2, Some(("kept", now)));
        assert!(matches!(places.take(&[], now), Choice::Go(_, Some("kept"))));
    }

    #[test]
    fn a_place_that_refused_rests_longer_each_time_until_it_answers() {
        let (mut places, now) = (places(2, 1), Instant::now());
        let mut rests = Vec::new();
        for _ in 0..8 {
            places.refused(1, now);
            rests.push((places.next_rest_end(now).unwrap() - now).as_millis());
        }
        assert_eq!(rests, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(key(places.take(&[], now)), Some(2));
        assert!(key(places.take(&[], now)) == Some(1) || places.take(&[], now + REST_MAX).is_go());
        places.trust(1);
        assert_eq!(places.next_rest_end(now), None);
    }

    impl<K> Choice<K> {
        fn is_go(&self) -> bool {
            matches!(self, Self::Go(..))
        }
    }

    #[test]
    fn when_all_rest_the_one_that_is_due_first_is_tried_all_the_same() {
        let (mut places, now) = (places(2, 1), Instant::now());
        places.refused(1, now + REST_MIN);
        places.refused(2, now);
        assert_eq!(key(places.take(&[], now)), Some(2));
        places.give_back(2, None);
        assert_eq!(key(places.take(&[2], now)), Some(1));
        places.give_back(1, None);
        assert!(matches!(places.take(&[1, 2], now), Choice::AllTried));
    }

    #[test]
    fn a_busy_place_is_waited_for_rather_than_one_that_rests() {
        let (mut places, now) = (places(2, 1), Instant::now());
        assert_eq!(key(places.take(&[], now)), Some(1));
        places.refused(2, now);
        assert!(matches!(places.take(&[], now), Choice::Busy));
        assert_eq!(key(places.take(&[], now + REST_MIN)), Some(2), "its rest is over");
    }

    #[test]
    fn lesson_17_a_place_whose_request_was_given_up_comes_last_until_it_answers() {
        let (mut places, now) = (places(2, 2), Instant::now());
        places.doubt(1);
        assert_eq!(key(places.take(&[], now)), Some(2));
        assert_eq!(key(places.take(&[], now)), Some(2));
        assert_eq!(key(places.take(&[], now)), Some(1), "better than to wait");
        places.trust(1);
        assert_eq!(key(places.take(&[], now)), Some(1));
    }

    #[test]
    fn what_was_kept_for_too_long_is_taken_out_oldest_first() {
        let (mut places, now) = (places(1, 3), Instant::now());
        let second = Duration::from_secs(1);
        for (kept, age) in [("old", 0), ("middle", 1), ("new", 2)] {
            places.give_back(1, Some((kept, now + second * age)));
        }
        assert_eq!(places.oldest(), Some(now));
        assert_eq!(places.take_old(now + second), ["old", "middle"]);
        assert_eq!(places.take_kept(1), Some("new"));
        assert_eq!(places.oldest(), None);
    }

    #[test]
    fn a_place_that_closed_takes_nothing_back() {
        let (mut places, now) = (places(1, 2), Instant::now());
        places.give_back(1, Some(("kept", now)));
        assert_eq!(places.close(|place| place.key == 1), ["kept"]);
        assert_eq!(places.give_back(1, Some(("late", now))), Some("late"));
        assert!(matches!(places.take(&[], now), Choice::Nobody));
    }
}
