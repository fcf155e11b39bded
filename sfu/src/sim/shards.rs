//! Several shards as one core: what the driver does for them, with its own tables.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::BytesMut;

use crate::driver::placement::{Addressee, Handled, Placement};
use crate::driver::routes::Routes;
use crate::id::{ParticipantId, RoomId, ShardIndex};
use crate::message::Command;
use crate::shard::Shard;
use crate::shard::mirror::Crossing;
use crate::sim::{PlainTransport, World};
use crate::transport::Transport;

/// Which shard has whom.
pub(super) struct Map {
    placement: Placement,
    /// Of each shard's worker.
    routes: Vec<Routes>,
    rooms: BTreeMap<ParticipantId, RoomId>,
}

impl Map {
    pub(super) fn new(shards: usize, members_together: usize) -> Self {
        let routes = (0..shards).filter_map(ShardIndex::new).map(|own| Routes::new(own, shards)).collect();
        Self { placement: Placement::new(shards, members_together), routes, rooms: BTreeMap::new() }
    }

    pub(super) fn shards(&self) -> usize {
        self.routes.len()
    }

    /// Where somebody is, or was.
    pub(super) fn room_of(&self, participant: ParticipantId) -> Option<RoomId> {
        self.rooms.get(&participant).copied()
    }

    fn shard_of(&self, participant: ParticipantId) -> Option<usize> {
        match self.placement.worker_with(participant) {
            Addressee::Worker(worker) => Some(worker),
            Addressee::All | Addressee::Nobody => None,
        }
    }
}

impl World {
    /// All shards, the first one first.
    pub fn shards(&self) -> impl Iterator<Item = &Shard<PlainTransport>> {
        std::iter::once(&self.shard).chain(&self.others)
    }

    /// As [`shards`](Self::shards).
    pub fn shards_mut(&mut self) -> impl Iterator<Item = &mut Shard<PlainTransport>> {
        std::iter::once(&mut self.shard).chain(&mut self.others)
    }

    /// Has a command handled by the shard that it is for.
    pub fn command(&mut self, command: Command) {
        let now = self.now;
        if let Command::Join { room, participant } = command {
            self.map.rooms.entry(participant).or_insert(room);
            let Some(entry) = self.map.placement.admit(room, participant, |_| 0) else { return };
            for (number, shard) in self.shards_mut().enumerate() {
                if number == entry.worker {
                    shard.join_spread(now, entry.spread, participant, entry.number);
                } else {
                    shard.spread(now, entry.spread);
                }
            }
            return self.carry();
        }
        let Addressee::Worker(worker) = self.map.placement.place(&command, |_| 0) else { return };
        let handled = Handled::by(&command);
        if let Some(shard) = self.shards_mut().nth(worker) {
            shard.handle_message(now, command);
        }
        if let Some(handled) = handled {
            self.map.placement.handled(handled);
        }
        self.carry();
    }

    /// A datagram lands, on a wrong shard if there is one, and is handed to the right one.
    pub(super) fn hear(&mut self, from: SocketAddr, datagram: BytesMut) {
        let now = self.now;
        let sender =
            self.clients.iter().position(|client| client.as_ref().is_some_and(|at| at.address == from));
        let home =
            sender.and_then(|number| self.map.shard_of(super::participant(number))).unwrap_or_default();
        let landed = (home + 1) % self.map.routes.len();
        let routes = &self.map.routes[landed];
        let owner = match PlainTransport::addressed_ufrag(&datagram) {
            Some(ufrag) => routes.of_check(ufrag),
            None => routes.of_address(now, from),
        };
        let shard = self.shards_mut().nth(owner.index()).expect("routes lead to shards");
        if shard.handle_datagram(now, from, datagram) {
            self.map.routes[landed].learn(now, from, owner);
        }
        self.carry();
    }

    /// Takes what shards tell each other to where it goes.
    pub(super) fn carry(&mut self) {
        let now = self.now;
        while let Some((to, crossing)) = self.next_crossing() {
            if let Some(shard) = self.shards_mut().nth(to.index()) {
                shard.handle_crossing(now, crossing);
            }
        }
    }

    fn next_crossing(&mut self) -> Option<(ShardIndex, Crossing)> {
        self.shards_mut().find_map(Shard::poll_crossing)
    }
}
