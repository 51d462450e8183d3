//! `workers`, a number or a table, from as written to as meant; it does not know what a worker is.

use super::defaults;
use super::diagnostic::Kind as Mistake;
use super::keys::{Only, Table};
use super::meant_back::Scale;
use super::section::Section;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Static,
    Dynamic,
    OnDemand,
}

/// Reads `workers` of a `[pool.NAME]`.
pub(super) fn scale(pool: &Section<'_, '_>) -> Scale {
    let table = pool.value("workers").and_then(|value| value.get_ref().as_table());
    let (Some(table), Some(span)) = (table, pool.key_span("workers")) else {
        return fixed(pool.count("workers"));
    };
    let name = format!("`workers` of {}", pool.name());
    let section = Section::open(Table::Workers, name, table, span, pool.notes);
    let modes = [("static", Mode::Static), ("dynamic", Mode::Dynamic), ("ondemand", Mode::OnDemand)];
    let Some(mode) = section.word("mode", &modes) else { return fixed(1) };
    let (is, allowed): (_, &[Only]) = match mode {
        Mode::Static => ("the mode \"static\"", &[Only::Any]),
        Mode::Dynamic => ("the mode \"dynamic\"", &[Only::Any, Only::Dynamic, Only::Elastic]),
        Mode::OnDemand => ("the mode \"ondemand\"", &[Only::Any, Only::Elastic]),
    };
    section.allow(is, allowed);
    if section.value("max").is_none() {
        section.missing("max", "add max = 8: never more workers than that, whatever the load");
    }
    let max = section.count("max");
    let (min, spare) = match mode {
        Mode::Static => return fixed(max),
        Mode::Dynamic => (section.count("min"), section.count("spare")),
        Mode::OnDemand => (0, 0),
    };
    for (key, number) in [("min", min), ("spare", spare)] {
        // A default that exceeds a small maximum is no mistake of whoever wrote the file.
        if number > max && section.value(key).is_some() && section.value("max").is_some() {
            let message = format!("`{key}` is {number}, and `max` is {max}");
            let hint = "lower the first, or raise the second";
            section.notes.error(Mistake::Conflict, &section.value_span(key), message, hint);
        }
    }
    Scale {
        min: min.min(max),
        max,
        spare: spare.min(max),
        idle_timeout: section.duration("idle_timeout"),
        scale_after: section.duration("scale_after"),
    }
}

/// A number that does not change.
fn fixed(workers: usize) -> Scale {
    Scale {
        min: workers,
        max: workers,
        spare: 0,
        idle_timeout: defaults::WORKERS_IDLE_TIMEOUT,
        scale_after: defaults::SCALE_AFTER,
    }
}
