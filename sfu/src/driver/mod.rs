//! The thin shell around the shards: threads, sockets, a clock.
//!
//! A worker sleeps until there is a datagram, a command or a timer, reads the clock once, lets its shard handle what came,
//! and sends what it left. Everything that decides anything is in the shard.
//!
//! Workers share nothing but a port. `placement` gives each room to one of them; `routes` knows which of them a datagram is for, since the
//! system, which chooses the socket, does not; `door` is where they hand it over.
#![expect(
    clippy::disallowed_methods,
    reason = "the driver is where the clock is read and the thread is made"
)]

mod backlog;
mod door;
mod gathering;
mod heard;
pub(crate) mod placement;
pub(crate) mod routes;
mod socket;
mod together;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use mio::{Interest, Poll, Token, Waker};
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::config::Config;
use crate::counters::{Counters, WorkerCounters};
use crate::id::{ParticipantId, ShardIndex};
use crate::message::{Command, Event};
use crate::shard::{Shard, ShardConfig};
use crate::transport::{ContextError, RtcContext};
use door::{Door, Told};
use placement::{Addressee, Entry, Handled, Placement};
use routes::Routes;
use socket::MediaSocket;
use together::Headers;
use worker::{Rest, Worker};

/// A running media core. Clones are handles to the same one; it ends with [`shutdown`](Self::shutdown), or when the last handle is dropped.
#[derive(Clone)]
pub struct Sfu {
    inner: Arc<Inner>,
}

struct Inner {
    doors: Arc<[Door]>,
    /// `None` when there is one worker, which has every room.
    placement: Option<Arc<Mutex<Placement>>>,
    local_addr: SocketAddr,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Sfu {
    /// Binds the media port and starts the workers.
    ///
    /// `on_event` is called on the workers' threads, by one at a time and between two packets: it hands over and returns, it must not block.
    /// What is told of one participant comes in order, and what follows from anything, on whichever worker, after it.
    ///
    /// # Errors
    ///
    /// When the port cannot be bound, the certificate cannot be made, the number of workers is none that there can be, or the system
    /// gives no thread or randomness.
    pub fn start(config: Config, on_event: Box<dyn FnMut(Event) + Send>) -> Result<Self, StartError> {
        if config.advertise.is_empty() {
            return Err(StartError::NothingAdvertised);
        }
        let count = config.workers;
        if !(1..=ShardIndex::MOST).contains(&count) {
            return Err(StartError::Workers(count));
        }
        // All sockets before the first packet: the system spreads senders anew whenever one is added.
        let mut sockets = MediaSocket::bind(config.listen, count)
            .map_err(|source| StartError::Bind { address: config.listen, source })?;
        let local_addr = sockets.first().map_or(config.listen, MediaSocket::local_addr);
        let context = Arc::new(RtcContext::new(&config.limits)?);
        let candidates = config.advertise.iter().map(|&ip| SocketAddr::new(ip, local_addr.port())).collect();
        let together = config.limits.members_together;
        let shard_config = ShardConfig { candidates, limits: config.limits };
        let placement = (count > 1).then(|| Arc::new(Mutex::new(Placement::new(count, together))));
        let on_event = Arc::new(Mutex::new(on_event));

        let (mut doors, mut insides) = (Vec::new(), Vec::new());
        for socket in &mut sockets {
            let poll = Poll::new().map_err(StartError::System)?;
            poll.registry()
                .register(socket.source(), SOCKET, Interest::READABLE)
                .map_err(StartError::System)?;
            let waker = Waker::new(poll.registry(), WAKER).map_err(StartError::System)?;
            let (door, inbox) = Door::new(waker, INBOX_COMMANDS / count, INBOX_HANDED);
            doors.push(door);
            insides.push((poll, inbox));
        }
        let inner = Inner { doors: doors.into(), placement, local_addr, threads: Mutex::default() };
        for (index, (socket, (poll, inbox))) in sockets.into_iter().zip(insides).enumerate() {
            let shard_index = ShardIndex::new(index).ok_or(StartError::Workers(count))?;
            let mut seed = [0; 32];
            OsRng.try_fill_bytes(&mut seed).map_err(|error| StartError::System(io::Error::other(error)))?;
            let shard = Shard::new(shard_config.clone(), Arc::clone(&context), seed);
            let shard = shard.as_one_of_several(shard_index);
            let (doors, placement) = (Arc::clone(&inner.doors), inner.placement.clone());
            let on_event = Arc::clone(&on_event);
            let work = move || {
                let worker = Worker {
                    index: shard_index,
                    shard,
                    socket,
                    headers: Headers::default(),
                    poll,
                    inbox,
                    doors,
                    placement,
                    on_event,
                    routes: Routes::new(shard_index, count),
                    rest: Rest::default(),
                };
                worker.run();
            };
            let thread = std::thread::Builder::new()
                .name(format!("simmer-shard-{index}"))
                .spawn(work)
                .map_err(StartError::System)?;
            inner.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Queues a command; never blocks. Commands of one caller about one room, or about one participant, are handled in order.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] when the inbox has no place: the command was dropped and counted in
    /// [`Counters::commands_dropped`]. [`SendError::Stopped`] after the end.
    pub fn send(&self, command: Command) -> Result<(), SendError> {
        let Some(placement) = &self.inner.placement else { return self.queue(0, Told::Command(command)) };
        let load = |worker: usize| self.inner.doors[worker].load.load(Ordering::Relaxed);
        let mut placement = placement.lock().unwrap_or_else(PoisonError::into_inner);
        if let Command::Join { room, participant } = command {
            let entry = placement.admit(room, participant, load);
            drop(placement);
            return entry.map_or(Ok(()), |entry| self.admit(participant, entry));
        }
        let addressee = placement.place(&command, load);
        drop(placement);
        match (addressee, command) {
            (Addressee::Worker(worker), command) => self.queue(worker, Told::Command(command)),
            (Addressee::All, Command::Report { tell }) => {
                let mut reports = gathering::gather(self.inner.doors.len(), tell).enumerate();
                reports.try_for_each(|(worker, report)| self.queue(worker, Told::Command(report)))
            }
            (Addressee::All | Addressee::Nobody, _) => Ok(()),
        }
    }

    /// Tells everybody who has the room where else it is, and its worker that somebody comes.
    fn admit(&self, participant: ParticipantId, entry: Entry) -> Result<(), SendError> {
        let others = entry.spread.shards & !(1 << entry.worker);
        let mut others = (0..self.inner.doors.len()).filter(|&worker| others >> worker & 1 == 1);
        let told = others.try_for_each(|worker| self.queue(worker, Told::Spread(entry.spread)));
        let result = told.and_then(|()| self.queue(entry.worker, Told::Admitted(participant, entry)));
        if result.is_err()
            && let Some(placement) = &self.inner.placement
        {
            let mut placement = placement.lock().unwrap_or_else(PoisonError::into_inner);
            placement.handled(Handled::Left(participant));
        }
        result
    }

    fn queue(&self, worker: usize, told: Told) -> Result<(), SendError> {
        let door = &self.inner.doors[worker];
        let result = door.commands.try_send(told).map_err(|error| {
            let (told, error) = match error {
                TrySendError::Full(told) => {
                    door.commands_dropped.fetch_add(1, Ordering::Relaxed);
                    (told, SendError::Full)
                }
                TrySendError::Disconnected(told) => (told, SendError::Stopped),
            };
            if let (Some(placement), Told::Command(command)) = (&self.inner.placement, &told) {
                placement.lock().unwrap_or_else(PoisonError::into_inner).take_back(command);
            }
            error
        });
        door.wake();
        result
    }

    /// Where the media port is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// The totals of all workers, at most a tick (100 ms) old.
    pub fn counters(&self) -> Counters {
        let totals = self.inner.doors.iter().map(|door| door.totals().0);
        totals.fold(Counters::default(), |sum, counters| sum.and(&counters))
    }

    /// What each worker has done, at most a tick (100 ms) ago.
    pub fn workers(&self) -> Vec<WorkerCounters> {
        self.inner.doors.iter().map(|door| door.totals().1).collect()
    }

    /// Handles the commands already queued, says goodbye on every transport, ends the workers and waits for them. Blocks for a moment; a
    /// second call returns at once. On a worker's own thread it does not wait.
    pub fn shutdown(&self) {
        self.inner.stop();
    }
}

impl Inner {
    fn stop(&self) {
        for door in self.doors.iter() {
            door.stop.store(true, Ordering::Release);
            door.wake();
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        // One that waited for another, which waits to tell its events, would wait for ever.
        let here = std::thread::current().id();
        if threads.iter().any(|thread| thread.thread().id() == here) {
            return;
        }
        for thread in threads.drain(..) {
            // A worker that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Why a core did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The media port could not be bound.
    #[error("cannot bind the media port {address}/udp")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No address to tell clients.
    #[error("no address to advertise")]
    NothingAdvertised,
    /// The number of workers is not 1 to 64.
    #[error("there can be 1 to 64 workers, not {0}")]
    Workers(usize),
    /// The certificate could not be made.
    #[error("cannot prepare DTLS")]
    Context(#[from] ContextError),
    /// The system refused a thread, a poll or randomness.
    #[error("the system refused a resource")]
    System(#[source] io::Error),
}

/// Why a command was not queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The inbox is full.
    #[error("the core's inbox is full")]
    Full,
    /// The core has ended.
    #[error("the core has stopped")]
    Stopped,
}

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
/// Commands waiting for all workers together; one more for the same worker is dropped and counted.
const INBOX_COMMANDS: usize = 65_536;
/// Datagrams, or runs of them, that others have for a worker and it has not taken: a hundredth of a second of a busy one.
const INBOX_HANDED: usize = 2048;
