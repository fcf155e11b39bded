//! One monotonic clock for all clients of a run, so that a packet's age can be read from its content.

use std::sync::OnceLock;
use std::time::Instant;

/// Nanoseconds since the process first asked; the same for every thread.
#[derive(Clone, Copy, Debug)]
pub struct Clock;

impl Clock {
    /// `at` on this clock; 0 for instants before it began.
    pub fn nanos(at: Instant) -> u64 {
        let begin = *BEGIN.get_or_init(Instant::now);
        u64::try_from(at.saturating_duration_since(begin).as_nanos()).unwrap_or(u64::MAX)
    }
}

static BEGIN: OnceLock<Instant> = OnceLock::new();
