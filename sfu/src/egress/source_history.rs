//! A publication's last packets, shared by all its viewers.

use std::time::Duration;

use crate::egress::SourcePacket;

/// The last packets of one encoding, those of two seconds: what is older nobody asks for, and it would keep the memory of all that came
/// around it.
#[derive(Debug)]
pub struct SourceHistory {
    /// By number, modulo their count. None before the first packet.
    packets: Vec<Option<SourcePacket>>,
    /// No number before is kept.
    first: u64,
    capacity: usize,
}

impl SourceHistory {
    /// Keeps at most `capacity` packets; each newer one takes the place of the one so many numbers before it.
    pub fn new(capacity: usize) -> Self {
        Self { packets: Vec::new(), first: 0, capacity: capacity.max(1) }
    }

    /// Keeps a packet.
    #[inline]
    pub fn insert(&mut self, packet: SourcePacket) {
        if self.packets.is_empty() {
            self.packets.resize(FEWEST_KEPT.min(self.capacity), None);
            self.first = packet.sequence;
        }
        self.forget(&packet);
        while self.drives_out(&packet) {
            self.resize((self.packets.len() * 2).min(self.capacity));
        }
        let at = self.at(packet.sequence);
        // One that comes late does not drive out what took its place.
        if self.packets[at].as_ref().is_none_or(|kept| kept.sequence <= packet.sequence) {
            self.first = self.first.min(packet.sequence);
            self.packets[at] = Some(packet);
        }
    }

    /// Finds a packet that is still kept.
    pub fn lookup(&self, sequence: u64) -> Option<&SourcePacket> {
        self.packets.get(self.at(sequence))?.as_ref().filter(|packet| packet.sequence == sequence)
    }

    fn at(&self, sequence: u64) -> usize {
        (sequence % self.packets.len().max(1) as u64) as usize
    }

    /// Lets go of what is too old now that a packet has come, a few at a time, and of places that only a burst needed.
    #[inline]
    fn forget(&mut self, newest: &SourcePacket) {
        let places = self.packets.len() as u64;
        self.first = self.first.max(newest.sequence.saturating_sub(places));
        for _ in 0..FORGOTTEN_AT_ONCE {
            let at = self.at(self.first);
            let kept = self.packets[at].as_ref().filter(|kept| kept.sequence == self.first);
            if self.first >= newest.sequence || kept.is_some_and(|kept| is_young(kept, newest)) {
                break;
            }
            if kept.is_some() {
                self.packets[at] = None;
            }
            self.first += 1;
        }
        let used = newest.sequence.saturating_sub(self.first);
        if newest.sequence.is_multiple_of(places) && used * 4 < places && places > FEWEST_KEPT as u64 {
            self.resize(self.packets.len() / 2);
        }
    }

    /// Whether a packet takes the place of one that may still be asked for, and there could be more places.
    #[inline]
    fn drives_out(&self, packet: &SourcePacket) -> bool {
        let kept = self.packets[self.at(packet.sequence)].as_ref();
        self.packets.len() < self.capacity
            && kept.is_some_and(|kept| kept.sequence < packet.sequence && is_young(kept, packet))
    }

    fn resize(&mut self, places: usize) {
        for packet in std::mem::replace(&mut self.packets, vec![None; places]).into_iter().flatten() {
            let at = self.at(packet.sequence);
            if self.packets[at].as_ref().is_none_or(|kept| kept.sequence < packet.sequence) {
                self.packets[at] = Some(packet);
            }
        }
    }
}

fn is_young(kept: &SourcePacket, newest: &SourcePacket) -> bool {
    newest.arrival.saturating_duration_since(kept.arrival) <= KEPT
}

/// Longer than anything is sent again ([`SentHistory`](crate::egress::SentHistory)), or begun with by who comes.
const KEPT: Duration = Duration::from_secs(2);
const FEWEST_KEPT: usize = 64;
/// More than one, so that what came in a burst goes.
const FORGOTTEN_AT_ONCE: usize = 4;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;
    use crate::codec::PayloadInfo;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn packet(sequence: u64, arrival: Instant) -> SourcePacket {
        SourcePacket {
            encoding: 0,
            sequence,
            timestamp: 0,
            marker: false,
            arrival,
            audio_level: None,
            info: PayloadInfo::default(),
            descriptor: Bytes::new(),
            payload: Bytes::from_static(b"payload"),
            earlier: None,
        }
    }

    #[test]
    fn what_came_within_two_seconds_is_kept_and_nothing_else() {
        // Packets a second: of a sound, of a picture, of a good one, of more than is kept.
        for rate in [20, 200, 500, 4000_u64] {
            let (origin, mut history) = (origin(), SourceHistory::new(1024));
            for number in 0..rate * 4 {
                let now = origin + Duration::from_micros(number * 1_000_000 / rate);
                history.insert(packet(70_000 + number, now));
                let kept = history.packets.iter().flatten().count() as u64;
                assert!(kept <= (rate * 2 + 1).min(1024), "{kept} of {rate} a second");
                let oldest = (70_000 + number).saturating_sub((rate * 2).min(1023)).max(70_000);
                assert!(history.lookup(oldest).is_some(), "{oldest} after {number} of {rate} a second");
            }
        }
    }

    #[test]
    fn the_places_of_a_burst_are_given_back() {
        let (origin, mut history) = (origin(), SourceHistory::new(1024));
        (0..900).for_each(|number| history.insert(packet(70_000 + number, origin)));
        assert_eq!(history.packets.len(), 1024);
        for number in 900..4000 {
            history.insert(packet(70_000 + number, origin + Duration::from_millis(20 * (number - 899))));
        }
        assert_eq!(history.packets.len(), 256, "a hundred are kept");
    }

    #[test]
    fn a_leap_and_a_late_packet_are_taken() {
        let (origin, mut history) = (origin(), SourceHistory::new(256));
        for sequence in [70_000, 200_000, 199_990, 1 << 47, 70_000] {
            history.insert(packet(sequence, origin));
        }
        assert!(history.lookup(199_990).is_some() && history.lookup(1 << 47).is_some());
    }
}
