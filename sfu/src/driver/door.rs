//! What others reach a worker by, and what they leave there.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;
use mio::Waker;

use super::placement::Entry;
use super::socket::Path;
use crate::counters::{Counters, WorkerCounters};
use crate::id::{ParticipantId, ShardIndex};
use crate::message::Command;
use crate::shard::mirror::{Crossing, Spread};

/// A worker's outside.
pub(super) struct Door {
    /// Commands; one that finds no place is dropped and counted in [`Counters::commands_dropped`].
    pub(super) commands: SyncSender<Told>,
    /// From other workers; what finds no place is dropped, datagrams counted in [`WorkerCounters::datagrams_dropped`].
    pub(super) handed: SyncSender<Handed>,
    pub(super) stop: AtomicBool,
    /// RTP packets forwarded in a second, lately.
    pub(super) load: AtomicU64,
    pub(super) commands_dropped: AtomicU64,
    pub(super) totals: Mutex<(Counters, WorkerCounters)>,
    waker: Waker,
    /// The worker will look again at what it was handed, without being woken once more.
    woken: AtomicBool,
}

/// A worker's inside of its door.
pub(super) struct Inbox {
    pub(super) commands: Receiver<Told>,
    pub(super) handed: Receiver<Handed>,
}

/// What the core tells a worker.
pub(super) enum Told {
    /// What the embedder said.
    Command(Command),
    /// Somebody joins, and this worker takes them in.
    Admitted(ParticipantId, Entry),
    /// A room is on more workers.
    Spread(Spread),
}

/// What one worker hands to another.
pub(super) enum Handed {
    /// Landed on this one and is for the other's participants.
    Arrived(Arrival, ShardIndex),
    /// A check from this address, which the other handed over, was authentic: what comes from there is for this shard.
    Bound(SocketAddr, ShardIndex),
    /// What one shard tells another of a room that both have.
    Crossing(Crossing),
}

/// One datagram, or several from one sender of one size but for the last.
pub(super) struct Arrival {
    pub(super) path: Path,
    /// The size of each but the last, in bytes.
    pub(super) size: usize,
    pub(super) contents: BytesMut,
}

impl Door {
    /// A door with bounded queues for so many commands and hand-overs, and its inside.
    pub(super) fn new(waker: Waker, commands: usize, handed: usize) -> (Self, Inbox) {
        let (command_sender, commands) = sync_channel(commands);
        let (handed_sender, handed) = sync_channel(handed);
        let door = Self {
            commands: command_sender,
            handed: handed_sender,
            stop: AtomicBool::new(false),
            load: AtomicU64::new(0),
            commands_dropped: AtomicU64::new(0),
            totals: Mutex::default(),
            waker,
            woken: AtomicBool::new(false),
        };
        (door, Inbox { commands, handed })
    }

    /// Wakes the worker. A waker that fails leaves it to the worker's next turn, at most a tick away.
    pub(super) fn wake(&self) {
        let _ = self.waker.wake();
    }

    /// Wakes the worker for what was handed to it, unless that was done and it has not looked yet.
    pub(super) fn wake_once(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.wake();
        }
    }

    /// The worker is about to look: what is handed to it from now on has to wake it.
    pub(super) fn look(&self) {
        self.woken.swap(false, Ordering::AcqRel);
    }

    /// What it has done, at most a tick ago.
    pub(super) fn totals(&self) -> (Counters, WorkerCounters) {
        let (mut counters, worker) = *self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        counters.commands_dropped = self.commands_dropped.load(Ordering::Relaxed);
        (counters, worker)
    }
}

impl Arrival {
    /// How many datagrams it is.
    pub(super) fn count(&self) -> u64 {
        self.contents.len().div_ceil(self.size) as u64
    }

    /// Takes its first datagram out.
    pub(super) fn split_first(&mut self) -> Option<BytesMut> {
        (!self.contents.is_empty()).then(|| self.contents.split_to(self.size.min(self.contents.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_comes_apart_into_its_datagrams() {
        let path = Path { from: ([127, 0, 0, 1], 9).into(), local: None };
        let mut arrival = Arrival { path, size: 4, contents: BytesMut::from(&b"aaaabbbbcc"[..]) };
        assert_eq!(arrival.count(), 3);
        let parts: Vec<_> = std::iter::from_fn(|| arrival.split_first()).collect();
        assert_eq!(parts, [&b"aaaa"[..], b"bbbb", b"cc"]);
        assert_eq!(arrival.count(), 0);
    }
}
