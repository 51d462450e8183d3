//! What a worker may be, and what makes it something else: the whole table. It must not know time, sockets or processes.
//!
//! ```text
//!             Proved            Leased
//!  Starting ----------> Idle -----------> Busy
//!     |  |               | ^   Returned    | |
//!     |  |       Retired | +---------------+ | Retired
//!     |  |               v                   v
//!     |  +-----------> Retiring <------------+        Retiring gets no request any more and ends those it has.
//!     |                  |
//!     | Condemned        | Condemned   (and from Idle and Busy too)
//!     v                  v
//!    Killing <-----------+                            Killing was sent TERM, and is sent KILL after the grace.
//!     |
//!     | Exited           (and from every other state too)
//!     v
//!    Gone
//! ```
//!
//! All transitions are in [`State::next`]; everybody else only tells what happened.

use std::fmt;

/// What a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It was started and has not yet taken a connection.
    Starting,
    /// It has nothing to do.
    Idle,
    /// It has a request, or as many as its concurrency allows.
    Busy,
    /// It gets no request any more, and is ended when it has none left.
    Retiring,
    /// It was sent TERM; KILL follows after the grace.
    Killing,
    /// Its process has ended.
    Gone,
}

/// What happens to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It took its first connection.
    Proved,
    /// It was given a request while it had none.
    Leased,
    /// Its last request has ended.
    Returned,
    /// It is to get no more requests.
    Retired,
    /// It is to end now.
    Condemned,
    /// Its process has ended, for whatever reason.
    Exited,
}

impl State {
    /// Every state, in the order of a worker's life.
    pub const ALL: [Self; 6] =
        [Self::Starting, Self::Idle, Self::Busy, Self::Retiring, Self::Killing, Self::Gone];

    /// What a worker in this state becomes by `event`; `None` where that cannot happen.
    #[must_use]
    pub const fn next(self, event: Event) -> Option<Self> {
        use Event::{Condemned, Exited, Leased, Proved, Retired, Returned};
        Some(match (self, event) {
            (Self::Gone, _) => return None,
            (_, Exited) => Self::Gone,
            (_, Condemned) => Self::Killing,
            (Self::Starting, Proved) | (Self::Busy, Returned) => Self::Idle,
            (Self::Idle, Leased) => Self::Busy,
            (Self::Starting | Self::Idle | Self::Busy | Self::Retiring, Retired) => Self::Retiring,
            // What was under way when the decision fell changes nothing any more.
            (Self::Retiring, Proved | Leased | Returned) => Self::Retiring,
            (Self::Killing, Proved | Leased | Returned | Retired) => Self::Killing,
            (Self::Starting, Leased | Returned)
            | (Self::Idle, Proved | Returned)
            | (Self::Busy, Proved | Leased) => return None,
        })
    }

    /// Whether it may be given requests.
    #[must_use]
    pub const fn serves(self) -> bool {
        matches!(self, Self::Idle | Self::Busy)
    }

    /// Its name in the log and on the status page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Retiring => "retiring",
            Self::Killing => "killing",
            Self::Gone => "gone",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 6] =
        [Self::Proved, Self::Leased, Self::Returned, Self::Retired, Self::Condemned, Self::Exited];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(events: &[Event]) -> Option<State> {
        events.iter().try_fold(State::Starting, |state, event| state.next(*event))
    }

    #[test]
    fn a_life_in_full() {
        use Event::{Condemned, Exited, Leased, Proved, Retired, Returned};
        assert_eq!(walk(&[Proved]), Some(State::Idle));
        assert_eq!(walk(&[Proved, Leased]), Some(State::Busy));
        assert_eq!(walk(&[Proved, Leased, Returned]), Some(State::Idle));
        assert_eq!(walk(&[Proved, Leased, Retired, Returned]), Some(State::Retiring));
        assert_eq!(walk(&[Proved, Leased, Retired, Returned, Condemned]), Some(State::Killing));
        assert_eq!(walk(&[Proved, Leased, Retired, Returned, Condemned, Exited]), Some(State::Gone));
    }

    #[test]
    fn every_state_but_gone_can_be_condemned_and_can_exit() {
        for state in State::ALL.into_iter().filter(|state| *state != State::Gone) {
            assert_eq!(state.next(Event::Condemned), Some(State::Killing), "{state}");
            assert_eq!(state.next(Event::Exited), Some(State::Gone), "{state}");
        }
    }

    #[test]
    fn nothing_happens_to_the_gone() {
        assert!(Event::ALL.into_iter().all(|event| State::Gone.next(event).is_none()));
    }

    #[test]
    fn what_was_once_taken_out_of_service_never_serves_again() {
        for state in [State::Retiring, State::Killing] {
            for event in Event::ALL {
                assert!(state.next(event).is_some_and(|next| !next.serves()), "{state} {event:?}");
            }
        }
    }

    #[test]
    fn what_cannot_happen_is_told() {
        assert_eq!(State::Starting.next(Event::Leased), None);
        assert_eq!(State::Idle.next(Event::Proved), None);
        assert_eq!(State::Idle.next(Event::Returned), None);
        assert_eq!(State::Busy.next(Event::Leased), None);
    }
}
