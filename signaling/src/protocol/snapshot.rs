//! A room as it stands after an event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Participant, Publication, RecordingState, Step};

/// A room as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Who is here, and who was and is still remembered.
    pub participants: Vec<ParticipantState>,
    /// What is published.
    pub publications: Vec<PublicationState>,
    /// Steps and progress.
    pub steps: StepsState,
    /// Who has the hand up, the first one first.
    pub hands: Vec<String>,
    /// The last chat lines.
    pub chat: Vec<ChatLine>,
    /// The last recording; null before the first.
    pub recording: Option<RecordingInfo>,
    /// Whether the room has ended.
    pub ended: bool,
}

/// A participant, here or gone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ParticipantState {
    /// Who.
    #[serde(flatten)]
    pub participant: Participant,
    /// Whether they are here.
    pub present: bool,
}

/// A publication and whether it is muted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublicationState {
    /// What.
    #[serde(flatten)]
    pub publication: Publication,
    /// Whether it is marked as muted.
    pub muted: bool,
}

/// Steps and who has done what.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StepsState {
    /// The steps.
    pub steps: Vec<Step>,
    /// Index of the one being worked on; null before the first.
    pub current: Option<u32>,
    /// By participant, one flag per step.
    pub done: BTreeMap<String, Vec<bool>>,
}

/// One chat line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChatLine {
    /// The event's place in the log.
    pub seq: u64,
    /// When, milliseconds since the room began.
    pub at: u64,
    /// Who said it.
    pub by: Option<String>,
    /// What.
    pub text: String,
}

/// The last recording.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecordingInfo {
    /// How it is.
    pub state: RecordingState,
    /// The recorded session's id.
    pub session: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
