//! Which packets to ask for again, and when.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The missing packets of one stream. Each is asked for after a moment for reordering, then once per round trip, until it
/// comes or its deadline passes.
#[derive(Clone, Debug, Default)]
pub struct NackGenerator {
    highest: Option<u64>,
    /// Ascending by sequence number.
    missing: VecDeque<Missing>,
    wants_keyframe: bool,
    /// The pace of the last poll.
    pace: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    noticed: Instant,
    asked: Option<Instant>,
}

impl NackGenerator {
    /// Takes a packet's extended number, also that of a repaired one. A jump over more than 256 is no loss to repair: it needs a key frame.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, sequence: u64) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        if sequence <= highest {
            if let Ok(at) = self.missing.binary_search_by_key(&sequence, |missing| missing.sequence) {
                self.missing.remove(at);
            }
            return;
        }
        self.highest = Some(sequence);
        let lost = sequence - highest - 1;
        if lost > CAPACITY as u64 {
            self.missing.clear();
            self.wants_keyframe = true;
            return;
        }
        for lost in highest + 1..sequence {
            // Full: the oldest is dropped, and the picture it belonged to is left to a key frame.
            if self.missing.len() >= CAPACITY {
                self.missing.pop_front();
                self.wants_keyframe = true;
            }
            self.missing.push_back(Missing { sequence: lost, noticed: now, asked: None });
        }
    }

    /// Appends the numbers to ask for now, ascending. Those past their deadline are given up, which needs a key frame.
    pub fn poll(&mut self, now: Instant, round_trip: Duration, wanted: &mut Vec<u64>) {
        self.pace = round_trip.max(MIN_PACE);
        while let Some(oldest) = self.missing.front() {
            if oldest.noticed + DEADLINE > now {
                break;
            }
            self.missing.pop_front();
            self.wants_keyframe = true;
        }
        let (highest, pace) = (self.highest, self.pace);
        for missing in &mut self.missing {
            if missing.due(highest, pace) <= now {
                missing.asked = Some(now);
                wanted.push(missing.sequence);
            }
        }
    }

    /// Whether something was given up since the last call.
    pub fn wants_keyframe(&mut self) -> bool {
        std::mem::take(&mut self.wants_keyframe)
    }

    /// When [`poll`](Self::poll) has something to do. It may lie in the past: at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let given_up = self.missing.front().map(|oldest| oldest.noticed + DEADLINE);
        let due = self.missing.iter().map(|missing| missing.due(self.highest, self.pace.max(MIN_PACE))).min();
        [given_up, due].into_iter().flatten().min()
    }
}

impl Missing {
    fn due(&self, highest: Option<u64>, pace: Duration) -> Instant {
        match self.asked {
            Some(asked) => asked + pace,
            None if highest.is_some_and(|highest| highest - self.sequence > REORDER_PACKETS) => self.noticed,
            None => self.noticed + REORDER_TIME,
        }
    }
}

const CAPACITY: usize = 256;
const REORDER_PACKETS: u64 = 2;
const REORDER_TIME: Duration = Duration::from_millis(10);
const MIN_PACE: Duration = Duration::from_millis(20);
const DEADLINE: Duration = Duration::from_secs(1);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a time to start from")]
mod tests {
    use super::*;

    struct Run {
        start: Instant,
        nacks: NackGenerator,
    }

    impl Run {
        fn new(sequences: &[u64]) -> Self {
            let mut run = Self { start: Instant::now(), nacks: NackGenerator::default() };
            for &sequence in sequences {
                run.packet(0, sequence);
            }
            run
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn packet(&mut self, ms: u64, sequence: u64) {
            self.nacks.on_packet(self.at(ms), sequence);
        }

        fn poll(&mut self, ms: u64) -> Vec<u64> {
            let mut wanted = Vec::new();
            self.nacks.poll(self.at(ms), Duration::from_millis(50), &mut wanted);
            wanted
        }
    }

    #[test]
    fn a_missing_packet_is_asked_for_once_per_round_trip() {
        let mut run = Run::new(&[100, 102]);
        assert_eq!(run.nacks.poll_timeout(), Some(run.at(10)));
        assert_eq!(run.poll(9), [0; 0], "it may be late only");
        assert_eq!(run.poll(10), [101]);
        assert_eq!(run.nacks.poll_timeout(), Some(run.at(60)));
        assert_eq!(run.poll(59), [0; 0]);
        assert_eq!(run.poll(60), [101]);
        run.packet(70, 101);
        assert_eq!((run.poll(500), run.nacks.poll_timeout()), (vec![], None));
        assert!(!run.nacks.wants_keyframe());
    }

    #[test]
    fn packets_behind_it_prove_a_loss() {
        let mut run = Run::new(&[100, 102, 103]);
        assert_eq!(run.poll(0), [0; 0].map(|_: u64| 0));
        run.packet(1, 104);
        assert_eq!(run.poll(1), [101]);
    }

    #[test]
    fn a_packet_past_its_deadline_is_given_up() {
        let mut run = Run::new(&[100, 102]);
        assert_eq!(run.poll(999), [101]);
        assert_eq!(run.poll(1000), [0; 0]);
        assert!(run.nacks.wants_keyframe());
        assert!(!run.nacks.wants_keyframe(), "it is said once");
        assert_eq!(run.nacks.poll_timeout(), None);
    }

    #[test]
    fn what_is_outstanding_is_bounded() {
        let mut run = Run::new(&[0, 201, 402]);
        let wanted = run.poll(10);
        assert_eq!((wanted.len(), wanted.first(), wanted.last()), (256, Some(&145), Some(&401)));
        assert!(run.nacks.wants_keyframe());
        run.packet(11, 10_000);
        assert_eq!(run.poll(30), [0; 0]);
        assert!(run.nacks.wants_keyframe());
    }
}
