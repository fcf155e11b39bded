//! What can be sent again: a publication's packets, shared by all its viewers, and each slot's numbers for them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::red::EarlierPayload;
use crate::codec::{PayloadInfo, PictureIds};
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

/// The last packets of one encoding.
#[derive(Debug)]
pub struct SourceHistory {
    packets: Vec<Option<SourcePacket>>,
    capacity: usize,
}

impl SourceHistory {
    /// Keeps at most `capacity` packets; each newer one takes the place of the one so many numbers before it.
    pub fn new(capacity: usize) -> Self {
        Self { packets: Vec::new(), capacity: capacity.max(1) }
    }

    /// Keeps a packet.
    #[inline]
    pub fn insert(&mut self, packet: SourcePacket) {
        let at = self.at(packet.sequence);
        if at >= self.packets.len() {
            self.packets.resize(self.capacity, None);
        }
        // One that comes late does not drive out what took its place.
        if self.packets[at].as_ref().is_none_or(|kept| kept.sequence <= packet.sequence) {
            self.packets[at] = Some(packet);
        }
    }

    /// Finds a packet that is still kept.
    pub fn lookup(&self, sequence: u64) -> Option<&SourcePacket> {
        self.packets.get(self.at(sequence))?.as_ref().filter(|packet| packet.sequence == sequence)
    }

    fn at(&self, sequence: u64) -> usize {
        (sequence % self.capacity as u64) as usize
    }
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
    entries: Vec<Option<Entry>>,
    highest: Option<u64>,
    /// Bytes that may still be spent on retransmissions; a share of what is sent is added.
    budget: usize,
    /// The last key frame's first number, and its timestamp.
    key: Option<(u64, u32)>,
    /// From this number on nothing can be decoded before another key frame.
    broken: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sent: Sent,
    bytes: u32,
    at: Instant,
    resent: Option<Instant>,
    /// Repairs sent whose loss was not reported.
    copies: u8,
}

impl SentHistory {
    /// Notes what was sent, and that it took so many bytes. A packet so late that a newer one has its place is not kept.
    #[inline]
    pub fn on_sent(&mut self, now: Instant, sent: Sent, bytes: usize) {
        if self.entries.is_empty() {
            self.entries.resize(FEWEST_SENT, None);
            self.budget = BUDGET_AT_FIRST;
        }
        while self.drives_out(now, sent.sequence) {
            self.grow();
        }
        if sent.worth == Worth::Key {
            self.on_key(&sent);
        }
        let at = self.at(sent.sequence);
        let place = &mut self.entries[at];
        if place.is_none_or(|kept| kept.sent.sequence <= sent.sequence) {
            *place = Some(Entry { sent, bytes: bytes as u32, at: now, resent: None, copies: 0 });
        }
        self.highest = self.highest.max(Some(sent.sequence));
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
        let Some(entry) = self.entries.get_mut(at).and_then(Option::as_mut) else {
            // More than half of the numbers back is rather ahead.
            let long_ago = (FEWEST_SENT as u64..32_768).contains(&(highest - wanted));
            return Err(if long_ago { NotAgain::TooLate } else { NotAgain::Unknown });
        };
        if entry.sent.sequence as u16 != sequence {
            // What stands in its place is newer, or still the one before it: that has not been sent yet.
            return Err(if entry.sent.sequence > wanted { NotAgain::TooLate } else { NotAgain::Unknown });
        }
        let worth = if self.broken.is_some_and(|broken| entry.sent.sequence >= broken)
            || is_past(self.key, &entry.sent)
        {
            Worth::Spare
        } else {
            entry.sent.worth
        };
        if now.saturating_duration_since(entry.at) > if asked { DEADLINE } else { DEADLINE_UNASKED } {
            return Err(self.give_up(wanted, worth, asked, NotAgain::TooLate));
        }
        let pace = pace.clamp(PACE_AT_LEAST, PACE_AT_MOST);
        if entry.resent.is_some_and(|at| now.duration_since(at) < pace) || !asked && entry.copies > 0 {
            return Err(NotAgain::JustSent);
        }
        // Further copies come out of what is to spare: the first one of another packet does more.
        let first = entry.resent.is_none() && worth < Worth::Key;
        let wished = if first { copies.first } else { copies.later };
        let copies = if self.budget < BUDGET_TO_SPARE { 1 } else { wished };
        let kept = match worth {
            Worth::Key => 0,
            // Without a key frame there is nothing to keep it for.
            Worth::Link => self.key.map_or(0, |_| KEPT_FOR_KEYS),
            Worth::Spare => BUDGET_TO_SPARE,
        };
        let bytes = entry.bytes as usize * copies;
        if self.budget < bytes + kept {
            return Err(self.give_up(wanted, worth, asked, NotAgain::OverBudget));
        }
        self.budget -= bytes;
        entry.resent = Some(now);
        Ok((entry.sent, copies))
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
        let at = self.at(sequence);
        let place = self.entries.get_mut(at);
        if let Some(entry) = place.and_then(Option::as_mut).filter(|entry| entry.sent.sequence == sequence) {
            entry.copies = entry.copies.saturating_add(1);
        }
    }

    /// A repair was lost; whether it was the last one on its way.
    pub fn on_copy_lost(&mut self, sequence: u16) -> bool {
        let at = self.at(sequence.into());
        let place = self.entries.get_mut(at).and_then(Option::as_mut);
        let Some(entry) = place.filter(|entry| entry.sent.sequence as u16 == sequence) else { return false };
        let last = entry.copies == 1;
        entry.copies = entry.copies.saturating_sub(1);
        last && entry.resent.is_some()
    }

    /// A 16-bit number of what was sent, extended: the last one that has these bits.
    pub fn extend(&self, sequence: u16) -> u64 {
        let highest = self.highest.unwrap_or(0);
        highest.saturating_sub(u64::from((highest as u16).wrapping_sub(sequence)))
    }

    /// What was sent `back` packets before the last one; `None` when that is not kept.
    pub fn recent(&self, back: usize) -> Option<Sent> {
        let sequence = self.highest?.checked_sub(back as u64)?;
        let entry = self.entries.get(self.at(sequence))?.as_ref()?;
        (entry.sent.sequence == sequence).then_some(entry.sent)
    }

    /// Where a number is, or would be.
    #[inline]
    fn at(&self, sequence: u64) -> usize {
        (sequence % self.entries.len().max(1) as u64) as usize
    }

    /// Whether a new number takes the place of one that may still be asked for, and there could be more places.
    #[inline]
    fn drives_out(&self, now: Instant, sequence: u64) -> bool {
        let kept = self.entries[self.at(sequence)];
        let young = |kept: Entry| now.saturating_duration_since(kept.at) <= DEADLINE;
        self.entries.len() < MOST_SENT
            && kept.is_some_and(|kept| kept.sent.sequence < sequence && young(kept))
    }

    fn grow(&mut self) {
        let more = vec![None; self.entries.len() * 2];
        for entry in std::mem::replace(&mut self.entries, more).into_iter().flatten() {
            let at = self.at(entry.sent.sequence);
            self.entries[at] = Some(entry);
        }
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
