//! A shard: one worker's part of the media plane, sans-IO.
//!
//! The verbs and their law: `handle_*` brings something in and tells the time; after each, or after several that came at once (packets of one
//! picture then leave together), `poll_transmit` and `poll_event` are drained, and `poll_timeout` says when
//! [`handle_timeout`](Shard::handle_timeout) is due. Above the transport the same seed and the same inputs give the same outputs, byte for byte.
//!
//! - `negotiation`: offers in, answers out, publications and slots follow.
//! - `publication`: a published track on its way in.
//! - `fan_out`: one packet's way from a publication to its slots, and the feedback that comes back; `burst`: what came at once and leaves together.
//! - `slot`: the down-track.
//! - `downlink`: a participant's line down: estimate, pace, what waits and what leaves.
//! - `pictures`: what the wishes of a view come to; `viewing`: that to slots; `sounds`: who speaks, and whose sound has a slot where slots are few.
//! - `allocation`: slots to encodings, within what the line carries; `saving`: what publishers need not send.
//! - `leaving`: what several viewers are sent in one call.
//! - `mirror`: a room on several shards.
//! - `fault`: what remains in order when one participant's handling panics.

mod allocation;
mod arena;
mod assignment;
mod burst;
mod carried;
mod downlink;
mod fan_out;
mod fault;
mod leaving;
pub(crate) mod mirror;
mod negotiation;
mod outbox;
mod participant;
mod pictures;
mod playout;
mod publication;
mod room;
mod saving;
mod slot;
mod sounds;
mod timers;
mod unasked;
mod viewing;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::bandwidth::Arrivals;
use crate::codec::Kind;
use crate::config::Limits;
use crate::counters::Counters;
use crate::id::{ParticipantId, PublicationId, RoomId, ShardIndex, Ssrc};
use crate::message::{Command, Data, Event};
use crate::sink::{Sink, SinkEvent};
use crate::transport::{ChannelId, Incoming, SendDataError, Transport, TransportEvent};
use arena::Arena;
use burst::Burst;
pub use leaving::Batch;
use leaving::Leaving;
pub(crate) use leaving::TURNS_AT_ONCE;
use mirror::Crossing;
pub use outbox::Run;
use participant::Participant;
use publication::PublicationState;
use room::Room;
use timers::Timers;

/// What a shard is started with.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Host candidates for every answer, the preferred one first.
    pub candidates: Vec<SocketAddr>,
    /// The limits.
    pub limits: Limits,
}

/// One worker's part of the media plane. Owns its participants and shares nothing.
pub struct Shard<T: Transport> {
    config: ShardConfig,
    context: Arc<T::Context>,
    index: ShardIndex,
    rng: ChaCha20Rng,
    participants: Arena<Participant<T>>,
    by_id: HashMap<ParticipantId, usize>,
    by_ufrag: HashMap<Vec<u8>, usize>,
    by_address: HashMap<SocketAddr, usize>,
    rooms: Arena<Room>,
    by_room: HashMap<RoomId, usize>,
    timers: Timers,
    /// When each room is to look who speaks, by its index.
    room_timers: Timers,
    /// What came last, on its way to its viewers.
    burst: Burst,
    /// What is sent at once.
    leaving: Leaving,
    /// Lent to one estimator after the other.
    arrivals: Arrivals,
    /// Publishers whose turn it is, kept for its memory.
    reporting: Vec<usize>,
    /// Those with something in their outbox.
    queue: Vec<usize>,
    /// Datagrams that are not media.
    control: VecDeque<(SocketAddr, Bytes)>,
    events: VecDeque<Event>,
    /// What other shards are to be told.
    crossings: VecDeque<(ShardIndex, Crossing)>,
    counters: Counters,
    /// As many bytes were forwarded when the outboxes were last empty.
    handed_out: u64,
    /// Whom the call under way is about.
    current: Option<usize>,
}

impl<T: Transport> Shard<T> {
    /// An empty shard. All its randomness (SSRCs, credentials, first sequence numbers) is drawn from `seed`.
    pub fn new(config: ShardConfig, context: impl Into<Arc<T::Context>>, seed: [u8; 32]) -> Self {
        Self {
            config,
            context: context.into(),
            index: ShardIndex::default(),
            rng: ChaCha20Rng::from_seed(seed),
            participants: Arena::default(),
            by_id: HashMap::new(),
            by_ufrag: HashMap::new(),
            by_address: HashMap::new(),
            rooms: Arena::default(),
            by_room: HashMap::new(),
            timers: Timers::default(),
            room_timers: Timers::default(),
            burst: Burst::default(),
            leaving: Leaving::default(),
            arrivals: Arrivals::default(),
            reporting: Vec::new(),
            queue: Vec::new(),
            control: VecDeque::new(),
            events: VecDeque::new(),
            crossings: VecDeque::new(),
            counters: Counters::default(),
            handed_out: 0,
            current: None,
        }
    }

    /// The same shard as one of several; alone it is the first. Its user fragments say which.
    pub fn as_one_of_several(self, index: ShardIndex) -> Self {
        Self { index, ..self }
    }

    /// Takes one datagram from the media port. Whether it was an authenticated check: then what comes from this address is for a participant
    /// of this shard from now on.
    ///
    /// Only a connectivity check may come from an address that is not known; everything else from there is dropped in silence.
    #[inline]
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, mut datagram: BytesMut) -> bool {
        self.counters.datagrams_received += 1;
        self.current = None;
        let index = match T::addressed_ufrag(&datagram) {
            Some(ufrag) => self.by_ufrag.get(ufrag).copied(),
            None => self.by_address.get(&from).copied(),
        };
        let Some(index) = index else {
            self.counters.datagrams_unknown += 1;
            return false;
        };
        self.current = Some(index);
        let participant = &mut self.participants[index];
        let Some(transport) = &mut participant.transport else { return false };
        let before = transport.destination();
        let incoming = transport.handle_datagram(now, from, &mut datagram);
        let moved = before.is_some_and(|before| transport.destination().is_some_and(|now| now != before));
        if moved {
            self.moved(now, index);
        }
        match incoming {
            Incoming::Nothing => self.after_transport(now, index),
            Incoming::Bound => {
                self.bind_address(index, from);
                self.after_transport(now, index);
            }
            Incoming::Rtp => self.handle_rtp(now, index, datagram),
            Incoming::Rtcp => {
                self.lend(index);
                self.handle_rtcp(now, index, &datagram);
                self.take_back(index);
            }
        }
        self.arm(index);
        incoming == Incoming::Bound
    }

    /// Takes one command.
    pub fn handle_message(&mut self, now: Instant, command: Command) {
        self.settle(now);
        self.current = None;
        match command {
            Command::Join { room, participant } => self.join(room, participant, None),
            Command::Offer { participant, request, sdp } => {
                let Some(&index) = self.by_id.get(&participant) else { return };
                self.current = Some(index);
                let answer = self.negotiate(now, index, &sdp);
                self.events.push_back(Event::Answered { participant, request, answer });
                self.after_transport(now, index);
                self.arm(index);
            }
            Command::RestartIce { participant, request, fragment } => {
                let Some(&index) = self.by_id.get(&participant) else { return };
                self.current = Some(index);
                let answer = self.restart_ice(now, index, &fragment);
                self.events.push_back(Event::Answered { participant, request, answer });
                self.after_transport(now, index);
                self.arm(index);
            }
            Command::SetScreens { participant, mids } => self.set_screens(now, participant, mids),
            Command::SetView { participant, view } => {
                let Some(&index) = self.by_id.get(&participant) else { return };
                self.current = Some(index);
                self.participants[index].view = view.cut();
                self.reconcile(now, index);
            }
            Command::SendData { participant, channel, data } => {
                self.send_data(now, participant, channel, &data)
            }
            Command::RequestKeyframe { publication, encoding } => {
                self.request_keyframe(now, publication, encoding);
            }
            Command::SetSink { room, sink } => self.set_sink(now, room, sink),
            Command::Report { tell } => {
                let indices = self.participants.indices().into_iter();
                let own =
                    indices.map(|index| &self.participants[index]).filter(|own| own.mirror_of.is_none());
                let reports = own.map(|participant| participant.report(now, self.rooms[participant.room].id));
                tell(reports.collect());
            }
            Command::Leave { participant } => self.leave(now, participant),
        }
    }

    /// Lets what is due run. When a good many have something to send it leaves the rest for the next call, which is due at once
    /// ([`poll_timeout`](Self::poll_timeout)): what is written takes memory until it is [handed out](Self::poll_written).
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(room) = self.room_timers.pop(now) {
            self.review_speakers(now, room);
        }
        let mut publishers = std::mem::take(&mut self.reporting);
        let mut turns = 0;
        while let Some(index) = self.timers.pop(now) {
            if self.participants.get(index).is_none() {
                continue;
            }
            self.current = Some(index);
            if let Some(home) = self.participants[index].mirror_of {
                self.handle_mirror_timeout(now, index, home);
                self.arm_after(index, now);
                continue;
            }
            self.lend(index);
            let reports = self.participants[index].handle_timeout(now, &mut self.counters);
            if reports && !self.participants[index].publications.is_empty() {
                publishers.push(index);
            }
            if self.participants[index].pictures_begin(now) {
                self.allocate(now, index, None);
            }
            self.review(now, index, reports);
            self.repair_unasked(now, index);
            self.fill_probe(now, index);
            self.enqueue(index);
            self.take_back(index);
            self.after_transport(now, index);
            self.arm_after(index, now);
            turns += 1;
            if turns >= TURNS_AT_ONCE && self.queue.len() >= TURNS_AT_ONCE {
                break;
            }
        }
        // After everybody's own turn, as where word of it comes from another shard: whose turn is first makes no difference to what they show.
        if self.timers.next().is_none_or(|next| next > now) {
            for index in publishers.drain(..) {
                if let Some(publisher) = self.participants.get_mut(index) {
                    publisher.review_line();
                    self.current = Some(index);
                    self.look_again(now, index);
                    self.cross_tick(index);
                }
            }
        }
        self.reporting = publishers;
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().into_iter().chain(self.room_timers.next()).min()
    }

    /// Hands out all datagrams to be sent, those of several destinations at a time. A panic on the way is that of one participant: see
    /// [`guarded`](Self::guarded).
    pub fn poll_transmit(&mut self, now: Instant, mut send: impl FnMut(Batch<'_>)) {
        while let Some((to, datagram)) = self.control.pop_front() {
            if self.leaving.put_datagram(to, &datagram) {
                self.leaving.send(&mut send);
            }
        }
        self.guarded(now, |shard, now| {
            shard.pass_on(now, |shard, index| {
                // Whoever was not in the queue before is its last; others are handed out later, unless that is many who hold memory until then.
                let is_last = shard.queue.pop_if(|last| *last == index).is_some();
                if is_last || shard.queue.len() >= TURNS_AT_ONCE {
                    shard.hand_out(index, &mut send);
                }
            });
        });
        self.poll_written(send);
        self.handed_out = self.counters.bytes_forwarded;
    }

    /// Hands out what is written already, as [`poll_transmit`](Self::poll_transmit) does, and lets what is on its way wait for the rest of a picture.
    pub fn poll_written(&mut self, mut send: impl FnMut(Batch<'_>)) {
        let mut queue = std::mem::take(&mut self.queue);
        for index in queue.drain(..) {
            self.hand_out(index, &mut send);
        }
        self.queue = queue;
        self.leaving.send(&mut send);
    }

    fn hand_out(&mut self, index: usize, send: &mut impl FnMut(Batch<'_>)) {
        let Some(participant) = self.participants.get_mut(index).filter(|participant| participant.queued)
        else {
            return;
        };
        participant.queued = false;
        let outbox = std::mem::take(&mut participant.downlink.outbox);
        match participant.transport.as_ref().and_then(Transport::destination) {
            Some(to) => {
                if self.leaving.put(to, outbox) {
                    self.leaving.send(send);
                }
            }
            None => self.leaving.take_back(outbox),
        }
    }

    /// How much forwarded media waits for [`poll_transmit`](Self::poll_transmit), in bytes.
    pub fn waiting_bytes(&self) -> u64 {
        self.counters.bytes_forwarded - self.handed_out
    }

    /// Until when what is to be sent should wait for the rest of a picture, which is on its way; `None` when it is to be sent now, which is to be
    /// asked again whenever something came. A picture is never later for it: its last packet waits for nothing. Who sends a picture's packets
    /// apart is not waited for.
    pub fn waits(&mut self, now: Instant) -> Option<Instant> {
        let mut waits = None;
        for at in 0..self.burst.sections().len() {
            let sections = self.burst.sections();
            let section = sections[at];
            if sections[at + 1..].iter().any(|later| later.source == section.source) {
                // That one knows how far the picture has come.
                continue;
            }
            let until = section.waits_until()?;
            let publication = self.publication_at(section.source.0, section.source.1)?;
            if publication.info.codec.kind() == Kind::Audio
                || publication.comes_apart.is_some_and(|until| until > now)
            {
                return None;
            }
            if until <= now {
                publication.comes_apart = Some(now + COMES_APART);
                return None;
            }
            waits = waits.into_iter().chain([until]).min();
        }
        waits
    }

    /// Next thing the embedder should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The totals.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Counts datagrams that were sent, and the sends that they took.
    pub fn count_sent(&mut self, datagrams: u64, sends: u64) {
        self.counters.datagrams_sent += datagrams;
        self.counters.sends += sends;
    }

    /// Counts datagrams that could not be sent.
    pub fn count_unsent(&mut self, datagrams: u64) {
        self.counters.datagrams_unsent += datagrams;
    }

    /// Closes every transport in good order; the goodbyes are in [`poll_transmit`](Self::poll_transmit).
    pub fn close(&mut self, now: Instant) {
        for index in self.participants.indices() {
            let id = self.participants[index].id;
            self.leave(now, id);
        }
    }

    fn join(&mut self, room: RoomId, id: ParticipantId, number: Option<u64>) {
        if self.by_id.contains_key(&id) {
            return;
        }
        let room = self.room(room);
        let ssrc = Ssrc(self.rng.random());
        // RFC 9429 section 5.2.1: a 64-bit number with the highest bit zero.
        let session_id = self.rng.random::<u64>() >> 1;
        let mut participant = Participant::new(id, room, ssrc, session_id);
        let last = self.rooms[room].members.last();
        let next = || last.map_or(0, |&last| self.participants[last].number + 1);
        participant.number = number.unwrap_or_else(next);
        self.admit(participant);
    }

    /// Gives somebody their place among the members of their room.
    fn admit(&mut self, participant: Participant<T>) -> usize {
        let (id, room, number) = (participant.id, participant.room, participant.number);
        self.counters.participants += u64::from(participant.mirror_of.is_none());
        let index = self.participants.insert(participant);
        self.by_id.insert(id, index);
        let members = &mut self.rooms[room].members;
        let at = members.partition_point(|&member| self.participants[member].number <= number);
        members.insert(at, index);
        index
    }

    fn leave(&mut self, now: Instant, id: ParticipantId) {
        let Some(index) = self.by_id.remove(&id) else { return };
        self.current = Some(index);
        let published = self.unpublish(now, index, |_| true);
        for at in 0..self.participants[index].slots.len() {
            self.empty_slot(now, index, at);
        }
        let Some(mut participant) = self.participants.remove(index) else { return };
        self.counters.participants -= u64::from(participant.mirror_of.is_none());
        self.current = None;
        self.timers.disarm(index);
        if let Some(mut transport) = participant.transport.take() {
            transport.close(now);
            while let Some(datagram) = transport.poll_transmit(now) {
                self.control.push_back(datagram);
            }
        }
        for address in participant.addresses {
            self.by_address.remove(&address);
        }
        for ufrag in participant.ice.map(|ice| ice.ufrag).into_iter().chain(participant.former_ufrag) {
            self.by_ufrag.remove(ufrag.as_bytes());
        }
        let room = participant.room;
        self.rooms[room].members.retain(|&member| member != index);
        if participant.mirror_of.is_none() && participant.next_publication > 0 {
            self.cross(room, || Crossing::Left(id));
        }
        if published {
            self.reconcile_room(now, room);
            let id = self.rooms[room].id;
            if participant.mirror_of.is_none() {
                self.cross(room, || Crossing::Settled(id));
            }
        }
        self.forget_idle_room(room);
    }

    fn room(&mut self, id: RoomId) -> usize {
        if let Some(&index) = self.by_room.get(&id) {
            return index;
        }
        let index = self.rooms.insert(Room::new(id));
        self.by_room.insert(id, index);
        index
    }

    fn forget_idle_room(&mut self, index: usize) {
        if self.rooms[index].is_idle()
            && let Some(room) = self.rooms.remove(index)
        {
            self.by_room.remove(&room.id);
            self.room_timers.disarm(index);
        }
    }

    fn set_sink(&mut self, now: Instant, room: RoomId, sink: Option<Box<dyn Sink>>) {
        let index = self.room(room);
        let room = &mut self.rooms[index];
        room.sink = sink;
        for member in room.members.clone() {
            for publication in &self.participants[member].publications {
                room.tell(SinkEvent::Published { now, publication: publication.info.clone() });
            }
        }
        self.forget_idle_room(index);
    }

    fn send_data(&mut self, now: Instant, id: ParticipantId, channel: ChannelId, data: &Data) {
        let Some(&index) = self.by_id.get(&id) else { return };
        self.current = Some(index);
        let transport = self.participants[index].transport.as_mut();
        let sent = transport.ok_or(SendDataError::Closed);
        match sent.and_then(|transport| transport.send_data(now, channel, data)) {
            Ok(()) => self.counters.messages_sent += 1,
            Err(reason) => {
                self.counters.messages_dropped += 1;
                self.events.push_back(Event::DataDropped { participant: id, channel, reason });
            }
        }
        self.after_transport(now, index);
        self.arm(index);
    }

    fn request_keyframe(&mut self, now: Instant, publication: PublicationId, encoding: u8) {
        let Some(&index) = self.by_id.get(&publication.participant) else { return };
        let participant = &mut self.participants[index];
        let Some(at) = participant.publication(publication) else { return };
        let home = participant.mirror_of;
        let Some(encoding) = participant.publications[at].encoding_mut(encoding) else { return };
        let is_new = match home {
            Some(_) => encoding.keyframes.relay(now),
            None => encoding.keyframes.request(now),
        };
        // From another shard only a new wish comes here: one that is not new must change no turn, and a new one none but its own.
        let turn = encoding.asks_at().filter(|_| is_new);
        match home {
            Some(home) => {
                self.handle_mirror_timeout(now, index, home);
                self.arm(index);
            }
            None => self.timers.arm(index, turn),
        }
    }

    fn publication_mut(&mut self, publisher: usize, id: PublicationId) -> Option<&mut PublicationState> {
        let owner = self.participants.get_mut(publisher)?;
        let at = owner.publication(id)?;
        owner.publications.get_mut(at)
    }

    fn bind_address(&mut self, index: usize, from: SocketAddr) {
        if self.by_address.insert(from, index) == Some(index) {
            return;
        }
        let addresses = &mut self.participants[index].addresses;
        addresses.push_back(from);
        if addresses.len() > MAX_ADDRESSES
            && let Some(oldest) = addresses.pop_front()
            && self.by_address.get(&oldest) == Some(&index)
        {
            self.by_address.remove(&oldest);
        }
    }

    /// Collects what a transport has to send and to tell.
    fn after_transport(&mut self, now: Instant, index: usize) {
        let Some(participant) = self.participants.get_mut(index) else { return };
        let id = participant.id;
        let Some(transport) = &mut participant.transport else { return };
        self.counters.data_refused += transport.take_data_refused();
        let mut connected = false;
        while let Some(event) = transport.poll_event() {
            self.events.push_back(match event {
                TransportEvent::Connected => {
                    connected = true;
                    Event::Connected { participant: id, now }
                }
                TransportEvent::Closed(reason) => Event::Disconnected { participant: id, reason },
                TransportEvent::ChannelOpened { channel, label } => {
                    Event::ChannelOpened { participant: id, channel, label }
                }
                TransportEvent::ChannelClosed(channel) => Event::ChannelClosed { participant: id, channel },
                TransportEvent::BufferedHigh(channel) => Event::BufferedHigh { participant: id, channel },
                TransportEvent::BufferedLow(channel) => Event::BufferedLow { participant: id, channel },
                TransportEvent::Data { channel, data } => {
                    self.counters.messages_received += 1;
                    Event::Data { participant: id, channel, data }
                }
            });
        }
        while let Some(datagram) = transport.poll_transmit(now) {
            self.control.push_back(datagram);
        }
        if connected && let Some(participant) = self.participants.get_mut(index) {
            participant.connected(now);
        }
    }

    fn enqueue(&mut self, index: usize) {
        let Some(participant) = self.participants.get_mut(index) else { return };
        if !participant.queued && !participant.downlink.outbox.is_empty() {
            participant.queued = true;
            self.queue.push(index);
        }
    }

    #[inline]
    fn arm(&mut self, index: usize) {
        if let Some(participant) = self.participants.get(index) {
            self.timers.arm(index, participant.poll_timeout());
        }
    }

    /// After a turn the next one is later than now: a timer that cannot do its work yet must not spin.
    fn arm_after(&mut self, index: usize, now: Instant) {
        if let Some(participant) = self.participants.get(index) {
            let at = participant.poll_timeout().map(|at| at.max(now + MIN_TURN));
            self.timers.arm(index, at);
        }
    }
}

/// Addresses that one participant may be bound to at once; the one bound first goes.
const MAX_ADDRESSES: usize = 16;
/// The finest grain of timers.
const MIN_TURN: Duration = Duration::from_millis(1);
/// For so long the packets of whoever sends those of a picture apart leave as they come.
const COMES_APART: Duration = Duration::from_secs(1);
