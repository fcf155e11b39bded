//! The thin shell around a shard: a thread, a socket, a clock.
//!
//! The worker sleeps until there is a datagram, a command or a timer, reads the clock once, lets the shard handle what came,
//! and sends what it left. Everything that decides anything is in the shard.
#![expect(
    clippy::disallowed_methods,
    reason = "the driver is where the clock is read and the thread is made"
)]

mod socket;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use mio::{Interest, Poll, Token, Waker};
use rand::TryRngCore;
use rand::rngs::OsRng;

use crate::config::Config;
use crate::counters::Counters;
use crate::message::{Command, Event};
use crate::shard::{Shard, ShardConfig};
use crate::transport::{Class, ContextError, RtcContext, RtcTransport};
use socket::MediaSocket;

/// A running media core. Clones are handles to the same one; it ends with [`shutdown`](Self::shutdown), or when the last handle is dropped.
#[derive(Clone)]
pub struct Sfu {
    inner: Arc<Inner>,
}

struct Inner {
    inbox: SyncSender<Command>,
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    waker: Waker,
    stop: AtomicBool,
    commands_dropped: AtomicU64,
    counters: Mutex<Counters>,
}

impl Sfu {
    /// Binds the media port and starts the worker.
    ///
    /// `on_event` is called on the worker's thread, between two packets: it hands over and returns, it must not block.
    ///
    /// # Errors
    ///
    /// When the port cannot be bound, the certificate cannot be made, or the system gives no thread or randomness.
    pub fn start(config: Config, on_event: Box<dyn FnMut(Event) + Send>) -> Result<Self, StartError> {
        if config.advertise.is_empty() {
            return Err(StartError::NothingAdvertised);
        }
        let mut socket = MediaSocket::bind(config.listen)
            .map_err(|source| StartError::Bind { address: config.listen, source })?;
        let local_addr = socket.local_addr();
        let poll = Poll::new().map_err(StartError::System)?;
        poll.registry().register(socket.source(), SOCKET, Interest::READABLE).map_err(StartError::System)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(StartError::System)?;

        let mut seed = [0; 32];
        OsRng.try_fill_bytes(&mut seed).map_err(|error| StartError::System(io::Error::other(error)))?;
        let context = RtcContext::new(&config.limits)?;
        let candidates = config.advertise.iter().map(|&ip| SocketAddr::new(ip, local_addr.port())).collect();
        let shard = Shard::new(ShardConfig { candidates, limits: config.limits }, context, seed);

        let (inbox, commands) = sync_channel(INBOX_COMMANDS);
        let shared = Arc::new(Shared {
            waker,
            stop: AtomicBool::new(false),
            commands_dropped: AtomicU64::new(0),
            counters: Mutex::new(Counters::default()),
        });
        let worker = Worker {
            shard,
            socket,
            poll,
            commands,
            shared: Arc::clone(&shared),
            on_event,
            pool: BytesMut::new(),
            passing: BytesMut::new(),
        };
        let worker = std::thread::Builder::new()
            .name("simmer-shard-0".to_owned())
            .spawn(move || worker.run())
            .map_err(StartError::System)?;
        Ok(Self { inner: Arc::new(Inner { inbox, shared, local_addr, worker: Mutex::new(Some(worker)) }) })
    }

    /// Queues a command; never blocks. Commands of one caller are handled in order.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] when the inbox has no place: the command was dropped and counted in
    /// [`Counters::commands_dropped`]. [`SendError::Stopped`] after the end.
    pub fn send(&self, command: Command) -> Result<(), SendError> {
        let result = self.inner.inbox.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => {
                self.inner.shared.commands_dropped.fetch_add(1, Ordering::Relaxed);
                SendError::Full
            }
            TrySendError::Disconnected(_) => SendError::Stopped,
        });
        // A waker that fails leaves the command to the worker's next turn, at most a tick away.
        let _ = self.inner.shared.waker.wake();
        result
    }

    /// Where the media port is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// The totals, at most a tick (100 ms) old.
    pub fn counters(&self) -> Counters {
        let mut counters = *self.inner.shared.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.commands_dropped = self.inner.shared.commands_dropped.load(Ordering::Relaxed);
        counters
    }

    /// Handles the commands already queued, says goodbye on every transport, ends the worker and waits for it. Blocks for a moment; a second call returns at once.
    pub fn shutdown(&self) {
        self.inner.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = self.shared.waker.wake();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker
            && worker.thread().id() != std::thread::current().id()
        {
            // A worker that panicked has said so already.
            let _ = worker.join();
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

struct Worker {
    shard: Shard<RtcTransport>,
    socket: MediaSocket,
    poll: Poll,
    commands: Receiver<Command>,
    shared: Arc<Shared>,
    on_event: Box<dyn FnMut(Event) + Send>,
    /// Received packets are copied here once, and shared from here on.
    pool: BytesMut,
    /// The same for what nobody keeps: between packets it would hold on to their memory, or they to its.
    passing: BytesMut,
}

impl Worker {
    fn run(mut self) {
        let mut ready = mio::Events::with_capacity(8);
        let mut more = false;
        let mut counted: Option<Instant> = None;
        loop {
            let timeout = if more { Duration::ZERO } else { self.timeout() };
            if let Err(error) = self.poll.poll(&mut ready, Some(timeout))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the media port can no longer be polled");
                return;
            }
            let stop = self.shared.stop.load(Ordering::Acquire);
            let now = Instant::now();
            while let Ok(command) = self.commands.try_recv() {
                self.shard.guarded(now, |shard, now| shard.handle_message(now, command));
            }
            more = self.receive();
            let now = Instant::now();
            if stop {
                self.shard.close(now);
            }
            if self.shard.poll_timeout().is_some_and(|at| at <= now) {
                self.shard.guarded(now, |shard, now| shard.handle_timeout(now));
            }
            self.transmit(now);
            while let Some(event) = self.shard.poll_event() {
                (self.on_event)(event);
            }
            if stop || counted.is_none_or(|at| now.duration_since(at) >= TICK) {
                counted = Some(now);
                *self.shared.counters.lock().unwrap_or_else(PoisonError::into_inner) = self.shard.counters();
            }
            if stop {
                return;
            }
        }
    }

    fn timeout(&self) -> Duration {
        match self.shard.poll_timeout() {
            Some(at) => at.saturating_duration_since(Instant::now()).min(TICK),
            None => TICK,
        }
    }

    /// Takes what has arrived, at most some batches at a time so that commands and timers get their turn, and sends what it brings about. Whether
    /// there may be more. What arrives while a batch is handled is taken along, up to some amount: packets of one picture leave in one send.
    fn receive(&mut self) -> bool {
        for _ in 0..BATCHES_PER_TURN {
            let now = Instant::now();
            match self.socket.receive() {
                Ok(count) => self.handle(now, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.transmit(now);
                    return false;
                }
                // An ICMP error of an earlier send comes back here and means nothing for the next datagram.
                Err(error) => tracing::debug!(%error, "receiving on the media port"),
            }
            if self.shard.waiting_bytes() >= BYTES_AT_ONCE {
                self.transmit(now);
            }
        }
        self.transmit(Instant::now());
        true
    }

    /// Hands a batch to the shard.
    fn handle(&mut self, now: Instant, count: usize) {
        for at in 0..count {
            let Some(received) = self.socket.look(at) else { continue };
            if received.elsewhere {
                self.transmit(now);
            }
            let (shard, pool, passing) = (&mut self.shard, &mut self.pool, &mut self.passing);
            self.socket.hear(at, received, |from, datagram| {
                let pool = if Class::of(datagram) == Some(Class::Rtp) {
                    if pool.capacity() < datagram.len() {
                        *pool = BytesMut::with_capacity(POOL_BYTES);
                    }
                    &mut *pool
                } else {
                    passing.reserve(datagram.len().max(PASSING_BYTES));
                    &mut *passing
                };
                pool.extend_from_slice(datagram);
                let datagram = pool.split();
                shard.guarded(now, |shard, now| shard.handle_datagram(now, from, datagram));
            });
            if received.elsewhere {
                self.transmit(now);
                self.socket.settle();
            }
        }
    }

    fn transmit(&mut self, now: Instant) {
        let socket = &self.socket;
        let mut unsent = 0;
        self.shard.poll_transmit(now, |to, run| {
            if let Err(error) = socket.send(to, run) {
                unsent += run.contents.len().div_ceil(run.segment_size) as u64;
                tracing::debug!(%error, "sending from the media port");
            }
        });
        self.shard.count_unsent(unsent);
    }
}

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
/// The longest sleep, so that counters are never older.
const TICK: Duration = Duration::from_millis(100);
/// Commands waiting for the worker; one more is dropped and counted.
const INBOX_COMMANDS: usize = 65_536;
const BATCHES_PER_TURN: usize = 8;
/// Sealed by so much, which takes a quarter of a millisecond, what waits leaves before more is taken.
const BYTES_AT_ONCE: u64 = 1024 * 1024;
const POOL_BYTES: usize = 64 * 1024;
const PASSING_BYTES: usize = 2048;
