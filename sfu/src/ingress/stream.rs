//! What was received of one SSRC: every packet once, and the statistics of RFC 3550.

use std::time::{Duration, Instant};

use crate::id::Ssrc;
use crate::rtcp::ReportBlock;

/// One received stream. Repaired packets are told to it by their original sequence number.
#[derive(Clone, Debug)]
pub struct ReceiveStream {
    clock_rate: u32,
    /// The first sequence number of the current run, extended.
    base: u64,
    /// The highest one; `None` before the first packet.
    highest: Option<u64>,
    /// Bit n % WINDOW: n was received, for the numbers up to `highest` within the window.
    seen: [u64; WORDS],
    /// Where a jump leads, were the next packet to confirm it.
    probation: Option<u16>,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
    /// Sixteenths of a clock tick (RFC 3550 appendix A.8).
    jitter: u64,
    last_arrival: Option<(Instant, u32)>,
    last_sender_report: Option<(Instant, u32)>,
}

/// What a packet turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// Seen for the first time.
    New {
        /// The extended sequence number; the first packet lies in cycle 1.
        sequence: u64,
    },
    /// Seen before.
    Duplicate,
    /// Before what can be told apart, or a jump not yet confirmed by a second packet.
    TooOld,
}

impl ReceiveStream {
    /// A stream of which nothing came yet; the clock rate in hertz.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            base: 0,
            highest: None,
            seen: [0; WORDS],
            probation: None,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            jitter: 0,
            last_arrival: None,
            last_sender_report: None,
        }
    }

    /// Takes a packet's number and timestamp. Every extended number is [`Arrival::New`] once. A jump by more than 3000 is believed when the
    /// number after it follows (RFC 3550 appendix A.1): the numbers then go on in the cycle after next, far from any that is missed.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, number: u16, timestamp: u32) -> Arrival {
        let Some(highest) = self.highest else {
            return self.restart(now, CYCLE + u64::from(number), timestamp);
        };
        let ahead = number.wrapping_sub(highest as u16) as i16;
        let sequence = highest.saturating_add_signed(i64::from(ahead));
        if i64::from(ahead) > MAX_JUMP || sequence + WINDOW <= highest {
            if self.probation == Some(number) {
                let cycles = (highest / CYCLE + 2) * CYCLE;
                return self.restart(now, cycles + u64::from(number), timestamp);
            }
            self.probation = Some(number.wrapping_add(1));
            return Arrival::TooOld;
        }
        self.probation = None;
        if sequence > highest {
            for skipped in highest + 1..sequence {
                self.mark(skipped, false);
            }
            self.highest = Some(sequence);
            self.measure(now, timestamp);
        } else if self.is_seen(sequence) {
            return Arrival::Duplicate;
        }
        self.base = self.base.min(sequence);
        self.mark(sequence, true);
        self.received += 1;
        Arrival::New { sequence }
    }

    /// Takes a sender report of this stream.
    pub fn on_sender_report(&mut self, now: Instant, ntp: u64, _rtp_time: u32) {
        self.last_sender_report = Some((now, (ntp >> 16) as u32));
    }

    /// What to report of it (RFC 3550 section 6.4.1), counting losses from the last time this was asked; `None` before the first packet.
    pub fn reception_report(&mut self, now: Instant, ssrc: Ssrc) -> Option<ReportBlock> {
        let highest = self.highest?;
        let expected = highest - self.base + 1;
        let expected_now = expected.saturating_sub(self.expected_prior);
        let lost_now = expected_now.saturating_sub(self.received.saturating_sub(self.received_prior));
        (self.expected_prior, self.received_prior) = (expected, self.received);
        let fraction_lost = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        let (last_sender_report, delay_since_last) =
            self.last_sender_report.map_or((0, 0), |(at, middle)| {
                let delay = now.saturating_duration_since(at);
                (middle, (delay.as_micros() * 65_536 / 1_000_000).min(u128::from(u32::MAX)) as u32)
            });
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            cumulative_lost: expected.saturating_sub(self.received).min(0x7f_ffff) as i32,
            // Cycle 1 is the report's cycle 0.
            highest_sequence: highest.wrapping_sub(CYCLE) as u32,
            jitter: (self.jitter >> 4) as u32,
            last_sender_report,
            delay_since_last,
        })
    }

    fn restart(&mut self, now: Instant, sequence: u64, timestamp: u32) -> Arrival {
        self.base = sequence;
        self.highest = Some(sequence);
        self.seen = [0; WORDS];
        self.probation = None;
        (self.received, self.expected_prior, self.received_prior) = (1, 0, 0);
        self.jitter = 0;
        self.last_arrival = Some((now, timestamp));
        self.mark(sequence, true);
        Arrival::New { sequence }
    }

    /// Interarrival jitter, of packets in order only: a repaired one was held up by its repair.
    fn measure(&mut self, now: Instant, timestamp: u32) {
        let last = self.last_arrival.replace((now, timestamp));
        let Some((arrival, before)) = last.filter(|&(_, before)| before != timestamp) else { return };
        let elapsed = now.saturating_duration_since(arrival).min(LONG).as_micros() as i64;
        let ticks = elapsed * i64::from(self.clock_rate) / 1_000_000;
        let difference = (ticks - i64::from(timestamp.wrapping_sub(before) as i32)).unsigned_abs();
        self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
    }

    fn is_seen(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    fn mark(&mut self, sequence: u64, seen: bool) {
        let (word, bit) = place(sequence);
        if let Some(word) = self.seen.get_mut(word) {
            *word = if seen { *word | bit } else { *word & !bit };
        }
    }
}

fn place(sequence: u64) -> (usize, u64) {
    let at = sequence % WINDOW;
    ((at / 64) as usize, 1 << (at % 64))
}

const CYCLE: u64 = 1 << 16;
/// RFC 3550's MAX_DROPOUT.
const MAX_JUMP: i64 = 3000;
/// How far back a packet can still be told to be new; more than a second of the fastest stream.
const WINDOW: u64 = 4096;
const WORDS: usize = (WINDOW / 64) as usize;
/// A longer silence says nothing of jitter.
const LONG: Duration = Duration::from_secs(60);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a time to start from")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn numbers(numbers: &[u16]) -> Vec<Option<u64>> {
        let mut stream = ReceiveStream::new(90_000);
        let now = Instant::now();
        numbers
            .iter()
            .map(|&number| match stream.on_packet(now, number, 0) {
                Arrival::New { sequence } => Some(sequence),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn each_number_is_new_once() {
        assert_eq!(
            numbers(&[0, 65_535, 0, 1, 65_535]),
            [Some(65_536), Some(65_535), None, Some(65_537), None]
        );
        assert_eq!(numbers(&[10, 12, 11, 11]), [Some(65_546), Some(65_548), Some(65_547), None]);
    }

    #[test]
    fn a_jump_is_believed_when_its_next_number_follows() {
        let far = 3 * 65_536;
        assert_eq!(numbers(&[10, 20_000, 11, 12]), [Some(65_546), None, Some(65_547), Some(65_548)]);
        assert_eq!(
            numbers(&[10, 20_000, 20_001, 20_002]),
            [Some(65_546), None, Some(far + 20_001), Some(far + 20_002)]
        );
    }

    #[test]
    fn reports_count_what_is_lost() {
        let start = Instant::now();
        let mut stream = ReceiveStream::new(90_000);
        assert_eq!(stream.reception_report(start, Ssrc(1)), None);
        for number in [65_534, 65_535, 1, 2] {
            stream.on_packet(start, number, 0);
        }
        stream.on_sender_report(start, 0x1111_aaaa_bbbb_2222, 0);
        let report = stream.reception_report(start + Duration::from_millis(500), Ssrc(1)).unwrap();
        assert_eq!(
            (report.fraction_lost, report.cumulative_lost, report.highest_sequence),
            (51, 1, 0x1_0002)
        );
        assert_eq!((report.last_sender_report, report.delay_since_last), (0xaaaa_bbbb, 32_768));
        stream.on_packet(start, 0, 0);
        let report = stream.reception_report(start, Ssrc(1)).unwrap();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 0), "the repair made it whole");
    }

    #[test]
    fn jitter_is_zero_on_an_even_stream_and_grows_on_an_uneven_one() {
        for (late, even) in [(0, true), (10, false)] {
            let start = Instant::now();
            let mut stream = ReceiveStream::new(90_000);
            for at in 0..100_u16 {
                let now = start + Duration::from_millis(u64::from(at) * 20 + u64::from(at % 2) * late);
                stream.on_packet(now, at, u32::from(at) * 1800);
            }
            assert_eq!(stream.reception_report(start, Ssrc(1)).unwrap().jitter == 0, even);
        }
    }

    proptest! {
        #[test]
        fn no_number_is_new_twice(numbers in prop::collection::vec(any::<u16>(), 0..300), start: u16, near: bool) {
            let mut stream = ReceiveStream::new(90_000);
            let mut seen = BTreeSet::new();
            let now = Instant::now();
            for number in numbers {
                let number = if near { start.wrapping_add(number % 100) } else { number };
                if let Arrival::New { sequence } = stream.on_packet(now, number, 0) {
                    prop_assert_eq!(sequence as u16, number);
                    prop_assert!(seen.insert(sequence));
                }
            }
        }
    }
}
