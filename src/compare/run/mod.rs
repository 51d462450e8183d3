//! The measuring half of `gatebridge compare`: entrants on stages of their own, asked in turns, round after round. It asks
//! over sockets and reads `/proc`; it must not know how the gateway does what it does, nor how findings are shown.
//!
//! | file | is |
//! |---|---|
//! | [`plan`] | what is to be compared, how long and how often |
//! | [`entry`] | entrants as people write them |
//! | `stage` | a gateway of its own for one entrant |
//! | `contender` | one entrant while it is measured |
//! | `starts` | a program started by itself, timed until its first byte |
//! | `guard` | sees to it that such a program ends |
//! | `told` | the question as a program is told it |
//! | `first` | the question asked once |
//! | `account` | what processes have cost so far |
//! | `machine` | what this machine is |

mod account;
mod contender;
pub mod entry;
mod first;
mod guard;
mod machine;
pub mod plan;
mod stage;
mod starts;
#[cfg(test)]
mod testing;
mod told;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use super::findings::{Build, Findings, SCHEMA, Settings};
use contender::Contender;
use machine::machine;
pub use plan::{Entrant, Plan, Url, Way};

/// Is told how far the comparison has come.
pub trait Progress {
    /// `done` of `all` steps are done; now this happens.
    fn step(&mut self, done: u32, all: u32, what: &str);
}

/// Why there are no findings.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Somebody wanted the end before there was anything to tell.
    #[error("interrupted")]
    Interrupted,
}

/// Compares. All that was started has ended when this comes back.
///
/// What one entrant does wrong stands in its figures, and the others are measured without it.
///
/// # Errors
/// [`CompareError::Interrupted`].
pub fn run(
    plan: &Plan,
    progress: &mut dyn Progress,
    interrupted: &AtomicBool,
) -> Result<Findings, CompareError> {
    let begun = Instant::now();
    let began_at = utc_now();
    let machine = machine();
    let mut steps = Steps { progress, done: 0, all: (plan.rounds + 2) * plan.entrants.len() as u32 };
    let go_on = || match interrupted.load(Ordering::Relaxed) {
        true => Err(CompareError::Interrupted),
        false => Ok(()),
    };
    let mut contenders = Vec::new();
    for entrant in &plan.entrants {
        steps.step(&format!("starting {}", entrant.name));
        contenders.push(Contender::enter(plan, entrant));
        go_on()?;
    }
    compare_answers(&mut contenders);
    for contender in contenders.iter_mut() {
        steps.step(&format!("warming up {}", contender.name()));
        if contender.goes_on() {
            contender.warm_up(interrupted);
        }
        go_on()?;
    }
    for round in 0..plan.rounds {
        // Who came last comes first in the next round: nobody always runs behind the same one.
        let mut turns: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for turn in turns {
            let contender = &mut contenders[turn];
            steps.step(&format!("round {} of {}: {}", round + 1, plan.rounds, contender.name()));
            if contender.goes_on() {
                contender.round(interrupted);
            }
            go_on()?;
        }
    }
    let contestants = contenders.into_iter().map(Contender::finish).collect();
    Ok(Findings {
        schema: SCHEMA,
        began_at,
        took_s: begun.elapsed().as_secs_f64(),
        machine,
        gatebridge: Build { version: env!("CARGO_PKG_VERSION").into(), debug: cfg!(debug_assertions) },
        settings: settings(plan),
        contestants,
    })
}

struct Steps<'p> {
    progress: &'p mut dyn Progress,
    done: u32,
    all: u32,
}

impl Steps<'_> {
    fn step(&mut self, what: &str) {
        self.progress.step(self.done, self.all, what);
        self.done += 1;
    }
}

/// Looks whether all answer alike: figures of different answers are figures of different work.
fn compare_answers(contenders: &mut [Contender<'_>]) {
    let mut first = None;
    for contender in contenders.iter_mut().filter(|contender| contender.goes_on()) {
        let Some(answer) = contender.first_answer() else { continue };
        match &first {
            None => first = Some((contender.name().to_owned(), answer)),
            Some((name, expected)) => {
                if let Some(difference) = answer.differs_from(expected, name) {
                    contender.remark(format!("its answer {difference}"));
                }
            }
        }
    }
}

fn settings(plan: &Plan) -> Settings {
    Settings {
        method: plan.question.method.clone(),
        target: plan.question.path.clone(),
        body_bytes: plan.question.body.as_ref().map_or(0, |body| body.len() as u64),
        rounds: plan.rounds,
        duration_s: plan.duration.as_secs_f64(),
        requests: plan.requests,
        warm_up_s: plan.warm_up.as_secs_f64(),
        clients: plan.clients.clone(),
        rate_per_s: plan.rate_per_s,
        workers: plan.workers,
        starts: plan.starts,
    }
}

/// The time of day as RFC 3339 has it, made of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn utc_now() -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let date = httpdate::fmt_http_date(SystemTime::now());
    let month = MONTHS.find(&date[8..11]).map_or(0, |at| at / 3 + 1);
    format!("{}-{month:02}-{}T{}Z", &date[12..16], &date[5..7], &date[17..25])
}
