//! The seam to the media core.

use simmer_sfu::Sfu;
use simmer_sfu::message::Command;

/// What a room tells of media goes here. Must not block; commands of one caller are handled in order.
pub trait MediaCore: Send + Sync {
    /// Queues a command. Whether it was taken: what finds no place is dropped, and counted by the core.
    fn send(&self, command: Command) -> bool;
}

impl MediaCore for Sfu {
    fn send(&self, command: Command) -> bool {
        let sent = Sfu::send(self, command);
        if let Err(error) = &sent {
            tracing::warn!(%error, "a command to the media core was dropped");
        }
        sent.is_ok()
    }
}
