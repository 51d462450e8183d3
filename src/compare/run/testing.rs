//! A plan for tests: short, and with nobody in it.

use std::time::Duration;

use super::plan::Plan;
use crate::compare::load::Question;

/// A short plan without entrants.
pub(super) fn plan() -> Plan {
    Plan {
        gatebridge: "gatebridge".into(),
        entrants: Vec::new(),
        question: Question::default(),
        rounds: 2,
        duration: Duration::from_millis(20),
        requests: None,
        warm_up: Duration::ZERO,
        clients: vec![1],
        rate_per_s: None,
        workers: 1,
        starts: 1,
        timeout: Duration::from_secs(30),
        environment: Vec::new(),
    }
}
