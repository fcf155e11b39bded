//! Which of a publisher's packets are missing, and when to ask for them (again).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Keeps the list of missing packets of one stream.
///
/// A gap is asked for once a later packet shows that it is more than reordering, then again at the pace of the round trip until it is
/// filled or too old to be of use: the deadline bounds the requests, not their number.
#[derive(Clone, Debug, Default)]
pub struct NackGenerator {
    /// With when it came.
    highest: Option<(u64, Instant)>,
    /// Ascending, and so are the times since when.
    missing: VecDeque<Missing>,
    /// Not later than the first turn of any missing packet.
    next: Option<Instant>,
    wants_keyframe: bool,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    since: Instant,
    next: Instant,
    asked: Asked,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Never,
    Once(Instant),
    Again,
}

impl NackGenerator {
    /// A packet came, original or repaired: it is missing no more, and those it jumped over are. One that answers the only request made for
    /// it tells the time from request to repair: a round trip.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, sequence: u64, repaired: bool) -> Option<Duration> {
        let (highest, before) = *self.highest.get_or_insert((sequence, now));
        if sequence <= highest {
            let at = self.missing.binary_search_by_key(&sequence, |missing| missing.sequence).ok()?;
            return match self.missing.remove(at)?.asked {
                Asked::Once(asked) if repaired => Some(now.saturating_duration_since(asked)),
                _ => None,
            };
        }
        self.highest = Some((sequence, now));
        let dark = now.saturating_duration_since(before) >= DEADLINE;
        if sequence - highest > if dark { MAX_AFTER_DARKNESS } else { MAX_MISSING } {
            // More than can be repaired, or than anybody still waits for: only a key frame helps.
            self.missing.clear();
            self.wants_keyframe = true;
            return None;
        }
        let next = now + REORDERING;
        for sequence in highest + 1..sequence {
            self.missing.push_back(Missing { sequence, since: now, next, asked: Asked::Never });
            self.next = self.next.map_or(Some(next), |known| Some(known.min(next)));
        }
        while self.missing.len() as u64 > MAX_MISSING {
            self.missing.pop_front();
            self.wants_keyframe = true;
        }
        None
    }

    /// Appends the numbers to ask for now, ascending. Those past the deadline are given up.
    pub fn poll(&mut self, now: Instant, round_trip: Duration, wanted: &mut Vec<u64>) {
        while self.missing.front().is_some_and(|missing| now.duration_since(missing.since) >= DEADLINE) {
            self.missing.pop_front();
            self.wants_keyframe = true;
        }
        // A little later than the answer is due, so that what is on its way is not asked for again. What did not come then is late: it is asked for
        // twice a round trip, since a publisher that has sent it again just now knows.
        let patience = (round_trip + round_trip / 8).clamp(PACE_AT_LEAST, PACE_AT_MOST);
        let hurry = (round_trip / 2).clamp(PACE_AT_LEAST, PACE_AT_MOST);
        for missing in &mut self.missing {
            if missing.next <= now {
                let (asked, pace) = match missing.asked {
                    Asked::Never => (Asked::Once(now), patience),
                    Asked::Once(_) | Asked::Again => (Asked::Again, hurry),
                };
                (missing.asked, missing.next) = (asked, now + pace);
                wanted.push(missing.sequence);
            }
        }
        let turns = self.missing.iter().map(|missing| missing.next);
        let end = self.missing.front().map(|oldest| oldest.since + DEADLINE);
        self.next = turns.chain(end).min();
    }

    /// Whether something was given up since this was asked last: the stream cannot be decoded on without a key frame.
    pub fn take_keyframe_wish(&mut self) -> bool {
        std::mem::take(&mut self.wants_keyframe)
    }

    /// When [`poll`](Self::poll) has something to do; early at times, for what has come in the meantime.
    #[inline]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next.filter(|_| !self.missing.is_empty())
    }
}

/// A packet that comes so much later than its successor is taken for reordered, not lost.
const REORDERING: Duration = Duration::from_millis(10);
/// Later than this nobody waits for it.
const DEADLINE: Duration = Duration::from_secs(1);
const PACE_AT_LEAST: Duration = Duration::from_millis(20);
const PACE_AT_MOST: Duration = Duration::from_millis(300);
/// Missing packets remembered; the oldest beyond are given up.
const MAX_MISSING: u64 = 256;
/// The same of those that a line lost which was dark for longer than anybody waits: they would come all at once, and hold up what is new. Fewer may be of a
/// picture that an encoding has just come back with.
const MAX_AFTER_DARKNESS: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    const TRIP: Duration = Duration::from_millis(80);

    /// Asks at every turn until `until`; the milliseconds at which 7 was asked for.
    fn turns(nacks: &mut NackGenerator, origin: Instant, until: u64) -> Vec<u64> {
        let mut turns = Vec::new();
        while let Some(at) = nacks.poll_timeout().filter(|&at| at <= origin + Duration::from_millis(until)) {
            let mut wanted = Vec::new();
            nacks.poll(at, TRIP, &mut wanted);
            if wanted.contains(&7) {
                turns.push(at.duration_since(origin).as_millis() as u64);
            }
        }
        turns
    }

    #[test]
    fn a_gap_is_asked_for_at_the_pace_of_the_round_trip_until_the_deadline() {
        let (origin, mut nacks) = (origin(), NackGenerator::default());
        nacks.on_packet(origin, 6, false);
        nacks.on_packet(origin, 8, false);
        let expected: Vec<u64> = std::iter::once(10).chain((0..23).map(|turn| 100 + turn * 40)).collect();
        assert_eq!(turns(&mut nacks, origin, 5_000), expected);
        assert!(nacks.take_keyframe_wish());
        assert_eq!(nacks.poll_timeout(), None);
    }

    #[test]
    fn a_repair_ends_the_requests_and_tells_the_round_trip_if_it_answers_one() {
        let (origin, at) = (origin(), |ms| Duration::from_millis(ms));
        let mut nacks = NackGenerator::default();
        nacks.on_packet(origin, 6, false);
        nacks.on_packet(origin, 8, false);
        assert_eq!(turns(&mut nacks, origin, 50), [10]);
        assert_eq!(nacks.on_packet(origin + at(85), 7, true), Some(at(75)));
        assert!(turns(&mut nacks, origin, 5_000).is_empty());
        nacks.on_packet(origin + at(100), 10, false);
        turns(&mut nacks, origin, 150);
        assert_eq!(nacks.on_packet(origin + at(160), 9, false), None, "it was only late");
        nacks.on_packet(origin + at(200), 12, false);
        turns(&mut nacks, origin, 350);
        assert_eq!(
            nacks.on_packet(origin + at(360), 11, true),
            None,
            "of two requests either may be the one"
        );
        assert!(!nacks.take_keyframe_wish());
    }

    #[test]
    fn more_than_can_be_repaired_asks_for_a_key_frame() {
        let (origin, mut nacks) = (origin(), NackGenerator::default());
        nacks.on_packet(origin, 6, false);
        nacks.on_packet(origin, 6 + MAX_MISSING + 1, false);
        assert!(nacks.take_keyframe_wish());
        assert_eq!(nacks.poll_timeout(), None);
    }

    #[test]
    fn what_a_dark_line_lost_is_not_asked_for() {
        let origin = origin();
        for (silence, lost, repaired) in [
            (DEADLINE, MAX_AFTER_DARKNESS, false),
            (DEADLINE - TRIP, MAX_AFTER_DARKNESS, true),
            (DEADLINE, MAX_AFTER_DARKNESS - 1, true),
        ] {
            let mut nacks = NackGenerator::default();
            nacks.on_packet(origin, 6, false);
            nacks.on_packet(origin + silence, 7 + lost, false);
            let case = format!("{silence:?} without a packet, {lost} lost");
            assert_eq!(nacks.poll_timeout().is_some(), repaired, "{case}");
            assert_eq!(nacks.take_keyframe_wish(), !repaired, "{case}");
        }
    }
}
