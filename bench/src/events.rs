//! Whether all members of a room are told the same: every event once, in one order, with the same words.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hdrhistogram::Histogram;

use crate::client::latency_histogram;
use crate::clock::Clock;

/// What all members of a run heard, room by room.
#[derive(Debug)]
pub struct EventLogs(Mutex<Heard>);

/// What is counted over all members.
#[derive(Clone, Debug)]
pub struct Heard {
    rooms: BTreeMap<u32, RoomLog>,
    /// Events that came, once for each member.
    pub received: u64,
    /// Events that a member never got, since a later one came.
    pub missed: u64,
    /// Events that came again or out of order.
    pub repeated: u64,
    /// Events that one member got in other words than another.
    pub differing: u64,
    /// Members that did not know the room's last event at the end.
    pub behind: u64,
    /// From an action to its event at each member, in microseconds.
    pub event_us: Histogram<u64>,
    /// From an action to its reply, in microseconds.
    pub reply_us: Histogram<u64>,
}

#[derive(Clone, Debug, Default)]
struct RoomLog {
    highest: u64,
    settled: u64,
    checksums: BTreeMap<u64, u32>,
}

/// One member's place in its room's log.
#[derive(Clone, Copy, Debug)]
pub struct Follower {
    room: u32,
    last: u64,
}

impl EventLogs {
    /// Nobody has heard anything.
    pub fn new() -> Self {
        Self(Mutex::new(Heard {
            rooms: BTreeMap::new(),
            received: 0,
            missed: 0,
            repeated: 0,
            differing: 0,
            behind: 0,
            event_us: latency_histogram(),
            reply_us: latency_histogram(),
        }))
    }

    /// A member that was welcomed after event `seq`.
    pub fn follow(&self, room: u32, seq: u64) -> Follower {
        let mut heard = self.heard();
        let log = heard.rooms.entry(room).or_default();
        log.highest = log.highest.max(seq);
        Follower { room, last: seq }
    }

    /// A member got event `seq`, in these words.
    pub fn heard_event(&self, follower: &mut Follower, seq: u64, words: &str) {
        let mut heard = self.heard();
        heard.received += 1;
        if seq <= follower.last {
            heard.repeated += 1;
            return;
        }
        heard.missed += seq - follower.last - 1;
        follower.last = seq;
        let log = heard.rooms.entry(follower.room).or_default();
        log.highest = log.highest.max(seq);
        let checksum = crc32fast::hash(words.as_bytes());
        if *log.checksums.entry(seq).or_insert(checksum) != checksum {
            heard.differing += 1;
        }
    }

    /// An event came of what was done at `done_ns` of [`Clock`].
    pub fn heard_action(&self, now: Instant, done_ns: u64) {
        let us = Clock::nanos(now).saturating_sub(done_ns) / 1000;
        self.heard().event_us.saturating_record(us);
    }

    /// The reply came to what was done at `done`.
    pub fn heard_reply(&self, now: Instant, done: Instant) {
        let us = now.saturating_duration_since(done).as_micros();
        self.heard().reply_us.saturating_record(u64::try_from(us).unwrap_or(u64::MAX));
    }

    /// What was told until now must be known to everybody by now.
    pub fn settle(&self) {
        self.heard().rooms.values_mut().for_each(|log| log.settled = log.highest);
    }

    /// The member leaves: whether it knew everything that was settled is counted.
    pub fn leave(&self, follower: Follower) {
        let mut heard = self.heard();
        if heard.rooms.get(&follower.room).is_some_and(|log| follower.last < log.settled) {
            heard.behind += 1;
        }
    }

    /// What was counted.
    pub fn counts(&self) -> Heard {
        self.heard().clone()
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for EventLogs {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_are_told_the_same_have_nothing_amiss() {
        let logs = EventLogs::new();
        let (mut first, mut second) = (logs.follow(0, 3), logs.follow(0, 4));
        for (seq, words) in [(4, "a"), (5, "b"), (6, "c")] {
            logs.heard_event(&mut first, seq, words);
            if seq > 4 {
                logs.heard_event(&mut second, seq, words);
            }
        }
        logs.settle();
        logs.leave(first);
        logs.leave(second);
        let heard = logs.counts();
        assert_eq!((heard.received, heard.missed, heard.repeated), (5, 0, 0));
        assert_eq!((heard.differing, heard.behind), (0, 0));
    }

    #[test]
    fn gaps_repetitions_other_words_and_missing_ends_are_counted() {
        let logs = EventLogs::new();
        let (mut first, mut second) = (logs.follow(0, 0), logs.follow(0, 0));
        let mut elsewhere = logs.follow(1, 0);
        for seq in 1..=5 {
            logs.heard_event(&mut first, seq, "same");
        }
        logs.heard_event(&mut second, 1, "same");
        logs.heard_event(&mut second, 1, "same");
        logs.heard_event(&mut second, 4, "other");
        logs.heard_event(&mut elsewhere, 1, "another room's");
        logs.settle();
        for follower in [first, second, elsewhere] {
            logs.leave(follower);
        }
        let heard = logs.counts();
        assert_eq!((heard.missed, heard.repeated, heard.differing, heard.behind), (2, 1, 1, 1));
    }
}
