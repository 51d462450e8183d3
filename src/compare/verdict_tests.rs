//! The verdicts, as tables of figures and what follows from them.

use super::findings::{Contestant, FailureKind, Failures, Findings, Latency, Mode, StartUp};
use super::testing::{contestant, findings, spread};
use super::verdict::{
    BreakEven, Difference, Standing, Verdicts, Warning, exact, fastest, is_trusted, requests_needed,
};

fn warnings(findings: &Findings) -> Vec<Warning> {
    Verdicts::of(findings).warnings
}

/// The only warning that a contestant gives cause for.
fn warning(contestant: Contestant) -> Option<Warning> {
    let mut warnings = warnings(&findings(vec![contestant]));
    assert!(warnings.len() < 2, "{warnings:?}");
    warnings.pop()
}

#[test]
fn percentiles_take_ten_requests_beyond_them() {
    for (percentile, needed) in
        [(0.0, 10), (50.0, 20), (90.0, 100), (99.0, 1_000), (99.9, 10_000), (99.95, 20_000), (99.99, 100_000)]
    {
        assert_eq!(requests_needed(percentile), needed, "{percentile}");
        assert!(is_trusted(percentile, needed), "{percentile}");
        assert!(percentile <= 0.0 || !is_trusted(percentile, needed - 1), "{percentile}");
    }
    assert!(is_trusted(0.0, 1) && !is_trusted(0.0, 0));
    assert!(!is_trusted(100.0, u64::MAX));
}

#[test]
fn differences_are_seen_where_rounds_agree() {
    use Difference::{Seen, Unknown, Unseen};
    for (one, other, expected) in [
        // A noisy round hurts both alike, and the ratio stands.
        (vec![40.0, 80.0, 42.0], vec![2.0, 4.0, 2.0], Some(Seen { ratio: 20.0 })),
        (vec![2.0, 4.0, 2.0], vec![40.0, 80.0, 40.0], Some(Seen { ratio: 0.05 })),
        // The rounds do not agree who is faster.
        (vec![1.0, 1.1, 1.2], vec![1.1, 1.0, 1.2], Some(Unseen)),
        (vec![1.0, 1.0, 1.0], vec![1.0, 1.0, 1.0], Some(Unseen)),
        // They agree, but on nothing in particular.
        (vec![1.1, 2.0, 1.1], vec![1.0, 1.0, 1.0], Some(Unseen)),
        // Too few rounds.
        (vec![4.0, 4.0], vec![2.0, 2.0], Some(Unknown { ratio: 2.0 })),
        (vec![4.0], vec![2.0], Some(Unknown { ratio: 2.0 })),
        // A round of one is missing: the worst that may have met.
        (vec![40.0, 41.0, 42.0], vec![2.0, 2.0, 2.0, 2.0], Some(Seen { ratio: 20.5 })),
        (vec![3.0, 4.0, 8.0], vec![2.0, 2.0, 4.0, 2.0], Some(Unseen)),
        // Nothing can be divided by nothing.
        (vec![1.0, 1.0, 1.0], vec![0.0, 0.0, 0.0], None),
    ] {
        let found = Difference::between(&spread(&one), &spread(&other));
        assert_eq!(found, expected, "{one:?} {other:?}");
        let ratio = expected.and_then(Difference::ratio);
        assert_eq!(found.and_then(Difference::ratio), ratio);
    }
}

#[test]
fn break_even_is_the_smallest_number_of_requests() {
    use BreakEven::{After, AtOnce, Never, WithinNoise};
    for (start, warm, cgi, is_seen, expected) in [
        (0.0, 1.0, 2.0, true, AtOnce),
        (1.0, 1.0, 2.0, true, AtOnce),
        (1.1, 1.0, 2.0, true, After { requests: 2 }),
        (2.0, 1.0, 2.0, true, After { requests: 2 }),
        (0.3, 0.1, 0.2, true, After { requests: 3 }), // 0.3 / 0.1 is more than 3 in binary
        (5_000.0, 100.0, 2_000.0, true, After { requests: 3 }),
        (1e9, 1.0, 1.001, true, After { requests: 1_000_000_000_001 }),
        (-5.0, 1.0, 2.0, true, AtOnce),
        (0.0, 2.0, 2.0, true, Never),
        (0.0, 3.0, 2.0, true, Never),
        (5.0, 1.0, 2.0, false, WithinNoise),
        (5.0, 3.0, 2.0, false, WithinNoise),
    ] {
        let found = BreakEven::solve(start, warm, cgi, is_seen);
        let near = |requests: u64| requests.abs_diff(1_000_000_000_001) < 1_000;
        let is_near = matches!((found, expected), (After { requests: one }, After { requests: two })
            if near(one) && near(two));
        assert!(found == expected || is_near, "{start} {warm} {cgi}: {found:?}, not {expected:?}");
    }
}

proptest::proptest! {
    #[test]
    fn break_even_holds_at_its_number_and_not_before(
        start in 0.0..1e7_f64, warm in 1.0..1e5_f64, saved in 1.0..1e5_f64,
    ) {
        let cgi = warm + saved;
        let requests = match BreakEven::solve(start, warm, cgi, true) {
            BreakEven::AtOnce => 1,
            BreakEven::After { requests } => requests,
            other => panic!("{other:?}"),
        };
        let gain = |requests: u64| exact(requests) * cgi - exact(requests) * warm - start;
        let rounding = 1e-6 * (start + cgi * exact(requests));
        proptest::prop_assert!(gain(requests) >= -rounding);
        proptest::prop_assert!(requests == 1 || gain(requests - 1) <= rounding);
    }
}

#[test]
fn contestants_are_paired_with_cgi_of_the_same_program() {
    let cgi = |program| contestant("cgi", Mode::Cgi, program, 2_000.0);
    let rust = contestant("rust", Mode::Fastcgi, "hello", 100.0);
    let url = contestant("nginx", Mode::Url, "nginx", 90.0);
    let pairs = |contestants: Vec<Contestant>| -> Vec<(String, String)> {
        let verdicts = Verdicts::of(&findings(contestants));
        verdicts.payoffs.into_iter().map(|payoff| (payoff.persistent, payoff.cgi)).collect()
    };
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(pairs(vec![cgi("hello"), rust.clone(), url]), [pair("rust", "cgi")]);
    assert_eq!(pairs(vec![cgi("other"), rust.clone()]), [pair("rust", "cgi")], "the only one");
    let two = vec![Contestant { name: "perl".into(), ..cgi("other") }, cgi("hello"), rust.clone()];
    assert_eq!(pairs(two), [pair("rust", "cgi")]);
    let strangers = vec![Contestant { name: "perl".into(), ..cgi("other") }, cgi("third"), rust.clone()];
    assert_eq!(pairs(strangers), []);
    assert_eq!(pairs(vec![rust]), []);
}

#[test]
fn a_payoff_counts_the_first_answer_once() {
    let cgi = contestant("cgi", Mode::Cgi, "model", 2_000.0);
    let mut worker = contestant("worker", Mode::Fastcgi, "model", 100.0);
    let start = |us: f64| spread(&[us, us, us]);
    let total_us = start(5_900.0);
    worker.start_up = Some(StartUp {
        exec_us: start(900.0),
        program_us: start(4_800.0),
        first_response_us: start(200.0),
        total_us,
    });
    let payoff = Verdicts::of(&findings(vec![cgi, worker])).payoffs.remove(0);
    assert_eq!((payoff.start_us, payoff.warm_us, payoff.cgi_us), (5_800.0, 100.0, 2_000.0));
    // 5,800 + 4 * 100 <= 4 * 2,000, and 5,800 + 3 * 100 > 3 * 2,000.
    assert_eq!(payoff.break_even, BreakEven::After { requests: 4 });
    assert_eq!(payoff.difference, Difference::Seen { ratio: 20.0 });
}

#[test]
fn standings_are_against_the_fastest() {
    let verdicts = Verdicts::of(&findings(vec![
        contestant("cgi", Mode::Cgi, "hello", 2_000.0),
        contestant("fastcgi", Mode::Fastcgi, "hello", 100.0),
        Contestant::new("broken", Mode::Scgi, "hello", "hello"),
    ]));
    let expected = Standing {
        name: "cgi".into(),
        fastest: "fastcgi".into(),
        difference: Difference::Seen { ratio: 20.0 },
    };
    assert_eq!(verdicts.standings, [expected]);
    assert_eq!(fastest(&findings(Vec::new())), None);
}

#[test]
fn each_warning_has_its_cause() {
    let good = || findings(vec![contestant("cgi", Mode::Cgi, "hello", 2_000.0)]);
    assert_eq!(warnings(&good()), [], "a good run");

    let mut debug = good();
    debug.gatebridge.debug = true;
    assert_eq!(warnings(&debug), [Warning::DebugBuild]);

    let mut busy = good();
    busy.machine.load_before = Some(0.5);
    assert_eq!(warnings(&busy), []);
    busy.machine.load_before = Some(0.51);
    assert_eq!(warnings(&busy), [Warning::Busy { load_before: 0.51 }]);

    let mut few = good();
    few.settings.rounds = 2;
    assert_eq!(warnings(&few), [Warning::FewRounds { rounds: 2 }]);

    let mut failed = good();
    failed.contestants[0] = Contestant::new("cgi", Mode::Cgi, "hello", "hello");
    failed.contestants[0].failure = Some("there is no such file".into());
    let reason = "there is no such file".into();
    assert_eq!(warnings(&failed), [Warning::Failed { name: "cgi".into(), reason }]);

    let mut errors = good();
    let failures = |kind, count, example: &str| Failures { kind, count, example: example.into() };
    errors.contestants[0].errors =
        vec![failures(FailureKind::TimeOut, 3, "no answer in 30 s"), failures(FailureKind::Status, 2, "")];
    let kinds = "3 timed out (no answer in 30 s), 2 wrong status".into();
    assert_eq!(warnings(&errors), [Warning::Errors { name: "cgi".into(), count: 5, kinds }]);
}

#[test]
fn noise_is_told_of_the_noisiest_figure() {
    let mut noisy = contestant("cgi", Mode::Cgi, "hello", 2_000.0);
    noisy.throughput[1].requests_per_s = spread(&[100.0, 125.0, 100.0]);
    assert_eq!(warning(noisy.clone()), None, "just not");
    noisy.throughput[1].requests_per_s = spread(&[100.0, 126.0, 100.0]);
    let Some(Warning::Noisy { figure, coefficient, .. }) = warning(noisy.clone()) else { panic!("no noise") };
    assert_eq!((figure.as_str(), (coefficient * 100.0).round()), ("requests/s with 4 clients", 26.0));
    if let Some(latency) = &mut noisy.latency {
        latency.p50_by_round_us = Some(spread(&[2_000.0, 4_000.0, 2_000.0]));
    }
    let Some(Warning::Noisy { figure, coefficient, .. }) = warning(noisy.clone()) else { panic!("no noise") };
    assert_eq!((figure.as_str(), coefficient), ("median latency", 1.0));
}

#[test]
fn a_short_run_says_which_percentile_is_missing() {
    for (count, percentile, needed) in
        [(3, 50.0, 20), (20, 90.0, 100), (999, 99.0, 1_000), (9_999, 99.9, 10_000)]
    {
        let mut short = contestant("cgi", Mode::Cgi, "hello", 2_000.0);
        short.latency = Latency::of(count, false, vec![1.0; 3], |_| 1.0);
        let name = "cgi".into();
        assert_eq!(warning(short), Some(Warning::TooShort { name, count, percentile, needed }));
    }
    assert_eq!(warning(contestant("cgi", Mode::Cgi, "hello", 2_000.0)), None);
}

#[test]
fn remarks_are_told_with_the_name() {
    let mut cgi = contestant("cgi", Mode::Cgi, "hello", 2_000.0);
    cgi.remarks.push("its answers are not alike".into());
    let remark = Warning::Remark { name: "cgi".into(), text: "its answers are not alike".into() };
    assert!(Verdicts::of(&findings(vec![cgi])).warnings.contains(&remark));
}
