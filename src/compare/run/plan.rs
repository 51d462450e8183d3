//! What is to be compared, how long and how often, as plain data; it must not know how it is measured.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::compare::findings::Mode;
use crate::compare::load::Question;

/// A comparison to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// This very program, which is started as the gateway.
    pub gatebridge: PathBuf,
    /// Who is compared.
    pub entrants: Vec<Entrant>,
    /// What each is asked.
    pub question: Question,
    /// How often each has its turn.
    pub rounds: u32,
    /// How long one measurement lasts.
    pub duration: Duration,
    /// After how many requests it ends before that.
    pub requests: Option<u64>,
    /// How long each is asked before it is measured.
    pub warm_up: Duration,
    /// With how many clients throughput is measured.
    pub clients: Vec<u32>,
    /// The fixed rate for latency, in requests per second; without it, one client asks again when it has its answer.
    pub rate_per_s: Option<f64>,
    /// Workers, and CGI processes at once.
    pub workers: u32,
    /// How often each is started in a round, to measure that.
    pub starts: u32,
    /// The longest that a request or a start may take.
    pub timeout: Duration,
    /// Variables of every program's environment.
    pub environment: Vec<(String, String)>,
}

/// One who is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrant {
    /// Its name; no two are equal.
    pub name: String,
    /// The program's name, by which those of one program are set against each other.
    pub program: String,
    /// How it is run.
    pub way: Way,
}

/// How a program is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// As a process for each request: an absolute path, and arguments if it needs any.
    Cgi(Vec<String>),
    /// As workers that speak FastCGI: an absolute path, and arguments.
    Fastcgi(Vec<String>),
    /// As workers that speak SCGI: an absolute path, and arguments.
    Scgi(Vec<String>),
    /// As a part of the gateway's own process: the program of `compare` itself, and no other.
    InProcess,
    /// Another server.
    Url(Url),
}

/// Where another server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// As it was written.
    pub text: String,
    /// Its address.
    pub address: SocketAddr,
    /// What the Host field says.
    pub host: String,
    /// What is asked there, if it is not what the others are asked.
    pub path: Option<String>,
}

impl Entrant {
    /// How it is run, as the findings say it.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.way {
            Way::Cgi(_) => Mode::Cgi,
            Way::Fastcgi(_) => Mode::Fastcgi,
            Way::Scgi(_) => Mode::Scgi,
            Way::InProcess => Mode::InProcess,
            Way::Url(_) => Mode::Url,
        }
    }

    /// The command line, or the URL.
    #[must_use]
    pub fn command(&self) -> String {
        match &self.way {
            Way::Cgi(command) | Way::Fastcgi(command) | Way::Scgi(command) => command.join(" "),
            Way::InProcess => "(in the gateway)".to_owned(),
            Way::Url(url) => url.text.clone(),
        }
    }
}

impl Plan {
    /// How many measurements it takes, and about how long all of it, as far as the plan decides that.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        let latency = u32::from(self.measures_latency_apart());
        let measurements = (self.clients.len() as u32 + latency) * self.rounds;
        (self.duration * measurements + self.warm_up) * self.entrants.len() as u32
    }

    /// Whether latency is not what one client sees who measures throughput anyway.
    pub(super) fn measures_latency_apart(&self) -> bool {
        self.rate_per_s.is_some() || !self.clients.contains(&1)
    }
}
