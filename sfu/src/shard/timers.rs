//! When each participant wants to be woken.

use std::collections::BTreeSet;
use std::time::Instant;

/// One deadline per participant, by their index in the shard.
///
/// A deadline that moves later is not touched: the participant wakes early once, finds nothing due and arms again. So the frequent case,
/// a packet that pushes a timer back, costs a comparison.
#[derive(Default)]
pub(crate) struct Timers {
    armed: Vec<Option<Instant>>,
    queue: BTreeSet<(Instant, usize)>,
}

impl Timers {
    /// Sees to it that `index` is woken at `at` or earlier.
    #[inline]
    pub(crate) fn arm(&mut self, index: usize, at: Option<Instant>) {
        let Some(at) = at else { return };
        if index >= self.armed.len() {
            self.armed.resize(index + 1, None);
        }
        if let Some(armed) = self.armed[index] {
            if armed <= at {
                return;
            }
            self.queue.remove(&(armed, index));
        }
        self.armed[index] = Some(at);
        self.queue.insert((at, index));
    }

    /// Forgets `index`.
    pub(crate) fn disarm(&mut self, index: usize) {
        if let Some(at) = self.armed.get_mut(index).and_then(Option::take) {
            self.queue.remove(&(at, index));
        }
    }

    /// The next one that is due, disarmed.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<usize> {
        let &(at, index) = self.queue.first()?;
        if at > now {
            return None;
        }
        self.disarm(index);
        Some(index)
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|&(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn the_earliest_deadline_counts_and_each_fires_once() {
        let origin = Instant::now();
        let at = |ms| Some(origin + Duration::from_millis(ms));
        let mut timers = Timers::default();
        timers.arm(3, at(30));
        timers.arm(1, at(20));
        timers.arm(3, at(10));
        timers.arm(1, at(50));
        timers.arm(2, None);
        assert_eq!(timers.next(), at(10));
        assert_eq!(timers.pop(origin), None);
        assert_eq!(timers.pop(origin + Duration::from_millis(25)), Some(3));
        assert_eq!(timers.pop(origin + Duration::from_millis(25)), Some(1));
        assert_eq!(timers.next(), None);
        timers.arm(1, at(60));
        timers.disarm(1);
        assert_eq!(timers.next(), None);
    }
}
