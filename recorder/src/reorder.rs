//! Puts packets back in order and says which are lost.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use simmer_sfu::sink::SinkPacket;

/// What comes out, in order of sequence numbers.
#[derive(Debug)]
pub(crate) enum Ordered {
    Packet(SinkPacket),
    /// One packet or more did not come in time.
    Lost,
}

/// Waits for retransmissions, within bounds of time and memory.
#[derive(Default)]
pub(crate) struct ReorderBuffer {
    next: Option<u64>,
    waiting: BTreeMap<u64, SinkPacket>,
    bytes: usize,
    late: u32,
}

impl ReorderBuffer {
    /// Takes a packet. One that comes after its place was given up is dropped, unless so many do that the
    /// sequence must have started anew.
    pub(crate) fn push(&mut self, packet: SinkPacket) {
        let next = *self.next.get_or_insert(packet.sequence);
        if packet.sequence < next {
            self.late = self.late.saturating_add(1);
            if self.late < LATE_UNTIL_RESTART {
                return;
            }
            self.waiting.clear();
            self.bytes = 0;
            self.next = Some(packet.sequence);
        }
        self.late = 0;
        self.bytes = self.bytes.saturating_add(packet.payload.len());
        if let Some(twice) = self.waiting.insert(packet.sequence, packet) {
            self.bytes = self.bytes.saturating_sub(twice.payload.len());
        }
    }

    /// The next packet, or that it is given up; `None` while it is worth waiting.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Ordered> {
        let next = self.next?;
        let entry = self.waiting.first_entry()?;
        let first = *entry.key();
        if first == next {
            let packet = entry.remove();
            self.bytes = self.bytes.saturating_sub(packet.payload.len());
            self.next = next.checked_add(1);
            return Some(Ordered::Packet(packet));
        }
        let expired = now.saturating_duration_since(entry.get().arrival) >= PATIENCE;
        if !expired && self.waiting.len() <= MAX_PACKETS && self.bytes <= MAX_BYTES {
            return None;
        }
        self.next = Some(first);
        Some(Ordered::Lost)
    }
}

/// How long a hole may stay open.
const PATIENCE: Duration = Duration::from_millis(500);
const MAX_PACKETS: usize = 2048;
const MAX_BYTES: usize = 8 << 20;
const LATE_UNTIL_RESTART: u32 = 256;
