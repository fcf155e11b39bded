//! What the server says.

use serde::{Deserialize, Serialize};

use super::{ErrorCode, Event, PictureRole, Rights, Role, Snapshot};

/// A message from the server.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The session is open.
    Welcome(Box<Welcome>),
    /// The answer to an offer.
    Answer(Answer),
    /// What fills each slot.
    Slots(Slots),
    /// How many slots the view needs.
    SlotsWanted(SlotsWanted),
    /// Which encodings of a publication are worth sending.
    Encodings(Encodings),
    /// Who speaks.
    Speakers(Speakers),
    /// What became of the transport.
    Media(Media),
    /// An action was done.
    Done(Done),
    /// Something happened in the room.
    Event(Event),
    /// Something was refused.
    Error(ErrorMessage),
    /// The room's clock.
    Clock(Clock),
    /// The session's token expires soon.
    Expiring(Expiring),
    /// The reply to a ping.
    Pong {},
    /// A type this crate does not know, to be ignored. Never sent.
    #[serde(other, skip_serializing)]
    Unknown,
}

impl ServerMessage {
    /// The message's `type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Answer(_) => "answer",
            Self::Slots(_) => "slots",
            Self::SlotsWanted(_) => "slots_wanted",
            Self::Encodings(_) => "encodings",
            Self::Speakers(_) => "speakers",
            Self::Media(_) => "media",
            Self::Done(_) => "done",
            Self::Event(_) => "event",
            Self::Error(_) => "error",
            Self::Clock(_) => "clock",
            Self::Expiring(_) => "expiring",
            Self::Pong {} => "pong",
            Self::Unknown => "unknown",
        }
    }
}

/// The reply to a hello.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol's version, 1.
    pub protocol: u32,
    /// The session.
    pub session: SessionInfo,
    /// The participant.
    pub you: You,
    /// The room.
    pub room: RoomInfo,
    /// Limits a client should know.
    pub limits: WelcomeLimits,
    /// The last event that the snapshot, or the resumed client, knows.
    pub seq: u64,
    /// The room after event `seq`; absent when the session was resumed and every event is still held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
}

/// A session, as its client knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Its id.
    pub id: String,
    /// What proves that it is one's own.
    pub secret: String,
    /// Whether it is an earlier one that goes on.
    pub resumed: bool,
    /// How long it stays without a WebSocket, milliseconds.
    pub grace_ms: u64,
}

/// The participant that is welcomed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct You {
    /// Their id.
    pub id: String,
    /// Their name.
    pub name: String,
    /// Their role.
    pub role: Role,
    /// Their rights.
    pub may: Rights,
}

/// The room, as a welcome tells of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomInfo {
    /// Its id.
    pub id: String,
    /// Milliseconds since it began.
    pub clock: u64,
    /// When it began, milliseconds since 1970.
    pub started_at: u64,
}

/// Limits a client should know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WelcomeLimits {
    /// Of a message.
    pub message_bytes: usize,
    /// Of an offer.
    pub offer_bytes: usize,
    /// Of a chat line.
    pub chat_chars: usize,
}

/// The answer to an offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The offer's id.
    pub re: u64,
    /// The description.
    pub sdp: String,
}

/// All slots, in the order of the offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slots {
    /// What fills each.
    pub slots: Vec<Slot>,
}

/// One slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Slot {
    /// The m-line.
    pub mid: String,
    /// What it carries; null when it is empty.
    pub publication: Option<String>,
    /// The role it is shown for; absent when the view names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<PictureRole>,
    /// The how-manieth wish for that role it serves; absent for the first, 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rank: u16,
    /// The line has no room for it now; absent when that is not so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// What is meant for it and cannot be sent; it is empty then. Absent when there is nothing of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedSlot>,
}

/// What a slot does not carry although it should.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailedSlot {
    /// Which publication.
    pub publication: String,
    /// Why.
    pub reason: SlotFailure,
}

/// Why a slot does not carry what it should.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SlotFailure {
    /// The m-line does not offer the publication's codec, or not its profile.
    UnsupportedCodec,
    /// A reason this crate does not know. Never sent.
    #[serde(other)]
    Unknown,
}

fn is_zero(value: &u16) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Which encodings of a publication are worth sending.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Encodings {
    /// The publisher's m-line.
    pub mid: String,
    /// Whose encodings.
    pub publication: String,
    /// For each encoding, in the order offered, whether anybody needs it.
    pub wanted: Vec<bool>,
}

/// How many slots the view needs in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotsWanted {
    /// For audio.
    pub audio: u16,
    /// For video.
    pub video: u16,
}

/// Who speaks in the room now.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Speakers {
    /// Who leads first; nobody when it is silent.
    pub speakers: Vec<Speaker>,
}

/// One who speaks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Speaker {
    /// Whose sound.
    pub publication: String,
    /// How loud: decibels below the loudest there is, 0 to 127.
    pub level: u8,
}

/// What the server sees of the transport.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Media {
    /// How it is.
    pub state: MediaState,
    /// Why it was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a transport is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// Media flows.
    Connected,
    /// It is gone: a new peer connection is needed.
    Lost,
}

/// An action was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// The action's request id.
    pub re: u64,
    /// The event it made; absent when it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Something was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// The request's id, when one is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<u64>,
    /// What is wrong, for programs.
    pub code: ErrorCode,
    /// What is wrong, for people.
    pub message: String,
    /// When to try again, with [`ErrorCode::RateLimited`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_ms: Option<u64>,
}

/// The session's token expires soon.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Expiring {
    /// In how many milliseconds.
    pub in_ms: u64,
}

/// The room's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Clock {
    /// Milliseconds since the room began.
    pub clock: u64,
}
