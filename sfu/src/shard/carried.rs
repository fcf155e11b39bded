//! What each transport-wide number carried, so that feedback tells which packet was lost.
//!
//! A request for repair can be lost like any packet. So a packet that feedback says is missing, and that nobody asked for a moment later, is sent again
//! unasked; so is one whose repair was lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::id::Ssrc;

/// The last datagrams of one line that can be sent again, and those of them that are to be.
#[derive(Default)]
pub(super) struct Carried {
    /// By number, modulo their count: as many as feedback may still be about, within bounds; empty before the first.
    ring: Vec<Option<(u16, Packet)>>,
    /// The most of them at once since the ring began anew.
    most: usize,
    /// When to send again what was reported missing, unless that was done by then.
    lost: VecDeque<(Instant, Packet)>,
}

/// A packet of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packet {
    /// The slot's.
    pub(super) ssrc: Ssrc,
    /// The slot's number for it.
    pub(super) sequence: u16,
    /// It was sent before.
    pub(super) again: bool,
}

impl Carried {
    /// A packet was sent under this transport-wide number; it is one of so many that feedback may still be about, which follow each other.
    #[inline]
    pub(super) fn note(&mut self, number: u16, packet: Packet, unsettled: usize) {
        self.most = self.most.max(unsettled);
        let needed = self.most.clamp(FEWEST_CARRIED, CARRIED).next_power_of_two();
        if needed > self.ring.len() {
            self.resize(needed);
        } else if self.at(number) == 0 {
            // A round shows what is needed. Twice as much stays where it is, or it would come and go.
            if needed * 4 <= self.ring.len() {
                self.resize(needed);
            }
            self.most = unsettled;
        }
        let at = self.at(number);
        self.ring[at] = Some((number, packet));
    }

    /// Where a number is: their count is a power of two.
    #[inline]
    fn at(&self, number: u16) -> usize {
        usize::from(number) & self.ring.len().saturating_sub(1)
    }

    fn resize(&mut self, places: usize) {
        for (number, packet) in std::mem::replace(&mut self.ring, vec![None; places]).into_iter().flatten() {
            let at = self.at(number);
            let newer = |kept: u16| (number.wrapping_sub(kept) as i16) > 0;
            if self.ring[at].is_none_or(|(kept, _)| newer(kept)) {
                self.ring[at] = Some((number, packet));
            }
        }
    }

    /// What is reported missing under a number; each once.
    pub(super) fn take(&mut self, number: u16) -> Option<Packet> {
        let at = self.at(number);
        let place = self.ring.get_mut(at)?;
        let (_, packet) = place.filter(|(of, _)| *of == number)?;
        *place = None;
        Some(packet)
    }

    /// A packet is to be sent again unless somebody asks for it soon. Beyond [`MOST_LOST`] the line is down, and the oldest are let go.
    pub(super) fn miss(&mut self, now: Instant, packet: Packet) {
        if self.lost.len() == MOST_LOST {
            self.lost.pop_front();
        }
        self.lost.push_back((now + ASKED_WITHIN, packet));
    }

    /// The next packet whose time has come.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Packet> {
        self.lost.pop_front_if(|(at, _)| *at <= now).map(|(_, packet)| packet)
    }

    /// When [`poll`](Self::poll) has something.
    #[inline]
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.lost.front().map(|(at, _)| *at)
    }
}

/// What 8 Mbit/s send in a second. Divides 65536.
const CARRIED: usize = 1024;
const FEWEST_CARRIED: usize = 64;
const _: () = assert!(65_536 % CARRIED == 0 && CARRIED.is_power_of_two() && FEWEST_CARRIED.is_power_of_two());
const MOST_LOST: usize = 256;
/// A request leaves the client before the feedback does, and jitter lets it come so much later.
const ASKED_WITHIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    fn packet(sequence: u16) -> Packet {
        Packet { ssrc: Ssrc(7), sequence, again: false }
    }

    #[test]
    fn each_number_is_told_once_and_the_old_ones_are_forgotten() {
        let mut carried = Carried::default();
        assert_eq!(carried.take(3), None);
        for number in 65_000..=65_535 {
            carried.note(number, packet(number), CARRIED);
        }
        for number in 0..600 {
            carried.note(number, packet(number), CARRIED);
        }
        let told = [65_000, 65_535, 599, 599, 600].map(|number| carried.take(number));
        assert_eq!(told, [None, Some(packet(65_535)), Some(packet(599)), None, None]);
    }

    #[test]
    fn what_feedback_may_be_about_is_kept_and_the_memory_of_more_given_back() {
        let mut carried = Carried::default();
        let mut sent = 0;
        for unsettled in [30, 64, 65, 700, 3000, 200, 30] {
            for noted in 1..5000 {
                carried.note(sent as u16, packet(sent as u16), unsettled);
                sent += 1;
                let oldest = (sent - unsettled.min(CARRIED).min(noted)) as u16;
                assert_eq!(carried.ring[carried.at(oldest)], Some((oldest, packet(oldest))), "{unsettled}");
            }
        }
        assert_eq!(carried.ring.len(), FEWEST_CARRIED);
    }

    #[test]
    fn what_is_missed_waits_for_a_request_and_not_too_much_does() {
        let (origin, mut carried) = (origin(), Carried::default());
        assert_eq!(carried.poll_timeout(), None);
        for sequence in 0..300 {
            carried.miss(origin, packet(sequence));
        }
        assert_eq!(carried.poll_timeout(), Some(origin + ASKED_WITHIN));
        assert_eq!(carried.poll(origin), None);
        let due: Vec<u16> = std::iter::from_fn(|| carried.poll(origin + ASKED_WITHIN))
            .map(|packet| packet.sequence)
            .collect();
        assert_eq!(due, (300 - MOST_LOST as u16..300).collect::<Vec<_>>());
    }
}
