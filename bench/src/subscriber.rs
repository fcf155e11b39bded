//! A client that receives: its slots, what it asks of the server, and what arrived.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::raw_packet::RawPacket;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};

use crate::arrivals::Arrivals;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::flow::{Flow, Flows};
use crate::mark::Mark;
use crate::routes::{Route, Routes};
use crate::sdp::{MediaSection, sections};
use crate::sealed::SealedHeader;
use crate::source::MediaKind;
use crate::verify::{Received, Seen, StreamCounts};

mod slot;

use slot::Slot;

/// What the signaling said a slot shows: its mid, and the number of the publisher.
pub type SlotContent = (String, Option<u32>);

/// What a subscriber saw, apart from its streams' counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriberCounts {
    /// Packets with SSRCs that no slot has.
    pub unknown: u64,
    /// Packets whose publisher is not the one the slot should show.
    pub misdirected: u64,
    /// Packets of padding only.
    pub padding: u64,
    /// NACKs sent, by packet asked for.
    pub nacked: u64,
    /// Key frames asked for.
    pub key_frames_asked: u64,
    /// Transport-wide feedback sent.
    pub feedback: u64,
}

/// How much of the streams a subscriber should have had in the measuring window it got. Counted are slots that
/// showed the same publisher from the window's beginning to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Packets their publishers sent.
    pub expected: u64,
    /// Of these, packets that came.
    pub received: u64,
    /// Streams there should be.
    pub streams: u64,
    /// Streams with a whole key frame, or a sound.
    pub whole: u64,
}

impl Delivery {
    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.received += other.received;
        self.streams += other.streams;
        self.whole += other.whole;
    }
}

/// Where a subscriber's measurements go.
#[derive(Debug)]
pub struct Meters {
    /// Ages of the window's packets, in microseconds: of video, or of audio where no video is received. What was sent before
    /// the member was there and its slot showed the publisher had been kept for it, and has no age.
    pub latency: Histogram<u64>,
    /// The same of all packets since somebody last looked.
    pub recent: Histogram<u64>,
    /// The distance between a publisher's picture and sound, by sender reports, in microseconds.
    pub av_offset: Histogram<u64>,
    /// Different packets of the window that came, to members that stay and to those who come and go.
    pub packets: u64,
    /// Whether the window is open.
    pub open: bool,
}

impl Meters {
    /// Nothing is measured yet.
    pub fn new() -> Self {
        let histogram = crate::client::latency_histogram;
        Self { latency: histogram(), recent: histogram(), av_offset: histogram(), packets: 0, open: false }
    }

    /// The window opens: what was measured before is forgotten.
    pub fn open_window(&mut self) {
        self.latency.reset();
        self.av_offset.reset();
        (self.packets, self.open) = (0, true);
    }

    /// The window closes. What was sent in it may still come.
    pub fn close_window(&mut self) {
        self.open = false;
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

impl SubscriberCounts {
    /// Adds another subscriber's counts.
    pub fn add(&mut self, other: &Self) {
        self.unknown += other.unknown;
        self.misdirected += other.misdirected;
        self.padding += other.padding;
        self.nacked += other.nacked;
        self.key_frames_asked += other.key_frames_asked;
        self.feedback += other.feedback;
    }
}

/// The receiving side of a client.
#[derive(Debug)]
pub struct Subscriber {
    slots: Vec<Slot>,
    routes: Routes,
    flows: Arc<Flows>,
    fps: u32,
    counts: SubscriberCounts,
    /// With the header extension that numbers what arrives.
    arrivals: Option<(u8, Arrivals)>,
    connected: Option<Instant>,
    expects: (u64, u64),
    first_media: Option<Instant>,
    complete: Option<Instant>,
    next_report: Option<Instant>,
    next_key_frame_request: Option<Instant>,
}

impl Subscriber {
    /// A subscriber that should come to see and hear so many streams of `fps` frames a second.
    pub fn new(expects: (u32, u32), fps: u32, flows: Arc<Flows>) -> Self {
        Self {
            slots: Vec::new(),
            routes: Routes::default(),
            flows,
            fps,
            counts: SubscriberCounts::default(),
            arrivals: None,
            connected: None,
            expects: (u64::from(expects.0), u64::from(expects.1)),
            first_media: None,
            complete: None,
            next_report: None,
            next_key_frame_request: None,
        }
    }

    /// Tells every `interval` what arrived, by the numbers in that header extension.
    pub fn send_feedback(&mut self, interval: Duration, extension: u8) {
        self.arrivals = Some((extension, Arrivals::new(interval)));
    }

    /// Makes a slot of every media section of the answer that the server sends on.
    pub fn negotiated(&mut self, sections: &[MediaSection]) {
        for section in sections.iter().filter(|section| !section.rejected) {
            // Only what the server sends on has an SSRC in its answer.
            if section.ssrc.is_some() {
                self.add_slot(section);
            }
        }
    }

    /// The same where all sections are to be received and the server need not announce its SSRCs: a stream is then known by the
    /// payload type that `offer` has for it.
    pub fn negotiated_by_answer(&mut self, offer: &str, answered: &[MediaSection]) {
        for (own, section) in sections(offer).iter().zip(answered) {
            let Some(slot) = self.add_slot(section) else { continue };
            for (payload_type, retransmission) in [(own.payload_type, false), (own.rtx_payload_type, true)] {
                if let Some(payload_type) = payload_type {
                    self.routes.expect(payload_type, Route { slot, retransmission });
                }
            }
        }
    }

    fn add_slot(&mut self, section: &MediaSection) -> Option<usize> {
        let kind = section.kind?;
        let slot = self.slots.len();
        for (ssrc, retransmission) in [(section.ssrc, false), (section.rtx_ssrc, true)] {
            if let Some(ssrc) = ssrc {
                self.routes.announce(ssrc, Route { slot, retransmission });
            }
        }
        self.slots.push(Slot::new(kind, section, self.fps));
        Some(slot)
    }

    /// The slot that a packet is for, and whether it retransmits.
    fn route(&mut self, ssrc: u32, payload_type: u8) -> Option<Route> {
        let (route, learnt) = self.routes.of(ssrc, payload_type)?;
        if learnt
            && !route.retransmission
            && let Some(slot) = self.slots.get_mut(route.slot)
        {
            slot.ssrc = Some(ssrc);
        }
        Some(route)
    }

    /// Begins to ask for what is missing.
    pub fn start(&mut self, now: Instant) {
        self.connected = Some(now);
        self.next_report = Some(now + REPORT_INTERVAL);
        self.next_key_frame_request = Some(now + KEY_FRAME_PATIENCE);
    }

    /// Takes what the signaling says the slots show now.
    pub fn set_slots(&mut self, now: Instant, contents: &[SlotContent]) {
        for (mid, content) in contents {
            let slot = self.slots.iter_mut().find(|slot| slot.mid == *mid);
            if let Some(slot) = slot.filter(|slot| slot.content != *content) {
                slot.content = *content;
                // What comes after a pause or a change goes on from nothing; a first picture may be here already.
                if slot.content_since.replace(now).is_some() {
                    slot.verifier.restart();
                }
                slot.window = None;
                slot.clock = None;
                slot.offset_us = None;
            }
        }
    }

    /// A measuring window begins.
    pub fn open_window(&mut self) {
        for slot in &mut self.slots {
            slot.window = slot.content.map(|publisher| (publisher, slot.verifier.counts().measured));
            slot.sealed_window = slot.sealed_so_far();
            slot.sealed_end = None;
        }
    }

    /// The measuring window ends.
    pub fn close_window(&mut self) {
        for slot in &mut self.slots {
            slot.sealed_end = Some(slot.sealed_so_far());
        }
    }

    /// When the first whole key frame was there, or the first sound of who sees nothing.
    pub fn first_media(&self) -> Option<Instant> {
        self.first_media
    }

    /// When the last of the streams it should have was whole.
    pub fn complete(&self) -> Option<Instant> {
        self.complete
    }

    /// What it should have had in the window, and what it got: video, audio.
    pub fn delivery(&self) -> (Delivery, Delivery) {
        let of = |kind: MediaKind, streams: u64| {
            let slots = self.slots.iter().filter(|slot| slot.kind == kind);
            let whole = slots.clone().filter(|slot| slot.whole).count() as u64;
            let mut delivery = Delivery { streams, whole: whole.min(streams), ..Delivery::default() };
            for slot in slots {
                let Some((publisher, before)) = slot.window else { continue };
                if slot.sealed {
                    let (begin, end) = (slot.sealed_window, slot.sealed_end.unwrap_or(slot.sealed_so_far()));
                    delivery.expected += end.0 - begin.0;
                    delivery.received += end.1 - begin.1;
                    continue;
                }
                delivery.expected += self.flows.flow(publisher, kind).map_or(0, Flow::measured);
                delivery.received += slot.verifier.counts().measured - before;
            }
            delivery
        };
        (of(MediaKind::Video, self.expects.0), of(MediaKind::Audio, self.expects.1))
    }

    /// The streams' counts: video, audio.
    pub fn streams(&self) -> (StreamCounts, StreamCounts) {
        let mut sums = (StreamCounts::default(), StreamCounts::default());
        for slot in &self.slots {
            match slot.kind {
                MediaKind::Video => sums.0.add(&slot.verifier.counts()),
                MediaKind::Audio => sums.1.add(&slot.verifier.counts()),
            }
        }
        sums
    }

    /// Everything else it counted.
    pub fn counts(&self) -> SubscriberCounts {
        self.counts
    }

    /// Takes a packet.
    pub fn handle_rtp(&mut self, now: Instant, packet: &rtp::Packet, meters: &mut Meters) {
        if let Some((id, arrivals)) = &mut self.arrivals
            && let Some([high, low]) = packet.header.get_extension(*id).as_deref()
        {
            arrivals.note(now, u16::from_be_bytes([*high, *low]));
        }
        let Some(route) = self.route(packet.header.ssrc, packet.header.payload_type) else {
            self.counts.unknown += 1;
            return;
        };
        let Route { slot: index, retransmission: retransmitted } = route;
        let Some(slot) = self.slots.get_mut(index) else { return };
        let (sequence_number, payload) = match (retransmitted, packet.payload.split_first_chunk::<2>()) {
            (false, _) if !packet.payload.is_empty() => (packet.header.sequence_number, &packet.payload[..]),
            (true, Some((original, payload))) if !payload.is_empty() => {
                (u16::from_be_bytes(*original), payload)
            }
            _ => {
                self.counts.padding += 1;
                return;
            }
        };
        let asked = slot.note_arrival(now, sequence_number, packet.header.timestamp, retransmitted);
        // Without a stream for it, what comes again comes as it was.
        let retransmitted = retransmitted || (asked && !slot.has_rtx);
        let received = Received {
            sequence_number,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            retransmitted,
            payload,
        };
        let Some(verdict) = slot.verifier.receive(now, received, &self.flows) else { return };
        if slot.is_misdirected(now, verdict.mark.publisher) {
            self.counts.misdirected += 1;
        }
        meters.packets += u64::from(verdict.measured);
        let leading = slot.kind == MediaKind::Video || self.expects.0 == 0;
        let there = slot.content_since.zip(self.connected).map(|(shown, connected)| shown.max(connected));
        if leading && there.is_some_and(|there| Clock::nanos(there) <= verdict.mark.sent_ns) {
            let age = Clock::nanos(now).saturating_sub(verdict.mark.sent_ns) / 1000;
            meters.recent.saturating_record(age);
            if verdict.measured {
                meters.latency.saturating_record(age);
            }
        }
        if verdict.completed == Some(true) && !slot.whole {
            slot.whole = true;
            if leading {
                self.first_media.get_or_insert(now);
            }
            self.look_for_complete(now);
        }
        if verdict.measured && verdict.mark.index == 0 && !retransmitted {
            self.compare_clocks(index, &verdict.mark, packet.header.timestamp, meters);
        }
    }

    /// Takes a packet that is not opened: what can be told of it is whether its stream has gaps.
    pub fn handle_sealed(&mut self, now: Instant, header: SealedHeader, meters: &mut Meters) {
        if let (Some((_, arrivals)), Some(number)) = (&mut self.arrivals, header.transport_number) {
            arrivals.note(now, number);
        }
        let Some(Route { slot, retransmission: false }) = self.route(header.ssrc, header.payload_type) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(slot) else { return };
        let number = slot.sequence.extend(header.sequence_number);
        if slot.seen.insert(number) == Seen::Before {
            return;
        }
        slot.report.first.get_or_insert(number);
        slot.report.received += 1;
        slot.sealed = true;
        meters.packets += u64::from(meters.open);
        if !slot.whole {
            slot.whole = true;
            self.first_media.get_or_insert(now);
            self.look_for_complete(now);
        }
    }

    fn look_for_complete(&mut self, now: Instant) {
        let whole = |kind| self.slots.iter().filter(|slot| slot.kind == kind && slot.whole).count() as u64;
        if whole(MediaKind::Video) >= self.expects.0 && whole(MediaKind::Audio) >= self.expects.1 {
            self.complete.get_or_insert(now);
        }
    }

    /// By the server's sender reports, when the packet's moment was; and how far that is from what the same
    /// publisher's other stream says.
    fn compare_clocks(&mut self, index: usize, mark: &Mark, timestamp: u32, meters: &mut Meters) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some((ntp_us, reported)) = slot.clock else { return };
        let ticks = timestamp.wrapping_sub(reported).cast_signed();
        let moment = ntp_us + i64::from(ticks) * 1_000_000 / slot.clock_rate();
        slot.offset_us = Some(moment - (mark.sent_ns / 1000).cast_signed());
        let (kind, content, offset) = (slot.kind, slot.content, slot.offset_us);
        let other = self.slots.iter().find(|slot| slot.kind != kind && slot.content == content);
        if let (MediaKind::Video, Some(_), Some(own), Some(other)) =
            (kind, content, offset, other.and_then(|slot| slot.offset_us))
        {
            meters.av_offset.saturating_record(own.abs_diff(other));
        }
    }

    /// Remembers sender reports, for the next receiver report.
    pub fn handle_rtcp(&mut self, now: Instant, packets: &[Box<dyn rtcp::Packet>]) {
        for report in packets.iter().filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>()) {
            if let Some(slot) = self.slots.iter_mut().find(|slot| slot.ssrc == Some(report.ssrc)) {
                slot.report.last_sender_report = Some(((report.ntp_time >> 16) as u32, now));
                let us = (u128::from(report.ntp_time) * 1_000_000) >> 32;
                slot.clock = i64::try_from(us).ok().map(|us| (us, report.rtp_time));
            }
        }
    }

    /// When [`Subscriber::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let nacks = self.slots.iter().filter_map(Slot::next_nack);
        let feedback = self.arrivals.as_ref().and_then(|(_, arrivals)| arrivals.poll_timeout());
        nacks.chain(feedback).chain(self.next_report).chain(self.next_key_frame_request).min()
    }

    /// Sends reports, NACKs and key frame requests that are due.
    pub fn handle_timeout(&mut self, now: Instant, connection: &mut Connection) {
        for slot in &mut self.slots {
            let numbers = slot.due_nacks(now);
            if let (Some(media_ssrc), false) = (slot.ssrc, numbers.is_empty()) {
                self.counts.nacked += numbers.len() as u64;
                let nacks = nack_pairs_from_sequence_numbers(&numbers);
                let nack = TransportLayerNack { sender_ssrc: OWN_SSRC, media_ssrc, nacks };
                connection.send_rtcp(now, vec![Box::new(nack)]);
            }
        }
        if let Some((_, arrivals)) = &mut self.arrivals {
            let media = self.slots.iter().find_map(|slot| slot.ssrc).unwrap_or_default();
            for packet in arrivals.feedback(now, OWN_SSRC, media) {
                self.counts.feedback += 1;
                connection.send_rtcp(now, vec![Box::new(RawPacket(packet))]);
            }
        }
        if self.next_report.is_some_and(|at| at <= now) {
            self.next_report = Some(now + REPORT_INTERVAL);
            let reports: Vec<ReceptionReport> =
                self.slots.iter_mut().filter_map(|slot| slot.reception(now)).collect();
            for reports in reports.chunks(31) {
                let report =
                    ReceiverReport { ssrc: OWN_SSRC, reports: reports.to_vec(), ..ReceiverReport::default() };
                connection.send_rtcp(now, vec![Box::new(report)]);
            }
        }
        if self.next_key_frame_request.is_some_and(|at| at <= now) {
            self.next_key_frame_request = Some(now + KEY_FRAME_PATIENCE);
            let blind =
                |slot: &&mut Slot| slot.kind == MediaKind::Video && slot.content.is_some() && slot.is_blind();
            for slot in self.slots.iter_mut().filter(blind) {
                // Of a stream that was not announced and has not begun, nothing can be asked.
                let Some(media_ssrc) = slot.ssrc else { continue };
                self.counts.key_frames_asked += 1;
                slot.report.gave_up = false;
                let pli = PictureLossIndication { sender_ssrc: OWN_SSRC, media_ssrc };
                connection.send_rtcp(now, vec![Box::new(pli)]);
            }
        }
        connection.flush();
    }
}

const OWN_SSRC: u32 = 1;
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const KEY_FRAME_PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
