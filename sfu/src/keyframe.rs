//! Asking for key frames: often enough to get one, seldom enough not to drown the picture.

use std::time::{Duration, Instant};

/// Requests for key frames of one encoding. Those made within the interval become one; it is sent again until a key frame comes.
#[derive(Clone, Debug)]
pub struct KeyframeRequester {
    interval: Duration,
    /// Since when.
    wanted: Option<Instant>,
    last_sent: Option<Instant>,
}

impl KeyframeRequester {
    /// At most one request goes out per `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, wanted: None, last_sent: None }
    }

    /// Somebody needs a key frame.
    pub fn request(&mut self, now: Instant) {
        self.wanted.get_or_insert(now);
    }

    /// A key frame has begun to arrive: what was wanted is there.
    pub fn on_keyframe(&mut self, _now: Instant) {
        self.wanted = None;
    }

    /// Whether to send a request now; counts as sent when `true`.
    pub fn poll(&mut self, now: Instant) -> bool {
        let due = self.poll_timeout().is_some_and(|at| at <= now);
        if due {
            self.last_sent = Some(now);
        }
        due
    }

    /// When [`poll`](Self::poll) would say yes. It may lie in the past: at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let wanted = self.wanted?;
        Some(self.last_sent.map_or(wanted, |last| wanted.max(last + self.interval)))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a time to start from")]
mod tests {
    use super::*;

    #[test]
    fn requests_are_joined_repeated_and_satisfied() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut requester = KeyframeRequester::new(Duration::from_millis(500));
        assert_eq!((requester.poll(at(0)), requester.poll_timeout()), (false, None));
        requester.request(at(10));
        requester.request(at(20));
        assert_eq!(requester.poll_timeout(), Some(at(10)));
        assert!(requester.poll(at(20)));
        assert!(!requester.poll(at(519)));
        assert_eq!(requester.poll_timeout(), Some(at(520)));
        assert!(requester.poll(at(520)), "sent again while none came");
        requester.on_keyframe(at(600));
        assert_eq!((requester.poll(at(2000)), requester.poll_timeout()), (false, None));
        requester.request(at(610));
        assert!(!requester.poll(at(1019)), "a key frame does not shorten the interval");
        assert!(requester.poll(at(1020)));
    }
}
