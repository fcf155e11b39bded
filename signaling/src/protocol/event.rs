//! What happens in a room: the entries of its log.

use serde::{Deserialize, Serialize};

use super::{Kind, Role, Source, Step};

/// One entry of a room's log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its place, from 1.
    pub seq: u64,
    /// When, milliseconds since the room began.
    pub at: u64,
    /// The participant who acted; null when the server did.
    pub by: Option<String>,
    /// What.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventBody {
    /// Somebody said something.
    Chat {
        /// What.
        text: String,
    },
    /// A hand went up or down.
    Hand {
        /// Whether it is up.
        raised: bool,
    },
    /// There are new steps; all progress starts over.
    StepsSet {
        /// All of them.
        steps: Vec<Step>,
    },
    /// A step started.
    StepStarted {
        /// Index from 0.
        step: u32,
    },
    /// Somebody ticked a step, or took the tick back.
    StepTicked {
        /// Index from 0.
        step: u32,
        /// Whether it is done.
        done: bool,
    },
    /// A publication was marked as muted, or not.
    Muted {
        /// Which.
        publication: String,
        /// Whether it is.
        muted: bool,
    },
    /// The recording changed.
    Recording {
        /// How it is now.
        state: RecordingState,
        /// The recorded session's id.
        session: String,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody entered.
    Joined {
        /// Who.
        participant: Participant,
    },
    /// Somebody left.
    Left {
        /// Who.
        participant: String,
        /// How.
        reason: LeaveReason,
    },
    /// Media was published.
    Published {
        /// What.
        publication: Publication,
    },
    /// A publication ended.
    Unpublished {
        /// Which.
        publication: String,
    },
    /// The room ended.
    Ended {},
    /// A kind this crate does not know; it changes nothing, but its `seq` counts. Never sent.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// How a recording is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordingState {
    /// It runs.
    Started,
    /// It has ended.
    Stopped,
    /// It has ended by a fault of the disk.
    Failed,
    /// The replay can be opened.
    Available,
}

/// How a participant left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// By saying so.
    Left,
    /// Their session was not resumed in time.
    Timeout,
    /// Somebody removed them.
    Kicked,
    /// Their token expired, and no newer one came.
    Expired,
}

/// Somebody in a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Participant {
    /// Their id, the same for an identity as long as the room remembers it.
    pub id: String,
    /// Their name.
    pub name: String,
    /// Their role.
    pub role: Role,
}

/// A published track.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Publication {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub participant: String,
    /// Audio or video.
    pub kind: Kind,
    /// What it shows or lets hear.
    pub source: Source,
    /// Whether it comes in several encodings.
    pub simulcast: bool,
    /// The m-line it is sent on, in its owner's offers: by it the owner tells several of one source apart.
    #[serde(default)]
    pub mid: String,
}
