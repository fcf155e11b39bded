//! The bounded queue between live media and the disk.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use simmer_sfu::sink::SinkEvent;

use crate::recorder::TimelineEvent;
use crate::session::Session;
use crate::store::SessionId;

/// What the writer thread is told.
pub(crate) enum Message {
    Begin(Box<Session>, Arc<Gate>),
    Media(SessionId, SinkEvent),
    Event(SessionId, Box<TimelineEvent>),
    Finish { session: SessionId, ended_at: Instant },
}

/// One session's side of the queue: whether it takes more, and what it had to drop.
#[derive(Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    dropped_packets: AtomicU64,
    dropped_events: AtomicU64,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Packets and events dropped since the last call.
    pub(crate) fn take_dropped(&self) -> (u64, u64) {
        (self.dropped_packets.swap(0, Ordering::Relaxed), self.dropped_events.swap(0, Ordering::Relaxed))
    }
}

/// First in, first out, over all sessions. Neither side waits for the other's work: the lock is held to move entries.
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    max_packets: usize,
    max_events: usize,
}

#[derive(Default)]
struct Inner {
    messages: VecDeque<Message>,
    packets: usize,
    events: usize,
    end: Option<End>,
}

/// Why no more messages come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Finish what is open.
    Close,
    /// All handles are gone: leave what is open to recovery.
    Abandon,
}

impl Queue {
    pub(crate) fn new(max_packets: usize, max_events: usize) -> Self {
        Self { inner: Mutex::default(), filled: Condvar::new(), max_packets, max_events }
    }

    /// Takes a beginning or an end of a session, which are as few as there are sessions. False after the end.
    pub(crate) fn push(&self, message: Message) -> bool {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return false;
        }
        inner.messages.push_back(message);
        self.filled.notify_one();
        true
    }

    /// Takes media; a packet or report that finds `max_packets` waiting is dropped and counted in the gate's
    /// `dropped_packets`, reported as `Notice::Overflow`.
    pub(crate) fn offer_media(&self, session: SessionId, gate: &Gate, event: SinkEvent) {
        if gate.is_closed() {
            return;
        }
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        if inner.packets >= self.max_packets {
            gate.dropped_packets.fetch_add(1, Ordering::Relaxed);
            return;
        }
        inner.packets += 1;
        inner.messages.push_back(Message::Media(session, event));
        self.wake(&inner);
    }

    /// Takes an event; one that finds `max_events` waiting is dropped and counted in the gate's `dropped_events`,
    /// reported as `Notice::Overflow`.
    pub(crate) fn offer_event(&self, session: SessionId, gate: &Gate, event: TimelineEvent) {
        if gate.is_closed() {
            return;
        }
        let mut inner = self.lock();
        if inner.end.is_some() {
            return;
        }
        if inner.events >= self.max_events {
            gate.dropped_events.fetch_add(1, Ordering::Relaxed);
            return;
        }
        inner.events += 1;
        inner.messages.push_back(Message::Event(session, Box::new(event)));
        self.wake(&inner);
    }

    /// Moves up to `max` messages to `into`, after waiting at most `patience` for the first. The end is told once
    /// nothing is left.
    pub(crate) fn take(&self, into: &mut Vec<Message>, max: usize, patience: Duration) -> Option<End> {
        let mut inner = self.lock();
        if inner.messages.is_empty() && inner.end.is_none() {
            inner = match self.filled.wait_timeout(inner, patience) {
                Ok((inner, _)) => inner,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let count = inner.messages.len().min(max);
        for message in inner.messages.drain(..count).collect::<Vec<_>>() {
            match message {
                Message::Media(..) => inner.packets = inner.packets.saturating_sub(1),
                Message::Event(..) => inner.events = inner.events.saturating_sub(1),
                Message::Begin(..) | Message::Finish { .. } => {}
            }
            into.push(message);
        }
        if into.is_empty() { inner.end } else { None }
    }

    pub(crate) fn close(&self) {
        self.end(End::Close);
    }

    pub(crate) fn abandon(&self) {
        self.end(End::Abandon);
    }

    fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.filled.notify_one();
    }

    /// Only a queue that was empty can have a reader asleep.
    fn wake(&self, inner: &Inner) {
        if inner.messages.len() == 1 {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
