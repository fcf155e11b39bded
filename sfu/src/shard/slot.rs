//! A receive slot of a subscriber and the down-track that fills it: select, munge, write, seal.

use std::time::{Duration, Instant};

use crate::codec::{Codec, Kind};
use crate::egress::{
    FrameMunger, LayerSelector, PictureMunger, RtpMunger, Selection, Sent, SentHistory, SlotClock,
    SourcePacket,
};
use crate::id::{Mid, PublicationId};
use crate::rtcp::{ReportBlock, SenderInfo};
use crate::rtp::{EgressHeader, write_header};
use crate::sdp::{Extensions, MediaLine, PayloadFormat, SlotIdentity};
use crate::shard::outbox::Outbox;
use crate::transport::Transport;

/// One slot. Its SSRC, sequence numbers and clock are its own for its whole life, whatever it carries.
pub(super) struct Slot {
    pub(super) mid: Mid,
    pub(super) kind: Kind,
    pub(super) identity: SlotIdentity,
    formats: Vec<PayloadFormat>,
    extensions: Extensions,
    pub(super) source: Option<Source>,
    pub(super) selector: LayerSelector,
    munger: RtpMunger,
    pictures: PictureMunger,
    frames: FrameMunger,
    sent: SentHistory,
    clock: SlotClock,
    rtx_sequence: u64,
    /// The client has reported on our SSRC, so it knows which m-line it belongs to and packets need not say so any more.
    mid_acknowledged: bool,
    packets: u32,
    octets: u32,
    round_trip: Option<Duration>,
}

/// What a slot carries.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) publication: PublicationId,
    /// The publisher's index in the shard.
    pub(super) participant: usize,
    pub(super) max_height: u16,
    codec: Codec,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
}

/// What became of a source packet at a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Forwarded {
    /// Sent.
    Sent {
        /// The datagram's size.
        bytes: usize,
        /// It was the first packet of this slot.
        first: bool,
        /// It began what is shown from now on.
        switched: bool,
    },
    /// Not for this slot now.
    Dropped,
}

impl Slot {
    pub(super) fn new(line: &MediaLine, identity: SlotIdentity, start: SlotStart, origin: Instant) -> Self {
        let rate = match line.kind {
            Kind::Audio => 48_000,
            Kind::Video => 90_000,
        };
        Self {
            mid: line.mid,
            kind: line.kind,
            identity,
            formats: line.codecs.clone(),
            extensions: line.extensions,
            source: None,
            selector: LayerSelector::default(),
            munger: RtpMunger::new(start.sequence),
            pictures: PictureMunger::default(),
            frames: FrameMunger::default(),
            sent: SentHistory::default(),
            clock: SlotClock::new(rate, start.rtp_time, origin),
            rtx_sequence: FIRST_CYCLE + u64::from(start.rtx_sequence),
            mid_acknowledged: false,
            packets: 0,
            octets: 0,
            round_trip: None,
        }
    }

    /// Takes over what a new negotiation says of the m-line.
    pub(super) fn renegotiate(&mut self, line: &MediaLine) {
        self.formats.clone_from(&line.codecs);
        self.extensions = line.extensions;
    }

    pub(super) fn publication(&self) -> Option<PublicationId> {
        self.source.map(|source| source.publication)
    }

    /// Empties the slot. The output goes on later where it stopped.
    pub(super) fn clear(&mut self) {
        self.source = None;
        self.selector = LayerSelector::default();
        self.sent.clear();
    }

    /// Puts a publication into the slot; nothing flows before the selector has a target. `false` when the client cannot decode it.
    pub(super) fn fill(
        &mut self,
        publication: PublicationId,
        participant: usize,
        published: &PayloadFormat,
        max_height: u16,
    ) -> bool {
        let Some(format) = published.among(&self.formats) else { return false };
        let codec = format.codec;
        let (payload_type, rtx_payload_type) = (format.payload_type, format.rtx_payload_type);
        self.clear();
        if codec.kind() == Kind::Audio {
            self.selector = LayerSelector::passthrough();
        }
        self.source =
            Some(Source { publication, participant, max_height, codec, payload_type, rtx_payload_type });
        true
    }

    /// One source packet's way out: decide, renumber, write, seal. `time` is the instant that its timestamp means.
    #[inline]
    pub(super) fn forward<T: Transport>(
        &mut self,
        packet: &SourcePacket,
        time: Instant,
        transport: &mut T,
        outbox: &mut Outbox,
    ) -> Forwarded {
        let Some(source) = self.source else { return Forwarded::Dropped };
        let selection = self.selector.select(packet);
        match selection {
            Selection::Drop => return Forwarded::Dropped,
            Selection::Skip => {
                // VP9 counts its references by picture numbers: there they stay.
                if let (Codec::Vp8, Some(numbers)) = (source.codec, &packet.info.numbers) {
                    self.pictures.skip(numbers);
                }
                return self.leave_out(&source, packet, transport, outbox);
            }
            Selection::Switch => {
                let rtp_time = self.clock.rtp_at(time);
                self.munger.switch_to(packet.sequence, packet.timestamp, rtp_time);
                if let Some(numbers) = &packet.info.numbers {
                    self.pictures.switch_to(numbers);
                }
                if let Some(frame) = &packet.info.dependency {
                    self.frames.switch_to(frame.frame_number);
                }
            }
            Selection::Forward => {}
        }
        if packet.payload.is_empty() {
            return self.leave_out(&source, packet, transport, outbox);
        }
        let Some(munged) = self.munger.forward(packet.sequence, packet.timestamp) else {
            return Forwarded::Dropped;
        };
        let picture = packet.info.numbers.as_ref().map(|numbers| self.pictures.forward(numbers));
        let sent = Sent {
            encoding: packet.encoding,
            source_sequence: packet.sequence,
            sequence: munged.sequence,
            timestamp: munged.timestamp,
            marker: self.selector.ends_picture(packet),
            picture,
            frame_number: packet.info.dependency.map(|frame| self.frames.forward(frame.frame_number)),
            empty: false,
        };
        let first = self.packets == 0;
        let bytes = self.send(&source, packet, sent, transport, outbox);
        self.clock.on_sent(munged.timestamp, time);
        Forwarded::Sent { bytes, first, switched: selection == Selection::Switch }
    }

    /// A packet that is not for this viewer: numbers close up over it. Where those after it have gone out already its number is sent with nothing in it,
    /// or the viewer would go on asking for it.
    fn leave_out<T: Transport>(
        &mut self,
        source: &Source,
        packet: &SourcePacket,
        transport: &mut T,
        outbox: &mut Outbox,
    ) -> Forwarded {
        if !self.munger.skip(packet.sequence) {
            return Forwarded::Dropped;
        }
        let Some(munged) = self.munger.forward(packet.sequence, packet.timestamp) else {
            return Forwarded::Dropped;
        };
        let sent = Sent {
            encoding: packet.encoding,
            source_sequence: packet.sequence,
            sequence: munged.sequence,
            timestamp: munged.timestamp,
            marker: false,
            picture: None,
            frame_number: None,
            empty: true,
        };
        let bytes = self.send(source, packet, sent, transport, outbox);
        Forwarded::Sent { bytes, first: false, switched: false }
    }

    #[inline]
    fn send<T: Transport>(
        &mut self,
        source: &Source,
        packet: &SourcePacket,
        sent: Sent,
        transport: &mut T,
        outbox: &mut Outbox,
    ) -> usize {
        let header = self.header(source, packet, &sent);
        let roc = rollover(sent.sequence);
        let mut octets = 0;
        let size = outbox.push(|buffer, start| {
            let header_len = write_header(buffer, &header);
            octets = write_payload(buffer, packet, &sent);
            transport.seal_rtp(buffer, start, header_len, roc);
            true
        });
        self.sent.on_sent(sent, size);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets as u32);
        size
    }

    /// What was sent under a 16-bit sequence number, if it may be sent again now.
    pub(super) fn wanted_again(&mut self, now: Instant, sequence: u16) -> Option<Sent> {
        let pace = self.round_trip.unwrap_or(DEFAULT_ROUND_TRIP);
        self.sent.resend(now, sequence, pace)
    }

    /// Sends a packet once more: in the retransmission stream where the client knows one (RFC 4588), else as it was.
    pub(super) fn retransmit<T: Transport>(
        &mut self,
        packet: &SourcePacket,
        sent: &Sent,
        transport: &mut T,
        outbox: &mut Outbox,
    ) -> Option<usize> {
        let source = self.source?;
        let mut header = self.header(&source, packet, sent);
        let mut roc = rollover(sent.sequence);
        let rtx = source.rtx_payload_type.zip(self.identity.rtx_ssrc);
        if let Some((payload_type, ssrc)) = rtx {
            header.payload_type = payload_type;
            header.ssrc = ssrc;
            header.sequence = self.rtx_sequence as u16;
            roc = rollover(self.rtx_sequence);
            self.rtx_sequence += 1;
        }
        let size = outbox.push(|buffer, start| {
            let header_len = write_header(buffer, &header);
            if rtx.is_some() {
                buffer.extend_from_slice(&(sent.sequence as u16).to_be_bytes());
            }
            write_payload(buffer, packet, sent);
            transport.seal_rtp(buffer, start, header_len, roc);
            true
        });
        Some(size)
    }

    /// The client reported on our SSRC.
    pub(super) fn on_report(&mut self, now: Instant, block: &ReportBlock) {
        self.mid_acknowledged = true;
        if let Some(round_trip) = self.clock.round_trip(now, block.last_sender_report, block.delay_since_last)
        {
            self.round_trip = Some(round_trip);
        }
    }

    /// What a sender report says of this slot: nothing before the first packet.
    pub(super) fn sender_report(&self, now: Instant) -> Option<SenderInfo> {
        if self.packets == 0 {
            return None;
        }
        let (ntp, rtp_time) = self.clock.sender_report(now);
        Some(SenderInfo {
            ssrc: self.identity.ssrc,
            ntp,
            rtp_time,
            packets: self.packets,
            octets: self.octets,
        })
    }

    fn header<'a>(&self, source: &Source, packet: &'a SourcePacket, sent: &Sent) -> EgressHeader<'a> {
        EgressHeader {
            payload_type: source.payload_type,
            marker: sent.marker,
            sequence: sent.sequence as u16,
            timestamp: sent.timestamp,
            ssrc: self.identity.ssrc,
            mid: if self.mid_acknowledged { None } else { self.extensions.mid.map(|id| (id, self.mid)) },
            transport_cc: None,
            audio_level: self.extensions.audio_level.zip(packet.audio_level),
            dependency: self
                .extensions
                .dependency
                .zip(sent.frame_number)
                .map(|(id, number)| (id, &packet.descriptor[..], number)),
        }
    }
}

/// Where a slot's numbers start: drawn at random, as RFC 3550 asks.
#[derive(Clone, Copy)]
pub(super) struct SlotStart {
    pub(super) sequence: u16,
    pub(super) rtx_sequence: u16,
    pub(super) rtp_time: u32,
}

/// The payload as this subscriber gets it: copied once, its codec's running numbers replaced by theirs. Returns its length.
#[inline]
fn write_payload(buffer: &mut Vec<u8>, packet: &SourcePacket, sent: &Sent) -> usize {
    if sent.empty {
        return 0;
    }
    let start = buffer.len();
    buffer.extend_from_slice(&packet.payload);
    if let (Some(numbers), Some(ids), Some(payload)) =
        (&packet.info.numbers, &sent.picture, buffer.get_mut(start..))
    {
        numbers.rewrite(payload, ids);
    }
    packet.payload.len()
}

/// The rollover counter of an extended sequence number that starts in cycle 1, which is the counter's 0.
#[inline]
fn rollover(sequence: u64) -> u32 {
    ((sequence >> 16) as u32).wrapping_sub(1)
}

const FIRST_CYCLE: u64 = 65_536;
/// Until the client's first report tells.
const DEFAULT_ROUND_TRIP: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
