//! How long a line takes there and back, and how much it loses.

use std::time::Duration;

/// A smoothed round trip (RFC 6298 section 2, without its variance), from reports and from repairs alike, and the loss that reports tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct LineQuality {
    round_trip: Option<Duration>,
    /// Part of the packets lost on the way down, 0 to 1.
    loss: f64,
    /// Of the packets on the way up, those that had to be repaired.
    loss_up: f64,
    beyond_repair: bool,
}

impl LineQuality {
    /// Takes a measured round trip. Beyond ten seconds it is none.
    pub fn on_round_trip(&mut self, sample: Duration) {
        if sample > MAX_ROUND_TRIP {
            return;
        }
        self.round_trip = Some(match self.round_trip {
            None => sample,
            Some(smoothed) => (smoothed * 7 + sample) / 8,
        });
    }

    /// Takes a reported loss, 0 to 1.
    pub fn on_loss(&mut self, loss: f64) {
        self.loss = self.loss * 0.75 + loss * 0.25;
        self.beyond_repair = self.loss > if self.beyond_repair { REPAIRABLE } else { BEYOND_REPAIR };
    }

    /// So many packets came up within a report's time, and so many of them by a repair.
    pub fn on_arrivals(&mut self, packets: u32, repaired: u32) {
        if packets > 0 {
            self.loss_up = self.loss_up * 0.75 + f64::from(repaired) / f64::from(packets) * 0.25;
        }
    }

    /// The part of the packets lost on the way up.
    pub fn loss_up(&self) -> f64 {
        self.loss_up
    }

    /// Whether so much is lost on the way up that a request for a key frame is made twice at once: lost, it is made again only after a while.
    pub fn loses_up(&self) -> bool {
        self.loss_up >= LOSES_UP
    }

    /// The part of the packets lost on the way down, by chance as far as that can be told.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Whether more is lost than may be sent again: pictures of many packets would hardly ever be whole, however much the line carries.
    pub fn is_beyond_repair(&self) -> bool {
        self.beyond_repair
    }

    /// The present round trip; before the first measurement that of a good line.
    pub fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or(ROUND_TRIP_AT_FIRST)
    }

    /// What was measured, if anything was.
    pub fn measured_round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// How many copies of a packet to send when its first repair was not enough: on a line that loses often a second one saves a round trip.
    pub fn copies(&self) -> usize {
        if self.loss >= LOSES { 2 } else { 1 }
    }
}

const ROUND_TRIP_AT_FIRST: Duration = Duration::from_millis(50);
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);
const LOSES: f64 = 0.02;
/// Of requests as well, as far as can be known.
const LOSES_UP: f64 = 0.05;
const BEYOND_REPAIR: f64 = 0.14;
const REPAIRABLE: f64 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_slowly_and_believes_no_nonsense() {
        let mut line = LineQuality::default();
        assert_eq!((line.round_trip(), line.measured_round_trip()), (ROUND_TRIP_AT_FIRST, None));
        line.on_round_trip(Duration::from_millis(100));
        line.on_round_trip(Duration::from_millis(180));
        line.on_round_trip(Duration::from_secs(60));
        assert_eq!(line.round_trip(), Duration::from_millis(110));
    }

    #[test]
    fn a_line_is_beyond_repair_until_it_is_clearly_better() {
        let mut line = LineQuality::default();
        let mut after = |percent: u8| {
            (0..20).for_each(|_| line.on_loss(f64::from(percent) / 100.0));
            line.is_beyond_repair()
        };
        assert_eq!([5, 12, 16, 12, 8, 12].map(&mut after), [false, false, true, true, false, false]);
    }

    #[test]
    fn requests_are_made_twice_where_many_are_lost() {
        let loses = |repaired: u32| {
            let mut line = LineQuality::default();
            (0..20).for_each(|_| line.on_arrivals(100, repaired));
            line.loses_up()
        };
        assert_eq!([0, 4, 6, 30].map(loses), [false, false, true, true]);
    }

    #[test]
    fn a_second_copy_is_for_lines_that_lose() {
        let copies = |percent: u8| {
            let mut line = LineQuality::default();
            (0..20).for_each(|_| line.on_loss(f64::from(percent) / 100.0));
            line.copies()
        };
        assert_eq!([0, 1, 5, 10, 20].map(copies), [1, 1, 2, 2, 2]);
    }
}
