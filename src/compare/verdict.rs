//! What may be concluded from a comparison, and what may not. It knows the figures, not how they were measured nor how
//! they are said.

use serde::Serialize;

use super::Spread;
use super::findings::{Contestant, Findings, Mode};
use super::spread::median;

/// Requests that must lie beyond a percentile before it is told: with fewer, it is the luck of single requests.
/// The median takes 20 requests then, the 99th percentile 1,000, the 99.9th 10,000.
pub const REQUESTS_BEYOND: f64 = 10.0;

/// Rounds below which there is no spread to judge a difference by.
pub const MIN_ROUNDS: usize = 3;

/// A difference between the best and the worst round of more than this share of the median is called noise: then rounds
/// differ by more than what most comparisons are made for.
pub const NOISY_COEFFICIENT: f64 = 0.25;

/// A load average before the run above this is somebody else's work: half a processor.
pub const BUSY_LOAD: f64 = 0.5;

/// Whether so many requests are enough to tell a percentile (0 to 100). The fastest is a fact; the slowest is told apart.
#[must_use]
pub fn is_trusted(percentile: f64, count: u64) -> bool {
    // In tenths of thousandths, because 100 - 99.9 is not quite a tenth in binary.
    let beyond = ((100.0 - percentile) * 10_000.0).round();
    count > 0 && (percentile <= 0.0 || beyond * exact(count) >= REQUESTS_BEYOND * 1_000_000.0)
}

/// How many requests a percentile (0 to below 100) takes.
#[must_use]
pub fn requests_needed(percentile: f64) -> u64 {
    let beyond = ((100.0 - percentile) * 10_000.0).round().max(1.0);
    whole((REQUESTS_BEYOND * 1_000_000.0 / beyond).ceil())
}

/// A count as a number to calculate with.
#[allow(clippy::cast_precision_loss, reason = "no run makes 2^53 requests")]
pub(super) fn exact(count: u64) -> f64 {
    count as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never negative")]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

/// What can be said of two figures that were measured in the same rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Difference {
    /// The first is so many times the second, in every round alike.
    Seen {
        /// First divided by second, the median of the rounds.
        ratio: f64,
    },
    /// They differ by less than the rounds do: no difference that this run could see.
    Unseen,
    /// There are too few rounds ([`MIN_ROUNDS`]) to know.
    Unknown {
        /// First divided by second, the median of the rounds.
        ratio: f64,
    },
}

impl Difference {
    /// Sets one figure against another. Rounds of both are compared one by one where that is possible, because what
    /// disturbs a round disturbs both: a difference is seen when all rounds agree which is larger, and their ratios
    /// differ less from each other than from 1.
    ///
    /// ```
    /// use gatebridge::compare::{Spread, verdict::Difference};
    ///
    /// let spread = |rounds: &[f64]| Spread::of(rounds.to_vec()).expect("finite numbers");
    /// let (slow, fast) = (spread(&[40.0, 80.0, 42.0]), spread(&[2.0, 4.0, 2.0]));
    /// assert_eq!(Difference::between(&slow, &fast), Some(Difference::Seen { ratio: 20.0 }));
    /// assert_eq!(Difference::between(&fast, &spread(&[2.1, 3.9, 2.0])), Some(Difference::Unseen));
    /// ```
    #[must_use]
    pub fn between(one: &Spread, other: &Spread) -> Option<Self> {
        if one.min <= 0.0 || other.min <= 0.0 {
            return None;
        }
        let is_paired = one.rounds.len() == other.rounds.len();
        let ratios: Vec<f64> = if is_paired {
            one.rounds.iter().zip(&other.rounds).map(|(one, other)| one / other).collect()
        } else {
            // Rounds are missing: the extremes of both stand for the worst that could have met.
            vec![one.min / other.max, one.median / other.median, one.max / other.min]
        };
        let ratio = median(&ratios)?;
        if one.rounds.len().min(other.rounds.len()) < MIN_ROUNDS {
            return Some(Self::Unknown { ratio });
        }
        let logs = Spread::of(ratios.iter().map(|ratio| ratio.ln()).collect())?;
        let agree = logs.min > 0.0 || logs.max < 0.0;
        let is_seen = agree && logs.median.abs() > logs.max - logs.min;
        Some(if is_seen { Self::Seen { ratio } } else { Self::Unseen })
    }

    /// First divided by second, if that may be said.
    #[must_use]
    pub fn ratio(self) -> Option<f64> {
        match self {
            Self::Seen { ratio } | Self::Unknown { ratio } => Some(ratio),
            Self::Unseen => None,
        }
    }
}

/// After how many requests a program that was started once has taken less time than a process for each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum BreakEven {
    /// With the first request.
    AtOnce,
    /// With this request, the second or later.
    After {
        /// Its number.
        requests: u64,
    },
    /// A process per request is as fast or faster: each further request loses.
    Never,
    /// Both answer equally fast as far as this run could see, so that there is nothing to pay it back from.
    WithinNoise,
}

impl BreakEven {
    /// Solves `start + n * warm <= n * cgi` for the smallest `n`, all in microseconds: `start` what starting the
    /// persistent program costs beyond its first answer, `warm` one answer of it when it runs, `cgi` one answer by a
    /// process of its own. When the run could not see a difference between `warm` and `cgi`, `is_seen` is false.
    ///
    /// ```
    /// use gatebridge::compare::verdict::BreakEven;
    ///
    /// // 2,030 ms to load a model, 140 ms to ask it; together for each process.
    /// let outcome = BreakEven::solve(2_030_000.0, 140_000.0, 2_170_000.0, true);
    /// assert_eq!(outcome, BreakEven::AtOnce);
    /// assert_eq!(BreakEven::solve(5_000.0, 100.0, 2_000.0, true), BreakEven::After { requests: 3 });
    /// ```
    #[must_use]
    pub fn solve(start_us: f64, warm_us: f64, cgi_us: f64, is_seen: bool) -> Self {
        let start_us = start_us.max(0.0);
        if !is_seen {
            return Self::WithinNoise;
        }
        if warm_us >= cgi_us {
            return Self::Never;
        }
        // Rounding must not make 3.0000000001 of what is 3.
        let requests = (start_us / (cgi_us - warm_us) - 1e-9).ceil();
        match whole(requests) {
            0 | 1 => Self::AtOnce,
            requests => Self::After { requests },
        }
    }
}

/// A persistent contestant against a process per request of the same program.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Payoff {
    /// Name of the persistent contestant.
    pub persistent: String,
    /// Name of the CGI contestant.
    pub cgi: String,
    /// What starting the persistent one costs beyond its first answer: total start-up less one warm answer.
    pub start_us: f64,
    /// One answer of the persistent one: the median latency.
    pub warm_us: f64,
    /// One answer of the CGI one: the median latency.
    pub cgi_us: f64,
    /// How many times as long the CGI one takes per answer.
    pub difference: Difference,
    /// When it pays.
    pub break_even: BreakEven,
}

/// A contestant against the fastest one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Name of the contestant with the lowest median latency.
    pub fastest: String,
    /// How many times as long it takes per answer.
    pub difference: Difference,
}

/// Why some figure of a run is not to be trusted, or is missing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Warning {
    /// There are no figures of a contestant.
    Failed {
        /// The contestant's name.
        name: String,
        /// Why.
        reason: String,
    },
    /// Requests failed; figures are of the others.
    Errors {
        /// The contestant's name.
        name: String,
        /// Failed requests.
        count: u64,
        /// Kinds and numbers: "12 timed out (no answer in 30 s)".
        kinds: String,
    },
    /// Something else is to be known of a contestant's figures.
    Remark {
        /// The contestant's name.
        name: String,
        /// What, in a sentence without its name.
        text: String,
    },
    /// gatebridge was built without optimisation.
    DebugBuild,
    /// The machine had other work before the run began.
    Busy {
        /// The load average over a minute.
        load_before: f64,
    },
    /// There are fewer rounds than [`MIN_ROUNDS`].
    FewRounds {
        /// How many there are.
        rounds: u32,
    },
    /// The rounds of a contestant differ by more than [`NOISY_COEFFICIENT`].
    Noisy {
        /// The contestant's name.
        name: String,
        /// Which figure.
        figure: String,
        /// Worst less best round, divided by the median.
        coefficient: f64,
    },
    /// Too few requests for a percentile, which is left out.
    TooShort {
        /// The contestant's name.
        name: String,
        /// Requests that were measured.
        count: u64,
        /// The lowest percentile that is left out.
        percentile: f64,
        /// Requests that it takes.
        needed: u64,
    },
}

/// All that may be concluded from a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdicts {
    /// Each persistent contestant against CGI, where there is such a pair.
    pub payoffs: Vec<Payoff>,
    /// Everyone but the fastest against the fastest, in the order of the contestants.
    pub standings: Vec<Standing>,
    /// What is to be known before any of it is believed, the gravest first.
    pub warnings: Vec<Warning>,
}

impl Verdicts {
    /// Draws the conclusions.
    #[must_use]
    pub fn of(findings: &Findings) -> Self {
        Self { payoffs: payoffs(findings), standings: standings(findings), warnings: warnings(findings) }
    }
}

/// The median of each round, or of the run as a single round.
fn medians(contestant: &Contestant) -> Option<Spread> {
    let latency = contestant.latency.as_ref()?;
    latency.p50_by_round_us.clone().or_else(|| Spread::of(vec![latency.p50_us?]))
}

fn latency_difference(one: &Contestant, other: &Contestant) -> Option<Difference> {
    Difference::between(&medians(one)?, &medians(other)?)
}

/// The CGI contestant of the same program; or the only one that there is.
fn cgi_of<'f>(findings: &'f Findings, persistent: &Contestant) -> Option<&'f Contestant> {
    let of_cgi = || findings.contestants.iter().filter(|other| other.mode == Mode::Cgi);
    let only = || of_cgi().next().filter(|_| of_cgi().count() == 1);
    of_cgi().find(|cgi| cgi.program == persistent.program).or_else(only)
}

fn payoffs(findings: &Findings) -> Vec<Payoff> {
    let workers = findings.contestants.iter().filter(|one| one.mode.has_workers());
    workers.filter_map(|persistent| payoff(persistent, cgi_of(findings, persistent)?)).collect()
}

fn payoff(persistent: &Contestant, cgi: &Contestant) -> Option<Payoff> {
    let (warm_us, cgi_us) = (persistent.p50_us()?, cgi.p50_us()?);
    let start_us = (persistent.start_up.as_ref()?.total_us.median - warm_us).max(0.0);
    let difference = latency_difference(cgi, persistent)?;
    let is_seen = difference != Difference::Unseen;
    Some(Payoff {
        persistent: persistent.name.clone(),
        cgi: cgi.name.clone(),
        start_us,
        warm_us,
        cgi_us,
        difference,
        break_even: BreakEven::solve(start_us, warm_us, cgi_us, is_seen),
    })
}

/// The contestant with the lowest median latency.
#[must_use]
pub fn fastest(findings: &Findings) -> Option<&Contestant> {
    let known = findings.contestants.iter().filter_map(|contestant| Some((contestant.p50_us()?, contestant)));
    known.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, contestant)| contestant)
}

fn standings(findings: &Findings) -> Vec<Standing> {
    let Some(fastest) = fastest(findings) else { return Vec::new() };
    let others = findings.contestants.iter().filter(|other| other.name != fastest.name);
    let standing = |other: &Contestant| {
        let difference = latency_difference(other, fastest)?;
        Some(Standing { name: other.name.clone(), fastest: fastest.name.clone(), difference })
    };
    others.filter_map(standing).collect()
}

fn warnings(findings: &Findings) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for contestant in &findings.contestants {
        let name = contestant.name.clone();
        if let Some(reason) = contestant.failure.clone() {
            warnings.push(Warning::Failed { name, reason });
        } else if contestant.error_count() > 0 {
            let kind = |errors: &super::findings::Failures| {
                let example =
                    if errors.example.is_empty() { String::new() } else { format!(" ({})", errors.example) };
                format!("{} {}{example}", errors.count, errors.kind.label())
            };
            let kinds = contestant.errors.iter().map(kind).collect::<Vec<_>>().join(", ");
            warnings.push(Warning::Errors { name, count: contestant.error_count(), kinds });
        }
    }
    for contestant in &findings.contestants {
        let remark = |text: &String| Warning::Remark { name: contestant.name.clone(), text: text.clone() };
        warnings.extend(contestant.remarks.iter().map(remark));
    }
    if findings.gatebridge.debug {
        warnings.push(Warning::DebugBuild);
    }
    if let Some(load_before) = findings.machine.load_before.filter(|load| *load > BUSY_LOAD) {
        warnings.push(Warning::Busy { load_before });
    }
    if (findings.settings.rounds as usize) < MIN_ROUNDS {
        warnings.push(Warning::FewRounds { rounds: findings.settings.rounds });
    }
    warnings.extend(findings.contestants.iter().filter_map(noise));
    warnings.extend(findings.contestants.iter().filter_map(too_short));
    warnings
}

/// The noisiest figure of a contestant, if it is noise.
fn noise(contestant: &Contestant) -> Option<Warning> {
    let latency = medians(contestant).map(|spread| ("median latency".to_owned(), spread));
    let throughput = contestant.throughput.iter().map(|throughput| {
        let plural = if throughput.clients == 1 { "" } else { "s" };
        (format!("requests/s with {} client{plural}", throughput.clients), throughput.requests_per_s.clone())
    });
    let figures = latency
        .into_iter()
        .chain(throughput)
        .filter_map(|(name, spread)| Some((spread.coefficient()?, name)));
    let (coefficient, figure) = figures.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (coefficient > NOISY_COEFFICIENT).then(|| Warning::Noisy {
        name: contestant.name.clone(),
        figure,
        coefficient,
    })
}

fn too_short(contestant: &Contestant) -> Option<Warning> {
    let count = contestant.latency.as_ref()?.count;
    let percentile =
        [50.0, 90.0, 99.0, 99.9].into_iter().find(|percentile| !is_trusted(*percentile, count))?;
    let needed = requests_needed(percentile);
    Some(Warning::TooShort { name: contestant.name.clone(), count, percentile, needed })
}
