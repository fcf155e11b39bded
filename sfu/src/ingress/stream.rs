//! One RTP stream on its way in: which packets are new, and the statistics that reports tell.

use std::time::Instant;

use crate::id::Ssrc;
use crate::rtcp::ReportBlock;
use crate::rtp::Extender16;

/// Reception state of one SSRC (RFC 3550 appendix A).
#[derive(Clone, Debug)]
pub struct ReceiveStream {
    rate: u32,
    extender: Extender16,
    highest: Option<u64>,
    first: u64,
    received: u64,
    /// Which of the last numbers were received: a ring of bits.
    window: [u64; WINDOW_WORDS],
    /// Which of them were healed: they came inside another packet.
    healed: [u64; WINDOW_WORDS],
    transit: Option<i64>,
    origin: Option<Instant>,
    /// In 1/16 of a tick, as RFC 3550 section A.8 keeps it.
    jitter: u64,
    reported_expected: u64,
    reported_received: u64,
    sender_report: Option<(u32, Instant)>,
    /// A number far from the others, and the one that would follow it: two in a row are a restart.
    stray: Option<u16>,
}

/// Whether a packet is news.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// For the first time, under this extended number.
    New {
        /// Cycle 1 is the first.
        sequence: u64,
    },
    /// It was here before.
    Duplicate,
    /// Too far behind to tell, or too far ahead to believe.
    Stray,
}

impl ReceiveStream {
    /// A stream of which nothing has come. `rate` of its RTP clock, in hertz.
    pub fn new(rate: u32) -> Self {
        Self {
            rate,
            extender: Extender16::default(),
            highest: None,
            first: 0,
            received: 0,
            window: [0; WINDOW_WORDS],
            healed: [0; WINDOW_WORDS],
            transit: None,
            origin: None,
            jitter: 0,
            reported_expected: 0,
            reported_received: 0,
            sender_report: None,
            stray: None,
        }
    }

    /// Takes note of a packet, original or repaired. Each number is new once.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, sequence: u16, timestamp: u32) -> Arrival {
        let mut extended = self.extender.peek(sequence);
        let mut highest = *self.highest.get_or_insert_with(|| {
            self.first = extended;
            extended.wrapping_sub(1)
        });
        if extended > highest.wrapping_add(MAX_AHEAD) || extended + WINDOW_PACKETS <= highest {
            if self.stray != Some(sequence) {
                self.stray = Some(sequence.wrapping_add(1));
                return Arrival::Stray;
            }
            // It restarted elsewhere: what lies between was never sent. One that went back goes on in the next cycle.
            if extended < highest {
                extended += CYCLE;
            }
            self.window = [0; WINDOW_WORDS];
            self.healed = [0; WINDOW_WORDS];
            self.received += extended - highest - 1;
            highest = extended - 1;
            self.transit = None;
            self.extender.restart(highest);
        }
        self.stray = None;
        if extended > highest {
            for passed in (highest + 1..extended).rev().take(WINDOW_PACKETS as usize) {
                self.mark(passed, false);
            }
            self.highest = Some(extended);
            self.extender.extend(sequence);
            // One in order only: a repaired packet was held up by its repair.
            self.measure_jitter(now, timestamp);
        } else if self.is_marked(extended) {
            // It was late, not lost.
            let (word, bit) = Self::place(extended);
            self.received += u64::from(self.healed[word] & bit != 0);
            self.healed[word] &= !bit;
            return Arrival::Duplicate;
        }
        self.mark(extended, true);
        self.received += 1;
        Arrival::New { sequence: extended }
    }

    /// The contents of a missing packet came inside another one: its number is new no more, but reports go on to count it as lost, or its sender would
    /// not know the line. Whether it was missing.
    #[inline]
    pub fn on_healed(&mut self, sequence: u64) -> bool {
        let missing = self.highest.is_some_and(|highest| {
            sequence >= self.first && sequence < highest && sequence + WINDOW_PACKETS > highest
        }) && !self.is_marked(sequence);
        if missing {
            self.mark(sequence, true);
            let (word, bit) = Self::place(sequence);
            self.healed[word] |= bit;
        }
        missing
    }

    /// A sender report of this stream arrived.
    pub fn on_sender_report(&mut self, now: Instant, ntp: u64) {
        self.sender_report = Some(((ntp >> 16) as u32, now));
    }

    /// What to report (RFC 3550 section A.3); nothing before the first packet.
    pub fn reception_report(&mut self, now: Instant, ssrc: Ssrc) -> Option<ReportBlock> {
        let highest = self.highest?;
        let expected = highest + 1 - self.first.min(highest);
        let lost_since = (expected - self.reported_expected.min(expected))
            .saturating_sub(self.received - self.reported_received.min(self.received));
        let expected_since = expected - self.reported_expected.min(expected);
        (self.reported_expected, self.reported_received) = (expected, self.received);
        let fraction = (lost_since * 256).checked_div(expected_since).unwrap_or(0).min(255);
        let (last_sender_report, delay_since_last) = match self.sender_report {
            Some((middle, at)) => {
                let delay = now.saturating_duration_since(at).as_nanos() * 65_536 / 1_000_000_000;
                (middle, u32::try_from(delay).unwrap_or(u32::MAX))
            }
            None => (0, 0),
        };
        Some(ReportBlock {
            ssrc,
            fraction_lost: fraction as u8,
            cumulative_lost: (expected as i64 - self.received as i64).clamp(-0x80_0000, 0x7f_ffff) as i32,
            // The first cycle is the report's 0.
            highest_sequence: highest.wrapping_sub(65_536) as u32,
            jitter: (self.jitter / 16) as u32,
            last_sender_report,
            delay_since_last,
        })
    }

    fn measure_jitter(&mut self, now: Instant, timestamp: u32) {
        let origin = *self.origin.get_or_insert(now);
        let ticks = now.saturating_duration_since(origin).as_micros() * u128::from(self.rate) / 1_000_000;
        let transit = i64::from((ticks as u32).wrapping_sub(timestamp) as i32);
        if let Some(former) = self.transit.replace(transit) {
            let difference = transit.abs_diff(former).min(u64::from(self.rate) * 10);
            self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) / 16);
        }
    }

    fn mark(&mut self, sequence: u64, received: bool) {
        let (word, bit) = Self::place(sequence);
        if received {
            self.window[word] |= bit;
        } else {
            self.window[word] &= !bit;
        }
        self.healed[word] &= !bit;
    }

    fn is_marked(&self, sequence: u64) -> bool {
        let (word, bit) = Self::place(sequence);
        self.window[word] & bit != 0
    }

    fn place(sequence: u64) -> (usize, u64) {
        let at = sequence % WINDOW_PACKETS;
        ((at / 64) as usize, 1 << (at % 64))
    }
}

const CYCLE: u64 = 1 << 16;
const WINDOW_WORDS: usize = 16;
/// Numbers further behind the highest than this are not told apart any more.
const WINDOW_PACKETS: u64 = WINDOW_WORDS as u64 * 64;
/// RFC 3550 appendix A.1: `MAX_DROPOUT`.
const MAX_AHEAD: u64 = 3000;
