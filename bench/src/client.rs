//! Threads that drive clients: each polls the sockets and timers of many.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, Waker};
use rtc::peer_connection::state::RTCPeerConnectionState;
use tokio::sync::mpsc::UnboundedSender;

use crate::connection::{Connection, WireCounts};
use crate::measure::ThreadCpu;
use crate::publisher::{Publisher, PublisherCounts};
use crate::subscriber::{Delivery, Meters, SlotContent, Subscriber, SubscriberCounts};
use crate::tap::Inbound;
use crate::verify::StreamCounts;

/// A negotiated client, ready to connect.
#[derive(Debug)]
pub struct Client {
    /// Its number in the run.
    pub id: usize,
    /// Its peer connection, with the answer accepted.
    pub connection: Connection,
    /// What it sends, if it does.
    pub publisher: Option<Box<Publisher>>,
    /// What it receives, if it does.
    pub subscriber: Option<Box<Subscriber>>,
    /// Who hears what becomes of it; never more than a few notices a client.
    pub notices: UnboundedSender<(usize, Notice)>,
}

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The offer was sent, then.
    Offered(Instant),
    /// The first view was sent, then.
    Viewed(Instant),
    /// ICE and DTLS are up, since then.
    Connected(Instant),
    /// The first whole key frame is there, since then; or the first sound, for who sees nothing.
    FirstMedia(Instant),
    /// Everything it should see and hear is there, since then.
    Complete(Instant),
    /// The connection failed or was closed by the server.
    Lost,
}

/// What a client counted.
#[derive(Clone, Copy, Debug)]
pub struct ClientResult {
    /// Its number in the run.
    pub id: usize,
    /// What it sent, if it does.
    pub publisher: Option<PublisherCounts>,
    /// What it received, if it does.
    pub subscriber: Option<SubscriberResult>,
    /// On its socket.
    pub wire: WireCounts,
}

/// What a client counted of what it received.
#[derive(Clone, Copy, Debug)]
pub struct SubscriberResult {
    /// Its video streams.
    pub video: StreamCounts,
    /// Its audio streams.
    pub audio: StreamCounts,
    /// Everything else it saw.
    pub counts: SubscriberCounts,
    /// The window's video and audio.
    pub delivery: (Delivery, Delivery),
}

/// What a thread hands back.
#[derive(Debug)]
pub struct ThreadResult {
    /// Its clients' results, also of those that are gone.
    pub clients: Vec<ClientResult>,
    /// What they measured in the window.
    pub latency: Histogram<u64>,
    /// The distances of picture and sound.
    pub av_offset: Histogram<u64>,
    /// Different packets of the window that came to its clients, also to those that are gone.
    pub packets: u64,
    /// The share of the measuring window its thread was on a processor, 0 to 1.
    pub busy: f64,
}

/// A thread with its clients.
#[derive(Debug)]
pub struct ClientThread {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
    thread: JoinHandle<Result<ThreadResult>>,
}

impl ClientThread {
    /// Starts a thread without clients; it counts RTP packets that come in on `received`.
    ///
    /// # Errors
    /// What polling or starting the thread says.
    pub fn spawn(index: usize, received: Arc<AtomicU64>) -> Result<Self> {
        let poll = Poll::new().context("polling sockets")?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (commands, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("clients-{index}"))
            .spawn(move || ClientLoop::new(poll, inbox, received).run())?;
        Ok(Self { commands, waker, thread })
    }

    /// Drives that client from now on.
    pub fn add(&self, client: Client) {
        self.command(Command::Add(Box::new(client)));
    }

    /// Closes that client; what it counted is kept.
    pub fn remove(&self, client: usize) {
        self.command(Command::Remove(client));
    }

    /// Tells a client what its slots show.
    pub fn set_slots(&self, client: usize, slots: Vec<SlotContent>) {
        self.command(Command::Slots(client, slots));
    }

    /// Opens or closes the measuring window.
    pub fn measure(&self, measuring: bool) {
        self.command(Command::Measure(measuring));
    }

    /// The ages of the packets that arrived since this was last asked.
    ///
    /// # Errors
    /// A thread that is gone.
    pub fn recent(&self) -> Result<Histogram<u64>> {
        let (reply, recent) = mpsc::channel();
        self.command(Command::Recent(reply));
        recent.recv().context("a client thread is gone")
    }

    /// What its clients counted so far.
    ///
    /// # Errors
    /// A thread that is gone.
    pub fn counts(&self) -> Result<ThreadResult> {
        let (reply, counts) = mpsc::channel();
        self.command(Command::Counts(reply));
        counts.recv().context("a client thread is gone")
    }

    /// Closes all clients and returns what was counted.
    ///
    /// # Errors
    /// What polling said while it ran.
    pub fn finish(self) -> Result<ThreadResult> {
        self.command(Command::Finish);
        self.thread.join().map_err(|_| anyhow!("a client thread panicked"))?
    }

    fn command(&self, command: Command) {
        // A thread that is gone tells why when it is joined.
        let _gone = self.commands.send(command);
        let _gone = self.waker.wake();
    }
}

#[derive(Debug)]
enum Command {
    Add(Box<Client>),
    Remove(usize),
    Slots(usize, Vec<SlotContent>),
    Measure(bool),
    Recent(mpsc::Sender<Histogram<u64>>),
    Counts(mpsc::Sender<ThreadResult>),
    Finish,
}

struct ClientLoop {
    poll: Poll,
    commands: mpsc::Receiver<Command>,
    received: Arc<AtomicU64>,
    clients: BTreeMap<usize, Driven>,
    departed: Vec<ClientResult>,
    timers: Timers,
    meters: Meters,
    cpu: Option<ThreadCpu>,
    busy: f64,
}

struct Driven {
    client: Client,
    progress: Progress,
}

/// How much of a client's coming was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    New,
    Connected,
    Media,
    Complete,
    Lost,
}

/// When which client is due: the earliest first. A client may stand here more than once; what is too early for
/// it is looked at in vain and armed again.
#[derive(Debug, Default)]
struct Timers {
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    armed: BTreeMap<usize, Instant>,
}

impl Timers {
    fn arm(&mut self, client: usize, at: Option<Instant>) {
        let Some(at) = at else { return };
        if self.armed.get(&client).is_none_or(|armed| at < *armed) {
            self.armed.insert(client, at);
            self.due.push(Reverse((at, client)));
        }
    }

    fn next(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// A client that is due; it has to be armed anew.
    fn pop(&mut self, now: Instant) -> Option<usize> {
        self.due.peek().filter(|Reverse((at, _))| *at <= now)?;
        let Reverse((at, client)) = self.due.pop()?;
        if self.armed.get(&client) == Some(&at) {
            self.armed.remove(&client);
        }
        Some(client)
    }
}

impl ClientLoop {
    fn new(poll: Poll, commands: mpsc::Receiver<Command>, received: Arc<AtomicU64>) -> Self {
        Self {
            poll,
            commands,
            received,
            clients: BTreeMap::new(),
            departed: Vec::new(),
            timers: Timers::default(),
            meters: Meters::new(),
            cpu: None,
            busy: 0.0,
        }
    }

    fn run(mut self) -> Result<ThreadResult> {
        let mut events = Events::with_capacity(512);
        let mut buffer = vec![0; 65_535];
        let mut inbound = Vec::with_capacity(256);
        loop {
            let now = Instant::now();
            let wait = self.timers.next().map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now));
            match self.poll.poll(&mut events, Some(wait.min(LONGEST_WAIT))) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                let id = event.token().0;
                let Some(driven) = self.clients.get_mut(&id) else { continue };
                driven.client.connection.receive(&mut buffer, &mut inbound);
                let packets = driven.take(&mut inbound, &mut self.meters);
                self.received.fetch_add(packets, Ordering::Relaxed);
                driven.tell();
                self.timers.arm(id, driven.poll_timeout());
            }
            let now = Instant::now();
            while let Some(id) = self.timers.pop(now) {
                let Some(driven) = self.clients.get_mut(&id) else { continue };
                if driven.poll_timeout().is_some_and(|at| at <= now) {
                    driven.handle_timeout(now);
                    driven.tell();
                }
                // What is due again at once waits for the sockets first.
                let next = driven.poll_timeout().map(|at| at.max(now + SHORTEST_WAIT));
                self.timers.arm(id, next);
            }
            while let Ok(command) = self.commands.try_recv() {
                match command {
                    Command::Add(client) => self.add(*client)?,
                    Command::Remove(id) => {
                        if let Some(mut driven) = self.clients.remove(&id) {
                            driven.client.connection.close();
                            self.poll.registry().deregister(driven.client.connection.socket_mut())?;
                            let mut result = driven.result();
                            // Who is not there at the window's end is not measured by it.
                            if let Some(seen) = &mut result.subscriber {
                                for delivery in [&mut seen.delivery.0, &mut seen.delivery.1] {
                                    (delivery.expected, delivery.received) = (0, 0);
                                }
                            }
                            self.departed.push(result);
                        }
                    }
                    Command::Slots(id, slots) => {
                        let subscriber =
                            self.clients.get_mut(&id).and_then(|driven| driven.client.subscriber.as_mut());
                        if let Some(subscriber) = subscriber {
                            subscriber.set_slots(Instant::now(), &slots);
                        }
                    }
                    Command::Measure(measuring) => self.measure(measuring),
                    // Who asked may have gone.
                    Command::Recent(reply) => {
                        let _gone = reply.send(self.meters.recent.clone());
                        self.meters.recent.reset();
                    }
                    Command::Counts(reply) => drop(reply.send(self.result())),
                    Command::Finish => return Ok(self.finish()),
                }
            }
        }
    }

    fn add(&mut self, mut client: Client) -> Result<()> {
        let id = client.id;
        self.poll.registry().register(client.connection.socket_mut(), Token(id), Interest::READABLE)?;
        if let Some(publisher) = &mut client.publisher {
            publisher.measure(self.meters.open);
        }
        let driven = Driven { client, progress: Progress::New };
        self.timers.arm(id, driven.poll_timeout());
        self.clients.insert(id, driven);
        Ok(())
    }

    fn measure(&mut self, measuring: bool) {
        if measuring {
            self.cpu = ThreadCpu::of_this_thread();
            self.meters.open_window();
        } else {
            self.meters.close_window();
            self.busy = self.cpu.take().map_or(self.busy, |cpu| cpu.busy());
        }
        for driven in self.clients.values_mut() {
            if let Some(publisher) = &mut driven.client.publisher {
                publisher.measure(measuring);
            }
            match (&mut driven.client.subscriber, measuring) {
                (Some(subscriber), true) => subscriber.open_window(),
                (Some(subscriber), false) => subscriber.close_window(),
                (None, _) => {}
            }
        }
    }

    fn result(&self) -> ThreadResult {
        let present = self.clients.values().map(Driven::result);
        ThreadResult {
            clients: self.departed.iter().copied().chain(present).collect(),
            latency: self.meters.latency.clone(),
            av_offset: self.meters.av_offset.clone(),
            packets: self.meters.packets,
            busy: self.busy,
        }
    }

    fn finish(mut self) -> ThreadResult {
        for driven in self.clients.values_mut() {
            driven.client.connection.close();
        }
        self.result()
    }
}

impl Driven {
    fn poll_timeout(&self) -> Option<Instant> {
        let publisher = self.client.publisher.as_ref().and_then(|publisher| publisher.poll_timeout());
        let subscriber = self.client.subscriber.as_ref().and_then(|subscriber| subscriber.poll_timeout());
        publisher.into_iter().chain(subscriber).chain(self.client.connection.poll_timeout()).min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        let Client { connection, publisher, subscriber, .. } = &mut self.client;
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
        }
        if let Some(publisher) = publisher
            && publisher.poll_timeout().is_some_and(|at| at <= now)
        {
            publisher.handle_timeout(connection);
        }
        if let Some(subscriber) = subscriber
            && subscriber.poll_timeout().is_some_and(|at| at <= now)
        {
            subscriber.handle_timeout(now, connection);
        }
    }

    /// Hands what came in to the role; returns how many RTP packets that were.
    fn take(&mut self, inbound: &mut Vec<(Instant, Inbound)>, meters: &mut Meters) -> u64 {
        let Client { connection, publisher, subscriber, .. } = &mut self.client;
        let mut rtp = 0;
        for (now, packet) in inbound.drain(..) {
            match packet {
                Inbound::Rtp(packet) => {
                    rtp += 1;
                    if let Some(subscriber) = subscriber {
                        subscriber.handle_rtp(now, &packet, meters);
                    }
                }
                Inbound::Sealed(header) => {
                    rtp += 1;
                    if let Some(subscriber) = subscriber {
                        subscriber.handle_sealed(now, header, meters);
                    }
                }
                Inbound::Rtcp(packets) => {
                    if let Some(subscriber) = subscriber {
                        subscriber.handle_rtcp(now, &packets);
                    }
                    if let Some(publisher) = publisher {
                        publisher.handle_rtcp(now, &packets, connection);
                    }
                }
            }
        }
        rtp
    }

    /// Starts sending and receiving when the connection is up, and tells of every change once.
    fn tell(&mut self) {
        if self.progress == Progress::Lost || self.progress == Progress::Complete && self.is_up() {
            return;
        }
        let state = self.client.connection.state();
        if matches!(state, RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed) {
            return self.tell_once(Progress::Lost, Notice::Lost);
        }
        if !self.is_up() {
            return;
        }
        if self.progress == Progress::New {
            let now = Instant::now();
            if let Some(publisher) = &mut self.client.publisher {
                publisher.start(now);
            }
            if let Some(subscriber) = &mut self.client.subscriber {
                subscriber.start(now);
            }
            self.tell_once(Progress::Connected, Notice::Connected(now));
        }
        let Some(subscriber) = &self.client.subscriber else { return };
        let (first, complete) = (subscriber.first_media(), subscriber.complete());
        if let (Progress::Connected, Some(at)) = (self.progress, first) {
            self.tell_once(Progress::Media, Notice::FirstMedia(at));
        }
        if let (Progress::Media, Some(at)) = (self.progress, complete) {
            self.tell_once(Progress::Complete, Notice::Complete(at));
        }
    }

    fn is_up(&self) -> bool {
        self.client.connection.state() == RTCPeerConnectionState::Connected
    }

    fn tell_once(&mut self, progress: Progress, notice: Notice) {
        self.progress = progress;
        // Nobody listens any more when the run is over.
        let _over = self.client.notices.send((self.client.id, notice));
    }

    fn result(&self) -> ClientResult {
        ClientResult {
            id: self.client.id,
            publisher: self.client.publisher.as_ref().map(|publisher| publisher.counts()),
            subscriber: self.client.subscriber.as_ref().map(|subscriber| {
                let (video, audio) = subscriber.streams();
                let (counts, delivery) = (subscriber.counts(), subscriber.delivery());
                SubscriberResult { video, audio, counts, delivery }
            }),
            wire: self.client.connection.counts(),
        }
    }
}

/// Microseconds up to a minute, with three digits.
#[allow(clippy::expect_used, reason = "the bounds are constants, and valid ones")]
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("valid bounds")
}

const WAKE: Token = Token(usize::MAX - 1);
const LONGEST_WAIT: Duration = Duration::from_millis(200);
const SHORTEST_WAIT: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests;
