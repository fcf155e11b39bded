//! Which worker has which room.
//!
//! A room goes to the least loaded worker when it is first heard of, and stays there. It is forgotten when its worker has handled the last command
//! that it lives by: a room that ends and one of the same name that begins are never on two workers at once.

use std::collections::HashMap;

use crate::id::{ParticipantId, RoomId};
use crate::message::Command;

/// Where every room and every participant is. As large as what the embedder has joined and not left.
pub(crate) struct Placement {
    rooms: HashMap<RoomId, Place>,
    participants: HashMap<ParticipantId, RoomId>,
    /// Per worker, how many rooms and participants were given to it.
    given: Vec<u64>,
}

struct Place {
    worker: usize,
    members: usize,
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
    /// Nothing is placed yet on so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self { rooms: HashMap::new(), participants: HashMap::new(), given: vec![0; workers] }
    }

    /// Who handles a command that is about to be queued. `load` tells how many packets a second a worker forwards.
    pub(crate) fn place(&mut self, command: &Command, load: impl Fn(usize) -> u64) -> Addressee {
        match command {
            Command::Join { room, participant } => {
                if let Some(room) = self.participants.get(participant) {
                    return self.worker_of(*room);
                }
                self.participants.insert(*participant, *room);
                let place = Self::room(&mut self.rooms, &mut self.given, *room, load);
                place.members += 1;
                let worker = place.worker;
                self.given[worker] += 1;
                Addressee::Worker(worker)
            }
            Command::SetSink { room, sink } => {
                if sink.is_none() && !self.rooms.contains_key(room) {
                    return Addressee::Nobody;
                }
                let place = Self::room(&mut self.rooms, &mut self.given, *room, load);
                place.sinks_under_way += 1;
                Addressee::Worker(place.worker)
            }
            Command::RequestKeyframe { publication, .. } => self.worker_with(publication.participant),
            Command::Offer { participant, .. }
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
                let Some(room) = self.participants.remove(&participant) else { return };
                if let Some(place) = self.rooms.get_mut(&room) {
                    place.members -= 1;
                    self.given[place.worker] -= 1;
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
        self.participants.get(&participant).map_or(Addressee::Nobody, |room| self.worker_of(*room))
    }

    fn worker_of(&self, room: RoomId) -> Addressee {
        self.rooms.get(&room).map_or(Addressee::Nobody, |place| Addressee::Worker(place.worker))
    }

    fn room<'a>(
        rooms: &'a mut HashMap<RoomId, Place>,
        given: &mut [u64],
        id: RoomId,
        load: impl Fn(usize) -> u64,
    ) -> &'a mut Place {
        rooms.entry(id).or_insert_with(|| {
            let weight =
                |worker: usize| load(worker).saturating_add(given[worker].saturating_mul(PACKETS_EACH));
            let worker = (0..given.len()).min_by_key(|&worker| weight(worker)).unwrap_or_default();
            given[worker] += 1;
            Place { worker, members: 0, sinks_under_way: 0, sink: false }
        })
    }

    fn forget_idle(&mut self, room: RoomId) {
        let Some(place) = self.rooms.get(&room) else { return };
        if place.members == 0 && place.sinks_under_way == 0 && !place.sink {
            self.given[place.worker] -= 1;
            self.rooms.remove(&room);
        }
    }
}

/// Each room and each participant counts like so many packets a second, about a sound: rooms that are made all at once are spread before
/// anything flows in them.
const PACKETS_EACH: u64 = 50;

#[cfg(test)]
mod tests;
