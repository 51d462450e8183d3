//! What the interface costs a CGI program at its start: hello on the crate beside a bare `main` that prints the same
//! bytes. It must not know how `serve` finds out what it is.
//!
//! `cargo bench --bench start_up [-- STARTS]`. Both are built as this workspace releases programs, stripped, and started
//! in turns (A B, B A) from here until they have ended. The machine's noise hurts both alike; what is told is the ratio,
//! for all starts and for the medians of ten rounds. `tests/start_up.rs` holds what does not depend on time.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may fail by a panic and prints")]

#[path = "../tests/start_up/programs.rs"]
mod programs;

use std::path::Path;
use std::time::{Duration, Instant};

/// Starts of each program, unless told otherwise.
const STARTS: usize = 2_000;
/// Parts whose medians are compared with one another: their spread tells how noisy the machine was.
const ROUNDS: usize = 10;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let starts: usize = arguments.next().map_or(STARTS, |number| number.parse().unwrap()).max(ROUNDS);
    let folder = std::env::temp_dir().join(format!("gatebridge-start-up-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let programs = programs::build(&folder);

    let mut times = [Vec::with_capacity(starts), Vec::with_capacity(starts)];
    for turn in 0..starts {
        for which in [turn % 2, (turn + 1) % 2] {
            times[which].push(time(&programs[which]));
        }
    }
    let per_round = starts / ROUNDS;
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|round| {
            let part = round * per_round..(round + 1) * per_round;
            let [bare, serve] = [0, 1].map(|which| Times::of(&times[which][part.clone()]).p50);
            ratio(serve, bare)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);

    println!("{starts} starts of each, in turns; microseconds from spawn to exit");
    println!("{:<6} {:>9} {:>8} {:>8} {:>8} {:>8}", "", "bytes", "min", "p10", "p50", "mean");
    for (name, which) in [("bare", 0), ("serve", 1)] {
        let told = Times::of(&times[which]);
        let bytes = programs[which].metadata().unwrap().len();
        let micros = [told.min, told.p10, told.p50, told.mean].map(|time| time.as_secs_f64() * 1e6);
        println!(
            "{name:<6} {bytes:>9} {:>8.1} {:>8.1} {:>8.1} {:>8.1}",
            micros[0], micros[1], micros[2], micros[3]
        );
    }
    let [bare, serve] = [0, 1].map(|which| Times::of(&times[which]));
    println!(
        "serve / bare: min {:.3}, p10 {:.3}, p50 {:.3}, mean {:.3}; medians of {ROUNDS} rounds {:.3} ({:.3} to {:.3})",
        ratio(serve.min, bare.min),
        ratio(serve.p10, bare.p10),
        ratio(serve.p50, bare.p50),
        ratio(serve.mean, bare.mean),
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1],
    );
    std::fs::remove_dir_all(folder).unwrap();
}

/// One start, from the moment before the process is made until it has ended.
fn time(program: &Path) -> Duration {
    let mut command = programs::start(program, None);
    let begin = Instant::now();
    let status = command.status().unwrap();
    let took = begin.elapsed();
    assert!(status.success(), "{}: {status}", program.display());
    took
}

/// What is told of many starts.
struct Times {
    min: Duration,
    p10: Duration,
    p50: Duration,
    mean: Duration,
}

impl Times {
    fn of(times: &[Duration]) -> Self {
        let mut times = times.to_vec();
        times.sort_unstable();
        let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).unwrap();
        Self { min: times[0], p10: times[times.len() / 10], p50: times[times.len() / 2], mean }
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
