//! What can be sent again: each slot's numbers for a publication's packets.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::red::EarlierPayload;
use crate::codec::{PayloadInfo, PictureIds};
use crate::egress::kept::Kept;
use crate::rtp::AudioLevel;

/// One RTP packet of a publication, opened and parsed once for all its viewers.
#[derive(Clone, Debug)]
pub struct SourcePacket {
    /// Index of the encoding.
    pub encoding: u8,
    /// The sequence number, extended; cycle 1 is the first.
    pub sequence: u64,
    /// The timestamp as received.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// When it arrived.
    pub arrival: Instant,
    /// How loud it is.
    pub audio_level: Option<AudioLevel>,
    /// What its payload says.
    pub info: PayloadInfo,
    /// The dependency descriptor as received, shared; empty when there is none.
    pub descriptor: Bytes,
    /// The payload, shared.
    pub payload: Bytes,
    /// What the packet before it carried, for audio: sent along where the subscriber wants redundancy.
    pub earlier: Option<EarlierPayload>,
}

/// What a slot sent under one of its numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Index of the source's encoding.
    pub encoding: u8,
    /// The source's number.
    pub source_sequence: u64,
    /// The slot's number, extended.
    pub sequence: u64,
    /// The slot's timestamp.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// The codec's numbers that were put in.
    pub picture: Option<PictureIds>,
    /// The dependency descriptor's frame number that was put in.
    pub frame_number: Option<u16>,
    /// Nothing but the number was sent: it was free when the packet turned out not to be for this viewer.
    pub empty: bool,
    /// It carries what the packet before it did once more (RFC 2198).
    pub redundant: bool,
    /// What builds upon it.
    pub worth: Worth,
    /// What else was in its header, once it was written.
    pub marks: Marks,
}

/// What is lost with a packet: where not everything can be sent again, the higher goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Worth {
    /// Nothing beyond its own picture, or little.
    Spare,
    /// Every picture until the next key frame.
    #[default]
    Link,
    /// The picture that all of them begin with.
    Key,
}

/// What a packet's header says beyond the source's own: without a retransmission stream it is sent again as it was, to the byte, since two
/// different packets under one number would give away the cipher's key (RFC 7714 section 8.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    /// The transport-wide number.
    pub transport_number: Option<u16>,
    /// Whether it named its m-line.
    pub mid: bool,
    /// The playout delay it told, in units of 10 ms.
    pub playout_delay: Option<u16>,
}

/// How many copies of a packet to send at once, if the budget has them to spare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copies {
    /// As its first repair.
    pub first: usize,
    /// As a later one, and of key frames.
    pub later: usize,
}

/// Why something is not sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAgain {
    /// Nothing was sent under this number, or not yet.
    Unknown,
    /// It was sent so long ago that only a key frame helps.
    TooLate,
    /// It was sent again less than a round trip ago.
    JustSent,
    /// Retransmissions have had their share of what is sent.
    OverBudget,
    /// The same, or it is too late; and there is nothing that only a key frame would bring back.
    NotNeeded,
}

/// The last numbers of one slot, and how much of it may be sent again.
#[derive(Debug, Default)]
pub struct SentHistory {
    /// One for each number from `first` on, `None` where nothing was sent under it: as many as are sent before [`DEADLINE`], within bounds.
    entries: VecDeque<Option<Kept>>,
    first: u64,
    /// The source's number of the packet kept last.
    source: u64,
    /// Where its clock begins.
    origin: Option<Instant>,
    /// Bytes that may still be spent on retransmissions; a share of what is sent is added.
    budget: usize,
    /// The last key frame's first number, and its timestamp.
    key: Option<(u64, u32)>,
    /// From this number on nothing can be decoded before another key frame.
    broken: Option<u64>,
}

impl SentHistory {
    /// Notes what was sent, and that it took so many bytes. A packet so late that a newer one has its place is not kept.
    #[inline]
    pub fn on_sent(&mut self, now: Instant, sent: Sent, bytes: usize) {
        if self.origin.is_none() {
            self.origin = Some(now);
            self.budget = BUDGET_AT_FIRST;
        }
        let now_ms = self.millis(now);
        if sent.worth == Worth::Key {
            self.on_key(&sent);
        }
        let kept = Some(Kept::new(now_ms, &sent, bytes));
        if sent.sequence == self.first + self.entries.len() as u64 && !self.entries.is_empty() {
            self.make_room(now_ms);
            self.entries.push_back(kept);
            self.source = sent.source_sequence;
        } else if let Some(place) = self.make_place(now_ms, sent.sequence) {
            *place = kept;
            self.source = sent.source_sequence;
        }
        if sent.sequence.is_multiple_of(ROUND) {
            self.give_back(now_ms);
        }
        self.budget = (self.budget + bytes / BUDGET_SHARE).min(BUDGET_AT_MOST);
    }

    /// What was sent under a number, if it may be sent again: not within `pace` of the last time, not so late that nobody waits for it any more,
    /// and within the budget, of which a part is kept for what is [worth](Worth) more. The first repair is one, but of a key frame; for the next ones, which are
    /// late, `copies` are sent if the budget has them to spare. Where nobody `asked` and feedback told of the loss, only if no other repair is on its way.
    pub fn resend(
        &mut self,
        now: Instant,
        sequence: u16,
        pace: Duration,
        copies: Copies,
        asked: bool,
    ) -> Result<(Sent, usize), NotAgain> {
        let (now_ms, wanted, source) = (self.millis(now), self.extend(sequence), self.source);
        let back = self.highest() - wanted;
        let Some(entry) = place_of(&mut self.entries, self.first, wanted) else {
            // More than half of the numbers back is rather ahead.
            let long_ago = wanted < self.first && (LONG_AGO..32_768).contains(&back);
            let past = self.key.is_some_and(|(first, _)| wanted < first);
            return Err(match (long_ago, past) {
                (true, false) => NotAgain::TooLate,
                (true, true) => NotAgain::NotNeeded,
                (false, _) => NotAgain::Unknown,
            });
        };
        let sent = entry.sent(wanted, source);
        let spare = self.broken.is_some_and(|broken| sent.sequence >= broken) || is_past(self.key, &sent);
        let worth = if spare { Worth::Spare } else { sent.worth };
        if entry.age(now_ms) > if asked { DEADLINE } else { DEADLINE_UNASKED } {
            return Err(self.give_up(wanted, worth, asked, NotAgain::TooLate));
        }
        let pace = pace.clamp(PACE_AT_LEAST, PACE_AT_MOST);
        let resent = entry.since_resent(now_ms);
        if resent.is_some_and(|since| since < pace) || !asked && entry.copies > 0 {
            return Err(NotAgain::JustSent);
        }
        // Further copies come out of what is to spare: the first one of another packet does more.
        let first = resent.is_none() && worth < Worth::Key;
        let wished = if first { copies.first } else { copies.later };
        let copies = if self.budget < BUDGET_TO_SPARE { 1 } else { wished };
        let kept = match worth {
            Worth::Key => 0,
            // Without a key frame there is nothing to keep it for.
            Worth::Link => self.key.map_or(0, |_| KEPT_FOR_KEYS),
            Worth::Spare => BUDGET_TO_SPARE,
        };
        let bytes = entry.bytes() * copies;
        if self.budget < bytes + kept {
            return Err(self.give_up(wanted, worth, asked, NotAgain::OverBudget));
        }
        self.budget -= bytes;
        entry.note_resent(now_ms);
        Ok((sent, copies))
    }

    /// A packet will not be sent again, though it was asked for: what builds upon it is lost too.
    fn give_up(&mut self, sequence: u64, worth: Worth, asked: bool, reason: NotAgain) -> NotAgain {
        if worth == Worth::Spare {
            return NotAgain::NotNeeded;
        }
        if asked && self.key.is_some() {
            self.broken = Some(self.broken.map_or(sequence, |broken| broken.min(sequence)));
        }
        reason
    }

    /// Something of a key frame was sent.
    fn on_key(&mut self, sent: &Sent) {
        self.key = Some(match self.key {
            Some((first, timestamp)) if timestamp == sent.timestamp => (first.min(sent.sequence), timestamp),
            Some(later) if later.0 > sent.sequence => later,
            _ => {
                self.broken = None;
                (sent.sequence, sent.timestamp)
            }
        });
    }

    /// Whether it belongs to what was shown before the last key frame.
    pub fn is_past(&self, sent: &Sent) -> bool {
        is_past(self.key, sent)
    }

    /// A repair went out.
    pub fn on_copy(&mut self, sequence: u64) {
        if let Some(entry) = place_of(&mut self.entries, self.first, sequence) {
            entry.copies = entry.copies.saturating_add(1);
        }
    }

    /// A repair was lost; whether it was the last one on its way.
    pub fn on_copy_lost(&mut self, sequence: u16) -> bool {
        let sequence = self.extend(sequence);
        let Some(entry) = place_of(&mut self.entries, self.first, sequence) else { return false };
        let last = entry.copies == 1;
        entry.copies = entry.copies.saturating_sub(1);
        last && entry.was_resent()
    }

    /// A 16-bit number of what was sent, extended: the last one that has these bits.
    pub fn extend(&self, sequence: u16) -> u64 {
        let highest = self.highest();
        highest.saturating_sub(u64::from((highest as u16).wrapping_sub(sequence)))
    }

    /// What was sent `back` packets before the last one; `None` when that is not kept.
    pub fn recent(&self, back: usize) -> Option<Sent> {
        let at = self.entries.len().checked_sub(1)?.checked_sub(back)?;
        let entry = self.entries.get(at)?.as_ref()?;
        Some(entry.sent(self.first + at as u64, self.source))
    }

    /// The last number that something was sent under; 0 when there is none.
    fn highest(&self) -> u64 {
        (self.first + self.entries.len() as u64).saturating_sub(1)
    }

    /// Where to keep what is sent under a number that is not the next one; `None` if it is too late for that.
    #[cold]
    fn make_place(&mut self, now_ms: u32, sequence: u64) -> Option<&mut Option<Kept>> {
        if self.entries.is_empty() || sequence >= self.first + (self.entries.len() + MOST_SENT) as u64 {
            self.entries.clear();
            self.first = sequence;
        }
        while self.first + self.entries.len() as u64 <= sequence {
            self.make_room(now_ms);
            self.entries.push_back(None);
        }
        if sequence + (self.entries.capacity() - self.entries.len()) as u64 >= self.first {
            while sequence < self.first {
                self.entries.push_front(None);
                self.first -= 1;
            }
        }
        let at = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.entries.get_mut(at)
    }

    /// Makes room for one more: lets the oldest go, or takes more memory where it may still be asked for.
    #[inline]
    fn make_room(&mut self, now_ms: u32) {
        let places = self.entries.len();
        if places < self.entries.capacity() {
            return;
        }
        let oldest = self.entries.front().and_then(Option::as_ref);
        let wanted = oldest.is_some_and(|kept| kept.is_younger(now_ms, DEADLINE));
        if places == 0 || wanted && places < MOST_SENT {
            self.grow(now_ms);
        } else {
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// Takes more memory: a burst needs a good deal more, a rate that goes up the next of the allocator's sizes.
    #[cold]
    fn grow(&mut self, now_ms: u32) {
        let places = self.entries.len();
        let more = match self.entries.front().and_then(Option::as_ref) {
            None => FEWEST_SENT,
            Some(oldest) if oldest.is_younger(now_ms, DEADLINE / 2) => places * 2,
            Some(_) => whole(places + 1),
        };
        self.entries.reserve_exact(more.min(MOST_SENT) - places);
    }

    /// Gives memory back, if less would do and not only just: it was a burst that took so much.
    #[cold]
    fn give_back(&mut self, now_ms: u32) {
        let places = self.entries.len();
        if places < self.entries.capacity() {
            return;
        }
        let suffices = |fewer: usize| {
            let first = self.entries.get(places - fewer).copied().flatten();
            first.is_some_and(|kept| kept.age(now_ms) > DEADLINE * 17 / 16)
        };
        let mut enough = places;
        loop {
            // The next smaller of the allocator's sizes.
            let fewer = whole(enough * 4 / 5);
            if fewer < FEWEST_KEPT || !suffices(fewer) {
                break;
            }
            enough = fewer;
        }
        if enough < places {
            self.entries.drain(..places - enough);
            self.first += (places - enough) as u64;
            self.entries.shrink_to_fit();
        }
    }

    /// Since the first packet. It goes round in seven weeks.
    #[inline]
    fn millis(&self, now: Instant) -> u32 {
        let since = self.origin.map_or(Duration::ZERO, |origin| now.saturating_duration_since(origin));
        (since.as_secs() as u32).wrapping_mul(1000).wrapping_add(since.subsec_millis())
    }

    /// Forgets all numbers: what they stood for is shown no more. The budget stays what it is.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.first = 0;
        (self.key, self.broken) = (None, None);
    }
}

/// What is kept under a number, if it is kept.
#[inline]
fn place_of(entries: &mut VecDeque<Option<Kept>>, first: u64, sequence: u64) -> Option<&mut Kept> {
    entries.get_mut(usize::try_from(sequence.checked_sub(first)?).ok()?)?.as_mut()
}

/// As many as fit where so many fit: of the sizes of memory that the allocator has there are four between a power of two and the next.
fn whole(places: usize) -> usize {
    let bytes = places * size_of::<Option<Kept>>();
    bytes.next_multiple_of((bytes.next_power_of_two() / 8).max(16)) / size_of::<Option<Kept>>()
}

fn is_past(key: Option<(u64, u32)>, sent: &Sent) -> bool {
    key.is_some_and(|(first, _)| sent.sequence < first)
}

/// A second of sound, at first. It and its doubles are of the allocator's sizes.
const FEWEST_SENT: usize = 64;
const FEWEST_KEPT: usize = 16;
/// A second of video at some 20 Mbit/s.
const MOST_SENT: usize = 2048;
/// Numbers between two looks at how much memory is needed.
const ROUND: u64 = 128;
/// What lies so far before what is kept was sent once; what is closer may never have been.
const LONG_AGO: u64 = 64;
/// A quarter of what is sent may be sent again.
const BUDGET_SHARE: usize = 4;
/// So that a loss right at the beginning can be repaired.
const BUDGET_AT_FIRST: usize = 64 * 1024;
const BUDGET_TO_SPARE: usize = 16 * 1024;
/// What a key frame of 20 packets lacks where a fifth is lost.
const KEPT_FOR_KEYS: usize = 6 * 1024;
/// After a long quiet time a burst of requests is bounded by this.
const BUDGET_AT_MOST: usize = 96 * 1024;
/// Older pictures than this are not waited for.
const DEADLINE: Duration = Duration::from_millis(1000);
/// What comes later is too late for a player that was told to wait; whoever still wants it asks.
const DEADLINE_UNASKED: Duration = Duration::from_millis(400);
const PACE_AT_LEAST: Duration = Duration::from_millis(10);
const PACE_AT_MOST: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn sent(sequence: u64) -> Sent {
        Sent { source_sequence: sequence + 7, ..crate::egress::tests::sent(sequence) }
    }

    fn again(history: &mut SentHistory, now: Instant, sequence: u64) -> Result<Sent, NotAgain> {
        history.budget = BUDGET_AT_MOST;
        let copies = Copies { first: 1, later: 1 };
        history.resend(now, sequence as u16, Duration::ZERO, copies, true).map(|(sent, _)| sent)
    }

    #[test]
    fn as_much_memory_is_taken_as_a_second_needs_and_that_of_a_burst_given_back() {
        let (origin, mut history) = (origin(), SentHistory::default());
        (70_000..71_000).for_each(|sequence| history.on_sent(origin, sent(sequence), 100));
        assert!(history.entries.capacity() >= 1000);
        let (mut now, mut sequence) = (origin, 71_000);
        for (gap, within) in [(6, 167..=210), (20, 51..=64), (1, 1001..=1250), (6, 167..=210)] {
            for _ in 0..10_000 {
                now += Duration::from_millis(gap);
                history.on_sent(now, sent(sequence), 100);
                sequence += 1;
            }
            let places = history.entries.capacity();
            assert!(within.contains(&places), "{places} at one every {gap} ms");
            assert_eq!(places, whole(places), "no memory is left over");
        }
        history.clear();
        assert_eq!(again(&mut history, now, sequence - 1), Err(NotAgain::Unknown));
        history.on_sent(now, sent(sequence), 100);
        assert_eq!(again(&mut history, now, sequence), Ok(sent(sequence)));
    }

    #[test]
    fn sizes_of_memory_are_the_allocators() {
        for places in 1..=MOST_SENT {
            let (whole, bytes) = (whole(places), places * size_of::<Option<Kept>>());
            let room = whole * size_of::<Option<Kept>>();
            assert!(whole >= places && room <= (bytes + bytes / 4).next_multiple_of(64), "{places}: {whole}");
            assert_eq!(super::whole(whole), whole);
        }
        for doubled in [FEWEST_SENT, 2 * FEWEST_SENT, MOST_SENT / 2, MOST_SENT] {
            assert_eq!(whole(doubled), doubled);
        }
    }

    proptest! {
        /// Against all that was ever sent. A step: so many numbers on, or back where it was not sent yet, after so many milliseconds.
        #[test]
        fn what_was_sent_within_the_deadline_is_found_and_nothing_else(
            first in 65_536u64..1 << 33,
            steps in prop::collection::vec((prop_oneof![20 => 1i64..2, 2 => 2i64..40, 2 => -40i64..0, 1 => 1i64..5000], 0u64..20), 1..1500),
        ) {
            let (mut now, mut history) = (origin(), SentHistory::default());
            history.on_sent(now, sent(first), 100);
            let (mut highest, mut all) = (first, BTreeMap::from([(first, now)]));
            for (on, ms) in steps {
                now += Duration::from_millis(ms);
                let sequence = highest.saturating_add_signed(on);
                if all.contains_key(&sequence) {
                    continue;
                }
                highest = highest.max(sequence);
                history.on_sent(now, sent(sequence), 100);
                all.insert(sequence, now);
                // What comes late may find its place taken.
                if sequence < highest && place_of(&mut history.entries, history.first, sequence).is_none() {
                    all.remove(&sequence);
                }
            }
            prop_assert_eq!(history.highest(), highest);
            prop_assert!(history.entries.len() <= MOST_SENT);
            for sequence in highest.saturating_sub(3 * MOST_SENT as u64)..=highest + 20 {
                let kept = again(&mut history, now, sequence);
                match all.get(&sequence) {
                    Some(&at) if now - at <= DEADLINE && sequence + MOST_SENT as u64 > highest => {
                        prop_assert_eq!(kept, Ok(sent(sequence)));
                    }
                    _ => prop_assert!(kept.is_err(), "{}", sequence),
                }
            }
        }
    }
}
