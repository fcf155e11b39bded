//! A room on several shards.
//!
//! Whoever publishes has a *mirror* in every other shard that has the room: a participant without a connection, whose publications take the
//! same packets, opened and parsed at home, and are forwarded from there as if they were its own. What a mirror's viewers need of the
//! publisher (a key frame, an encoding) goes back home, which alone talks to the publisher. All of it crosses in order.

use std::time::Instant;

use crate::egress::SourcePacket;
use crate::id::{Mid, ParticipantId, PublicationId, RoomId, ShardIndex, Ssrc};
use crate::ingress::LineQuality;
use crate::sdp::{Extensions, PayloadFormat};
use crate::shard::Shard;
use crate::shard::participant::Participant;
use crate::shard::publication::{PublicationState, Received};
use crate::shard::saving::Saving;
use crate::sink::{Publication, SinkEvent};
use crate::transport::Transport;

/// Where a room is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spread {
    pub(crate) room: RoomId,
    /// A bit for each shard.
    pub(crate) shards: u64,
    /// The one that tells who speaks, and has the sink.
    pub(crate) first: ShardIndex,
}

/// What one shard tells another of a room that both have.
pub(crate) enum Crossing {
    /// A publication exists, or was agreed on anew.
    Published(Box<Published>),
    /// It ended.
    Unpublished(PublicationId),
    /// Which m-lines of a participant carry a screen.
    Screens(ParticipantId, Vec<Mid>),
    /// All that changed in a room has been told: who gets what is to be worked out.
    Settled(RoomId),
    /// A participant who has published is gone.
    Left(ParticipantId),
    /// An RTP packet.
    Packet(Packet),
    /// A publisher's clock.
    SenderReport { publication: PublicationId, encoding: u8, at: Instant, ntp: u64, rtp_time: u32 },
    /// How a publisher's line is.
    Line(ParticipantId, LineQuality),
    /// What a publisher was told to send.
    Saving(PublicationId, Saving),
    /// Time to look again at what a publisher sends.
    Tick(ParticipantId),
    /// Back home: which encodings are needed there, a bit for each.
    Needed { publication: PublicationId, by: ShardIndex, encodings: u64 },
    /// Back home: a key frame is wanted.
    Keyframe(PublicationId, u8),
}

/// A publication as its mirrors are made.
#[derive(Clone)]
pub(crate) struct Published {
    room: RoomId,
    first: ShardIndex,
    home: ShardIndex,
    /// The publisher's place in the order of joining.
    number: u64,
    info: Publication,
    format: PayloadFormat,
    extensions: Extensions,
    is_screen: bool,
}

/// A packet as it was opened at home. Its payload is shared.
#[derive(Clone)]
pub(crate) struct Packet {
    publication: PublicationId,
    encoding: u8,
    arrival: Instant,
    redundant: bool,
    received: Received,
}

impl Crossing {
    /// Whether it is media.
    pub(crate) fn is_packet(&self) -> bool {
        matches!(self, Self::Packet(_))
    }

    /// Whether it comes of a command, and changes who is sent what.
    fn is_command(&self) -> bool {
        matches!(
            self,
            Self::Published(_) | Self::Unpublished(_) | Self::Screens(..) | Self::Settled(_) | Self::Left(_)
        )
    }

    /// Whether it may be lost: then a packet is missing, or what is said again before long.
    pub(crate) fn may_be_lost(&self) -> bool {
        matches!(
            self,
            Self::Packet(_) | Self::SenderReport { .. } | Self::Line(..) | Self::Tick(_) | Self::Keyframe(..)
        )
    }
}

impl Packet {
    pub(super) fn new(
        publication: PublicationId,
        encoding: u8,
        arrival: Instant,
        redundant: bool,
        received: Received,
    ) -> Self {
        Self { publication, encoding, arrival, redundant, received }
    }

    /// One that has been kept, as it came.
    fn kept(publication: PublicationId, packet: SourcePacket) -> Self {
        let SourcePacket {
            encoding,
            sequence,
            timestamp,
            marker,
            arrival,
            audio_level,
            descriptor,
            payload,
            ..
        } = packet;
        let sequence = sequence as u16;
        let received =
            Received { sequence, timestamp, marker, audio_level, descriptor, payload, repaired: false };
        Self { publication, encoding, arrival, redundant: false, received }
    }
}

impl<T: Transport> Shard<T> {
    /// A participant enters a room that may be on several shards; `number` is their place in the order of joining.
    pub(crate) fn join_spread(&mut self, now: Instant, spread: Spread, id: ParticipantId, number: u64) {
        self.settle(now);
        self.current = None;
        self.join(spread.room, id, Some(number));
        self.spread(now, spread);
    }

    /// A room is on more shards than before: those that are new are told who publishes, and what viewers begin with.
    pub(crate) fn spread(&mut self, now: Instant, spread: Spread) {
        self.settle(now);
        let Some(&room) = self.by_room.get(&spread.room) else { return };
        let state = &mut self.rooms[room];
        let others = spread.shards & !(1 << self.index.index());
        let new = others & !state.peers;
        state.peers |= others;
        state.first = Some(spread.first);
        if new == 0 {
            return;
        }
        let (mut without, mut kept_to_tell) = (Vec::new(), KEPT_TO_TELL);
        for member in self.rooms[room].members.clone() {
            let participant = &self.participants[member];
            if participant.mirror_of.is_some() || participant.published_ever() == 0 {
                continue;
            }
            for at in 0..participant.publications.len() {
                let participant = &self.participants[member];
                let publication = &participant.publications[at];
                let (id, line) = (participant.id, participant.line);
                let (published, saving) = (self.announcement(member, at), publication.saving.clone());
                let publication_id = publication.id();
                let mut kept = Vec::new();
                let sent = (0..).zip(&publication.encodings).filter(|(_, encoding)| encoding.ssrc.is_some());
                for (at, encoding) in sent {
                    match encoding.since_keyframe(now, false, None).filter(|run| run.len() <= kept_to_tell) {
                        Some(run) => {
                            kept_to_tell -= run.len();
                            kept.extend(run);
                        }
                        None => without.push((publication_id, at)),
                    }
                }
                self.cross_to(new, || Crossing::Published(Box::new(published.clone())));
                self.cross_to(new, || Crossing::Saving(publication_id, saving.clone()));
                self.cross_to(new, || Crossing::Line(id, line));
                for packet in kept {
                    let packet = Packet::kept(publication_id, packet);
                    self.cross_to(new, || Crossing::Packet(packet.clone()));
                }
            }
        }
        self.cross_to(new, || Crossing::Settled(spread.room));
        for (publication, encoding) in without {
            self.request_keyframe(now, publication, encoding);
        }
    }

    /// Next thing to be told to another shard.
    pub(crate) fn poll_crossing(&mut self) -> Option<(ShardIndex, Crossing)> {
        self.crossings.pop_front()
    }

    /// Takes what another shard tells.
    pub(crate) fn handle_crossing(&mut self, now: Instant, crossing: Crossing) {
        if crossing.is_command() {
            self.settle(now);
        }
        self.current = None;
        match crossing {
            Crossing::Published(published) => self.mirror_publication(now, *published),
            Crossing::Unpublished(publication) => {
                if let Some(index) = self.mirror(publication.participant) {
                    self.unpublish(now, index, |state| state.id() == publication);
                }
            }
            Crossing::Screens(participant, mids) => {
                if self.mirror(participant).is_some() {
                    self.set_screens(now, participant, mids);
                }
            }
            Crossing::Settled(room) => {
                if let Some(&room) = self.by_room.get(&room) {
                    self.reconcile_room(now, room);
                }
            }
            Crossing::Left(participant) => {
                if self.mirror(participant).is_some() {
                    self.leave(now, participant);
                }
            }
            Crossing::Packet(packet) => self.mirror_packet(now, packet),
            Crossing::SenderReport { publication, encoding, at, ntp, rtp_time } => {
                if let Some(index) = self.mirror(publication.participant)
                    && let Some(of) = self.participants[index].publication(publication)
                {
                    self.take_sender_report(at, index, (of, encoding), ntp, rtp_time);
                }
            }
            Crossing::Line(participant, line) => {
                if let Some(index) = self.mirror(participant) {
                    self.participants[index].line = line;
                }
            }
            Crossing::Saving(publication, saving) => {
                if let Some(index) = self.mirror(publication.participant)
                    && let Some(state) = self.publication_mut(index, publication)
                {
                    state.saving = saving;
                }
            }
            Crossing::Tick(participant) => {
                if let Some(index) = self.mirror(participant) {
                    self.look_again(now, index);
                }
            }
            Crossing::Needed { publication, by, encodings } => {
                let Some(&index) = self.by_id.get(&publication.participant) else { return };
                let Some(at) = self.participants[index].publication(publication) else { return };
                let needed = &mut self.participants[index].publications[at].needed_elsewhere;
                needed.retain(|(shard, _)| *shard != by);
                needed.push((by, encodings));
                self.review_saving(now, index, at);
            }
            Crossing::Keyframe(publication, encoding) => self.request_keyframe(now, publication, encoding),
        }
    }

    /// Tells all other shards of a room.
    pub(super) fn cross(&mut self, room: usize, crossing: impl Fn() -> Crossing) {
        self.cross_to(self.rooms[room].peers, crossing);
    }

    fn cross_to(&mut self, mut shards: u64, crossing: impl Fn() -> Crossing) {
        while shards != 0 {
            let shard = ShardIndex::new(shards.trailing_zeros() as usize);
            self.crossings.extend(shard.map(|shard| (shard, crossing())));
            shards &= shards - 1;
        }
    }

    /// What mirrors of a publication are made by.
    pub(super) fn announcement(&self, index: usize, at: usize) -> Published {
        let participant = &self.participants[index];
        let room = &self.rooms[participant.room];
        let publication = &participant.publications[at];
        Published {
            room: room.id,
            first: room.first.unwrap_or(self.index),
            home: self.index,
            number: participant.number,
            info: publication.info.clone(),
            format: publication.format.clone(),
            extensions: publication.extensions,
            is_screen: room.screens.contains(&publication.id()),
        }
    }

    /// The mirror of somebody, if there is one.
    fn mirror(&self, id: ParticipantId) -> Option<usize> {
        let &index = self.by_id.get(&id)?;
        self.participants[index].mirror_of.map(|_| index)
    }

    fn mirror_publication(&mut self, now: Instant, published: Published) {
        let Published { room, first, home, number, info, format, extensions, is_screen } = published;
        let id = info.id.participant;
        let index = match self.by_id.get(&id) {
            Some(&index) => index,
            None => {
                let room = self.room(room);
                self.rooms[room].first.get_or_insert(first);
                let mut mirror = Participant::new(id, room, Ssrc(0), 0);
                (mirror.mirror_of, mirror.number) = (Some(home), number);
                self.admit(mirror)
            }
        };
        if self.participants[index].mirror_of != Some(home) {
            return;
        }
        if let Some(known) = self.publication_mut(index, info.id) {
            (known.extensions, known.format) = (extensions, format);
            return;
        }
        let publication = PublicationState::known(info.clone(), format, extensions, &self.config.limits);
        let participant = &mut self.participants[index];
        participant.next_publication = info.id.index.saturating_add(1);
        participant.publications.push(publication);
        let room = &mut self.rooms[participant.room];
        room.screens.extend(is_screen.then_some(info.id));
        room.tell(SinkEvent::Published { now, publication: info });
    }

    fn mirror_packet(&mut self, now: Instant, packet: Packet) {
        let Packet { publication, encoding, arrival, redundant, received } = packet;
        let Some(index) = self.mirror(publication.participant) else { return };
        self.current = Some(index);
        let Some(at) = self.participants[index].publication(publication) else { return };
        let state = &mut self.participants[index].publications[at];
        let taken = match redundant {
            true => state.take_redundant(arrival, encoding, received),
            false => state.take(arrival, encoding, received),
        };
        if let Some(taken) = taken {
            self.handle_taken(now, index, at, taken);
        }
        self.arm(index);
    }

    /// A publisher's turn came: mirrors have theirs.
    pub(super) fn cross_tick(&mut self, index: usize) {
        let participant = &self.participants[index];
        if participant.publications.is_empty() {
            return;
        }
        let (id, room) = (participant.id, participant.room);
        self.cross_line(index);
        self.cross(room, || Crossing::Tick(id));
    }

    /// What is known of a publisher's line has changed: by it mirrors' viewers hold pictures back.
    pub(super) fn cross_line(&mut self, index: usize) {
        let participant = &self.participants[index];
        let (id, room, line) = (participant.id, participant.room, participant.line);
        self.cross(room, || Crossing::Line(id, line));
    }

    /// A mirror's timer: what its viewers wait for is asked of its home.
    pub(super) fn handle_mirror_timeout(&mut self, now: Instant, index: usize, home: ShardIndex) {
        let publications = &mut self.participants[index].publications;
        for publication in publications {
            let id = publication.id();
            for (encoding, state) in (0..).zip(&mut publication.encodings) {
                if state.keyframes.poll(now) {
                    self.crossings.push_back((home, Crossing::Keyframe(id, encoding)));
                }
            }
        }
    }
}

/// Kept packets that one more shard of a room is told, at most: what goes on to be told must find room beside them.
const KEPT_TO_TELL: usize = 512;
