//! What a publisher need not send: encodings that nobody gets.

use std::time::{Duration, Instant};

/// Which encodings of one publication are wanted, as the publisher is told.
///
/// One that is needed is wanted at once. One that is not is let go after a while, so that a viewer who comes back finds it; the smallest stays
/// longest, since everybody's first picture is one of it.
#[derive(Clone, Debug)]
pub(crate) struct Saving {
    /// By encoding: since when nobody needs it; `None` while somebody does.
    idle_since: Vec<Option<Instant>>,
    wanted: Vec<bool>,
    resumed: Vec<Option<Instant>>,
}

impl Saving {
    /// All are wanted at first.
    pub(super) fn new(encodings: usize) -> Self {
        Self {
            idle_since: vec![None; encodings],
            wanted: vec![true; encodings],
            resumed: vec![None; encodings],
        }
    }

    /// Takes note of which are needed; whether the publisher must be told of a change.
    pub(super) fn review(&mut self, now: Instant, needed: impl Fn(usize) -> bool) -> bool {
        let before = self.wanted.clone();
        let last = self.wanted.len().saturating_sub(1);
        for at in 0..self.wanted.len() {
            if needed(at) {
                if !self.wanted[at] {
                    self.resumed[at] = Some(now);
                }
                self.idle_since[at] = None;
                self.wanted[at] = true;
                continue;
            }
            let since = *self.idle_since[at].get_or_insert(now);
            let patience = if at == last { PATIENCE_WITH_THE_LAST } else { PATIENCE };
            if now.saturating_duration_since(since) >= patience {
                self.wanted[at] = false;
            }
        }
        self.wanted != before
    }

    /// What the publisher is told: for each encoding whether to send it.
    pub(super) fn wanted(&self) -> &[bool] {
        &self.wanted
    }

    /// Whether it can be counted on though nothing of it comes: it was told to pause, or to go on just now.
    pub(super) fn may_come(&self, now: Instant, at: usize) -> bool {
        let wanted = self.wanted.get(at).copied().unwrap_or(true);
        let resumed = self.resumed.get(at).copied().flatten();
        !wanted || resumed.is_some_and(|resumed| now.saturating_duration_since(resumed) < RESUMPTION)
    }

    /// Whether it was told to go on so lately that how many pictures it sends is not known.
    pub(super) fn is_resuming(&self, now: Instant, at: usize) -> bool {
        let resumed = self.resumed.get(at).copied().flatten();
        resumed.is_some_and(|resumed| now.saturating_duration_since(resumed) < FIRST_PICTURES)
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_WITH_THE_LAST: Duration = Duration::from_secs(30);
/// A publisher that was asked to go on and does not by then cannot: its own line may be too narrow.
const RESUMPTION: Duration = Duration::from_secs(4);
/// The time to take it up, and a second of pictures.
const FIRST_PICTURES: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn what_nobody_needs_is_let_go_after_a_while_and_wanted_again_at_once() {
        let origin = Instant::now();
        let at = |seconds: u64| origin + Duration::from_secs(seconds);
        let mut saving = Saving::new(3);
        assert!(!saving.review(at(0), |encoding| encoding == 1));
        assert!(!saving.review(at(4), |encoding| encoding == 1));
        assert!(saving.review(at(5), |encoding| encoding == 1));
        assert_eq!(saving.wanted(), [false, true, true]);
        assert!(saving.may_come(at(5), 0) && !saving.may_come(at(5), 1));
        assert!(saving.review(at(6), |encoding| encoding == 0));
        assert_eq!(saving.wanted(), [true, true, true]);
        assert!(saving.may_come(at(7), 0), "it was asked to go on");
        assert!(!saving.may_come(at(10), 0), "it did not");
        assert!(saving.review(at(30), |encoding| encoding == 0));
        assert_eq!(saving.wanted(), [true, false, false], "the last one for half a minute");
    }
}
