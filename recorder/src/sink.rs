//! The ear in the media core.

use std::sync::Arc;

use simmer_sfu::sink::{Sink, SinkEvent};

use crate::queue::{Gate, Queue};
use crate::store::SessionId;

/// Hands every event to the writer thread's queue.
pub(crate) struct QueueSink {
    session: SessionId,
    gate: Arc<Gate>,
    queue: Arc<Queue>,
}

impl QueueSink {
    pub(crate) fn new(session: SessionId, gate: Arc<Gate>, queue: Arc<Queue>) -> Self {
        Self { session, gate, queue }
    }
}

impl Sink for QueueSink {
    fn handle(&mut self, event: SinkEvent) {
        self.queue.offer_media(self.session, &self.gate, event);
    }
}
