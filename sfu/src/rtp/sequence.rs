//! Numbers that wrap, extended to numbers that do not.

/// Extends 16-bit sequence numbers to 64 bits. The first one lies in cycle 1 (65536 and up), so that one that comes late at the
/// very start still has a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extender16 {
    highest: Option<u64>,
}

impl Extender16 {
    /// The extended number, nearest to the highest one so far, which it may become.
    #[inline]
    pub fn extend(&mut self, number: u16) -> u64 {
        let extended = self.peek(number);
        self.highest = self.highest.max(Some(extended));
        extended
    }

    /// As [`extend`](Self::extend), leaving no trace.
    #[inline]
    pub fn peek(&self, number: u16) -> u64 {
        match self.highest {
            None => CYCLE_16 + u64::from(number),
            Some(highest) => {
                let ahead = number.wrapping_sub(highest as u16) as i16;
                highest.saturating_add_signed(i64::from(ahead))
            }
        }
    }

    /// The highest number so far.
    #[inline]
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

/// Extends 32-bit timestamps to 64 bits. The first one lies in cycle 1 (2^32 and up).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extender32 {
    highest: Option<u64>,
}

impl Extender32 {
    /// The extended timestamp, nearest to the highest one so far, which it may become.
    #[inline]
    pub fn extend(&mut self, number: u32) -> u64 {
        let extended = match self.highest {
            None => CYCLE_32 + u64::from(number),
            Some(highest) => {
                let ahead = number.wrapping_sub(highest as u32) as i32;
                highest.saturating_add_signed(i64::from(ahead))
            }
        };
        self.highest = self.highest.max(Some(extended));
        extended
    }
}

const CYCLE_16: u64 = 1 << 16;
const CYCLE_32: u64 = 1 << 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_count_on_over_the_wrap_and_late_ones_find_their_place() {
        let cases: [(&[u16], &[u64]); 3] = [
            (&[65_534, 65_535, 0, 65_533, 1], &[131_070, 131_071, 131_072, 131_069, 131_073]),
            (&[0, 65_535, 1], &[65_536, 65_535, 65_537]),
            (&[7, 7 + 0x7fff, 7], &[65_543, 65_543 + 0x7fff, 65_543]),
        ];
        for (numbers, expected) in cases {
            let mut extender = Extender16::default();
            let extended: Vec<u64> = numbers.iter().map(|&number| extender.extend(number)).collect();
            assert_eq!(extended, expected);
        }
        let mut extender = Extender32::default();
        let extended = [u32::MAX, 0, u32::MAX].map(|number| extender.extend(number));
        assert_eq!(extended, [(2 << 32) - 1, 2 << 32, (2 << 32) - 1]);
    }

    proptest! {
        #[test]
        fn steps_within_half_a_cycle_are_followed(start: u16, steps in prop::collection::vec(0u64..30_000, 1..50)) {
            let mut extender = Extender16::default();
            let mut at = CYCLE_16 + u64::from(start);
            prop_assert_eq!(extender.extend(at as u16), at);
            for step in steps {
                at += step;
                prop_assert_eq!(extender.extend(at as u16), at);
            }
        }
    }
}
