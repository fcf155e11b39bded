//! A panic takes down the participant it happened to, and nobody else.

use std::time::Instant;

use crate::message::{DisconnectReason, Event};
use crate::shard::Shard;
use crate::transport::Transport;

impl<T: Transport> Shard<T> {
    /// Brings the shard back into order after a `handle_*` call panicked: the participant it was about is gone without ceremony, and who
    /// gets what is worked out anew from the slots.
    pub fn recover(&mut self, now: Instant) {
        let Some(index) = self.current.take() else { return };
        let Some(participant) = self.participants.get_mut(index) else { return };
        let (id, room) = (participant.id, participant.room);
        // Its state cannot be trusted with a goodbye.
        participant.transport = None;
        self.events.push_back(Event::Disconnected { participant: id, reason: DisconnectReason::Fault });
        self.leave(now, id);
        if self.rooms.get(room).is_some() {
            self.rebuild_subscriptions(room);
        }
    }

    fn rebuild_subscriptions(&mut self, room: usize) {
        let members = self.rooms[room].members.clone();
        for &member in &members {
            for publication in &mut self.participants[member].publications {
                publication.subscribers.clear();
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
