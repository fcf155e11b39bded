//! How much comes in.

use std::time::{Duration, Instant};

use crate::bandwidth::Bitrate;

/// The bitrate of the last second, and of the last second there was one: what pauses is known to cost what it did.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateMeter {
    /// Bytes by eighth of a second, the present one last written.
    buckets: [u32; BUCKETS],
    /// The eighth of a second that is written, counted from `origin`.
    at: u64,
    origin: Option<Instant>,
    /// The first one since the last silence.
    since: u64,
    last: Bitrate,
    /// The highest that was of late.
    high: Bitrate,
}

impl RateMeter {
    /// So many bytes came.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, bytes: usize) {
        let at = self.bucket(now);
        if at != self.at {
            self.advance(at);
        }
        let bucket = &mut self.buckets[(at % BUCKETS as u64) as usize];
        *bucket = bucket.saturating_add(bytes as u32);
    }

    /// Bits per second, with a key frame spread over some seconds.
    pub fn rate(&self) -> Bitrate {
        self.last
    }

    /// The highest that this was in the last seconds: who is calm just now need not be for long.
    pub fn highest(&self) -> Bitrate {
        self.high.max(self.last)
    }

    /// The same, and nothing once nothing has come for a second.
    pub fn present(&self, now: Instant) -> Bitrate {
        let since = self.origin.map(|origin| now.saturating_duration_since(origin + BUCKET * self.at as u32));
        if since.is_some_and(|since| since <= BUCKET * (BUCKETS as u32 + 1)) {
            self.last
        } else {
            Bitrate::ZERO
        }
    }

    fn bucket(&mut self, now: Instant) -> u64 {
        let origin = *self.origin.get_or_insert(now);
        (now.saturating_duration_since(origin).as_nanos() / BUCKET.as_nanos()) as u64
    }

    fn advance(&mut self, at: u64) {
        let passed = at.saturating_sub(self.at);
        if passed < BUCKETS as u64 {
            let filled = (self.at - self.since + 1).min(BUCKETS as u64);
            let bytes: usize = self.buckets.iter().map(|&bytes| bytes as usize).sum();
            let now = Bitrate::of(bytes, BUCKET * filled as u32);
            if self.last == Bitrate::ZERO {
                self.last = now;
            } else if filled >= TELLING {
                self.last = self.last * (1.0 - WEIGHT) + now * WEIGHT;
            }
            if self.at - self.since >= SETTLED {
                let forgotten = FORGOTTEN * passed as f64;
                self.high = self.last.max(self.high * (1.0 - forgotten) + self.last * forgotten);
            }
        } else {
            // It begins anew after a silence, with a key frame; what was known holds until it is known better.
            self.buckets = [0; BUCKETS];
            self.since = at;
        }
        for emptied in self.at + 1..=at.min(self.at + BUCKETS as u64) {
            self.buckets[(emptied % BUCKETS as u64) as usize] = 0;
        }
        self.at = at;
    }
}

const BUCKETS: usize = 8;
const BUCKET: Duration = Duration::from_millis(125);
const WEIGHT: f64 = 0.25;
/// Less than half a second says nothing that was not known.
const TELLING: u64 = 4;
/// The key frame it began with is spread out by then.
const SETTLED: u64 = 16;
/// Of what it was higher, in an eighth of a second: two thirds in five seconds.
const FORGOTTEN: f64 = 0.025;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn what_it_was_is_remembered_for_seconds_but_not_how_it_began() {
        let origin = Instant::now();
        let mut meter = RateMeter::default();
        let mut send = |from_ms: u64, to_ms: u64, bytes: usize| {
            for ms in (from_ms..to_ms).step_by(5) {
                meter.on_packet(origin + Duration::from_millis(ms), bytes);
            }
            meter.highest().as_bps() / 1000
        };
        send(0, 100, 5_000);
        let begun = send(100, 4_000, 500);
        assert!((780..=1000).contains(&begun), "{begun}, not the 8000 of its first key frame");
        let calm = send(4_000, 5_200, 250);
        assert!((700..=900).contains(&calm), "{calm} after a second");
        let later = send(5_200, 20_000, 250);
        assert!((390..=440).contains(&later), "{later} after a quarter of a minute");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn it_follows_and_remembers() {
        let origin = Instant::now();
        let mut meter = RateMeter::default();
        let mut send = |from_ms: u64, to_ms: u64, bytes: usize| {
            for ms in (from_ms..to_ms).step_by(5) {
                meter.on_packet(origin + Duration::from_millis(ms), bytes);
            }
            meter.rate().as_bps() / 1000
        };
        assert!((700..900).contains(&send(0, 300, 500)), "known soon");
        assert!((780..=820).contains(&send(300, 5_000, 500)));
        assert!((390..=420).contains(&send(5_000, 9_000, 250)));
        let after_a_pause = send(60_000, 60_100, 250);
        assert!((390..=420).contains(&after_a_pause), "{after_a_pause}");
        for ms in (60_100..62_000).step_by(100) {
            let rate = send(ms, ms + 100, 250);
            assert!((390..=420).contains(&rate), "{rate} after {ms}");
        }
    }
}
