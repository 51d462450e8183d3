//! The verdicts as English sentences. It knows what was concluded, not where it is shown: names are given back as they
//! came, and whoever shows a sentence escapes it.

use super::findings::{Contestant, Findings};
use super::quantity::{count, percent, ratio, time};
use super::verdict::{
    BreakEven, Difference, MIN_ROUNDS, NOISY_COEFFICIENT, Payoff, Standing, Verdicts, Warning, exact, fastest,
};

/// The one sentence for those who read no other.
#[must_use]
pub fn headline(findings: &Findings, verdicts: &Verdicts) -> String {
    let gain = |payoff: &Payoff| payoff.difference.ratio().unwrap_or(1.0);
    let best = verdicts.payoffs.iter().max_by(|one, other| gain(one).total_cmp(&gain(other)));
    if let Some(best) = best {
        let is_unanimous = verdicts.payoffs.iter().all(|other| other.break_even == best.break_even);
        return payoff_headline(best, if is_unanimous { "A persistent worker" } else { &best.persistent });
    }
    let gain = |standing: &&Standing| standing.difference.ratio().unwrap_or(1.0);
    let slowest = verdicts.standings.iter().max_by(|one, other| gain(one).total_cmp(&gain(other)));
    if let Some(slowest) = slowest {
        return match slowest.difference.ratio() {
            Some(times) => {
                format!("{} answers {} times as fast as {}.", slowest.fastest, ratio(times), slowest.name)
            }
            None => "Who answers faster, this run could not see.".to_owned(),
        };
    }
    match fastest(findings).and_then(|only| Some((only, only.p50_us()?))) {
        Some((only, p50_us)) => format!("{} answers in {}.", only.name, time(p50_us)),
        None => "Nothing could be measured.".to_owned(),
    }
}

fn payoff_headline(payoff: &Payoff, who: &str) -> String {
    let times = payoff.difference.ratio().map(ratio).unwrap_or_default();
    match payoff.break_even {
        BreakEven::AtOnce => {
            format!("{who} pays for itself with the first request, and answers {times} times as fast.")
        }
        BreakEven::After { requests } => {
            let requests = count(requests);
            format!("{who} pays for itself after {requests} requests, and answers {times} times as fast.")
        }
        BreakEven::Never => format!("{who} does not pay: a process per request answers faster."),
        BreakEven::WithinNoise => {
            if is_close(payoff.cgi_us / payoff.warm_us) {
                format!("{who} and a process per request answer equally fast, as far as this run could see.")
            } else {
                format!(
                    "Whether {} pays for itself, this run could not see: it was too noisy.",
                    lower_first(who)
                )
            }
        }
    }
}

/// Whether two figures are so near each other that nobody would ask for the difference.
fn is_close(ratio: f64) -> bool {
    (1.0 / (1.0 + NOISY_COEFFICIENT)..=1.0 + NOISY_COEFFICIENT).contains(&ratio)
}

/// A sentence's own first word, within another sentence.
fn lower_first(who: &str) -> String {
    who.strip_prefix("A persistent").map_or_else(|| who.to_owned(), |rest| format!("a persistent{rest}"))
}

/// When a persistent program pays for itself, with the figures that say so.
#[must_use]
pub fn payoff(payoff: &Payoff) -> String {
    let Payoff { persistent, cgi, .. } = payoff;
    let (start, warm, cold) = (time(payoff.start_us), time(payoff.warm_us), time(payoff.cgi_us));
    let longer = payoff.difference.ratio().filter(|times| *times > 1.0);
    let times = longer.map(|times| format!(", {} times as long", ratio(times)));
    let times = times.unwrap_or_default();
    let figures =
        format!("starting it costs {start}, then an answer takes {warm}; {cgi} takes {cold} for each{times}");
    match payoff.break_even {
        BreakEven::AtOnce => format!("{persistent} pays for itself with the first request: {figures}."),
        BreakEven::After { requests } => {
            format!("{persistent} pays for itself after {} requests: {figures}.", count(requests))
        }
        BreakEven::Never => format!("{persistent} never pays for itself: {figures}."),
        BreakEven::WithinNoise => {
            format!(
                "Whether {persistent} pays for itself, this run could not see: its {warm} and the {cold} of {cgi} differ \
                 by less than the rounds do."
            )
        }
    }
}

/// How a contestant stands against the fastest.
#[must_use]
pub fn standing(standing: &Standing) -> String {
    let Standing { name, fastest, .. } = standing;
    match standing.difference {
        Difference::Seen { ratio: times } => {
            format!("{name} takes {} times as long as {fastest}.", ratio(times))
        }
        Difference::Unknown { ratio: times } => {
            format!("{name} took {} times as long as {fastest}, which may be chance.", ratio(times))
        }
        Difference::Unseen => {
            format!("Between {name} and {fastest} there is no difference that this run could see.")
        }
    }
}

/// What part of an answer is the gateway's own work.
#[must_use]
pub fn own_share(contestant: &Contestant) -> Option<String> {
    let own_us = contestant.cpu_gateway.as_ref()?.total_us();
    let p50_us = contestant.p50_us().filter(|p50_us| *p50_us > 0.0)?;
    Some(format!(
        "The gateway spends {} of CPU time on an answer of {}, {} of its median latency.",
        time(own_us),
        contestant.name,
        percent(own_us / p50_us)
    ))
}

/// What is wrong, and what to do; what is wrong with several contestants alike is one sentence.
#[must_use]
pub fn warnings(verdicts: &Verdicts) -> Vec<String> {
    let is_shared = |one: &Warning| matches!(one, Warning::Noisy { .. } | Warning::TooShort { .. });
    let mut sentences: Vec<String> =
        verdicts.warnings.iter().filter(|one| !is_shared(one)).map(warning).collect();
    let noisy: Vec<String> = verdicts.warnings.iter().filter_map(noise).collect();
    if !noisy.is_empty() {
        sentences.push(format!(
            "The rounds differ by more than {}: {}. End what else is running, or use more and longer rounds.",
            percent(NOISY_COEFFICIENT),
            noisy.join("; "),
        ));
    }
    let short: Vec<(String, u64)> = verdicts.warnings.iter().filter_map(shortness).collect();
    if let Some(times) = short.iter().map(|(_, times)| *times).max() {
        let who: Vec<&str> = short.iter().map(|(who, _)| who.as_str()).collect();
        sentences.push(format!(
            "Too few requests for all percentiles, so some are left out (-): {}. Measure {} times as long to have them.",
            who.join("; "),
            count(times),
        ));
    }
    sentences
}

/// How much the rounds of a contestant differ, if that is the warning.
fn noise(warning: &Warning) -> Option<String> {
    let Warning::Noisy { name, figure, coefficient } = warning else { return None };
    Some(format!("{name} by {} in {figure}", percent(*coefficient)))
}

/// Which percentile a contestant has too few requests for, if that is the warning; and how many times as many it takes.
fn shortness(warning: &Warning) -> Option<(String, u64)> {
    let Warning::TooShort { name, count: made, percentile, needed } = warning else { return None };
    let who = format!("{name} made {}, and p{percentile} takes {}", count(*made), count(*needed));
    Some((who, needed.div_ceil((*made).max(1))))
}

/// One warning that is of one contestant, or of the run.
fn warning(warning: &Warning) -> String {
    match warning {
        Warning::Failed { name, reason } => format!("{name} was not measured: {reason}"),
        Warning::Errors { name, count: failed, kinds } => format!(
            "{name}: {} request{} failed: {kinds}. Its figures are of those that were answered; find out why first.",
            count(*failed),
            if *failed == 1 { "" } else { "s" },
        ),
        Warning::Remark { name, text } => format!("{name}: {text}"),
        Warning::DebugBuild => {
            "gatebridge was built without optimisation, so its own part of each figure is too \
             large: build it with --release."
                .to_owned()
        }
        Warning::Busy { load_before } => format!(
            "The machine was busy before the run (load {load_before:.2}): end what else is running, and measure again."
        ),
        Warning::FewRounds { rounds } => format!(
            "With {rounds} round{} nobody knows how much chance there is in a difference: use --rounds {MIN_ROUNDS} or \
             more.",
            if *rounds == 1 { "" } else { "s" },
        ),
        // Said for all contestants together.
        Warning::Noisy { .. } => noise(warning).unwrap_or_default(),
        Warning::TooShort { .. } => shortness(warning).map(|(who, _)| who).unwrap_or_default(),
    }
}

/// All conclusions as sentences, without the warnings: when each persistent program pays, how the others stand, what
/// the gateway's own part is.
#[must_use]
pub fn conclusions(findings: &Findings, verdicts: &Verdicts) -> Vec<String> {
    let is_told = |standing: &&Standing| {
        let tells = |payoff: &Payoff| {
            let pair = [&payoff.cgi, &payoff.persistent];
            pair.contains(&&standing.name) && pair.contains(&&standing.fastest)
        };
        !verdicts.payoffs.iter().any(tells)
    };
    let payoffs = verdicts.payoffs.iter().map(payoff);
    let standings = verdicts.standings.iter().filter(is_told).map(standing);
    let busiest = |one: &&Contestant, other: &&Contestant| share(one).total_cmp(&share(other));
    let own = findings.contestants.iter().filter(|one| one.mode.has_workers()).max_by(busiest);
    payoffs.chain(standings).chain(own.and_then(own_share)).collect()
}

/// The gateway's part of the median latency, to compare by.
fn share(contestant: &Contestant) -> f64 {
    let own_us = contestant.cpu_gateway.as_ref().map_or(0.0, super::findings::Cpu::total_us);
    own_us / contestant.p50_us().unwrap_or(exact(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::findings::Mode;
    use crate::compare::testing::{contestant, findings};

    fn payoff_of(break_even: BreakEven, difference: Difference) -> Payoff {
        let (persistent, cgi) = ("worker".to_owned(), "cgi".to_owned());
        Payoff { persistent, cgi, start_us: 4_000.0, warm_us: 100.0, cgi_us: 2_000.0, difference, break_even }
    }

    #[test]
    fn break_even_in_words() {
        let seen = Difference::Seen { ratio: 20.0 };
        let figures = |times| {
            let start = "starting it costs 4.00 ms, then an answer takes 100 µs";
            format!("{start}; cgi takes 2.00 ms for each, {times} times as long.")
        };
        for (break_even, difference, short, long) in [
            (
                BreakEven::After { requests: 3 },
                seen,
                "A persistent worker pays for itself after 3 requests, and answers 20 times as fast.",
                format!("worker pays for itself after 3 requests: {}", figures("20")),
            ),
            (
                BreakEven::AtOnce,
                seen,
                "A persistent worker pays for itself with the first request, and answers 20 times as fast.",
                format!("worker pays for itself with the first request: {}", figures("20")),
            ),
            (
                BreakEven::Never,
                Difference::Seen { ratio: 0.5 },
                "A persistent worker does not pay: a process per request answers faster.",
                "worker never pays for itself: starting it costs 4.00 ms, then an answer takes 100 µs; cgi takes 2.00 \
                 ms for each."
                    .to_owned(),
            ),
            (
                BreakEven::WithinNoise,
                Difference::Unseen,
                "Whether a persistent worker pays for itself, this run could not see: it was too noisy.",
                "Whether worker pays for itself, this run could not see: its 100 µs and the 2.00 ms of cgi differ by \
                 less than the rounds do."
                    .to_owned(),
            ),
        ] {
            let one = payoff_of(break_even, difference);
            assert_eq!(payoff_headline(&one, "A persistent worker"), short);
            assert_eq!(payoff(&one), long);
        }
    }

    #[test]
    fn the_headline_says_what_there_is() {
        let headline_of = |contestants| {
            let findings = findings(contestants);
            headline(&findings, &Verdicts::of(&findings))
        };
        let cgi = contestant("cgi", Mode::Cgi, "hello", 2_000.0);
        let worker = contestant("worker", Mode::Fastcgi, "hello", 100.0);
        let nginx = contestant("nginx", Mode::Url, "nginx", 100.0);
        assert_eq!(headline_of(vec![]), "Nothing could be measured.");
        assert_eq!(headline_of(vec![cgi.clone()]), "cgi answers in 2.00 ms.");
        assert_eq!(headline_of(vec![cgi.clone(), nginx.clone()]), "nginx answers 20 times as fast as cgi.");
        assert_eq!(headline_of(vec![worker.clone(), nginx]), "Who answers faster, this run could not see.");
        let mut slow = contestant("slow", Mode::Scgi, "hello", 120.0);
        slow.start_up.as_mut().unwrap().total_us.median = 4_000.0;
        assert_eq!(
            headline_of(vec![cgi.clone(), slow, worker.clone()]),
            "worker pays for itself with the first request, and answers 20 times as fast."
        );
        assert_eq!(
            headline_of(vec![cgi, worker]),
            "A persistent worker pays for itself with the first request, and answers 20 times as fast."
        );
    }

    #[test]
    fn standings_in_words() {
        for (difference, expected) in [
            (Difference::Seen { ratio: 1.25 }, "b takes 1.25 times as long as a."),
            (Difference::Unknown { ratio: 1.25 }, "b took 1.25 times as long as a, which may be chance."),
            (Difference::Unseen, "Between b and a there is no difference that this run could see."),
        ] {
            let one = Standing { name: "b".into(), fastest: "a".into(), difference };
            assert_eq!(standing(&one), expected);
        }
    }

    #[test]
    fn warnings_say_what_to_do() {
        let name = || "a".to_owned();
        for (cause, expected) in [
            (
                Warning::Failed { name: name(), reason: "no such file".into() },
                "a was not measured: no such file",
            ),
            (
                Warning::Errors { name: name(), count: 1_200, kinds: "1200 timed out".into() },
                "a: 1,200 requests failed: 1200 timed out. Its figures are of those that were answered; find out why \
                 first.",
            ),
            (Warning::Remark { name: name(), text: "it answers late.".into() }, "a: it answers late."),
            (
                Warning::DebugBuild,
                "gatebridge was built without optimisation, so its own part of each figure is too large: build it with \
                 --release.",
            ),
            (
                Warning::Busy { load_before: 1.234 },
                "The machine was busy before the run (load 1.23): end what else is running, and measure again.",
            ),
            (
                Warning::FewRounds { rounds: 1 },
                "With 1 round nobody knows how much chance there is in a difference: use --rounds 3 or more.",
            ),
        ] {
            assert_eq!(warning(&cause), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_several_is_said_once() {
        let noisy = |name: &str, coefficient| Warning::Noisy {
            name: name.into(),
            figure: "median latency".into(),
            coefficient,
        };
        let short = |name: &str, made, percentile, needed| Warning::TooShort {
            name: name.into(),
            count: made,
            percentile,
            needed,
        };
        let warnings_of =
            |warnings| super::warnings(&Verdicts { payoffs: Vec::new(), standings: Vec::new(), warnings });
        assert_eq!(warnings_of(Vec::new()), Vec::<String>::new());
        let causes = vec![
            noisy("a", 0.4),
            short("a", 4_000, 99.9, 10_000),
            Warning::FewRounds { rounds: 1 },
            noisy("b", 12.34),
            short("b", 3, 50.0, 20),
        ];
        let expected = [
            "With 1 round nobody knows how much chance there is in a difference: use --rounds 3 or more.",
            "The rounds differ by more than 25%: a by 40% in median latency; b by 1,234% in median latency. End what else \
             is running, or use more and longer rounds.",
            "Too few requests for all percentiles, so some are left out (-): a made 4,000, and p99.9 takes 10,000; b made \
             3, and p50 takes 20. Measure 7 times as long to have them.",
        ];
        assert_eq!(warnings_of(causes), expected);
    }

    #[test]
    fn the_gateway_s_own_part_is_told() {
        let worker = contestant("worker", Mode::Fastcgi, "hello", 100.0);
        let expected =
            "The gateway spends 18.0 µs of CPU time on an answer of worker, 18% of its median latency.";
        assert_eq!(own_share(&worker).as_deref(), Some(expected));
        assert_eq!(own_share(&contestant("nginx", Mode::Url, "nginx", 100.0)), None);
    }
}
