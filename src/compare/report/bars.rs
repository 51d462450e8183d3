//! The charts of bars in parts: start-up, CPU time, memory. They know findings, not the page.

use super::chart::{Anchor, ChartError, Ink, Part, WIDTH, chart};
use super::escape::{cut, visible};
use super::title;
use crate::compare::findings::{Contestant, Findings};
use crate::compare::quantity::{size, time};
use crate::compare::verdict::exact;

/// A bar with its name above it.
const ROW: f64 = 54.0;
const THICKNESS: f64 = 22.0;
/// Room for a character of the number behind a bar; bold digits are wide.
const CHARACTER: f64 = 8.6;
/// The longest name that fits above a bar.
const NAME_LENGTH: usize = 90;
/// More parts than this are not told apart.
const MOST_PARTS: u32 = 64;

/// One bar.
struct Bar {
    name: String,
    parts: Vec<(f64, Part)>,
    number: String,
}

fn bars(id: &str, heading: &str, description: &str, bars: &[Bar]) -> Result<Option<String>, ChartError> {
    let sum = |bar: &Bar| bar.parts.iter().map(|(value, _)| value).sum::<f64>();
    let most = bars.iter().map(sum).fold(0.0, f64::max);
    if most <= 0.0 {
        return Ok(None);
    }
    let longest = bars.iter().map(|bar| bar.number.chars().count()).max().unwrap_or(0);
    let room = WIDTH - 16.0 - CHARACTER * exact(longest as u64);
    let height = ROW * exact(bars.len() as u64) + 4.0;
    chart(id, heading, description, height, |pen| {
        for (index, bar) in bars.iter().enumerate() {
            let top = ROW * exact(index as u64);
            pen.text(&cut(&visible(&bar.name), NAME_LENGTH), (0.0, top + 12.0), Anchor::Start, Ink::Text)?;
            let (top, mut x) = (top + 24.0, 0.0);
            let middle = top + THICKNESS / 2.0;
            for (value, part) in &bar.parts {
                let width = value / most * room;
                // A hair of paper between parts, where there is room for it.
                let gap = if width > 3.0 { 1.0 } else { 0.0 };
                pen.rectangle((x, top), (x + width - gap, top + THICKNESS), Ink::Part(*part))?;
                x += width;
            }
            pen.rectangle((0.0, top), (1.0, top + THICKNESS), Ink::Faint)?;
            pen.bold(&bar.number, (x + 8.0, middle), Anchor::Start, Ink::Text)?;
        }
        Ok(())
    })
    .map(Some)
}

fn each(findings: &Findings, bar: impl Fn(&Contestant) -> Option<Bar>) -> Vec<Bar> {
    findings.contestants.iter().filter_map(bar).collect()
}

/// From the order to start to the first byte.
pub(super) fn start_up(findings: &Findings) -> Result<Option<String>, ChartError> {
    let rows = each(findings, |one| {
        let start_up = one.start_up.as_ref()?;
        let parts = vec![
            (start_up.exec_us.median, Part::Exec),
            (start_up.program_us.median, Part::Program),
            (start_up.first_response_us.median, Part::FirstAnswer),
        ];
        Some(Bar { name: title(one), parts, number: time(start_up.total_us.median).to_string() })
    });
    let description = "A bar for each contestant, in three parts: until exec, until the program is ready, until the first \
         byte of its first answer. The table below has the figures.";
    bars("start-up", "Start-up", description, &rows)
}

/// CPU time per request.
pub(super) fn cpu(findings: &Findings) -> Result<Option<String>, ChartError> {
    let rows = each(findings, |one| {
        let mut parts = Vec::new();
        if let Some(cpu) = &one.cpu_gateway {
            parts.push((cpu.user_us.median, Part::GatewayUser));
            parts.push((cpu.system_us.median, Part::GatewaySystem));
        }
        if let Some(cpu) = &one.cpu_program {
            parts.push((cpu.user_us.median, Part::ProgramUser));
            parts.push((cpu.system_us.median, Part::ProgramSystem));
        }
        let total: f64 = parts.iter().map(|(value, _)| value).sum();
        (!parts.is_empty()).then(|| Bar { name: title(one), parts, number: time(total).to_string() })
    });
    let description = "A bar for each contestant, in parts: CPU time of the gateway in user and system mode, then that of \
         the program. The table below has the figures.";
    bars("cpu", "CPU time per request", description, &rows)
}

/// Peak memory: the gateway, then each process of the program.
pub(super) fn memory(findings: &Findings) -> Result<Option<String>, ChartError> {
    let rows = each(findings, |one| {
        let memory = &one.memory;
        let mut parts = Vec::new();
        let mut number = Vec::new();
        if let Some(bytes) = memory.gateway_bytes {
            parts.push((exact(bytes), Part::GatewayUser));
            number.push(size(bytes).to_string());
        }
        if let Some(bytes) = memory.program_bytes {
            let processes = memory.program_processes.unwrap_or(1);
            let shown = processes.clamp(1, MOST_PARTS);
            let each = exact(bytes) * f64::from(processes.max(1)) / f64::from(shown);
            parts.extend((0..shown).map(|_| (each, Part::ProgramUser)));
            let times = if processes > 1 { format!("{processes} × ") } else { String::new() };
            number.push(format!("{times}{}", size(bytes)));
        }
        let number = number.join(" + ");
        (!parts.is_empty()).then(|| Bar { name: title(one), parts, number })
    });
    let description = "A bar for each contestant, in parts: peak memory of the gateway, then that of each process of the \
         program. The table below has the figures.";
    bars("memory", "Peak memory", description, &rows)
}
