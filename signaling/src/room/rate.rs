//! How often somebody may do something: token buckets, told the time.

use std::time::{Duration, Instant};

use crate::limits::{Rate, Rates};

/// What a message counts as, besides counting as a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    Chat,
    State,
    Offer,
    View,
}

/// One participant's buckets.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    chat: Bucket,
    state: Bucket,
    offer: Bucket,
    view: Bucket,
    all: Bucket,
}

impl Buckets {
    pub(crate) fn new(rates: &Rates, now: Instant) -> Self {
        let bucket = |rate| Bucket::new(rate, now);
        Self {
            chat: bucket(rates.chat),
            state: bucket(rates.state),
            offer: bucket(rates.offer),
            view: bucket(rates.view),
            all: bucket(rates.all),
        }
    }

    /// Takes one message, or says how long to wait.
    pub(crate) fn take_any(&mut self, now: Instant) -> Result<(), Duration> {
        self.all.take(now)
    }

    /// Takes one message of a class, or says how long to wait.
    pub(crate) fn take(&mut self, class: Class, now: Instant) -> Result<(), Duration> {
        match class {
            Class::Chat => &mut self.chat,
            Class::State => &mut self.state,
            Class::Offer => &mut self.offer,
            Class::View => &mut self.view,
        }
        .take(now)
    }
}

/// Holds up to `burst` tokens and gets `per_second` of them back; counted in nanoseconds of credit, so exactly.
#[derive(Clone, Debug)]
struct Bucket {
    cost: Duration,
    full: Duration,
    credit: Duration,
    at: Instant,
}

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Self {
        let cost = Duration::from_secs(1) / rate.per_second.max(1);
        let full = cost * rate.burst.max(1);
        Self { cost, full, credit: full, at: now }
    }

    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let earned = now.saturating_duration_since(self.at);
        self.credit = self.credit.saturating_add(earned).min(self.full);
        self.at = self.at.max(now);
        match self.credit.checked_sub(self.cost) {
            Some(rest) => {
                self.credit = rest;
                Ok(())
            }
            None => Err(self.cost.saturating_sub(self.credit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Rate { per_second: 5, burst: 10 }, start);
        for _ in 0..10 {
            assert_eq!(bucket.take(start), Ok(()));
        }
        assert_eq!(bucket.take(start), Err(Duration::from_millis(200)));
        let later = start + Duration::from_millis(150);
        assert_eq!(bucket.take(later), Err(Duration::from_millis(50)));
        assert_eq!(bucket.take(start + Duration::from_millis(200)), Ok(()));
        assert_eq!(bucket.take(start + Duration::from_millis(200)), Err(Duration::from_millis(200)));
        // A long pause earns one burst, no more.
        let much_later = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| bucket.take(much_later).is_ok()).count(), 10);
    }
}
