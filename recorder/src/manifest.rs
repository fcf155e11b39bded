//! `manifest.json`: all a player needs to replay a session.

use serde::{Deserialize, Serialize};

/// A finished session. Times are milliseconds of session time unless a field says otherwise.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// Of this format: 1.
    pub version: u32,
    /// The session's ULID.
    pub session: String,
    /// The room's name.
    pub room: String,
    /// What people call it.
    pub title: String,
    /// Wall clock of session time zero, milliseconds since 1970.
    pub started_at: u64,
    /// Length of the session.
    pub duration_ms: u64,
    /// Whether the recording was cut off by a crash, and completed at the next start.
    pub recovered: bool,
    /// Who was there, in order of joining.
    pub participants: Vec<Participant>,
    /// What was recorded, in order of `start_ms`.
    pub tracks: Vec<Track>,
    /// The steps, in order of their start.
    pub chapters: Vec<Chapter>,
    /// Name of the room log's file.
    pub events: String,
}

/// Somebody who was in the room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Participant {
    /// As in the room log.
    pub id: String,
    /// Display name.
    pub name: String,
    /// Role in the room.
    pub role: String,
}

/// One media file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Track {
    /// Unique in the session: the publication's id and the number of the file among the publication's.
    pub id: String,
    /// The publication.
    pub publication: String,
    /// Whose it is.
    pub participant: String,
    /// `audio` or `video`.
    pub kind: String,
    /// What the room log calls its source, such as `camera`.
    pub source: Option<String>,
    /// Encoding name as in SDP.
    pub codec: String,
    /// Container and codec, for a media element.
    pub mime: String,
    /// Name under `tracks/`.
    pub file: String,
    /// Size of the file.
    pub bytes: u64,
    /// Picture width in pixels; video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u16>,
    /// Picture height in pixels; video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u16>,
    /// Session time of the first sample.
    pub start_ms: u64,
    /// Length on the file's own clock.
    pub duration_ms: u64,
    /// Points `[media time of the file, session time]`, at least two, both rising: the player interpolates.
    pub clock: Vec<[f64; 2]>,
    /// No sender report was there, so `clock` stands on arrival times alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
    /// Where nothing could be recorded: `[from, to]` in session time.
    pub gaps: Vec<[u64; 2]>,
}

/// A step that was started.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Chapter {
    /// The step's title.
    pub title: String,
    /// When it was started.
    pub start_ms: u64,
    /// Which step of the room's list.
    pub step: u64,
}
