//! A receive slot of a subscriber and the down-track that fills it: select, munge, write, seal.

use std::time::{Duration, Instant};

use crate::bandwidth::Restraint;
use crate::codec::{Codec, Kind};
use crate::egress::{
    Copies, FrameMunger, LayerSelector, Marks, NotAgain, PictureMunger, PlayoutDelay, RtpMunger, Selection,
    Sent, SentHistory, SlotClock, SourcePacket, Target, Worth,
};
use crate::id::{Mid, PublicationId};
use crate::ingress::LineQuality;
use crate::rtcp::{ReportBlock, SenderInfo};
use crate::rtp::{EgressHeader, write_header};
use crate::sdp::{Extensions, MediaLine, PayloadFormat, SlotIdentity};
use crate::shard::carried::Packet;
use crate::shard::downlink::Downlink;
use crate::transport::Transport;

/// One slot. Its SSRC, sequence numbers and clock are its own for its whole life, whatever it carries.
pub(super) struct Slot {
    pub(super) mid: Mid,
    pub(super) kind: Kind,
    pub(super) identity: SlotIdentity,
    formats: Vec<PayloadFormat>,
    extensions: Extensions,
    pub(super) source: Option<Source>,
    /// What it would carry, had the client a decoder for it.
    pub(super) undecodable: Option<PublicationId>,
    pub(super) selector: LayerSelector,
    munger: RtpMunger,
    pictures: PictureMunger,
    frames: FrameMunger,
    sent: SentHistory,
    clock: SlotClock,
    timing: Timing,
    rtx_sequence: u64,
    /// Encoding and timestamp, as received, of the last key frame.
    key: Option<(u8, u32)>,
    /// The client has reported on our SSRC, so it knows which m-line it belongs to and packets need not say so any more.
    mid_acknowledged: bool,
    /// How long the client is to hold pictures back.
    playout: PlayoutDelay,
    /// As it reported last.
    jitter: Duration,
    packets: u32,
    octets: u32,
    /// What the line allows it to show, once that was looked at.
    pub(super) allotment: Allotment,
}

/// What a slot carries.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) publication: PublicationId,
    /// The publisher's index in the shard.
    pub(super) participant: usize,
    codec: Codec,
    payload_type: u8,
    rtx_payload_type: Option<u8>,
    red_payload_type: Option<u8>,
}

/// What a slot is to show.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allotment {
    /// What the line has room for; `None` before that was looked at, and in a pause.
    pub(super) target: Option<Target>,
    /// The line has no room even for the least.
    pub(super) paused: bool,
    /// Since when.
    pub(super) paused_since: Option<Instant>,
    pub(super) restraint: Restraint,
}

/// Which times a slot gives to pictures. Timestamps of pictures are as received.
#[derive(Clone, Copy)]
enum Timing {
    /// Their own.
    Own,
    /// What came before is shown in quick succession, so far apart, from the time of the latest on.
    Replay { apart: Duration, last: Option<u32> },
    /// Their own, as soon as that is later than what was sent last.
    CatchingUp { last: u32 },
}

impl Timing {
    /// After a picture that was given its own time, or a later one: one of the same time as what was sent before comes a little later, and the next one is in
    /// time again.
    fn after(self, picture: u32, late: bool) -> Self {
        match self {
            Self::Replay { apart, .. } => Self::Replay { apart, last: Some(picture) },
            _ if late => Self::CatchingUp { last: picture },
            _ => Self::Own,
        }
    }
}

/// A source packet that is for this slot, under its new numbers.
pub(super) struct Munged {
    pub(super) sent: Sent,
    /// It begins what is shown from now on.
    pub(super) switched: bool,
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
            undecodable: None,
            selector: LayerSelector::default(),
            munger: RtpMunger::new(start.sequence),
            pictures: PictureMunger::default(),
            frames: FrameMunger::default(),
            sent: SentHistory::default(),
            clock: SlotClock::new(rate, start.rtp_time, origin),
            timing: Timing::Own,
            rtx_sequence: FIRST_CYCLE + u64::from(start.rtx_sequence),
            key: None,
            mid_acknowledged: false,
            playout: PlayoutDelay::default(),
            jitter: Duration::ZERO,
            packets: 0,
            octets: 0,
            allotment: Allotment::default(),
        }
    }

    /// Takes over what a new negotiation says of the m-line.
    pub(super) fn renegotiate(&mut self, line: &MediaLine) {
        self.formats.clone_from(&line.codecs);
        if self.extensions != line.extensions {
            // Under other ids nothing can be sent again as it was.
            self.extensions = line.extensions;
            self.sent.clear();
        }
    }

    pub(super) fn publication(&self) -> Option<PublicationId> {
        self.source.map(|source| source.publication)
    }

    /// Whether each packet carries the one before it once more.
    pub(super) fn repeats(&self) -> bool {
        self.source.is_some_and(|source| source.red_payload_type.is_some())
    }

    /// Empties the slot. The output goes on later where it stopped.
    pub(super) fn clear(&mut self) {
        self.source = None;
        self.selector = LayerSelector::default();
        self.sent.clear();
        self.timing = Timing::Own;
        self.key = None;
        self.allotment = Allotment::default();
    }

    /// Puts a publication into the slot; nothing flows before the selector has a target. `false` when the client cannot decode it.
    pub(super) fn fill(
        &mut self,
        publication: PublicationId,
        participant: usize,
        published: &PayloadFormat,
    ) -> bool {
        let Some(format) = published.among(&self.formats) else {
            self.undecodable = Some(publication);
            return false;
        };
        let codec = format.codec;
        let source = Source {
            publication,
            participant,
            codec,
            payload_type: format.payload_type,
            rtx_payload_type: format.rtx_payload_type,
            red_payload_type: format.red_payload_type,
        };
        self.clear();
        if codec.kind() == Kind::Audio {
            self.selector = LayerSelector::passthrough();
        }
        self.source = Some(source);
        true
    }

    /// Decides about one source packet and renumbers it; `None` when it is not for this slot now. `time` is the instant that its timestamp means.
    #[inline]
    pub(super) fn select(&mut self, packet: &SourcePacket, time: Instant) -> Option<Munged> {
        let source = self.source?;
        let selection = self.selector.select(packet);
        match selection {
            Selection::Drop => return None,
            Selection::Skip => {
                // VP9 counts its references by picture numbers: there they stay.
                if let (Codec::Vp8, Some(numbers)) = (source.codec, &packet.info.numbers) {
                    self.pictures.skip(numbers);
                }
                return self.leave_out(packet);
            }
            Selection::Switch => {
                let (rtp_time, late) = self.clock.rtp_after(time, STEP);
                self.timing = self.timing.after(packet.timestamp, late);
                self.munger.switch_to(packet.sequence, packet.timestamp, rtp_time);
                if let Some(numbers) = &packet.info.numbers {
                    self.pictures.switch_to(numbers);
                }
                if let Some(frame) = &packet.info.dependency {
                    self.frames.switch_to(frame.frame_number);
                }
            }
            Selection::Forward => self.set_time(packet, time),
        }
        if packet.payload.is_empty() {
            return self.leave_out(packet);
        }
        let munged = self.munger.forward(packet.sequence, packet.timestamp)?;
        if selection == Selection::Switch {
            self.playout.remind();
        }
        if packet.info.starts_keyframe {
            self.key = Some((packet.encoding, packet.timestamp));
        }
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
            // What came before a switch was not for this slot.
            redundant: selection == Selection::Forward
                && source.red_payload_type.is_some()
                && packet.earlier.is_some(),
            worth: self.worth(packet),
            marks: Marks::default(),
        };
        match self.timing {
            Timing::Own => self.clock.on_sent(munged.timestamp, time),
            _ => self.clock.on_sent_catching_up(munged.timestamp, time),
        }
        Some(Munged { sent, switched: selection == Selection::Switch })
    }

    /// Whether something was sent of what it carries now.
    pub(super) fn has_begun(&self) -> bool {
        self.key.is_some()
    }

    /// Whether anything was sent, of this publication or another one: there is a clock that must not turn back.
    pub(super) fn has_sent(&self) -> bool {
        self.clock.has_begun()
    }

    /// What is selected from now on came before, and is to begin what the slot shows: so many pictures.
    pub(super) fn begin_replay(&mut self, pictures: usize) {
        let pictures = u32::try_from(pictures).unwrap_or(u32::MAX).max(1);
        self.timing = Timing::Replay { apart: (REPLAY / pictures).clamp(SMALL_STEP, APART), last: None };
    }

    /// What came before was all selected.
    pub(super) fn end_replay(&mut self) {
        self.timing = match self.timing {
            Timing::Replay { last: Some(last), .. } => Timing::CatchingUp { last },
            Timing::Replay { last: None, .. } => Timing::Own,
            timing => timing,
        };
    }

    /// Gives a picture that came before, or that follows such ones, its time to be shown.
    #[inline]
    fn set_time(&mut self, packet: &SourcePacket, time: Instant) {
        let (last, least) = match self.timing {
            Timing::Own => return,
            Timing::Replay { apart, last } => (last, apart),
            Timing::CatchingUp { last } => (Some(last), SMALL_STEP),
        };
        if !last.is_some_and(|last| (1..1 << 31).contains(&packet.timestamp.wrapping_sub(last))) {
            return;
        }
        let (rtp_time, late) = self.clock.rtp_after(time, least);
        self.munger.retime(packet.sequence, packet.timestamp, rtp_time);
        self.timing = self.timing.after(packet.timestamp, late);
    }

    /// A packet that is not for this viewer: numbers close up over it. Where those after it have gone out already its number is sent with nothing in it,
    /// or the viewer would go on asking for it.
    fn leave_out(&mut self, packet: &SourcePacket) -> Option<Munged> {
        if !self.munger.skip(packet.sequence) {
            return None;
        }
        let munged = self.munger.forward(packet.sequence, packet.timestamp)?;
        let sent = Sent {
            encoding: packet.encoding,
            source_sequence: packet.sequence,
            sequence: munged.sequence,
            timestamp: munged.timestamp,
            marker: false,
            picture: None,
            frame_number: None,
            empty: true,
            redundant: false,
            worth: Worth::Link,
            marks: Marks::default(),
        };
        Some(Munged { sent, switched: false })
    }

    /// What builds upon a packet that is sent.
    fn worth(&self, packet: &SourcePacket) -> Worth {
        if self.key == Some((packet.encoding, packet.timestamp)) {
            Worth::Key
        } else if packet.info.discardable || packet.info.layer.temporal > 0 {
            Worth::Spare
        } else {
            Worth::Link
        }
    }

    /// Writes and seals a selected packet. Its size, and whether it was the first of this slot.
    #[inline]
    pub(super) fn send<T: Transport>(
        &mut self,
        now: Instant,
        packet: &SourcePacket,
        sent: Sent,
        transport: &mut T,
        downlink: &mut Downlink,
    ) -> Option<(usize, bool)> {
        let source = self.source?;
        let said =
            self.extensions.playout_delay.and_then(|id| Some((id, self.playout.say(now, sent.sequence)?)));
        let header =
            EgressHeader { mid: self.name(), playout_delay: said, ..self.header(&source, packet, &sent) };
        let roc = rollover(sent.sequence);
        let id = self.extensions.transport_cc;
        let mut octets = 0;
        let mut marks = Marks {
            transport_number: None,
            mid: header.mid.is_some(),
            playout_delay: said.map(|(_, least)| least),
        };
        let size = downlink.send(now, id.is_some(), |buffer, start, number| {
            marks.transport_number = id.map(|_| number);
            let header = EgressHeader { transport_cc: id.map(|id| (id, number)), ..header };
            let header_len = write_header(buffer, &header);
            octets = write_payload(buffer, packet, &sent, source.payload_type);
            even_out(buffer, start, octets);
            transport.seal_rtp(buffer, start, header_len, roc);
        });
        self.sent.on_sent(now, Sent { marks, ..sent }, size);
        if let Some(number) = marks.transport_number.filter(|_| source.rtx_payload_type.is_some()) {
            downlink.note(number, self.as_carried(&sent, false));
        }
        let first = self.packets == 0;
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets as u32);
        Some((size, first))
    }

    /// What was sent under a 16-bit sequence number, if it may be sent again now, and how many copies.
    pub(super) fn wanted_again(
        &mut self,
        now: Instant,
        sequence: u16,
        line: &LineQuality,
        asked: bool,
    ) -> Result<(Sent, usize), NotAgain> {
        // What was asked for earlier than that was asked for before the client could know.
        let hurries = self.extensions.playout_delay.is_some() && !self.playout.waits();
        let copies =
            if hurries { Copies { first: 2, later: 2 } } else { Copies { first: 1, later: line.copies() } };
        self.sent.resend(now, sequence, line.round_trip() * 9 / 10, copies, asked)
    }

    /// A repair was lost; whether no other one is on its way.
    pub(super) fn lost_again(&mut self, sequence: u16) -> bool {
        self.sent.on_copy_lost(sequence)
    }

    fn as_carried(&self, sent: &Sent, again: bool) -> Packet {
        Packet { ssrc: self.identity.ssrc, sequence: sent.sequence as u16, again }
    }

    /// Whether it belongs to what was shown before the last key frame.
    pub(super) fn is_past(&self, sent: &Sent) -> bool {
        self.sent.is_past(sent)
    }

    /// Something sent before, to be sent again as a probe of the line; `None` when there is nothing, or no retransmission stream for it.
    pub(super) fn probe(&self, step: usize) -> Option<Sent> {
        self.source?.rtx_payload_type?;
        self.identity.rtx_ssrc?;
        self.sent.recent(step)
    }

    /// Sends a packet once more: in the retransmission stream where the client knows one (RFC 4588), else as it was.
    pub(super) fn retransmit<T: Transport>(
        &mut self,
        now: Instant,
        packet: &SourcePacket,
        sent: &Sent,
        transport: &mut T,
        downlink: &mut Downlink,
    ) -> Option<usize> {
        let source = self.source?;
        let header = self.header(&source, packet, sent);
        let id = self.extensions.transport_cc;
        let Some((payload_type, ssrc)) = source.rtx_payload_type.zip(self.identity.rtx_ssrc) else {
            let header = EgressHeader {
                mid: self.extensions.mid.map(|id| (id, self.mid)).filter(|_| sent.marks.mid),
                transport_cc: id.zip(sent.marks.transport_number),
                playout_delay: self.extensions.playout_delay.zip(sent.marks.playout_delay),
                ..header
            };
            let size = downlink.send(now, false, |buffer, start, _| {
                let header_len = write_header(buffer, &header);
                let octets = write_payload(buffer, packet, sent, source.payload_type);
                even_out(buffer, start, octets);
                transport.seal_rtp(buffer, start, header_len, rollover(sent.sequence));
            });
            return Some(size);
        };
        let sequence = self.rtx_sequence;
        self.rtx_sequence += 1;
        let header = EgressHeader {
            payload_type,
            ssrc,
            sequence: sequence as u16,
            mid: self.name(),
            playout_delay: self.extensions.playout_delay.zip(self.playout.repeat(sent.sequence)),
            ..header
        };
        let mut carried = None;
        let size = downlink.send(now, id.is_some(), |buffer, start, number| {
            carried = id.map(|_| number);
            let header = EgressHeader { transport_cc: id.map(|id| (id, number)), ..header };
            let header_len = write_header(buffer, &header);
            buffer.extend_from_slice(&(sent.sequence as u16).to_be_bytes());
            write_payload(buffer, packet, sent, source.payload_type);
            transport.seal_rtp(buffer, start, header_len, rollover(sequence));
        });
        if let Some(number) = carried {
            self.sent.on_copy(sent.sequence);
            downlink.note(number, self.as_carried(sent, true));
        }
        Some(size)
    }

    /// Sends a packet of nothing but padding in the retransmission stream (RFC 3550 section 5.1): a probe where there is nothing else.
    /// Its size; `None` where there is no such stream, or nothing was sent yet.
    pub(super) fn pad<T: Transport>(
        &mut self,
        now: Instant,
        transport: &mut T,
        downlink: &mut Downlink,
    ) -> Option<usize> {
        let ((payload_type, ssrc), id) =
            self.source?.rtx_payload_type.zip(self.identity.rtx_ssrc).zip(self.extensions.transport_cc)?;
        if self.packets == 0 {
            return None;
        }
        let sequence = self.rtx_sequence;
        self.rtx_sequence += 1;
        let header = EgressHeader {
            payload_type,
            marker: false,
            sequence: sequence as u16,
            timestamp: self.munger.last_timestamp(),
            ssrc,
            padding: true,
            mid: self.name(),
            transport_cc: None,
            audio_level: None,
            dependency: None,
            playout_delay: None,
        };
        let size = downlink.send(now, true, |buffer, start, number| {
            let header = EgressHeader { transport_cc: Some((id, number)), ..header };
            let header_len = write_header(buffer, &header);
            buffer.extend_from_slice(&PADDING);
            transport.seal_rtp(buffer, start, header_len, rollover(sequence));
        });
        Some(size)
    }

    /// The client reported on our SSRC. The round trip, where the report tells it.
    pub(super) fn on_report(&mut self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        self.mid_acknowledged = true;
        self.playout.on_report(self.sent.extend(block.highest_sequence as u16));
        self.jitter = Duration::from_micros(u64::from(block.jitter) * 1_000_000 / VIDEO_RATE);
        self.clock.round_trip(now, block.last_sender_report, block.delay_since_last)
    }

    /// How much later than others packets come, as the client reports.
    pub(super) fn jitter(&self) -> Duration {
        self.jitter
    }

    /// Pictures are to be held back so long, if the client can be told.
    pub(super) fn hold_back(&mut self, now: Instant, wanted: Duration) {
        if self.extensions.playout_delay.is_none() {
            return;
        }
        if self.packets == 0 {
            self.playout.begin(now, wanted);
        } else {
            self.playout.follow(now, wanted);
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

    /// The m-line, as long as the client has to be told.
    fn name(&self) -> Option<(u8, Mid)> {
        if self.mid_acknowledged { None } else { self.extensions.mid.map(|id| (id, self.mid)) }
    }

    fn header<'a>(&self, source: &Source, packet: &'a SourcePacket, sent: &Sent) -> EgressHeader<'a> {
        EgressHeader {
            payload_type: source.red_payload_type.filter(|_| sent.redundant).unwrap_or(source.payload_type),
            marker: sent.marker,
            sequence: sent.sequence as u16,
            timestamp: sent.timestamp,
            ssrc: self.identity.ssrc,
            padding: false,
            mid: None,
            transport_cc: None,
            audio_level: self.extensions.audio_level.zip(packet.audio_level),
            dependency: self
                .extensions
                .dependency
                .zip(sent.frame_number)
                .map(|(id, number)| (id, &packet.descriptor[..], number)),
            playout_delay: None,
        }
    }
}

/// As much padding as a packet can have: its last byte counts it.
const PADDING: [u8; 255] = {
    let mut padding = [0; 255];
    padding[254] = 255;
    padding
};

/// Where a slot's numbers start: drawn at random, as RFC 3550 asks.
#[derive(Clone, Copy)]
pub(super) struct SlotStart {
    pub(super) sequence: u16,
    pub(super) rtx_sequence: u16,
    pub(super) rtp_time: u32,
}

/// The payload as this subscriber gets it: copied once, its codec's running numbers replaced by theirs. Returns its length.
#[inline]
fn write_payload(buffer: &mut Vec<u8>, packet: &SourcePacket, sent: &Sent, payload_type: u8) -> usize {
    if sent.empty {
        return 0;
    }
    let start = buffer.len();
    if let Some(earlier) = packet.earlier.as_ref().filter(|_| sent.redundant) {
        earlier.write(buffer, payload_type, &packet.payload);
        return buffer.len() - start;
    }
    buffer.extend_from_slice(&packet.payload);
    if let (Some(numbers), Some(ids), Some(payload)) =
        (&packet.info.numbers, &sent.picture, buffer.get_mut(start..))
    {
        numbers.rewrite(payload, ids);
    }
    packet.payload.len()
}

/// Pads a large packet (RFC 3550 section 5.1) to a round length: encoders split a picture into packets that differ by a byte, the smaller ones first,
/// and only equal ones leave in one send. What it does depends on the packet alone, so that a repair is the same byte for byte.
#[inline]
fn even_out(buffer: &mut Vec<u8>, start: usize, octets: usize) {
    let lacking = buffer.len().wrapping_sub(start).wrapping_neg() % ROUND;
    if octets < LARGE || lacking == 0 {
        return;
    }
    buffer.extend_from_slice(&[0; ROUND][..lacking]);
    if let Some([first, .., last]) = buffer.get_mut(start..) {
        *first |= PADDED;
        *last = lacking as u8;
    }
}

/// The rollover counter of an extended sequence number that starts in cycle 1, which is the counter's 0.
#[inline]
fn rollover(sequence: u64) -> u32 {
    ((sequence >> 16) as u32).wrapping_sub(1)
}

const FIRST_CYCLE: u64 = 65_536;
const VIDEO_RATE: u64 = 90_000;
/// Between what two sources sent.
const STEP: Duration = Duration::from_millis(10);
/// Between pictures that catch up.
const SMALL_STEP: Duration = Duration::from_millis(1);
/// Between pictures that came before, so that the first one is decoded before the second one is late. A player that is late leaves out what a later picture
/// does not need: from a key frame and one picture each of VP8's second layer and its base that came with it, the second; and all that builds upon both.
const APART: Duration = Duration::from_millis(50);
/// Between the first of them and what follows.
const REPLAY: Duration = Duration::from_millis(100);
/// Octets of payload from which on a packet is rather one of several of a picture.
const LARGE: usize = 600;
/// A packet's length without its tag is a multiple of this; what is added is 7.5 bytes on average, 0.7 % of a large packet.
const ROUND: usize = 16;
/// The padding bit in an RTP packet's first byte.
const PADDED: u8 = 0x20;

#[cfg(test)]
mod tests;
