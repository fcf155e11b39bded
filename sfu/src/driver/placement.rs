//! Which worker has whom.
//!
//! A room goes to the least loaded worker when it is first heard of, and all of it stays there while it is not larger than one worker is to have. Who comes
//! then goes to the least loaded of the others: the room is on both. It is forgotten when its workers have handled the last commands that it lives by.

use std::collections::{BTreeMap, HashMap};

use crate::id::{ParticipantId, RoomId, ShardIndex};
use crate::message::Command;
use crate::shard::mirror::Spread;

/// Where every room and every participant is. As large as what the embedder has joined and not left.
pub(crate) struct Placement {
    rooms: HashMap<RoomId, Place>,
    participants: HashMap<ParticipantId, (RoomId, usize)>,
    /// Per worker, how many rooms and participants were given to it.
    given: Vec<u64>,
    /// How many members of a room a worker is to have before others are given some.
    members_together: usize,
    joins: u64,
}

struct Place {
    /// Where it was made, and its sink is.
    first: usize,
    /// How many members each worker has that has, or had, any.
    members: BTreeMap<usize, usize>,
    /// Commands about its sink that were not handled yet.
    sinks_under_way: usize,
    sink: bool,
}

/// Who is to handle a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Addressee {
    /// This worker.
    Worker(usize),
    /// Each of them.
    All,
    /// Nobody: it is about someone who is not here.
    Nobody,
}

/// Where somebody who joins is taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    pub(crate) worker: usize,
    /// All workers with this room, to be told so before.
    pub(crate) spread: Spread,
    /// Their place in the order of joining.
    pub(crate) number: u64,
}

/// What a worker has handled that a room may end with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Handled {
    /// A participant is gone.
    Left(ParticipantId),
    /// A room's sink was set, or taken away.
    Sink(RoomId, bool),
}

impl Handled {
    /// What a room may end with once this command has been handled.
    pub(crate) fn by(command: &Command) -> Option<Self> {
        match command {
            Command::Leave { participant } => Some(Self::Left(*participant)),
            Command::SetSink { room, sink } => Some(Self::Sink(*room, sink.is_some())),
            _ => None,
        }
    }
}

impl Placement {
    /// Nothing is placed yet on so many workers, each of which is to have so many members of a room before others get some.
    pub(crate) fn new(workers: usize, members_together: usize) -> Self {
        Self {
            rooms: HashMap::new(),
            participants: HashMap::new(),
            given: vec![0; workers],
            members_together,
            joins: 0,
        }
    }

    /// Who takes somebody in; `None` for who is in already. `load` tells how many packets a second a worker forwards.
    pub(crate) fn admit(
        &mut self,
        room: RoomId,
        participant: ParticipantId,
        load: impl Fn(usize) -> u64,
    ) -> Option<Entry> {
        if self.participants.contains_key(&participant) {
            return None;
        }
        self.make_room(room, &load);
        let place = &self.rooms[&room];
        let has_space = |worker: usize| place.members_at(worker) < self.members_together;
        let weight = |worker: usize| self.weight(worker, &load);
        let worker = if has_space(place.first) {
            place.first
        } else if let Some(known) =
            place.members.keys().copied().filter(|&at| has_space(at)).min_by_key(|&at| weight(at))
        {
            known
        } else {
            // When all have as many as they are to have, the least loaded has one more.
            (0..self.given.len()).min_by_key(|&at| (!has_space(at), weight(at))).unwrap_or(place.first)
        };
        let place = self.rooms.get_mut(&room)?;
        *place.members.entry(worker).or_default() += 1;
        self.given[worker] += 1;
        self.joins += 1;
        self.participants.insert(participant, (room, worker));
        let shards = place.members.keys().fold(1 << place.first, |all: u64, &worker| all | 1 << worker);
        let spread = Spread { room, shards, first: ShardIndex::new(place.first)? };
        Some(Entry { worker, spread, number: self.joins })
    }

    /// Who handles a command that is about to be queued and is no [`Command::Join`].
    pub(crate) fn place(&mut self, command: &Command, load: impl Fn(usize) -> u64) -> Addressee {
        match command {
            Command::SetSink { room, sink } => {
                if sink.is_none() && !self.rooms.contains_key(room) {
                    return Addressee::Nobody;
                }
                self.make_room(*room, &load);
                let Some(place) = self.rooms.get_mut(room) else { return Addressee::Nobody };
                place.sinks_under_way += 1;
                Addressee::Worker(place.first)
            }
            Command::RequestKeyframe { publication, .. } => self.worker_with(publication.participant),
            Command::Join { participant, .. }
            | Command::Offer { participant, .. }
            | Command::RestartIce { participant, .. }
            | Command::SetScreens { participant, .. }
            | Command::SetView { participant, .. }
            | Command::SendData { participant, .. }
            | Command::Leave { participant } => self.worker_with(*participant),
            Command::Report { .. } => Addressee::All,
        }
    }

    /// A command that was placed could not be queued.
    pub(crate) fn take_back(&mut self, command: &Command) {
        match command {
            Command::Join { participant, .. } => self.handled(Handled::Left(*participant)),
            Command::SetSink { room, .. } => {
                if let Some(place) = self.rooms.get_mut(room) {
                    place.sinks_under_way -= 1;
                }
                self.forget_idle(*room);
            }
            _ => {}
        }
    }

    /// A worker has handled something that a room may end with.
    pub(crate) fn handled(&mut self, what: Handled) {
        match what {
            Handled::Left(participant) => {
                let Some((room, worker)) = self.participants.remove(&participant) else { return };
                self.given[worker] -= 1;
                if let Some(members) = self.rooms.get_mut(&room).and_then(|at| at.members.get_mut(&worker)) {
                    *members -= 1;
                }
                self.forget_idle(room);
            }
            Handled::Sink(room, is_set) => {
                if let Some(place) = self.rooms.get_mut(&room) {
                    place.sinks_under_way -= 1;
                    place.sink = is_set;
                }
                self.forget_idle(room);
            }
        }
    }

    /// Who has a participant.
    pub(crate) fn worker_with(&self, participant: ParticipantId) -> Addressee {
        let place = self.participants.get(&participant);
        place.map_or(Addressee::Nobody, |&(_, worker)| Addressee::Worker(worker))
    }

    fn weight(&self, worker: usize, load: impl Fn(usize) -> u64) -> u64 {
        load(worker).saturating_add(self.given[worker].saturating_mul(PACKETS_EACH))
    }

    fn make_room(&mut self, id: RoomId, load: impl Fn(usize) -> u64) {
        if self.rooms.contains_key(&id) {
            return;
        }
        let first = (0..self.given.len()).min_by_key(|&at| self.weight(at, &load)).unwrap_or_default();
        self.given[first] += 1;
        self.rooms.insert(id, Place { first, members: BTreeMap::new(), sinks_under_way: 0, sink: false });
    }

    fn forget_idle(&mut self, room: RoomId) {
        let Some(place) = self.rooms.get(&room) else { return };
        if place.members.values().all(|&members| members == 0) && place.sinks_under_way == 0 && !place.sink {
            self.given[place.first] -= 1;
            self.rooms.remove(&room);
        }
    }
}

impl Place {
    fn members_at(&self, worker: usize) -> usize {
        self.members.get(&worker).copied().unwrap_or_default()
    }
}

/// Each room and each participant counts like so many packets a second, about a sound: rooms that are made all at once are spread before
/// anything flows in them.
const PACKETS_EACH: u64 = 50;

#[cfg(test)]
mod tests;
