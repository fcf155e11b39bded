//! The room's log: what happened, in the one order that counts.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::Event;

/// One entry, with the message that tells of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What happened.
    pub event: Arc<Event>,
    /// The `event` message, UTF-8, written once for everybody.
    pub text: Bytes,
}

/// Where a room keeps its log. The room alone decides the order; a store keeps it.
pub trait LogStore: Send {
    /// Keeps the entry with the next seq.
    fn append(&mut self, entry: Entry);

    /// The last entry's seq, 0 before the first.
    fn last_seq(&self) -> u64;

    /// The entries after `seq` in order, or `None` when not all of them are held, or `seq` is yet to come.
    fn after(&self, seq: u64) -> Option<Vec<Entry>>;
}

/// Keeps the last entries in memory.
#[derive(Debug)]
pub struct MemoryLog {
    entries: VecDeque<Entry>,
    last_seq: u64,
    capacity: usize,
}

impl MemoryLog {
    /// Keeps up to `capacity` entries; the oldest ones are forgotten beyond that.
    pub fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), last_seq: 0, capacity }
    }
}

impl LogStore for MemoryLog {
    fn append(&mut self, entry: Entry) {
        self.last_seq = entry.event.seq;
        self.entries.push_back(entry);
        while self.entries.len() > self.capacity {
            self.entries.pop_front();
        }
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn after(&self, seq: u64) -> Option<Vec<Entry>> {
        let missing = usize::try_from(self.last_seq.checked_sub(seq)?).ok()?;
        let first = self.entries.len().checked_sub(missing)?;
        Some(self.entries.range(first..).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::EventBody;

    #[test]
    fn it_gives_all_that_is_missing_or_nothing() {
        let mut log = MemoryLog::new(3);
        assert_eq!(log.after(0).map(|missing| missing.len()), Some(0));
        for seq in 1..=5 {
            let event = Event { seq, at: 0, by: None, body: EventBody::Ended {} };
            log.append(Entry { event: Arc::new(event), text: Bytes::new() });
        }
        let seqs = |after| Some(log.after(after)?.iter().map(|entry| entry.event.seq).collect::<Vec<_>>());
        assert_eq!(seqs(5), Some(vec![]));
        assert_eq!(seqs(2), Some(vec![3, 4, 5]));
        assert_eq!(seqs(1), None);
        assert_eq!(seqs(6), None);
        assert_eq!(log.last_seq(), 5);
    }
}
