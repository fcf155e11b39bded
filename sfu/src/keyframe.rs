//! Asking a publisher for key frames, not more often than it helps.

use std::time::{Duration, Instant};

/// Coalesces the requests for one encoding's key frames.
///
/// The first request goes out at once; those that come before the key frame does are the same request, sent again at most once per
/// interval while the key frame stays away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyframeRequester {
    interval: Duration,
    wanted_since: Option<Instant>,
    sent: Option<Instant>,
    /// One begins with the packet in hand.
    begins: bool,
}

impl KeyframeRequester {
    /// Asks at most once per `interval`.
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, wanted_since: None, sent: None, begins: false }
    }

    /// Somebody needs a key frame; whether nobody did before.
    pub(crate) fn request(&mut self, now: Instant) -> bool {
        let is_new = self.wanted_since.is_none() && !self.begins;
        if is_new {
            self.wanted_since = Some(now);
        }
        is_new
    }

    /// Somebody needs a key frame, and this only passes it on: a new request goes out at once, since when the publisher may be asked again is
    /// known where it is asked. Whether it is a new one.
    pub(crate) fn relay(&mut self, now: Instant) -> bool {
        let is_new = self.request(now);
        if is_new {
            self.sent = None;
        }
        is_new
    }

    /// Whether a key frame begins with the packet in hand: who needs one now has it.
    pub(crate) fn set_begins(&mut self, begins: bool) {
        self.begins = begins;
    }

    /// A key frame began.
    pub(crate) fn on_keyframe(&mut self, _now: Instant) {
        self.wanted_since = None;
    }

    /// Whether to ask now; asks again only after the interval, and gives up when the encoding has sent none for long.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let Some(since) = self.wanted_since else { return false };
        if now.duration_since(since) > PATIENCE {
            self.wanted_since = None;
            return false;
        }
        if self.sent.is_some_and(|sent| now < sent + self.interval) {
            return false;
        }
        self.sent = Some(now);
        true
    }

    /// When [`poll`](Self::poll) has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let since = self.wanted_since?;
        Some(self.sent.map_or(since, |sent| since.max(sent + self.interval)))
    }
}

/// An encoding that sent no key frame in this time is paused or gone; the next request starts over.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn requests_are_coalesced_repeated_and_ended_by_the_key_frame() {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let mut requester = KeyframeRequester::new(Duration::from_millis(500));
        assert!(!requester.poll(at(0)));
        assert!(requester.request(at(0)));
        assert_eq!(requester.poll_timeout(), Some(at(0)));
        assert!(requester.poll(at(0)));
        assert!(!requester.request(at(100)));
        assert!(!requester.poll(at(100)));
        assert_eq!(requester.poll_timeout(), Some(at(500)));
        assert!(requester.poll(at(500)));
        requester.on_keyframe(at(600));
        assert_eq!(requester.poll_timeout(), None);
        requester.set_begins(true);
        requester.request(at(650));
        requester.relay(at(650));
        assert_eq!(requester.poll_timeout(), None);
        requester.set_begins(false);
        requester.request(at(700));
        assert_eq!(requester.poll_timeout(), Some(at(1000)), "no sooner than the interval, whoever asks");
        let sent = (1000..20_000).filter(|&ms| requester.poll(at(ms))).count();
        assert_eq!(sent, 20, "every half second until patience ends");
        assert_eq!(requester.poll_timeout(), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn what_is_passed_on_is_coalesced_until_the_key_frame_and_no_longer() {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let mut requester = KeyframeRequester::new(Duration::from_millis(500));
        assert!(requester.relay(at(0)));
        assert!(requester.poll(at(0)));
        assert!(!requester.relay(at(100)), "that is wanted already");
        assert!(!requester.poll(at(100)));
        requester.on_keyframe(at(200));
        requester.relay(at(300));
        assert!(requester.poll(at(300)), "whoever asks the publisher may have kept the first to themselves");
        requester.relay(at(400));
        assert!(!requester.poll(at(400)));
        assert_eq!(requester.poll_timeout(), Some(at(800)));
    }
}
