use std::collections::VecDeque;

/// What was queued on one channel and is not acknowledged, or given up, yet.
///
/// It is full at its limit. In between it says once that it is high, from half of the limit on, and once that it is low again,
/// at an eighth: so who queues hears of it before anything is refused, and not with every message.
pub(super) struct Backlog {
    limit: usize,
    bytes: usize,
    /// The lengths of the messages, in the order they were queued.
    messages: VecDeque<usize>,
    /// Of the first of them, what is gone already.
    gone: usize,
    high: bool,
}

/// What a change of a backlog is worth telling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    High,
    Low,
}

impl Backlog {
    /// An empty one for up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, messages: VecDeque::new(), gone: 0, high: false }
    }

    /// Whether there is room for a message of so many bytes. An empty backlog takes one of any length.
    pub(super) fn admits(&self, length: usize) -> bool {
        let fits = self.bytes.saturating_add(length) <= self.limit
            && self.messages.len() < self.limit / BYTES_PER_MESSAGE;
        fits || self.messages.is_empty()
    }

    /// Takes note of a message that was queued.
    pub(super) fn add(&mut self, length: usize) -> Option<Mark> {
        self.bytes = self.bytes.saturating_add(length);
        self.messages.push_back(length);
        let high = self.reaches(2);
        (high && !std::mem::replace(&mut self.high, high)).then_some(Mark::High)
    }

    /// Takes note of bytes that are gone. Which message they were of is not known: the first ones', say.
    pub(super) fn release(&mut self, bytes: usize) -> Option<Mark> {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.gone = self.gone.saturating_add(bytes);
        while let Some(&first) = self.messages.front()
            && first <= self.gone
        {
            self.gone -= first;
            self.messages.pop_front();
        }
        (self.high && !self.reaches(8)).then(|| {
            self.high = false;
            Mark::Low
        })
    }

    /// Whether it has come to this part of the limit, in bytes or in messages.
    fn reaches(&self, part: usize) -> bool {
        self.bytes > self.limit / part || self.messages.len() > self.limit / BYTES_PER_MESSAGE / part
    }
}

/// What the SCTP machine keeps for a message beside its bytes, about: many small ones are bounded by it.
const BYTES_PER_MESSAGE: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_bounded_in_bytes_and_in_messages() {
        let mut backlog = Backlog::new(4096);
        assert!(backlog.admits(100_000), "the first one, whatever its length");
        backlog.add(4000);
        assert!(backlog.admits(96) && !backlog.admits(97));
        backlog.release(4000);
        for _ in 0..16 {
            assert!(backlog.admits(1));
            backlog.add(1);
        }
        assert!(!backlog.admits(1), "sixteen times what a message costs");
    }

    #[test]
    fn high_and_low_are_said_once_each() {
        let mut backlog = Backlog::new(8000);
        assert_eq!(backlog.add(4000), None);
        assert_eq!(backlog.add(1), Some(Mark::High));
        assert_eq!(backlog.add(3000), None);
        assert_eq!(backlog.release(6000), None, "1001 are an eighth and one");
        assert_eq!(backlog.release(1), Some(Mark::Low));
        assert_eq!(backlog.release(1000), None);
        assert_eq!(backlog.add(4001), Some(Mark::High));
        assert_eq!(backlog.release(usize::MAX), Some(Mark::Low));
    }

    proptest! {
        #[test]
        fn what_was_added_and_released_is_empty(lengths in proptest::collection::vec(1_usize..5000, 1..50), part in 1_usize..3000) {
            let mut backlog = Backlog::new(64 * 1024);
            let mut marks = Vec::new();
            for &length in &lengths {
                marks.extend(backlog.add(length));
            }
            let mut left: usize = lengths.iter().sum();
            while left > 0 {
                let bytes = part.min(left);
                left -= bytes;
                marks.extend(backlog.release(bytes));
            }
            prop_assert_eq!((backlog.bytes, backlog.messages.len(), backlog.gone), (0, 0, 0));
            prop_assert!(marks.is_empty() || marks == [Mark::High, Mark::Low]);
        }
    }
}
