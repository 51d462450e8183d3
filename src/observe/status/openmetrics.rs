//! The status as OpenMetrics text 1.0, which Prometheus and its relatives collect. It does not know who asks.

use std::fmt::{Display, Write as _};

use super::{Amount, Limits, PoolStatus, QueueStatus, Status};
use crate::observe::histogram::{BOUNDS_MS, Spread};

/// The media type of what [`Status::openmetrics`] writes.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The states that a worker can be in, so that a pool has a number for each.
const STATES: [&str; 5] = ["starting", "idle", "busy", "retiring", "killing"];

/// Labels by name and value.
type Labels<'l> = &'l [(&'l str, &'l str)];

/// The text in the making; each family of metrics is written as a whole, as the format wants it.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit));
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if let Some(unit) = unit {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {help}");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if at == 0 { '{' } else { ',' });
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn histogram(&mut self, name: &str, labels: Labels<'_>, spread: &Spread) {
        let bucket = format!("{name}_bucket");
        let mut so_far = 0;
        for (at, count) in spread.counts.iter().enumerate() {
            so_far += count;
            let bound = BOUNDS_MS.get(at).map_or("+Inf".to_owned(), |bound| canonical(millis(*bound)));
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(&bucket, &labels, so_far);
        }
        self.sample(&format!("{name}_count"), labels, so_far);
        self.sample(&format!("{name}_sum"), labels, micros(spread.sum_us));
    }
}

#[expect(clippy::cast_precision_loss, reason = "the bounds are small")]
fn millis(millis: u64) -> f64 {
    millis as f64 / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a rounded sum of centuries is good enough")]
fn micros(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// A bound as the format wants it: always with a point.
fn canonical(bound: f64) -> String {
    format!("{bound:?}")
}

impl Status {
    /// The status as OpenMetrics text 1.0.
    #[must_use]
    pub fn openmetrics(&self) -> String {
        let mut text = Text(String::new());
        self.write_gateway(&mut text);
        self.write_requests(&mut text);
        self.write_pools(&mut text);
        self.write_workers(&mut text);
        self.write_cgi(&mut text);
        text.0.push_str("# EOF\n");
        text.0
    }

    fn write_gateway(&self, text: &mut Text) {
        let gateway = &self.gateway;
        text.family("gatebridge_build", "info", "The program.");
        text.sample("gatebridge_build_info", &[("version", &gateway.version)], 1);
        text.family("gatebridge_start_time_seconds", "gauge", "When the gateway was started, since 1970.");
        text.sample("gatebridge_start_time_seconds", &[], gateway.since_unix_s);
        if let Some(bytes) = gateway.memory_bytes {
            text.family("gatebridge_memory_bytes", "gauge", "Resident memory of the gateway itself.");
            text.sample("gatebridge_memory_bytes", &[], bytes);
        }
        if let Some(cpu) = gateway.cpu_s {
            text.family("gatebridge_cpu_seconds", "counter", "Processor time of the gateway itself.");
            text.sample("gatebridge_cpu_seconds_total", &[], cpu);
        }
        text.family("gatebridge_connections", "gauge", "Connections of clients now.");
        for listener in &self.listeners {
            text.sample("gatebridge_connections", &[("listener", &listener.name)], listener.connections);
        }
        text.family(
            "gatebridge_connections_limit",
            "gauge",
            "The most connections at once (max_connections).",
        );
        for listener in &self.listeners {
            let labels = [("listener", listener.name.as_str())];
            text.sample("gatebridge_connections_limit", &labels, listener.max_connections);
        }
    }

    fn write_requests(&self, text: &mut Text) {
        let requests = &self.requests;
        text.family("gatebridge_requests_running", "gauge", "Requests that have begun and not ended.");
        text.sample("gatebridge_requests_running", &[], requests.running);
        text.family("gatebridge_requests", "counter", "Requests that have ended, by class of status.");
        for (class, count) in &requests.by_status {
            text.sample("gatebridge_requests_total", &[("status", class)], count);
        }
        text.family("gatebridge_failures", "counter", "Requests that failed, by whose matter that was.");
        for (blame, count) in &requests.failures {
            text.sample("gatebridge_failures_total", &[("blame", blame)], count);
        }
        text.family("gatebridge_clients_gone", "counter", "Requests whose client left early.");
        text.sample("gatebridge_clients_gone_total", &[], requests.clients_gone);
        text.family("gatebridge_received_bytes", "counter", "Bytes of request bodies.");
        text.sample("gatebridge_received_bytes_total", &[], requests.bytes_received);
        text.family("gatebridge_sent_bytes", "counter", "Bytes of response bodies.");
        text.sample("gatebridge_sent_bytes_total", &[], requests.bytes_sent);
        let name = "gatebridge_request_duration_seconds";
        text.family(name, "histogram", "From the request's head to its end for the client.");
        text.histogram(name, &[], &requests.took);
    }

    fn write_pools(&self, text: &mut Text) {
        fn label(pool: &PoolStatus) -> [(&str, &str); 1] {
            [("pool", &pool.name)]
        }
        text.family("gatebridge_pool_workers", "gauge", "Workers by state.");
        for pool in self.pools.iter().filter(|pool| pool.program.is_some()) {
            for state in STATES {
                let count = pool.workers.iter().filter(|worker| worker.state == state).count();
                text.sample("gatebridge_pool_workers", &[("pool", &pool.name), ("state", state)], count);
            }
        }
        text.family("gatebridge_pool_out", "gauge", "1 while no worker can be had, else 0.");
        for pool in &self.pools {
            text.sample("gatebridge_pool_out", &label(pool), u8::from(pool.outage.is_some()));
        }
        text.family("gatebridge_pool_worker_starts", "counter", "Workers that were ever started.");
        for pool in &self.pools {
            text.sample("gatebridge_pool_worker_starts_total", &label(pool), pool.started);
        }
        text.family("gatebridge_pool_worker_endings", "counter", "Workers that have ended, by reason.");
        for pool in &self.pools {
            for (reason, count) in &pool.endings {
                let labels = [("pool", pool.name.as_str()), ("reason", *reason)];
                text.sample("gatebridge_pool_worker_endings_total", &labels, count);
            }
        }
        let queues: Vec<_> = self.pools.iter().map(|pool| (pool.name.as_str(), &pool.queue)).collect();
        write_queues(text, "pool", "pool", &queues);
        let limits: Vec<_> = self.pools.iter().map(|pool| (pool.name.as_str(), &pool.limits)).collect();
        write_limits(text, "pool", "pool", &limits);
        text.family("gatebridge_address_in_flight", "gauge", "Requests at an address now.");
        for (pool, address) in
            self.pools.iter().flat_map(|pool| pool.addresses.iter().map(move |at| (pool, at)))
        {
            let labels = [("pool", pool.name.as_str()), ("address", address.name.as_str())];
            text.sample("gatebridge_address_in_flight", &labels, address.in_flight);
        }
    }

    fn write_workers(&self, text: &mut Text) {
        let workers: Vec<_> = self
            .pools
            .iter()
            .flat_map(|pool| pool.workers.iter().map(|worker| (pool.name.as_str(), worker)))
            .collect();
        text.family("gatebridge_worker_in_flight", "gauge", "Requests that a worker has now.");
        for (pool, worker) in &workers {
            let labels = [("pool", *pool), ("worker", worker.name.as_str())];
            text.sample("gatebridge_worker_in_flight", &labels, worker.in_flight);
        }
        text.family(
            "gatebridge_worker_served",
            "counter",
            "Requests that a worker has answered; its successor begins anew.",
        );
        for (pool, worker) in &workers {
            let labels = [("pool", *pool), ("worker", worker.name.as_str())];
            text.sample("gatebridge_worker_served_total", &labels, worker.served);
        }
        text.family("gatebridge_worker_memory_bytes", "gauge", "Resident memory of a worker.");
        for (pool, worker) in &workers {
            let Some(bytes) = worker.memory_bytes else { continue };
            let labels = [("pool", *pool), ("worker", worker.name.as_str())];
            text.sample("gatebridge_worker_memory_bytes", &labels, bytes);
        }
        text.family(
            "gatebridge_worker_cpu_seconds",
            "counter",
            "Processor time of a worker; its successor begins anew.",
        );
        for (pool, worker) in &workers {
            let Some(cpu) = worker.cpu_s else { continue };
            let labels = [("pool", *pool), ("worker", worker.name.as_str())];
            text.sample("gatebridge_worker_cpu_seconds_total", &labels, cpu);
        }
    }

    fn write_cgi(&self, text: &mut Text) {
        text.family("gatebridge_cgi_running", "gauge", "Processes of a CGI route now.");
        for cgi in &self.cgi {
            text.sample("gatebridge_cgi_running", &[("route", &cgi.route)], cgi.running);
        }
        let queues: Vec<_> = self.cgi.iter().map(|cgi| (cgi.route.as_str(), &cgi.queue)).collect();
        write_queues(text, "cgi", "route", &queues);
        let limits: Vec<_> = self.cgi.iter().map(|cgi| (cgi.route.as_str(), &cgi.limits)).collect();
        write_limits(text, "cgi", "route", &limits);
    }
}

fn write_queues(text: &mut Text, kind: &str, label: &str, queues: &[(&str, &QueueStatus)]) {
    let name = format!("gatebridge_{kind}_waiting");
    text.family(&name, "gauge", "Requests that wait for their turn.");
    for (of, queue) in queues {
        text.sample(&name, &[(label, of)], queue.waiting);
    }
    let name = format!("gatebridge_{kind}_refused");
    text.family(&name, "counter", "Requests for which there was no room, or none in time.");
    for (of, queue) in queues {
        text.sample(&format!("{name}_total"), &[(label, of)], queue.refused);
    }
    let name = format!("gatebridge_{kind}_queue_wait_seconds");
    text.family(&name, "histogram", "How long requests waited that got their turn.");
    for (of, queue) in queues {
        text.histogram(&name, &[(label, of)], &queue.waits);
    }
}

fn write_limits(text: &mut Text, kind: &str, label: &str, limits: &[(&str, &Limits)]) {
    let name = format!("gatebridge_{kind}_limit");
    text.family(
        &name,
        "gauge",
        "Limits as configured, by key, in seconds, bytes or as a count; +Inf is none.",
    );
    for (of, limits) in limits {
        for (key, amount) in *limits {
            let labels = [(label, *of), ("key", *key)];
            match amount {
                Amount::Count(number) | Amount::Bytes(number) => text.sample(&name, &labels, number),
                Amount::Seconds(seconds) => text.sample(&name, &labels, seconds),
                Amount::Unlimited => text.sample(&name, &labels, "+Inf"),
            }
        }
    }
}
