//! Which of a publisher's packets are missing, and when to ask for them (again).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Keeps the list of missing packets of one stream.
///
/// A gap is asked for once a later packet shows that it is more than reordering, then again at the pace of the round trip until it is
/// filled or too old to be of use.
#[derive(Clone, Debug, Default)]
pub struct NackGenerator {
    highest: Option<u64>,
    /// Ascending.
    missing: VecDeque<Missing>,
    wants_keyframe: bool,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    since: Instant,
    next: Instant,
}

impl NackGenerator {
    /// A packet came, original or repaired: it is missing no more, and those it jumped over are.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, sequence: u64) {
        let highest = *self.highest.get_or_insert(sequence);
        if sequence <= highest {
            if let Ok(at) = self.missing.binary_search_by_key(&sequence, |missing| missing.sequence) {
                self.missing.remove(at);
            }
            return;
        }
        self.highest = Some(sequence);
        if sequence - highest > MAX_MISSING {
            // More than can be repaired: only a key frame helps.
            self.missing.clear();
            self.wants_keyframe = true;
            return;
        }
        for lost in highest + 1..sequence {
            self.missing.push_back(Missing { sequence: lost, since: now, next: now + REORDERING });
        }
        while self.missing.len() as u64 > MAX_MISSING {
            self.missing.pop_front();
            self.wants_keyframe = true;
        }
    }

    /// Appends the numbers to ask for now, ascending. Those past the deadline are given up.
    pub fn poll(&mut self, now: Instant, round_trip: Duration, wanted: &mut Vec<u64>) {
        while self.missing.front().is_some_and(|missing| now.duration_since(missing.since) >= DEADLINE) {
            self.missing.pop_front();
            self.wants_keyframe = true;
        }
        let pace = round_trip.clamp(PACE_AT_LEAST, PACE_AT_MOST);
        for missing in &mut self.missing {
            if missing.next <= now {
                missing.next = now + pace;
                wanted.push(missing.sequence);
            }
        }
    }

    /// Whether something was given up since this was asked last: the stream cannot be decoded on without a key frame.
    pub fn take_keyframe_wish(&mut self) -> bool {
        std::mem::take(&mut self.wants_keyframe)
    }

    /// When [`poll`](Self::poll) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.missing.iter().map(|missing| missing.next.min(missing.since + DEADLINE)).min()
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
