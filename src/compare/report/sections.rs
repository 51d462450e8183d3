//! The figures of a comparison in columns, a row for each contestant. They know findings, not where they are shown.

use super::plural;
use crate::compare::findings::{Contestant, Cpu, Findings};
use crate::compare::quantity::{Quantity, count, percent, rate, size, time};

/// Some columns of figures.
pub(super) struct Section {
    /// What they are of.
    pub(super) heading: String,
    /// The heading of each column.
    pub(super) columns: Vec<String>,
    /// As many cells as columns, or none for a contestant without figures; in the order of the contestants.
    pub(super) rows: Vec<Vec<Option<Quantity>>>,
}

impl Section {
    /// Those of the terminal, in their order.
    pub(super) fn all(findings: &Findings) -> [Self; 5] {
        [latency(findings), throughput(findings), start_up(findings), cpu(findings), memory(findings)]
    }

    fn new(
        findings: &Findings,
        heading: &str,
        columns: Vec<String>,
        row: impl Fn(&Contestant) -> Vec<Option<Quantity>>,
    ) -> Self {
        let rows = findings.contestants.iter().map(row).collect();
        Self { heading: heading.to_owned(), columns, rows }
    }

    /// Whether there is anything to tell of a contestant.
    pub(super) fn has_figures(row: &[Option<Quantity>]) -> bool {
        row.iter().any(Option::is_some)
    }

    /// Whether no contestant has a figure.
    pub(super) fn is_empty(&self) -> bool {
        !self.rows.iter().any(|row| Self::has_figures(row))
    }
}

fn headings<const N: usize>(headings: [&str; N]) -> Vec<String> {
    headings.map(str::to_owned).to_vec()
}

pub(super) fn latency(findings: &Findings) -> Section {
    let names = headings(["min", "p50", "p90", "p99", "p99.9", "max", "requests"]);
    Section::new(findings, "Latency", names, |contestant| {
        let Some(latency) = &contestant.latency else { return Vec::new() };
        let percentiles = [latency.p50_us, latency.p90_us, latency.p99_us, latency.p99_9_us];
        let mut row = vec![Some(time(latency.min_us))];
        row.extend(percentiles.map(|percentile| percentile.map(time)));
        row.push(Some(time(latency.max_us)));
        row.push(Some(Quantity { number: count(latency.count), unit: "" }));
        row
    })
}

/// For each number of clients the median of the rounds, and how far the rounds are from each other.
pub(super) fn throughput(findings: &Findings) -> Section {
    let mut clients: Vec<u32> =
        findings.contestants.iter().flat_map(|one| one.throughput.iter().map(|row| row.clients)).collect();
    clients.sort_unstable();
    clients.dedup();
    let names = clients.iter().flat_map(|clients| [plural(u64::from(*clients), "client"), "±".to_owned()]);
    Section::new(findings, "Requests/s", names.collect(), |contestant| {
        let cells = clients.iter().flat_map(|clients| {
            let throughput = contestant.throughput.iter().find(|row| row.clients == *clients);
            let spread = throughput.map(|throughput| &throughput.requests_per_s);
            let half = |coefficient: f64| Quantity { number: percent(coefficient / 2.0), unit: "" };
            [
                spread.map(|spread| rate(spread.median)),
                spread.and_then(|spread| spread.coefficient()).map(half),
            ]
        });
        cells.collect()
    })
}

pub(super) fn start_up(findings: &Findings) -> Section {
    let names = headings(["exec", "program", "first answer", "total", "min", "max"]);
    Section::new(findings, "Start-up", names, |contestant| {
        let Some(start_up) = &contestant.start_up else { return Vec::new() };
        let parts =
            [&start_up.exec_us, &start_up.program_us, &start_up.first_response_us, &start_up.total_us];
        let mut row: Vec<Option<Quantity>> = parts.iter().map(|part| Some(time(part.median))).collect();
        row.extend([start_up.total_us.min, start_up.total_us.max].map(|us| Some(time(us))));
        row
    })
}

pub(super) fn cpu(findings: &Findings) -> Section {
    let names = headings(["gateway", "user", "system", "program", "user", "system"]);
    Section::new(findings, "CPU per request", names, |contestant| {
        let parts = |cpu: &Option<Cpu>| match cpu {
            Some(cpu) => [cpu.total_us(), cpu.user_us.median, cpu.system_us.median].map(|us| Some(time(us))),
            None => [const { None }; 3],
        };
        [parts(&contestant.cpu_gateway), parts(&contestant.cpu_program)].concat()
    })
}

pub(super) fn memory(findings: &Findings) -> Section {
    let names = headings(["gateway", "a process", "processes"]);
    Section::new(findings, "Peak memory", names, |contestant| {
        let memory = &contestant.memory;
        let processes =
            memory.program_processes.map(|number| Quantity { number: count(number.into()), unit: "" });
        vec![memory.gateway_bytes.map(size), memory.program_bytes.map(size), processes]
    })
}
