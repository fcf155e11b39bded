use std::time::{Duration, Instant};

/// How long the SCTP machine may wait before it repeats something.
///
/// Left alone it doubles its waiting up to a minute, as RFC 9260 section 6.3.3 has it, and forgets that only when something goes through that it
/// never had to repeat: on a line with losses messages come tens of seconds apart. Here ICE says whether the client is there at all, and after a
/// timeout the machine sends one packet at a time; one a second harms no line.
#[derive(Default)]
pub(super) struct Patience {
    /// The machine's own time for its next repetition, and since when it has been that.
    waiting: Option<(Instant, Instant)>,
    /// Since when the client has acknowledged nothing that it should have.
    unanswered: Option<Instant>,
    acknowledgements: u64,
    repetitions: u64,
}

impl Patience {
    /// Takes note of the machine's next timer. One that is near is not the one that backs off, but may hide it.
    pub(super) fn observe(&mut self, now: Instant, timer: Option<Instant>, round_trip: Duration) {
        match timer {
            None => self.waiting = None,
            Some(at) if at > now + longest(round_trip) && !self.is_for(at) => self.waiting = Some((at, now)),
            Some(_) => {}
        }
    }

    /// When the machine's timers are to run, given its next one: then, or earlier.
    pub(super) fn due(&self, timer: Option<Instant>, round_trip: Duration) -> Option<Instant> {
        let at = timer?;
        let since = self.waiting.filter(|_| self.is_for(at)).map(|(_, since)| since);
        Some(since.map_or(at, |since| at.min(since + longest(round_trip))))
    }

    /// Takes note of how many acknowledgements have come and how many timeouts there were, in all. Since when there has been a
    /// timeout and no acknowledgement.
    pub(super) fn unanswered(
        &mut self,
        now: Instant,
        acknowledgements: u64,
        repetitions: u64,
    ) -> Option<Instant> {
        if self.acknowledgements != acknowledgements {
            self.unanswered = None;
        } else if self.repetitions != repetitions {
            self.unanswered.get_or_insert(now);
        }
        (self.acknowledgements, self.repetitions) = (acknowledgements, repetitions);
        self.unanswered
    }

    fn is_for(&self, at: Instant) -> bool {
        self.waiting.is_some_and(|(timer, _)| timer == at)
    }
}

/// Three round trips, and the time by which an acknowledgement may be delayed (RFC 9260 section 6.2); a second when there was no
/// round trip to measure.
fn longest(round_trip: Duration) -> Duration {
    if round_trip.is_zero() {
        return LONGEST;
    }
    (ACKNOWLEDGEMENT_DELAY + 3 * round_trip).clamp(SHORTEST, LONGEST)
}

const ACKNOWLEDGEMENT_DELAY: Duration = Duration::from_millis(200);
const SHORTEST: Duration = Duration::from_millis(400);
const LONGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn a_far_timer_is_brought_forward_from_when_it_was_set() {
        let (now, rtt) = (Instant::now(), MS(100));
        let mut patience = Patience::default();
        let far = Some(now + MS(16_000));
        assert_eq!(patience.due(far, rtt), far, "it was not seen being set");
        patience.observe(now, far, rtt);
        assert_eq!(patience.due(far, rtt), Some(now + MS(500)));
        assert_eq!(patience.due(far, Duration::ZERO), Some(now + MS(1000)), "no round trip is known");
        assert_eq!(patience.due(far, MS(1)), Some(now + MS(400)));
        assert_eq!(patience.due(far, MS(900)), Some(now + MS(1000)));

        // A nearer timer of another kind comes and goes.
        let near = Some(now + MS(300));
        patience.observe(now + MS(100), near, rtt);
        assert_eq!(patience.due(near, rtt), near);
        patience.observe(now + MS(300), far, rtt);
        assert_eq!(patience.due(far, rtt), Some(now + MS(500)), "it has waited all the while");

        // Answered, and set anew.
        let anew = Some(now + MS(17_000));
        patience.observe(now + MS(450), anew, rtt);
        assert_eq!(patience.due(anew, rtt), Some(now + MS(950)));
        patience.observe(now + MS(500), None, rtt);
        assert_eq!(patience.due(None, rtt), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn silence_counts_from_the_first_timeout_after_the_last_acknowledgement() {
        let now = Instant::now();
        let mut patience = Patience::default();
        assert_eq!(patience.unanswered(now, 0, 0), None);
        assert_eq!(patience.unanswered(now + MS(1000), 0, 1), Some(now + MS(1000)));
        assert_eq!(patience.unanswered(now + MS(2000), 0, 2), Some(now + MS(1000)));
        assert_eq!(patience.unanswered(now + MS(2500), 1, 2), None);
        assert_eq!(patience.unanswered(now + MS(2600), 1, 2), None);
        assert_eq!(patience.unanswered(now + MS(3000), 1, 3), Some(now + MS(3000)));
    }
}
