//! One entrant on its stage: asked, timed, its figures kept round by round until they become a contestant of the findings.
//! It must not know the others.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use rustix::event::{Timespec, poll};

use super::account::{CpuTime, Used, peak_memory_bytes};
use super::first::{self, FirstAnswer};
use super::plan::{Entrant, Plan, Way};
use super::stage::Stage;
use super::starts::{Start, Starter};
use crate::compare::Spread;
use crate::compare::findings::{Contestant, Cpu, Latency, Memory, Mode, StartUp, Throughput};
use crate::compare::load::{self, End, Load, Outcome, Pace, Target, Troubles};
use crate::compare::spread::median;

/// How long CGI processes may take to be gone when their answers have come: their CPU time is counted only then.
const GONE_TIMEOUT: Duration = Duration::from_secs(2);

/// Percent.
const WHOLE: f64 = 100.0;

/// One entrant while it is measured.
#[derive(Debug)]
pub(super) struct Contender<'p> {
    plan: &'p Plan,
    entrant: &'p Entrant,
    stage: Option<Stage>,
    starter: Option<Starter>,
    target: Option<Target>,
    /// Why it is not measured any more.
    failure: Option<String>,
    figures: Figures,
}

/// What was measured, a value for each round.
#[derive(Debug, Default)]
struct Figures {
    starts: Vec<[f64; 4]>,
    latencies: Option<Histogram<u64>>,
    medians_us: Vec<f64>,
    throughput: BTreeMap<u32, Vec<f64>>,
    gateway: Vec<CpuTime>,
    program: Vec<CpuTime>,
    memory: Memory,
    troubles: Troubles,
    left_out: u64,
    remarks: Vec<String>,
}

impl<'p> Contender<'p> {
    /// Puts an entrant on its stage. When that fails, its failure says why, and nothing else is done with it.
    pub(super) fn enter(plan: &'p Plan, entrant: &'p Entrant) -> Self {
        let (stage, starter, target, failure) = (None, None, None, None);
        let mut contender =
            Self { plan, entrant, stage, starter, target, failure, figures: Figures::default() };
        let raised = contender.raise();
        contender.note(raised);
        contender
    }

    fn raise(&mut self) -> anyhow::Result<()> {
        let mut question = self.plan.question.clone();
        let (address, host) = match &self.entrant.way {
            Way::Url(url) => {
                question.path = url.path.clone().unwrap_or(question.path);
                (url.address, url.host.clone())
            }
            _ => {
                let stage = self.stage.insert(Stage::raise(self.plan, self.entrant)?);
                (stage.address(), stage.address().to_string())
            }
        };
        if let Way::Cgi(command) = &self.entrant.way
            && command.len() > 1
        {
            let remark =
                "a shell starts it, because a CGI program gets no arguments: its share is in the figures";
            self.figures.remarks.push(remark.into());
        }
        self.starter = Starter::new(self.plan, self.entrant)?;
        self.target = Some(Target::new(address, &host, &question));
        self.figures.latencies = Some(load::histogram()?);
        Ok(())
    }

    pub(super) fn name(&self) -> &str {
        &self.entrant.name
    }

    /// Whether there is still something to measure.
    pub(super) fn goes_on(&self) -> bool {
        self.failure.is_none()
    }

    fn note<T>(&mut self, result: anyhow::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                // What cannot be measured does not disturb the others either.
                let words = self.stage.take().map(Stage::end).filter(|words| !words.is_empty());
                let words = words.map(|words| format!("; its gateway said: {words}")).unwrap_or_default();
                let text = format!("{error:#}{words}");
                // It stands in a sentence.
                self.failure.get_or_insert(text.split_whitespace().collect::<Vec<_>>().join(" "));
                None
            }
        }
    }

    /// Asks twice. The answer must be a good one; if both are the same, every later one must be too.
    pub(super) fn first_answer(&mut self) -> Option<FirstAnswer> {
        let asked = self.ask_first();
        self.note(asked)
    }

    fn ask_first(&mut self) -> anyhow::Result<FirstAnswer> {
        let target = self.target.as_mut().context("there is nobody to ask")?;
        let answer = first::ask(target, self.plan.timeout)?;
        anyhow::ensure!(
            (200..300).contains(&answer.status),
            "it answers {} {} with status {}",
            self.plan.question.method,
            self.plan.question.path,
            answer.status
        );
        if first::ask(target, self.plan.timeout)?.body == answer.body {
            target.body = Some(answer.body.clone());
        } else {
            let remark = "its answers differ from one request to the next, so only their status is checked";
            self.figures.remarks.push(remark.into());
        }
        Ok(answer)
    }

    /// Something that is to be known of its figures.
    pub(super) fn remark(&mut self, remark: String) {
        self.figures.remarks.push(remark);
    }

    /// Asks for a while without looking, and looks at what only a start of its own shows.
    pub(super) fn warm_up(&mut self, interrupted: &AtomicBool) {
        if self.plan.warm_up.is_zero() {
            return;
        }
        let clients = self.plan.clients.iter().copied().max().unwrap_or(1);
        let end = End { after: Some(self.plan.warm_up), requests: self.plan.requests };
        let warmed = self.load(clients, Pace::Closed, end, interrupted).map(drop);
        self.note(warmed);
        match self.starter.as_ref().map(Starter::peak_memory_bytes) {
            Some(Ok(bytes)) => self.figures.memory.program_bytes = bytes,
            Some(Err(error)) => self.figures.remarks.push(format!("its memory was not measured: {error:#}")),
            None => {}
        }
    }

    /// One round: starts, latency, throughput.
    pub(super) fn round(&mut self, interrupted: &AtomicBool) {
        self.start_some();
        let measured = self.measure(interrupted);
        self.note(measured);
    }

    fn start_some(&mut self) {
        let Some(starter) = &self.starter else { return };
        let starts: anyhow::Result<Vec<Start>> = (0..self.plan.starts).map(|_| starter.start()).collect();
        match starts {
            Ok(starts) => {
                let part = |part: fn(&Start) -> f64| median(&starts.iter().map(part).collect::<Vec<_>>());
                let parts = (
                    part(|start| start.exec_us),
                    part(|start| start.program_us),
                    part(|start| start.first_response_us),
                    part(|start| start.total_us()),
                );
                if let (Some(exec), Some(program), Some(response), Some(total)) = parts {
                    self.figures.starts.push([exec, program, response, total]);
                }
            }
            Err(error) => {
                self.figures.remarks.push(format!("its start could not be measured: {error:#}"));
                self.starter = None;
            }
        }
    }

    fn measure(&mut self, interrupted: &AtomicBool) -> anyhow::Result<()> {
        let end = End { after: Some(self.plan.duration), requests: self.plan.requests };
        let before = self.used()?;
        let mut asked = 0;
        if self.plan.measures_latency_apart() {
            let (clients, pace) = match self.plan.rate_per_s {
                Some(rate) => (self.plan.clients.iter().copied().max().unwrap_or(1), Pace::Rate(rate)),
                None => (1, Pace::Closed),
            };
            let outcome = self.load(clients, pace, end, interrupted)?;
            asked += outcome.begun;
            self.keep_latency(&outcome)?;
        }
        for &clients in &self.plan.clients {
            let outcome = self.load(clients, Pace::Closed, end, interrupted)?;
            asked += outcome.begun;
            self.figures.throughput.entry(clients).or_default().push(outcome.requests_per_second);
            if clients == 1 && !self.plan.measures_latency_apart() {
                self.keep_latency(&outcome)?;
            }
        }
        self.wait_until_gone();
        if let (Some(before), Some(after)) = (before, self.used()?) {
            self.figures.gateway.push(after.parent.since(before.parent).per(asked));
            if self.entrant.mode() != Mode::InProcess {
                self.figures.program.push(after.descendants.since(before.descendants).per(asked));
            }
        }
        self.look_at_memory();
        Ok(())
    }

    fn load(
        &mut self,
        clients: u32,
        pace: Pace,
        end: End,
        interrupted: &AtomicBool,
    ) -> anyhow::Result<Outcome> {
        let target = self.target.as_ref().context("there is nobody to ask")?;
        let timeout = self.plan.timeout;
        let load = Load { target, clients: clients as usize, pace, end, timeout };
        let outcome = load::run(&load, interrupted)?;
        self.figures.troubles.add(&outcome.troubles);
        self.figures.left_out += outcome.left_out;
        let stopped = interrupted.load(std::sync::atomic::Ordering::Relaxed);
        if outcome.answered() == 0 && !stopped {
            let failures = outcome.troubles.failures();
            let told: Vec<String> = failures
                .iter()
                .map(|failures| {
                    format!("{} {} ({})", failures.count, failures.kind.label(), failures.example)
                })
                .collect();
            anyhow::bail!("no request of a measurement was answered: {}", told.join(", "));
        }
        Ok(outcome)
    }

    fn keep_latency(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        if let Some(latencies) = &mut self.figures.latencies {
            latencies.add(&outcome.latencies)?;
        }
        self.figures.medians_us.push(outcome.latencies.value_at_percentile(WHOLE / 2.0) as f64 / 1e3);
        Ok(())
    }

    /// What its gateway and its programs have used; `None` for a server that is not ours.
    fn used(&self) -> io::Result<Option<Used>> {
        self.stage.as_ref().map(|stage| stage.family().used()).transpose()
    }

    /// Waits until the CGI processes are gone.
    fn wait_until_gone(&self) {
        const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        let Some(stage) = self.stage.as_ref().filter(|_| self.entrant.mode() == Mode::Cgi) else { return };
        let begun = Instant::now();
        while !stage.family().descendants().is_empty() && begun.elapsed() < GONE_TIMEOUT {
            let _ = poll(&mut [], Some(&PAUSE));
        }
    }

    fn look_at_memory(&mut self) {
        let Some(stage) = &self.stage else { return };
        let memory = &mut self.figures.memory;
        memory.gateway_bytes = peak_memory_bytes(stage.id()).max(memory.gateway_bytes);
        if self.entrant.mode() == Mode::InProcess {
            return;
        }
        if self.entrant.mode() == Mode::Cgi {
            let most = self.plan.clients.iter().copied().max().unwrap_or(1);
            memory.program_processes = Some(self.plan.workers.min(most));
            return;
        }
        let processes = stage.family().descendants();
        let largest = processes.iter().filter_map(|&id| peak_memory_bytes(id)).max();
        memory.program_bytes = largest.max(memory.program_bytes);
        memory.program_processes = Some(processes.len() as u32).max(memory.program_processes);
    }

    /// What was found.
    pub(super) fn finish(self) -> Contestant {
        let entrant = self.entrant;
        let mut found = Contestant::new(&entrant.name, entrant.mode(), &entrant.program, &entrant.command());
        found.failure = self.failure;
        let figures = self.figures;
        let part = |part: usize| Spread::of(figures.starts.iter().map(|start| start[part]).collect());
        if let (Some(exec_us), Some(program_us), Some(first_response_us), Some(total_us)) =
            (part(0), part(1), part(2), part(3))
        {
            found.start_up = Some(StartUp { exec_us, program_us, first_response_us, total_us });
        }
        found.latency = figures.latencies.as_ref().and_then(|latencies| {
            let at = |percentile: f64| {
                let nanoseconds = match percentile {
                    percentile if percentile <= 0.0 => latencies.min(),
                    percentile if percentile >= WHOLE => latencies.max(),
                    percentile => latencies.value_at_percentile(percentile),
                };
                nanoseconds as f64 / 1e3
            };
            Latency::of(latencies.len(), self.plan.rate_per_s.is_some(), figures.medians_us, at)
        });
        let throughput = figures.throughput.into_iter().filter_map(|(clients, rounds)| {
            Some(Throughput { clients, requests_per_s: Spread::of(rounds)? })
        });
        found.throughput = throughput.collect();
        found.cpu_gateway = cpu(&figures.gateway);
        found.cpu_program = cpu(&figures.program);
        found.memory = figures.memory;
        found.errors = figures.troubles.failures().to_vec();
        found.remarks = figures.remarks;
        if figures.left_out > 0 {
            let remark = format!(
                "it could not keep up with the fixed rate: {} requests were due and not sent before the end",
                figures.left_out
            );
            found.remarks.push(remark);
        }
        found
    }
}

fn cpu(rounds: &[CpuTime]) -> Option<Cpu> {
    Some(Cpu {
        user_us: Spread::of(rounds.iter().map(|cpu| cpu.user_us).collect())?,
        system_us: Spread::of(rounds.iter().map(|cpu| cpu.system_us).collect())?,
    })
}
