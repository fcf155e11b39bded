//! One client of a fan-out run: its session, from hello to leave, and the hand-over to a media thread.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use simmer_signaling::protocol::{Kind, Source, Track};
use tokio::sync::{mpsc, watch};

use crate::args::{FanoutArgs, Target};
use crate::client::{Client, ClientThread, Notice, Role};
use crate::connection::{Connection, ConnectionPlan};
use crate::flow::Flows;
use crate::publisher::Publisher;
use crate::sdp::{CandidateRule, MediaSection, sections};
use crate::signaling::{PUBLISHER_NAME, Session, Update, token};
use crate::source::{MediaKind, VideoConfig};
use crate::subscriber::Subscriber;

/// What all clients of a run share.
#[derive(Debug)]
pub struct RunContext {
    /// What was asked for.
    pub args: FanoutArgs,
    /// The server.
    pub target: Target,
    /// The room.
    pub room: String,
    /// Signs tokens.
    pub key: String,
    /// Which of the server's candidates are used.
    pub candidates: CandidateRule,
    /// Where media sockets are bound.
    pub local_ip: IpAddr,
    /// Drive the media.
    pub threads: Vec<ClientThread>,
    /// What is sent.
    pub flows: Arc<Flows>,
    /// Hears how far clients are.
    pub notices: mpsc::UnboundedSender<(usize, Notice)>,
    /// Becomes true when the clients shall leave.
    pub stopped: watch::Receiver<bool>,
    /// Counts `slots` messages.
    pub slot_updates: AtomicU64,
    /// Counts refusals and media losses.
    pub complaints: AtomicU64,
}

impl RunContext {
    /// The client's display name, by which others know a publisher's number.
    pub fn name(&self, id: usize) -> String {
        let publishers = self.args.publishers as usize;
        if id < publishers {
            format!("{PUBLISHER_NAME}{id}")
        } else {
            format!("subscriber {}", id - publishers)
        }
    }

    /// One client's whole life; ends when the run does.
    ///
    /// # Errors
    /// Whatever ends it before.
    pub async fn session(&self, id: usize, name: &str) -> Result<()> {
        let token = token(&self.key, &self.room, &name.replace(' ', "-"))?;
        let mut session = Session::open(&self.target, &token, name).await?;
        let negotiated = tokio::time::timeout(ANSWER_TIMEOUT, self.negotiate(id, &mut session)).await;
        negotiated.context("the server did not answer the offer in time")??;
        let subscribes = id >= self.args.publishers as usize;
        if subscribes {
            self.view(id, &mut session).await?;
        }
        let mut stopped = self.stopped.clone();
        loop {
            tokio::select! {
                update = session.next() => match update? {
                    Update::Slots(slots) => {
                        self.slot_updates.fetch_add(1, Ordering::Relaxed);
                        self.thread(id)?.set_slots(id, slots);
                    }
                    Update::Publications if subscribes => self.view(id, &mut session).await?,
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
                () = until_stopped(&mut stopped) => break,
            }
        }
        session.leave().await
    }

    async fn negotiate(&self, id: usize, session: &mut Session) -> Result<()> {
        let publishes = (id as u64) < u64::from(self.args.publishers);
        let publisher = publishes.then(|| {
            let config = VideoConfig {
                publisher: id as u32,
                bitrate_bps: self.args.bitrate,
                fps: self.args.fps,
                width: 1280,
                height: 720,
                seed: self.args.seed.wrapping_add(id as u64),
            };
            Publisher::new(config, self.args.audio, self.flows.clone())
        });
        let mut plan = publisher
            .as_ref()
            .map_or_else(|| Subscriber::plan(self.args.publishers, self.args.audio), Publisher::plan);
        plan.feedback = self.args.feedback_ms > 0;
        let mut connection = Connection::new(Instant::now(), self.local_ip, &plan)?;
        let offer = connection.offer(Instant::now())?;
        let request = session.offer(offer.clone(), tracks(&offer, &plan)).await?;
        self.tell(id, Notice::Offered(Instant::now()));
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
        let transport_extension = connection.transport_extension();
        let role = match publisher {
            Some(mut publisher) => {
                publisher.negotiated(&negotiated);
                Role::Publisher(Box::new(publisher))
            }
            None => {
                let mut subscriber = Subscriber::new(self.args.fps, self.flows.clone());
                subscriber.negotiated(&negotiated);
                if let Some(extension) = transport_extension {
                    subscriber.send_feedback(Duration::from_millis(self.args.feedback_ms), extension);
                }
                subscriber.set_slots(Instant::now(), &early_slots);
                Role::Subscriber(Box::new(subscriber))
            }
        };
        self.thread(id)?.add(Client { id, connection, role, notices: self.notices.clone() });
        Ok(())
    }

    async fn view(&self, id: usize, session: &mut Session) -> Result<()> {
        if session.publications(Kind::Video) > 0 {
            session.view_everything().await?;
            self.tell(id, Notice::Viewed(Instant::now()));
        }
        Ok(())
    }

    fn tell(&self, id: usize, notice: Notice) {
        // Nobody listens any more when the run is over.
        let _over = self.notices.send((id, notice));
    }

    fn thread(&self, id: usize) -> Result<&ClientThread> {
        self.threads.get(id % self.threads.len().max(1)).context("there are no client threads")
    }
}

/// Also when the run is gone without a word.
async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    let _gone = stopped.wait_for(|stopped| *stopped).await.is_err();
}

/// What each m-line of the offer sends, for the server.
fn tracks(offer: &str, plan: &ConnectionPlan) -> Vec<Track> {
    if plan.send_video.is_none() {
        return Vec::new();
    }
    let track = |section: MediaSection| {
        let source = match section.kind? {
            MediaKind::Video => Source::Camera,
            MediaKind::Audio => Source::Microphone,
        };
        Some(Track { mid: section.mid, source })
    };
    sections(offer).into_iter().filter_map(track).collect()
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
