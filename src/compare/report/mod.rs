//! A comparison as text: for the terminal, as JSON, as CSV, as a page. It knows no file and no terminal; whoever asks
//! writes what is given.
//!
//! | file | is |
//! |---|---|
//! | [`table`] | for the terminal: figures in columns, then what they mean |
//! | [`json`] | everything, for programs |
//! | [`page`] | one self-contained page of HTML, with charts |
//! | [`csv`] | one value a row, for spreadsheets and statistics |
//! | [`chart`] | paper and pen for its charts |
//! | [`escape`] | names that somebody else chose, made harmless in each of these |

mod axis;
mod bars;
pub mod chart;
pub mod csv;
mod curves;
pub mod escape;
pub mod json;
pub mod page;
mod sections;
pub mod table;

#[cfg(test)]
mod csv_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod table_tests;

use super::findings::{Contestant, Findings, Settings};
use super::quantity::{count, rate, time};

/// A contestant's name; its mode behind it, unless the name tells it.
#[must_use]
pub(super) fn title(contestant: &Contestant) -> String {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let label = contestant.mode.label();
    let is_told = letters(&contestant.name).contains(&letters(label));
    if is_told { contestant.name.clone() } else { format!("{} ({label})", contestant.name) }
}

/// How it was measured, in one line.
fn method(settings: &Settings) -> String {
    let body = match settings.body_bytes {
        0 => String::new(),
        bytes => format!(" with a body of {} bytes", count(bytes)),
    };
    let most = settings.requests.map(|most| format!(" or {}", plural(most, "request"))).unwrap_or_default();
    let pace = settings.rate_per_s.map_or_else(
        || "next request after the answer".to_owned(),
        |rate_per_s| format!("{} requests/s", rate(rate_per_s).short()),
    );
    format!(
        "{} {}{body}: {} of {}{most}, {}, {pace}",
        settings.method,
        settings.target,
        plural(u64::from(settings.rounds), "round"),
        time(settings.duration_s * 1e6).short(),
        plural(u64::from(settings.workers), "worker"),
    )
}

/// What it was measured on, in one line.
fn machine(findings: &Findings) -> String {
    let machine = &findings.machine;
    let model = if machine.cpu_model.is_empty() { "unknown processor" } else { &machine.cpu_model };
    let build = if findings.gatebridge.debug { ", not optimised" } else { "" };
    format!(
        "{model}, {}, {} of memory, {}, gatebridge {}{build}, {}",
        plural(u64::from(machine.cores), "core"),
        super::quantity::size(machine.memory_bytes),
        if machine.kernel.is_empty() { "unknown kernel" } else { &machine.kernel },
        findings.gatebridge.version,
        findings.began_at,
    )
}

/// A number and its noun: "1 client", "4 clients".
fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}
