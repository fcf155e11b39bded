//! How long the queue on the line is, not only whether it grows.

use crate::bandwidth::MICROS_PER_SECOND;

/// One-way delay against the least of the last seconds. The two clocks' offset cancels out, their drift is too small to matter.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueDelay {
    /// The least delay of each second, by the second modulo their number.
    least: [Option<i64>; SECONDS as usize],
    second: i64,
    current_us: Option<i64>,
    /// Of the last two feedbacks.
    latest_us: [Option<i64>; 2],
}

impl QueueDelay {
    /// The least delay among the datagrams of one feedback: the queue that none of them escaped.
    pub(super) fn on_feedback(&mut self, now_us: i64, delay_us: i64) {
        let second = now_us.div_euclid(MICROS_PER_SECOND);
        for passed in (self.second.saturating_add(1)..=second).rev().take(SECONDS as usize) {
            *self.least_mut(passed) = None;
        }
        self.second = second.max(self.second);
        let least = self.least_mut(second);
        *least = Some(least.map_or(delay_us, |least| least.min(delay_us)));
        self.latest_us = [Some(delay_us), self.latest_us[0]];
        self.current_us = Some(self.current_us.map_or(delay_us, |former| {
            // Down at once, up slowly: jitter only adds.
            let step = delay_us.saturating_sub(former);
            if step < 0 { delay_us } else { former.saturating_add(step / 4) }
        }));
    }

    /// In microseconds, steadied; 0 before anything is known.
    pub(super) fn micros(&self) -> i64 {
        self.above_least(self.current_us)
    }

    /// In microseconds, as the last two feedbacks agree upon; 0 before anything is known.
    pub(super) fn latest_micros(&self) -> i64 {
        self.above_least(self.latest_us.iter().flatten().min().copied())
    }

    /// The least delay of the last seconds, in microseconds with the clocks' offset.
    pub(super) fn least_micros(&self) -> Option<i64> {
        self.least.iter().flatten().min().copied()
    }

    fn above_least(&self, delay_us: Option<i64>) -> i64 {
        match (delay_us, self.least_micros()) {
            (Some(delay), Some(least)) => delay.saturating_sub(least).max(0),
            _ => 0,
        }
    }

    fn least_mut(&mut self, second: i64) -> &mut Option<i64> {
        // The remainder is within the array.
        &mut self.least[second.rem_euclid(SECONDS) as usize]
    }
}

/// A line whose delay is another since then is another line.
const SECONDS: i64 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_the_clocks_is_no_queue_and_a_new_delay_becomes_usual() {
        let mut queue = QueueDelay::default();
        assert_eq!(queue.micros(), 0);
        let mut run = |from: i64, to: i64, delay_us: i64| {
            for tenth in from * 10..to * 10 {
                queue.on_feedback(tenth * 100_000, delay_us);
            }
            queue.micros()
        };
        assert_eq!(run(0, 5, -7_000_000), 0);
        assert!(run(5, 8, -6_800_000) > 199_000);
        assert_eq!(run(8, 9, -7_000_000), 0);
        assert!(run(9, 20, -6_900_000) > 99_000);
        assert_eq!(run(20, 26, -6_900_000), 0);
    }

    #[test]
    fn the_latest_is_what_two_feedbacks_agree_upon() {
        let mut queue = QueueDelay::default();
        let mut after = |delay_us| {
            queue.on_feedback(1_000_000, delay_us);
            queue.latest_micros()
        };
        assert_eq!([0, 90_000, 120_000, 130_000, 5_000].map(&mut after), [0, 0, 90_000, 120_000, 5_000]);
    }
}
