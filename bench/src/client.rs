//! Threads that drive clients: each polls the sockets and timers of many.

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
use crate::subscriber::{SlotContent, Subscriber, SubscriberCounts};
use crate::tap::Inbound;
use crate::verify::StreamCounts;

/// A negotiated client, ready to connect.
#[derive(Debug)]
pub struct Client {
    /// Its number in the run.
    pub id: usize,
    /// Its peer connection, with the answer accepted.
    pub connection: Connection,
    /// What it does.
    pub role: Role,
    /// Who hears what becomes of it; never more than a few notices a client.
    pub notices: UnboundedSender<(usize, Notice)>,
}

/// What a client does.
#[derive(Debug)]
pub enum Role {
    /// It sends.
    Publisher(Box<Publisher>),
    /// It receives.
    Subscriber(Box<Subscriber>),
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
    /// The first whole key frame is there, since then.
    FirstKeyFrame(Instant),
    /// The connection failed or was closed by the server.
    Lost,
}

/// What a client counted, at the end.
#[derive(Clone, Debug)]
pub enum ClientResult {
    /// A publisher's.
    Publisher(PublisherCounts, WireCounts),
    /// A subscriber's.
    Subscriber(Box<SubscriberResult>),
}

/// What a subscriber counted, at the end.
#[derive(Clone, Copy, Debug)]
pub struct SubscriberResult {
    /// Its number in the run.
    pub id: usize,
    /// Its video streams.
    pub video: StreamCounts,
    /// Its audio streams.
    pub audio: StreamCounts,
    /// Everything else it saw.
    pub counts: SubscriberCounts,
    /// On its socket.
    pub wire: WireCounts,
    /// Video streams that had a whole key frame, of all.
    pub streams_whole: (u64, u64),
}

/// What a thread hands back.
#[derive(Debug)]
pub struct ThreadResult {
    /// Its clients' results.
    pub clients: Vec<ClientResult>,
    /// Ages of the measured video packets, in microseconds.
    pub latency: Histogram<u64>,
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

    /// Tells a client what its slots show.
    pub fn set_slots(&self, client: usize, slots: Vec<SlotContent>) {
        self.command(Command::Slots(client, slots));
    }

    /// Opens or closes the measuring window.
    pub fn measure(&self, measuring: bool) {
        self.command(Command::Measure(measuring));
    }

    /// What its clients counted so far.
    ///
    /// # Errors
    /// A thread that is gone.
    pub fn counts(&self) -> Result<Vec<ClientResult>> {
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
    Slots(usize, Vec<SlotContent>),
    Measure(bool),
    Counts(mpsc::Sender<Vec<ClientResult>>),
    Finish,
}

struct ClientLoop {
    poll: Poll,
    commands: mpsc::Receiver<Command>,
    received: Arc<AtomicU64>,
    clients: Vec<Driven>,
    latency: Histogram<u64>,
    cpu: Option<ThreadCpu>,
    busy: f64,
    measuring: bool,
}

struct Driven {
    client: Client,
    told: Option<Notice>,
}

impl ClientLoop {
    fn new(poll: Poll, commands: mpsc::Receiver<Command>, received: Arc<AtomicU64>) -> Self {
        Self {
            poll,
            commands,
            received,
            clients: Vec::new(),
            latency: latency_histogram(),
            cpu: None,
            busy: 0.0,
            measuring: false,
        }
    }

    fn run(mut self) -> Result<ThreadResult> {
        let mut events = Events::with_capacity(512);
        let mut buffer = vec![0; 65_535];
        let mut inbound = Vec::with_capacity(256);
        loop {
            let now = Instant::now();
            let next = self.clients.iter().filter_map(Driven::poll_timeout).min();
            let wait = next.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now).min(LONGEST_WAIT));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                if let Some(driven) = self.clients.get_mut(event.token().0) {
                    driven.client.connection.receive(&mut buffer, &mut inbound);
                    let packets = driven.take(&mut inbound, &mut self.latency);
                    self.received.fetch_add(packets, Ordering::Relaxed);
                    driven.tell();
                }
            }
            let now = Instant::now();
            for driven in &mut self.clients {
                if driven.poll_timeout().is_some_and(|at| at <= now) {
                    driven.handle_timeout(now);
                    driven.tell();
                }
            }
            while let Ok(command) = self.commands.try_recv() {
                match command {
                    Command::Add(client) => self.add(*client)?,
                    Command::Slots(id, slots) => {
                        let driven = self.clients.iter_mut().find(|driven| driven.client.id == id);
                        if let Some(Role::Subscriber(subscriber)) =
                            driven.map(|driven| &mut driven.client.role)
                        {
                            subscriber.set_slots(Instant::now(), &slots);
                        }
                    }
                    Command::Measure(measuring) => self.measure(measuring),
                    Command::Counts(reply) => {
                        // Who asked may have gone.
                        let _gone = reply.send(self.clients.iter().map(Driven::result).collect());
                    }
                    Command::Finish => return Ok(self.finish()),
                }
            }
        }
    }

    fn add(&mut self, mut client: Client) -> Result<()> {
        let token = Token(self.clients.len());
        self.poll.registry().register(client.connection.socket_mut(), token, Interest::READABLE)?;
        if let Role::Publisher(publisher) = &mut client.role {
            publisher.measure(self.measuring);
        }
        self.clients.push(Driven { client, told: None });
        Ok(())
    }

    fn measure(&mut self, measuring: bool) {
        self.measuring = measuring;
        if measuring {
            self.cpu = ThreadCpu::of_this_thread();
        } else if let Some(cpu) = self.cpu.take() {
            self.busy = cpu.busy();
        }
        for driven in &mut self.clients {
            if let Role::Publisher(publisher) = &mut driven.client.role {
                publisher.measure(measuring);
            }
        }
    }

    fn finish(mut self) -> ThreadResult {
        for driven in &mut self.clients {
            driven.client.connection.close();
        }
        ThreadResult {
            clients: self.clients.iter().map(Driven::result).collect(),
            latency: self.latency,
            busy: self.busy,
        }
    }
}

impl Driven {
    fn poll_timeout(&self) -> Option<Instant> {
        let role = match &self.client.role {
            Role::Publisher(publisher) => publisher.poll_timeout(),
            Role::Subscriber(subscriber) => subscriber.poll_timeout(),
        };
        role.into_iter().chain(self.client.connection.poll_timeout()).min()
    }

    fn handle_timeout(&mut self, now: Instant) {
        let Client { connection, role, .. } = &mut self.client;
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
        }
        match role {
            Role::Publisher(publisher) => {
                if publisher.poll_timeout().is_some_and(|at| at <= now) {
                    publisher.handle_timeout(connection);
                }
            }
            Role::Subscriber(subscriber) => {
                if subscriber.poll_timeout().is_some_and(|at| at <= now) {
                    subscriber.handle_timeout(now, connection);
                }
            }
        }
    }

    /// Hands what came in to the role; returns how many RTP packets that were.
    fn take(&mut self, inbound: &mut Vec<(Instant, Inbound)>, latency: &mut Histogram<u64>) -> u64 {
        let Client { connection, role, .. } = &mut self.client;
        let mut rtp = 0;
        for (now, packet) in inbound.drain(..) {
            match (packet, &mut *role) {
                (Inbound::Rtp(packet), Role::Subscriber(subscriber)) => {
                    rtp += 1;
                    subscriber.handle_rtp(now, &packet, latency);
                }
                (Inbound::Rtp(_), Role::Publisher(_)) => rtp += 1,
                (Inbound::Rtcp(packets), Role::Subscriber(subscriber)) => {
                    subscriber.handle_rtcp(now, &packets)
                }
                (Inbound::Rtcp(packets), Role::Publisher(publisher)) => {
                    publisher.handle_rtcp(now, &packets, connection);
                }
            }
        }
        rtp
    }

    /// Starts the role when the connection is up, and tells of every change once.
    fn tell(&mut self) {
        let notice = match (self.client.connection.state(), &self.client.role) {
            (RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed, _) => Notice::Lost,
            (RTCPeerConnectionState::Connected, Role::Subscriber(subscriber)) => {
                match subscriber.first_key_frame() {
                    Some(at) => Notice::FirstKeyFrame(at),
                    None if self.told.is_some() => return,
                    None => Notice::Connected(Instant::now()),
                }
            }
            (RTCPeerConnectionState::Connected, Role::Publisher(_)) if self.told.is_none() => {
                Notice::Connected(Instant::now())
            }
            _ => return,
        };
        if self.told == Some(notice) {
            return;
        }
        if self.told.is_none() && self.client.connection.state() == RTCPeerConnectionState::Connected {
            match &mut self.client.role {
                Role::Publisher(publisher) => publisher.start(Instant::now()),
                Role::Subscriber(subscriber) => subscriber.start(Instant::now()),
            }
        }
        self.told = Some(notice);
        // Nobody listens any more when the run is over.
        let _over = self.client.notices.send((self.client.id, notice));
    }

    fn result(&self) -> ClientResult {
        let wire = self.client.connection.counts();
        match &self.client.role {
            Role::Publisher(publisher) => ClientResult::Publisher(publisher.counts(), wire),
            Role::Subscriber(subscriber) => {
                let (video, audio) = subscriber.streams();
                ClientResult::Subscriber(Box::new(SubscriberResult {
                    id: self.client.id,
                    video,
                    audio,
                    counts: subscriber.counts(),
                    wire,
                    streams_whole: subscriber.streams_whole(),
                }))
            }
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

#[cfg(test)]
mod tests;
