//! The deterministic simulation: a shard, a seeded network and simulated clients in virtual time.
//!
//! One seed is one run, byte for byte; [`World::trace`] is a digest of everything that was sent and told, to compare runs by.

mod broadcast;
mod client;
mod mark;
mod network;
mod plain;
mod screen;
mod shards;
mod svc;
mod voice;
mod watched;

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

pub use broadcast::Broadcast;
pub use client::{Client, ClientPlan};
pub use mark::Mark;
pub use network::{Delivery, Line, Network};
pub use plain::{Frame, PlainContext, PlainTransport, check, message, read_message};
pub use screen::{Shown, freezes, switches};
pub use shards::Shards;
pub use svc::{LayerMark, LayeredFrame, LayeredSource, Scheme};
pub use voice::{Heard, Report, Sound};
pub use watched::Watched;

use crate::id::{ParticipantId, PublicationId, RoomId};
use crate::message::{Command, Event};
use crate::view::{VideoWish, View};

/// A whole simulation.
pub struct World {
    /// The shard under test, or several as one.
    pub shard: Shards,
    /// All lines.
    pub network: Network,
    /// The clients by their numbers; `None` after they left.
    pub clients: Vec<Option<Client>>,
    /// Every event of the shard, as it came.
    pub events: Vec<Event>,
    /// What each client watches: a height for every publication it is told of.
    pub max_height: u16,
    /// Virtual now.
    pub now: Instant,
    origin: Instant,
    /// Which room each client is in.
    rooms: Vec<RoomId>,
    publications: Vec<(RoomId, PublicationId)>,
    /// Who was told what to watch.
    choosers: BTreeSet<usize>,
    trace: DefaultHasher,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64) -> Self {
        Self::with(Shards::new(seed, 1, usize::MAX), Network::new(seed))
    }

    /// An empty world with several shards, each of which is to have so many members of a room before others get some. The dice of each line are its
    /// own.
    pub fn sharded(seed: u64, shards: usize, members_together: usize) -> Self {
        Self::with(Shards::new(seed, shards, members_together), Network::of_independent_lines(seed))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "virtual time starts at any instant; only differences are seen"
    )]
    fn with(shard: Shards, network: Network) -> Self {
        let origin = Instant::now();
        Self {
            shard,
            network,
            clients: Vec::new(),
            events: Vec::new(),
            max_height: 720,
            now: origin,
            origin,
            rooms: Vec::new(),
            publications: Vec::new(),
            choosers: BTreeSet::new(),
            trace: DefaultHasher::new(),
        }
    }

    /// A client joins the one room and offers. Its number is its index in [`clients`](Self::clients).
    pub fn join(&mut self, publishes: &[u16], slots: usize, line: Line) -> usize {
        self.join_as(
            ClientPlan { publishes: publishes.to_vec(), slots, parts: 5, ..ClientPlan::default() },
            line,
        )
    }

    /// A client as browsers are: pictures of natural sizes, feedback about its line.
    pub fn join_natural(&mut self, publishes: &[u16], slots: usize, line: Line) -> usize {
        let plan = ClientPlan {
            publishes: publishes.to_vec(),
            slots,
            natural: true,
            feedback: true,
            ..ClientPlan::default()
        };
        self.join_as(plan, line)
    }

    /// A client with a plan, whose number is given by the world.
    pub fn join_as(&mut self, plan: ClientPlan, line: Line) -> usize {
        self.join_room(ROOM, plan, line)
    }

    /// A client joins some room.
    pub fn join_room(&mut self, room: RoomId, plan: ClientPlan, line: Line) -> usize {
        let number = self.clients.len();
        self.admit(room, Client::new(ClientPlan { number: number as u16, ..plan }, up(number)), line)
    }

    /// As [`join`](Self::join), with layered video: one encoding of this height, or none.
    pub fn join_layered(&mut self, scheme: Scheme, height: Option<u16>, slots: usize, line: Line) -> usize {
        let number = self.clients.len();
        let publishes = height.into_iter().collect();
        let plan = ClientPlan { number: number as u16, publishes, slots, parts: 2, ..ClientPlan::default() };
        self.admit(ROOM, Client::layered(plan, up(number), scheme), line)
    }

    fn admit(&mut self, room: RoomId, client: Client, line: Line) -> usize {
        let number = self.clients.len();
        let offer = client.offer();
        self.network.set_line(up(number), line.clone());
        self.network.set_line(down(up(number)), line);
        self.clients.push(Some(client));
        self.rooms.push(room);
        let participant = participant(number);
        self.shard.handle_message(self.now, Command::Join { room, participant });
        self.shard
            .handle_message(self.now, Command::Offer { participant, request: number as u64, sdp: offer });
        self.drain();
        number
    }

    /// A client leaves, without a word on the media line.
    pub fn leave(&mut self, number: usize) {
        self.clients[number] = None;
        self.shard.handle_message(self.now, Command::Leave { participant: participant(number) });
        self.drain();
    }

    /// Changes the line down to where a client is.
    pub fn set_down(&mut self, number: usize, line: Line) {
        self.network.set_line(down(self.client(number).address), line);
    }

    /// Changes a client's lines, up and down.
    pub fn set_lines(&mut self, number: usize, line: Line) {
        self.network.set_line(self.client(number).address, line.clone());
        self.set_down(number, line);
    }

    /// A client goes over to another network with lines like this, and the next time back again; what is under way to where it was is lost.
    pub fn move_away(&mut self, number: usize, line: Line) {
        if let Some(Some(client)) = self.clients.get_mut(number) {
            let (home, away) = (up(number), SocketAddr::new(up(number).ip(), up(number).port() + MOVED));
            client.move_to(self.now, if client.address == home { away } else { home });
            self.set_lines(number, line);
        }
    }

    /// Puts a client behind the same bottleneck as another.
    pub fn share_down(&mut self, number: usize, other: usize) {
        self.network.share_line(down(self.client(number).address), down(self.client(other).address));
    }

    /// How long what is sent to a client now waits for its line.
    pub fn backlog(&self, number: usize) -> Duration {
        self.network.backlog(self.now, down(self.client(number).address))
    }

    /// Sets what one client watches, until it is set again.
    pub fn view(&mut self, number: usize, view: View) {
        self.choosers.insert(number);
        self.shard.handle_message(self.now, Command::SetView { participant: participant(number), view });
        self.drain();
    }

    /// Lets virtual time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let clients = self.clients.iter().flatten().filter_map(Client::poll_timeout);
            let next = clients.chain(self.network.poll_timeout()).chain(self.shard.poll_timeout()).min();
            let Some(next) = next.filter(|&next| next <= end) else { break };
            self.now = next.max(self.now);
            while let Some(delivery) = self.network.poll(self.now) {
                self.deliver(delivery);
            }
            if self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
                self.shard.handle_timeout(self.now);
            }
            for client in self.clients.iter_mut().flatten() {
                if client.poll_timeout().is_some_and(|at| at <= self.now) {
                    client.handle_timeout(self.now);
                }
            }
            self.drain();
        }
        self.now = end;
    }

    /// A digest of all that happened.
    pub fn trace(&self) -> u64 {
        self.trace.finish()
    }

    /// A client that is still there.
    ///
    /// # Panics
    ///
    /// When it left, or never was.
    pub fn client(&self, number: usize) -> &Client {
        self.clients[number].as_ref().expect("the client is there")
    }

    fn deliver(&mut self, delivery: Delivery) {
        if delivery.to == SocketAddr::from(SERVER) {
            self.shard.handle_datagram(self.now, delivery.from, BytesMut::from(&delivery.datagram[..]));
        } else if let Some(client) =
            self.clients.iter_mut().flatten().find(|client| client.address == delivery.to)
        {
            client.handle_datagram(self.now, &delivery.datagram);
        }
    }

    /// Carries everything that waits to where it goes, until nothing does.
    fn drain(&mut self) {
        while let Some(event) = self.shard.poll_event() {
            match &event {
                Event::Connected { participant, now } => {
                    (participant, *now - self.origin).hash(&mut self.trace)
                }
                event => format!("{event:?}").hash(&mut self.trace),
            }
            self.follow(&event);
            self.events.push(event);
        }
        let (now, origin, network, trace) = (self.now, self.origin, &mut self.network, &mut self.trace);
        self.shard.poll_transmit(now, |batch| {
            for (to, run) in batch {
                for datagram in run.contents.chunks(run.segment_size) {
                    (now - origin, to, datagram.len(), crc32fast::hash(datagram)).hash(trace);
                    let datagram = Bytes::copy_from_slice(datagram);
                    network.send(now, down(to), Delivery { from: SERVER.into(), to, datagram });
                }
            }
        });
        for client in self.clients.iter_mut().flatten() {
            while let Some(datagram) = client.poll_transmit() {
                let from = client.address;
                network.send(now, from, Delivery { from, to: SERVER.into(), datagram });
            }
        }
    }

    /// What signaling would do: pass answers on, and let everybody watch everything who does not choose.
    fn follow(&mut self, event: &Event) {
        match event {
            Event::Answered { request, answer, .. } => {
                let answer = answer.as_ref().expect("the simulation's offers are good");
                if let Some(Some(client)) = self.clients.get_mut(*request as usize) {
                    client.handle_answer(self.now, answer);
                }
            }
            Event::Published { room, publication } => self.publications.push((*room, publication.id)),
            Event::EncodingsWanted { participant: owner, wanted, .. } => {
                let number = owner.0 as usize - 1;
                if let Some(Some(client)) = self.clients.get_mut(number) {
                    client.want(wanted);
                }
                return;
            }
            Event::Unpublished { publication, .. } => {
                self.publications.retain(|(_, known)| known != publication);
            }
            _ => return,
        }
        for number in 0..self.clients.len() {
            if self.clients[number].is_some() && !self.choosers.contains(&number) {
                let seen = self.publications.iter().filter(|(room, _)| *room == self.rooms[number]);
                let video =
                    seen.map(|&(_, publication)| VideoWish::new(publication, self.max_height)).collect();
                let view = View { video, ..View::default() };
                self.shard
                    .handle_message(self.now, Command::SetView { participant: participant(number), view });
            }
        }
    }
}

/// The participant id of a client.
pub fn participant(number: usize) -> ParticipantId {
    ParticipantId(number as u64 + 1)
}

fn up(number: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + number as u16))
}

/// Names the line down to a client's address; nothing has this one.
fn down(to: SocketAddr) -> SocketAddr {
    SocketAddr::new(DOWN.into(), to.port())
}

/// Where everybody is who is told nothing else.
const ROOM: RoomId = RoomId(1);
const SERVER: ([u8; 4], u16) = ([127, 0, 0, 1], 7443);
/// Between a client's ports.
const MOVED: u16 = 20_000;
const DOWN: [u8; 4] = [127, 0, 0, 2];
