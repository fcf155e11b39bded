//! Several shards as one core: what the driver does for them, with its own tables.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;

use crate::config::Limits;
use crate::counters::Counters;
use crate::driver::placement::{Addressee, Handled, Placement};
use crate::driver::routes::Routes;
use crate::id::ShardIndex;
use crate::message::{Command, Event};
use crate::shard::mirror::Crossing;
use crate::shard::{Batch, Shard, ShardConfig};
use crate::sim::{PlainContext, PlainTransport};
use crate::transport::Transport;

/// A core of one shard or several, with a shard's verbs. What shards tell each other arrives at once; where there are several, every datagram lands on a
/// wrong one first.
pub struct Shards {
    all: Vec<Shard<PlainTransport>>,
    placement: Placement,
    /// Of each shard's worker.
    routes: Vec<Routes>,
    /// Which of them hears a sender, as the system would decide.
    landings: HashMap<SocketAddr, usize>,
}

impl Shards {
    /// So many shards, each of which is to have so many members of a room before others get some.
    pub fn new(seed: u64, count: usize, members_together: usize) -> Self {
        let config =
            ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
        let indices = || (0..count).filter_map(ShardIndex::new);
        let shard = |index: ShardIndex| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            bytes[8] = index.index() as u8;
            Shard::new(config.clone(), PlainContext::default(), bytes).as_one_of_several(index)
        };
        Self {
            all: indices().map(shard).collect(),
            placement: Placement::new(count, members_together),
            routes: indices().map(|own| Routes::new(own, count)).collect(),
            landings: HashMap::new(),
        }
    }

    /// Has a command handled by the shards that it is for.
    pub fn handle_message(&mut self, now: Instant, command: Command) {
        if let Command::Join { room, participant } = command {
            let Some(entry) = self.placement.admit(room, participant, |_| 0) else { return };
            for (number, shard) in self.all.iter_mut().enumerate() {
                if number == entry.worker {
                    shard.join_spread(now, entry.spread, participant, entry.number);
                } else {
                    shard.spread(now, entry.spread);
                }
            }
            return self.carry(now);
        }
        let Addressee::Worker(worker) = self.placement.place(&command, |_| 0) else { return };
        let handled = Handled::by(&command);
        self.all[worker].handle_message(now, command);
        self.carry(now);
        if let Some(handled) = handled {
            self.placement.handled(handled);
        }
    }

    /// A datagram lands on a shard's worker, and is handed to whose it is.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: BytesMut) {
        let ufrag = PlainTransport::addressed_ufrag(&datagram);
        let named = ufrag.and_then(ShardIndex::of_ufrag).map_or(0, ShardIndex::index);
        let wrong = (named + 1) % self.all.len();
        let landed = *self.landings.entry(from).or_insert(wrong);
        let routes = &self.routes[landed];
        let owner = match ufrag {
            Some(ufrag) => routes.of_check(ufrag),
            None => routes.of_address(now, from),
        };
        if self.all[owner.index()].handle_datagram(now, from, datagram) {
            self.routes[landed].learn(now, from, owner);
        }
        self.carry(now);
    }

    /// As a shard's.
    pub fn handle_timeout(&mut self, now: Instant) {
        for shard in &mut self.all {
            if shard.poll_timeout().is_some_and(|at| at <= now) {
                shard.handle_timeout(now);
            }
        }
        self.carry(now);
    }

    /// As a shard's: the earliest of all.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.all.iter().filter_map(Shard::poll_timeout).min()
    }

    /// As a shard's.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.all.iter_mut().find_map(Shard::poll_event)
    }

    /// As a shard's.
    pub fn poll_transmit(&mut self, now: Instant, mut send: impl FnMut(Batch<'_>)) {
        for shard in &mut self.all {
            shard.poll_transmit(now, &mut send);
        }
        self.carry(now);
    }

    /// The totals of all.
    pub fn counters(&self) -> Counters {
        self.each().iter().fold(Counters::default(), |sum, counters| sum.and(counters))
    }

    /// Each shard's totals.
    pub fn each(&self) -> Vec<Counters> {
        self.all.iter().map(Shard::counters).collect()
    }

    /// Takes what shards tell each other to where it goes.
    fn carry(&mut self, now: Instant) {
        while let Some((to, crossing)) = self.next_crossing() {
            self.all[to.index()].handle_crossing(now, crossing);
        }
    }

    fn next_crossing(&mut self) -> Option<(ShardIndex, Crossing)> {
        self.all.iter_mut().find_map(Shard::poll_crossing)
    }
}
