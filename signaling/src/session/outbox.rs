//! What waits to be sent on one WebSocket.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::room::Close;

/// One thing to send.
#[derive(Clone, Debug)]
pub(crate) enum Outgoing {
    /// A message, UTF-8.
    Text(Bytes),
    /// The end.
    Close(Close),
}

/// The sending half: rooms fill it and never wait.
#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    sender: Arc<Sender>,
}

/// All that fill one queue: with the last of them it ends.
#[derive(Debug)]
struct Sender(Arc<Shared>);

/// The half that the WebSocket's writer empties.
#[derive(Debug)]
pub(crate) struct OutgoingReceiver {
    shared: Arc<Shared>,
}

/// A channel of tokio's would take two blocks of 32 messages for each WebSocket, of which nearly all wait for nothing.
#[derive(Debug)]
struct Shared {
    limit: usize,
    queue: Mutex<Queue>,
    /// Something in the queue is not what it was. One waits for it.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Bytes>,
    /// What they cost, with the one that is being sent.
    cost: usize,
    overflowed: bool,
    /// To close for this reason when all has been sent.
    end: Option<Close>,
    senders_gone: bool,
    receiver_gone: bool,
}

/// The queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// A queue for up to `limit` bytes.
pub(crate) fn outbox(limit: usize) -> (Outbox, OutgoingReceiver) {
    let shared = Arc::new(Shared { limit, queue: Mutex::default(), changed: Notify::new() });
    (Outbox { sender: Arc::new(Sender(Arc::clone(&shared))) }, OutgoingReceiver { shared })
}

impl Outbox {
    /// Queues a message, which goes out at once if it is `hurried`, with what waits before it; else with the next that is, or when [`hurry`](Self::hurry)
    /// is called. What is beyond the limit is not queued: the WebSocket is to be closed then, and everything that waits is dropped
    /// (`simmer_websocket_closes_total{code="4005"}` counts it); the client resumes. An empty queue takes a message of any size. What comes after the
    /// end, or for a WebSocket that is gone, is dropped.
    pub(crate) fn send(&self, text: Bytes, hurried: bool) -> Result<(), Full> {
        let Sender(shared) = &*self.sender;
        let mut queue = shared.queue();
        let cost = cost(&text);
        if queue.cost > 0 && queue.cost + cost > shared.limit {
            queue.overflowed = true;
        } else if queue.end.is_none() && !queue.receiver_gone {
            queue.cost += cost;
            queue.messages.push_back(text);
        }
        let overflowed = queue.overflowed;
        drop(queue);
        if hurried || overflowed {
            shared.changed.notify_one();
        }
        if overflowed { Err(Full) } else { Ok(()) }
    }

    /// Sends what waits.
    pub(crate) fn hurry(&self) {
        let Sender(shared) = &*self.sender;
        if !shared.queue().messages.is_empty() {
            shared.changed.notify_one();
        }
    }

    /// Closes the WebSocket after what was queued before.
    pub(crate) fn close(&self, why: Close) {
        let Sender(shared) = &*self.sender;
        shared.queue().end.get_or_insert(why);
        shared.changed.notify_one();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let Self(shared) = self;
        shared.queue().senders_gone = true;
        shared.changed.notify_one();
    }
}

impl OutgoingReceiver {
    /// Next thing to send; [`Close::TooSlow`] as soon as the queue has overflowed; `None` when every sender is gone. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        self.until(|queue| {
            if queue.overflowed {
                return Some(Some(Outgoing::Close(Close::TooSlow)));
            }
            if let Some(text) = queue.pop() {
                return Some(Some(Outgoing::Text(text)));
            }
            let end = queue.end.map(Outgoing::Close);
            (end.is_some() || queue.senders_gone).then_some(end)
        })
        .await
    }

    /// The next message, if one waits and nothing is amiss: it can go out with the one before.
    pub(crate) fn ready(&self) -> Option<Bytes> {
        let mut queue = self.shared.queue();
        if queue.overflowed { None } else { queue.pop() }
    }

    /// To be called when a message has been written to where the system takes it from.
    pub(crate) fn sent(&self, text: &Bytes) {
        let mut queue = self.shared.queue();
        queue.cost = queue.cost.saturating_sub(cost(text));
    }

    /// Waits until the queue has overflowed. Cancel-safe.
    pub(crate) async fn overflowed(&self) {
        self.until(|queue| queue.overflowed.then_some(())).await;
    }

    /// Looks now and after every change, until something is found.
    async fn until<F>(&self, look: impl Fn(&mut Queue) -> Option<F>) -> F {
        loop {
            if let Some(found) = look(&mut self.shared.queue()) {
                return found;
            }
            self.shared.changed.notified().await;
        }
    }
}

impl Drop for OutgoingReceiver {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.receiver_gone = true;
        queue.messages = VecDeque::new();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The next message. The memory of many is given back with the last.
    fn pop(&mut self) -> Option<Bytes> {
        let text = self.messages.pop_front();
        if self.messages.is_empty() && self.messages.capacity() > FEW {
            self.messages = VecDeque::new();
        }
        text
    }
}

/// Messages.
const FEW: usize = 8;

/// A message's share of the limit: its bytes, and what holding it costs.
fn cost(text: &Bytes) -> usize {
    text.len() + 64
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn it_takes_up_to_its_limit_and_then_says_too_slow() {
        let (outbox, mut receiver) = outbox(1000);
        let text = Bytes::from(vec![b'x'; 436]);
        assert_eq!(outbox.send(text.clone(), true), Ok(()));
        assert_eq!(outbox.send(text.clone(), true), Ok(()));
        assert!(matches!(receiver.next().await, Some(Outgoing::Text(_))));
        receiver.sent(&text);
        assert_eq!(outbox.send(text.clone(), true), Ok(()));
        assert_eq!(outbox.send(Bytes::new(), true), Err(Full));
        assert!(matches!(receiver.next().await, Some(Outgoing::Close(Close::TooSlow))));
    }

    #[tokio::test]
    async fn an_empty_queue_takes_one_message_of_any_size() {
        let (outbox, mut receiver) = outbox(1000);
        assert_eq!(outbox.send(Bytes::from(vec![b'x'; 5000]), true), Ok(()));
        assert!(matches!(receiver.next().await, Some(Outgoing::Text(_))));
    }

    #[tokio::test]
    async fn it_ends_after_what_was_queued_before_the_end_and_without_senders() {
        let (outbox, mut receiver) = outbox(1000);
        for text in ["a", "b"] {
            assert_eq!(outbox.send(Bytes::from_static(text.as_bytes()), true), Ok(()));
        }
        outbox.close(Close::Left);
        outbox.close(Close::Kicked);
        assert_eq!(outbox.send(Bytes::from_static(b"late"), true), Ok(()));
        for expected in ["a", "b"] {
            assert!(matches!(receiver.next().await, Some(Outgoing::Text(text)) if text == expected));
        }
        assert!(matches!(receiver.next().await, Some(Outgoing::Close(Close::Left))));

        let (outbox, mut receiver) = super::outbox(1000);
        let waits = tokio::spawn(async move { receiver.next().await });
        let other = outbox.clone();
        drop(outbox);
        assert_eq!(other.send(Bytes::from_static(b"still"), true), Ok(()));
        assert!(matches!(waits.await, Ok(Some(Outgoing::Text(_)))));
    }

    #[tokio::test]
    async fn what_is_not_hurried_waits_for_what_is_and_goes_first() {
        async fn text(receiver: &mut OutgoingReceiver) -> Option<Bytes> {
            match receiver.next().await {
                Some(Outgoing::Text(text)) => Some(text),
                _ => None,
            }
        }
        let word = |word: &'static str| Bytes::from_static(word.as_bytes());
        let (outbox, mut receiver) = outbox(1000);
        for hurry in [false, true] {
            {
                let mut next = Box::pin(text(&mut receiver));
                assert_eq!((&mut next).now_or_never(), None);
                assert_eq!(outbox.send(word("joined"), false), Ok(()));
                assert_eq!((&mut next).now_or_never(), None, "nobody is woken");
                if hurry {
                    outbox.hurry();
                } else {
                    assert_eq!(outbox.send(word("chat"), true), Ok(()));
                }
                assert_eq!(next.await, Some(word("joined")));
            }
            assert_eq!(receiver.ready(), (!hurry).then(|| word("chat")), "in one go");
        }
        outbox.hurry();
        let mut next = Box::pin(text(&mut receiver));
        assert_eq!((&mut next).now_or_never(), None, "nothing waits");
    }

    #[tokio::test]
    async fn the_memory_of_many_messages_is_given_back_and_that_of_a_socket_that_is_gone() {
        let (outbox, mut receiver) = outbox(1_000_000);
        for _ in 0..1000 {
            assert_eq!(outbox.send(Bytes::from_static(b"x"), true), Ok(()));
        }
        for _ in 0..1000 {
            assert!(matches!(receiver.next().await, Some(Outgoing::Text(_))));
        }
        assert!(receiver.shared.queue().messages.capacity() <= FEW);
        assert_eq!(outbox.send(Bytes::from_static(b"x"), true), Ok(()));
        let shared = Arc::clone(&receiver.shared);
        drop(receiver);
        assert_eq!(outbox.send(Bytes::from_static(b"x"), true), Ok(()));
        assert_eq!(shared.queue().messages.capacity(), 0);
    }
}
