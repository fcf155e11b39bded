//! The live members of a run: they come, are watched, are measured in windows, and leave.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::args::Target;
use crate::client::{ClientThread, Notice, ThreadResult, latency_histogram};
use crate::connection::CONNECT_TIMEOUT;
use crate::events::EventLogs;
use crate::findings::{Coming, Findings, Milestones, Passed, Usage, Window};
use crate::flow::Flows;
use crate::links::Links;
use crate::measure::ProcessUsage;
use crate::member::{Entrance, Member, Phase, RunContext};
use crate::options::RunOptions;
use crate::report::{Percentiles, Sample};
use crate::scenario::Scenario;
use crate::sdp::CandidateRule;
use crate::wish::endpoints::Endpoints;

/// A scenario's members and what is known of them.
pub struct Load {
    /// What they share.
    pub context: Arc<RunContext>,
    options: RunOptions,
    bar: ProgressBar,
    phase: watch::Sender<Phase>,
    sessions: JoinSet<(Member, Result<()>)>,
    notices: mpsc::UnboundedReceiver<(usize, Notice)>,
    milestones: BTreeMap<usize, Milestones>,
    failures: Vec<String>,
    coming: BinaryHeap<Reverse<(Instant, usize, u32)>>,
    /// The numbers of each room's publishers, in the order in which they came.
    publishers: BTreeMap<u32, Vec<u32>>,
    live_publishers: BTreeMap<u32, u32>,
    present: u64,
    received: Arc<AtomicU64>,
    began: Instant,
    /// From where, and until where if they are there, joins are counted by cost.
    joins_from: Option<Passed>,
    coming_counted: Option<Coming>,
    samples: Vec<Sample>,
    opened: Option<(Instant, Usage)>,
}

impl Load {
    /// Client threads and nobody yet. There is room for the publishers of `rooms` rooms.
    ///
    /// # Errors
    /// A server that is not allowed, not there, or whose process is not; a scenario that its protocol has no way to play.
    pub fn new(mut scenario: Scenario, options: RunOptions, rooms: u32) -> Result<Self> {
        let key = options.key.clone().unwrap_or_else(|| SAMPLE_KEY.to_owned());
        let endpoints = Endpoints::new(&options, &key)?;
        let target = match &endpoints {
            None => Target::resolve(&options.url, options.allow_remote)?,
            Some(endpoints) => {
                endpoints.check(&scenario, rooms)?;
                if let Some(limit) = options.limits.of_session() {
                    bail!("{limit} is of what Simmer's own protocol tells, and WHIP and WHEP do not");
                }
                scenario.objectives = scenario.objectives.of_media();
                Target::of(&endpoints.sample()?, options.allow_remote)?
            }
        };
        let threads = options.threads.unwrap_or_else(|| processors() / 2).max(1);
        let received = Arc::new(AtomicU64::new(0));
        let (notices, notice_inbox) = mpsc::unbounded_channel();
        let (phase, phases) = watch::channel(Phase::Running);
        let publishing: u32 =
            scenario.groups.iter().filter(|group| group.publishes()).map(|group| group.count).sum();
        let links = scenario.link.map(|link| Links::new(link, options.seed));
        let linked = match (&links, &endpoints) {
            // Simmer's media port is known; where others have theirs is told by their answers.
            (Some(links), None) => Some(links.before(target.address)?.port()),
            _ => None,
        };
        let media_port = linked.or(options.media_port);
        let context = Arc::new(RunContext {
            room: options.room.clone().unwrap_or_else(|| format!("bench-{:08x}", rand::random::<u32>())),
            key,
            seed: options.seed,
            candidates: CandidateRule {
                only: target.address.ip().is_loopback().then_some(target.address.ip()),
                port: media_port,
            },
            links,
            local_ip: target.local_ip()?,
            entrance: endpoints.map_or(Entrance::Session(target), Entrance::Http),
            threads: (0..threads)
                .map(|index| ClientThread::spawn(index, received.clone()))
                .collect::<Result<_>>()?,
            flows: Arc::new(Flows::new(publishing * rooms, true)),
            notices,
            phase: phases,
            events: Arc::new(EventLogs::new()),
            slot_updates: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
            complaints: AtomicU64::new(0),
            unended: Mutex::default(),
            scenario,
        });
        Ok(Self {
            bar: progress(),
            phase,
            sessions: JoinSet::new(),
            notices: notice_inbox,
            milestones: BTreeMap::new(),
            failures: Vec::new(),
            coming: BinaryHeap::new(),
            publishers: BTreeMap::new(),
            live_publishers: BTreeMap::new(),
            present: 0,
            received,
            began: Instant::now(),
            joins_from: None,
            coming_counted: None,
            samples: Vec::new(),
            opened: None,
            options,
            context,
        })
    }

    /// All groups come into those rooms, one group after the other, until everybody who stays sees and hears
    /// everything, or as much as will come.
    ///
    /// # Errors
    /// The server's process is gone.
    pub async fn come(&mut self, rooms: std::ops::Range<u32>) -> Result<()> {
        let groups = self.context.scenario.groups.clone();
        for (group, plan) in groups.iter().enumerate() {
            let watches_only = !plan.publishes();
            if self.joins_from.is_none() && (watches_only || group + 1 == groups.len()) {
                if watches_only && group > 0 && self.options.server_pid.is_some() {
                    self.pass(PUBLICATIONS_SETTLE_S).await;
                }
                let first = if watches_only { self.milestones.len() } else { 0 };
                self.joins_from = Some(Passed { members: first, ..self.passed()? });
            }
            self.bar.set_message(plan.name.clone());
            let newcomers = (0..plan.count).flat_map(|_| rooms.clone());
            self.enter(group, newcomers.collect()).await;
            self.wait_for(CONNECT_TIMEOUT, |_, milestones| milestones.connected.is_some()).await;
        }
        for (group, plan) in groups.iter().enumerate() {
            if let Some(rate) = plan.arrivals_per_s {
                for room in rooms.clone() {
                    self.coming.push(Reverse((
                        Instant::now() + Duration::from_secs_f64(1.0 / rate),
                        group,
                        room,
                    )));
                }
            }
        }
        self.wait_for_everything().await;
        if let (Some(from), None) = (self.joins_from, self.coming_counted) {
            self.coming_counted = Some(Coming { from, until: self.passed()? });
        }
        Ok(())
    }

    /// Members of that group come into these rooms, one after the other.
    pub async fn enter(&mut self, group: usize, rooms: Vec<u32>) {
        let Some(plan) = self.context.scenario.groups.get(group) else { return };
        let interval =
            Duration::from_millis(plan.join_interval_ms.unwrap_or(self.context.scenario.join_interval_ms));
        let begin = tokio::time::Instant::now();
        for (index, room) in rooms.into_iter().enumerate() {
            if !interval.is_zero() {
                let at = begin + interval * u32::try_from(index).unwrap_or(u32::MAX);
                self.pass_until(at).await;
            }
            self.start(group, room);
        }
    }

    /// Waits until everybody who stays sees and hears everything.
    pub async fn wait_for_everything(&mut self) {
        let scenario = self.context.scenario.clone();
        self.wait_for(JOIN_TIMEOUT, move |group, milestones| {
            let plan = scenario.groups.get(group);
            let slots = plan.map_or((0, 0), |plan| scenario.slots(plan));
            let comes_and_goes = plan.is_some_and(|plan| plan.stay_s.is_some());
            comes_and_goes || slots == (0, 0) || milestones.complete.is_some()
        })
        .await;
    }

    /// Lets seconds pass, with an eye on the members.
    pub async fn pass(&mut self, seconds: f64) {
        self.pass_until(tokio::time::Instant::now() + Duration::from_secs_f64(seconds)).await;
    }

    /// Measures from now on.
    ///
    /// # Errors
    /// The server's process is gone.
    pub fn open_window(&mut self) -> Result<()> {
        let usage = self.usage()?;
        self.context.flows.open_window();
        self.context.threads.iter().for_each(|thread| thread.measure(true));
        self.opened = Some((Instant::now(), usage));
        Ok(())
    }

    /// Measures nothing of what comes from now on, and waits for what is on its way.
    ///
    /// # Errors
    /// The server's process or a client thread is gone.
    pub async fn close_window(&mut self) -> Result<Option<(Window, Vec<ThreadResult>)>> {
        let Some((begin, before)) = self.opened.take() else { return Ok(None) };
        let after = self.usage()?;
        self.context.flows.close_window();
        self.context.threads.iter().for_each(|thread| thread.measure(false));
        let window = Window { length: begin.elapsed(), before, after };
        self.pass_until(tokio::time::Instant::now() + DRAIN).await;
        let results = self.context.threads.iter().map(ClientThread::counts).collect::<Result<_>>()?;
        Ok(Some((window, results)))
    }

    /// Nobody begins anything new; after this and a drain, everybody must know the same.
    pub fn quiet(&mut self) {
        self.coming.clear();
        // Those who are gone need not hear it.
        let _none_left = self.phase.send(Phase::Quiet);
    }

    /// Why members did not come or stay, so far.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Members that are there.
    pub fn present(&self) -> u64 {
        self.present
    }

    /// How members came, by number.
    pub fn milestones(&self) -> &BTreeMap<usize, Milestones> {
        &self.milestones
    }

    /// Everybody leaves; the report's material stays.
    ///
    /// # Errors
    /// A session that does not end, or what a client thread says.
    pub async fn finish(
        mut self,
        windowed: Option<(Window, Vec<ThreadResult>)>,
        interrupted: bool,
    ) -> Result<Findings> {
        self.context.events.settle();
        let _none_left = self.phase.send(Phase::Stopped);
        let leaving = async { while self.sessions.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout(LEAVE_TIMEOUT, leaving).await.is_ok();
        let late = if in_time { 0 } else { self.sessions.len() };
        self.sessions.shutdown().await;
        self.bar.finish_and_clear();
        let Ok(context) = Arc::try_unwrap(self.context) else { bail!("a session outlived the run") };
        let threads = context.threads.len();
        let last: Vec<ThreadResult> =
            context.threads.into_iter().map(ClientThread::finish).collect::<Result<_>>()?;
        context.links.map_or(Ok(()), Links::stop)?;
        let (window, results) = match windowed {
            Some((window, results)) => (Some(window), results),
            None => (None, last),
        };
        let mut unended = context.unended.into_inner().unwrap_or_else(PoisonError::into_inner);
        if matches!(context.entrance, Entrance::Http(_)) {
            unended.extend((0..late).map(|_| format!("it took more than {LEAVE_TIMEOUT:?}")));
        }
        Ok(Findings {
            scenario: context.scenario,
            options: self.options,
            room: context.room,
            threads,
            ended: Instant::now(),
            milestones: self.milestones,
            failures: self.failures,
            results,
            coming: self.coming_counted,
            window,
            interrupted,
            slot_updates: context.slot_updates.into_inner(),
            pauses: context.pauses.into_inner(),
            complaints: context.complaints.into_inner(),
            unended,
            events: context.events.counts(),
            samples: self.samples,
        })
    }

    /// What the processes have used.
    ///
    /// # Errors
    /// The server's process is gone.
    pub fn usage(&self) -> Result<Usage> {
        Usage::now(self.options.server_pid)
    }

    /// How far the run has come.
    fn passed(&self) -> Result<Passed> {
        let received = self.received.load(Ordering::Relaxed);
        Ok(Passed { members: self.milestones.len(), usage: self.usage()?, received })
    }

    fn start(&mut self, group: usize, room: u32) {
        let Some(plan) = self.context.scenario.groups.get(group) else { return };
        let number: usize = self.publishers.values().map(Vec::len).sum();
        let in_room = self.publishers.entry(room).or_default();
        let (publisher, watched) = match plan.publishes() {
            true => (u32::try_from(number).ok(), None),
            false => (None, in_room.first().copied()),
        };
        let place = publisher.map_or(0, |_| in_room.len() as u32);
        in_room.extend(publisher);
        let stay = plan.stay_s.map(Duration::from_secs_f64);
        let member = Member { id: self.milestones.len(), group, room, publisher, place, watched, stay };
        let alone = self.live_publishers.get(&room).is_none_or(|live| *live == 0);
        let milestones =
            Milestones { member: Some(member), began: Some(Instant::now()), alone, ..Milestones::default() };
        self.milestones.insert(member.id, milestones);
        self.present += 1;
        let context = self.context.clone();
        self.sessions.spawn(async move { (member, context.session(&member).await) });
    }

    /// Waits until all members are there, or have failed.
    async fn wait_for(&mut self, patience: Duration, there: impl Fn(usize, &Milestones) -> bool) {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let missing = self.milestones.values().filter(|milestones| {
                let group = milestones.member.map_or(0, |member| member.group);
                !milestones.failed && !there(group, milestones)
            });
            let missing = missing.count();
            if missing == 0 {
                return;
            }
            if tokio::time::Instant::now() >= deadline {
                self.failures.push(format!("{missing} members were not there after {patience:?}"));
                return;
            }
            self.pass_until(deadline.min(tokio::time::Instant::now() + SHORT)).await;
        }
    }

    async fn pass_until(&mut self, end: tokio::time::Instant) {
        loop {
            let next_sample = self.began + SAMPLE * (self.samples.len() as u32 + 1);
            let arrival = self.coming.peek().map(|Reverse((at, ..))| *at);
            tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                Some((id, notice)) = self.notices.recv() => self.note(id, notice),
                Some(ended) = self.sessions.join_next() => self.ended(ended),
                () = tokio::time::sleep_until(next_sample.into()) => self.sample(),
                () = tokio::time::sleep_until(arrival.unwrap_or(next_sample).into()), if arrival.is_some() => {
                    self.arrive();
                }
            }
        }
    }

    /// Starts whoever is due, and arms the next of an open group.
    fn arrive(&mut self) {
        let Some(Reverse((at, group, room))) = self.coming.pop() else { return };
        self.start(group, room);
        let rate = self.context.scenario.groups.get(group).and_then(|plan| plan.arrivals_per_s);
        if let Some(rate) = rate {
            self.coming.push(Reverse((at + Duration::from_secs_f64(1.0 / rate), group, room)));
        }
    }

    fn ended(&mut self, ended: Result<(Member, Result<()>), tokio::task::JoinError>) {
        self.present = self.present.saturating_sub(1);
        let (member, result) = match ended {
            Ok(ended) => ended,
            Err(error) => return self.failures.push(error.to_string()),
        };
        if let Err(error) = result {
            let failure = format!("{}: {error:#}", self.context.name(&member));
            tracing::warn!(failure, "a member failed");
            self.failures.push(failure);
            if let Some(milestones) = self.milestones.get_mut(&member.id) {
                milestones.failed = true;
            }
        }
        let away = self.context.scenario.groups.get(member.group).and_then(|plan| plan.away_s);
        if let Some(away) = away.filter(|_| *self.context.phase.borrow() == Phase::Running) {
            let at = Instant::now() + Duration::from_secs_f64(away);
            self.coming.push(Reverse((at, member.group, member.room)));
        }
    }

    fn note(&mut self, id: usize, notice: Notice) {
        let Some(milestones) = self.milestones.get_mut(&id) else { return };
        match notice {
            Notice::Offered(at) => milestones.offered = Some(at),
            Notice::Viewed(at) => {
                milestones.viewed.get_or_insert(at);
            }
            Notice::Connected(at) => {
                milestones.connected = Some(at);
                if let Some(member) = milestones.member.filter(|member| member.publisher.is_some()) {
                    *self.live_publishers.entry(member.room).or_default() += 1;
                }
            }
            Notice::FirstMedia(at) => milestones.media = Some(at),
            Notice::Complete(at) => milestones.complete = Some(at),
            Notice::Lost => {
                milestones.failed = true;
                let name = milestones.member.map(|member| self.context.name(&member)).unwrap_or_default();
                self.failures.push(format!("{name}: the media connection was lost"));
            }
        }
    }

    /// One second's figures, for plots and for who waits at a terminal.
    fn sample(&mut self) {
        let mut ages: Histogram<u64> = latency_histogram();
        for thread in &self.context.threads {
            // A thread that is gone tells why when it is joined.
            let Ok(recent) = thread.recent() else { continue };
            let added = ages.add(&recent);
            debug_assert!(added.is_ok(), "all threads' histograms have the same bounds");
        }
        let received = self.received.load(Ordering::Relaxed);
        let usage = self.usage().ok();
        let cpu = |usage: Option<ProcessUsage>| usage.map_or(0, |usage| usage.cpu_us);
        let sample = Sample {
            at_s: self.began.elapsed().as_secs_f64(),
            members: self.present,
            received,
            latency_us: Percentiles::of(&ages, 1.0),
            server_cpu_us: cpu(usage.and_then(|usage| usage.server)),
            server_rss_kib: usage.and_then(|usage| usage.server).map_or(0, |server| server.rss_kib),
            bench_cpu_us: cpu(usage.map(|usage| usage.bench)),
            measured: self.opened.is_some(),
        };
        let before = self.samples.last().map_or(0, |sample| sample.received);
        self.bar.set_message(format!(
            "{} members, {} packets/s",
            self.present,
            received.saturating_sub(before)
        ));
        self.samples.push(sample);
    }
}

/// Plays the scenario to its end, or to Ctrl-C.
///
/// # Errors
/// Whatever keeps the run from measuring anything.
pub async fn play(scenario: Scenario, options: RunOptions) -> Result<Findings> {
    let rooms = scenario.rooms;
    let (warmup, duration) = (scenario.warmup_s as f64, scenario.duration_s as f64);
    let watched = scenario.groups.iter().any(|group| scenario.slots(group) != (0, 0));
    let mut load = Load::new(scenario, options, rooms)?;
    let phases = async {
        load.come(0..rooms).await?;
        let there = |milestones: &Milestones| match watched {
            true => milestones.media.is_some(),
            false => milestones.connected.is_some(),
        };
        if !load.milestones.values().any(there) {
            bail!("nobody saw or heard anything: {}", load.failures.join("; "));
        }
        load.pass(warmup).await;
        load.open_window()?;
        load.pass(duration).await;
        Ok(())
    };
    let interrupted = tokio::select! {
        ran = phases => { ran?; false }
        pressed = tokio::signal::ctrl_c() => { pressed?; true }
    };
    load.quiet();
    let windowed = load.close_window().await?;
    load.finish(windowed, interrupted).await
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A line on standard error; nothing when that is no terminal.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// The key of a development server that was given none.
pub(crate) const SAMPLE_KEY: &str = "simmer-sample-key-for-development-only";
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
const SHORT: Duration = Duration::from_millis(100);
const SAMPLE: Duration = Duration::from_secs(1);
/// A server keeps some seconds of what is published: that is no viewer's.
const PUBLICATIONS_SETTLE_S: f64 = 3.0;
/// For what is on its way when the window closes, retransmissions included.
const DRAIN: Duration = Duration::from_secs(1);
