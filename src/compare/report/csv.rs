//! A comparison as CSV, one value a row ("tidy"), so that any tool can filter and group it. It knows the columns of
//! `docs/compare.md`, not where the text goes.

use super::escape;
use crate::compare::Spread;
use crate::compare::findings::{Contestant, Findings};

/// The columns. `clients` is empty where a figure does not depend on it, `round` (from 1) where a figure is of all rounds.
pub const HEADER: &str = "contestant,mode,program,metric,unit,clients,round,value";

/// All measured values. Lines end in CR LF, as RFC 4180 has it. What is not known has no row.
#[must_use]
pub fn csv(findings: &Findings) -> String {
    let mut out = format!("{HEADER}\r\n");
    for contestant in &findings.contestants {
        Rows::of(&mut out, contestant).all(contestant);
    }
    out
}

/// Writes the rows of one contestant.
struct Rows<'o> {
    out: &'o mut String,
    /// The columns that are the same in all of its rows.
    who: String,
}

impl<'o> Rows<'o> {
    fn of(out: &'o mut String, contestant: &Contestant) -> Self {
        let (name, program) = (escape::csv(&contestant.name), escape::csv(&contestant.program));
        Self { out, who: format!("{name},{},{program}", contestant.mode.key()) }
    }

    fn row(&mut self, metric: &str, unit: &str, clients: &str, round: &str, value: &str) {
        self.out.push_str(&format!("{},{metric},{unit},{clients},{round},{value}\r\n", self.who));
    }

    fn value(&mut self, metric: &str, unit: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.row(metric, unit, "", "", &value.to_string());
        }
    }

    fn rounds(&mut self, metric: &str, unit: &str, clients: &str, spread: &Spread) {
        for (index, value) in spread.rounds.iter().enumerate() {
            self.row(metric, unit, clients, &(index + 1).to_string(), &value.to_string());
        }
    }

    fn all(&mut self, contestant: &Contestant) {
        if let Some(start_up) = &contestant.start_up {
            self.rounds("start_up_exec", "us", "", &start_up.exec_us);
            self.rounds("start_up_program", "us", "", &start_up.program_us);
            self.rounds("start_up_first_response", "us", "", &start_up.first_response_us);
            self.rounds("start_up_total", "us", "", &start_up.total_us);
        }
        if let Some(latency) = &contestant.latency {
            self.value("latency_requests", "requests", Some(latency.count));
            self.value("latency_min", "us", Some(latency.min_us));
            self.value("latency_p50", "us", latency.p50_us);
            self.value("latency_p90", "us", latency.p90_us);
            self.value("latency_p99", "us", latency.p99_us);
            self.value("latency_p99_9", "us", latency.p99_9_us);
            self.value("latency_max", "us", Some(latency.max_us));
            if let Some(medians) = &latency.p50_by_round_us {
                self.rounds("latency_p50", "us", "", medians);
            }
        }
        for throughput in &contestant.throughput {
            let clients = throughput.clients.to_string();
            self.rounds("throughput", "requests/s", &clients, &throughput.requests_per_s);
        }
        for (who, cpu) in [("gateway", &contestant.cpu_gateway), ("program", &contestant.cpu_program)] {
            if let Some(cpu) = cpu {
                self.rounds(&format!("cpu_{who}_user"), "us/request", "", &cpu.user_us);
                self.rounds(&format!("cpu_{who}_system"), "us/request", "", &cpu.system_us);
            }
        }
        self.value("memory_gateway", "bytes", contestant.memory.gateway_bytes);
        self.value("memory_program", "bytes", contestant.memory.program_bytes);
        self.value("program_processes", "processes", contestant.memory.program_processes);
        for errors in &contestant.errors {
            self.value(&format!("errors_{}", errors.kind.key()), "requests", Some(errors.count));
        }
    }
}
