//! What can be sent again: a publisher's packets once, and each slot's numbers for them.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::{PayloadInfo, Vp8Ids};
use crate::rtp::AudioLevel;

/// One packet of a publisher, opened and read once, for all who get it.
#[derive(Clone, Debug)]
pub struct SourcePacket {
    /// Index of the encoding in its publication.
    pub encoding: u8,
    /// The extended sequence number.
    pub sequence: u64,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// The marker bit.
    pub marker: bool,
    /// When it arrived.
    pub arrival: Instant,
    /// How loud it is.
    pub audio_level: Option<AudioLevel>,
    /// What its payload says.
    pub info: PayloadInfo,
    /// Shared, not copied.
    pub payload: Bytes,
}

/// The last packets of one encoding.
#[derive(Clone, Debug)]
pub struct SourceHistory {
    /// The packet `sequence` lies at `sequence % len`.
    ring: Vec<Option<SourcePacket>>,
}

impl SourceHistory {
    /// Keeps so many packets, at least one; the memory is taken at once.
    pub fn new(packets: usize) -> Self {
        Self { ring: vec![None; packets.max(1)] }
    }

    /// Keeps a packet in place of the one a whole history older.
    #[inline]
    pub fn insert(&mut self, packet: SourcePacket) {
        let at = packet.sequence as usize % self.ring.len();
        if let Some(slot) = self.ring.get_mut(at)
            && slot.as_ref().is_none_or(|kept| kept.sequence <= packet.sequence)
        {
            *slot = Some(packet);
        }
    }

    /// The packet of this extended number, if it is still kept.
    #[inline]
    pub fn lookup(&self, sequence: u64) -> Option<&SourcePacket> {
        let kept = self.ring.get(sequence as usize % self.ring.len())?.as_ref()?;
        (kept.sequence == sequence).then_some(kept)
    }
}

/// Under which numbers a slot sent a source packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Index of the source's encoding.
    pub encoding: u8,
    /// The source's extended sequence number.
    pub source_sequence: u64,
    /// Ours.
    pub sequence: u64,
    /// Our timestamp.
    pub timestamp: u32,
    /// Our VP8 numbers.
    pub vp8: Option<Vp8Ids>,
}

/// The last packets a slot sent, and how much may be sent again.
///
/// Retransmissions stay within a quarter of what is sent, plus 8 kB/s so that a thin stream can be repaired too.
#[derive(Clone, Debug)]
pub struct SentHistory {
    /// Empty before the first packet: most slots never carry any.
    ring: Vec<Option<Entry>>,
    budget_bytes: usize,
    refilled: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sent: Sent,
    size: usize,
    last_resent: Option<Instant>,
}

impl Default for SentHistory {
    fn default() -> Self {
        Self { ring: Vec::new(), budget_bytes: MAX_BUDGET_BYTES / 4, refilled: None }
    }
}

impl SentHistory {
    /// A packet was sent for the first time, in a datagram of so many bytes.
    #[inline]
    pub fn on_sent(&mut self, sent: Sent, size: usize) {
        if self.ring.is_empty() {
            self.ring.resize(SENT_PACKETS, None);
        }
        if let Some(slot) = self.ring.get_mut(sent.sequence as usize % SENT_PACKETS)
            && slot.is_none_or(|kept| kept.sent.sequence <= sent.sequence)
        {
            *slot = Some(Entry { sent, size, last_resent: None });
        }
        self.budget_bytes = (self.budget_bytes + size / 4).min(MAX_BUDGET_BYTES);
    }

    /// What was sent under this number.
    pub fn lookup(&self, sequence: u16) -> Option<Sent> {
        let entry = self.ring.get(usize::from(sequence) % SENT_PACKETS)?.as_ref()?;
        (entry.sent.sequence as u16 == sequence).then_some(entry.sent)
    }

    /// What was sent under this number, if it may be sent again now: not within `pace` (at least 20 ms) of the last time, and within the
    /// budget. Counts as sent.
    pub fn resend(&mut self, now: Instant, sequence: u16, pace: Duration) -> Option<Sent> {
        let idle =
            self.refilled.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let refill = (idle.as_millis() as usize).saturating_mul(FLOOR_BYTES_PER_MILLISECOND);
        self.budget_bytes = self.budget_bytes.saturating_add(refill).min(MAX_BUDGET_BYTES);
        let entry = self.ring.get_mut(usize::from(sequence) % SENT_PACKETS)?.as_mut()?;
        let pace = pace.max(MIN_PACE);
        let soon = entry.last_resent.is_some_and(|last| now.saturating_duration_since(last) < pace);
        if entry.sent.sequence as u16 != sequence || soon || entry.size > self.budget_bytes {
            return None;
        }
        self.budget_bytes -= entry.size;
        entry.last_resent = Some(now);
        Some(entry.sent)
    }

    /// Forgets what was sent: the slot carries something else from now on.
    pub fn clear(&mut self) {
        self.ring.fill(None);
    }
}

/// A divisor of 65536, so that 16 bits of the number find the place. Two seconds of a fast stream at the least.
const SENT_PACKETS: usize = 1024;
const MAX_BUDGET_BYTES: usize = 256 * 1024;
const FLOOR_BYTES_PER_MILLISECOND: usize = 8;
const MIN_PACE: Duration = Duration::from_millis(20);
