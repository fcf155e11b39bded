//! One packet's way from a publication to its slots, and the feedback that comes back.

use std::time::Instant;

use bytes::BytesMut;

use crate::codec::Kind;
use crate::egress::{NotAgain, Sent, SourcePacket};
use crate::id::Ssrc;
use crate::rtcp::{self, RtcpPacket};
use crate::shard::Shard;
use crate::shard::allocation::InHand;
use crate::shard::burst::Passing;
use crate::shard::downlink::Waiting;
use crate::shard::mirror::Crossing;
use crate::shard::participant::EncodingAt;
use crate::shard::publication::{PublicationState, Taken};
use crate::shard::slot::Source;
use crate::sink::{SinkEvent, SinkPacket};
use crate::transport::Transport;

impl<T: Transport> Shard<T> {
    #[inline]
    pub(super) fn handle_rtp(&mut self, now: Instant, index: usize, datagram: BytesMut) {
        self.counters.packets_received += 1;
        let participant = &mut self.participants[index];
        let room = participant.room;
        let mirrored = self.rooms[room].peers != 0;
        let received = participant.receive(now, datagram, &self.config.limits, &mut self.counters, mirrored);
        let Some((at, taken, crossing)) = received else {
            self.counters.packets_discarded += 1;
            return;
        };
        if let Some(packet) = crossing {
            // What the packet leads to is decided with what it told of the line.
            if taken.round_trip.is_some() {
                self.cross_line(index);
            }
            self.cross(room, || Crossing::Packet(packet.clone()));
        }
        self.handle_taken(now, index, at, taken);
    }

    /// What follows from a packet that a publication has taken.
    #[inline]
    pub(super) fn handle_taken(&mut self, now: Instant, index: usize, at: usize, taken: Taken) {
        if taken.reconsider {
            // Whoever goes over to it now begins with this packet, if a key frame does.
            let begins = taken.packet.as_ref().filter(|packet| packet.info.starts_keyframe);
            let begins = begins.map(|packet| packet.encoding);
            self.key_frame_begins(index, at, begins, true);
            let publication = self.participants[index].publications[at].id();
            let in_hand = taken.packet.as_ref().map(|packet| InHand {
                publication,
                encoding: packet.encoding,
                sequence: packet.sequence,
            });
            self.reconsider_publication(now, index, at, in_hand);
            self.key_frame_begins(index, at, begins, false);
        }
        let Some(packet) = taken.packet else { return };
        let encoding = packet.encoding;
        if let Some(level) = packet.audio_level {
            self.hear(now, index, at, level);
        }
        self.take_along(now, index, at, packet);
        while let Some(packet) = self.participants[index].publications[at].release(encoding) {
            self.take_along(now, index, at, packet);
        }
    }

    fn key_frame_begins(&mut self, index: usize, at: usize, encoding: Option<u8>, begins: bool) {
        let publication = &mut self.participants[index].publications[at];
        if let Some(encoding) = encoding.and_then(|encoding| publication.encoding_mut(encoding)) {
            encoding.keyframes.set_begins(begins);
        }
    }

    /// Adds a packet to what is on its way.
    #[inline]
    fn take_along(&mut self, now: Instant, publisher: usize, at: usize, packet: SourcePacket) {
        self.tap(publisher, at, &packet);
        if !self.burst.goes_on() {
            self.settle(now);
        }
        let Some(encoding) = self.participants[publisher].publications[at].encoding(packet.encoding) else {
            return;
        };
        let time = encoding.clock.time_of(packet.timestamp, packet.arrival);
        let newest = encoding.is_newest(packet.sequence);
        self.burst.push((publisher, at), Passing { packet, time, newest });
        if !newest {
            // What came before it, and what comes later, is told apart now.
            self.settle(now);
        }
    }

    /// Passes on what is on its way, before anything changes about who is sent what.
    #[inline]
    pub(super) fn settle(&mut self, now: Instant) {
        if !self.burst.is_empty() {
            self.pass_on(now, |_, _| {});
        }
    }

    /// The loop that everything is for: all that is on its way, to one viewer after the other. `done` is called after each.
    pub(super) fn pass_on(&mut self, now: Instant, mut done: impl FnMut(&mut Self, usize)) {
        let (burst, current) = (self.burst.take(), self.current);
        for section in burst.sections() {
            let (publisher, at) = section.source;
            let Some(publication) = self.publication_at(publisher, at) else { continue };
            let subscribers = std::mem::take(&mut publication.subscribers);
            for &(index, slot) in &subscribers {
                self.lend(index);
                for &Passing { ref packet, time, newest } in burst.of(section) {
                    if self.forward(now, index, slot, packet, time) && !newest {
                        self.catch_up(now, section.source, (index, slot), packet);
                    }
                }
                done(self, index);
                self.take_back(index);
            }
            if let Some(publication) = self.publication_at(publisher, at) {
                publication.subscribers = subscribers;
            }
        }
        self.current = current;
        self.burst.give_back(burst);
    }

    /// Gives a participant memory to write into, that which is in the processor's cache: who has nothing to send has none.
    #[inline]
    pub(super) fn lend(&mut self, index: usize) {
        let Some(participant) = self.participants.get_mut(index) else { return };
        let outbox = &mut participant.downlink.outbox;
        if outbox.memory() == 0
            && let Some(spare) = self.leaving.lend()
        {
            *outbox = spare;
        }
    }

    /// Takes it back, if nothing is in it.
    #[inline]
    pub(super) fn take_back(&mut self, index: usize) {
        let Some(participant) = self.participants.get_mut(index) else { return };
        let outbox = &mut participant.downlink.outbox;
        if outbox.is_empty() && outbox.memory() > 0 {
            self.leaving.take_back(std::mem::take(outbox));
        }
    }

    pub(super) fn publication_at(&mut self, publisher: usize, at: usize) -> Option<&mut PublicationState> {
        self.participants.get_mut(publisher)?.publications.get_mut(at)
    }

    /// One packet to one slot; whether it began what the slot shows from now on.
    #[inline]
    pub(super) fn forward(
        &mut self,
        now: Instant,
        index: usize,
        slot: usize,
        packet: &SourcePacket,
        time: Instant,
    ) -> bool {
        // What goes wrong from here is the subscriber's fault.
        self.current = Some(index);
        let participant = &mut self.participants[index];
        let Some(transport) =
            participant.transport.as_mut().filter(|transport| transport.destination().is_some())
        else {
            return false;
        };
        let down = &mut participant.slots[slot];
        let Some(munged) = down.select(packet, time) else { return false };
        self.counters.packets_forwarded += 1;
        if down.kind == Kind::Video && !participant.downlink.has_room(now) {
            let waiting = Waiting { repair: false, slot, packet: packet.clone(), sent: munged.sent };
            participant.downlink.hold(now, waiting);
            if participant.downlink.overflows() {
                participant.release(now, false);
                self.enqueue(index);
            }
            self.arm(index);
            return munged.switched;
        }
        if let Some((bytes, first)) =
            down.send(now, packet, munged.sent, transport, &mut participant.downlink)
        {
            self.counters.bytes_forwarded += bytes as u64;
            if !participant.queued {
                participant.queued = true;
                self.queue.push(index);
            }
            if first {
                participant.report_soon(now);
                self.timers.arm(index, Some(now));
            }
        }
        munged.switched
    }

    /// A key frame whose beginning was lost and repaired comes after its other packets: they were not for this slot when they came, and are now.
    fn catch_up(
        &mut self,
        now: Instant,
        source: (usize, usize),
        (index, slot): (usize, usize),
        begin: &SourcePacket,
    ) {
        let publication = &self.participants[source.0].publications[source.1];
        let Some(encoding) = publication.encoding(begin.encoding) else { return };
        let clock = encoding.clock;
        for packet in encoding.overtaking(begin.sequence) {
            self.forward(now, index, slot, &packet, clock.time_of(packet.timestamp, packet.arrival));
        }
    }

    /// Hands the packet to the room's sink.
    fn tap(&mut self, publisher: usize, at: usize, packet: &SourcePacket) {
        let participant = &self.participants[publisher];
        let room = &mut self.rooms[participant.room];
        if room.sink.is_none() {
            return;
        }
        room.tell(SinkEvent::Packet(SinkPacket {
            publication: participant.publications[at].id(),
            encoding: packet.encoding,
            arrival: packet.arrival,
            sequence: packet.sequence,
            rtp_time: packet.timestamp,
            marker: packet.marker,
            payload: packet.payload.clone(),
        }));
    }

    pub(super) fn handle_rtcp(&mut self, now: Instant, index: usize, compound: &[u8]) {
        let mut loss = LossReport::default();
        // Of the line down.
        let mut told = false;
        let round_trip = self.participants[index].line.round_trip();
        for packet in rtcp::parse(compound) {
            match packet {
                RtcpPacket::SenderReport { ssrc, ntp, rtp_time, blocks } => {
                    self.handle_sender_report(now, index, ssrc, ntp, rtp_time);
                    for block in blocks {
                        self.handle_report_block(now, index, &block, &mut loss);
                    }
                }
                RtcpPacket::ReceiverReport { blocks } => {
                    for block in blocks {
                        self.handle_report_block(now, index, &block, &mut loss);
                    }
                }
                RtcpPacket::Nack { media, lost } => {
                    // No honest report of what one datagram can ask for is longer.
                    for sequence in lost.take(MAX_LOST) {
                        self.retransmit(now, index, media, sequence, true);
                    }
                }
                RtcpPacket::Pli { media } => self.wanted_keyframe(now, index, media),
                RtcpPacket::Fir { entries } => {
                    for media in entries {
                        self.wanted_keyframe(now, index, media);
                    }
                }
                RtcpPacket::TransportFeedback(feedback) => {
                    if let Some(estimator) = self.participants[index].downlink.estimator() {
                        estimator.on_feedback(now, &feedback, &mut self.arrivals);
                    }
                    self.miss(now, index, &feedback);
                    told = true;
                }
                RtcpPacket::Remb { bitrate } => {
                    self.participants[index].downlink.measured(now).on_remb(now, bitrate);
                }
                _ => {}
            }
        }
        let participant = &mut self.participants[index];
        let beyond_repair = participant.line.is_beyond_repair();
        told |= loss.blocks > 0;
        if let Some(fraction_lost) = loss.mean() {
            // Reports that come with a request for repair cover few packets, and end at a loss: arrivals tell better.
            let told = participant.downlink.estimator_report().filter(|report| report.acknowledged.is_some());
            participant
                .line
                .on_loss(told.map_or(f64::from(fraction_lost) / 256.0, |report| report.chance_loss));
            let round_trip = participant.line.measured_round_trip();
            participant.downlink.measured(now).on_report(now, fraction_lost, round_trip);
        }
        participant.downlink.follow_estimate(now);
        let changed = participant.line.round_trip() != round_trip;
        let turned = participant.line.is_beyond_repair() != beyond_repair;
        if changed {
            self.cross_line(index);
        }
        if told {
            self.hold_back(now, index);
        }
        self.note_calm(now, index);
        if turned {
            self.allocate(now, index, None);
        } else {
            self.review(now, index, false);
        }
        self.fill_probe(now, index);
        self.enqueue(index);
    }

    fn handle_sender_report(&mut self, now: Instant, index: usize, ssrc: Ssrc, ntp: u64, rtp_time: u32) {
        let participant = &self.participants[index];
        let Some((at, encoding)) = participant.encoding_of(ssrc) else { return };
        let publication = participant.publications[at].id();
        self.cross(participant.room, || Crossing::SenderReport {
            publication,
            encoding,
            at: now,
            ntp,
            rtp_time,
        });
        self.take_sender_report(now, index, (at, encoding), ntp, rtp_time);
    }

    pub(super) fn take_sender_report(
        &mut self,
        now: Instant,
        index: usize,
        (at, encoding_index): EncodingAt,
        ntp: u64,
        rtp_time: u32,
    ) {
        let participant = &mut self.participants[index];
        let publication = &mut participant.publications[at];
        let id = publication.id();
        let Some(encoding) = publication.encoding_mut(encoding_index) else { return };
        encoding.stream.on_sender_report(now, ntp);
        encoding.clock.on_sender_report(participant.wall.on_report(now, ntp), rtp_time);
        let encoding = encoding_index;
        let event = SinkEvent::SenderReport { publication: id, encoding, now, ntp, rtp_time };
        self.rooms[participant.room].tell(event);
    }

    fn handle_report_block(
        &mut self,
        now: Instant,
        index: usize,
        block: &rtcp::ReportBlock,
        loss: &mut LossReport,
    ) {
        let participant = &mut self.participants[index];
        let Some(at) = participant.slot_of(block.ssrc) else { return };
        if let Some(round_trip) = participant.slots[at].on_report(now, block) {
            participant.line.on_round_trip(round_trip);
        }
        loss.add(block.fraction_lost);
    }

    /// A subscriber lacks a packet: it is sent again from the publisher's history. It has asked for it, or feedback tells that it was lost.
    pub(super) fn retransmit(&mut self, now: Instant, index: usize, media: Ssrc, sequence: u16, asked: bool) {
        let Some(participant) = self.participants.get_mut(index) else { return };
        let Some(at) = participant.slot_of(media) else { return };
        let Some(source) = participant.slots[at].source else { return };
        let line = participant.line;
        let (sent, copies) = match participant.slots[at].wanted_again(now, sequence, &line, asked) {
            Ok(again) => again,
            Err(_) if !asked => return,
            Err(reason) => {
                self.counters.retransmissions_refused += 1;
                if matches!(reason, NotAgain::TooLate | NotAgain::OverBudget) {
                    // What builds upon it will not be decoded: no need to wait until the client gives up.
                    self.wanted_keyframe(now, index, media);
                }
                return;
            }
        };
        let (participant, packet) = (&self.participants[index], self.source_packet(&source, &sent));
        let useless = participant.downlink.lets_wait(now, participant.slots[at].is_past(&sent));
        let Some(packet) = packet.filter(|_| !useless) else {
            self.counters.retransmissions_refused += 1;
            return;
        };
        let participant = &mut self.participants[index];
        let Some(transport) = &mut participant.transport else { return };
        let slot = &mut participant.slots[at];
        for _ in 0..copies {
            self.counters.packets_retransmitted += 1;
            participant.downlink.count_repair(now, packet.payload.len());
            if participant.downlink.has_room_to_repair(now) {
                slot.retransmit(now, &packet, &sent, transport, &mut participant.downlink);
            } else {
                let waiting = Waiting { repair: true, slot: at, packet: packet.clone(), sent };
                participant.downlink.hold(now, waiting);
            }
        }
    }

    /// The packet that a slot sent under some number, while the publisher's history has it.
    fn source_packet(&self, source: &Source, sent: &Sent) -> Option<SourcePacket> {
        let publisher = self.participants.get(source.participant)?;
        let publication = &publisher.publications[publisher.publication(source.publication)?];
        publication.encoding(sent.encoding)?.history.lookup(sent.source_sequence).cloned()
    }

    /// Sends what a probe of the line lacks: what waits anyway, else packets that were sent before.
    pub(super) fn fill_probe(&mut self, now: Instant, index: usize) {
        let mut step = 0;
        while self.participants[index].downlink.probe_lacks(now) {
            let participant = &mut self.participants[index];
            if participant.release_one(now) {
                continue;
            }
            let Some(transport) = &mut participant.transport else { return };
            if step == MAX_PROBE_STEPS {
                let padded = participant
                    .slots
                    .iter_mut()
                    .find_map(|slot| slot.pad(now, transport, &mut participant.downlink));
                if padded.is_none() {
                    participant.downlink.abandon_probe();
                }
                self.counters.packets_probing += u64::from(padded.is_some());
                continue;
            }
            let slots = participant.slots.len().max(1);
            let (at, back) = (step % slots, step / slots);
            step += 1;
            let Some(slot) = participant.slots.get(at) else { continue };
            let Some((source, sent)) = slot.source.zip(slot.probe(back)) else { continue };
            let Some(packet) = self.source_packet(&source, &sent) else { continue };
            let participant = &mut self.participants[index];
            let Some(transport) = &mut participant.transport else { return };
            let slot = &mut participant.slots[at];
            slot.retransmit(now, &packet, &sent, transport, &mut participant.downlink);
            self.counters.packets_probing += 1;
        }
        self.enqueue(index);
    }

    /// A subscriber cannot decode without a key frame of what its slot carries.
    fn wanted_keyframe(&mut self, now: Instant, index: usize, media: Ssrc) {
        let participant = &self.participants[index];
        let Some(slot) = participant.slot_of(media).map(|at| &participant.slots[at]) else { return };
        let (Some(publication), Some(encoding)) = (slot.publication(), slot.selector.shown_or_wanted())
        else {
            return;
        };
        self.request_keyframe(now, publication, encoding);
    }
}

/// The losses that one compound reports.
#[derive(Default)]
struct LossReport {
    sum: u32,
    blocks: u32,
}

impl LossReport {
    fn add(&mut self, fraction: u8) {
        self.sum += u32::from(fraction);
        self.blocks += 1;
    }

    /// In 1/256.
    fn mean(&self) -> Option<u8> {
        self.sum.checked_div(self.blocks).map(|mean| mean as u8)
    }
}

/// Packets looked at to fill one turn of a probe.
const MAX_PROBE_STEPS: usize = 256;
/// Sequence numbers looked at in one negative acknowledgement: as many as are kept.
const MAX_LOST: usize = 512;
