//! Redundant audio on its way in: the packet itself, and those before it that were lost.

use std::time::Instant;

use super::{Encoding, Held, PublicationState, Received, Taken};
use crate::codec::red::{RedBlock, RedPayload};
use crate::egress::SourcePacket;
use crate::ingress::Arrival;

impl PublicationState {
    /// Takes a packet with redundancy (RFC 2198). Lost ones that it carries once more come before it; the rest is had by
    /// [`release`](Self::release). `None` as for [`take`](Self::take), and when its blocks are not of the codec agreed on.
    #[inline]
    pub(in crate::shard) fn take_redundant(
        &mut self,
        now: Instant,
        index: u8,
        received: Received,
    ) -> Option<Taken> {
        let red = RedPayload::parse(&received.payload)?;
        let (codec, payload_type) = (self.info.codec, self.format.payload_type);
        if red.primary.payload_type != payload_type {
            return None;
        }
        let encoding = self.encodings.get_mut(usize::from(index))?;
        let Arrival::New { sequence } = encoding.stream.on_packet(now, received.sequence, received.timestamp)
        else {
            return None;
        };
        let round_trip = encoding.nacks.on_packet(now, sequence, false);
        let mut reconsider = false;
        // The blocks are those of the packets right before this one (RFC 2198 section 3 leaves it open; all senders do so).
        for (back, block) in (1..=red.earlier().len() as u64).rev().zip(red.earlier()) {
            if block.payload_type == payload_type
                && let Some(lost) = encoding.heal(now, sequence.saturating_sub(back), block, &received)
            {
                let (packet, news) = encoding.complete(index, codec, lost, None);
                encoding.healed.push_back(packet);
                reconsider |= news;
            }
        }
        let payload = received.payload.slice(red.primary.at);
        let held = Held { now, sequence, received: Received { payload, ..received } };
        let (packet, news) = encoding.complete(index, codec, held, None);
        Some(Taken { packet: Some(encoding.in_turn(packet)), reconsider: reconsider | news, round_trip })
    }
}

impl Encoding {
    /// The lost packet that a block is; `None` when it was not lost, or cannot be that one.
    #[inline]
    fn heal(&mut self, now: Instant, sequence: u64, block: &RedBlock, carrier: &Received) -> Option<Held> {
        if block.at.is_empty() || block.ticks == 0 {
            return None;
        }
        let timestamp = carrier.timestamp.wrapping_sub(block.ticks.into());
        // A sender that left one out would have it twice.
        let follows =
            |before: &SourcePacket| (1..1 << 31).contains(&timestamp.wrapping_sub(before.timestamp));
        let before = sequence.checked_sub(1).and_then(|before| self.history.lookup(before));
        if !before.is_none_or(follows) || !self.stream.on_healed(sequence) {
            return None;
        }
        self.nacks.on_packet(now, sequence, false);
        let received = Received {
            sequence: sequence as u16,
            timestamp,
            marker: false,
            audio_level: None,
            descriptor: bytes::Bytes::new(),
            payload: carrier.payload.slice(block.at.clone()),
            repaired: false,
        };
        Some(Held { now, sequence, received })
    }

    /// Puts a packet behind those that came with it; the first of all.
    #[inline]
    fn in_turn(&mut self, packet: SourcePacket) -> SourcePacket {
        match self.healed.pop_front() {
            Some(first) => {
                self.healed.push_back(packet);
                first
            }
            None => packet,
        }
    }
}
