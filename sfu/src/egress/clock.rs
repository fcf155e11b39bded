//! Which instant a source's timestamp means, and what a slot's clock shows then.

use std::time::{Duration, Instant};

/// A publisher's wall clock as its sender reports tell it, moved to ours by the smallest delay seen. It is one for all its streams, so that sound and
/// picture agree, and the encodings of a picture. Since clocks drift apart, that smallest delay is given up slowly.
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock(Option<Reports>);

#[derive(Clone, Copy, Debug)]
struct Reports {
    /// The arrival of the first report, and its wall clock: all others are counted from there.
    origin: Instant,
    origin_ntp: u64,
    /// The least of (time since `origin` - wall clock since `origin_ntp`), in nanoseconds, eased by [`DRIFT`].
    offset: i64,
    /// When the last report came, in nanoseconds since `origin`.
    last: i64,
}

impl WallClock {
    /// A report came that says `ntp`: the instant of ours that it means.
    pub fn on_report(&mut self, arrival: Instant, ntp: u64) -> Instant {
        let first = Reports { origin: arrival, origin_ntp: ntp, offset: 0, last: 0 };
        let reports = self.0.get_or_insert(first);
        let wall = ntp_difference(ntp, reports.origin_ntp);
        let ours =
            i64::try_from(arrival.saturating_duration_since(reports.origin).as_nanos()).unwrap_or(i64::MAX);
        let offset = ours.saturating_sub(wall);
        if offset.abs_diff(reports.offset) > JUMP.as_nanos() as u64 {
            // The publisher set its clock: what was known of it is worth nothing.
            *reports = first;
            return arrival;
        }
        let eased = reports.offset.saturating_add(ours.saturating_sub(reports.last) / DRIFT);
        reports.offset = eased.min(offset);
        reports.last = ours;
        shift(reports.origin, wall.saturating_add(reports.offset))
    }
}

/// Maps one encoding's RTP timestamps to our time: by its sender reports, and before the first one by the first packet's arrival.
#[derive(Clone, Copy, Debug)]
pub struct SourceClock {
    rate: u32,
    /// A timestamp and the instant it means.
    anchor: Option<(u32, Instant)>,
}

impl SourceClock {
    /// Knows nothing yet. `rate` in hertz.
    pub fn new(rate: u32) -> Self {
        Self { rate, anchor: None }
    }

    /// The first packet anchors the clock until a report comes. Without reports the anchor moves along, before timestamps wrap.
    #[inline]
    pub fn on_packet(&mut self, timestamp: u32, arrival: Instant) {
        if self.anchor.is_none() {
            self.anchor = Some((timestamp, arrival));
        } else if let Some((anchor, _)) = self.anchor
            && (ANCHOR_TICKS..1 << 31).contains(&timestamp.wrapping_sub(anchor))
        {
            self.anchor = Some((timestamp, self.time_of(timestamp, arrival)));
        }
    }

    /// A sender report's timestamp means this instant.
    pub fn on_sender_report(&mut self, time: Instant, rtp_time: u32) {
        self.anchor = Some((rtp_time, time));
    }

    /// The instant a timestamp means; `arrival` when nothing is known, or when that is further away than any packet travels: a publisher may
    /// report anything.
    #[inline]
    pub fn time_of(&self, timestamp: u32, arrival: Instant) -> Instant {
        let Some((anchor, time)) = self.anchor else { return arrival };
        let ticks = i64::from(timestamp.wrapping_sub(anchor) as i32);
        let time = shift(time, ticks * 1_000_000_000 / i64::from(self.rate.max(1)));
        let apart = arrival.saturating_duration_since(time).max(time.saturating_duration_since(arrival));
        if apart > MAX_APART { arrival } else { time }
    }
}

/// A slot's RTP clock: one line for all its sources, and the sender reports that say where on it we are.
#[derive(Clone, Copy, Debug)]
pub struct SlotClock {
    rate: u32,
    origin: Instant,
    start: u32,
    /// The timestamp sent last and the instant it means.
    last: Option<(u32, Instant)>,
}

impl SlotClock {
    /// Shows `start` at `origin`. The slots of one participant share the origin, so that their reports are of one clock.
    pub fn new(rate: u32, start: u32, origin: Instant) -> Self {
        Self { rate, origin, start, last: None }
    }

    /// The timestamp for a packet that means `time`: on the line, but later by `least` than what was sent last; and whether it is later than the line for that.
    pub fn rtp_after(&self, time: Instant, least: Duration) -> (u32, bool) {
        let line = self.line_at(time);
        let least = (u64::from(self.rate) * least.as_millis() as u64 / 1000) as u32;
        match self.last {
            Some((last, _)) if (line.wrapping_sub(last) as i32) < least as i32 => {
                (last.wrapping_add(least), true)
            }
            _ => (line, false),
        }
    }

    /// Whether anything was sent.
    pub fn has_begun(&self) -> bool {
        self.last.is_some()
    }

    /// A packet with this timestamp was sent; it means `time`.
    #[inline]
    pub fn on_sent(&mut self, timestamp: u32, time: Instant) {
        if self.last.is_none_or(|(last, _)| timestamp.wrapping_sub(last) as i32 >= 0) {
            self.last = Some((timestamp, time));
        }
    }

    /// A packet of a source that catches up was sent with this timestamp: it stands for no instant of its own, but for what the line shows then.
    pub fn on_sent_catching_up(&mut self, timestamp: u32, time: Instant) {
        let ahead = timestamp.wrapping_sub(self.line_at(time)) as i32;
        let ahead = u64::from(ahead.max(0).unsigned_abs()) * 1_000_000_000 / u64::from(self.rate.max(1));
        self.on_sent(timestamp, time + Duration::from_nanos(ahead));
    }

    /// NTP time and RTP timestamp of now, as the packets sent last have it.
    pub fn sender_report(&self, now: Instant) -> (u64, u32) {
        let (timestamp, time) = self.last.unwrap_or((self.start, self.origin));
        (self.ntp(now), timestamp.wrapping_add(self.ticks(time, now)))
    }

    /// The round trip that a report block tells (RFC 3550 section 6.4.1).
    pub fn round_trip(&self, now: Instant, last_report: u32, delay: u32) -> Option<Duration> {
        if last_report == 0 {
            return None;
        }
        let middle = (self.ntp(now) >> 16) as u32;
        let trip = middle.wrapping_sub(last_report).wrapping_sub(delay);
        // In 1/65536 s. A client that lies, or whose clock runs ahead, tells a huge one.
        (trip < MAX_TRIP).then(|| Duration::from_nanos(u64::from(trip) * 1_000_000_000 / 65_536))
    }

    fn ticks(&self, from: Instant, to: Instant) -> u32 {
        let ticks = |time: Duration| (time.as_nanos() * u128::from(self.rate) / 1_000_000_000) as u32;
        match to.checked_duration_since(from) {
            Some(after) => ticks(after),
            None => ticks(from.duration_since(to)).wrapping_neg(),
        }
    }

    /// A wall clock of our own, for reports only: it is compared with itself.
    fn ntp(&self, now: Instant) -> u64 {
        let time = now.saturating_duration_since(self.origin);
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        (NTP_START + time.as_secs()) << 32 | fraction
    }

    fn line_at(&self, time: Instant) -> u32 {
        self.start.wrapping_add(self.ticks(self.origin, time))
    }
}

/// The difference of two NTP times in nanoseconds.
fn ntp_difference(later: u64, earlier: u64) -> i64 {
    let difference = later.wrapping_sub(earlier) as i64;
    let nanoseconds = (i128::from(difference) * 1_000_000_000) >> 32;
    i64::try_from(nanoseconds).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

fn shift(time: Instant, nanoseconds: i64) -> Instant {
    let by = Duration::from_nanos(nanoseconds.unsigned_abs());
    let shifted = if nanoseconds < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    shifted.unwrap_or(time)
}

/// Clocks drift apart by less than one part in so many: 250 ppm.
const DRIFT: i64 = 4000;
/// A wall clock that differs by more than this from what it was has been set.
const JUMP: Duration = Duration::from_secs(2);
/// Capture and arrival of a packet are never further apart.
const MAX_APART: Duration = Duration::from_secs(10);
/// Minutes, at any rate.
const ANCHOR_TICKS: u32 = 1 << 25;
/// 2020, in the seconds of NTP; any will do.
const NTP_START: u64 = 3_786_825_600;
/// Ten seconds.
const MAX_TRIP: u32 = 10 * 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const NTP_SECOND: u64 = 1 << 32;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now() + Duration::from_secs(1000)
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn reports_move_the_clock_to_the_least_delay() {
        let origin = origin();
        let (mut wall, mut clock) = (WallClock::default(), SourceClock::new(90_000));
        let mut report = |clock: &mut SourceClock, arrival, ntp, rtp_time| {
            clock.on_sender_report(wall.on_report(arrival, ntp), rtp_time);
        };
        clock.on_packet(1000, origin);
        assert_eq!(clock.time_of(10_000, origin), origin + ms(100));
        // Sent at 1 s and 2 s of the publisher's clock; delayed by 80 ms and 30 ms.
        report(&mut clock, origin + ms(1080), 5 * NTP_SECOND, 90_000);
        report(&mut clock, origin + ms(2030), 6 * NTP_SECOND, 180_000);
        assert_eq!(clock.time_of(180_000, origin), origin + ms(2030));
        report(&mut clock, origin + ms(3200), 7 * NTP_SECOND, 270_000);
        let eased = (ms(3200) - ms(2030)) / 4000;
        assert_eq!(
            clock.time_of(270_000, origin),
            origin + ms(3030) + eased,
            "a late report changes next to nothing"
        );
        // A sound of the same publisher, whose first report is late as well.
        let mut sound = SourceClock::new(48_000);
        report(&mut sound, origin + ms(3400), 7 * NTP_SECOND, 48_000);
        assert!(sound.time_of(48_000, origin).duration_since(clock.time_of(270_000, origin)) < ms(1));
        // The publisher's clock is set an hour back.
        report(&mut clock, origin + ms(4100), 8 * NTP_SECOND, 360_000);
        report(&mut clock, origin + ms(5000), 2 * NTP_SECOND, 450_000);
        assert_eq!(clock.time_of(450_000, origin), origin + ms(5000));
    }

    #[test]
    fn a_slots_time_only_goes_forward_and_its_reports_follow_the_packets() {
        let origin = origin();
        let mut clock = SlotClock::new(90_000, u32::MAX - 100, origin);
        assert_eq!(clock.rtp_after(origin + ms(1000), ms(10)), (90_000 - 101, false));
        clock.on_sent(90_000 - 101, origin + ms(1000));
        assert_eq!(
            clock.rtp_after(origin + ms(900), ms(10)),
            (90_000 - 101 + 900, true),
            "a source that is behind does not turn time back"
        );
        let (ntp, timestamp) = clock.sender_report(origin + ms(1500));
        assert_eq!((ntp >> 32, timestamp), (NTP_START + 1, 135_000 - 101));
        let middle = (ntp >> 16) as u32;
        assert_eq!(clock.round_trip(origin + ms(2500), middle, 32_768), Some(ms(500)));
        assert_eq!(clock.round_trip(origin + ms(2500), 0, 0), None);
        assert_eq!(clock.round_trip(origin + ms(1500), middle, 65_536), None, "a trip back in time is a lie");
    }
}
