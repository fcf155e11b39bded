//! The messages of `docs/protocol.md`, for both sides: the server reads [`ClientMessage`] and writes [`ServerMessage`], a client the
//! other way round. [`parse`] is how the server reads: it tells a shape that is wrong from a type that does not exist.

mod client;
mod error;
mod event;
mod parse;
mod server;
mod snapshot;

pub use client::{
    Action, AudioWish, ClientMessage, Do, Hello, NewToken, Offer, PictureRole, Resume, Step, Track,
    VideoWish, View,
};
pub use error::ErrorCode;
pub use event::{Event, EventBody, LeaveReason, Participant, Publication, RecordingState};
pub use parse::{Refused, parse};
pub use server::{
    Answer, Clock, Done, Encodings, ErrorMessage, Expiring, FailedSlot, Media, MediaState, RoomInfo,
    ServerMessage, SessionInfo, Slot, SlotFailure, Slots, SlotsWanted, Speaker, Speakers, Welcome,
    WelcomeLimits, You,
};
pub use snapshot::{ChatLine, ParticipantState, PublicationState, RecordingInfo, Snapshot, StepsState};

use serde::{Deserialize, Serialize};

/// The protocol's version that this crate speaks.
pub const VERSION: u32 = 1;

/// The WebSocket subprotocol's name.
pub const SUBPROTOCOL: &str = "simmer.v1";

/// The label of the data channel that is a session's second carrier.
pub const CHANNEL: &str = "room";

/// What a participant is in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Leads: by default may do everything.
    Host,
    /// Takes part.
    #[default]
    Participant,
}

/// What a participant may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rights {
    /// Send media.
    pub publish: bool,
    /// Receive media.
    pub subscribe: bool,
    /// Chat, raise a hand, tick steps.
    pub send: bool,
    /// Start and stop the recording.
    pub record: bool,
    /// Set and start steps, mute others, remove others, end the room.
    pub administer: bool,
}

/// Audio or video.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// What a publication shows or lets hear.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen or window.
    Screen,
    /// The sound of a shared screen or window.
    ScreenAudio,
}

impl Source {
    /// Audio or video.
    pub fn kind(self) -> Kind {
        match self {
            Self::Camera | Self::Screen => Kind::Video,
            Self::Microphone | Self::ScreenAudio => Kind::Audio,
        }
    }
}
