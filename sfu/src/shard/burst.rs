//! Packets of one publication that came at once, on their way to its viewers.

use std::time::{Duration, Instant};

use crate::egress::SourcePacket;

/// What came since the shard was asked last what is to be sent. Each viewer is given all of it in turn, while what belongs to the viewer is at hand,
/// and it leaves in one send.
#[derive(Default)]
pub(super) struct Burst {
    /// The publisher's index in the shard, and the publication's in the publisher's list.
    source: Option<(usize, usize)>,
    packets: Vec<Passing>,
    /// A bit for each encoding whose last packet here is not the last of its picture.
    unfinished: u32,
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
        let bit = 1u32.checked_shl(passing.packet.encoding.into()).unwrap_or_default();
        if passing.packet.marker {
            self.unfinished &= !bit;
        } else {
            self.unfinished |= bit;
        }
        self.packets.push(passing);
    }

    /// Whose packets have come of a picture that is not whole, and when the rest has been waited for long enough: what a viewer has before the last
    /// packet of a picture shows nothing yet, and all of it in one send costs a fraction.
    pub(super) fn unfinished(&self) -> Option<((usize, usize), Instant)> {
        let first = self.packets.first()?;
        let goes_on = self.unfinished != 0 && self.packets.len() < MOST_PACKETS;
        goes_on.then_some((self.source?, first.packet.arrival + PATIENCE))
    }

    /// What there is, to be given [`back`](Self::give_back) for its memory.
    pub(super) fn take(&mut self) -> Option<((usize, usize), Vec<Passing>)> {
        self.unfinished = 0;
        Some((self.source.take()?, std::mem::take(&mut self.packets)))
    }

    pub(super) fn give_back(&mut self, mut packets: Vec<Passing>) {
        packets.clear();
        self.packets = packets;
    }
}

/// A browser has a picture's packets out within a tenth of this.
const PATIENCE: Duration = Duration::from_millis(1);
/// Enough for a picture; no more is kept from leaving.
const MOST_PACKETS: usize = 64;
