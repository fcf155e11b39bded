//! What a receiver tells of arrivals: transport-wide feedback as a browser sends it
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::clock::Clock;
use crate::connection::WireSequence;

/// The arrivals since the last feedback, by transport-wide number.
#[derive(Debug)]
pub struct Arrivals {
    interval: Duration,
    numbers: WireSequence,
    pending: Vec<(u64, u64)>,
    /// The first number that no feedback has told of.
    next: Option<u64>,
    due: Option<Instant>,
    count: u8,
}

impl Arrivals {
    /// Nothing has arrived yet; feedback is due every `interval` while something does.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            numbers: WireSequence::default(),
            pending: Vec::new(),
            next: None,
            due: None,
            count: 0,
        }
    }

    /// Notes an arrival.
    pub fn note(&mut self, now: Instant, number: u16) {
        let number = self.numbers.extend(number);
        self.pending.push((number, Clock::nanos(now) / 1000));
        self.due.get_or_insert(now + self.interval);
    }

    /// When [`Arrivals::feedback`] has something.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// RTCP packets that tell of what arrived since the last ones, if they are due.
    pub fn feedback(&mut self, now: Instant, sender: u32, media: u32) -> Vec<Bytes> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.due = None;
        self.pending.sort_unstable();
        self.pending.dedup_by_key(|(number, _)| *number);
        let Some((highest, _)) = self.pending.last().copied() else { return Vec::new() };
        let mut packets = Vec::new();
        let mut from = 0;
        while let Some((first, at)) = self.pending.get(from).copied() {
            // What lies between the last feedback and the first arrival is told as missing. What was
            // overtaken by a feedback comes in one of its own, since that one told of its neighbours.
            let late = self.next.is_some_and(|next| first < next);
            let base =
                if late { first } else { self.next.unwrap_or(first).max(first.saturating_sub(MAX_MISSING)) };
            let len = self.fits(from, at, late);
            let arrived = self.pending.get(from..from + len).unwrap_or_default();
            packets.push(packet(sender, media, self.count, base, arrived));
            self.count = self.count.wrapping_add(1);
            from += len;
            if let Some((last, _)) = arrived.last().filter(|_| !late) {
                self.next = Some(last + 1);
            }
        }
        self.next = Some(self.next.unwrap_or(0).max(highest + 1));
        self.pending.clear();
        packets
    }

    /// How many arrivals from `from` on go into one packet whose reference is `at`.
    fn fits(&self, from: usize, at: u64, late: bool) -> usize {
        let rest = self.pending.get(from..).unwrap_or_default();
        let mut last: Option<(u64, i64)> = None;
        let reference = ticks(at - at % REFERENCE_US);
        let fitting = rest.iter().take(MAX_ARRIVALS).take_while(|(number, at)| {
            let now = ticks(*at);
            let (before, delta) = last.map_or((None, now - reference), |(n, then)| (Some(n), now - then));
            last = Some((*number, now));
            let jump = before.is_some_and(|before| number - before > if late { 1 } else { MAX_MISSING });
            let known = late && self.next.is_some_and(|next| *number >= next);
            i16::try_from(delta).is_ok() && !jump && !known
        });
        fitting.count().max(1)
    }
}

/// One feedback packet (section 3.1). `arrived` is sorted, and its deltas fit 16 bits.
fn packet(sender: u32, media: u32, count: u8, base: u64, arrived: &[(u64, u64)]) -> Bytes {
    let at = arrived.first().map_or(0, |(_, at)| *at);
    let mut last = ticks(at - at % REFERENCE_US);
    let mut statuses = Vec::with_capacity(arrived.len() * 2);
    let mut deltas = BytesMut::with_capacity(arrived.len() * 2);
    let mut next = base;
    for (number, at) in arrived {
        statuses.extend((next..*number).map(|_| MISSING));
        next = number + 1;
        let delta = ticks(*at) - last;
        last = ticks(*at);
        if let Ok(small) = u8::try_from(delta) {
            statuses.push(SMALL);
            deltas.put_u8(small);
        } else {
            statuses.push(LARGE);
            deltas.put_i16(i16::try_from(delta).unwrap_or(i16::MAX));
        }
    }
    let mut chunks = BytesMut::with_capacity(statuses.len());
    let mut rest = &statuses[..];
    while !rest.is_empty() {
        let (chunk, len) = chunk(rest);
        chunks.put_u16(chunk);
        rest = rest.get(len..).unwrap_or_default();
    }
    let len = HEADER + chunks.len() + deltas.len();
    let padding = len.wrapping_neg() % 4;
    let mut out = BytesMut::with_capacity(len + padding);
    // Version 2, padding, FMT 15; transport layer feedback (RFC 4585 section 6.1).
    out.put_u8(0x80 | u8::from(padding > 0) << 5 | 15);
    out.put_u8(205);
    out.put_u16(((len + padding) / 4 - 1) as u16);
    out.put_u32(sender);
    out.put_u32(media);
    out.put_u16(base as u16);
    out.put_u16(statuses.len() as u16);
    out.put_u32(((at / REFERENCE_US) as u32) << 8 | u32::from(count));
    out.extend_from_slice(&chunks);
    out.extend_from_slice(&deltas);
    out.put_bytes(0, padding);
    if let Some(last) = out.last_mut().filter(|_| padding > 0) {
        *last = padding as u8;
    }
    out.freeze()
}

/// The first status chunk, and how many statuses it tells: a run where that is longer than a vector or all there
/// is, else a vector of 14 statuses without large deltas, or of 7 (sections 3.1.3 and 3.1.4).
fn chunk(statuses: &[u16]) -> (u16, usize) {
    let first = statuses.first().copied().unwrap_or(MISSING);
    let run = statuses.iter().take(MAX_RUN).take_while(|status| **status == first).count();
    let narrow = statuses.iter().take(14).take_while(|status| **status != LARGE).count();
    let wide = narrow < statuses.len().min(14);
    if run == statuses.len() || run >= if wide { 7 } else { 14 } {
        return (first << 13 | run as u16, run);
    }
    let vector = |Range { start, end }: Range<usize>, width: u32| {
        let statuses = statuses.get(start..end.min(statuses.len())).unwrap_or_default();
        let bits = statuses.iter().zip(1..).fold(0, |bits, (status, at)| bits | status << (14 - at * width));
        (bits, statuses.len())
    };
    if wide {
        let (bits, len) = vector(0..7, 2);
        return (0b11 << 14 | bits, len);
    }
    let (bits, len) = vector(0..14, 1);
    (0b10 << 14 | bits, len)
}

fn ticks(us: u64) -> i64 {
    i64::try_from(us / TICK_US).unwrap_or(i64::MAX)
}

const MISSING: u16 = 0;
const SMALL: u16 = 1;
const LARGE: u16 = 2;
/// A run's length has 13 bits.
const MAX_RUN: usize = 0x1fff;
/// So that a packet stays below what a network carries whole.
const MAX_ARRIVALS: usize = 400;
/// What is missing for longer is of no use to anybody.
const MAX_MISSING: u64 = 0x1fff;
const TICK_US: u64 = 250;
const REFERENCE_US: u64 = 64_000;
/// The RTCP header and what stands before the chunks.
const HEADER: usize = 20;

#[cfg(test)]
mod tests;
