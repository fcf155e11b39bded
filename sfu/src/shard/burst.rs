//! Packets of one publication that came at once, on their way to its viewers.

use std::time::Instant;

use crate::egress::SourcePacket;

/// What came since the shard was asked last what is to be sent. Each viewer is given all of it in turn, while what belongs to the viewer is at hand,
/// and it leaves in one send.
#[derive(Default)]
pub(super) struct Burst {
    /// The publisher's index in the shard, and the publication's in the publisher's list.
    source: Option<(usize, usize)>,
    packets: Vec<Passing>,
}

/// A packet on its way.
pub(super) struct Passing {
    pub(super) packet: SourcePacket,
    /// The instant that its timestamp means.
    pub(super) time: Instant,
    /// When it came, none of those after it had come.
    pub(super) newest: bool,
}

impl Burst {
    /// Whether a packet may be added: it is of the same publication, and each came in its order.
    pub(super) fn goes_on(&self, publisher: usize, at: usize) -> bool {
        self.source.is_none_or(|source| source == (publisher, at))
            && self.packets.len() < MOST_PACKETS
            && self.packets.last().is_none_or(|last| last.newest)
    }

    pub(super) fn push(&mut self, publisher: usize, at: usize, passing: Passing) {
        self.source = Some((publisher, at));
        self.packets.push(passing);
    }

    /// What there is, to be given [`back`](Self::give_back) for its memory.
    pub(super) fn take(&mut self) -> Option<((usize, usize), Vec<Passing>)> {
        Some((self.source.take()?, std::mem::take(&mut self.packets)))
    }

    pub(super) fn give_back(&mut self, mut packets: Vec<Passing>) {
        packets.clear();
        self.packets = packets;
    }
}

/// Enough for a picture; no more is kept from leaving.
const MOST_PACKETS: usize = 64;
