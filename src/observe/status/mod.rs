//! How the gateway is at one moment, as plain data, and the three ways to write it down. It does not know where the data come
//! from: neither pools nor processes.
//!
//! | file | noun |
//! |---|---|
//! | [`Status::html`] in `html` | a page for people |
//! | [`Status::openmetrics`] in `openmetrics` | text for a collector of metrics |
//! | [`Status::json`] | the data as they are |

mod html;
mod openmetrics;
#[cfg(test)]
mod render_tests;

use std::collections::BTreeMap;

use serde::Serialize;

use super::histogram::Spread;

pub use openmetrics::MEDIA_TYPE as OPENMETRICS;

/// How the gateway is at one moment. Times are in seconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Status {
    /// The gateway as a process.
    pub gateway: GatewayStatus,
    /// All requests since it was started.
    pub requests: Requests,
    /// The listeners, as configured.
    pub listeners: Vec<ListenerStatus>,
    /// The pools, as configured.
    pub pools: Vec<PoolStatus>,
    /// The routes that start a process for each request.
    pub cgi: Vec<CgiStatus>,
}

/// The gateway as a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GatewayStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// When it was started, in seconds since 1970.
    pub since_unix_s: u64,
    /// How long ago that was.
    pub uptime_s: f64,
    /// Its resident memory.
    pub memory_bytes: Option<u64>,
    /// The processor time that it has used.
    pub cpu_s: Option<f64>,
}

/// Requests, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Those that have begun and not ended: the one that asks for the status, too.
    pub running: u64,
    /// Those that have ended.
    pub ended: u64,
    /// Those that have ended, by the class of their status: `2xx` ...; `none` had none because the client left before.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Those that were answered by a page of the gateway, or cut short, by whose matter that was.
    pub failures: BTreeMap<&'static str, u64>,
    /// Those whose client left before it had the whole response.
    pub clients_gone: u64,
    /// Bytes of request bodies that were taken.
    pub bytes_received: u64,
    /// Bytes of response bodies that were given.
    pub bytes_sent: u64,
    /// How long they took.
    pub took: Spread,
}

/// One listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListenerStatus {
    /// Its address.
    pub name: String,
    /// Its connections now.
    pub connections: usize,
    /// The most at once.
    pub max_connections: usize,
}

/// The queue before workers or processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct QueueStatus {
    /// How many wait now.
    pub waiting: usize,
    /// How many were refused because there was no room, or none in time.
    pub refused: u64,
    /// How long those waited that got their turn.
    pub waits: Spread,
}

/// One pool of workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// What its workers speak.
    pub speaks: &'static str,
    /// The program that is started; `None` where somebody else does that.
    pub program: Option<String>,
    /// Its limits, as configured.
    pub limits: Limits,
    /// Those who wait for a worker.
    pub queue: QueueStatus,
    /// Why there is no use in waiting, if there is none: how the last worker ended.
    pub outage: Option<String>,
    /// How many workers were ever started.
    pub started: u64,
    /// How many have ended, by reason.
    pub endings: BTreeMap<&'static str, u64>,
    /// The workers that we start.
    pub workers: Vec<WorkerStatus>,
    /// What there is to tell of workers that have gone.
    pub last_endings: Vec<LastEnding>,
    /// The addresses where somebody else's workers listen.
    pub addresses: Vec<AddressStatus>,
}

/// One worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WorkerStatus {
    /// Its name in the log.
    pub name: String,
    /// Its number, never given twice.
    pub id: u64,
    /// Its process.
    pub pid: Option<i32>,
    /// What it is: `starting`, `idle`, `busy` ...
    pub state: &'static str,
    /// For how long it has been that.
    pub state_s: f64,
    /// Requests that it has now.
    pub in_flight: usize,
    /// Requests that it has answered.
    pub served: u64,
    /// Its resident memory.
    pub memory_bytes: Option<u64>,
    /// The processor time that it has used.
    pub cpu_s: Option<f64>,
}

/// How the last worker in one place ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LastEnding {
    /// The worker's name, which its successor has, too.
    pub worker: String,
    /// Exit status or signal, and its last lines on stderr.
    pub how: String,
    /// How many have failed there in a row.
    pub failures: u32,
    /// In how many seconds the next is started, if that is put off.
    pub rests_s: Option<f64>,
}

/// One address where somebody else's workers listen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AddressStatus {
    /// The address.
    pub name: String,
    /// Requests that it has now.
    pub in_flight: usize,
    /// Requests that were sent there.
    pub served: u64,
    /// Whether it is spared for a while because it refused a connection.
    pub rests: bool,
}

/// One route that starts a process for each request.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CgiStatus {
    /// The route.
    pub route: String,
    /// The folder or program.
    pub path: String,
    /// Its limits, as configured.
    pub limits: Limits,
    /// Its processes now.
    pub running: usize,
    /// Those who wait for one.
    pub queue: QueueStatus,
}

/// Limits by the key of the configuration.
pub type Limits = BTreeMap<&'static str, Amount>;

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// So many.
    Count(u64),
    /// So long, in seconds.
    Seconds(f64),
    /// So large, in bytes.
    Bytes(u64),
    /// None.
    Unlimited,
}

impl Status {
    /// The data as JSON.
    #[must_use]
    pub fn json(&self) -> String {
        // Plain data with string keys cannot fail to be written.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}
