//! Offers in, answers out; publications and slots follow what was agreed.

use std::time::Instant;

use rand::Rng;
use rand_chacha::ChaCha20Rng;

use crate::codec::Kind;
use crate::id::{ICE_CHARS, Mid, PublicationId, ShardIndex, Ssrc};
use crate::message::Event;
use crate::sdp::{
    self, Flow, Fragment, IceCredentials, Local, MediaLine, Negotiated, Offer, OfferError, SlotIdentity,
};
use crate::shard::Shard;
use crate::shard::mirror::Crossing;
use crate::shard::publication::PublicationState;
use crate::shard::slot::{Slot, SlotStart};
use crate::sink::SinkEvent;
use crate::transport::{Transport, TransportParameters};

impl<T: Transport> Shard<T> {
    /// Answers an offer. After an error everything is as it was before.
    pub(super) fn negotiate(&mut self, now: Instant, index: usize, sdp: &str) -> Result<String, OfferError> {
        let offer = Offer::parse(sdp, &self.config.limits)?;
        let participant = &self.participants[index];
        let previous = participant.negotiated.as_ref();
        let restarted = previous.is_some_and(|previous| offer.ice_restarted(previous));
        let local_ice = match &participant.ice {
            Some(ice) if !restarted => ice.clone(),
            _ => fresh_credentials(self.index, &mut self.rng),
        };
        let mut slots = SlotNames { known: &participant.slots, rng: &mut self.rng, counts: [0; 2] };
        let (answer, negotiated) = sdp::answer(
            &offer,
            previous,
            Local {
                ice: &local_ice,
                fingerprint: T::fingerprint(&self.context),
                candidates: &self.config.candidates,
                session_id: participant.session_id,
                session_version: participant.session_version + 1,
                slot: &mut |mid, kind| slots.identity(mid, kind),
            },
        )?;
        self.participants[index].session_version += 1;
        self.connect(now, index, local_ice, &negotiated, restarted);
        self.follow(now, index, negotiated);
        Ok(answer)
    }

    /// Takes the client's new credentials from a fragment and answers with ours. Credentials it has told already keep what there is.
    pub(super) fn restart_ice(
        &mut self,
        now: Instant,
        index: usize,
        fragment: &str,
    ) -> Result<String, OfferError> {
        let fragment = Fragment::parse(fragment, &self.config.limits)?;
        let offered =
            fragment.ice().ok_or(OfferError::Malformed { reason: "it names no ICE credentials" })?;
        let participant = &self.participants[index];
        let (Some(negotiated), Some(ice)) = (&participant.negotiated, &participant.ice) else {
            return Err(OfferError::Discontinuous { reason: "nothing was negotiated before" });
        };
        if *offered == negotiated.ice {
            return Ok(sdp::write_fragment(negotiated, ice, &self.config.candidates));
        }
        let negotiated = Negotiated { ice: offered.clone(), ..negotiated.clone() };
        let local = fresh_credentials(self.index, &mut self.rng);
        let answer = sdp::write_fragment(&negotiated, &local, &self.config.candidates);
        self.connect(now, index, local, &negotiated, true);
        self.participants[index].negotiated = Some(negotiated);
        Ok(answer)
    }

    /// Starts the transport at the first offer, renews its credentials at an ICE restart.
    fn connect(
        &mut self,
        now: Instant,
        index: usize,
        local: IceCredentials,
        negotiated: &Negotiated,
        restarted: bool,
    ) {
        let participant = &mut self.participants[index];
        match &mut participant.transport {
            Some(transport) => {
                if !restarted {
                    return;
                }
                transport.restart_ice(now, local.clone(), negotiated.ice.clone());
            }
            None => {
                let parameters = TransportParameters {
                    local: local.clone(),
                    remote: negotiated.ice.clone(),
                    remote_fingerprint: negotiated.fingerprint,
                    dtls_role: negotiated.dtls_role,
                };
                participant.transport = Some(T::new(&self.context, now, parameters));
            }
        }
        // Checks with the former credentials are good until the first with the new ones.
        if let Some(current) = participant.ice.replace(local.clone())
            && let Some(former) = participant.former_ufrag.replace(current.ufrag)
        {
            self.by_ufrag.remove(former.as_bytes());
        }
        self.by_ufrag.insert(local.ufrag.into_bytes(), index);
    }

    /// Makes publications and slots what was negotiated.
    fn follow(&mut self, now: Instant, index: usize, negotiated: Negotiated) {
        let line_of = |mid: Mid| negotiated.media.iter().find(|line| line.mid == mid);
        let before = self.participants[index].published_ever();
        let ended = self.unpublish(now, index, |publication| {
            !line_of(publication.mid()).is_some_and(|line| continues(publication, line))
        });
        let mut announced = Vec::new();
        for line in &negotiated.media {
            if let Flow::Receive { rids, ssrcs } = &line.flow {
                announced.extend(ssrcs.iter().map(|&(ssrc, repair)| (line.mid, ssrc, repair)));
                self.publish(now, index, line, rids);
            }
        }
        self.participants[index].rebind(&announced, &self.config.limits);
        self.renew_slots(now, index, &negotiated);
        self.participants[index].negotiated = Some(negotiated);
        let participant = &self.participants[index];
        if ended || participant.published_ever() != before {
            let room = participant.room;
            self.reconcile_room(now, room);
            let id = self.rooms[room].id;
            self.cross(room, || Crossing::Settled(id));
        } else {
            self.reconcile(now, index);
        }
    }

    fn publish(&mut self, now: Instant, index: usize, line: &MediaLine, rids: &[crate::id::Rid]) {
        let Some(format) = line.codecs.first() else { return };
        let participant = &mut self.participants[index];
        let mut publications = participant.publications.iter_mut();
        if let Some(known) = publications.find(|publication| publication.mid() == line.mid) {
            known.extensions = line.extensions;
            known.format = format.clone();
            let known = known.id();
            return self.cross_publication(index, known);
        }
        let id = PublicationId { participant: participant.id, index: participant.next_publication };
        let Some(next) = participant.next_publication.checked_add(1) else { return };
        participant.next_publication = next;
        let publication = PublicationState::new(id, line, format.clone(), rids, &self.config.limits);
        let info = publication.info.clone();
        participant.publications.reserve_exact(1);
        participant.publications.push(publication);
        self.counters.publications += 1;
        let is_screen = info.codec.kind() == Kind::Video && participant.screens.contains(&line.mid);
        let room = &mut self.rooms[participant.room];
        room.screens.extend(is_screen.then_some(id));
        room.tell(SinkEvent::Published { now, publication: info.clone() });
        self.events.push_back(Event::Published { room: room.id, publication: info });
        self.cross_publication(index, id);
    }

    fn cross_publication(&mut self, index: usize, id: PublicationId) {
        let participant = &self.participants[index];
        let Some(at) = participant.publication(id) else { return };
        let (room, published) = (participant.room, self.announcement(index, at));
        self.cross(room, || Crossing::Published(Box::new(published.clone())));
    }

    /// Ends the publications that `ended` picks. Whether there were any.
    pub(super) fn unpublish(
        &mut self,
        now: Instant,
        index: usize,
        ended: impl Fn(&PublicationState) -> bool,
    ) -> bool {
        let mut any = false;
        while let Some(at) = self.participants[index].publications.iter().position(&ended) {
            let publication = &mut self.participants[index].publications[at];
            for (subscriber, slot) in std::mem::take(&mut publication.subscribers) {
                self.participants[subscriber].release(now, true);
                self.participants[subscriber].slots[slot].clear();
            }
            let participant = &mut self.participants[index];
            let publication = participant.publications.remove(at).id();
            let here = participant.mirror_of.is_none();
            self.counters.publications -= u64::from(here);
            participant.rebind(&[], &self.config.limits);
            let room = &mut self.rooms[participant.room];
            room.screens.retain(|&screen| screen != publication);
            room.tell(SinkEvent::Unpublished { now, publication });
            if here {
                self.events.push_back(Event::Unpublished { room: room.id, publication });
            }
            let room = participant.room;
            if here {
                self.cross(room, || Crossing::Unpublished(publication));
            }
            self.unhear(now, room, publication);
            any = true;
        }
        any
    }

    /// Makes the slots those of the offer, in its order; what stays keeps its contents and its numbers.
    fn renew_slots(&mut self, now: Instant, index: usize, negotiated: &Negotiated) {
        self.participants[index].release(now, true);
        let mut former = std::mem::take(&mut self.participants[index].slots);
        let origin = *self.participants[index].origin.get_or_insert(now);
        for source in former.iter().filter_map(|slot| slot.source) {
            if let Some(publication) = self.publication_mut(source.participant, source.publication) {
                publication.subscribers.retain(|&(subscriber, _)| subscriber != index);
            }
        }
        for line in &negotiated.media {
            let Flow::Send(identity) = &line.flow else { continue };
            let slot = match former.iter().position(|slot| slot.mid == line.mid) {
                Some(at) => {
                    let mut slot = former.swap_remove(at);
                    slot.renegotiate(line);
                    slot
                }
                None => {
                    // Far from the wrap (RFC 3711 section 3.3.1): a client that misses the first packets must not miss a rollover.
                    let start = SlotStart {
                        sequence: self.rng.random_range(0..1 << 15),
                        rtx_sequence: self.rng.random_range(0..1 << 15),
                        rtp_time: self.rng.random(),
                    };
                    Slot::new(line, identity.clone(), start, origin)
                }
            };
            let slots = &mut self.participants[index].slots;
            slots.reserve_exact(1);
            slots.push(slot);
            let at = slots.len() - 1;
            if let Some(source) = slots[at].source
                && let Some(publication) = self.publication_mut(source.participant, source.publication)
            {
                publication.subscribers.push((index, at));
            }
        }
    }
}

/// Whether a publication goes on with a renegotiated m-line: same direction, same codec, same encodings.
fn continues(publication: &PublicationState, line: &MediaLine) -> bool {
    let Flow::Receive { rids, .. } = &line.flow else { return false };
    let named: Vec<_> = publication.info.encodings.iter().flatten().copied().collect();
    named == *rids && line.codecs.first().is_some_and(|format| format.codec == publication.info.codec)
}

/// Gives each slot its identity: the one it has, or a new one.
struct SlotNames<'a> {
    known: &'a [Slot],
    rng: &'a mut ChaCha20Rng,
    /// Slots named so far: audio, video.
    counts: [usize; 2],
}

impl SlotNames<'_> {
    fn identity(&mut self, mid: Mid, kind: Kind) -> SlotIdentity {
        let count = match kind {
            Kind::Audio => &mut self.counts[0],
            Kind::Video => &mut self.counts[1],
        };
        let number = *count;
        *count += 1;
        if let Some(slot) = self.known.iter().find(|slot| slot.mid == mid) {
            return slot.identity.clone();
        }
        let rtx_ssrc = (kind == Kind::Video).then(|| Ssrc(self.rng.random()));
        SlotIdentity { ssrc: Ssrc(self.rng.random()), rtx_ssrc, stream: format!("slot-{number}") }
    }
}

/// RFC 8445 section 5.3 asks for 24 and 128 bits of randomness; a letter of 64 has 6. The first one of the user fragment names the shard.
fn fresh_credentials(shard: ShardIndex, rng: &mut ChaCha20Rng) -> IceCredentials {
    let mut text = |length: usize| -> String {
        (0..length).map(|_| char::from(ICE_CHARS[usize::from(rng.random::<u8>() & 63)])).collect()
    };
    let (mut ufrag, pwd) = (text(8), text(24));
    ufrag.replace_range(..1, shard.letter().encode_utf8(&mut [0; 4]));
    IceCredentials { ufrag, pwd }
}
