use std::time::{Duration, Instant};

use bytes::Bytes;

/// An answer in the SCTP handshake (INIT ACK, COOKIE ACK) that the client has not shown to have.
///
/// The client would ask again, but in its own time, which doubles with each loss. The answer is repeated every second instead, for
/// as long as a connection may be without consent.
#[derive(Default)]
pub(super) struct Answer {
    packets: Vec<Bytes>,
    at: Option<Instant>,
    repeats: u32,
}

impl Answer {
    /// What was just sent.
    pub(super) fn new<'a>(now: Instant, packets: impl Iterator<Item = &'a Bytes>) -> Self {
        Self { packets: packets.cloned().collect(), at: Some(now + INTERVAL), repeats: 0 }
    }

    /// The packets, for a client that asks again.
    pub(super) fn packets(&self) -> impl Iterator<Item = Bytes> {
        self.packets.iter().cloned()
    }

    /// When to repeat it.
    pub(super) fn due(&self) -> Option<Instant> {
        self.at
    }

    /// Repeats it.
    pub(super) fn repeat(&mut self, now: Instant) -> impl Iterator<Item = Bytes> {
        self.repeats += 1;
        self.at = (self.repeats < MOST).then_some(now + INTERVAL);
        self.packets()
    }
}

const INTERVAL: Duration = Duration::from_secs(1);
const MOST: u32 = 30;
