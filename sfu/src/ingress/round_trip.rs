//! How long a line takes there and back.

use std::time::Duration;

/// A smoothed round trip, from reports and from repairs alike (RFC 6298 section 2, without its variance).
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundTrip {
    smoothed: Option<Duration>,
}

impl RoundTrip {
    /// Takes a measurement. Beyond ten seconds it is none.
    pub fn on_sample(&mut self, sample: Duration) {
        if sample > MAX {
            return;
        }
        self.smoothed = Some(match self.smoothed {
            None => sample,
            Some(smoothed) => (smoothed * 7 + sample) / 8,
        });
    }

    /// The present value; before the first measurement that of a good line.
    pub fn value(&self) -> Duration {
        self.smoothed.unwrap_or(AT_FIRST)
    }

    /// What was measured, if anything was.
    pub fn measured(&self) -> Option<Duration> {
        self.smoothed
    }
}

const AT_FIRST: Duration = Duration::from_millis(50);
const MAX: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_slowly_and_believes_no_nonsense() {
        let mut trip = RoundTrip::default();
        assert_eq!((trip.value(), trip.measured()), (AT_FIRST, None));
        trip.on_sample(Duration::from_millis(100));
        trip.on_sample(Duration::from_millis(180));
        trip.on_sample(Duration::from_secs(60));
        assert_eq!(trip.value(), Duration::from_millis(110));
    }
}
