//! Who comes and goes is told at once, and in waves when many do: hundreds who come within seconds would each wake hundreds of WebSockets.

use std::time::{Duration, Instant};

/// When those who are here are told of others who come and go.
#[derive(Debug)]
pub(super) struct Waves {
    interval: Duration,
    /// Before then there is no other wave.
    next: Option<Instant>,
    waiting: bool,
}

impl Waves {
    /// At most one wave in each `interval`.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, next: None, waiting: false }
    }

    /// Somebody comes or goes; whether it is told at once. Else it waits for the next wave, or for something else that is told at once.
    pub(super) fn note(&mut self, now: Instant) -> bool {
        self.waiting |= self.next.is_some_and(|next| now < next);
        if !self.waiting {
            self.next = Some(now + self.interval);
        }
        !self.waiting
    }

    /// When the next wave is due, if something waits for it.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next.filter(|_| self.waiting)
    }

    /// Whether a wave is due now. It has been told then.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let due = self.poll_timeout().is_some_and(|at| at <= now);
        if due {
            (self.next, self.waiting) = (Some(now + self.interval), false);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_what_follows_soon_in_waves() {
        let interval = Duration::from_millis(250);
        let mut waves = Waves::new(interval);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!((waves.poll_timeout(), waves.handle_timeout(start)), (None, false));
        assert!(waves.note(start));
        assert_eq!(waves.poll_timeout(), None, "nothing waits");
        assert!(!waves.note(at(50)));
        assert!(!waves.note(at(100)));
        assert_eq!(waves.poll_timeout(), Some(at(250)));
        assert!(!waves.handle_timeout(at(249)));
        // What comes when a wave is due and has not been told goes with it: it must not overtake.
        assert!(!waves.note(at(250)));
        assert!(waves.handle_timeout(at(260)));
        assert!(!waves.handle_timeout(at(260)), "once");
        assert!(!waves.note(at(509)));
        assert!(waves.handle_timeout(at(510)));
        assert!(waves.note(at(760)), "after a quiet time the first is told at once again");
    }
}
