//! What a client says.

use serde::{Deserialize, Serialize};

use super::Source;

/// A message from a client.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage {
    /// The first message: who comes.
    Hello(Hello),
    /// A session description offer.
    Offer(Offer),
    /// What the participant wants to see and hear, whole.
    View {
        /// What.
        view: View,
    },
    /// An action in the room.
    Do(Do),
    /// A newer token for the session.
    Token(NewToken),
    /// Asks whether the way to the server is there.
    Ping {},
    /// Ends the session at once.
    Leave {},
}

/// The first message of a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's version, 1.
    pub protocol: u32,
    /// A JWT: room, identity, rights.
    pub token: String,
    /// How others see the participant, unless the token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The earlier session to go on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// An earlier session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resume {
    /// Its id.
    pub session: String,
    /// Its secret, from the last welcome.
    pub secret: String,
    /// The last event seen.
    pub after: u64,
}

/// A newer token for the session, of the same room and identity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewToken {
    /// Comes back with the reply.
    pub id: u64,
    /// A JWT.
    pub token: String,
}

/// A session description offer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// Comes back with the answer.
    pub id: u64,
    /// The description.
    pub sdp: String,
    /// The sources of the m-lines the client sends on.
    #[serde(default)]
    pub tracks: Vec<Track>,
    /// A new peer connection: the former one's publications are forgotten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fresh: bool,
}

/// The source of one m-line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Track {
    /// The m-line.
    pub mid: String,
    /// Its source.
    pub source: Source,
}

/// What a participant wants to see and hear.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct View {
    /// Pictures, the most important one first.
    #[serde(default)]
    pub video: Vec<VideoWish>,
    /// Sound.
    #[serde(default)]
    pub audio: AudioWish,
}

/// One picture: of a publication or of a role, one of the two.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VideoWish {
    /// Which publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<String>,
    /// Whatever has this role just now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<PictureRole>,
    /// The height it is shown at, device pixels, 1 to 4320.
    pub max_height: u16,
    /// How many pictures a second are enough, 1 to 120.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fps: Option<u8>,
    /// 0 to 10; where the line is narrow, a higher one is served first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

impl VideoWish {
    /// A publication at this height, otherwise as usual.
    pub fn of(publication: String, max_height: u16) -> Self {
        Self { publication: Some(publication), role: None, max_height, max_fps: None, priority: None }
    }
}

/// What a picture is in the room, for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureRole {
    /// The camera of who speaks, or spoke last.
    Speaker,
    /// A screen, the newest first.
    Screen,
}

/// Which sound.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioWish {
    /// Everybody else's.
    #[default]
    All,
    /// That of these publications.
    #[serde(untagged)]
    Only(Vec<String>),
}

/// An action with its request id.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Do {
    /// Comes back with the reply.
    pub id: u64,
    /// Makes the action idempotent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What to do.
    pub action: Action,
}

/// What a participant can do in a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Says something.
    Chat {
        /// 1 to 2000 characters.
        text: String,
    },
    /// Raises the hand, or takes it down.
    Hand {
        /// Whether it is up.
        raised: bool,
    },
    /// Replaces the steps; all progress starts over.
    StepsSet {
        /// 1 to 10.
        steps: Vec<Step>,
    },
    /// Starts a step.
    StepStart {
        /// Index from 0.
        step: u32,
    },
    /// Ticks a step, or takes the tick back.
    StepTick {
        /// Index from 0.
        step: u32,
        /// Whether it is done.
        done: bool,
    },
    /// Marks a publication as muted, or not.
    Mute {
        /// Which.
        publication: String,
        /// Whether it is.
        muted: bool,
    },
    /// Starts the recording.
    RecordStart {},
    /// Stops the recording.
    RecordStop {},
    /// Removes a participant.
    Kick {
        /// Whom.
        participant: String,
    },
    /// Ends the room.
    End {},
}

/// One step of a class.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// 1 to 120 characters.
    pub title: String,
}
