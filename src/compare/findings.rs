//! What a comparison found, as plain data with units in the names; it does not know how it was measured, nor how it will
//! be shown. Its serialized form is the JSON schema of `docs/compare.md`.

use serde::{Deserialize, Serialize};

use super::Spread;
use super::spread::thousandths;
use super::verdict::is_trusted;

/// The version of the serialized form. A field that is renamed, removed or changes its meaning raises it; one more
/// field does not.
pub const SCHEMA: u32 = 1;

/// The percentiles of [`Latency::curve`], from the fastest request to the slowest.
pub const CURVE_PERCENTILES: [f64; 16] =
    [0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 80.0, 90.0, 95.0, 97.5, 99.0, 99.5, 99.75, 99.9, 99.95, 99.99];

/// A finished comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When the run began: RFC 3339, UTC.
    pub began_at: String,
    /// How long the whole run took, in seconds.
    pub took_s: f64,
    /// What it ran on.
    pub machine: Machine,
    /// What was compared with.
    pub gatebridge: Build,
    /// What was asked, how long, how often.
    pub settings: Settings,
    /// Who answered, in the order of the command line.
    pub contestants: Vec<Contestant>,
}

/// The machine. What could not be found out is empty, or nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// As the processor calls itself.
    pub cpu_model: String,
    /// Processors that may be used.
    pub cores: u32,
    /// All memory, in bytes.
    pub memory_bytes: u64,
    /// Name and release: "Linux 6.1.0-13-amd64".
    pub kernel: String,
    /// The load average over one minute before the run: how busy the machine was with other things.
    pub load_before: Option<f64>,
}

/// The gatebridge that measured, and was measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Its version: "0.1.0".
    pub version: String,
    /// Whether it was built without optimisation, so that its own part of each figure is too large.
    pub debug: bool,
}

/// What was asked of each contestant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The method of each request: "GET".
    pub method: String,
    /// The target of each request: "/predict?x=1".
    pub target: String,
    /// The length of each request's body, in bytes.
    pub body_bytes: u64,
    /// How often every contestant had its turn.
    pub rounds: u32,
    /// How long each measurement of a round lasted, in seconds.
    pub duration_s: f64,
    /// After how many requests it ended before that, if so.
    pub requests: Option<u64>,
    /// How long each contestant was asked before it was measured, in seconds.
    pub warm_up_s: f64,
    /// With how many clients throughput was measured, one after the other.
    pub clients: Vec<u32>,
    /// The fixed rate at which latency was measured, in requests a second; without one, the next request is sent when
    /// the answer is there.
    pub rate_per_s: Option<f64>,
    /// Worker processes of each FastCGI and SCGI contestant, and CGI processes at once.
    pub workers: u32,
    /// How often each contestant was started in each round.
    pub starts: u32,
}

/// How a contestant's program is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A process per request.
    Cgi,
    /// Persistent workers that speak FastCGI.
    Fastcgi,
    /// Persistent workers that speak SCGI.
    Scgi,
    /// A function of the gateway's own process.
    InProcess,
    /// Another server, started by somebody else.
    Url,
}

impl Mode {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 5] = [Self::Cgi, Self::Fastcgi, Self::Scgi, Self::InProcess, Self::Url];

    /// As people write it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Cgi => "CGI",
            Self::Fastcgi => "FastCGI",
            Self::Scgi => "SCGI",
            Self::InProcess => "in-process",
            Self::Url => "URL",
        }
    }

    /// As it is serialized.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Cgi => "cgi",
            Self::Fastcgi => "fastcgi",
            Self::Scgi => "scgi",
            Self::InProcess => "in_process",
            Self::Url => "url",
        }
    }

    /// Whether the program is started as workers, which stay for many requests. What runs in the gateway's own process
    /// has no start of its own.
    #[must_use]
    pub fn has_workers(self) -> bool {
        matches!(self, Self::Fastcgi | Self::Scgi)
    }
}

/// One way to have the request answered, and what it cost. Names come from the command line and may hold anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contestant {
    /// Its name in tables and charts; no two are equal.
    pub name: String,
    /// How it is run.
    pub mode: Mode,
    /// The program that answers. Contestants of one program are set against each other.
    pub program: String,
    /// The command line, or the URL.
    pub command: String,
    /// The program's version, if it tells one.
    pub version: Option<String>,
    /// Why there are no figures, when it could not be measured at all.
    pub failure: Option<String>,
    /// What it takes to start it; nothing for a server that somebody else started.
    pub start_up: Option<StartUp>,
    /// How long one client waits for an answer.
    pub latency: Option<Latency>,
    /// How many requests are answered, by number of clients.
    pub throughput: Vec<Throughput>,
    /// CPU time of the gateway, per request.
    pub cpu_gateway: Option<Cpu>,
    /// CPU time of the program with its children, per request; nothing when it is not ours to ask.
    pub cpu_program: Option<Cpu>,
    /// Peak memory.
    pub memory: Memory,
    /// Requests that were not answered as they should be.
    pub errors: Vec<Failures>,
    /// What else is to be known of its figures, a sentence each: that its answer is another one than that of the first,
    /// that a fixed rate was not held.
    pub remarks: Vec<String>,
}

/// From the order to start a program to the first byte of its first answer. The parts add up to the total in every start;
/// their medians need not. The value of a round is the median of its starts.
///
/// A persistent program is ready when it takes a connection that has been waiting for it, with the first request in it.
/// A CGI program is not asked anything later than its start: from outside nothing tells where starting ends and answering
/// begins, so all up to its first byte is `program_us`, and `first_response_us` is 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartUp {
    /// From the order to start it until the new program runs in its process (exec).
    pub exec_us: Spread,
    /// From there until the program is ready: it takes its first request.
    pub program_us: Spread,
    /// From there to the first byte of its first answer.
    pub first_response_us: Spread,
    /// All of it.
    pub total_us: Spread,
}

/// How long answers took, from the first byte of the request to the last byte of the answer, over all rounds together.
/// Percentiles that too few requests support are absent: see [`is_trusted`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Requests that were measured. What a correction adds is not counted.
    pub count: u64,
    /// Whether requests that had to wait for slow ones count with their whole wait (coordinated omission corrected).
    pub corrected: bool,
    /// The fastest.
    pub min_us: f64,
    /// Half of the requests were faster.
    pub p50_us: Option<f64>,
    /// 90% were faster.
    pub p90_us: Option<f64>,
    /// 99% were faster.
    pub p99_us: Option<f64>,
    /// 99.9% were faster.
    pub p99_9_us: Option<f64>,
    /// The slowest.
    pub max_us: f64,
    /// The median of each round.
    pub p50_by_round_us: Option<Spread>,
    /// The distribution, at those of [`CURVE_PERCENTILES`] that are to be trusted, ascending.
    pub curve: Vec<CurvePoint>,
}

/// A point of a latency distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// So many percent of the requests were as fast or faster; 0 to 100.
    pub percentile: f64,
    /// How long they took at most.
    pub latency_us: f64,
}

impl Latency {
    /// Asks a histogram for what so many requests can tell. `at` gives the latency in microseconds at a percentile from
    /// 0 to 100, `medians_us` the median of each round in order.
    ///
    /// ```
    /// use gatebridge::compare::findings::Latency;
    ///
    /// let latency = Latency::of(2_000, false, vec![50.0], |percentile| percentile).expect("there are requests");
    /// assert_eq!(latency.p99_us, Some(99.0));
    /// assert_eq!(latency.p99_9_us, None); // this takes 10,000 requests
    /// ```
    #[must_use]
    pub fn of(count: u64, corrected: bool, medians_us: Vec<f64>, at: impl Fn(f64) -> f64) -> Option<Self> {
        if count == 0 {
            return None;
        }
        let at = |percentile| thousandths(at(percentile));
        let trusted = |percentile| is_trusted(percentile, count).then(|| at(percentile));
        let curve = CURVE_PERCENTILES.into_iter().filter_map(|percentile| {
            trusted(percentile).map(|latency_us| CurvePoint { percentile, latency_us })
        });
        Some(Self {
            count,
            corrected,
            min_us: at(0.0),
            p50_us: trusted(50.0),
            p90_us: trusted(90.0),
            p99_us: trusted(99.0),
            p99_9_us: trusted(99.9),
            max_us: at(100.0),
            p50_by_round_us: Spread::of(medians_us),
            curve: curve.collect(),
        })
    }
}

/// Requests answered per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// By so many clients at once, each of which asks again when it has its answer.
    pub clients: u32,
    /// Answers per second.
    pub requests_per_s: Spread,
}

/// CPU time per answered request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cpu {
    /// In the program's own code.
    pub user_us: Spread,
    /// In the kernel, for it.
    pub system_us: Spread,
}

impl Cpu {
    /// User and system time together: the sum of the medians, in microseconds.
    #[must_use]
    pub fn total_us(&self) -> f64 {
        self.user_us.median + self.system_us.median
    }
}

/// The most memory that was resident at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Of the gateway, in bytes.
    pub gateway_bytes: Option<u64>,
    /// Of one process of the program (the largest), in bytes. Pages that processes share are counted in each.
    pub program_bytes: Option<u64>,
    /// How many processes of the program there were at most at once.
    pub program_processes: Option<u32>,
}

/// Requests that failed in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// The way.
    pub kind: FailureKind,
    /// How many.
    pub count: u64,
    /// What was said of the first of them.
    pub example: String,
}

/// What may go wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// There was no connection.
    Connect,
    /// The answer did not come in time.
    TimeOut,
    /// The connection ended before the answer did.
    CutShort,
    /// What came was not HTTP.
    NotHttp,
    /// The status was not the expected one.
    Status,
    /// The body was not the expected one.
    Body,
}

impl FailureKind {
    /// As people write it, after a number.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Connect => "not connected",
            Self::TimeOut => "timed out",
            Self::CutShort => "cut short",
            Self::NotHttp => "not HTTP",
            Self::Status => "wrong status",
            Self::Body => "wrong body",
        }
    }

    /// As it is serialized.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::TimeOut => "time_out",
            Self::CutShort => "cut_short",
            Self::NotHttp => "not_http",
            Self::Status => "status",
            Self::Body => "body",
        }
    }
}

impl Contestant {
    /// A contestant of which nothing is known yet.
    #[must_use]
    pub fn new(name: &str, mode: Mode, program: &str, command: &str) -> Self {
        Self {
            name: name.to_owned(),
            mode,
            program: program.to_owned(),
            command: command.to_owned(),
            version: None,
            failure: None,
            start_up: None,
            latency: None,
            throughput: Vec::new(),
            cpu_gateway: None,
            cpu_program: None,
            memory: Memory::default(),
            errors: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// The median latency in microseconds.
    #[must_use]
    pub fn p50_us(&self) -> Option<f64> {
        self.latency.as_ref()?.p50_us
    }

    /// Failed requests of all kinds.
    #[must_use]
    pub fn error_count(&self) -> u64 {
        self.errors.iter().map(|errors| errors.count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_serialized() {
        for mode in Mode::ALL {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.key());
        }
        use FailureKind::{Body, Connect, CutShort, NotHttp, Status, TimeOut};
        for kind in [Connect, TimeOut, CutShort, NotHttp, Status, Body] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.key());
        }
    }

    #[test]
    fn percentiles_without_support_are_absent() {
        let latency = |count| Latency::of(count, false, vec![1.0], |percentile| percentile);
        assert_eq!(latency(0), None);
        for (count, supported) in [(1, 0), (20, 1), (100, 2), (1_000, 3), (9_999, 3), (10_000, 4)] {
            let latency = latency(count).unwrap();
            let percentiles = [latency.p50_us, latency.p90_us, latency.p99_us, latency.p99_9_us];
            assert_eq!(percentiles.iter().flatten().count(), supported, "{count}");
            assert!(latency.curve.iter().all(|point| is_trusted(point.percentile, count)), "{count}");
            assert_eq!((latency.min_us, latency.max_us), (0.0, 100.0));
        }
    }
}
