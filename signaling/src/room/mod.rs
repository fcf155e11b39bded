//! One room, told the time: no socket, task or clock of its own.
//!
//! [`Room`] takes who connects ([`connect`](Room::connect)), what they say ([`handle`](Room::handle)), what the media core and the recorder
//! tell, and timers; it leaves [`Output`]s, to be drained after each call. What happens gets its place in the log in `append`, nowhere else,
//! and an action's rights are checked in `actions`, nowhere else.
//!
//! A participant is an identity, with one id as long as the room remembers it. Their session is one client's conversation, which outlives its
//! WebSocket for a while. Their media connection is the core's participant, a new one each time a client starts anew.

mod actions;
mod entry;
mod expiry;
mod holding;
mod http;
mod keys;
mod log;
mod media;
mod member;
mod presence;
mod rate;
mod recording;
mod snapshot;
mod stage;
mod steps;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use simmer_sfu::id::{ParticipantId, RoomId};
use simmer_sfu::message::Command;
use simmer_sfu::transport::ChannelId;

use crate::limits::Limits;
use crate::protocol::{
    Clock, ErrorCode, ErrorMessage, Event, EventBody, PublicationState, Rights, Role, ServerMessage, Speakers,
};
use crate::token::Claims;

pub use http::{Expects, HttpReply, HttpRequest, Purpose, RequestId};
pub use log::{Entry, LogStore, MemoryLog};
pub use recording::{RecordCommand, RecorderEvent};
pub use steps::{NoSuchStep, StepBoard};

use member::Member;
use presence::Waves;
use recording::Recording;
use snapshot::ChatTail;

/// A WebSocket that is, or was, connected to a room. Chosen by the caller, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// Where a message goes, or came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// A WebSocket.
    WebSocket(ConnectionId),
    /// A media connection's data channel.
    Channel(ParticipantId, ChannelId),
}

/// Who wants to enter, by their token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Admission {
    /// The identity.
    pub identity: String,
    /// The display name, valid already.
    pub name: String,
    /// Host or participant.
    pub role: Role,
    /// What they may do.
    pub rights: Rights,
    /// How long their token is still good.
    pub valid_for: Duration,
}

impl Admission {
    /// Who comes, by the token, and by the name they give themselves where the token leaves it open. The error is a sentence.
    pub(crate) fn new(claims: &Claims, name: Option<&str>, limits: &Limits) -> Result<Self, &'static str> {
        let name = claims.name.as_deref().or(name).unwrap_or("Guest").trim();
        if name.is_empty() || name.chars().count() > limits.name_chars || name.chars().any(char::is_control) {
            return Err("A name has 1 to 40 characters and no control characters.");
        }
        Ok(Self {
            identity: claims.sub.clone(),
            name: name.to_owned(),
            role: claims.role,
            rights: claims.rights(),
            valid_for: claims.life_left(),
        })
    }
}

/// Why a WebSocket is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// The participant left.
    Left,
    /// The server ends.
    GoingAway,
    /// A message was over its limit.
    TooLarge,
    /// The protocol was broken, or entry refused.
    Protocol,
    /// A resumption took the session over.
    TakenOver,
    /// The same identity has a new session.
    Replaced,
    /// The participant was removed.
    Kicked,
    /// The room has ended.
    Ended,
    /// The client did not keep up with what was sent.
    TooSlow,
    /// The token has expired.
    Expired,
    /// The server's own fault.
    Internal,
}

impl Close {
    /// The WebSocket close code.
    pub fn code(self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::GoingAway => 1001,
            Self::TooLarge => 1009,
            Self::Internal => 1011,
            Self::Protocol => 4000,
            Self::TakenOver => 4001,
            Self::Replaced => 4002,
            Self::Kicked => 4003,
            Self::Ended => 4004,
            Self::TooSlow => 4005,
            Self::Expired => 4006,
        }
    }
}

/// What a room wants done, in this order.
pub enum Output {
    /// Send a message.
    Send {
        /// Where.
        to: Carrier,
        /// Its `type`.
        name: &'static str,
        /// The code, when it is an error.
        error: Option<ErrorCode>,
        /// Whether it goes out at once. On a WebSocket it may else wait for the next that does, or for [`Output::Hurry`]: those before it go first in any
        /// case.
        hurried: bool,
        /// The message, UTF-8.
        text: Bytes,
    },
    /// Send what waits on any WebSocket.
    Hurry,
    /// Close a WebSocket, after what was sent on it.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        why: Close,
    },
    /// Reply to a request that came over HTTP.
    Reply {
        /// Which.
        request: RequestId,
        /// The reply.
        reply: HttpReply,
    },
    /// Tell the media core.
    Core(Command),
    /// Tell the recorder.
    Record(RecordCommand),
}

/// What a room has done since it began, in totals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Events in the log.
    pub events: u64,
    /// Resumptions where every missed event was still held.
    pub resumed: u64,
    /// Resumptions with a snapshot.
    pub resumed_anew: u64,
    /// Messages that came on data channels.
    pub channel_messages: u64,
    /// Replies given a second time, to a repeated key.
    pub repeated: u64,
}

/// What a room begins with.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// Its id.
    pub id: String,
    /// Its number in this process: the core's room, and the upper half of its participants' ids in the core.
    pub number: u32,
    /// When it begins: zero on its clock.
    pub base: Instant,
    /// The same on the wall clock, milliseconds since 1970.
    pub started_at: u64,
    /// Where its ids and secrets come from.
    pub seed: [u8; 32],
    /// Whether there is a recorder.
    pub recorder: bool,
    /// Its limits.
    pub limits: Arc<Limits>,
}

/// One room.
pub struct Room {
    config: RoomConfig,
    rng: StdRng,
    log: Box<dyn LogStore>,
    /// By the id on the wire.
    members: BTreeMap<String, Member>,
    /// Identity -> id on the wire.
    identities: BTreeMap<String, String>,
    /// Whose WebSocket it is.
    connections: BTreeMap<ConnectionId, String>,
    /// Whose media connection it is.
    cores: BTreeMap<ParticipantId, String>,
    /// In the order they were published.
    publications: Vec<PublicationState>,
    steps: StepBoard,
    hands: Vec<String>,
    chat: ChatTail,
    /// Who speaks, as told last.
    speakers: Speakers,
    recording: Recording,
    /// Identity -> until when it is kept out.
    kicked: BTreeMap<String, Instant>,
    /// Sessions without a WebSocket, by when they end.
    graces: BTreeSet<(Instant, String)>,
    /// Sessions by when something is to be done about their token's end.
    expiries: BTreeSet<(Instant, String)>,
    ended: bool,
    /// Since when nobody is here.
    empty_since: Option<Instant>,
    /// Nothing but coming and going has been in it.
    blank: bool,
    next_clock: Instant,
    /// When it is told who comes and goes.
    waves: Waves,
    next_core: u32,
    counts: Counts,
    outputs: VecDeque<Output>,
}

impl Room {
    /// A room that begins at `config.base`, with its log in `log`, which is empty.
    pub fn new(config: RoomConfig, log: Box<dyn LogStore>) -> Self {
        let mut rng = StdRng::from_seed(config.seed);
        Self {
            next_core: rng.random(),
            rng,
            log,
            members: BTreeMap::new(),
            identities: BTreeMap::new(),
            connections: BTreeMap::new(),
            cores: BTreeMap::new(),
            publications: Vec::new(),
            steps: StepBoard::default(),
            hands: Vec::new(),
            chat: ChatTail::new(config.limits.chat_lines, config.limits.chat_bytes),
            speakers: Speakers::default(),
            recording: Recording::default(),
            kicked: BTreeMap::new(),
            graces: BTreeSet::new(),
            expiries: BTreeSet::new(),
            ended: false,
            empty_since: Some(config.base),
            blank: true,
            next_clock: config.base + config.limits.clock_interval,
            waves: Waves::new(config.limits.presence_interval),
            counts: Counts::default(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// The room's id.
    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// What the room is called in the core.
    pub fn core_id(&self) -> RoomId {
        RoomId(u64::from(self.config.number))
    }

    /// Lets timers run.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.graces.first().cloned()
            && at <= now
        {
            self.graces.pop_first();
            self.grace_is_over(now, &id);
        }
        while let Some((at, id)) = self.expiries.first().cloned()
            && at <= now
        {
            self.expiries.pop_first();
            self.expiry_is_due(now, &id);
        }
        if self.waves.handle_timeout(now) {
            self.outputs.push_back(Output::Hurry);
        }
        if self.next_clock <= now {
            self.next_clock = now + self.config.limits.clock_interval;
            self.tell_all(&ServerMessage::Clock(Clock { clock: self.clock(now) }));
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Instant {
        let timers = [self.graces.first(), self.expiries.first()];
        // Nobody is there to be told the clock before the room is over.
        let next = self.over_at().unwrap_or(self.next_clock);
        timers
            .into_iter()
            .flatten()
            .map(|(at, _)| *at)
            .chain(self.waves.poll_timeout())
            .fold(next, Instant::min)
    }

    /// Next thing to do. Drain after every call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether the room can be forgotten: it has been empty, or over, for long enough.
    pub fn is_over(&self, now: Instant) -> bool {
        self.over_at().is_some_and(|at| at <= now)
    }

    /// When the room can be forgotten, while nobody is here.
    fn over_at(&self) -> Option<Instant> {
        let limits = &self.config.limits;
        let kept = if self.blank && self.kicked.is_empty() { limits.blank_room } else { limits.empty_room };
        self.empty_since.map(|since| since + kept)
    }

    /// Ends every session because the server ends: the recording is finished, WebSockets are closed with 1001.
    pub fn shut_down(&mut self, now: Instant) {
        self.stop_recording(now, None);
        self.close_everybody(now, Close::GoingAway);
    }

    /// Participants who are here.
    pub fn present(&self) -> usize {
        self.members.values().filter(|member| member.session.is_some()).count()
    }

    /// Whether the room is being recorded.
    pub fn is_recorded(&self) -> bool {
        self.recording.session().is_some()
    }

    /// Totals so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The room's clock, milliseconds.
    fn clock(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.config.base).as_millis()).unwrap_or(u64::MAX)
    }

    /// Gives an event its place in the log, tells everybody and the recording. Its seq.
    fn append(&mut self, now: Instant, by: Option<&str>, body: EventBody) -> u64 {
        let comes_or_goes = matches!(body, EventBody::Joined { .. } | EventBody::Left { .. });
        self.blank &= comes_or_goes;
        let seq = self.log.last_seq() + 1;
        let event = Event { seq, at: self.clock(now), by: by.map(str::to_owned), body };
        let text = written(&ServerMessage::Event(event.clone()));
        let event = Arc::new(event);
        if self.recording.session().is_some() {
            self.outputs
                .push_back(Output::Record(RecordCommand::Event { event: Arc::clone(&event), at: now }));
        }
        self.log.append(Entry { event, text: text.clone() });
        self.counts.events += 1;
        let hurried = !comes_or_goes || self.waves.note(now);
        self.send_all("event", hurried, &text);
        seq
    }

    /// Tells everybody who is here.
    fn tell_all(&mut self, message: &ServerMessage) {
        self.send_all(message.name(), true, &written(message));
    }

    fn send_all(&mut self, name: &'static str, hurried: bool, text: &Bytes) {
        for to in self.members.values().filter_map(Member::carrier) {
            self.outputs.push_back(Output::Send { to, name, error: None, hurried, text: text.clone() });
        }
    }

    /// Tells one who missed them.
    fn send_again(&mut self, to: Carrier, entries: Vec<Entry>) {
        let send = |Entry { text, .. }| Output::Send { to, name: "event", error: None, hurried: true, text };
        self.outputs.extend(entries.into_iter().map(send));
    }

    fn send(&mut self, to: Carrier, message: &ServerMessage) {
        let error = match message {
            ServerMessage::Error(error) => Some(error.code),
            _ => None,
        };
        let (name, text) = (message.name(), written(message));
        self.outputs.push_back(Output::Send { to, name, error, hurried: true, text });
    }

    fn refuse(&mut self, to: Carrier, re: Option<u64>, refusal: Refusal) {
        let Refusal { code, message, retry } = refusal;
        let message = message.into_owned();
        self.send(to, &ServerMessage::Error(ErrorMessage { re, code, message, retry_ms: retry.map(millis) }));
    }

    fn hex<const BYTES: usize>(&mut self, prefix: &str) -> String {
        use std::fmt::Write;
        let bytes: [u8; BYTES] = self.rng.random();
        bytes.iter().fold(prefix.to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// Why something is not done.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Refusal {
    code: ErrorCode,
    message: Cow<'static, str>,
    retry: Option<Duration>,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry: None }
    }

    fn rate(retry: Duration) -> Self {
        Self {
            code: ErrorCode::RateLimited,
            message: Cow::Borrowed("Too many messages of this kind; wait a moment."),
            retry: Some(retry.max(Duration::from_millis(1))),
        }
    }
}

/// A message as it is sent.
pub(crate) fn written(message: &ServerMessage) -> Bytes {
    // Maps have string keys and no float is not a number: writing does not fail.
    Bytes::from(serde_json::to_vec(message).unwrap_or_default())
}

/// Whole milliseconds, rounded up: who waits for so long has waited enough.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
