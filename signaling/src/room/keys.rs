//! The replies to a participant's last actions, by idempotency key.

use std::collections::{HashMap, VecDeque};

use super::Refusal;

/// What an action came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// It was done; the seq of its event, when it changed something.
    Done(Option<u64>),
    /// It was refused.
    Refused(Refusal),
}

/// The last keys of one participant; the oldest ones are forgotten.
#[derive(Debug, Default)]
pub(super) struct KeyRing {
    replies: HashMap<String, Reply>,
    order: VecDeque<String>,
}

impl KeyRing {
    pub(super) fn reply(&self, key: &str) -> Option<&Reply> {
        self.replies.get(key)
    }

    /// Remembers a reply. A key that is there already keeps its first one.
    pub(super) fn remember(&mut self, key: String, reply: Reply, capacity: usize) {
        if self.replies.contains_key(&key) {
            return;
        }
        while self.order.len() >= capacity.max(1) {
            if let Some(oldest) = self.order.pop_front() {
                self.replies.remove(&oldest);
            }
        }
        self.order.push_back(key.clone());
        self.replies.insert(key, reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_last_ones_and_their_first_reply() {
        let mut ring = KeyRing::default();
        for i in 0..5u64 {
            ring.remember(i.to_string(), Reply::Done(Some(i)), 3);
        }
        ring.remember("4".to_owned(), Reply::Done(None), 3);
        assert_eq!(ring.reply("1"), None);
        assert_eq!(ring.reply("2"), Some(&Reply::Done(Some(2))));
        assert_eq!(ring.reply("4"), Some(&Reply::Done(Some(4))));
    }
}
