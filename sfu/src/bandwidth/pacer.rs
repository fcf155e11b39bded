//! When what is queued may leave.

use std::time::{Duration, Instant};

use crate::bandwidth::Bitrate;

/// A token bucket a little faster than the line, so that a large frame does not arrive there as one burst, unless the line takes it. A picture's rest leaves within 250 ms.
///
/// Ask [`budget`](Self::budget), send while it lasts, tell [`on_sent`](Self::on_sent), then ask [`next`](Self::next).
#[derive(Clone, Debug)]
pub struct Pacer {
    estimate: Bitrate,
    /// Bytes that the line takes at once.
    at_once: usize,
    /// Bytes that may leave; below zero, what is owed.
    balance: f64,
    /// When the balance was right.
    at: Instant,
    /// What is queued, and when the last of it is to be gone.
    waiting: Option<(usize, Instant)>,
}

impl Pacer {
    /// With a full bucket.
    pub fn new(now: Instant, estimate: Bitrate) -> Self {
        let mut pacer = Self { estimate, at_once: 0, balance: 0.0, at: now, waiting: None };
        pacer.balance = pacer.capacity();
        pacer
    }

    /// The line is now thought to carry so much.
    pub fn set_estimate(&mut self, now: Instant, estimate: Bitrate) {
        self.refill(now);
        self.estimate = estimate;
    }

    /// The line is known to take so many bytes at once, however long it takes to earn them again.
    pub fn set_at_once(&mut self, bytes: usize) {
        self.at_once = bytes;
    }

    /// Bytes that may leave now. While it is not zero a whole datagram may, however long: the rest is owed.
    pub fn budget(&mut self, now: Instant) -> usize {
        self.refill(now);
        // A cast saturates.
        self.balance.ceil() as usize
    }

    /// So many bytes of UDP payload left, whether they had to ask or not.
    pub fn on_sent(&mut self, now: Instant, bytes: usize) {
        self.refill(now);
        self.balance -= bytes as f64;
    }

    /// When [`budget`](Self::budget) is worth asking again, given how many bytes are still queued; `None` with nothing queued.
    pub fn next(&mut self, now: Instant, queued: usize) -> Option<Instant> {
        self.refill(now);
        if queued == 0 {
            self.waiting = None;
            return None;
        }
        let deadline = match self.waiting {
            Some((_, deadline)) if deadline > now => deadline,
            _ => now + LONGEST_WAIT,
        };
        self.waiting = Some((queued, deadline));
        let rate = self.rate(now);
        let batch = rate.bytes_in(BURST).clamp(1, queued.max(1)) as f64;
        let missing = (batch - self.balance).max(0.0).ceil() as usize;
        Some((now + rate.time_for(missing)).min(deadline).max(now))
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at);
        let earned = self.rate(self.at).bytes_in(elapsed) as f64;
        // Time too short to earn a byte is kept.
        if earned >= 1.0 || self.balance >= self.capacity() {
            self.balance = (self.balance + earned).min(self.capacity());
            self.at = self.at.max(now);
        }
        if self.waiting.is_some_and(|(_, deadline)| deadline <= now) {
            // The time is up: all that waited may leave.
            let (queued, _) = self.waiting.take().unwrap_or((0, now));
            self.balance = self.balance.max(queued as f64);
        }
    }

    fn rate(&self, now: Instant) -> Bitrate {
        let usual = (self.estimate * FACTOR).max(SLOWEST);
        let Some((queued, deadline)) = self.waiting else { return usual };
        let owed = queued as f64 - self.balance.min(0.0);
        let left = deadline.saturating_duration_since(now).max(BURST);
        usual.max(Bitrate::of(owed as usize, left))
    }

    fn capacity(&self) -> f64 {
        (self.estimate * FACTOR).bytes_in(FRAME).max(BUCKET).max(self.at_once) as f64
    }
}

/// How much faster than the line: a burst is spread, and a queue still goes away.
const FACTOR: f64 = 1.7;
const BURST: Duration = Duration::from_millis(5);
/// What may leave at once: a frame came spread over some time itself, so this and what is earned meanwhile let it pass.
const FRAME: Duration = Duration::from_millis(10);
/// Two packets of 1200 bytes.
const BUCKET: usize = 2_400;
const LONGEST_WAIT: Duration = Duration::from_millis(250);
const SLOWEST: Bitrate = Bitrate::kbps(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    /// Sends a queue of datagrams of 1000 bytes as a driver would; when each left, in milliseconds.
    fn drain(pacer: &mut Pacer, origin: Instant, datagrams: usize) -> Vec<u128> {
        let (mut now, mut left) = (origin, Vec::new());
        while left.len() < datagrams {
            while left.len() < datagrams && pacer.budget(now) > 0 {
                pacer.on_sent(now, 1000);
                left.push((now - origin).as_millis());
            }
            let Some(next) = pacer.next(now, (datagrams - left.len()) * 1000) else { break };
            assert!(next > now, "it would spin");
            now = next;
        }
        left
    }

    #[test]
    fn a_usual_frame_leaves_at_once() {
        let origin = origin();
        // 600 kbit/s are 2500 bytes thirty times a second.
        let mut pacer = Pacer::new(origin, Bitrate::kbps(600));
        assert_eq!(drain(&mut pacer, origin, 3), [0; 3]);
        assert_eq!(pacer.next(origin, 0), None);
    }

    #[test]
    fn a_large_frame_is_spread_at_more_than_the_lines_rate() {
        let origin = origin();
        let mut pacer = Pacer::new(origin, Bitrate::kbps(2000));
        let left = drain(&mut pacer, origin, 100);
        // What 10 ms give leaves at once; 95 000 bytes at 3.4 Mbit/s are 225 ms.
        assert!((215..=230).contains(&left[99]), "{left:?}");
        let most =
            (0..left[99]).map(|ms| left.iter().filter(|at| (ms + 1..ms + 6).contains(*at)).count()).max();
        assert!(most <= Some(5), "in 5 ms: {most:?}");
    }

    #[test]
    fn a_picture_far_too_large_for_the_line_waits_no_more_than_a_quarter_of_a_second() {
        let origin = origin();
        for kbps in [0, 30, 300] {
            let mut pacer = Pacer::new(origin, Bitrate::kbps(kbps));
            let left = drain(&mut pacer, origin, 60);
            assert!(left[59] <= 250, "{kbps}: {left:?}");
            // Not all of it at the end.
            assert!(left[30] <= 150, "{kbps}: {left:?}");
        }
    }

    #[test]
    fn what_was_saved_is_no_more_than_the_bucket() {
        let origin = origin();
        let mut pacer = Pacer::new(origin, Bitrate::kbps(1000));
        assert_eq!(pacer.budget(origin + Duration::from_secs(60)), BUCKET);
        pacer.on_sent(origin + Duration::from_secs(60), BUCKET);
        assert_eq!(pacer.budget(origin + Duration::from_secs(60)), 0);
        // An earlier instant gives nothing.
        assert_eq!(pacer.budget(origin), 0);
    }
}
