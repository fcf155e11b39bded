//! What can be sent again: a publication's packets, shared by all its viewers, and each slot's numbers for them.

use std::time::{Duration, Instant};

use bytes::Bytes;

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
}

/// The last numbers of one slot, and how much of it may be sent again.
#[derive(Debug, Default)]
pub struct SentHistory {
    /// By number, modulo [`SENT_PACKETS`]; empty before the first packet.
    entries: Vec<Option<Entry>>,
    /// Bytes that may still be spent on retransmissions; a share of what is sent is added.
    budget: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sent: Sent,
    bytes: u32,
    resent: Option<Instant>,
}

impl SentHistory {
    /// Notes what was sent, and that it took so many bytes. A packet so late that a newer one has its place is not kept.
    #[inline]
    pub fn on_sent(&mut self, sent: Sent, bytes: usize) {
        if self.entries.is_empty() {
            self.entries.resize(SENT_PACKETS, None);
            self.budget = BUDGET_AT_FIRST;
        }
        let place = &mut self.entries[(sent.sequence % SENT_PACKETS as u64) as usize];
        if place.is_none_or(|kept| kept.sent.sequence <= sent.sequence) {
            *place = Some(Entry { sent, bytes: bytes as u32, resent: None });
        }
        self.budget = (self.budget + bytes / BUDGET_SHARE).min(BUDGET_AT_MOST);
    }

    /// What was sent under a number, if it may be sent again: not within `pace` of the last time, and within the budget.
    pub fn resend(&mut self, now: Instant, sequence: u16, pace: Duration) -> Option<Sent> {
        let at = usize::from(sequence) % SENT_PACKETS;
        let entry = self.entries.get_mut(at)?.as_mut()?;
        if entry.sent.sequence as u16 != sequence {
            return None;
        }
        let pace = pace.clamp(PACE_AT_LEAST, PACE_AT_MOST);
        if entry.resent.is_some_and(|at| now.duration_since(at) < pace) {
            return None;
        }
        self.budget = self.budget.checked_sub(entry.bytes as usize)?;
        entry.resent = Some(now);
        Some(entry.sent)
    }

    /// Forgets all numbers: what they stood for is shown no more. The budget stays what it is.
    pub fn clear(&mut self) {
        self.entries.fill(None);
    }
}

/// Two seconds of video at some 2.5 Mbit/s. Divides 65536, so that a 16-bit number finds its place.
const SENT_PACKETS: usize = 512;
/// A quarter of what is sent may be sent again.
const BUDGET_SHARE: usize = 4;
/// So that a loss right at the beginning can be repaired.
const BUDGET_AT_FIRST: usize = 64 * 1024;
/// After a long quiet time a burst of requests is bounded by this.
const BUDGET_AT_MOST: usize = 512 * 1024;
const PACE_AT_LEAST: Duration = Duration::from_millis(15);
const PACE_AT_MOST: Duration = Duration::from_millis(200);
const _: () = assert!(65_536 % SENT_PACKETS == 0);
