//! A panic takes down the participant it happened to, and nobody else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::message::{DisconnectReason, Event};
use crate::shard::Shard;
use crate::transport::Transport;

impl<T: Transport> Shard<T> {
    /// Makes one `handle_*` call. Should it panic, the participant it was about is removed and told of as
    /// [`DisconnectReason::Fault`]; all others go on. What the call returned, if it did.
    pub fn guarded<R>(&mut self, now: Instant, call: impl FnOnce(&mut Self, Instant) -> R) -> Option<R> {
        let result = catch_unwind(AssertUnwindSafe(|| call(self, now)));
        if result.is_err() {
            tracing::error!("handling a participant panicked: the participant is removed");
            self.recover(now);
        }
        result.ok()
    }

    /// Brings the shard back into order after a panic: the participant it was about is gone without ceremony, and who gets what is worked
    /// out anew from the slots.
    fn recover(&mut self, now: Instant) {
        let Some(index) = self.current.take() else { return };
        let Some(participant) = self.participants.get_mut(index) else { return };
        // What others have on its way is passed on later, where a panic is caught again.
        let burst = self.burst.take();
        let (id, room) = (participant.id, participant.room);
        // It may have panicked while it left.
        self.by_id.insert(id, index);
        // Its state cannot be trusted with a goodbye.
        participant.transport = None;
        // A mirror is nobody that the embedder knows of: their own shard goes on.
        if participant.mirror_of.is_none() {
            self.events.push_back(Event::Disconnected { participant: id, reason: DisconnectReason::Fault });
        }
        self.leave(now, id);
        if self.rooms.get(room).is_some() {
            self.rebuild_subscriptions(room);
        }
        self.burst = burst;
    }

    fn rebuild_subscriptions(&mut self, room: usize) {
        let members = self.rooms[room].members.clone();
        for &member in &members {
            for publication in &mut self.participants[member].publications {
                publication.subscribers.clear();
                publication.encodings.iter_mut().for_each(|encoding| encoding.keyframes.set_begins(false));
            }
        }
        for &member in &members {
            for at in 0..self.participants[member].slots.len() {
                let Some(source) = self.participants[member].slots[at].source else { continue };
                if let Some(publication) = self.publication_mut(source.participant, source.publication) {
                    publication.subscribers.push((member, at));
                }
            }
        }
    }
}
