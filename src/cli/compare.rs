//! `gatebridge compare`: reads what is to be compared, shows how far it is, and writes the findings. It does not know how
//! anything is measured, nor how findings look.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::demo::Installed;
use super::progress::Shown;
use crate::compare::Findings;
use crate::compare::load::Question;
use crate::compare::report::{csv, json, page, table};
use crate::compare::run::entry::{Entry, entrants};
use crate::compare::run::{self, Plan, Way};
use crate::config;
use crate::process::{self, Signal, Signals};

/// Somebody could not be measured, or gave wrong answers.
const FLAWED: u8 = 1;
/// There was nothing to compare.
const UNUSABLE: u8 = 2;
/// What a shell says of a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

const EXAMPLES: &str = "\
What it does: each contestant gets a gateway of its own on loopback, with its program behind. All answer the same requests, in turns,
round after round, so that a noisy machine hurts all alike. Then come the table and what follows from it.

Examples:
  gatebridge compare                                      a small program of gatebridge's own
  gatebridge compare target/release/examples/hello        your program, on the crate gatebridge-interface
  gatebridge compare ./app --path /predict --body cat.jpg -H 'Content-Type: image/jpeg' --duration 5s
  gatebridge compare --cgi hello.py --fastcgi 'python3 app.py' --html report.html
  gatebridge compare --cgi rust=./hello --cgi python=hello.py --rate 200
  gatebridge compare ./app --url nginx=http://127.0.0.1:8080/app --json findings.json

Exit status: 0 all were measured; 1 somebody was not, or gave wrong answers, and the report says who; 2 there was nothing to
compare; 130 interrupted, without a report. Nothing that it started is left in any case.";

/// Measure what it costs to run a program as CGI, FastCGI and SCGI.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Compare {
    /// A program on the crate gatebridge-interface, which is run in every way. Without it and without the options below, a
    /// program of gatebridge's own.
    #[arg(value_name = "PROGRAM")]
    program: Option<String>,
    /// Its arguments. A CGI program gets none, so a shell starts it then.
    #[arg(last = true, value_name = "ARGS", requires = "program")]
    arguments: Vec<String>,

    /// A CGI program, in any language.
    #[arg(long, value_name = "[NAME=]FILE", help_heading = "Contestants")]
    cgi: Vec<String>,
    /// A FastCGI program: it takes its connections from descriptor 0.
    #[arg(long, value_name = "[NAME=]COMMAND", help_heading = "Contestants")]
    fastcgi: Vec<String>,
    /// An SCGI program: it takes its connections from descriptor 0.
    #[arg(long, value_name = "[NAME=]COMMAND", help_heading = "Contestants")]
    scgi: Vec<String>,
    /// Another server that runs already.
    #[arg(long, value_name = "NAME=URL", help_heading = "Contestants")]
    url: Vec<String>,
    /// A variable of every program's environment; without a value, as it is here.
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = "Contestants")]
    env: Vec<String>,
    /// Workers of each program, and CGI processes at once. [default: the number of processors]
    #[arg(long, value_name = "N", help_heading = "Contestants", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Option<u32>,

    /// The path and the query of each request.
    #[arg(long, value_name = "PATH", default_value = "/", help_heading = "Request")]
    path: String,
    /// Its method. [default: GET, or POST with a body]
    #[arg(long, short = 'X', value_name = "METHOD", help_heading = "Request")]
    method: Option<String>,
    /// A field of its head; may be given more than once.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", help_heading = "Request")]
    headers: Vec<String>,
    /// A file with its body.
    #[arg(long, value_name = "FILE", help_heading = "Request")]
    body: Option<PathBuf>,

    /// A short look: 3 rounds of 100 ms.
    #[arg(long, conflicts_with_all = ["rounds", "duration"], help_heading = "Measuring")]
    quick: bool,
    /// How often everybody has a turn.
    #[arg(long, value_name = "N", default_value_t = 5, help_heading = "Measuring", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long one measurement of a turn lasts.
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = config::read_duration, help_heading = "Measuring")]
    duration: Duration,
    /// End a measurement after so many requests, if that comes first.
    #[arg(long, value_name = "N", help_heading = "Measuring", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,
    /// With how many clients throughput is measured, one number after the other.
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_values_t = [1, 4, 16], help_heading = "Measuring", value_parser = clap::value_parser!(u32).range(1..=1024))]
    clients: Vec<u32>,
    /// Measure latency under this many requests a second, all counted from when they were due. Without it, one client asks
    /// again when it has its answer.
    #[arg(long, value_name = "PER_SECOND", help_heading = "Measuring", value_parser = positive)]
    rate: Option<f64>,
    /// How often each program is started in a turn, to measure that.
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Measuring", value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
    /// The longest that a start or a request may take.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = config::read_duration, help_heading = "Measuring")]
    timeout: Duration,

    /// Write a page with charts that needs no other file.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    html: Option<PathBuf>,
    /// Write everything as JSON; `-` is standard output, in place of the table.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    json: Option<PathBuf>,
    /// Write each measured value as a line of CSV; `-` is standard output.
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    csv: Option<PathBuf>,
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "a number is wanted".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("a number above 0 is wanted".into()) }
}

pub(super) fn run(arguments: &Compare) -> ExitCode {
    let findings = match arguments.compare() {
        Ok(Some(findings)) => findings,
        Ok(None) => return INTERRUPTED.into(),
        Err(error) => {
            complain(&format!("{error:#}"));
            return UNUSABLE.into();
        }
    };
    if let Err(error) = arguments.report(&findings) {
        complain(&format!("{error:#}"));
        return FLAWED.into();
    }
    let is_flawed =
        |one: &crate::compare::findings::Contestant| one.failure.is_some() || one.error_count() > 0;
    if findings.contestants.iter().any(is_flawed) { FLAWED.into() } else { ExitCode::SUCCESS }
}

#[allow(clippy::print_stderr, reason = "a command's talk to its user")]
fn complain(text: &str) {
    eprintln!("gatebridge compare: {text}");
}

impl Compare {
    /// The findings; `None` when it was interrupted.
    fn compare(&self) -> anyhow::Result<Option<Findings>> {
        process::prepare().context("cannot prepare the process")?;
        let mut entries = self.entries()?;
        // It is there as long as it may be started.
        let demo = entries.is_empty().then(Installed::new).transpose()?;
        if let Some(demo) = &demo {
            entries = entries_of(demo)?;
        }
        let plan = self.plan(entries)?;
        let interrupted = Arc::new(AtomicBool::new(false));
        heed_signals(Arc::clone(&interrupted))?;
        let mut shown = Shown::new(io::stderr().is_terminal());
        let findings = run::run(&plan, &mut shown, &interrupted);
        shown.clear();
        Ok(findings.ok())
    }

    fn plan(&self, entries: Vec<Entry>) -> anyhow::Result<Plan> {
        let (rounds, duration) =
            if self.quick { (3, Duration::from_millis(100)) } else { (self.rounds, self.duration) };
        anyhow::ensure!(!duration.is_zero(), "--duration 0s measures nothing");
        let mut clients = self.clients.clone();
        clients.sort_unstable();
        clients.dedup();
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        Ok(Plan {
            gatebridge: std::env::current_exe().context("cannot find gatebridge's own executable")?,
            entrants: entrants(entries),
            question: self.question()?,
            rounds,
            duration,
            requests: self.requests,
            warm_up: duration,
            clients,
            rate_per_s: self.rate,
            workers: self.workers.unwrap_or(cores),
            starts: self.starts,
            timeout: self.timeout,
            environment: self.environment()?,
        })
    }

    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if let Some(program) = &self.program {
            let words: Vec<String> = std::iter::once(program).chain(&self.arguments).cloned().collect();
            for way in [Way::Cgi, Way::Fastcgi, Way::Scgi] {
                entries.push(Entry::words(None, words.clone(), way)?);
            }
        }
        for (texts, way) in [
            (&self.cgi, Way::Cgi as fn(Vec<String>) -> Way),
            (&self.fastcgi, Way::Fastcgi),
            (&self.scgi, Way::Scgi),
        ] {
            for text in texts {
                entries.push(Entry::command(text, way)?);
            }
        }
        for text in &self.url {
            entries.push(Entry::url(text)?);
        }
        Ok(entries)
    }

    fn question(&self) -> anyhow::Result<Question> {
        let body = self.body.as_deref().map(read).transpose()?;
        let method = self.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" });
        let field = |text: &String| {
            let (name, value) =
                text.split_once(':').with_context(|| format!("--header {text:?} has no colon"))?;
            anyhow::Ok((name.trim().to_owned(), value.trim().to_owned()))
        };
        let fields = self.headers.iter().map(field).collect::<anyhow::Result<_>>()?;
        Ok(Question::new(method, &self.path, fields, body)?)
    }

    fn environment(&self) -> anyhow::Result<Vec<(String, String)>> {
        let variable = |text: &String| match text.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => match std::env::var(text) {
                Ok(value) => Ok((text.clone(), value)),
                Err(error) => Err(error).with_context(|| format!("--env {text}")),
            },
        };
        self.env.iter().map(variable).collect()
    }

    fn report(&self, findings: &Findings) -> anyhow::Result<()> {
        let is_pipe = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
        if let Some(path) = &self.html {
            write(path, &page::page(findings)?)?;
        }
        if let Some(path) = &self.json {
            write(path, &json::json(findings)?)?;
        }
        if let Some(path) = &self.csv {
            write(path, &csv::csv(findings))?;
        }
        if ![&self.html, &self.json, &self.csv].into_iter().any(is_pipe) {
            let no_color = std::env::var_os("NO_COLOR");
            let paint = table::Paint::choose(io::stdout().is_terminal(), no_color.as_deref());
            write(Path::new("-"), &table::table(findings, paint))?;
        }
        Ok(())
    }
}

/// The program of gatebridge's own, in every way.
fn entries_of(demo: &Installed) -> anyhow::Result<Vec<Entry>> {
    let path = demo.path().display().to_string();
    let mut entries = Vec::new();
    for way in [Way::Cgi, Way::Fastcgi, Way::Scgi] {
        entries.push(Entry::words(None, vec![path.clone()], way)?);
    }
    entries.push(Entry { name: None, way: Way::InProcess });
    Ok(entries)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read the body {}", path.display()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if path == Path::new("-") {
        let mut stdout = io::stdout().lock();
        // A reader that has seen enough and left is no failure.
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// From now on SIGINT and SIGTERM set the flag, and what was started is ended in order.
fn heed_signals(interrupted: Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::listen().context("cannot listen to signals")?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                if signals.next().await == Signal::Drain {
                    interrupted.store(true, Ordering::Relaxed);
                }
            }
        });
    });
    Ok(())
}
