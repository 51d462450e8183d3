//! How many programs a second can be started, against a bare loop of the standard library; it must not know HTTP.
//!
//! `cargo bench --bench spawn_rate [-- PROGRAM [CHILDREN]]`. Every way starts the same program with a piped output, reads it to its
//! end and asks for its exit. Ways take turns, several rounds each, and the medians are compared. The rate on a busy
//! machine says more about the machine; the CPU time of this process alone, per child, does not.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may fail by a panic and prints")]

use std::io::Read;
use std::num::NonZeroUsize;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use gatebridge::process::{Launch, Spawner, adopt_orphans};
use tokio::io::AsyncReadExt;

const ROUNDS: usize = 7;
const THREADS: usize = 2;
const ASKERS: usize = 16;
const MICROSECONDS_PER_TICK: u64 = 10_000; // USER_HZ is 100 wherever Linux runs

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let program = arguments.next().unwrap_or_else(|| "/bin/true".to_owned());
    let children: usize = arguments.next().map_or(400, |number| number.parse().unwrap());
    adopt_orphans().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
    let spawner = Spawner::start(NonZeroUsize::new(THREADS).unwrap()).unwrap();

    let bare_1 = || bare(&program, children);
    let ours_1 = || runtime.block_on(ours(spawner.clone(), program.clone(), children));
    let bare_n = || {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| bare(&program, children / THREADS));
            }
        });
    };
    let ours_n = || {
        runtime.block_on(async {
            let askers: Vec<_> = (0..ASKERS)
                .map(|_| tokio::spawn(ours(spawner.clone(), program.clone(), children / ASKERS)))
                .collect();
            for asker in askers {
                asker.await.unwrap();
            }
        });
    };
    let names = [
        "bare loop, 1 thread".to_owned(),
        "spawner, 1 asker".to_owned(),
        format!("bare loop, {THREADS} threads"),
        format!("spawner, {ASKERS} askers"),
    ];
    let ways: [&dyn Fn(); 4] = [&bare_1, &ours_1, &bare_n, &ours_n];
    let mut rates = vec![Vec::new(); ways.len()];
    let mut ticks = vec![0; ways.len()];
    for _ in 0..ROUNDS {
        for ((way, rates), ticks) in ways.iter().zip(&mut rates).zip(&mut ticks) {
            let (start, ticks_before) = (Instant::now(), own_ticks());
            way();
            rates.push(children as f64 / start.elapsed().as_secs_f64());
            *ticks += own_ticks() - ticks_before;
        }
    }
    let medians: Vec<f64> = rates.iter_mut().map(|rates| median(rates)).collect();
    for ((name, rate), ticks) in names.iter().zip(&medians).zip(&ticks) {
        let microseconds = ticks * MICROSECONDS_PER_TICK / (children * ROUNDS) as u64;
        println!("{name:24} {rate:8.0} a second {microseconds:8} us of own CPU each");
    }
    for pair in medians.chunks(2) {
        println!("spawner / bare loop      {:8.2}", pair[1] / pair[0]);
    }
}

/// User and system time of this process, without its children (proc(5), fields 14 and 15).
fn own_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn bare(program: &str, children: usize) {
    for _ in 0..children {
        let mut child = Command::new(program)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        child.wait().unwrap();
    }
}

async fn ours(spawner: Spawner, program: String, children: usize) {
    for _ in 0..children {
        let mut child = spawner.spawn(Launch::new(&program)).await.unwrap();
        child.stdout.take().unwrap().read_to_end(&mut Vec::new()).await.unwrap();
        child.wait().await.unwrap();
    }
}
