//! Comparisons that nobody measured, for tests: the figures are invented, round, and always the same.

use super::findings::{
    Build, Contestant, Cpu, Findings, Latency, Machine, Memory, Mode, SCHEMA, Settings, StartUp, Throughput,
};
use super::spread::Spread;

/// A spread of finite numbers.
pub(super) fn spread(rounds: &[f64]) -> Spread {
    Spread::of(rounds.to_vec()).unwrap()
}

/// Three rounds: 2% below, at, and 4% above.
fn around(value: f64) -> Spread {
    spread(&[value * 0.98, value, value * 1.04])
}

/// A distribution with a long tail: twice the median at p90, three times at p99, ten times for the slowest.
fn tail(percentile: f64) -> f64 {
    match percentile {
        p if p <= 50.0 => 0.6 + p / 125.0,
        p if p < 100.0 => 1.0 + (50.0 / (100.0 - p)).ln() / 2.0,
        _ => 10.0,
    }
}

/// A contestant whose median latency is so long; all else follows from it.
pub(super) fn contestant(name: &str, mode: Mode, program: &str, p50_us: f64) -> Contestant {
    let medians = vec![p50_us * 0.98, p50_us, p50_us * 1.04];
    let start = match mode {
        Mode::InProcess => 2.0,
        _ => 1_800.0,
    };
    let throughput =
        |clients: u32, factor: f64| Throughput { clients, requests_per_s: around(factor / p50_us) };
    let cpu =
        |user_us: f64, system_us: f64| Some(Cpu { user_us: around(user_us), system_us: around(system_us) });
    let is_ours = mode != Mode::Url;
    Contestant {
        version: (mode == Mode::Fastcgi).then(|| "hello 1.0".to_owned()),
        start_up: is_ours.then(|| StartUp {
            exec_us: around(start * 0.1),
            program_us: around(start * 0.6),
            first_response_us: around(start * 0.3),
            total_us: around(start),
        }),
        latency: Latency::of(24_000, false, medians, |percentile| p50_us * tail(percentile)),
        throughput: vec![throughput(1, 0.9e6), throughput(4, 1.7e6), throughput(16, 1.8e6)],
        cpu_gateway: if is_ours { cpu(4.0, 14.0) } else { None },
        cpu_program: if is_ours { cpu(p50_us * 0.3, p50_us * 0.4) } else { None },
        memory: Memory {
            gateway_bytes: is_ours.then_some(9 << 20),
            program_bytes: is_ours.then_some(3 << 20),
            program_processes: is_ours.then_some(4),
        },
        ..Contestant::new(name, mode, program, &format!("target/release/examples/{program}"))
    }
}

/// A run with these contestants, long enough and on a quiet machine.
pub(super) fn findings(contestants: Vec<Contestant>) -> Findings {
    Findings {
        schema: SCHEMA,
        began_at: "2026-01-02T03:04:05Z".into(),
        took_s: 94.5,
        machine: Machine {
            cpu_model: "Example 3000 @ 2.40GHz".into(),
            cores: 2,
            memory_bytes: 4 << 30,
            kernel: "Linux 6.1.0-13-amd64".into(),
            load_before: Some(0.08),
        },
        gatebridge: Build { version: "0.1.0".into(), debug: false },
        settings: Settings {
            method: "GET".into(),
            target: "/hello?x=1".into(),
            body_bytes: 0,
            rounds: 3,
            duration_s: 2.0,
            requests: None,
            warm_up_s: 0.5,
            clients: vec![1, 4, 16],
            rate_per_s: None,
            workers: 4,
            starts: 5,
        },
        contestants,
    }
}

/// A process per request and a worker of one program; the worker's answers take 100 µs, the process's 2 ms.
pub(super) fn pair() -> Vec<Contestant> {
    vec![
        contestant("hello CGI", Mode::Cgi, "hello", 2_000.0),
        contestant("hello FastCGI", Mode::Fastcgi, "hello", 100.0),
    ]
}
