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
    /// By number, modulo [`CARRIED`]; empty before the first.
    ring: Vec<Option<(u16, Packet)>>,
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
    /// A packet was sent under this transport-wide number.
    #[inline]
    pub(super) fn note(&mut self, number: u16, packet: Packet) {
        if self.ring.is_empty() {
            self.ring.resize(CARRIED, None);
        }
        self.ring[usize::from(number) % CARRIED] = Some((number, packet));
    }

    /// What is reported missing under a number; each once.
    pub(super) fn take(&mut self, number: u16) -> Option<Packet> {
        let place = self.ring.get_mut(usize::from(number) % CARRIED)?;
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
const _: () = assert!(65_536 % CARRIED == 0);
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
            carried.note(number, packet(number));
        }
        for number in 0..600 {
            carried.note(number, packet(number));
        }
        let told = [65_000, 65_535, 599, 599, 600].map(|number| carried.take(number));
        assert_eq!(told, [None, Some(packet(65_535)), Some(packet(599)), None, None]);
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
