//! The charts with axes: latency by percentile, throughput by clients, time over requests. They know findings and
//! verdicts, not the page.

use super::axis::{Axis, step};
use super::chart::{Anchor, ChartError, Drawn, Ink, Pen, WIDTH, chart};
use crate::compare::findings::{Contestant, Findings};
use crate::compare::quantity::{Quantity, count, rate, time};
use crate::compare::verdict::{BreakEven, Payoff, Verdicts, exact};

const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 52.0;

/// Pixels from the left to the right end of an axis.
const ACROSS: (f64, f64) = (LEFT, WIDTH - RIGHT);
/// Pixels from the lower to the upper end of an axis.
const UP: (f64, f64) = (HEIGHT - BOTTOM, TOP);

/// Horizontal lines with their numbers.
fn levels(pen: &Pen<'_>, axis: &Axis, label: impl Fn(f64) -> Quantity) -> Drawn {
    for tick in axis.ticks() {
        let y = axis.pixel(tick);
        pen.line(&[(LEFT, y), (ACROSS.1, y)], Ink::Grid, 1.0)?;
        pen.text(&label(tick).short(), (LEFT - 10.0, y), Anchor::End, Ink::Faint)?;
    }
    Ok(())
}

/// A number below the chart.
fn foot(pen: &Pen<'_>, x: f64, label: &str) -> Drawn {
    pen.text(label, (x, UP.0 + 18.0), Anchor::Middle, Ink::Faint)
}

/// What the numbers below the chart are.
fn foot_title(pen: &Pen<'_>, title: &str) -> Drawn {
    pen.text(title, (ACROSS.1, UP.0 + 40.0), Anchor::End, Ink::Faint)
}

/// How far to the right a percentile is: each further nine takes as much room as the one before.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).max(1e-9).log10()
}

/// How long requests took, from the fastest to the slowest that may be told.
pub(super) fn latency(findings: &Findings) -> Result<Option<String>, ChartError> {
    let curves: Vec<(usize, Vec<(f64, f64)>)> = findings
        .contestants
        .iter()
        .enumerate()
        .filter_map(|(place, one)| {
            let curve = &one.latency.as_ref()?.curve;
            Some((place, curve.iter().map(|point| (point.percentile, point.latency_us)).collect()))
        })
        .collect();
    let points = || curves.iter().flat_map(|(_, curve)| curve.iter());
    if points().count() == 0 {
        return Ok(None);
    }
    let least = points().map(|(_, us)| *us).fold(f64::INFINITY, f64::min);
    let most = points().map(|(_, us)| *us).fold(0.0, f64::max);
    let last = points().map(|(percentile, _)| *percentile).fold(50.0, f64::max);
    let up = Axis::logarithmic(least * 0.8, most * 1.25, UP);
    let across = Axis::linear(nines(last), ACROSS);
    let description = "A line for each contestant: the share of requests that were as fast or faster, from left to \
         right, and how long the slowest of them took, upwards on a logarithmic scale. The table below has the figures.";
    chart("latency", "Latency by percentile", description, HEIGHT, |pen| {
        levels(pen, &up, time)?;
        for tick in [0.0, 50.0, 90.0, 99.0, 99.9, 99.99].into_iter().filter(|tick| *tick <= last) {
            let x = across.pixel(nines(tick));
            pen.line(&[(x, UP.0), (x, UP.0 + 5.0)], Ink::Faint, 1.0)?;
            foot(pen, x, &if tick > 0.0 { format!("{tick}%") } else { "fastest".to_owned() })?;
        }
        foot_title(pen, "requests that were as fast or faster")?;
        for (place, curve) in &curves {
            let points: Vec<(f64, f64)> = curve
                .iter()
                .map(|(percentile, us)| (across.pixel(nines(*percentile)), up.pixel(*us)))
                .collect();
            pen.line(&points, Ink::Series(*place), 2.5)?;
            let told = curve.iter().zip(&points);
            for (_, point) in told.filter(|((percentile, _), _)| {
                curve.len() == 1 || [50.0, 90.0, 99.0, 99.9].contains(percentile)
            }) {
                pen.mark(*point, *place)?;
            }
        }
        Ok(())
    })
    .map(Some)
}

/// How many requests were answered, by number of clients; with the range of the rounds.
pub(super) fn throughput(findings: &Findings) -> Result<Option<String>, ChartError> {
    let rows = || findings.contestants.iter().flat_map(|one| one.throughput.iter());
    let mut clients: Vec<u32> = rows().map(|row| row.clients).collect();
    clients.sort_unstable();
    clients.dedup();
    if clients.is_empty() {
        return Ok(None);
    }
    let most = rows().map(|row| row.requests_per_s.max).fold(0.0, f64::max);
    let up = Axis::linear(most * 1.05, UP);
    // Numbers of clients stand at equal distances, half of one from the ends.
    let room = (ACROSS.1 - ACROSS.0) / exact(clients.len() as u64);
    let x_of = |wanted: u32| {
        let index = clients.iter().position(|clients| *clients == wanted).unwrap_or(0);
        ACROSS.0 + room * (exact(index as u64) + 0.5)
    };
    let description = "A line for each contestant: requests answered per second, upwards, for growing numbers of \
         clients from left to right. Thin vertical lines reach from the worst round to the best. The table below has the \
         figures.";
    chart("throughput", "Requests per second by number of clients", description, HEIGHT, |pen| {
        levels(pen, &up, rate)?;
        for clients in &clients {
            foot(pen, x_of(*clients), &count(u64::from(*clients)))?;
        }
        foot_title(pen, "clients that ask at once")?;
        for (place, one) in findings.contestants.iter().enumerate() {
            let point =
                |row: &crate::compare::findings::Throughput, value: f64| (x_of(row.clients), up.pixel(value));
            let mut rows: Vec<_> = one.throughput.iter().collect();
            rows.sort_by_key(|row| row.clients);
            let points: Vec<_> = rows.iter().map(|row| point(row, row.requests_per_s.median)).collect();
            pen.line(&points, Ink::Series(place), 2.5)?;
            for row in &rows {
                let range = [point(row, row.requests_per_s.min), point(row, row.requests_per_s.max)];
                pen.line(&range, Ink::Series(place), 1.2)?;
                pen.mark(point(row, row.requests_per_s.median), place)?;
            }
        }
        Ok(())
    })
    .map(Some)
}

/// What a persistent program and a process per request have cost after so many requests. Pairs whose crossing would
/// hide that of the first are left out.
pub(super) fn break_even(findings: &Findings, verdicts: &Verdicts) -> Result<Option<String>, ChartError> {
    let crossing = |payoff: &Payoff| match payoff.break_even {
        BreakEven::AtOnce => Some(1),
        BreakEven::After { requests } => Some(requests),
        BreakEven::Never | BreakEven::WithinNoise => None,
    };
    let nearest = verdicts.payoffs.iter().filter_map(crossing).min();
    let Some(nearest) = nearest else { return Ok(None) };
    let shown: Vec<(&Payoff, u64)> = verdicts
        .payoffs
        .iter()
        .filter_map(|payoff| Some((payoff, crossing(payoff)?)))
        .filter(|(_, requests)| *requests <= nearest.saturating_mul(5).max(5))
        .collect();
    let farthest = shown.iter().map(|(_, requests)| *requests).max().unwrap_or(nearest);
    let end = exact(farthest) * 2.0 + 1.0;
    let most = shown.iter().map(|(payoff, _)| payoff.cgi_us.max(payoff.warm_us) * end).fold(0.0, f64::max);
    let across = Axis::linear(end, ACROSS);
    let up = Axis::linear(most * 1.02, UP);
    let place = |name: &str| findings.contestants.iter().position(|one: &Contestant| one.name == name);
    let description = "Straight lines over the number of requests: the time that a process per request has taken, from \
         zero, and the time that a persistent program has taken, from what its start costs. They cross where the persistent \
         program has paid for itself.";
    chart("break-even", "Time taken after so many requests", description, HEIGHT, |pen| {
        levels(pen, &up, time)?;
        let every = step(end / 10.0).max(1.0);
        for tick in (0..=20).map(|index| f64::from(index) * every).take_while(|tick| *tick <= end) {
            foot(pen, across.pixel(tick), &rate(tick).short())?;
        }
        foot_title(pen, "requests")?;
        for (payoff, _) in &shown {
            for (name, start, each) in
                [(&payoff.cgi, 0.0, payoff.cgi_us), (&payoff.persistent, payoff.start_us, payoff.warm_us)]
            {
                let ink = Ink::Series(place(name).unwrap_or(0));
                let line =
                    [0.0, end].map(|requests| (across.pixel(requests), up.pixel(start + each * requests)));
                pen.line(&line, ink, 2.5)?;
            }
        }
        let mut labelled: Vec<(f64, f64)> = Vec::new();
        for (payoff, requests) in &shown {
            let exactly = payoff.start_us / (payoff.cgi_us - payoff.warm_us);
            let crossing = (across.pixel(exactly), up.pixel(exactly * payoff.cgi_us));
            // Of those that are side by side, the first speaks for all.
            let is_near = |other: &(f64, f64)| (other.1 - crossing.1).abs() < 24.0;
            let is_told = labelled.iter().any(is_near);
            mark_crossing(pen, crossing, (!is_told).then_some(*requests))?;
            labelled.push(crossing);
        }
        Ok(())
    })
    .map(Some)
}

/// A ring where the lines cross, and the request that it means.
fn mark_crossing(pen: &Pen<'_>, crossing: (f64, f64), requests: Option<u64>) -> Drawn {
    pen.dashes((crossing.0, UP.0), crossing, Ink::Text)?;
    pen.ring(crossing)?;
    let label = match requests {
        None => return Ok(()),
        Some(1) => "paid with the first request".to_owned(),
        Some(requests) => format!("paid after {} requests", count(requests)),
    };
    pen.bold(&label, (crossing.0 + 14.0, (crossing.1 + 16.0).min(UP.0 - 12.0)), Anchor::Start, Ink::Text)
}
