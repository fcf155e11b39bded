//! The honest call: one publisher, many subscribers, and newcomers whose joining is timed.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::args::{AttackArgs, Target};
use crate::client::{ClientThread, Notice};
use crate::events::EventLogs;
use crate::flow::{Flow, Flows};
use crate::member::{Entrance, Member, Phase, RunContext};
use crate::objectives::Limits;
use crate::scenario::{Group, Scenario, Share, Video};
use crate::sdp::CandidateRule;
use crate::source::MediaKind;
use crate::verify::StreamCounts;

/// The call, with all its members connected.
pub struct HonestCall {
    plan: CallPlan,
    context: Arc<RunContext>,
    sessions: JoinSet<Result<()>>,
    notices: mpsc::UnboundedReceiver<(usize, Notice)>,
    phase: watch::Sender<Phase>,
    seen: Seen,
    newcomers: usize,
}

/// What all members need to know.
#[derive(Clone, Debug)]
pub struct CallPlan {
    /// Who is in it.
    pub scenario: Scenario,
    /// The server.
    pub target: Target,
    /// The room.
    pub room: String,
    /// Signs tokens.
    pub key: String,
    /// Which of the server's candidates are used.
    pub candidates: CandidateRule,
    /// Seeds what is sent.
    pub seed: u64,
}

/// How the call fared in one phase.
#[derive(Clone, Debug, Default)]
pub struct Welfare {
    /// Packets that did not arrive, in percent of those that should have.
    pub loss_percent: f64,
    /// Packets with wrong contents, of somebody else, or out of their sequence.
    pub wrong: u64,
    /// From opening the WebSocket to the first whole key frame, of each newcomer, sorted.
    pub joins: Vec<Duration>,
    /// Key frames that the publisher was asked for.
    pub key_frame_requests: u64,
    /// As many of them as there may be.
    pub key_frames_allowed: u64,
    /// Members that fell out, and newcomers that did not get in.
    pub lost: Vec<String>,
}

impl Welfare {
    /// A percentile of the joins, 0 to 1; zero without joins.
    pub fn join(&self, quantile: f64) -> Duration {
        let rank = (self.joins.len() as f64 * quantile).ceil() as usize;
        self.joins.get(rank.max(1) - 1).copied().unwrap_or_default()
    }
}

#[derive(Clone, Copy)]
struct Seen {
    at: Instant,
    measured: u64,
    wrong: u64,
    key_frame_requests: u64,
}

impl Seen {
    fn nothing() -> Self {
        Self { at: Instant::now(), measured: 0, wrong: 0, key_frame_requests: 0 }
    }
}

impl CallPlan {
    /// A room of its own on the server that is attacked.
    ///
    /// # Errors
    /// A server that is not on this machine, or that there is no route to.
    pub fn new(args: &AttackArgs) -> Result<Self> {
        let target = Target::resolve(&args.url, false)?;
        let room = format!("attacked-{:08x}", rand::random::<u32>());
        let group = |name: &str, count| Group { name: name.to_owned(), count, ..Group::default() };
        let scenario = Scenario {
            name: "attacked".to_owned(),
            about: String::new(),
            rooms: 1,
            warmup_s: 0,
            duration_s: 1,
            join_interval_ms: 30,
            feedback_ms: 100,
            link: None,
            objectives: Limits::default(),
            groups: vec![
                Group { video: Some(Video { bitrate: 1_500_000, fps: 30 }), ..group("publisher", 1) },
                Group { sees: Share::All, ..group("subscriber", args.subscribers) },
            ],
        };
        let key = args.key.clone().unwrap_or_else(|| crate::load::SAMPLE_KEY.to_owned());
        let only = target.address.ip().is_loopback().then_some(target.address.ip());
        let candidates = CandidateRule { only, port: None };
        Ok(Self { scenario, target, room, key, candidates, seed: args.seed })
    }

    /// The member with that number: the first one publishes.
    fn member(id: usize) -> Member {
        let publishes = id == 0;
        Member {
            id,
            group: usize::from(!publishes),
            room: 0,
            publisher: publishes.then_some(0),
            place: 0,
            watched: (!publishes).then_some(0),
            stay: None,
        }
    }

    fn context(
        &self,
        flows: Arc<Flows>,
        notices: mpsc::UnboundedSender<(usize, Notice)>,
        phase: watch::Receiver<Phase>,
    ) -> Result<RunContext> {
        Ok(RunContext {
            scenario: self.scenario.clone(),
            seed: self.seed,
            events: Arc::new(EventLogs::new()),
            entrance: Entrance::Session(self.target.clone()),
            room: self.room.clone(),
            key: self.key.clone(),
            candidates: self.candidates,
            local_ip: self.target.local_ip()?,
            threads: vec![ClientThread::spawn(0, Arc::new(AtomicU64::new(0)))?],
            flows,
            notices,
            phase,
            slot_updates: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
            complaints: AtomicU64::new(0),
            unended: Mutex::default(),
            links: None,
        })
    }
}

impl HonestCall {
    /// Everybody joins, one after the other.
    ///
    /// # Errors
    /// Somebody does not get in.
    pub async fn start(plan: CallPlan) -> Result<Self> {
        let (notices, inbox) = mpsc::unbounded_channel();
        let (phase, phases) = watch::channel(Phase::Running);
        let context = Arc::new(plan.context(Arc::new(Flows::new(1, false)), notices, phases)?);
        let members = plan.scenario.groups.iter().map(|group| group.count as usize).sum();
        let mut call = Self {
            newcomers: members,
            plan,
            context,
            sessions: JoinSet::new(),
            notices: inbox,
            phase,
            seen: Seen::nothing(),
        };
        for id in 0..members {
            call.enter(id);
            let there = tokio::time::timeout(JOIN_PATIENCE, call.wait_for(id)).await;
            ensure!(
                there.is_ok(),
                "{} did not get in: {:?}",
                call.context.name(&CallPlan::member(id)),
                call.fallen()
            );
        }
        Ok(call)
    }

    /// How its members joined.
    pub fn plan(&self) -> &CallPlan {
        &self.plan
    }

    /// Measures from now on.
    ///
    /// # Errors
    /// The client thread is gone.
    pub fn begin_phase(&mut self) -> Result<()> {
        self.seen = self.look()?;
        self.context.flows.open_window();
        Ok(())
    }

    /// So many newcomers join, `interval` apart, and leave when they have a picture. Returns how long each took, and who failed.
    pub async fn newcomers(&mut self, count: usize, interval: Duration) -> (Vec<Duration>, Vec<String>) {
        let mut joins = JoinSet::new();
        let mut clock = tokio::time::interval(interval);
        for _ in 0..count {
            clock.tick().await;
            let (plan, flows, id) = (self.plan.clone(), self.context.flows.clone(), self.newcomers);
            self.newcomers += 1;
            joins.spawn(async move { join_once(&plan, flows, id).await });
        }
        let (mut times, mut failed) = (Vec::new(), Vec::new());
        while let Some(joined) = joins.join_next().await {
            match joined {
                Ok(Ok(time)) => times.push(time),
                Ok(Err(error)) => failed.push(format!("a newcomer: {error:#}")),
                Err(error) => failed.push(error.to_string()),
            }
        }
        times.sort_unstable();
        (times, failed)
    }

    /// How the call fared since the phase began; waits for what is on its way.
    ///
    /// # Errors
    /// The client thread is gone.
    pub async fn end_phase(&mut self) -> Result<Welfare> {
        self.context.flows.close_window();
        tokio::time::sleep(DRAIN).await;
        let now = self.look()?;
        let sent = self.context.flows.flow(0, MediaKind::Video).map_or(0, Flow::measured);
        let subscribers = self.plan.scenario.groups.last().map_or(0, |group| group.count);
        let expected = sent * u64::from(subscribers);
        let received = now.measured - self.seen.measured;
        Ok(Welfare {
            loss_percent: expected.saturating_sub(received) as f64 * 100.0 / (expected as f64).max(1.0),
            wrong: now.wrong - self.seen.wrong,
            joins: Vec::new(),
            key_frame_requests: now.key_frame_requests - self.seen.key_frame_requests,
            key_frames_allowed: key_frames_in(now.at.saturating_duration_since(self.seen.at)),
            lost: self.fallen(),
        })
    }

    /// Everybody leaves.
    ///
    /// # Errors
    /// What the client thread says.
    pub async fn finish(mut self) -> Result<()> {
        // The sessions leave; those that do not in time are dropped.
        let _none_left = self.phase.send(Phase::Stopped);
        let leaving = async { while self.sessions.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(Duration::from_secs(3), leaving).await;
        self.sessions.shutdown().await;
        close(self.context)
    }

    fn enter(&mut self, id: usize) {
        let context = self.context.clone();
        self.sessions.spawn(async move {
            let member = CallPlan::member(id);
            context.session(&member).await.with_context(|| context.name(&member))
        });
    }

    async fn wait_for(&mut self, id: usize) {
        let publishes = id == 0;
        while let Some((who, notice)) = self.notices.recv().await {
            let there = match notice {
                Notice::FirstMedia(_) => true,
                Notice::Connected(_) => publishes,
                _ => false,
            };
            if who == id && there {
                return;
            }
        }
    }

    /// Members that are gone since this was last asked.
    fn fallen(&mut self) -> Vec<String> {
        let mut fallen = Vec::new();
        while let Some(ended) = self.sessions.try_join_next() {
            fallen.push(match ended {
                Ok(Ok(())) => "a member left".to_owned(),
                Ok(Err(error)) => format!("{error:#}"),
                Err(error) => error.to_string(),
            });
        }
        while let Ok((id, notice)) = self.notices.try_recv() {
            if notice == Notice::Lost {
                fallen.push(format!(
                    "{}: the media connection was lost",
                    self.context.name(&CallPlan::member(id))
                ));
            }
        }
        fallen
    }

    fn look(&self) -> Result<Seen> {
        let mut seen = Seen::nothing();
        for thread in &self.context.threads {
            for client in thread.counts()?.clients {
                seen.key_frame_requests += client.publisher.map_or(0, |counts| counts.key_frame_requests);
                let Some(result) = client.subscriber else { continue };
                let StreamCounts { measured, corrupt, sequence_breaks, picture_id_breaks, .. } = result.video;
                seen.measured += measured;
                seen.wrong += corrupt
                    + sequence_breaks
                    + picture_id_breaks
                    + result.video.timestamp_breaks
                    + result.video.marker_errors
                    + result.counts.misdirected;
            }
        }
        Ok(seen)
    }
}

async fn join_once(plan: &CallPlan, flows: Arc<Flows>, id: usize) -> Result<Duration> {
    let (notices, mut inbox) = mpsc::unbounded_channel();
    let (phase, phases) = watch::channel(Phase::Running);
    let context = Arc::new(plan.context(flows, notices, phases)?);
    let began = Instant::now();
    let member = context.clone();
    let mut sessions = JoinSet::new();
    sessions.spawn(async move { member.session(&CallPlan::member(id)).await });
    let picture = async {
        loop {
            tokio::select! {
                notice = inbox.recv() => match notice.context("no more news")? {
                    (_, Notice::FirstMedia(at)) => return Ok(at.saturating_duration_since(began)),
                    (_, Notice::Lost) => bail!("the media connection was lost"),
                    _ => {}
                },
                Some(ended) = sessions.join_next() => {
                    ended??;
                    bail!("the session ended");
                }
            }
        }
    };
    let time = tokio::time::timeout(JOIN_PATIENCE, picture).await.context("no picture in time");
    let _none_left = phase.send(Phase::Stopped);
    let _in_time = tokio::time::timeout(Duration::from_secs(2), sessions.join_next()).await;
    sessions.shutdown().await;
    close(context)?;
    time?
}

/// How many requests for key frames of one stream may go upstream in this time, however many ask, and join: one each interval, and one to begin with.
fn key_frames_in(time: Duration) -> u64 {
    1 + (time.as_secs_f64() / KEY_FRAME_INTERVAL.as_secs_f64()) as u64
}

fn close(context: Arc<RunContext>) -> Result<()> {
    let context = Arc::try_unwrap(context).ok().context("a session outlived the call")?;
    for thread in context.threads {
        thread.finish()?;
    }
    Ok(())
}

const JOIN_PATIENCE: Duration = Duration::from_secs(10);
/// For what is on its way, retransmissions included.
const DRAIN: Duration = Duration::from_millis(500);
/// The server's own, by default.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_allowed_at_the_servers_own_pace() {
        assert_eq!(KEY_FRAME_INTERVAL, simmer_sfu::Limits::default().keyframe_interval);
        let allowed = |ms| key_frames_in(Duration::from_millis(ms));
        assert_eq!([allowed(0), allowed(499), allowed(500), allowed(4600)], [1, 1, 2, 10]);
    }
}
