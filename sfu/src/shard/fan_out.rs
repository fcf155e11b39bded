//! One packet's way from a publication to its slots, and the feedback that comes back.

use std::time::Instant;

use bytes::BytesMut;

use crate::egress::SourcePacket;
use crate::id::Ssrc;
use crate::rtcp::{self, RtcpPacket};
use crate::shard::Shard;
use crate::shard::slot::Forwarded;
use crate::sink::{SinkEvent, SinkPacket};
use crate::transport::Transport;

impl<T: Transport> Shard<T> {
    #[inline]
    pub(super) fn handle_rtp(&mut self, now: Instant, index: usize, datagram: BytesMut) {
        self.counters.packets_received += 1;
        let participant = &mut self.participants[index];
        let Some((at, taken)) = participant.receive(now, datagram, &self.config.limits, &mut self.counters)
        else {
            self.counters.packets_discarded += 1;
            return;
        };
        if taken.reconsider {
            self.retarget_publication(now, index, at);
        }
        let Some(packet) = taken.packet else { return };
        let encoding = packet.encoding;
        self.fan_out(now, index, at, &packet);
        self.tap(index, at, packet);
        while let Some(packet) = self.participants[index].publications[at].release(encoding) {
            self.fan_out(now, index, at, &packet);
            self.tap(index, at, packet);
        }
    }

    /// The loop that everything is for.
    #[inline]
    fn fan_out(&mut self, now: Instant, publisher: usize, at: usize, packet: &SourcePacket) {
        let publication = &mut self.participants[publisher].publications[at];
        let Some(encoding) = publication.encoding(packet.encoding) else { return };
        let time = encoding.clock.time_of(packet.timestamp, packet.arrival);
        let subscribers = std::mem::take(&mut publication.subscribers);
        for &(index, slot) in &subscribers {
            if self.forward(now, index, slot, packet, time) {
                self.catch_up(now, (publisher, at), (index, slot), packet);
            }
        }
        self.current = Some(publisher);
        self.participants[publisher].publications[at].subscribers = subscribers;
    }

    /// One packet to one slot; whether it began what the slot shows from now on.
    #[inline]
    fn forward(
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
        let slot = &mut participant.slots[slot];
        match slot.forward(packet, time, transport, &mut participant.outbox) {
            Forwarded::Dropped => false,
            Forwarded::Sent { bytes, first, switched } => {
                self.counters.packets_forwarded += 1;
                self.counters.bytes_forwarded += bytes as u64;
                if !participant.queued {
                    participant.queued = true;
                    self.queue.push(index);
                }
                if first {
                    participant.report_soon(now);
                    self.timers.arm(index, Some(now));
                }
                switched
            }
        }
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
    fn tap(&mut self, publisher: usize, at: usize, packet: SourcePacket) {
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
            payload: packet.payload,
        }));
    }

    pub(super) fn handle_rtcp(&mut self, now: Instant, index: usize, compound: &[u8]) {
        for packet in rtcp::parse(compound) {
            match packet {
                RtcpPacket::SenderReport { ssrc, ntp, rtp_time, blocks } => {
                    self.handle_sender_report(now, index, ssrc, ntp, rtp_time);
                    for block in blocks {
                        self.handle_report_block(now, index, &block);
                    }
                }
                RtcpPacket::ReceiverReport { blocks } => {
                    for block in blocks {
                        self.handle_report_block(now, index, &block);
                    }
                }
                RtcpPacket::Nack { media, lost } => {
                    // No honest report of what one datagram can ask for is longer.
                    for sequence in lost.take(MAX_LOST) {
                        self.retransmit(now, index, media, sequence);
                    }
                }
                RtcpPacket::Pli { media } => self.wanted_keyframe(now, index, media),
                RtcpPacket::Fir { entries } => {
                    for media in entries {
                        self.wanted_keyframe(now, index, media);
                    }
                }
                _ => {}
            }
        }
        self.enqueue(index);
    }

    fn handle_sender_report(&mut self, now: Instant, index: usize, ssrc: Ssrc, ntp: u64, rtp_time: u32) {
        let participant = &mut self.participants[index];
        let Some((at, encoding_index)) = participant.encoding_of(ssrc) else { return };
        let publication = &mut participant.publications[at];
        let id = publication.id();
        let Some(encoding) = publication.encoding_mut(encoding_index) else { return };
        encoding.stream.on_sender_report(now, ntp);
        encoding.clock.on_sender_report(now, ntp, rtp_time);
        let encoding = encoding_index;
        let event = SinkEvent::SenderReport { publication: id, encoding, now, ntp, rtp_time };
        self.rooms[participant.room].tell(event);
    }

    fn handle_report_block(&mut self, now: Instant, index: usize, block: &rtcp::ReportBlock) {
        let participant = &mut self.participants[index];
        if let Some(at) = participant.slot_of(block.ssrc) {
            participant.slots[at].on_report(now, block);
        }
    }

    /// A subscriber lacks a packet: it is sent again from the publisher's history.
    fn retransmit(&mut self, now: Instant, index: usize, media: Ssrc, sequence: u16) {
        let Some(participant) = self.participants.get_mut(index) else { return };
        let Some(at) = participant.slot_of(media) else { return };
        let Some(source) = participant.slots[at].source else { return };
        let Some(sent) = participant.slots[at].wanted_again(now, sequence) else {
            self.counters.retransmissions_refused += 1;
            return;
        };
        let packet = self.participants.get(source.participant).and_then(|publisher| {
            let publication = &publisher.publications[publisher.publication(source.publication)?];
            publication.encoding(sent.encoding)?.history.lookup(sent.source_sequence).cloned()
        });
        let Some(packet) = packet else {
            self.counters.retransmissions_refused += 1;
            return;
        };
        let participant = &mut self.participants[index];
        let Some(transport) = &mut participant.transport else { return };
        let slot = &mut participant.slots[at];
        if slot.retransmit(&packet, &sent, transport, &mut participant.outbox).is_some() {
            self.counters.packets_retransmitted += 1;
        }
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

/// Sequence numbers looked at in one negative acknowledgement: as many as are kept.
const MAX_LOST: usize = 512;
