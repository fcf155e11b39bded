//! A publication's last packets, shared by all its viewers.

use std::time::{Duration, Instant};

use crate::egress::SourcePacket;

/// The last packets of one encoding, those of two seconds, within a bound of bytes: what is older nobody asks for, and it would keep the memory of all
/// that came around it.
#[derive(Debug)]
pub struct SourceHistory {
    /// By number, modulo their count. None before the first packet.
    packets: Vec<Option<SourcePacket>>,
    /// No number before is kept.
    first: u64,
    /// The highest number.
    newest: u64,
    /// What all of them carry.
    bytes: usize,
    most_bytes: usize,
}

impl SourceHistory {
    /// Keeps packets that carry at most so many bytes together; what is more takes the place of the oldest. Small packets are kept one for each KiB of
    /// that at most.
    pub fn new(most_bytes: usize) -> Self {
        Self { packets: Vec::new(), first: 0, newest: 0, bytes: 0, most_bytes }
    }

    /// Keeps a packet.
    #[inline]
    pub fn insert(&mut self, packet: SourcePacket) {
        if self.packets.is_empty() {
            self.packets.resize(FEWEST_KEPT.min(self.most_places()), None);
            (self.first, self.newest) = (packet.sequence, packet.sequence);
        }
        self.forget(&packet);
        while self.drives_out(&packet) {
            self.resize((self.packets.len() * 2).min(self.most_places()));
        }
        self.newest = self.newest.max(packet.sequence);
        let at = self.at(packet.sequence);
        // One that comes late does not drive out what took its place.
        if self.packets[at].as_ref().is_none_or(|kept| kept.sequence <= packet.sequence) {
            self.first = self.first.min(packet.sequence);
            self.let_go(at);
            self.bytes += bytes_of(&packet);
            self.packets[at] = Some(packet);
        }
        if self.bytes > self.most_bytes {
            self.shorten();
        }
    }

    /// Finds a packet that is still kept.
    pub fn lookup(&self, sequence: u64) -> Option<&SourcePacket> {
        self.packets.get(self.at(sequence))?.as_ref().filter(|packet| packet.sequence == sequence)
    }

    /// Lets go of everything once nothing has come for two seconds.
    pub fn expire(&mut self, now: Instant) {
        if self.lookup(self.newest).is_some_and(|newest| !is_young(newest, now)) {
            *self = Self::new(self.most_bytes);
        }
    }

    fn at(&self, sequence: u64) -> usize {
        (sequence % self.packets.len().max(1) as u64) as usize
    }

    fn most_places(&self) -> usize {
        (self.most_bytes / BYTES_PER_PLACE).max(1)
    }

    /// Lets go of what is too old now that a packet has come, a few at a time, and of places that only a burst needed.
    #[inline]
    fn forget(&mut self, newest: &SourcePacket) {
        let places = self.packets.len() as u64;
        self.first = self.first.max(newest.sequence.saturating_sub(places));
        for _ in 0..FORGOTTEN_AT_ONCE {
            let at = self.at(self.first);
            let kept = self.packets[at].as_ref().filter(|kept| kept.sequence == self.first);
            if self.first >= newest.sequence || kept.is_some_and(|kept| is_young(kept, newest.arrival)) {
                break;
            }
            if kept.is_some() {
                self.let_go(at);
            }
            self.first += 1;
        }
        let used = newest.sequence.saturating_sub(self.first);
        if newest.sequence.is_multiple_of(places) && used * 4 < places && places > FEWEST_KEPT as u64 {
            self.resize(self.packets.len() / 2);
        }
    }

    /// Lets go of the oldest until what is left is not too much. The newest stays.
    fn shorten(&mut self) {
        self.first = self.first.max((self.newest + 1).saturating_sub(self.packets.len() as u64));
        while self.bytes > self.most_bytes && self.first < self.newest {
            // Whatever is there is no newer.
            self.let_go(self.at(self.first));
            self.first += 1;
        }
    }

    fn let_go(&mut self, at: usize) {
        if let Some(packet) = self.packets[at].take() {
            self.bytes -= bytes_of(&packet);
        }
    }

    /// Whether a packet takes the place of one that may still be asked for, and there could be more places.
    #[inline]
    fn drives_out(&self, packet: &SourcePacket) -> bool {
        let kept = self.packets[self.at(packet.sequence)].as_ref();
        self.packets.len() < self.most_places()
            && kept.is_some_and(|kept| kept.sequence < packet.sequence && is_young(kept, packet.arrival))
    }

    fn resize(&mut self, places: usize) {
        self.bytes = 0;
        for packet in std::mem::replace(&mut self.packets, vec![None; places]).into_iter().flatten() {
            let at = self.at(packet.sequence);
            if self.packets[at].as_ref().is_none_or(|kept| kept.sequence < packet.sequence) {
                self.let_go(at);
                self.bytes += bytes_of(&packet);
                self.packets[at] = Some(packet);
            }
        }
    }
}

fn bytes_of(packet: &SourcePacket) -> usize {
    packet.payload.len() + packet.descriptor.len()
}

fn is_young(kept: &SourcePacket, now: Instant) -> bool {
    now.saturating_duration_since(kept.arrival) <= KEPT
}

/// Longer than anything is sent again ([`SentHistory`](crate::egress::SentHistory)), or begun with by who comes.
const KEPT: Duration = Duration::from_secs(2);
const FEWEST_KEPT: usize = 64;
/// More than one, so that what came in a burst goes.
const FORGOTTEN_AT_ONCE: usize = 4;
/// A place takes a fifth of that itself.
const BYTES_PER_PLACE: usize = 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::PayloadInfo;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    const KIB: usize = 1024;

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
            let (origin, mut history) = (origin(), SourceHistory::new(1024 * KIB));
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
        let (origin, mut history) = (origin(), SourceHistory::new(1024 * KIB));
        (0..900).for_each(|number| history.insert(packet(70_000 + number, origin)));
        assert_eq!(history.packets.len(), 1024);
        for number in 900..4000 {
            history.insert(packet(70_000 + number, origin + Duration::from_millis(20 * (number - 899))));
        }
        assert_eq!(history.packets.len(), 256, "a hundred are kept");
    }

    #[test]
    fn a_leap_and_a_late_packet_are_taken() {
        let (origin, mut history) = (origin(), SourceHistory::new(256 * KIB));
        for sequence in [70_000, 200_000, 199_990, 1 << 47, 70_000] {
            history.insert(packet(sequence, origin));
        }
        assert!(history.lookup(199_990).is_some() && history.lookup(1 << 47).is_some());
    }

    /// As many as the bytes kept are found again, the newest ones, whatever their sizes and numbers do.
    #[test]
    fn a_good_line_keeps_two_seconds_and_a_flood_no_more_bytes_than_allowed() {
        const MOST: usize = 16 * KIB * KIB;
        let large = |sequence, arrival, len| SourcePacket {
            payload: Bytes::from_static(&[7; 1400]).slice(..len),
            ..packet(sequence, arrival)
        };
        // Megabits a second, of packets of 1200 bytes; what is kept of two seconds.
        for (rate, kept) in [(8, 2.0), (50, 2.0), (200, 16.0 * 1.048 * 8.0 / 200.0)] {
            let (origin, mut history) = (origin(), SourceHistory::new(MOST));
            let each = Duration::from_nanos(9_600_000 / rate);
            let last = (Duration::from_secs(4).as_nanos() / each.as_nanos()) as u64;
            for number in 0..=last {
                history.insert(large(70_000 + number, origin + each * number as u32, 1200));
                assert!(history.bytes <= MOST);
            }
            let found =
                (0..=last).rev().take_while(|number| history.lookup(70_000 + number).is_some()).count();
            let time = each.as_secs_f64() * found as f64;
            assert!((time - kept).abs() < 0.01, "{time} s at {rate} Mbit/s");
        }
        let (origin, mut history) = (origin(), SourceHistory::new(64 * KIB));
        let mut sequence = 70_000_u64;
        for step in 0..20_000_u64 {
            // Leaps, late ones, repetitions, sizes of all sorts.
            sequence = match step % 97 {
                13 => sequence + 700,
                51 => sequence - 30,
                88 => sequence + (1 << 40),
                _ => sequence + 1,
            };
            let len = (step * 131 % 1400) as usize;
            history.insert(large(sequence, origin + Duration::from_micros(step * 100), len));
            let kept = history.packets.iter().flatten().map(|packet| packet.payload.len()).sum::<usize>();
            assert_eq!(history.bytes, kept);
            assert!(kept <= 64 * KIB && history.packets.len() <= 64, "{kept} bytes after {step}");
        }
    }

    #[test]
    fn who_pauses_keeps_nothing() {
        let (origin, mut history) = (origin(), SourceHistory::new(1024 * KIB));
        (0..10)
            .for_each(|number| history.insert(packet(70_000 + number, origin + KEPT / 10 * number as u32)));
        history.expire(origin + KEPT);
        assert!(history.lookup(70_000).is_some(), "not yet");
        history.expire(origin + KEPT * 2);
        assert!(history.packets.is_empty() && history.lookup(70_009).is_none());
        history.insert(packet(70_010, origin + KEPT * 3));
        assert!(history.lookup(70_010).is_some());
    }
}
