//! Packets that came at once, on their way to their viewers.

use std::time::{Duration, Instant};

use crate::egress::SourcePacket;

/// What came since the shard was asked last what is to be sent. Each viewer of a publication is given all of a section in turn, while what belongs to the
/// viewer is at hand, and it leaves in one send.
#[derive(Default)]
pub(super) struct Burst {
    packets: Vec<Passing>,
    sections: Vec<Section>,
}

/// Packets of one publication that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Section {
    /// The publisher's index in the shard, and the publication's in the publisher's list.
    pub(super) source: (usize, usize),
    /// Of these packets, by their places.
    start: usize,
    end: usize,
    /// A bit for each encoding whose last packet here is not the last of its picture.
    unfinished: u32,
    /// Until when the rest of a picture is waited for.
    until: Instant,
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
    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Whether a packet may be added: there is room, and each came in its order.
    pub(super) fn goes_on(&self) -> bool {
        self.packets.len() < MOST_PACKETS && self.packets.last().is_none_or(|last| last.newest)
    }

    pub(super) fn push(&mut self, source: (usize, usize), passing: Passing) {
        let bit = 1u32.checked_shl(passing.packet.encoding.into()).unwrap_or_default();
        let (at, until) = (self.packets.len(), passing.packet.arrival + PATIENCE);
        if self.sections.last().is_none_or(|last| last.source != source) {
            self.sections.push(Section { source, start: at, end: at, unfinished: 0, until });
        }
        if let Some(section) = self.sections.last_mut() {
            section.end = at + 1;
            section.unfinished =
                if passing.packet.marker { section.unfinished & !bit } else { section.unfinished | bit };
        }
        self.packets.push(passing);
    }

    /// The sections, in the order they came.
    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// What there is, to be [given back](Self::give_back) for its memory.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    pub(super) fn of(&self, section: &Section) -> &[Passing] {
        self.packets.get(section.start..section.end).unwrap_or_default()
    }

    /// Its memory is used again.
    pub(super) fn give_back(&mut self, mut taken: Self) {
        taken.packets.clear();
        taken.sections.clear();
        *self = taken;
    }
}

impl Section {
    /// Until when the rest of its picture is waited for, if that has not come: what a viewer has before the last packet of a picture shows nothing yet,
    /// and all of it in one send costs a fraction.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        let goes_on = self.unfinished != 0 && self.end < MOST_PACKETS;
        goes_on.then_some(self.until)
    }
}

/// A browser has a picture's packets out within a tenth of this.
const PATIENCE: Duration = Duration::from_millis(1);
/// Enough for a picture; no more is kept from leaving.
const MOST_PACKETS: usize = 64;
