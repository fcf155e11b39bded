//! The rate that the delay allows: up while the queue is steady, down when it grows (draft-ietf-rmcat-gcc-02 section 5.5).

use std::time::{Duration, Instant};

use crate::bandwidth::{Bitrate, Usage};

/// Additive and multiplicative increase, multiplicative decrease.
#[derive(Clone, Debug)]
pub(super) struct RateControl {
    rate: Bitrate,
    capacity: Capacity,
    updated_at: Option<Instant>,
    decreased_at: Option<Instant>,
    /// Cuts since the queue stands.
    drains: u8,
    /// What the rate was when usage was last normal: a drop may take several decreases.
    steady: Bitrate,
}

/// What is seen of the line at the time of an update.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    /// What the delay says.
    pub(super) usage: Usage,
    /// What arrives.
    pub(super) acknowledged: Option<Bitrate>,
    /// What is sent.
    pub(super) sent: Option<Bitrate>,
    /// A long queue stands on the line.
    pub(super) queue_stands: bool,
    /// To the receiver and back.
    pub(super) round_trip: Duration,
}

impl Observed {
    /// Whether less is sent than may be, so that what arrives says little of the line.
    pub(super) fn is_application_limited(&self, rate: Bitrate) -> bool {
        self.sent.is_some_and(|sent| sent < rate * APPLICATION_LIMITED)
    }

    /// Whether all that is sent arrives, so that the line is not what holds it up.
    fn all_arrives(&self) -> bool {
        match (self.acknowledged, self.sent) {
            (Some(acknowledged), Some(sent)) => acknowledged >= sent * 0.9,
            _ => false,
        }
    }
}

impl RateControl {
    pub(super) fn new(rate: Bitrate) -> Self {
        Self {
            rate,
            capacity: Capacity::default(),
            updated_at: None,
            decreased_at: None,
            drains: 0,
            steady: rate,
        }
    }

    /// What may be sent.
    pub(super) fn rate(&self) -> Bitrate {
        self.rate
    }

    /// What it was before it began to fall.
    pub(super) fn steady(&self) -> Bitrate {
        self.steady
    }

    /// When it last fell for the delay's sake.
    pub(super) fn decreased_at(&self) -> Option<Instant> {
        self.decreased_at
    }

    /// Goes to a rate found otherwise.
    pub(super) fn set(&mut self, now: Instant, rate: Bitrate) {
        self.rate = rate.clamp(FLOOR, CEILING);
        self.updated_at = Some(now);
    }

    /// Goes with what was observed.
    pub(super) fn update(&mut self, now: Instant, observed: &Observed) {
        let elapsed = now.saturating_duration_since(self.updated_at.replace(now).unwrap_or(now));
        if !observed.queue_stands {
            self.drains = 0;
        }
        match observed.usage {
            Usage::Overuse => self.decrease(now, observed),
            Usage::Underuse => {}
            Usage::Normal if observed.queue_stands => self.drain(now, observed),
            Usage::Normal => {
                self.increase(elapsed.min(Duration::from_secs(1)), observed);
                if self.decreased_at.is_none_or(|at| now.saturating_duration_since(at) > SETTLED) {
                    self.steady = self.rate;
                }
            }
        }
    }

    /// The queue does not grow, but is long. If it is ours, a few cuts drain it; if not, more of them would only yield to whoever fills it.
    fn drain(&mut self, now: Instant, observed: &Observed) {
        let waited = self.decreased_at.is_none_or(|at| now.saturating_duration_since(at) >= DRAIN_INTERVAL);
        if waited && self.drains < MAX_DRAINS {
            self.drains += 1;
            self.decrease(now, observed);
        }
    }

    fn decrease(&mut self, now: Instant, observed: &Observed) {
        let limited = observed.is_application_limited(self.rate) && observed.all_arrives();
        let interval =
            if limited { SETTLED_LIMITED } else { observed.round_trip.clamp(MIN_INTERVAL, MAX_INTERVAL) };
        let too_soon = self.decreased_at.is_some_and(|at| now.saturating_duration_since(at) < interval);
        let far_off = observed.acknowledged.is_some_and(|arrives| arrives < self.rate * 0.5) && !limited;
        if too_soon && !far_off {
            return;
        }
        let lower = match observed.acknowledged {
            // All that is sent arrives: no sign of how much the line carries, but for the queue that grew.
            Some(arrives) if limited => arrives.max(self.rate * DECREASE),
            Some(arrives) => {
                if self.capacity.is_above(arrives) {
                    self.capacity = Capacity::default();
                }
                self.capacity.learn(arrives);
                match arrives * DECREASE {
                    lower if lower < self.rate => lower,
                    // It arrives faster than may be sent: what was queued.
                    _ => self.capacity.mean().map_or(self.rate, |mean| mean * DECREASE),
                }
            }
            None => self.rate * 0.5,
        };
        self.rate = lower.min(self.rate).max(FLOOR);
        self.decreased_at = Some(now);
    }

    fn increase(&mut self, elapsed: Duration, observed: &Observed) {
        let Some(acknowledged) = observed.acknowledged else { return };
        if self.capacity.is_below(acknowledged) {
            self.capacity = Capacity::default();
        }
        let seconds = elapsed.as_secs_f64();
        let higher = if self.capacity.mean().is_some() {
            self.rate + self.additive(observed.round_trip) * seconds
        } else {
            self.rate * 1.08f64.powf(seconds) + Bitrate::kbps(1) * seconds
        };
        // A receiver may say anything of what arrived.
        let passed = observed.sent.map_or(acknowledged, |sent| acknowledged.min(sent));
        let verified = passed * 1.5 + Bitrate::kbps(10);
        self.rate = higher.min(verified).max(self.rate).min(CEILING);
    }

    /// In a second: a packet for each response time, that of a stream of 30 frames a second.
    fn additive(&self, round_trip: Duration) -> Bitrate {
        let frame_bits = self.rate.as_bps() as f64 / 30.0;
        let packets = (frame_bits / PACKET_BITS).ceil().max(1.0);
        let response = (round_trip + Duration::from_millis(100)).as_secs_f64();
        Bitrate::bps((frame_bits / packets / response) as u64).max(Bitrate::kbps(4))
    }
}

/// What the line carried when it was full: mean and deviation.
#[derive(Clone, Copy, Default, Debug)]
struct Capacity {
    mean_kbps: Option<f64>,
    /// Of the relative error: error squared by mean.
    variance: f64,
}

impl Capacity {
    fn learn(&mut self, arrives: Bitrate) {
        let sample = arrives.as_bps() as f64 / 1000.0;
        let Some(mean) = self.mean_kbps else {
            (self.mean_kbps, self.variance) = (Some(sample), 0.4);
            return;
        };
        let mean = mean + CAPACITY_WEIGHT * (sample - mean);
        let error = mean - sample;
        let variance =
            (1.0 - CAPACITY_WEIGHT) * self.variance + CAPACITY_WEIGHT * error * error / mean.max(1.0);
        (self.mean_kbps, self.variance) = (Some(mean), variance.clamp(0.4, 2.5));
    }

    fn mean(&self) -> Option<Bitrate> {
        self.mean_kbps.map(|mean| Bitrate::bps((mean * 1000.0) as u64))
    }

    fn is_above(&self, arrives: Bitrate) -> bool {
        self.mean_kbps.is_some_and(|mean| {
            (arrives.as_bps() as f64 / 1000.0) < mean - 3.0 * (self.variance * mean).sqrt()
        })
    }

    fn is_below(&self, arrives: Bitrate) -> bool {
        self.mean_kbps.is_some_and(|mean| {
            (arrives.as_bps() as f64 / 1000.0) > mean + 3.0 * (self.variance * mean).sqrt()
        })
    }
}

/// Less is never thought of a line: audio and feedback take as much.
pub(super) const FLOOR: Bitrate = Bitrate::kbps(30);
/// More is of no use for one subscriber.
pub(super) const CEILING: Bitrate = Bitrate::kbps(100_000);
/// A smaller part of the rate sent than this is application-limited.
const APPLICATION_LIMITED: f64 = 0.65;
const DECREASE: f64 = 0.85;
const PACKET_BITS: f64 = 1200.0 * 8.0;
const CAPACITY_WEIGHT: f64 = 0.05;
const MIN_INTERVAL: Duration = Duration::from_millis(10);
const MAX_INTERVAL: Duration = Duration::from_millis(200);
const DRAIN_INTERVAL: Duration = Duration::from_millis(700);
const MAX_DRAINS: u8 = 4;
const SETTLED_LIMITED: Duration = Duration::from_millis(300);
/// After the last decrease, what remains is the steady rate.
const SETTLED: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const OBSERVED: Observed = Observed {
        usage: Usage::Normal,
        acknowledged: Some(Bitrate::kbps(1000)),
        sent: Some(Bitrate::kbps(1000)),
        queue_stands: false,
        round_trip: Duration::from_millis(50),
    };

    /// A second of updates every 50 ms; the rate then, in kbit/s.
    fn second(control: &mut RateControl, now: &mut Instant, observed: &Observed) -> u64 {
        for _ in 0..20 {
            *now += Duration::from_millis(50);
            control.update(*now, observed);
        }
        control.rate().as_bps() / 1000
    }

    fn control(kbps: u64) -> (RateControl, Instant) {
        #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        let now = Instant::now();
        let mut control = RateControl::new(Bitrate::kbps(kbps));
        control.update(now, &OBSERVED);
        (control, now)
    }

    #[test]
    fn overuse_cuts_to_a_part_of_what_arrives_and_the_way_back_is_slow() {
        let (mut control, mut now) = control(1100);
        now += Duration::from_millis(50);
        control.update(now, &Observed { usage: Usage::Overuse, ..OBSERVED });
        assert_eq!(control.rate(), Bitrate::kbps(850));
        // Not again at once.
        control.update(now, &Observed { usage: Usage::Overuse, ..OBSERVED });
        assert_eq!(control.rate(), Bitrate::kbps(850));
        assert_eq!(second(&mut control, &mut now, &Observed { usage: Usage::Underuse, ..OBSERVED }), 850);
        // Up to 864 kbit/s a frame is 3 packets of at most 9600 bits, above 4 of 7200 or more: one in 150 ms are 48 to 64 kbit/s.
        let near = second(&mut control, &mut now, &OBSERVED) - 850;
        assert!((48..=64).contains(&near), "{near}");
        // More arrives than the line ever carried: it is another line.
        let more =
            Observed { acknowledged: Some(Bitrate::kbps(1500)), sent: Some(Bitrate::kbps(1500)), ..OBSERVED };
        let far = second(&mut control, &mut now, &more) - 850 - near;
        assert!((70..80).contains(&far), "{far}");
    }

    #[test]
    fn an_increase_stays_with_what_is_verified_and_nothing_decays() {
        let (mut control, mut now) = control(1000);
        let small =
            Observed { acknowledged: Some(Bitrate::kbps(700)), sent: Some(Bitrate::kbps(700)), ..OBSERVED };
        for _ in 0..30 {
            second(&mut control, &mut now, &small);
        }
        assert_eq!(control.rate(), Bitrate::kbps(1060));
        let less =
            Observed { acknowledged: Some(Bitrate::kbps(10)), sent: Some(Bitrate::kbps(10)), ..OBSERVED };
        for _ in 0..30 {
            second(&mut control, &mut now, &less);
        }
        assert_eq!(control.rate(), Bitrate::kbps(1060));
        // What arrives says little of the line then.
        now += Duration::from_millis(50);
        control.update(now, &Observed { usage: Usage::Overuse, ..less });
        assert_eq!(control.rate(), Bitrate::kbps(1060) * 0.85);
    }

    #[test]
    fn a_queue_that_stands_is_drained_by_a_few_cuts_and_no_more() {
        let (mut control, mut now) = control(1000);
        let stands = Observed { queue_stands: true, ..OBSERVED };
        let rates: Vec<_> = (0..10)
            .map(|_| {
                let arrives = Some(control.rate());
                second(&mut control, &mut now, &Observed { acknowledged: arrives, sent: arrives, ..stands })
            })
            .collect();
        assert!(rates[4] < 620 && rates[4] > 500, "{rates:?}");
        assert_eq!(rates[9], rates[5], "{rates:?}");
    }

    #[test]
    fn a_line_that_fails_is_left_at_once() {
        let (mut control, now) = control(4000);
        let fails = |kbps| Observed {
            usage: Usage::Overuse,
            acknowledged: Some(Bitrate::kbps(kbps)),
            sent: Some(Bitrate::kbps(4000)),
            ..OBSERVED
        };
        control.update(now, &fails(2500));
        control.update(now, &fails(1000));
        assert_eq!(control.rate(), Bitrate::kbps(850));
        control.update(now, &fails(0));
        assert_eq!(control.rate(), FLOOR);
    }
}
