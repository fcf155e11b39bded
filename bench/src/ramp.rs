//! The search for the saturation point: ever more members, step by step, until a limit is passed.

use std::fmt;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::args::RampArgs;
use crate::client::{ThreadResult, latency_histogram};
use crate::findings::{BUSY_PERCENT, Sums, Window};
use crate::load::Load;
use crate::objectives::{Limits, Objective};
use crate::report::Percentiles;
use crate::scenario::Scenario;
use crate::stolen;

/// What a search found. `schema` changes when a field changes its meaning or goes.
#[derive(Clone, Debug, Serialize)]
pub struct RampReport {
    /// 1.
    pub schema: u32,
    /// `simmer-bench ramp`.
    pub tool: &'static str,
    /// The bench's version.
    pub version: &'static str,
    /// What was played.
    pub scenario: Scenario,
    /// What grew: a group's name, or `rooms`.
    pub grew: String,
    /// Step by step, up to the first that passed a limit.
    pub steps: Vec<Step>,
    /// Where the server was full, if that was reached.
    pub saturation: Option<Saturation>,
    /// The steps a run was to reach without passing a limit, if that was asked for.
    pub objective: Option<Objective>,
    /// Processors of the machine.
    pub processors: usize,
    /// What makes the figures doubtful.
    pub warnings: Vec<String>,
}

/// One number of members, measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// Members that were there, of all groups.
    pub members: u64,
    /// How large that was which grew: of a group, its members in each room.
    pub size: u32,
    /// Packets that arrived, by second.
    pub packets_per_s: f64,
    /// Packets that did not arrive, in percent of those that should have.
    pub loss_percent: f64,
    /// Ages of packets on arrival, in microseconds.
    pub latency_us: Percentiles,
    /// From opening the WebSocket to the first picture or sound, of who came in this step, in milliseconds.
    pub join_ms: Percentiles,
    /// Members that did not come, or did not stay, in this step.
    pub failed: u64,
    /// The server's processor time in percent of one processor; 0 if its process was not named.
    pub server_percent: f64,
    /// The server's processor time for each packet that arrived, in microseconds; 0 if its process was not named.
    pub us_per_packet: f64,
    /// The bench's processor time in percent of one processor.
    pub bench_percent: f64,
    /// The busiest client thread, in percent of a processor.
    pub busiest_thread_percent: f64,
    /// The share of all processors' time that the host of this virtual machine gave to others, in percent; none where the
    /// system does not tell.
    pub stolen_percent: Option<f64>,
    /// Which limits were passed, in words.
    pub passed: Vec<String>,
}

/// Where the server was full.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saturation {
    /// The largest number of members that passed no limit; 0 when the first step did.
    pub held: u64,
    /// The number of members that passed one.
    pub passed: u64,
    /// Which, in words.
    pub why: String,
    /// Whether the bench or the machine had no time left either, so that the server may hold more.
    pub bench_was_full: bool,
}

impl RampReport {
    /// Whether the objective is met, if there is one.
    pub fn is_met(&self) -> bool {
        self.objective.as_ref().is_none_or(|objective| objective.met)
    }
}

impl Step {
    /// Notes which of the limits it passes.
    fn judge(&mut self, limits: &Limits) {
        let judged = [
            ("loss in percent", limits.max_loss_percent.unwrap_or(MAX_LOSS_PERCENT), self.loss_percent),
            ("join time p95 in ms", limits.max_join_p95_ms.unwrap_or(MAX_JOIN_MS), self.join_ms.p95),
            (
                "latency p50 in ms",
                limits.max_latency_p50_ms.unwrap_or(f64::INFINITY),
                self.latency_us.p50 / 1000.0,
            ),
            (
                "latency p99 in ms",
                limits.max_latency_p99_ms.unwrap_or(MAX_LATENCY_MS),
                self.latency_us.p99 / 1000.0,
            ),
            (
                "server time a packet in us",
                limits.max_us_per_packet.unwrap_or(f64::INFINITY),
                self.us_per_packet,
            ),
            (
                "server in percent of a processor",
                limits.max_cpu_percent.unwrap_or(f64::INFINITY),
                self.server_percent,
            ),
            ("members that failed", 0.0, self.failed as f64),
        ];
        let passed = judged.into_iter().filter(|(_, limit, value)| value > limit);
        self.passed =
            passed.map(|(name, limit, value)| format!("{name}: {value:.2}, at most {limit}")).collect();
    }

    fn bench_was_full(&self, processors: usize) -> bool {
        self.busiest_thread_percent > BUSY_PERCENT
            || self.server_percent + self.bench_percent > 90.0 * processors as f64
    }
}

/// Where the steps ended, if they did at a limit.
fn saturation(steps: &[Step], processors: usize) -> Option<Saturation> {
    let (last, before) = steps.split_last()?;
    if last.passed.is_empty() {
        return None;
    }
    Some(Saturation {
        held: before.last().map_or(0, |step| step.members),
        passed: last.members,
        why: last.passed.join("; "),
        bench_was_full: last.bench_was_full(processors),
    })
}

fn warnings(steps: &[Step], saturation: Option<&Saturation>) -> Vec<String> {
    let mut warnings = Vec::new();
    match saturation {
        Some(saturation) if saturation.bench_was_full => {
            warnings.push("the bench or the machine was full as well: the server may hold more".to_owned());
        }
        Some(_) => {}
        None => warnings.push("no limit was passed: the server holds more than was asked of it".to_owned()),
    }
    let stolen = |step: &&Step| step.stolen_percent.unwrap_or(0.0);
    let most = steps.iter().max_by(|one, other| stolen(one).total_cmp(&stolen(other)));
    let doubt = most.and_then(|step| Some((step.members, stolen::doubt(step.stolen_percent)?)));
    warnings.extend(doubt.map(|(members, doubt)| format!("with {members} members {doubt}")));
    warnings
}

/// The next size: by the factor, at least one more.
fn next_size(size: u32, factor: f64, most: u32) -> Option<u32> {
    let next = (f64::from(size) * factor).round() as u32;
    Some(next.max(size + 1).min(most)).filter(|next| *next > size)
}

/// Adds members until a limit is passed, the largest size is reached, or Ctrl-C.
///
/// # Errors
/// A group that cannot grow, or whatever keeps the run from measuring.
pub async fn run(args: RampArgs) -> Result<RampReport> {
    let mut scenario = args.scenario()?;
    let limits = args.options.limits.or(scenario.objectives);
    let group = match args.rooms {
        true => None,
        false => Some(growing(&scenario, args.group.as_deref())?),
    };
    let grew = group.map_or("rooms".to_owned(), |group| scenario.groups[group].name.clone());
    match group {
        Some(group) => scenario.groups[group].count = args.from,
        None => scenario.rooms = args.to,
    }
    let rooms = scenario.rooms;
    let seconds = (args.settle_s, args.step_s);
    let mut load = Load::new(scenario.clone(), args.options.clone(), rooms)?;
    let mut steps: Vec<Step> = Vec::new();
    let climb = async {
        let mut size = args.from;
        load.come(0..if group.is_some() { rooms } else { size }).await?;
        loop {
            let step = measure(&mut load, &steps, size, seconds, &limits).await?;
            let ended = !step.passed.is_empty();
            tracing::info!(members = step.members, packets_per_s = step.packets_per_s, "a step");
            steps.push(step);
            let Some(next) = next_size(size, args.factor, args.to).filter(|_| !ended) else { return Ok(()) };
            match group {
                Some(group) => {
                    let newcomers = (size..next).flat_map(|_| 0..rooms);
                    load.enter(group, newcomers.collect()).await;
                    load.wait_for_everything().await;
                }
                None => load.come(size..next).await?,
            }
            size = next;
        }
    };
    let interrupted = tokio::select! {
        ran = climb => { let ran: Result<()> = ran; ran?; false }
        pressed = tokio::signal::ctrl_c() => { pressed?; true }
    };
    load.quiet();
    load.finish(None, interrupted).await?;
    ensure!(!steps.is_empty(), "the search ended before anything was measured");
    let processors = crate::measure::processors();
    let saturation = saturation(&steps, processors);
    let held = steps.iter().filter(|step| step.passed.is_empty()).map(|step| step.members).max().unwrap_or(0);
    Ok(RampReport {
        schema: 1,
        tool: "simmer-bench ramp",
        version: env!("CARGO_PKG_VERSION"),
        scenario,
        grew,
        objective: args.min_members.map(|least| Objective::at_least("members", held as f64, least as f64)),
        warnings: warnings(&steps, saturation.as_ref()),
        steps,
        saturation,
        processors,
    })
}

/// The named group, or the last that publishes nothing.
fn growing(scenario: &Scenario, name: Option<&str>) -> Result<usize> {
    let fits = |group: &crate::scenario::Group| name.map_or(!group.publishes(), |name| group.name == name);
    let group = scenario.groups.iter().rposition(fits).context("there is no such group: try --rooms")?;
    ensure!(
        !scenario.groups[group].publishes() && scenario.groups[group].stay_s.is_none(),
        "a group that publishes or leaves cannot grow alone: try --rooms"
    );
    Ok(group)
}

async fn measure(
    load: &mut Load,
    before: &[Step],
    size: u32,
    (settle_s, step_s): (f64, f64),
    limits: &Limits,
) -> Result<Step> {
    load.pass(settle_s).await;
    load.open_window()?;
    load.pass(step_s).await;
    let windowed = load.close_window().await?.context("no window was open")?;
    let failed_before: u64 = before.iter().map(|step| step.failed).sum();
    let newcomers: Vec<_> = {
        let known: u64 = before.last().map_or(0, |step| step.members);
        load.milestones().range(known as usize..).map(|(_, at)| *at).collect()
    };
    let mut joins: Histogram<u64> = latency_histogram();
    for at in newcomers.iter().filter(|at| !at.alone) {
        let since = |began: Instant, there: Instant| there.saturating_duration_since(began).as_micros();
        if let (Some(began), Some(there)) = (at.began, at.media) {
            joins.saturating_record(u64::try_from(since(began, there)).unwrap_or(u64::MAX));
        }
    }
    let mut step = Step {
        members: load.present(),
        size,
        join_ms: Percentiles::of(&joins, 0.001),
        failed: load.failures().len() as u64 - failed_before,
        ..step_of(&windowed)
    };
    step.judge(limits);
    Ok(step)
}

fn step_of((window, results): &(Window, Vec<ThreadResult>)) -> Step {
    let sums = Sums::of(results);
    let (video, audio) = sums.delivery;
    let (expected, received) = (video.expected + audio.expected, video.received + audio.received);
    let seconds = window.length.as_secs_f64().max(1e-6);
    let used = |after: u64, before: u64| after.saturating_sub(before) as f64;
    let server_us = match (window.after.server, window.before.server) {
        (Some(after), Some(before)) => used(after.cpu_us, before.cpu_us),
        _ => 0.0,
    };
    Step {
        packets_per_s: sums.packets as f64 / seconds,
        loss_percent: expected.saturating_sub(received) as f64 * 100.0 / (expected as f64).max(1.0),
        latency_us: Percentiles::of(&sums.latency, 1.0),
        server_percent: server_us / 1e4 / seconds,
        us_per_packet: server_us / (sums.packets as f64).max(1.0),
        bench_percent: used(window.after.bench.cpu_us, window.before.bench.cpu_us) / 1e4 / seconds,
        busiest_thread_percent: results.iter().map(|result| result.busy * 100.0).fold(0.0, f64::max),
        stolen_percent: window.stolen_percent(),
        ..Step::default()
    }
}

impl fmt::Display for RampReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} grow\n", self.scenario.name, self.grew)?;
        writeln!(
            f,
            "  {:>8} {:>10} {:>8} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7} {:>7}",
            "members",
            "packets/s",
            "loss %",
            "p50 ms",
            "p99 ms",
            "join p95",
            "server",
            "us/pkt",
            "bench",
            "stolen"
        )?;
        for step in &self.steps {
            writeln!(
                f,
                "  {:>8} {:>10.0} {:>8.3} {:>9.2} {:>9.2} {:>9.0} {:>6.1}% {:>7.2} {:>6.1}% {:>7}",
                step.members,
                step.packets_per_s,
                step.loss_percent,
                step.latency_us.p50 / 1000.0,
                step.latency_us.p99 / 1000.0,
                step.join_ms.p95,
                step.server_percent,
                step.us_per_packet,
                step.bench_percent,
                step.stolen_percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1}%"))
            )?;
        }
        writeln!(f)?;
        if let Some(saturation) = &self.saturation {
            writeln!(
                f,
                "  saturated between {} and {} members: {}",
                saturation.held, saturation.passed, saturation.why
            )?;
        }
        if let Some(objective) = &self.objective {
            let verdict = if objective.met { "met   " } else { "MISSED" };
            writeln!(f, "  {verdict} {}: {}, at least {}", objective.name, objective.value, objective.limit)?;
        }
        for warning in &self.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

/// What is broken by any measure, where nothing else was asked for.
const MAX_LOSS_PERCENT: f64 = 0.5;
const MAX_JOIN_MS: f64 = 1000.0;
const MAX_LATENCY_MS: f64 = 50.0;

#[cfg(test)]
mod tests;
