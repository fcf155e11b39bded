//! The fan-out run: publishers come first, subscribers one after the other, then everything is measured.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::args::{FanoutArgs, Target};
use crate::client::{ClientThread, Notice};
use crate::connection::CONNECT_TIMEOUT;
use crate::findings::{Findings, Milestones, Usage, Window};
use crate::flow::Flows;
use crate::measure::ProcessUsage;
use crate::member::RunContext;
use crate::report::Report;
use crate::sdp::CandidateRule;

/// Runs it to its end, or to Ctrl-C.
///
/// # Errors
/// Whatever keeps the run from measuring anything.
pub async fn run(args: FanoutArgs) -> Result<Report> {
    let target = Target::resolve(&args.url, args.allow_remote)?;
    let threads = args.threads.unwrap_or_else(|| processors() / 2).max(1);
    let before = args.server_pid.map(ProcessUsage::of).transpose()?;
    let received = Arc::new(AtomicU64::new(0));
    let (notices, notice_inbox) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let context = Arc::new(RunContext {
        room: args.room.clone().unwrap_or_else(|| format!("bench-{:08x}", rand::random::<u32>())),
        key: args.key.clone().unwrap_or_else(|| SAMPLE_KEY.to_owned()),
        candidates: CandidateRule {
            only: target.address.ip().is_loopback().then_some(target.address.ip()),
            port: args.media_port,
        },
        local_ip: target.local_ip()?,
        target,
        threads: (0..threads)
            .map(|index| ClientThread::spawn(index, received.clone()))
            .collect::<Result<_>>()?,
        flows: Arc::new(Flows::new(args.publishers, args.audio)),
        notices,
        stopped,
        slot_updates: AtomicU64::new(0),
        complaints: AtomicU64::new(0),
        args,
    });
    let mut run = Run {
        bar: progress(&context.args),
        sessions: JoinSet::new(),
        notices: notice_inbox,
        milestones: BTreeMap::new(),
        failures: Vec::new(),
        received,
        before,
        opened: None,
        window: None,
        context,
    };
    let interrupted = tokio::select! {
        ran = run.phases() => { ran?; false }
        pressed = tokio::signal::ctrl_c() => { pressed?; true }
    };
    run.finish(interrupted, stop).await
}

struct Run {
    context: Arc<RunContext>,
    bar: ProgressBar,
    sessions: JoinSet<Result<()>>,
    notices: mpsc::UnboundedReceiver<(usize, Notice)>,
    milestones: BTreeMap<usize, Milestones>,
    failures: Vec<String>,
    received: Arc<AtomicU64>,
    before: Option<ProcessUsage>,
    opened: Option<(Instant, Usage)>,
    window: Option<Window>,
}

impl Run {
    async fn phases(&mut self) -> Result<()> {
        let context = self.context.clone();
        let publishers = context.args.publishers as usize;
        let subscribers = context.args.subscribers as usize;
        self.bar.set_message("publishers");
        for id in 0..publishers {
            self.start(id);
        }
        self.wait_for(publishers, CONNECT_TIMEOUT, |milestones| milestones.connected.is_some()).await;
        ensure!(self.failures.is_empty(), "{}", self.failures.join("; "));
        self.bar.set_message("subscribers");
        let interval = Duration::from_millis(context.args.join_interval_ms);
        let begin = tokio::time::Instant::now();
        for index in 0..subscribers {
            let at = begin + interval * u32::try_from(index).unwrap_or(u32::MAX);
            self.pass_until(at, false).await;
            self.start(publishers + index);
        }
        self.wait_for(subscribers, JOIN_TIMEOUT, |milestones| milestones.picture.is_some()).await;
        let joined = self.milestones.values().any(|milestones| milestones.picture.is_some());
        ensure!(joined, "no subscriber got a picture: {}", self.failures.join("; "));
        let after = |seconds| tokio::time::Instant::now() + Duration::from_secs(seconds);
        self.pass_until(after(context.args.warmup), true).await;
        self.open_window()?;
        self.pass_until(after(context.args.duration), true).await;
        self.close_window()?;
        self.pass_until(tokio::time::Instant::now() + DRAIN, false).await;
        Ok(())
    }

    fn start(&mut self, id: usize) {
        let context = self.context.clone();
        self.milestones.entry(id).or_default().began = Some(Instant::now());
        self.sessions.spawn(async move {
            let name = context.name(id);
            context.session(id, &name).await.context(name)
        });
    }

    /// Waits until `count` clients are there, or as many as still can be.
    async fn wait_for(&mut self, count: usize, patience: Duration, there: fn(&Milestones) -> bool) {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let present = self.milestones.values().filter(|milestones| there(milestones)).count();
            if present + self.failures.len() >= count {
                return;
            }
            if tokio::time::Instant::now() >= deadline {
                self.failures.push(format!("{} clients were not there after {patience:?}", count - present));
                return;
            }
            self.pass_until(deadline.min(tokio::time::Instant::now() + SHORT), false).await;
        }
    }

    /// Lets time pass, with an eye on the clients.
    async fn pass_until(&mut self, end: tokio::time::Instant, tell_rate: bool) {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut last = self.received.load(Ordering::Relaxed);
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(end) => return,
                Some((id, notice)) = self.notices.recv() => self.note(id, notice),
                Some(ended) = self.sessions.join_next() => self.ended(ended),
                _ = second.tick(), if tell_rate => {
                    let now = self.received.load(Ordering::Relaxed);
                    let left = end.saturating_duration_since(tokio::time::Instant::now()).as_secs();
                    self.bar.set_message(format!("{} packets/s, {left} s to go", now - last));
                    last = now;
                }
            }
        }
    }

    fn ended(&mut self, ended: Result<Result<()>, tokio::task::JoinError>) {
        let failure = match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        };
        tracing::warn!(failure, "a client failed");
        self.failures.push(failure);
    }

    fn note(&mut self, id: usize, notice: Notice) {
        let name = self.context.name(id);
        let milestones = self.milestones.entry(id).or_default();
        match notice {
            Notice::Offered(at) => milestones.offered = Some(at),
            Notice::Viewed(at) => {
                milestones.viewed.get_or_insert(at);
            }
            Notice::Connected(at) => milestones.connected = Some(at),
            Notice::FirstKeyFrame(at) => {
                milestones.connected.get_or_insert(at);
                milestones.picture = Some(at);
                self.bar.inc(1);
            }
            Notice::Lost => self.failures.push(format!("{name}: the media connection was lost")),
        }
    }

    fn open_window(&mut self) -> Result<()> {
        let usage = Usage::now(self.context.args.server_pid)?;
        self.context.flows.open_window();
        self.context.threads.iter().for_each(|thread| thread.measure(true));
        self.opened = Some((Instant::now(), usage));
        Ok(())
    }

    fn close_window(&mut self) -> Result<()> {
        if let Some((begin, before)) = self.opened.take() {
            let after = Usage::now(self.context.args.server_pid)?;
            self.context.flows.close_window();
            self.context.threads.iter().for_each(|thread| thread.measure(false));
            self.window = Some(Window { length: begin.elapsed(), before, after });
        }
        Ok(())
    }

    async fn finish(mut self, interrupted: bool, stop: watch::Sender<bool>) -> Result<Report> {
        if self.opened.is_some() {
            self.close_window()?;
            self.pass_until(tokio::time::Instant::now() + DRAIN, false).await;
        }
        // The sessions leave; those that do not in time are dropped.
        let _none_left = stop.send(true);
        let leaving = async { while self.sessions.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(LEAVE_TIMEOUT, leaving).await;
        self.sessions.shutdown().await;
        self.bar.finish_and_clear();
        let Ok(context) = Arc::try_unwrap(self.context) else { bail!("a session outlived the run") };
        let thread_count = context.threads.len();
        let results = context.threads.into_iter().map(ClientThread::finish).collect::<Result<_>>()?;
        let findings = Findings {
            args: context.args,
            room: context.room,
            threads: thread_count,
            flows: context.flows,
            milestones: self.milestones.into_iter().collect(),
            failures: self.failures,
            results,
            server_before: self.before,
            window: self.window,
            interrupted,
            slot_updates: context.slot_updates.into_inner(),
            complaints: context.complaints.into_inner(),
        };
        Ok(findings.report())
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A bar on standard error; nothing when that is no terminal.
fn progress(args: &FanoutArgs) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(args.subscribers));
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} [{bar:24}] {pos}/{len} joined, {msg}") {
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
/// For what is on its way when the window closes, retransmissions included.
const DRAIN: Duration = Duration::from_secs(1);
