//! The receiver's clock, as its feedback tells it.

/// Makes the 24-bit reference times of feedback packets one line of microseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct ArrivalClock {
    /// Reference of the last feedback, unwrapped, and when it was heard.
    last: Option<(i64, i64)>,
}

impl ArrivalClock {
    /// The reference in microseconds, closest to the one before; and whether the receiver's clock went on as ours did since then, to within 10 s.
    pub(super) fn unwrap(&mut self, now_us: i64, reference: u32) -> (i64, bool) {
        let reference = i64::from(reference);
        let Some((last, heard_us)) = self.last else {
            // Far enough from zero to go back.
            let unwrapped = reference + CYCLE;
            self.last = Some((unwrapped, now_us));
            return (unwrapped.saturating_mul(UNIT_US), true);
        };
        let ahead = (reference - last).rem_euclid(CYCLE);
        let ahead = if ahead >= CYCLE / 2 { ahead - CYCLE } else { ahead };
        let unwrapped = last.saturating_add(ahead);
        let passed_us = now_us.saturating_sub(heard_us);
        self.last = Some((unwrapped, now_us));
        let leap_us = ahead.saturating_mul(UNIT_US).saturating_sub(passed_us);
        (unwrapped.saturating_mul(UNIT_US), leap_us.saturating_abs() <= MAX_LEAP_US)
    }
}

/// References: 24 bits.
const CYCLE: i64 = 1 << 24;
const UNIT_US: i64 = 64_000;
const MAX_LEAP_US: i64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_across_its_wrap() {
        let mut clock = ArrivalClock::default();
        let (before, _) = clock.unwrap(0, 0xff_ffff);
        let (after, steady) = clock.unwrap(128_000, 1);
        assert_eq!((after - before, steady), (2 * UNIT_US, true));
        let (back, steady) = clock.unwrap(130_000, 0);
        assert_eq!((back - after, steady), (-UNIT_US, true));
        assert!(!clock.unwrap(140_000, 1000).1, "a leap");
        assert!(clock.unwrap(240_000, 1001).1);
    }
}
