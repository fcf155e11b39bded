//! What can be sent again: each slot's numbers for a publication's packets.

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
    /// By number, modulo their count: a power of two, as many as are sent before [`DEADLINE`], within bounds. None before the first packet.
    entries: Vec<Option<Kept>>,
    highest: Option<u64>,
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
        if self.entries.is_empty() {
            self.entries.resize(FEWEST_SENT, None);
            self.budget = BUDGET_AT_FIRST;
        }
        self.origin.get_or_insert(now);
        let now_ms = self.millis(now);
        let highest = self.highest.unwrap_or(0).max(sent.sequence);
        while self.drives_out(now_ms, sent.sequence, highest) {
            self.resize(self.entries.len() * 2);
        }
        if sent.worth == Worth::Key {
            self.on_key(&sent);
        }
        let at = self.at(sent.sequence);
        if at == 0 && self.has_too_many(now_ms, sent.sequence) {
            self.resize(self.entries.len() / 2);
        }
        let place = &mut self.entries[at];
        if place.is_none_or(|kept| kept.sequence(highest) <= sent.sequence) {
            *place = Some(Kept::new(now_ms, &sent, bytes));
            self.source = sent.source_sequence;
        }
        self.highest = Some(highest);
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
        let at = self.at(sequence.into());
        let (highest, wanted) = (self.highest.unwrap_or(0), self.extend(sequence));
        let now_ms = self.millis(now);
        let Some(entry) = self.entries.get_mut(at).and_then(Option::as_mut) else {
            // More than half of the numbers back is rather ahead.
            let long_ago = (FEWEST_SENT as u64..32_768).contains(&(highest - wanted));
            return Err(if long_ago { NotAgain::TooLate } else { NotAgain::Unknown });
        };
        let kept = entry.sequence(highest);
        if kept as u16 != sequence {
            // What stands in its place is newer, or still the one before it: that has not been sent yet.
            return Err(if kept > wanted { NotAgain::TooLate } else { NotAgain::Unknown });
        }
        let sent = entry.sent(highest, self.source);
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
        let (at, highest) = (self.at(sequence), self.highest.unwrap_or(0));
        let place = self.entries.get_mut(at);
        if let Some(entry) =
            place.and_then(Option::as_mut).filter(|entry| entry.sequence(highest) == sequence)
        {
            entry.copies = entry.copies.saturating_add(1);
        }
    }

    /// A repair was lost; whether it was the last one on its way.
    pub fn on_copy_lost(&mut self, sequence: u16) -> bool {
        let (at, highest) = (self.at(sequence.into()), self.highest.unwrap_or(0));
        let place = self.entries.get_mut(at).and_then(Option::as_mut);
        let Some(entry) = place.filter(|entry| entry.sequence(highest) as u16 == sequence) else {
            return false;
        };
        let last = entry.copies == 1;
        entry.copies = entry.copies.saturating_sub(1);
        last && entry.was_resent()
    }

    /// A 16-bit number of what was sent, extended: the last one that has these bits.
    pub fn extend(&self, sequence: u16) -> u64 {
        let highest = self.highest.unwrap_or(0);
        highest.saturating_sub(u64::from((highest as u16).wrapping_sub(sequence)))
    }

    /// What was sent `back` packets before the last one; `None` when that is not kept.
    pub fn recent(&self, back: usize) -> Option<Sent> {
        let highest = self.highest?;
        let sequence = highest.checked_sub(back as u64)?;
        let entry = self.entries.get(self.at(sequence))?.as_ref()?;
        (entry.sequence(highest) == sequence).then(|| entry.sent(highest, self.source))
    }

    /// Where a number is, or would be.
    #[inline]
    fn at(&self, sequence: u64) -> usize {
        sequence as usize & self.entries.len().saturating_sub(1)
    }

    /// Whether a new number takes the place of one that may still be asked for, and there could be more places.
    #[inline]
    fn drives_out(&self, now_ms: u32, sequence: u64, highest: u64) -> bool {
        let kept = self.entries[self.at(sequence)].as_ref();
        self.entries.len() < MOST_SENT
            && kept.is_some_and(|kept| kept.is_younger(now_ms, DEADLINE) && kept.sequence(highest) < sequence)
    }

    /// Whether half the places would do, and not only just: it was a burst that took so many. Looked at once in a round.
    fn has_too_many(&self, now_ms: u32, sequence: u64) -> bool {
        let half = self.entries.len() / 2;
        let opposite = self.entries.get(half).copied().flatten();
        half >= FEWEST_SENT
            && opposite.is_some_and(|kept| {
                kept.sequence(sequence) + half as u64 == sequence && kept.age(now_ms) > DEADLINE * 5 / 4
            })
    }

    /// Changes the number of places. Where there are fewer, what is newest stays.
    fn resize(&mut self, places: usize) {
        let highest = self.highest.unwrap_or(0);
        for entry in std::mem::replace(&mut self.entries, vec![None; places]).into_iter().flatten() {
            let sequence = entry.sequence(highest);
            let at = self.at(sequence);
            if self.entries[at].is_none_or(|kept| kept.sequence(highest) < sequence) {
                self.entries[at] = Some(entry);
            }
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
        self.entries.fill(None);
        self.highest = None;
        (self.key, self.broken) = (None, None);
    }
}

fn is_past(key: Option<(u64, u32)>, sent: &Sent) -> bool {
    key.is_some_and(|(first, _)| sent.sequence < first)
}

/// A second of sound. It and its doubles divide 65536, so that a 16-bit number finds its place.
const FEWEST_SENT: usize = 64;
/// A second of video at some 20 Mbit/s.
const MOST_SENT: usize = 2048;
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
const _: () =
    assert!(65_536 % MOST_SENT == 0 && MOST_SENT.is_power_of_two() && FEWEST_SENT.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn sent(sequence: u64) -> Sent {
        Sent { source_sequence: sequence + 7, ..crate::egress::tests::sent(sequence) }
    }

    #[test]
    fn the_numbers_of_a_burst_are_given_back_too() {
        let (origin, mut history) = (origin(), SentHistory::default());
        let again = |history: &mut SentHistory, now, sequence: u64| {
            let (sent, _) =
                history.resend(now, sequence as u16, Duration::ZERO, Copies { first: 1, later: 1 }, true)?;
            Ok::<_, NotAgain>((sent.sequence, sent.source_sequence))
        };
        (70_000..71_000).for_each(|sequence| history.on_sent(origin, sent(sequence), 100));
        assert_eq!(history.entries.len(), 1024);
        let mut now = origin;
        for sequence in 71_000..74_000 {
            now += Duration::from_millis(10);
            history.on_sent(now, sent(sequence), 100);
            let oldest = sequence - 100;
            if oldest.is_multiple_of(10) {
                assert_eq!(again(&mut history, now, oldest), Ok((oldest, oldest + 7)), "a second's are kept");
            }
        }
        assert_eq!(history.entries.len(), 128);
    }
}
