//! Who speaks, and whose sound has a slot where there are fewer slots than sounds.
//!
//! A slot changes hands only for somebody who makes a sound and has none: then it is the one of who is silent for longest. Who began to
//! speak is heard for two seconds at least, and as long as they speak.

use std::time::Instant;

use crate::audio::{Heard, Silence, Speaker};
use crate::codec::Kind;
use crate::id::PublicationId;
use crate::message::Event;
use crate::rtp::AudioLevel;
use crate::shard::Shard;
use crate::shard::assignment::Wish;
use crate::shard::viewing::MAX_AUDIO_SLOTS;
use crate::transport::Transport;
use crate::view::AudioWish;

impl<T: Transport> Shard<T> {
    /// A packet said how loud its sound is. Who just begins is given a slot before the packet is passed on.
    #[inline]
    pub(super) fn hear(&mut self, now: Instant, index: usize, at: usize, level: AudioLevel) {
        let participant = &self.participants[index];
        let (room, sound) = (participant.room, participant.publications[at].id());
        let speakers = &mut self.rooms[room].speakers;
        let heard = speakers.on_level(now, sound, level.level);
        self.room_timers.arm(room, speakers.poll_timeout());
        if heard == Heard::Onset {
            self.give_slots(now, room, &[sound]);
            self.current = Some(index);
        }
    }

    /// A sound is gone.
    pub(super) fn unhear(&mut self, now: Instant, room: usize, sound: PublicationId) {
        let speakers = &mut self.rooms[room].speakers;
        speakers.forget(now, sound);
        self.room_timers.arm(room, speakers.poll_timeout());
    }

    /// Tells who speaks, if that changed, and gives those a slot who had to wait for one.
    pub(super) fn review_speakers(&mut self, now: Instant, room: usize) {
        let Some(state) = self.rooms.get_mut(room) else { return };
        let speakers = state.speakers.poll(now).map(<[Speaker]>::to_vec);
        self.room_timers.arm(room, state.speakers.poll_timeout());
        let sounding: Vec<PublicationId> = state.speakers.sounding(now).collect();
        self.give_slots(now, room, &sounding);
        if let Some(speakers) = speakers {
            if self.rooms[room].first.is_some_and(|first| first != self.index) {
                return self.follow_speakers(now, room);
            }
            self.events.push_back(Event::Speakers { room: self.rooms[room].id, speakers });
            self.follow_speakers(now, room);
        }
    }

    /// Sees to it that everybody in the room who hears all hears these, where there is a slot to be had.
    fn give_slots(&mut self, now: Instant, room: usize, sounds: &[PublicationId]) {
        if sounds.is_empty() {
            return;
        }
        for at in 0..self.rooms[room].members.len() {
            let index = self.rooms[room].members[at];
            let participant = &self.participants[index];
            let lacks = |&sound: &PublicationId| {
                sound.participant != participant.id
                    && !participant.slots.iter().any(|slot| slot.publication() == Some(sound))
            };
            let has_slots = participant.slots.iter().any(|slot| slot.kind == Kind::Audio);
            if has_slots && participant.view.audio == AudioWish::All && sounds.iter().any(lacks) {
                self.current = Some(index);
                self.refill_sounds(now, index);
            }
        }
    }

    fn refill_sounds(&mut self, now: Instant, index: usize) {
        let mut wishes = self.audio_wishes(now, index);
        self.prefer_pictures_slots(index, &mut wishes);
        self.fill_slots(now, index, Kind::Audio, &wishes);
        self.tell_slots(index);
    }

    /// Whom a participant with fewer slots than there are sounds hears, and after them others, as many as they would have slots for at most.
    /// `first` are the first sounds of the room, more than there are slots.
    pub(super) fn loudest(&self, now: Instant, index: usize, slots: usize, first: &[Wish]) -> Vec<Wish> {
        let participant = &self.participants[index];
        let speakers = &self.rooms[participant.room].speakers;
        let visible = |&id: &PublicationId| self.is_visible(index, id, Kind::Audio);
        // Whose packets tell no level may speak at any time.
        let unknown = first.iter().map(|wish| wish.publication).filter(|&id| !self.tells_level(id));
        let held = participant.slots.iter().filter(|slot| slot.kind == Kind::Audio);
        let mut chosen: Vec<_> = held.filter_map(|slot| slot.publication()).filter(visible).collect();
        chosen.truncate(slots);
        for newcomer in unknown.chain(speakers.sounding(now).filter(visible)) {
            if chosen.contains(&newcomer) {
                continue;
            }
            if chosen.len() < slots {
                chosen.push(newcomer);
                continue;
            }
            let silence = |at: usize| speakers.silence(now, chosen[at]).map(|silence| (silence, at));
            let measured = (0..chosen.len()).filter(|&at| self.tells_level(chosen[at]));
            let yielding: Option<(Silence, usize)> = measured.filter_map(silence).min();
            match yielding {
                Some((_, at)) => chosen[at] = newcomer,
                None => break,
            }
        }
        // Whoever spoke last is the likeliest to speak next; after them it is by the order of joining.
        let recent = speakers.recent().iter().copied().filter(visible);
        for other in recent.chain(first.iter().map(|wish| wish.publication)) {
            if chosen.len() < MAX_AUDIO_SLOTS && !chosen.contains(&other) {
                chosen.push(other);
            }
        }
        chosen.into_iter().map(|publication| Wish { publication, preferred: None }).collect()
    }

    /// Whether its packets say how loud they are, as was agreed.
    fn tells_level(&self, sound: PublicationId) -> bool {
        let owner = self.by_id.get(&sound.participant).map(|&owner| &self.participants[owner]);
        let publication = owner.and_then(|owner| Some(&owner.publications[owner.publication(sound)?]));
        publication.is_some_and(|publication| publication.extensions.audio_level.is_some())
    }
}
