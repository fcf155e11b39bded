//! Who is together, and who listens in.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::audio::Speakers;
use crate::id::{PublicationId, RoomId, ShardIndex};
use crate::sink::{Sink, SinkEvent};

/// A room of this shard.
pub(super) struct Room {
    pub(super) id: RoomId,
    /// Indices of participants, in the order of joining.
    pub(super) members: Vec<usize>,
    pub(super) sink: Option<Box<dyn Sink>>,
    /// Publications that are screens, the newest last.
    pub(super) screens: Vec<PublicationId>,
    /// Who of them speaks.
    pub(super) speakers: Speakers,
    /// The other shards that have it, a bit for each.
    pub(super) peers: u64,
    /// The one of all that tells who speaks; `None` where it is on one.
    pub(super) first: Option<ShardIndex>,
}

impl Room {
    pub(super) fn new(id: RoomId) -> Self {
        Self {
            id,
            members: Vec::new(),
            sink: None,
            screens: Vec::new(),
            speakers: Speakers::default(),
            peers: 0,
            first: None,
        }
    }

    /// Tells the sink, if there is one. A sink that panics is gone, and nobody else.
    #[inline]
    pub(super) fn tell(&mut self, event: SinkEvent) {
        let Some(sink) = &mut self.sink else { return };
        if catch_unwind(AssertUnwindSafe(|| sink.handle(event))).is_err() {
            tracing::error!("a sink panicked: it is removed");
            let broken = self.sink.take();
            // What is broken may break once more when it is dropped.
            let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.members.is_empty() && self.sink.is_none()
    }
}
