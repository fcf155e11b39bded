//! Whether the queue on the line grows (draft-ietf-rmcat-gcc-02 sections 5.3 and 5.4, with a line fitted by least squares in place of the filter).

use std::collections::VecDeque;

use crate::bandwidth::Usage;
use crate::bandwidth::grouping::Change;

/// The slope of the delay, and an adaptive threshold for it.
#[derive(Clone, Debug)]
pub(super) struct Trendline {
    /// Arrival and smoothed delay, in milliseconds since the first.
    points: VecDeque<(f64, f64)>,
    origin_us: Option<i64>,
    changes: u32,
    delay_ms: f64,
    smoothed_ms: f64,
    slope: f64,
    threshold: f64,
    threshold_at_us: Option<i64>,
    /// For how long the slope has been above the threshold, by the sender's clock, and in how many groups.
    over_ms: Option<f64>,
    over_count: u32,
    usage: Usage,
}

impl Default for Trendline {
    fn default() -> Self {
        Self {
            points: VecDeque::with_capacity(POINTS + 1),
            origin_us: None,
            changes: 0,
            delay_ms: 0.0,
            smoothed_ms: 0.0,
            slope: 0.0,
            threshold: 12.5,
            threshold_at_us: None,
            over_ms: None,
            over_count: 0,
            usage: Usage::Normal,
        }
    }
}

impl Trendline {
    /// The next change of delay.
    pub(super) fn on_change(&mut self, change: &Change) {
        let origin = *self.origin_us.get_or_insert(change.at_us);
        let delta_ms = ms(change.arrived_us) - ms(change.sent_us);
        self.changes = self.changes.saturating_add(1).min(COUNTED_CHANGES);
        self.delay_ms += delta_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.delay_ms;
        self.points.push_back((ms(change.at_us.saturating_sub(origin)), self.smoothed_ms));
        if self.points.len() > POINTS {
            self.points.pop_front();
        }
        let former = self.slope;
        if self.points.len() == POINTS {
            self.slope = fit(&self.points).unwrap_or(former);
        }
        self.judge(former, ms(change.sent_us), change.at_us);
    }

    /// What the line says.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Queue that grows, in milliseconds for each millisecond.
    pub(super) fn slope(&self) -> f64 {
        self.slope
    }

    /// Forgets the delays, not what was learned of the line's jitter.
    pub(super) fn restart(&mut self) {
        *self = Self { threshold: self.threshold, ..Self::default() };
    }

    fn judge(&mut self, former_slope: f64, sent_ms: f64, at_us: i64) {
        let value = f64::from(self.changes) * self.slope * GAIN;
        if value > self.threshold {
            // It began somewhere between this group and the one before.
            let over = self.over_ms.map_or(sent_ms / 2.0, |over| over + sent_ms);
            self.over_ms = Some(over);
            self.over_count = self.over_count.saturating_add(1);
            if over > OVERUSE_MS && self.over_count > 1 && self.slope >= former_slope {
                self.over_ms = Some(0.0);
                self.over_count = 0;
                self.usage = Usage::Overuse;
            }
        } else {
            self.over_ms = None;
            self.over_count = 0;
            self.usage = if value < -self.threshold { Usage::Underuse } else { Usage::Normal };
        }
        self.adapt(value.abs(), at_us);
    }

    fn adapt(&mut self, value: f64, at_us: i64) {
        let since = at_us.saturating_sub(self.threshold_at_us.replace(at_us).unwrap_or(at_us));
        // A sudden leap is congestion or an odd moment: not the line's usual jitter.
        if value > self.threshold + MAX_ABOVE {
            return;
        }
        let gain = if value < self.threshold { GAIN_DOWN } else { GAIN_UP };
        let elapsed = ms(since).clamp(0.0, 100.0);
        self.threshold = (self.threshold + gain * (value - self.threshold) * elapsed).clamp(6.0, 600.0);
    }
}

/// The slope of the line with the least squares; `None` where all points have one time.
fn fit(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let (x_sum, y_sum) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x_mean, y_mean) = (x_sum / count, y_sum / count);
    let (covariance, variance) = points.iter().fold((0.0, 0.0), |(covariance, variance), &(x, y)| {
        (covariance + (x - x_mean) * (y - y_mean), variance + (x - x_mean) * (x - x_mean))
    });
    let slope = covariance / variance;
    slope.is_finite().then_some(slope)
}

fn ms(us: i64) -> f64 {
    us as f64 / 1000.0
}

/// Points of the line.
const POINTS: usize = 20;
const SMOOTHING: f64 = 0.9;
/// With fewer changes the slope counts the less.
const COUNTED_CHANGES: u32 = 60;
const GAIN: f64 = 4.0;
const OVERUSE_MS: f64 = 10.0;
const MAX_ABOVE: f64 = 15.0;
const GAIN_UP: f64 = 0.0087;
const GAIN_DOWN: f64 = 0.039;

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups sent every 33 ms, each `extra_us` later than the one before.
    fn run(trendline: &mut Trendline, at: &mut i64, groups: usize, extra_us: impl Fn(usize) -> i64) {
        for group in 0..groups {
            let arrived_us = 33_000 + extra_us(group);
            *at += arrived_us;
            trendline.on_change(&Change { sent_us: 33_000, arrived_us, at_us: *at });
        }
    }

    #[test]
    fn a_queue_that_grows_is_overuse_and_one_that_drains_underuse() {
        let (mut trendline, mut at) = (Trendline::default(), 0);
        run(&mut trendline, &mut at, 40, |_| 0);
        assert_eq!(trendline.usage(), Usage::Normal);
        run(&mut trendline, &mut at, 15, |_| 5000);
        assert_eq!(trendline.usage(), Usage::Overuse);
        assert!(trendline.slope() > 0.02, "{}", trendline.slope());
        run(&mut trendline, &mut at, 30, |_| -4000);
        assert_eq!(trendline.usage(), Usage::Underuse);
        run(&mut trendline, &mut at, 60, |_| 0);
        assert_eq!(trendline.usage(), Usage::Normal);
        assert!(trendline.slope().abs() < 0.01, "{}", trendline.slope());
    }

    #[test]
    fn steady_jitter_is_no_overuse() {
        let (mut trendline, mut at) = (Trendline::default(), 0);
        run(&mut trendline, &mut at, 100, |group| [4000, -9000, 7000, -2000][group % 4]);
        for _ in 0..100 {
            run(&mut trendline, &mut at, 1, |_| 3000);
            run(&mut trendline, &mut at, 1, |_| -3000);
            assert_eq!(trendline.usage(), Usage::Normal);
        }
    }
}
