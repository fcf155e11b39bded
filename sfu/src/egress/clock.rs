//! One clock per slot, and where each source stands on it.

use std::time::{Duration, Instant};

/// A slot's clock: server time and RTP time on one line, whatever source fills the slot.
///
/// The line of a source is moved ahead where it would fall behind what was sent already; reports follow the moved line.
#[derive(Clone, Copy, Debug)]
pub struct SlotClock {
    rate: u32,
    epoch: Instant,
    start: u32,
    /// Ticks by which the current source is ahead of the line.
    moved: u32,
    last_sent: Option<u32>,
}

impl SlotClock {
    /// RTP time is `start` at `epoch` and grows at `rate` hertz. The reports' wall clock counts from `epoch` too: all slots whose sound and
    /// pictures must agree need the same one.
    pub fn new(rate: u32, start: u32, epoch: Instant) -> Self {
        Self { rate, epoch, start, moved: 0, last_sent: None }
    }

    /// The RTP time at which a source begins whose first packet is of this time: on the line, at least 10 ms after the last sent.
    pub fn rtp_at(&mut self, time: Instant) -> u32 {
        let line = self.line(time);
        let behind =
            self.last_sent.map_or(0, |last| last.wrapping_add(self.rate / 100).wrapping_sub(line) as i32);
        self.moved = behind.max(0) as u32;
        line.wrapping_add(self.moved)
    }

    /// A packet was sent with this timestamp.
    #[inline]
    pub fn on_sent(&mut self, timestamp: u32, _now: Instant) {
        if self.last_sent.is_none_or(|last| timestamp.wrapping_sub(last) as i32 > 0) {
            self.last_sent = Some(timestamp);
        }
    }

    /// What a sender report says of `now`: our wall clock as 64-bit NTP, and the RTP time of the same instant.
    pub fn sender_report(&self, now: Instant) -> (u64, u32) {
        (self.ntp_at(now), self.line(now).wrapping_add(self.moved))
    }

    /// The round trip that a report block on this slot tells (RFC 3550 section 6.4.1); `None` when it names no report of ours.
    pub fn round_trip(
        &self,
        now: Instant,
        last_sender_report: u32,
        delay_since_last: u32,
    ) -> Option<Duration> {
        let middle = (self.ntp_at(now) >> 16) as u32;
        let units = middle.wrapping_sub(last_sender_report).wrapping_sub(delay_since_last);
        let round_trip = Duration::from_nanos(u64::from(units) * 1_000_000_000 / 65_536);
        (last_sender_report != 0 && round_trip < MAX_ROUND_TRIP).then_some(round_trip)
    }

    fn line(&self, time: Instant) -> u32 {
        let ticks = |duration: Duration| (duration.as_nanos() * u128::from(self.rate) / 1_000_000_000) as u32;
        match time.checked_duration_since(self.epoch) {
            Some(after) => self.start.wrapping_add(ticks(after)),
            None => self.start.wrapping_sub(ticks(self.epoch.saturating_duration_since(time))),
        }
    }

    fn ntp_at(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.epoch);
        NTP_EPOCH.wrapping_add(((elapsed.as_nanos() << 32) / 1_000_000_000) as u64)
    }
}

/// Where a source's RTP clock stands in server time.
///
/// Sender reports tell it on the publisher's wall clock, whose offset to ours is taken from the report that was fastest here. Before the
/// first report the fastest packet stands in.
#[derive(Clone, Copy, Debug)]
pub struct SourceClock {
    rate: u32,
    /// A server time and the RTP time captured then, by arrivals alone.
    arrivals: Option<(Instant, u32)>,
    report: Option<Report>,
}

#[derive(Clone, Copy, Debug)]
struct Report {
    ntp: u64,
    rtp_time: u32,
    /// Server time of `ntp`.
    time: Instant,
}

impl SourceClock {
    /// A clock of so many hertz of which nothing is known yet.
    pub fn new(rate: u32) -> Self {
        Self { rate, arrivals: None, report: None }
    }

    /// A packet of this timestamp arrived.
    #[inline]
    pub fn on_packet(&mut self, timestamp: u32, now: Instant) {
        let Some((time, base)) = self.arrivals else {
            self.arrivals = Some((now, timestamp));
            return;
        };
        let ahead = timestamp.wrapping_sub(base) as i32;
        if ahead > 0 {
            let elapsed = self.duration(ahead);
            let expected = shift(time, elapsed);
            self.arrivals = Some((settle(expected, elapsed, now), timestamp));
        } else if self.duration(ahead) < -MAX_DELAY_NANOS {
            self.arrivals = Some((now, timestamp));
        }
    }

    /// A sender report of the source arrived.
    pub fn on_sender_report(&mut self, now: Instant, ntp: u64, rtp_time: u32) {
        let time = self.report.map_or(now, |last| {
            let elapsed = ntp_nanos(ntp.wrapping_sub(last.ntp) as i64);
            settle(shift(last.time, elapsed), elapsed, now)
        });
        self.report = Some(Report { ntp, rtp_time, time });
    }

    /// When, in server time, what a packet carries was captured; never after its arrival.
    #[inline]
    pub fn time_of(&self, timestamp: u32, arrival: Instant) -> Instant {
        let base = self.report.map(|report| (report.time, report.rtp_time)).or(self.arrivals);
        let Some((time, base)) = base else { return arrival };
        let captured = shift(time, self.duration(timestamp.wrapping_sub(base) as i32));
        let delay = arrival.saturating_duration_since(captured);
        // A source whose reports make no sense is placed by arrival.
        if delay.as_nanos() > MAX_DELAY_NANOS as u128 { arrival } else { captured.min(arrival) }
    }

    fn duration(&self, ticks: i32) -> i64 {
        i64::from(ticks) * 1_000_000_000 / i64::from(self.rate)
    }
}

/// The offset follows the fastest at once and the slower ones by 200 ppm, as much as clocks drift apart. A difference that
/// is no delay begins anew.
fn settle(expected: Instant, elapsed_nanos: i64, now: Instant) -> Instant {
    let late = now.saturating_duration_since(expected);
    let early = expected.saturating_duration_since(now);
    if late.max(early).as_nanos() > MAX_DELAY_NANOS as u128 {
        return now;
    }
    shift(expected, elapsed_nanos.max(0) / 5_000).min(now)
}

fn shift(time: Instant, nanos: i64) -> Instant {
    let by = Duration::from_nanos(nanos.unsigned_abs());
    let shifted = if nanos < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    shifted.unwrap_or(time)
}

/// Signed 32.32 seconds to nanoseconds.
fn ntp_nanos(difference: i64) -> i64 {
    ((i128::from(difference) * 1_000_000_000) >> 32) as i64
}

const MAX_DELAY_NANOS: i64 = 5_000_000_000;
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);
/// Any origin serves: what counts is that all reports share it (RFC 3550 section 6.4.1). This one lies in 2026.
const NTP_EPOCH: u64 = 3_976_214_400 << 32;
