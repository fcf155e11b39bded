//! What was sent and is not yet settled.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use crate::bandwidth::ProbeId;

/// The datagrams that feedback may still be about. Its memory is kept, so that a steady stream allocates nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct SentHistory {
    packets: VecDeque<Entry>,
    /// The number of the first one kept.
    first: u64,
    /// The most kept at once since the last round of numbers.
    most: usize,
}

/// One datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentPacket {
    /// When it left, in microseconds since the estimator began.
    pub(super) sent_us: i64,
    /// UDP payload.
    pub(super) bytes: u32,
    /// What it is part of.
    pub(super) probe: Option<ProbeId>,
}

/// One datagram as it is kept: each viewer has hundreds.
#[derive(Clone, Copy, Debug)]
struct Entry {
    sent_us: i64,
    /// The probe's number and 1 more.
    probe: Option<NonZeroU32>,
    /// No datagram has more than this counts.
    bytes: u16,
    fate: Fate,
}

const _: () = assert!(size_of::<Entry>() == 16);

/// What a report about a datagram told that was not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// It arrived.
    Arrived,
    /// It arrived, though it was reported missing.
    ArrivedAfterAll,
    /// It is missing.
    Missing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Its number was never used.
    Skipped,
    InFlight,
    Missing,
    Arrived,
}

impl SentHistory {
    /// Keeps a datagram. One whose number is not above all others is ignored.
    pub(super) fn push(&mut self, number: u64, sent_us: i64, bytes: u32, probe: Option<ProbeId>) {
        let skipped = match number.checked_sub(self.end()) {
            Some(skipped) if skipped < CAPACITY as u64 && !self.packets.is_empty() => skipped,
            // The first one, or a leap.
            Some(_) => {
                self.packets.clear();
                self.first = number;
                0
            }
            None => return,
        };
        let gap = Entry { sent_us, bytes: 0, probe: None, fate: Fate::Skipped };
        self.packets.extend((0..skipped).map(|_| gap));
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        let probe = probe.and_then(|ProbeId(id)| NonZeroU32::new(id.wrapping_add(1)));
        self.packets.push_back(Entry { sent_us, bytes, probe, fate: Fate::InFlight });
        self.forget(sent_us);
        self.most = self.most.max(self.packets.len());
        if number.is_multiple_of(ROUND) {
            // The memory of a beginning without feedback, or of a bad time. Twice as much is kept, or it would come and go.
            if self.most * 4 <= self.packets.capacity() {
                self.packets.shrink_to(self.most * 2);
            }
            self.most = 0;
        }
    }

    /// How many are kept, up to the last one sent.
    pub(super) fn len(&self) -> usize {
        self.packets.len()
    }

    /// The number after the last one sent.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(self.packets.len() as u64)
    }

    /// The number sent last that has these low 16 bits; `None` if it is not kept.
    pub(super) fn extend(&self, number: u16) -> Option<u64> {
        let last = self.end().checked_sub(1)?;
        let behind = (last as u16).wrapping_sub(number);
        last.checked_sub(u64::from(behind)).filter(|&number| number >= self.first)
    }

    /// A report says of a datagram whether it arrived; `None` if that is no news.
    pub(super) fn settle(&mut self, number: u64, arrived: bool) -> Option<(SentPacket, News)> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let packet = self.packets.get_mut(at)?;
        let (fate, news) = match (packet.fate, arrived) {
            (Fate::InFlight, true) => (Fate::Arrived, News::Arrived),
            (Fate::Missing, true) => (Fate::Arrived, News::ArrivedAfterAll),
            (Fate::InFlight, false) => (Fate::Missing, News::Missing),
            _ => return None,
        };
        packet.fate = fate;
        let Entry { sent_us, bytes, probe, .. } = *packet;
        let probe = probe.map(|probe| ProbeId(probe.get() - 1));
        Some((SentPacket { sent_us, bytes: bytes.into(), probe }, news))
    }

    /// Lets go of what is settled, and of what is too old or too much.
    fn forget(&mut self, now_us: i64) {
        while let Some(front) = self.packets.front() {
            let age = now_us.saturating_sub(front.sent_us);
            let keep = match front.fate {
                Fate::Arrived | Fate::Skipped => false,
                Fate::Missing => age < MISSING_KEPT_US,
                Fate::InFlight => age < IN_FLIGHT_KEPT_US,
            };
            // The last one stays: it says which number is next.
            if self.packets.len() <= 1 || keep && self.packets.len() <= CAPACITY {
                return;
            }
            self.packets.pop_front();
            self.first = self.first.saturating_add(1);
        }
    }
}

/// Datagrams: what 50 Mbit/s send in more than a second.
pub(super) const CAPACITY: usize = 8192;
/// Numbers: longer than feedback takes.
const ROUND: u64 = 512;
const MISSING_KEPT_US: i64 = 2_000_000;
const IN_FLIGHT_KEPT_US: i64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fate_is_told_once() {
        let mut history = SentHistory::default();
        for number in 65_534..65_540 {
            history.push(number, 0, 100, None);
        }
        assert_eq!(history.extend(65_535), Some(65_535));
        assert_eq!(history.extend(3), Some(65_539));
        assert_eq!(history.extend(4), None, "not sent yet");
        assert_eq!(history.extend(65_533), None, "before the first");
        let mut news = |number, arrived| history.settle(number, arrived).map(|(_, news)| news);
        assert_eq!(news(65_535, true), Some(News::Arrived));
        assert_eq!(news(65_535, true), None);
        assert_eq!(news(65_535, false), None);
        assert_eq!(news(65_536, false), Some(News::Missing));
        assert_eq!(news(65_536, false), None);
        assert_eq!(news(65_536, true), Some(News::ArrivedAfterAll));
        assert_eq!(news(65_540, true), None);
        assert_eq!(news(0, true), None);
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut history = SentHistory::default();
        for (number, probe) in [None, Some(ProbeId(0)), Some(ProbeId(70_000))].into_iter().enumerate() {
            let (sent_us, bytes) = (-7 + number as i64, 1200 + number as u32);
            history.push(number as u64, sent_us, bytes, probe);
            let packet = history.settle(number as u64, true).map(|(packet, _)| packet);
            let SentPacket { sent_us: at, bytes: took, probe: part_of } = packet.expect("it is kept");
            assert_eq!((at, took, part_of), (sent_us, bytes, probe));
        }
    }

    #[test]
    fn memory_is_given_back_when_feedback_comes() {
        let mut history = SentHistory::default();
        for number in 0..6000 {
            history.push(number, 0, 100, None);
            if number >= 2000 {
                history.settle(number - 2000, true);
                history.settle(number - 30, true);
            }
        }
        assert!((30..128).contains(&history.packets.capacity()), "{}", history.packets.capacity());
    }

    #[test]
    fn it_is_bounded_and_leaps_start_over() {
        let mut history = SentHistory::default();
        for number in 0..20_000 {
            history.push(number, 0, 100, None);
        }
        assert!(history.packets.len() <= CAPACITY + 1);
        history.push(20_010, 0, 100, None);
        assert_eq!(history.settle(20_005, true).map(|(_, news)| news), None, "skipped");
        assert_eq!(history.settle(20_010, true).map(|(_, news)| news), Some(News::Arrived));
        history.push(u64::MAX - 1, 0, 100, None);
        assert_eq!(history.packets.len(), 1);
        history.push(7, 0, 100, None);
        assert_eq!(history.end(), u64::MAX);
        history.push(u64::MAX, IN_FLIGHT_KEPT_US, 100, None);
        assert_eq!(history.packets.len(), 1, "the old one went");
    }
}
