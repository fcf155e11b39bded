//! One member of a run: its session, from hello to leave, and the hand-over to a media thread.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use simmer_signaling::protocol::{Source, Track};
use tokio::sync::{mpsc, watch};

use crate::args::Target;
use crate::client::{Client, ClientThread, Notice};
use crate::connection::{Connection, ConnectionPlan};
use crate::events::EventLogs;
use crate::flow::Flows;
use crate::links::Links;
use crate::publisher::Publisher;
use crate::scenario::{Group, Scenario};
use crate::sdp::{CandidateRule, MediaSection, sections};
use crate::signaling::{PUBLISHER_NAME, Picks, Session, Update, token};
use crate::source::{MediaKind, VideoConfig};
use crate::subscriber::Subscriber;
use crate::wish::endpoints::Endpoints;

/// What all members of a run share.
#[derive(Debug)]
pub struct RunContext {
    /// What is played.
    pub scenario: Scenario,
    /// Where members come in.
    pub entrance: Entrance,
    /// The room, or the beginning of the rooms' names.
    pub room: String,
    /// Signs tokens.
    pub key: String,
    /// Seeds what is sent.
    pub seed: u64,
    /// Which of the server's candidates are used.
    pub candidates: CandidateRule,
    /// The emulated networks, if there are any.
    pub links: Option<Links>,
    /// Where media sockets are bound.
    pub local_ip: IpAddr,
    /// Drive the media.
    pub threads: Vec<ClientThread>,
    /// What is sent.
    pub flows: Arc<Flows>,
    /// Hears how far members are.
    pub notices: mpsc::UnboundedSender<(usize, Notice)>,
    /// How far the run is.
    pub phase: watch::Receiver<Phase>,
    /// What members are told of their rooms.
    pub events: Arc<EventLogs>,
    /// Counts `slots` messages.
    pub slot_updates: AtomicU64,
    /// Counts pictures that the server began to hold back.
    pub pauses: AtomicU64,
    /// Counts refusals and media losses.
    pub complaints: AtomicU64,
    /// Why sessions over HTTP could not be ended.
    pub unended: Mutex<Vec<String>>,
}

/// Where members come in, and by which protocol.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// Simmer's own, on a WebSocket.
    Session(Target),
    /// WHIP and WHEP.
    Http(Endpoints),
}

/// How far a run is, for its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// They do what their group does.
    Running,
    /// They stay and do nothing new.
    Quiet,
    /// They leave.
    Stopped,
}

/// One member.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its number in the run.
    pub id: usize,
    /// Its group's place in the scenario.
    pub group: usize,
    /// Its room, from 0.
    pub room: u32,
    /// Its number among those who publish, if it does.
    pub publisher: Option<u32>,
    /// Its place among its room's publishers, if it publishes; else 0, the place of the first.
    pub place: u32,
    /// The number of its room's first publisher, if it publishes nothing itself and there is one.
    pub watched: Option<u32>,
    /// How long it stays; without it, to the end.
    pub stay: Option<Duration>,
}

impl RunContext {
    /// What the member does.
    ///
    /// # Errors
    /// A group that the scenario has not.
    pub fn group(&self, member: &Member) -> Result<&Group> {
        self.scenario.groups.get(member.group).context("there is no such group")
    }

    /// The member's display name, by which others know a publisher's number.
    pub fn name(&self, member: &Member) -> String {
        let group = self.scenario.groups.get(member.group).map_or("member", |group| group.name.as_str());
        member
            .publisher
            .map_or_else(|| format!("{group} no {}", member.id), |number| format!("{PUBLISHER_NAME}{number}"))
    }

    /// The name of a room.
    pub fn room_name(&self, room: u32) -> String {
        if self.scenario.rooms == 1 { self.room.clone() } else { format!("{}-{room}", self.room) }
    }

    /// The identity in the member's token.
    pub fn identity(&self, member: &Member) -> String {
        self.name(member).replace(' ', "-")
    }

    /// A member's whole life; ends when its time is over, or the run is.
    ///
    /// # Errors
    /// Whatever ends it before.
    pub async fn session(&self, member: &Member) -> Result<()> {
        match &self.entrance {
            Entrance::Session(target) => self.session_in_room(member, target).await,
            Entrance::Http(endpoints) => self.session_over_http(member, endpoints).await,
        }
    }

    async fn session_in_room(&self, member: &Member, target: &Target) -> Result<()> {
        let (group, name) = (self.group(member)?, self.name(member));
        let token = token(&self.key, &self.room_name(member.room), &self.identity(member))?;
        let mut session = Session::open(target, &token, &name).await?;
        session.compare_events(self.events.clone(), member.room);
        let negotiated =
            tokio::time::timeout(ANSWER_TIMEOUT, self.negotiate(member, group, &mut session)).await;
        negotiated.context("the server did not answer the offer in time")??;
        let mut shown = Picks::default();
        self.view(member, group, &mut session, &mut shown).await?;
        let mut phase = self.phase.clone();
        let leaves = tokio::time::sleep(member.stay.unwrap_or(FOR_EVER));
        tokio::pin!(leaves);
        let period = if group.chats_per_min > 0.0 {
            Duration::from_secs_f64(60.0 / group.chats_per_min)
        } else {
            FOR_EVER
        };
        let mut chats = tokio::time::interval_at(
            tokio::time::Instant::now() + period.mul_f64(rand::random::<f64>()),
            period,
        );
        let mut said: Option<(u64, Instant)> = None;
        let mut view_at: Option<tokio::time::Instant> = None;
        loop {
            tokio::select! {
                update = session.next() => match update? {
                    Update::Slots(slots) => {
                        self.slot_updates.fetch_add(1, Ordering::Relaxed);
                        self.thread(member.id)?.set_slots(member.id, slots);
                    }
                    // Several that come at once are asked for at once.
                    Update::Publications if group.watches() => {
                        view_at.get_or_insert(tokio::time::Instant::now() + VIEW_PATIENCE);
                    }
                    Update::Done(re) => {
                        if let Some((_, at)) = said.take_if(|(id, _)| *id == re) {
                            self.events.heard_reply(Instant::now(), at);
                        }
                    }
                    Update::MediaLost(reason) => {
                        self.complaints.fetch_add(1, Ordering::Relaxed);
                        bail!("the server lost the media: {reason}");
                    }
                    Update::Refused(_, why) => {
                        self.complaints.fetch_add(1, Ordering::Relaxed);
                        tracing::warn!(name, why, "refused");
                    }
                    Update::Answer(..) | Update::Publications | Update::Nothing => {}
                },
                () = until(view_at), if view_at.is_some() => {
                    view_at = None;
                    self.view(member, group, &mut session, &mut shown).await?;
                }
                _ = chats.tick(), if *self.phase.borrow() == Phase::Running => {
                    let now = Instant::now();
                    said = Some((session.chat(now).await?, now));
                }
                () = &mut leaves => {
                    self.thread(member.id)?.remove(member.id);
                    break;
                }
                () = until_stopped(&mut phase) => break,
            }
        }
        session.end_events();
        self.pauses.fetch_add(session.pauses(), Ordering::Relaxed);
        session.leave().await
    }

    pub(crate) fn connection_plan(&self, group: &Group, publisher: Option<&Publisher>) -> ConnectionPlan {
        let (video, audio) = self.scenario.slots(group);
        ConnectionPlan {
            receive_video: video,
            receive_audio: audio,
            feedback: self.scenario.feedback_ms > 0,
            sealed: group.sealed,
            ..publisher.map(Publisher::plan).unwrap_or_default()
        }
    }

    async fn negotiate(&self, member: &Member, group: &Group, session: &mut Session) -> Result<()> {
        let publisher = member.publisher.map(|number| self.publisher(number, group));
        let plan = self.connection_plan(group, publisher.as_ref());
        let (video, audio) = (plan.receive_video, plan.receive_audio);
        let mut connection = Connection::new(Instant::now(), self.local_ip, &plan)?;
        let offer = connection.offer(Instant::now())?;
        let request = session.offer(offer.clone(), tracks(&offer, &plan)).await?;
        self.tell(member.id, Notice::Offered(Instant::now()));
        let mut early_slots = Vec::new();
        let answer = loop {
            match session.next().await? {
                Update::Answer(re, sdp) if re == request => break sdp,
                Update::Refused(Some(re), why) if re == request => bail!("the offer was refused: {why}"),
                Update::Slots(slots) => early_slots = slots,
                _ => {}
            }
        };
        connection.accept(Instant::now(), &answer, &self.candidates)?;
        let negotiated = sections(&answer);
        let publisher = publisher.map(|mut publisher| {
            publisher.negotiated(&negotiated);
            Box::new(publisher)
        });
        let subscriber = (video + audio > 0).then(|| {
            let mut subscriber = Subscriber::new((video, audio), self.scenario.fps(), self.flows.clone());
            subscriber.negotiated(&negotiated);
            if let Some(extension) = connection.transport_extension() {
                subscriber.send_feedback(Duration::from_millis(self.scenario.feedback_ms), extension);
            }
            subscriber.set_slots(Instant::now(), &early_slots);
            Box::new(subscriber)
        });
        let notices = self.notices.clone();
        self.thread(member.id)?.add(Client { id: member.id, connection, publisher, subscriber, notices });
        Ok(())
    }

    pub(crate) fn publisher(&self, number: u32, group: &Group) -> Publisher {
        let config = VideoConfig {
            publisher: number,
            bitrate_bps: group.video.map_or(0, |video| video.bitrate),
            fps: group.video.map_or(1, |video| video.fps),
            width: 1280,
            height: 720,
            seed: self.seed.wrapping_add(u64::from(number)),
        };
        Publisher::new(config, group.video.is_some(), group.audio, self.flows.clone())
    }

    async fn view(
        &self,
        member: &Member,
        group: &Group,
        session: &mut Session,
        shown: &mut Picks,
    ) -> Result<()> {
        let picks = session.picks(member.publisher, group.sees, group.hears);
        if picks != *shown {
            session.view(&picks).await?;
            self.tell(member.id, Notice::Viewed(Instant::now()));
            *shown = picks;
        }
        Ok(())
    }

    pub(crate) fn tell(&self, id: usize, notice: Notice) {
        // Nobody listens any more when the run is over.
        let _over = self.notices.send((id, notice));
    }

    pub(crate) fn thread(&self, id: usize) -> Result<&ClientThread> {
        self.threads.get(id % self.threads.len().max(1)).context("there are no client threads")
    }
}

async fn until(at: Option<tokio::time::Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}

/// Also when the run is gone without a word.
pub(crate) async fn until_stopped(phase: &mut watch::Receiver<Phase>) {
    let _gone = phase.wait_for(|phase| *phase == Phase::Stopped).await.is_err();
}

/// What each m-line of the offer sends, for the server.
fn tracks(offer: &str, plan: &ConnectionPlan) -> Vec<Track> {
    let sends = usize::from(plan.send_video.is_some()) + usize::from(plan.send_audio.is_some());
    let track = |section: MediaSection| {
        let source = match section.kind? {
            MediaKind::Video => Source::Camera,
            MediaKind::Audio => Source::Microphone,
        };
        Some(Track { mid: section.mid, source })
    };
    // What is sent stands before what is received.
    sections(offer).into_iter().filter_map(track).take(sends).collect()
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const VIEW_PATIENCE: Duration = Duration::from_millis(60);
const FOR_EVER: Duration = Duration::from_secs(30 * 86_400);
