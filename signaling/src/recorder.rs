//! The seam to a recorder.

use std::time::Instant;

use simmer_sfu::id::RoomId;

use crate::protocol::Event;

/// Records rooms. What it has to tell later (a failure, a replay) comes by [`crate::session::Feed::recorder`].
pub trait Recorder: Send + Sync {
    /// Begins to record a room, media included. May block for a moment.
    ///
    /// # Errors
    ///
    /// When it cannot record now; it has said why in the log.
    fn begin(&self, request: BeginRequest) -> Result<Box<dyn RunningRecording>, RecorderUnavailable>;
}

/// What is to be recorded.
#[derive(Clone, Debug)]
pub struct BeginRequest {
    /// The room's id.
    pub room: String,
    /// The room in the core.
    pub core_room: RoomId,
    /// Session time zero.
    pub base: Instant,
    /// The same on the wall clock, milliseconds since 1970.
    pub started_at: u64,
}

/// The recorder cannot record now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the recorder cannot record now")]
pub struct RecorderUnavailable;

/// A recording that runs. None of its methods blocks.
pub trait RunningRecording: Send {
    /// The session's id.
    fn session(&self) -> String;

    /// Writes one entry of the room's log; entries come in order.
    fn event(&mut self, event: &Event, at: Instant);

    /// Ends it, and takes its ear off the room's media.
    fn finish(self: Box<Self>, at: Instant);
}
