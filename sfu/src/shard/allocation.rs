//! What each picture of a participant is allowed to cost, which encoding it therefore shows, and what publishers need not send.
//!
//! `docs/allocation.md` explains the order of things; the sharing itself is [`share`](crate::bandwidth::share).

use std::time::Instant;

use crate::bandwidth::{Bitrate, Claim, Restraint, Rung, share};
use crate::codec::Kind;
use crate::egress::{SourcePacket, Target};
use crate::id::{ParticipantId, PublicationId};
use crate::message::Event;
use crate::shard::Shard;
use crate::shard::mirror::Crossing;
use crate::shard::publication::{LayerChoice, PublicationState};
use crate::transport::Transport;

/// One picture's part in a decision.
struct Candidate {
    /// Index of the slot.
    slot: usize,
    /// The publisher's index, and the publication's in its list.
    source: (usize, usize),
    max_height: u16,
    priority: u8,
    ladder: Vec<LayerChoice>,
    rungs: Vec<Rung>,
    current: Option<usize>,
    rises_to: u16,
    may_resume: bool,
    paused_since: Option<Instant>,
}

/// A packet that is about to go to the slots: who begins with what came before must not get it twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct InHand {
    pub(super) publication: PublicationId,
    pub(super) encoding: u8,
    pub(super) sequence: u64,
}

/// What the line does to a picture.
#[derive(Clone, Copy)]
struct Held {
    /// It is smaller than it could be.
    back: bool,
    /// So much waits that no more of what is shown now is to be sent.
    clogged: bool,
}

impl<T: Transport> Shard<T> {
    /// Decides anew what all of one participant's pictures show.
    pub(super) fn allocate(&mut self, now: Instant, index: usize, in_hand: Option<InHand>) {
        self.settle(now);
        if !self.participants[index].takes_pictures(now) {
            return;
        }
        // What a slot begins with tells its player already.
        self.hold_back(now, index);
        let candidates = self.candidates(now, index);
        let sound = self.sound(now, index);
        let mut claims: Vec<Claim<'_>> = candidates.iter().map(Candidate::claim).collect();
        let demand: Bitrate =
            claims.iter().filter_map(|claim| Some(claim.ladder[claim.ceiling()?].highest)).sum();
        let least: Bitrate = claims.iter().filter_map(|claim| Some(claim.ladder.first()?.bitrate)).sum();
        let shown: Bitrate =
            claims.iter().filter_map(|claim| Some(claim.ladder.get(claim.current?)?.bitrate)).sum();
        let least_shown: Bitrate = claims
            .iter()
            .filter_map(|claim| Some(claim.ladder.first().filter(|_| claim.current.is_some())?.bitrate))
            .sum();
        let downlink = &mut self.participants[index].downlink;
        // What is new must fit with room to spare, so there is use for an estimate that much higher.
        downlink.set_demand(now, demand * NEW_COSTS_MORE + sound);
        let mut budget = downlink.begin_allocation(now) - sound;
        let known = downlink.is_known(now, sound);
        if !known {
            // Nothing is held back on the ground of a guess; what is sent is what makes the line known.
            budget = budget.max(least * NEW_COSTS_MORE);
        }
        // What does no harm may go on: an estimate dips after every burst, and a picture need not dip with it.
        budget = budget.max(downlink.sustained(now, shown + sound) - sound);
        if downlink.endures(now, least_shown, budget, sound) {
            budget = least_shown;
        }
        let paused_since = candidates.first().and_then(|candidate| candidate.paused_since);
        if downlink.tries(now, paused_since, sound) {
            let first = claims.first().and_then(|claim| claim.ladder.first());
            budget = budget.max(first.map_or(Bitrate::ZERO, |rung| rung.bitrate * NEW_COSTS_MORE));
        }
        let mut given = share(budget, &claims);
        let cost: Bitrate =
            claims.iter().zip(&given).filter_map(|(claim, &rung)| Some(claim.at_most(rung?))).sum();
        if known && rises(&claims, &given) && !downlink.carries(now, cost + sound) {
            claims.iter_mut().for_each(|claim| claim.rises_to = 0);
            given = share(budget, &claims);
        }
        let ceilings: Vec<_> = claims.iter().map(Claim::ceiling).collect();
        let satisfied = given == ceilings;
        self.participants[index].downlink.end_allocation(satisfied, demand + sound);
        let clogged = known && self.participants[index].downlink.is_clogged(shown + sound);
        let mut told = false;
        for ((candidate, given), ceiling) in candidates.iter().zip(given).zip(ceilings) {
            let line = Held { back: known && given < ceiling, clogged };
            told |= self.allot(now, index, candidate, given, line, in_hand);
        }
        if told {
            self.tell_slots(index);
        }
    }

    /// The client is reached at another address: nobody waits for what the line that is gone did not carry, nor for repairs of what was lost on it.
    pub(super) fn moved(&mut self, now: Instant, index: usize) {
        let participant = &mut self.participants[index];
        participant.downlink.moved();
        for slot in &mut participant.slots {
            slot.allotment.restraint = Restraint::default();
        }
        for publication in &mut participant.publications {
            publication.resume(now);
        }
        self.allocate(now, index, None);
    }

    /// Decides anew where that may lead to something else than the last time.
    pub(super) fn review(&mut self, now: Instant, index: usize, at_tick: bool) {
        if self.participants[index].downlink.is_to_review(now, at_tick) {
            self.allocate(now, index, None);
        }
    }

    /// Notes whether what a participant is shown takes clearly less just now than of late.
    pub(super) fn note_calm(&mut self, now: Instant, index: usize) {
        let participant = &self.participants[index];
        let pace = |slot: &crate::shard::slot::Slot| {
            let source = slot.source.filter(|_| slot.kind == Kind::Video)?;
            let owner = self.participants.get(source.participant)?;
            let published = owner.publication(source.publication)?;
            owner.publications[published].pace(slot.allotment.target?.encoding)
        };
        let add = |all: (Bitrate, Bitrate), one: (Bitrate, Bitrate)| (all.0 + one.0, all.1 + one.1);
        let (present, highest) =
            participant.slots.iter().filter_map(pace).fold((Bitrate::ZERO, Bitrate::ZERO), add);
        let apart = apart(participant.id, 0);
        if let Some(estimator) = self.participants[index].downlink.estimator() {
            estimator.on_sources(now, present < highest * CALM, apart);
        }
    }

    /// Looks again at all of a publisher's encodings, after one came to life or fell silent.
    pub(super) fn reconsider_publisher(&mut self, now: Instant, publisher: usize) {
        for at in 0..self.participants[publisher].publications.len() {
            self.reconsider_publication(now, publisher, at, None);
        }
    }

    /// What the subscribers of a publication show, after what it sends changed.
    pub(super) fn reconsider_publication(
        &mut self,
        now: Instant,
        publisher: usize,
        at: usize,
        in_hand: Option<InHand>,
    ) {
        let publication = &self.participants[publisher].publications[at];
        if publication.info.codec.kind() == Kind::Audio {
            return;
        }
        let mut viewers: Vec<usize> = publication.subscribers.iter().map(|&(viewer, _)| viewer).collect();
        viewers.dedup();
        for viewer in viewers {
            self.allocate(now, viewer, in_hand);
        }
    }

    /// Which encodings of a publication anybody needs; the publisher is told of a change.
    pub(super) fn review_saving(&mut self, now: Instant, publisher: usize, at: usize) {
        let owner = &self.participants[publisher];
        let publication = &owner.publications[at];
        if publication.info.codec.kind() == Kind::Audio {
            return;
        }
        let recorded = self.rooms[owner.room].sink.is_some();
        let first = publication.first_sending(now);
        let watched: Vec<usize> = publication
            .subscribers
            .iter()
            .filter_map(|&(viewer, slot)| {
                let slot = &self.participants.get(viewer)?.slots[slot];
                Some([slot.allotment.target.map(|target| target.encoding), slot.selector.shown_or_wanted()])
            })
            .flatten()
            .flatten()
            .map(usize::from)
            .collect();
        // One that starves is let go by nobody: once it moves again it is shown.
        let starved: Vec<bool> = (0..publication.encodings.len())
            .map(|at| !watched.is_empty() && publication.is_starved(now, at as u8))
            .collect();
        let elsewhere = publication.needed_elsewhere.iter().fold(0, |all, (_, encodings)| all | encodings);
        let needed = |encoding| {
            elsewhere >> encoding & 1 == 1
                || watched.contains(&encoding)
                || recorded && (encoding == 0 || Some(encoding) == first)
                || starved.get(encoding).copied().unwrap_or(false)
        };
        if let Some(home) = owner.mirror_of {
            let bits = (0..publication.encodings.len()).filter(|&encoding| needed(encoding));
            let encodings = bits.fold(0, |all, encoding| all | 1 << encoding);
            let (publication, by) = (publication.id(), self.index);
            return self.crossings.push_back((home, Crossing::Needed { publication, by, encodings }));
        }
        let owner = &mut self.participants[publisher];
        let (participant, room) = (owner.id, owner.room);
        let publication = &mut owner.publications[at];
        if publication.saving.review(now, needed) {
            let (id, saving) = (publication.id(), publication.saving.clone());
            let wanted = publication.saving.wanted().to_vec();
            let (publication, mid) = (publication.id(), publication.mid());
            self.events.push_back(Event::EncodingsWanted { participant, publication, mid, wanted });
            self.cross(room, || Crossing::Saving(id, saving.clone()));
        }
    }

    /// A publisher's turn, once a second: what has fallen silent or is needed no more.
    pub(super) fn look_again(&mut self, now: Instant, publisher: usize) {
        for publication in &mut self.participants[publisher].publications {
            publication.encodings.iter_mut().for_each(|encoding| encoding.history.expire(now));
        }
        if self.participants[publisher].has_layers() {
            self.reconsider_publisher(now, publisher);
        }
        self.review_savings(now, publisher);
    }

    /// All of one publisher's publications.
    pub(super) fn review_savings(&mut self, now: Instant, publisher: usize) {
        for at in 0..self.participants[publisher].publications.len() {
            self.review_saving(now, publisher, at);
        }
    }

    fn candidates(&self, now: Instant, index: usize) -> Vec<Candidate> {
        let participant = &self.participants[index];
        let beyond_repair = participant.line.is_beyond_repair();
        let candidate = |(at, slot): (usize, &crate::shard::slot::Slot)| {
            let source = slot.source.filter(|_| slot.kind == Kind::Video)?;
            let owner = self.participants.get(source.participant)?;
            let published = owner.publication(source.publication)?;
            let picture =
                participant.pictures.iter().find(|picture| picture.publication == source.publication)?;
            let mut ladder = owner.publications[published].ladder(now);
            if let Some(target) = slot.allotment.target {
                keep_shown(now, &owner.publications[published], target, &mut ladder);
            }
            picture.thin(&mut ladder);
            let allotment = &slot.allotment;
            Some(Candidate {
                slot: at,
                source: (source.participant, published),
                max_height: if beyond_repair { 1 } else { picture.max_height },
                priority: picture.priority,
                rungs: ladder.iter().map(LayerChoice::rung).collect(),
                current: ladder.iter().position(|choice| Some(choice.target) == allotment.target),
                rises_to: allotment.restraint.rises_to(now, apart(participant.id, at)),
                may_resume: allotment.restraint.may_resume(now),
                paused_since: allotment.paused_since,
                ladder,
            })
        };
        participant.slots.iter().enumerate().filter_map(candidate).collect()
    }

    /// What the sounds of a participant take: they come first.
    fn sound(&self, now: Instant, index: usize) -> Bitrate {
        let sources = self.participants[index].slots.iter().filter(|slot| slot.kind == Kind::Audio);
        sources
            .filter_map(|slot| {
                let source = slot.source?;
                let owner = self.participants.get(source.participant)?;
                let once = owner.publications[owner.publication(source.publication)?].bitrate(now);
                Some(if slot.repeats() { once + once } else { once })
            })
            .sum()
    }

    /// Lets one slot show what it was given. Whether its pause began or ended.
    fn allot(
        &mut self,
        now: Instant,
        index: usize,
        candidate: &Candidate,
        given: Option<usize>,
        line: Held,
        in_hand: Option<InHand>,
    ) -> bool {
        let (publisher, at) = candidate.source;
        let publication = &self.participants[publisher].publications[at];
        let id = publication.id();
        let wished = given.and_then(|rung| Some(candidate.ladder.get(rung)?.target));
        let slot = &self.participants[index].slots[candidate.slot];
        let current = slot.selector.current().map(|shown| shown.encoding);
        let shown = given.and_then(|rung| publication.nearest_sending(now, &candidate.ladder, rung, current));
        let slot = &mut self.participants[index].slots[candidate.slot];
        let paused = given.is_none() && !candidate.ladder.is_empty();
        let news = slot.allotment.paused != paused;
        let height = |rung: Option<usize>| rung.and_then(|rung| Some(candidate.ladder.get(rung)?.height));
        let falls = line.back && height(given) < height(candidate.current);
        if falls || line.back && paused && news {
            slot.allotment.restraint.on_fall(now, height(candidate.current).unwrap_or(0));
        }
        let encoding = |target: Option<Target>| target.map(|target| target.encoding);
        if falls && line.clogged && encoding(slot.selector.current()) != encoding(shown) {
            slot.selector.set_target(None);
        }
        let moved = slot.allotment.target != wished;
        (slot.allotment.target, slot.allotment.paused) = (wished, paused);
        slot.allotment.paused_since = if paused { slot.allotment.paused_since.or(Some(now)) } else { None };
        let waits = slot.selector.wanted_keyframe().is_some() && slot.selector.current().is_some();
        // Whoever waits for a higher layer asks again: the key frame may have come with its beginning lost.
        if (slot.selector.set_target(shown) || waits)
            && let Some(encoding) = slot.selector.wanted_keyframe()
            && !self.begin_from_history(now, index, candidate, encoding, line, in_hand)
        {
            self.request_keyframe(now, id, encoding);
        }
        if moved {
            self.review_saving(now, publisher, at);
        }
        news
    }

    /// The first picture of a slot or of an encoding, from what has been received already. Whether there was such.
    fn begin_from_history(
        &mut self,
        now: Instant,
        index: usize,
        candidate: &Candidate,
        encoding_index: u8,
        line: Held,
        in_hand: Option<InHand>,
    ) -> bool {
        let (publisher, at) = candidate.source;
        let publication = &self.participants[publisher].publications[at];
        let Some(encoding) = publication.encoding(encoding_index) else { return false };
        let passing = in_hand
            .filter(|packet| packet.publication == publication.id() && packet.encoding == encoding_index)
            .map(|packet| packet.sequence);
        let slot = &self.participants[index].slots[candidate.slot];
        let more_layers = slot.selector.current().is_some_and(|shown| shown.encoding == encoding_index);
        // More layers of what is shown were left out of what came before, and a full line has no time for what is over.
        if more_layers || slot.has_begun() && line.back {
            return false;
        }
        let Some(run) = encoding.since_keyframe(now, slot.has_begun(), passing) else { return false };
        let clock = encoding.clock;
        let time = |packet: &SourcePacket| clock.time_of(packet.timestamp, packet.arrival);
        // Who sees the slot for the first time has no clock yet that a picture could be late by.
        let latest = encoding.latest().filter(|_| slot.has_sent()).map(time);
        if latest.is_some() {
            let pictures = run.chunk_by(|one, next| one.timestamp == next.timestamp).count();
            self.participants[index].slots[candidate.slot].begin_replay(pictures);
        }
        for packet in &run {
            self.forward(now, index, candidate.slot, packet, latest.unwrap_or_else(|| time(packet)));
        }
        self.participants[index].slots[candidate.slot].end_replay();
        self.counters.pictures_from_history += 1;
        true
    }
}

/// Sees to it that what is shown stays to be had through a moment in which its publisher makes fewer pictures: without it the slot would have to begin anew,
/// from the bottom.
fn keep_shown(now: Instant, publication: &PublicationState, target: Target, ladder: &mut Vec<LayerChoice>) {
    let layers = |target: Target| (target.encoding, target.layer.spatial);
    if ladder.iter().any(|choice| choice.target == target) {
        return;
    }
    let Some(at) = ladder.iter().position(|choice| layers(choice.target) == layers(target)) else { return };
    let Some(rates) = publication.encoding(target.encoding).map(|encoding| &encoding.rates) else { return };
    let (whole, fps) = (ladder[at], rates.pictures_per_second(now, target.layer.temporal));
    let all = rates.bitrate_up_to(now, whole.target.layer).as_bps() as f64;
    if fps >= STILL_FLUENT && all > 0.0 {
        let share = rates.bitrate_up_to(now, target.layer).as_bps() as f64 / all;
        ladder.insert(
            at,
            LayerChoice {
                target,
                fps,
                bitrate: whole.bitrate * share,
                highest: whole.highest * share,
                ..whole
            },
        );
    }
}

/// A number from 0 to 1 that is another for every picture there is: those of participants who came in a row are far from each other, and so are those of
/// one (multiples of irrational numbers). Nothing that a shard draws: what a viewer is shown does not depend on which they are on.
fn apart(viewer: ParticipantId, slot: usize) -> f64 {
    let place = viewer.0.wrapping_mul(APART.0).wrapping_add((slot as u64).wrapping_mul(APART.1));
    (place >> 32) as f64 / f64::from(u32::MAX)
}

/// Whether any picture becomes larger.
fn rises(claims: &[Claim<'_>], given: &[Option<usize>]) -> bool {
    claims.iter().zip(given).any(|(claim, &given)| {
        given.map(|rung| claim.height(rung)) > claim.current.map(|rung| claim.height(rung))
    })
}

/// Of the most that sources took of late: they are lively again, as far as an average tells.
const CALM: f64 = 0.85;
/// Pictures a second: what is shown may have a few less than what is chosen anew.
const STILL_FLUENT: u16 = 6;
/// The golden ratio and the square root of 2, less 1, in 2⁶⁴ths.
const APART: (u64, u64) = (0x9e37_79b9_7f4a_7c15, 0x6a09_e667_f3bc_c908);
/// More than the allocator's headroom.
const NEW_COSTS_MORE: f64 = 1.3;

impl Candidate {
    fn claim(&self) -> Claim<'_> {
        Claim {
            priority: self.priority,
            max_height: self.max_height,
            ladder: &self.rungs,
            current: self.current,
            rises_to: self.rises_to,
            may_resume: self.may_resume,
        }
    }
}
