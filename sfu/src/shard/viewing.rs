//! Views to slots, slots to encodings: what is wished and what is, brought together by difference.

use std::time::Instant;

use crate::codec::Kind;
use crate::id::PublicationId;
use crate::message::Event;
use crate::shard::Shard;
use crate::shard::assignment::{Wish, assign};
use crate::shard::pictures::Picture;
use crate::shard::publication::PublicationState;
use crate::transport::Transport;
use crate::view::AudioWish;

impl<T: Transport> Shard<T> {
    /// Everybody's slots in a room, after a publication came or went.
    pub(super) fn reconcile_room(&mut self, now: Instant, room: usize) {
        for member in self.rooms[room].members.clone() {
            self.reconcile(now, member);
        }
    }

    /// Makes one participant's slots carry what their view wishes, as far as they reach.
    pub(super) fn reconcile(&mut self, now: Instant, index: usize) {
        if self.participants[index].mirror_of.is_some() {
            return;
        }
        let mut audio = self.audio_wishes(now, index);
        let pictures = self.pictures(index);
        let wish = |picture: &Picture| Wish { publication: picture.publication, preferred: None };
        let video: Vec<Wish> = pictures.iter().map(wish).collect();
        self.participants[index].pictures = pictures;
        self.fill_slots(now, index, Kind::Video, &video);
        self.prefer_pictures_slots(index, &mut audio);
        self.fill_slots(now, index, Kind::Audio, &audio);
        self.allocate(now, index, None);
        self.tell_slots(index);
        let participant = &mut self.participants[index];
        let id = participant.id;
        let (audio, video) = (audio.len() as u16, video.len() as u16);
        let slots = |kind| participant.slots_of(kind).len() as u16;
        // Numbers that are served may change as they like.
        let lacking = |wanted: u16, kind| if wanted > slots(kind) { wanted } else { 0 };
        let lacks = (lacking(audio, Kind::Audio), lacking(video, Kind::Video));
        if participant.negotiated.is_some() && participant.slots_lacking != lacks {
            participant.slots_lacking = lacks;
            if lacks != (0, 0) {
                self.events.push_back(Event::SlotsWanted { participant: id, audio, video });
            }
        }
    }

    /// Tells what the slots carry, if that is something else than was told last.
    pub(super) fn tell_slots(&mut self, index: usize) {
        let participant = &mut self.participants[index];
        let slots = participant.slot_assignments();
        if slots != participant.slots_told {
            participant.slots_told.clone_from(&slots);
            self.events.push_back(Event::Slots { participant: participant.id, slots });
        }
    }

    pub(super) fn audio_wishes(&self, now: Instant, index: usize) -> Vec<Wish> {
        let participant = &self.participants[index];
        match &participant.view.audio {
            AudioWish::All => {
                let members = self.rooms[participant.room].members.iter();
                let all = members
                    .flat_map(|&member| &self.participants[member].publications)
                    .filter(|publication| publication.info.codec.kind() == Kind::Audio)
                    .map(PublicationState::id);
                let wishes = self.sounds(index, MAX_AUDIO_SLOTS + 1, all);
                let slots = participant.slots_of(Kind::Audio).len().min(MAX_AUDIO_SLOTS);
                if wishes.len() <= slots { wishes } else { self.loudest(now, index, slots, &wishes) }
            }
            AudioWish::Only(publications) => {
                self.sounds(index, MAX_AUDIO_SLOTS, publications.iter().copied())
            }
        }
    }

    /// The first of the wished sounds that are there, each once. What no number of slots could serve is not looked at: in a room of
    /// hundreds this runs for everybody.
    fn sounds(&self, index: usize, most: usize, wished: impl Iterator<Item = PublicationId>) -> Vec<Wish> {
        let mut wishes: Vec<Wish> = Vec::new();
        for publication in wished {
            if wishes.len() == most {
                break;
            }
            if wishes.iter().all(|known| known.publication != publication)
                && self.is_visible(index, publication, Kind::Audio)
            {
                wishes.push(Wish { publication, preferred: None });
            }
        }
        wishes
    }

    /// Whether somebody else in the room publishes it.
    pub(super) fn is_visible(&self, index: usize, publication: PublicationId, kind: Kind) -> bool {
        let Some(&publisher) = self.by_id.get(&publication.participant) else { return false };
        let (viewer, owner) = (&self.participants[index], &self.participants[publisher]);
        publisher != index
            && owner.room == viewer.room
            && owner
                .publication(publication)
                .is_some_and(|at| owner.publications[at].info.codec.kind() == kind)
    }

    /// A sound wants the slot with the number of its owner's picture.
    pub(super) fn prefer_pictures_slots(&self, index: usize, audio: &mut [Wish]) {
        let participant = &self.participants[index];
        let pictures = participant.slots_of(Kind::Video);
        for wish in audio {
            wish.preferred = pictures.iter().position(|&at| {
                let shown = participant.slots[at].publication();
                shown.is_some_and(|shown| shown.participant == wish.publication.participant)
            });
        }
    }

    /// Brings the slots of one kind to what is wished.
    pub(super) fn fill_slots(&mut self, now: Instant, index: usize, kind: Kind, wishes: &[Wish]) {
        self.settle(now);
        let participant = &self.participants[index];
        let slots = participant.slots_of(kind);
        let current: Vec<_> = slots.iter().map(|&at| participant.slots[at].publication()).collect();
        let target = assign(&current, wishes);
        let mut changed = Vec::new();
        for ((&at, target), current) in slots.iter().zip(&target).zip(&current) {
            if target != current {
                self.empty_slot(now, index, at);
                changed.push(at);
            }
        }
        for (&at, target) in slots.iter().zip(target) {
            self.participants[index].slots[at].undecodable = None;
            if changed.contains(&at)
                && let Some(publication) = target
            {
                self.fill_slot(index, at, publication);
            }
        }
    }

    fn fill_slot(&mut self, index: usize, at: usize, publication: PublicationId) {
        let Some(&publisher) = self.by_id.get(&publication.participant) else { return };
        let owner = &mut self.participants[publisher];
        let Some(published) = owner.publication(publication) else { return };
        let format = owner.publications[published].format.clone();
        let participant = &mut self.participants[index];
        if participant.slots[at].fill(publication, publisher, &format) {
            self.participants[publisher].publications[published].subscribers.push((index, at));
        }
    }

    /// Takes a slot's publication away.
    pub(super) fn empty_slot(&mut self, now: Instant, index: usize, at: usize) {
        let participant = &mut self.participants[index];
        let Some(source) = participant.slots[at].source else { return };
        // What waits was meant for what is shown until now.
        participant.release(now, true);
        participant.slots[at].clear();
        if let Some(publication) = self.publication_mut(source.participant, source.publication) {
            publication.subscribers.retain(|&subscriber| subscriber != (index, at));
        }
    }
}

/// More sounds at once than this are noise; the rest waits until they speak.
pub(super) const MAX_AUDIO_SLOTS: usize = 16;
/// What fits an offer of 128 m-lines next to the sounds.
pub(super) const MAX_VIDEO_SLOTS: usize = 64;
