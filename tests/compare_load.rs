//! The load generator of `gatebridge compare`, held against servers that count for themselves and against wrk; must not
//! depend on how fast this machine is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

mod common;

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use gatebridge::compare::findings::FailureKind;
use gatebridge::compare::load::{self, End, Load, Outcome, Pace, Question, Target};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";

/// A server that counts requests and answers each as its function says; `None` closes without an answer.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
}

impl Server {
    /// `answer` gets the number of the request, from 0, and says what is written, and whether the connection stays.
    fn new(answer: impl Fn(u64) -> Option<(String, bool)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let (asked, answer) = (Arc::clone(&server.asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                thread::spawn(move || serve(stream.unwrap(), &asked, &*answer));
            }
        });
        server
    }

    fn target(&self) -> Target {
        Target::new(self.address, "localhost", &Question::default())
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, asked: &AtomicU64, answer: &dyn Fn(u64) -> Option<(String, bool)>) {
    stream.set_nodelay(true).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while next_request(&mut lines) {
        let number = asked.fetch_add(1, Ordering::SeqCst);
        let Some((text, stays)) = answer(number) else { return };
        if stream.write_all(text.as_bytes()).is_err() || !stays {
            return;
        }
    }
}

/// Reads a head; `false` when the connection has ended.
fn next_request(lines: &mut impl BufRead) -> bool {
    let mut line = String::new();
    loop {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(0) | Err(_) => return false,
            Ok(_) if line == "\r\n" => return true,
            Ok(_) => {}
        }
    }
}

fn run(target: &Target, clients: usize, pace: Pace, end: End) -> Outcome {
    let load = Load { target, clients, pace, end, timeout: common::DEADLINE };
    load::run(&load, &AtomicBool::new(false)).unwrap()
}

fn kinds(outcome: &Outcome) -> Vec<FailureKind> {
    outcome.troubles.failures().iter().map(|failures| failures.kind).collect()
}

#[test]
fn each_request_reaches_the_server_exactly_once() {
    for (clients, count) in [(1, 1), (1, 100), (4, 101), (16, 500)] {
        let server = Server::new(|_| Some((ANSWER.into(), true)));
        let outcome = run(&server.target(), clients, Pace::Closed, End::requests(count));
        assert_eq!((outcome.begun, outcome.answered(), server.asked()), (count, count, count));
        assert_eq!(outcome.troubles.total(), 0, "{:?}", outcome.troubles);
        assert!(outcome.connections <= clients as u64, "{} connections", outcome.connections);
        assert!(outcome.requests_per_second > 0.0 && !outcome.cut_short);
    }
}

#[test]
fn a_window_counts_what_the_server_counts() {
    let server = Server::new(|_| Some((ANSWER.into(), true)));
    let outcome = run(&server.target(), 4, Pace::Closed, End::after(Duration::from_millis(200)));
    assert_eq!((outcome.begun, outcome.answered()), (server.asked(), server.asked()));
    assert!(outcome.answered() > 0 && outcome.requests_per_second > 0.0);
}

#[test]
fn a_server_that_closes_each_time_gets_a_connection_for_each_request() {
    let closing = ANSWER.replace("Content", "Connection: close\r\nContent");
    let until_close = "HTTP/1.1 200 OK\r\n\r\nhello\n".to_owned();
    for answer in [closing, until_close] {
        let server = Server::new(move |_| Some((answer.clone(), false)));
        let target = Target { body: Some(b"hello\n".to_vec()), ..server.target() };
        let outcome = run(&target, 3, Pace::Closed, End::requests(30));
        assert_eq!((outcome.answered(), outcome.connections, server.asked()), (30, 30, 30));
    }
}

#[test]
fn what_goes_wrong_is_counted_by_kind_and_nothing_else_is_lost() {
    let server = Server::new(|number| match number % 5 {
        0 => Some((ANSWER.into(), true)),
        1 => Some((ANSWER.replace("200 OK", "503 Busy"), true)),
        2 => Some((ANSWER.replace("hello", "hullo"), true)),
        3 => Some(("nonsense\r\n\r\n".into(), true)),
        _ => None,
    });
    let target = Target { body: Some(b"hello\n".to_vec()), ..server.target() };
    let outcome = run(&target, 1, Pace::Closed, End::requests(50));
    let counts: Vec<_> = outcome.troubles.failures().iter().map(|told| (told.kind, told.count)).collect();
    let kinds = [FailureKind::CutShort, FailureKind::NotHttp, FailureKind::Status, FailureKind::Body];
    assert_eq!(counts, kinds.map(|kind| (kind, 10)));
    assert_eq!((outcome.answered(), server.asked()), (10, 50));
}

#[test]
fn without_a_server_a_run_is_given_up() {
    // Bound, so that nobody else gets the port, and not listening.
    let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = nobody.local_addr().unwrap().as_socket().unwrap();
    let target = Target::new(address, "localhost", &Question::default());
    let outcome = run(&target, 2, Pace::Closed, End::after(common::DEADLINE));
    assert!(outcome.cut_short && outcome.answered() == 0);
    assert_eq!(kinds(&outcome), [FailureKind::Connect]);
}

#[test]
fn a_request_without_an_answer_times_out_and_an_interruption_ends_a_run() {
    let server = Server::new(|_| {
        loop {
            thread::park();
        }
    });
    let target = server.target();
    let timeout = Duration::from_millis(1);
    let load = Load { target: &target, clients: 1, pace: Pace::Closed, end: End::requests(2), timeout };
    let outcome = load::run(&load, &AtomicBool::new(false)).unwrap();
    assert_eq!(kinds(&outcome), [FailureKind::TimeOut]);
    let load = Load { timeout: common::DEADLINE, end: End::after(common::DEADLINE), ..load };
    let outcome = load::run(&load, &AtomicBool::new(true)).unwrap();
    assert!(outcome.cut_short);
}

#[test]
fn latencies_are_those_that_the_server_saw_and_no_longer_than_the_run() {
    let (held, holds) = mpsc::channel();
    let server = Server::new(move |number| {
        // Work that takes some time, however fast the machine is; how much is measured.
        let start = Instant::now();
        let sum: u64 = (0..50_000 * (number % 3 + 1)).map(std::hint::black_box).sum();
        std::hint::black_box(sum);
        held.send(start.elapsed()).unwrap();
        Some((ANSWER.into(), true))
    });
    let outcome = run(&server.target(), 1, Pace::Closed, End::requests(60));
    let mut holds: Vec<Duration> = holds.try_iter().collect();
    holds.sort();
    assert_eq!(holds.len(), 60);
    // Three digits are kept of each latency: half a percent of doubt.
    let sum: f64 = outcome
        .latencies
        .iter_recorded()
        .map(|v| v.value_iterated_to() as f64 * v.count_at_value() as f64)
        .sum();
    assert!(sum * 0.995 <= outcome.elapsed.as_nanos() as f64, "{sum} ns in {:?}", outcome.elapsed);
    for (rank, hold) in (1..).zip(&holds) {
        let seen = outcome.latencies.value_at_quantile(f64::from(rank) / 60.0);
        assert!(seen as f64 >= hold.as_nanos() as f64 * 0.995, "{seen} ns where the server took {hold:?}");
    }
}

#[test]
fn at_a_fixed_rate_a_stall_counts_for_all_that_were_due_in_it() {
    const REQUESTS: u64 = 50;
    const STALL: Duration = Duration::from_millis(100);
    let stall = Arc::new((Mutex::new(()), Condvar::new()));
    let server = Server::new(move |number| {
        if number == 0 {
            // Nobody wakes it: the time itself is what is tested.
            let until = Instant::now() + STALL;
            let mut guard = stall.0.lock().unwrap();
            while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            {
                guard = stall.1.wait_timeout(guard, left).unwrap().0;
            }
        }
        Some((ANSWER.into(), true))
    });
    // All are due within 50 ms, and the only client has its first answer after 100 ms.
    let outcome = run(&server.target(), 1, Pace::Rate(1_000.0), End::requests(REQUESTS));
    assert_eq!((outcome.answered(), server.asked()), (REQUESTS, REQUESTS));
    let least = Duration::from_nanos(outcome.latencies.min());
    assert!(least >= STALL.mul_f64(0.49), "one that was due during the stall took {least:?}");
}

#[test]
fn at_a_rate_that_nobody_can_hold_what_was_left_out_is_told() {
    let server = Server::new(|_| Some((ANSWER.into(), true)));
    let outcome = run(&server.target(), 1, Pace::Rate(1e9), End::after(Duration::from_millis(20)));
    assert!(outcome.left_out > 0);
    assert_eq!(outcome.begun + outcome.left_out, 20_000_000);
}

/// A server that gives one answer every [`TICK`], whoever asked first: what it does in a second does not depend on the
/// machine, as long as somebody waits.
fn paced_server() -> Server {
    let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
    thread::spawn(move || {
        let mut due = Instant::now();
        let clock = (Mutex::new(()), Condvar::new());
        for waiting in asked {
            // After a pause it does not make up for it.
            due = (due + TICK).max(Instant::now().checked_sub(CATCH_UP).unwrap());
            let mut guard = clock.0.lock().unwrap();
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                guard = clock.1.wait_timeout(guard, left).unwrap().0;
            }
            drop(guard);
            let _ = waiting.send(());
        }
    });
    Server::new(move |_| {
        let (answer, turn) = mpsc::channel();
        ask.send(answer).unwrap();
        turn.recv().unwrap();
        Some((ANSWER.into(), true))
    })
}

const TICK: Duration = Duration::from_millis(2);
/// How late its turns may be without being lost: far less than what its clients wait for.
const CATCH_UP: Duration = Duration::from_millis(100);
const CLIENTS: usize = 16;

/// What wrk measures in a second: requests per second, the median latency in milliseconds, requests.
fn wrk(server: &Server) -> (f64, f64, u64) {
    let mut command = Command::new(common::program(&["wrk"]));
    command.args([
        "-t1",
        &format!("-c{CLIENTS}"),
        "-d1s",
        "--latency",
        &format!("http://{}/", server.address),
    ]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let word = |before: &str, at: usize| {
        let line =
            text.lines().find(|line| line.contains(before)).unwrap_or_else(|| panic!("{before:?} in {text}"));
        line.split_whitespace().nth(at).unwrap().to_owned()
    };
    assert!(!text.contains("Socket errors") && !text.contains("Non-2xx"), "{text}");
    let latency = word("50%", 1);
    let number: f64 = latency.trim_end_matches(char::is_alphabetic).parse().unwrap();
    let unit = latency.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let milliseconds = number
        * if unit == "us" {
            1e-3
        } else if unit == "s" {
            1e3
        } else {
            1.0
        };
    (word("Requests/sec:", 1).parse().unwrap(), milliseconds, word("requests in", 0).parse().unwrap())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn wrk_measures_the_same_rate_and_the_same_latency_within_a_tenth() {
    /// Rounds whose medians are compared at first.
    const ROUNDS: usize = 3;
    /// A machine that stands still for a tenth of a second now and then needs more of them; a generator that counts wrongly
    /// is not helped by any number.
    const MOST_ROUNDS: usize = 15;
    let server = paced_server();
    let (mut rates, mut latencies) = (Vec::new(), Vec::new());
    while rates.len() < MOST_ROUNDS {
        // Whoever was still waiting when its client left has had its turn before this one.
        run(&server.target(), 1, Pace::Closed, End::requests(1));
        let before = server.asked();
        let ours = run(&server.target(), CLIENTS, Pace::Closed, End::after(Duration::from_secs(1)));
        assert_eq!(ours.answered(), server.asked() - before);
        let before = server.asked();
        let (rate, latency, requests) = wrk(&server);
        // wrk leaves those out that are under way at its end.
        let asked = server.asked() - before;
        assert!((requests..=requests + CLIENTS as u64).contains(&asked), "{requests} of {asked}");
        let our_latency = ours.latencies.value_at_quantile(0.5) as f64 / 1e6;
        println!(
            "{} and wrk {rate} requests/s; {our_latency} and wrk {latency} ms",
            ours.requests_per_second
        );
        rates.push(ours.requests_per_second / rate);
        latencies.push(our_latency / latency);
        let ratios = [median(rates.clone()), median(latencies.clone())];
        if rates.len() >= ROUNDS && ratios.iter().all(|ratio| (0.9..1.1).contains(ratio)) {
            return;
        }
    }
    panic!("by wrk's: rates {rates:?}, median latencies {latencies:?}");
}
