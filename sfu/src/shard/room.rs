//! Who is together, and who listens in.

use crate::id::RoomId;
use crate::sink::Sink;

/// A room of this shard.
pub(super) struct Room {
    pub(super) id: RoomId,
    /// Indices of participants, in the order of joining.
    pub(super) members: Vec<usize>,
    pub(super) sink: Option<Box<dyn Sink>>,
}

impl Room {
    pub(super) fn new(id: RoomId) -> Self {
        Self { id, members: Vec::new(), sink: None }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.members.is_empty() && self.sink.is_none()
    }
}
