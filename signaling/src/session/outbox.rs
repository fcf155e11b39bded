//! What waits to be sent on one WebSocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

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
    queue: mpsc::UnboundedSender<Outgoing>,
    shared: Arc<Shared>,
}

/// The half that the WebSocket's writer empties.
#[derive(Debug)]
pub(crate) struct OutgoingReceiver {
    queue: mpsc::UnboundedReceiver<Outgoing>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queued: AtomicUsize,
    limit: usize,
    overflowed: Notify,
}

/// The queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// A queue for up to `limit` bytes.
pub(crate) fn outbox(limit: usize) -> (Outbox, OutgoingReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared { queued: AtomicUsize::new(0), limit, overflowed: Notify::new() });
    (Outbox { queue: sender, shared: Arc::clone(&shared) }, OutgoingReceiver { queue: receiver, shared })
}

impl Outbox {
    /// Queues a message. What is beyond the limit is not queued: the WebSocket is to be closed then, and everything that waits is dropped
    /// (`simmer_websocket_closes_total{code="4005"}` counts it); the client resumes. An empty queue takes a message of any size.
    pub(crate) fn send(&self, text: Bytes) -> Result<(), Full> {
        let cost = cost(&text);
        let before = self.shared.queued.fetch_add(cost, Ordering::Relaxed);
        if before > 0 && before + cost > self.shared.limit {
            self.shared.queued.fetch_sub(cost, Ordering::Relaxed);
            self.shared.overflowed.notify_one();
            return Err(Full);
        }
        // A WebSocket that is gone needs nothing.
        let _ = self.queue.send(Outgoing::Text(text));
        Ok(())
    }

    /// Closes the WebSocket after what was queued before.
    pub(crate) fn close(&self, why: Close) {
        let _ = self.queue.send(Outgoing::Close(why));
    }
}

impl OutgoingReceiver {
    /// Next thing to send; [`Close::TooSlow`] as soon as the queue has overflowed; `None` when every sender is gone. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        tokio::select! {
            biased;
            () = self.shared.overflowed.notified() => Some(Outgoing::Close(Close::TooSlow)),
            next = self.queue.recv() => next,
        }
    }

    /// To be called when a message has been sent.
    pub(crate) fn sent(&self, text: &Bytes) {
        self.shared.queued.fetch_sub(cost(text), Ordering::Relaxed);
    }

    /// Waits until the queue has overflowed. Cancel-safe.
    pub(crate) async fn overflowed(&self) {
        self.shared.overflowed.notified().await;
    }
}

/// A message's share of the limit: its bytes, and what holding it costs.
fn cost(text: &Bytes) -> usize {
    text.len() + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_takes_up_to_its_limit_and_then_says_too_slow() {
        let (outbox, mut receiver) = outbox(1000);
        let text = Bytes::from(vec![b'x'; 436]);
        assert_eq!(outbox.send(text.clone()), Ok(()));
        assert_eq!(outbox.send(text.clone()), Ok(()));
        assert!(matches!(receiver.next().await, Some(Outgoing::Text(_))));
        receiver.sent(&text);
        assert_eq!(outbox.send(text.clone()), Ok(()));
        assert_eq!(outbox.send(Bytes::new()), Err(Full));
        assert!(matches!(receiver.next().await, Some(Outgoing::Close(Close::TooSlow))));
    }

    #[tokio::test]
    async fn an_empty_queue_takes_one_message_of_any_size() {
        let (outbox, mut receiver) = outbox(1000);
        assert_eq!(outbox.send(Bytes::from(vec![b'x'; 5000])), Ok(()));
        assert!(matches!(receiver.next().await, Some(Outgoing::Text(_))));
    }
}
