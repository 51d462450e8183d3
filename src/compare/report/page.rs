//! A comparison as one self-contained page of HTML: nothing is loaded, nothing is run. It knows what is shown in which
//! order, not how figures are found or charts drawn.

use super::chart::{ChartError, Ink, Part, key};
use super::escape::markup;
use super::sections::{Section, cpu, latency, memory, start_up, throughput};
use super::{bars, curves, machine, method, plural, title};
use crate::compare::findings::{Contestant, Findings};
use crate::compare::quantity::{count, rate, ratio, time};
use crate::compare::verdict::{Verdicts, fastest};
use crate::compare::words;

/// How the page looks, in light, in dark and on paper.
const STYLE: &str = include_str!("page.css");

/// The whole page.
///
/// # Errors
/// When a chart cannot be drawn, which does not happen in memory.
pub fn page(findings: &Findings) -> Result<String, ChartError> {
    let verdicts = Verdicts::of(findings);
    let headline = markup(&words::headline(findings, &verdicts));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"gatebridge {}\">\n\
         <title>{headline}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        markup(&findings.gatebridge.version),
    );
    opening(&mut out, findings, &verdicts, &headline);
    for figure in figures(findings, &verdicts)? {
        figure.write(&mut out, findings);
    }
    closing(&mut out, findings);
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(out)
}

/// The verdict first, then what is to be known before it is believed, then the medians.
fn opening(out: &mut String, findings: &Findings, verdicts: &Verdicts, headline: &str) {
    let settings = &findings.settings;
    let request = markup(&format!("{} {}", settings.method, settings.target));
    out.push_str(&format!(
        "<header>\n<p class=\"eyebrow\">gatebridge compare <code>{request}</code></p>\n<h1>{headline}</h1>\n"
    ));
    tiles(out, findings, verdicts);
    list(out, "conclusions", &words::conclusions(findings, verdicts));
    out.push_str("</header>\n");
    if !verdicts.warnings.is_empty() {
        out.push_str("<aside>\n<h2>Before you believe it</h2>\n");
        list(out, "warnings", &words::warnings(verdicts));
        out.push_str("</aside>\n");
    }
}

fn list(out: &mut String, class: &str, sentences: &[String]) {
    // What a program or its gateway said may have lines of its own.
    let text = |sentence: &String| sentence.lines().map(markup).collect::<Vec<_>>().join("<br>\n");
    let items: String = sentences.iter().map(|sentence| format!("<li>{}</li>\n", text(sentence))).collect();
    if !items.is_empty() {
        out.push_str(&format!("<ul class=\"{class}\">\n{items}</ul>\n"));
    }
}

/// The median of each contestant, large; with the ratio that the verdicts tell, if they tell one.
fn tiles(out: &mut String, findings: &Findings, verdicts: &Verdicts) {
    let best = fastest(findings).map(|best| best.name.as_str());
    let tile = |(place, one): (usize, &Contestant)| -> Option<String> {
        let p50_us = one.p50_us()?;
        let standing = verdicts.standings.iter().find(|standing| standing.name == one.name);
        let note = match standing.and_then(|standing| standing.difference.ratio()) {
            Some(times) => format!("median, {} × the best", ratio(times)),
            None if best == Some(&one.name) && findings.contestants.len() > 1 => {
                "median, the best".to_owned()
            }
            None => "median".to_owned(),
        };
        let quantity = time(p50_us);
        Some(format!(
            "<li style=\"--ink: {}\"><span class=\"name\">{}{}</span><span class=\"number\">{} <small>{}</small></span>\
             <span class=\"note\">{note}</span></li>\n",
            Ink::Series(place).css(),
            key(place),
            markup(&title(one)),
            quantity.number,
            quantity.unit,
        ))
    };
    let tiles: String = findings.contestants.iter().enumerate().filter_map(tile).collect();
    if !tiles.is_empty() {
        out.push_str(&format!("<ul class=\"tiles\">\n{tiles}</ul>\n"));
    }
}

/// What a chart's colours stand for.
enum Legend {
    /// The contestants of which a chart has a line.
    Contestants(Vec<usize>),
    /// Parts of bars.
    Parts(&'static [(Part, &'static str)]),
}

/// A chart with its table.
struct Figure {
    heading: &'static str,
    /// How to read it.
    lead: String,
    legend: Legend,
    svg: Option<String>,
    table: Option<Section>,
}

const START_UP_PARTS: [(Part, &str); 3] =
    [(Part::Exec, "exec"), (Part::Program, "program"), (Part::FirstAnswer, "first answer")];
const CPU_PARTS: [(Part, &str); 4] = [
    (Part::GatewayUser, "gateway, user"),
    (Part::GatewaySystem, "gateway, system"),
    (Part::ProgramUser, "program, user"),
    (Part::ProgramSystem, "program, system"),
];
const MEMORY_PARTS: [(Part, &str); 2] =
    [(Part::GatewayUser, "gateway"), (Part::ProgramUser, "program, each process")];

fn figures(findings: &Findings, verdicts: &Verdicts) -> Result<Vec<Figure>, ChartError> {
    let those_with = |has: fn(&Contestant) -> bool| {
        let places = findings.contestants.iter().enumerate().filter(|(_, one)| has(one));
        Legend::Contestants(places.map(|(place, _)| place).collect())
    };
    let paying = findings.contestants.iter().enumerate().filter(|(_, one)| {
        verdicts.payoffs.iter().any(|payoff| payoff.cgi == one.name || payoff.persistent == one.name)
    });
    let corrected =
        findings.contestants.iter().any(|one| one.latency.as_ref().is_some_and(|own| own.corrected));
    let correction = if corrected {
        " Requests that had to wait for slow ones count with their whole wait."
    } else {
        " One client asks, and asks again when it has its answer."
    };
    Ok(vec![
        Figure {
            heading: "When a persistent worker pays",
            lead: "Starting a worker costs once, a process per request costs each time. Where the lines cross, the worker \
                   has taken less time in all."
                .to_owned(),
            legend: Legend::Contestants(paying.map(|(place, _)| place).collect()),
            svg: curves::break_even(findings, verdicts)?,
            table: None,
        },
        Figure {
            heading: "How long an answer takes",
            lead: format!("Further to the right are the rarer, slower answers; each step up is a factor.{correction}"),
            legend: those_with(|one| one.latency.is_some()),
            svg: curves::latency(findings)?,
            table: Some(latency(findings)),
        },
        Figure {
            heading: "How many answers a second",
            lead: "The median of the rounds; a thin line reaches from the worst round to the best.".to_owned(),
            legend: those_with(|one| !one.throughput.is_empty()),
            svg: curves::throughput(findings)?,
            table: Some(throughput(findings)),
        },
        Figure {
            heading: "What starting costs",
            lead: "From the order to start the program to the first byte of its first answer. A process per request pays \
                   this each time."
                .to_owned(),
            legend: Legend::Parts(&START_UP_PARTS),
            svg: bars::start_up(findings)?,
            table: Some(start_up(findings)),
        },
        Figure {
            heading: "What an answer costs in CPU time",
            lead: "The gateway's part and the program's, per request, each in its own code and in the kernel.".to_owned(),
            legend: Legend::Parts(&CPU_PARTS),
            svg: bars::cpu(findings)?,
            table: Some(cpu(findings)),
        },
        Figure {
            heading: "What it takes in memory",
            lead: "The most that was resident. Pages that processes share are counted in each.".to_owned(),
            legend: Legend::Parts(&MEMORY_PARTS),
            svg: bars::memory(findings)?,
            table: Some(memory(findings)),
        },
    ])
}

impl Figure {
    /// Nothing at all when there is no chart and no figure.
    fn write(&self, out: &mut String, findings: &Findings) {
        let table = self.table.as_ref().filter(|table| !table.is_empty());
        if self.svg.is_none() && table.is_none() {
            return;
        }
        out.push_str(&format!("<section>\n<h2>{}</h2>\n<p>{}</p>\n", self.heading, self.lead));
        if let Some(svg) = &self.svg {
            self.legend.write(out, findings);
            out.push_str(&format!("<figure>\n{svg}</figure>\n"));
        }
        if let Some(table) = table {
            write_table(out, table, findings);
        }
        out.push_str("</section>\n");
    }
}

impl Legend {
    fn write(&self, out: &mut String, findings: &Findings) {
        out.push_str("<ul class=\"legend\">\n");
        match self {
            Self::Contestants(places) => {
                for place in places {
                    let name = findings.contestants.get(*place).map(title).unwrap_or_default();
                    out.push_str(&format!("<li>{}{}</li>\n", key(*place), markup(&name)));
                }
            }
            Self::Parts(parts) => {
                for (part, name) in *parts {
                    let colour = Ink::Part(*part).css();
                    out.push_str(&format!("<li><i style=\"background: {colour}\"></i>{name}</li>\n"));
                }
            }
        }
        out.push_str("</ul>\n");
    }
}

fn write_table(out: &mut String, section: &Section, findings: &Findings) {
    out.push_str(&format!(
        "<div class=\"table\"><table>\n<thead><tr><th scope=\"col\">{}</th>",
        section.heading
    ));
    for column in &section.columns {
        out.push_str(&format!("<th scope=\"col\">{}</th>", markup(column)));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let rows = findings.contestants.iter().zip(&section.rows);
    for (contestant, row) in rows.filter(|(_, row)| Section::has_figures(row)) {
        out.push_str(&format!("<tr><th scope=\"row\">{}</th>", markup(&title(contestant))));
        for cell in row {
            match cell {
                Some(cell) if cell.unit.is_empty() => out.push_str(&format!("<td>{}</td>", cell.number)),
                Some(cell) => {
                    out.push_str(&format!("<td>{}&nbsp;<small>{}</small></td>", cell.number, cell.unit))
                }
                None => out.push_str("<td class=\"unknown\">-</td>"),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table></div>\n");
}

/// How it was measured and on what, for those who want to know or do it again.
fn closing(out: &mut String, findings: &Findings) {
    let settings = &findings.settings;
    let clients: Vec<String> = settings.clients.iter().map(ToString::to_string).collect();
    let pace = match settings.rate_per_s {
        Some(rate_per_s) => format!("at a fixed rate of {} requests/s", rate(rate_per_s).short()),
        None => "by one client, the next request after the answer".to_owned(),
    };
    out.push_str("<section class=\"method\">\n<h2>How it was measured</h2>\n<dl>\n");
    let mut entry = |term: &str, text: &str| {
        out.push_str(&format!("<dt>{term}</dt><dd>{}</dd>\n", markup(text)));
    };
    entry("Request", &method(settings));
    entry(
        "Rounds",
        &format!(
            "After {} of warm-up for each, {}, in each of which every contestant had its turn: {}, latency for {} {pace}, \
             throughput with {} clients for {} each. So what disturbs the machine disturbs all alike.",
            time(settings.warm_up_s * 1e6).short(),
            plural(u64::from(settings.rounds), "round"),
            plural(u64::from(settings.starts), "start"),
            time(settings.duration_s * 1e6).short(),
            clients.join(", "),
            time(settings.duration_s * 1e6).short(),
        ),
    );
    entry("Percentiles", "Left out (-) where fewer than ten requests lie beyond them.");
    entry("Machine", &machine(findings));
    entry("Where", "Client, gateway and program share this machine, and speak over its loopback.");
    entry("Took", &format!("{}, from {}", time(findings.took_s * 1e6), findings.began_at));
    for one in &findings.contestants {
        let version = one.version.as_ref().map(|version| format!(" ({version})")).unwrap_or_default();
        let requests =
            one.latency.as_ref().map(|own| format!(", {} requests", count(own.count))).unwrap_or_default();
        entry(&markup(&title(one)), &format!("{}{version}{requests}", one.command));
    }
    out.push_str("</dl>\n</section>\n");
}
