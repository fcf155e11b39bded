//! A rate of data, in bits per second.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};
use std::time::Duration;

/// Bits per second. Sums and products saturate; differences end at zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bitrate(u64);

impl Bitrate {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than any line carries.
    pub const MAX: Self = Self(u64::MAX);

    /// So many bits per second.
    pub const fn bps(bps: u64) -> Self {
        Self(bps)
    }

    /// So many thousand bits per second.
    pub const fn kbps(kbps: u64) -> Self {
        Self(kbps.saturating_mul(1000))
    }

    /// What `bytes` in `time` are; zero where no time passed.
    pub fn of(bytes: usize, time: Duration) -> Self {
        let bits = (bytes as u128).saturating_mul(8_000_000_000);
        let rate = bits.checked_div(time.as_nanos()).unwrap_or(0);
        Self(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// In bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// How many whole bytes fit into `time`.
    pub fn bytes_in(self, time: Duration) -> usize {
        let bytes = u128::from(self.0).saturating_mul(time.as_nanos()) / 8_000_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// How long `bytes` take; [`Duration::MAX`] at rate zero.
    pub fn time_for(self, bytes: usize) -> Duration {
        let nanos = (bytes as u128).saturating_mul(8_000_000_000).checked_div(u128::from(self.0));
        nanos.and_then(|nanos| u64::try_from(nanos).ok()).map_or(Duration::MAX, Duration::from_nanos)
    }
}

impl Add for Bitrate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Bitrate {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<f64> for Bitrate {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        // A cast saturates, and makes zero of what is no number.
        Self((self.0 as f64 * factor) as u64)
    }
}

impl Sum for Bitrate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Debug for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bit/s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_time_and_rate_are_one_equation() {
        let rate = Bitrate::kbps(1500);
        assert_eq!(rate.bytes_in(Duration::from_secs(1)), 187_500);
        assert_eq!(rate.time_for(187_500), Duration::from_secs(1));
        assert_eq!(Bitrate::of(187_500, Duration::from_secs(1)), rate);
    }

    #[test]
    fn the_ends_of_the_range_hold() {
        assert_eq!(Bitrate::of(1, Duration::ZERO), Bitrate::ZERO);
        assert_eq!(Bitrate::ZERO.time_for(1), Duration::MAX);
        assert_eq!(Bitrate::MAX + Bitrate::kbps(1), Bitrate::MAX);
        assert_eq!(Bitrate::kbps(1) - Bitrate::kbps(2), Bitrate::ZERO);
        assert_eq!(Bitrate::MAX * 2.0, Bitrate::MAX);
        assert_eq!(Bitrate::kbps(1) * -1.0, Bitrate::ZERO);
        assert_eq!(Bitrate::kbps(1) * f64::NAN, Bitrate::ZERO);
    }
}
