//! A client that receives: its slots, what it asks of the server, and what arrived.

use std::collections::BTreeMap;
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
use crate::connection::{Connection, ConnectionPlan, WireSequence};
use crate::flow::Flows;
use crate::sdp::MediaSection;
use crate::source::MediaKind;
use crate::verify::{Received, Seen, SeenWindow, StreamCounts, StreamVerifier};

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
    by_ssrc: BTreeMap<u32, (usize, bool)>,
    flows: Arc<Flows>,
    fps: u32,
    counts: SubscriberCounts,
    /// With the header extension that numbers what arrives.
    arrivals: Option<(u8, Arrivals)>,
    connected: Option<Instant>,
    first_key_frame: Option<Instant>,
    next_report: Option<Instant>,
    next_key_frame_request: Option<Instant>,
}

impl Subscriber {
    /// A subscriber to streams of `fps` frames a second.
    pub fn new(fps: u32, flows: Arc<Flows>) -> Self {
        Self {
            slots: Vec::new(),
            by_ssrc: BTreeMap::new(),
            flows,
            fps,
            counts: SubscriberCounts::default(),
            arrivals: None,
            connected: None,
            first_key_frame: None,
            next_report: None,
            next_key_frame_request: None,
        }
    }

    /// What its connection must offer to see everybody.
    pub fn plan(publishers: u32, audio: bool) -> ConnectionPlan {
        ConnectionPlan {
            receive_video: publishers,
            receive_audio: if audio { publishers } else { 0 },
            ..ConnectionPlan::default()
        }
    }

    /// Tells every `interval` what arrived, by the numbers in that header extension.
    pub fn send_feedback(&mut self, interval: Duration, extension: u8) {
        self.arrivals = Some((extension, Arrivals::new(interval)));
    }

    /// Makes a slot of every media section of the answer.
    pub fn negotiated(&mut self, sections: &[MediaSection]) {
        for section in sections.iter().filter(|section| !section.rejected) {
            let (Some(kind), Some(ssrc)) = (section.kind, section.ssrc) else { continue };
            let index = self.slots.len();
            self.by_ssrc.insert(ssrc, (index, false));
            if let Some(rtx) = section.rtx_ssrc {
                self.by_ssrc.insert(rtx, (index, true));
            }
            self.slots.push(Slot {
                mid: section.mid.clone(),
                kind,
                ssrc,
                content: None,
                content_since: None,
                verifier: StreamVerifier::new(kind, self.fps),
                sequence: WireSequence::default(),
                seen: SeenWindow::default(),
                missing: BTreeMap::new(),
                whole: false,
                report: ReportState::default(),
            });
        }
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
                slot.content_since = Some(now);
            }
        }
    }

    /// When the first whole key frame was there.
    pub fn first_key_frame(&self) -> Option<Instant> {
        self.first_key_frame
    }

    /// Video streams that had a whole key frame, of all video slots.
    pub fn streams_whole(&self) -> (u64, u64) {
        let video = self.slots.iter().filter(|slot| slot.kind == MediaKind::Video);
        (video.clone().filter(|slot| slot.whole).count() as u64, video.count() as u64)
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

    /// Takes a packet; ages of measured video packets go to `latency`, in microseconds.
    pub fn handle_rtp(&mut self, now: Instant, packet: &rtp::Packet, latency: &mut Histogram<u64>) {
        if let Some((id, arrivals)) = &mut self.arrivals
            && let Some([high, low]) = packet.header.get_extension(*id).as_deref()
        {
            arrivals.note(now, u16::from_be_bytes([*high, *low]));
        }
        let Some((slot, retransmitted)) = self.by_ssrc.get(&packet.header.ssrc).copied() else {
            self.counts.unknown += 1;
            return;
        };
        let Some(slot) = self.slots.get_mut(slot) else { return };
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
        slot.note_arrival(now, sequence_number, packet.header.timestamp, retransmitted);
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
        if verdict.measured && slot.kind == MediaKind::Video {
            let age = Clock::nanos(now).saturating_sub(verdict.mark.sent_ns) / 1000;
            latency.saturating_record(age);
        }
        if verdict.completed == Some(true) && slot.kind == MediaKind::Video {
            slot.whole = true;
            self.first_key_frame.get_or_insert(now);
        }
    }

    /// Remembers sender reports, for the next receiver report.
    pub fn handle_rtcp(&mut self, now: Instant, packets: &[Box<dyn rtcp::Packet>]) {
        for report in packets.iter().filter_map(|packet| packet.as_any().downcast_ref::<SenderReport>()) {
            if let Some(slot) = self.slots.iter_mut().find(|slot| slot.ssrc == report.ssrc) {
                slot.report.last_sender_report = Some(((report.ntp_time >> 16) as u32, now));
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
            if !numbers.is_empty() {
                self.counts.nacked += numbers.len() as u64;
                let nacks = nack_pairs_from_sequence_numbers(&numbers);
                let nack = TransportLayerNack { sender_ssrc: OWN_SSRC, media_ssrc: slot.ssrc, nacks };
                connection.send_rtcp(now, vec![Box::new(nack)]);
            }
        }
        if let Some((_, arrivals)) = &mut self.arrivals {
            let media = self.slots.first().map_or(0, |slot| slot.ssrc);
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
                self.counts.key_frames_asked += 1;
                slot.report.gave_up = false;
                let pli = PictureLossIndication { sender_ssrc: OWN_SSRC, media_ssrc: slot.ssrc };
                connection.send_rtcp(now, vec![Box::new(pli)]);
            }
        }
        connection.flush();
    }
}

#[derive(Debug)]
struct Slot {
    mid: String,
    kind: MediaKind,
    ssrc: u32,
    content: Option<u32>,
    content_since: Option<Instant>,
    verifier: StreamVerifier,
    sequence: WireSequence,
    seen: SeenWindow,
    missing: BTreeMap<u64, Missing>,
    whole: bool,
    report: ReportState,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    next: Instant,
    tries: u8,
}

#[derive(Clone, Copy, Debug, Default)]
struct ReportState {
    first: Option<u64>,
    received: u64,
    expected_before: u64,
    received_before: u64,
    jitter: f64,
    transit: Option<f64>,
    last_sender_report: Option<(u32, Instant)>,
    gave_up: bool,
}

impl Slot {
    fn note_arrival(&mut self, now: Instant, sequence_number: u16, timestamp: u32, retransmitted: bool) {
        let before = self.sequence.highest();
        let number = self.sequence.extend(sequence_number);
        self.missing.remove(&number);
        if self.seen.insert(number) == Seen::Before {
            return;
        }
        let report = &mut self.report;
        report.first.get_or_insert(number);
        report.received += 1;
        if !retransmitted {
            // RFC 3550 section 6.4.1, interarrival jitter.
            let clock = if self.kind == MediaKind::Video { 90_000.0 } else { 48_000.0 };
            let transit = Clock::nanos(now) as f64 * 1e-9 * clock - f64::from(timestamp);
            if let Some(last) = report.transit.replace(transit) {
                report.jitter += ((transit - last).abs().min(clock) - report.jitter) / 16.0;
            }
        }
        if let (MediaKind::Video, Some(before)) = (self.kind, before)
            && number > before + 1
        {
            // Of a longer gap only the newest packets are asked for; the rest counts as lost.
            let first = (before + 1).max(number.saturating_sub(MAX_MISSING));
            report_gap(&mut self.missing, first..number, now);
        }
    }

    fn next_nack(&self) -> Option<Instant> {
        self.missing.values().map(|missing| missing.next).min()
    }

    /// The numbers to ask for now; what was asked for often enough is given up.
    fn due_nacks(&mut self, now: Instant) -> Vec<u16> {
        if self.missing.is_empty() {
            return Vec::new();
        }
        let before = self.missing.len();
        self.missing.retain(|_, missing| missing.tries < NACK_TRIES || missing.next > now);
        self.report.gave_up |= self.missing.len() < before;
        let mut numbers = Vec::new();
        for (number, missing) in self.missing.iter_mut().filter(|(_, missing)| missing.next <= now) {
            missing.tries += 1;
            missing.next = now + NACK_AGAIN;
            numbers.push(*number as u16);
        }
        numbers
    }

    /// Whether a decoder could not go on: nothing whole yet, or something given up.
    fn is_blind(&self) -> bool {
        !self.whole || self.report.gave_up
    }

    fn is_misdirected(&self, now: Instant, publisher: u32) -> bool {
        let settled = |since: &Instant| now.saturating_duration_since(*since) >= SLOT_SETTLES;
        self.content_since.as_ref().is_some_and(settled) && self.content != Some(publisher)
    }

    fn reception(&mut self, now: Instant) -> Option<ReceptionReport> {
        let highest = self.sequence.highest()?;
        let report = &mut self.report;
        let expected = highest + 1 - report.first?;
        let lost = expected.saturating_sub(report.received);
        let expected_now = expected.saturating_sub(report.expected_before);
        let lost_now = expected_now.saturating_sub(report.received - report.received_before);
        report.expected_before = expected;
        report.received_before = report.received;
        let fraction = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        let (last_sender_report, delay) = report.last_sender_report.map_or((0, 0), |(report, at)| {
            let delay = now.saturating_duration_since(at).as_secs_f64() * 65_536.0;
            (report, delay as u32)
        });
        Some(ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: fraction,
            total_lost: u32::try_from(lost).unwrap_or(u32::MAX).min(0x7f_ffff),
            last_sequence_number: highest as u32 & 0xffff | ((highest >> 16) as u32).wrapping_sub(1) << 16,
            jitter: report.jitter as u32,
            last_sender_report,
            delay,
        })
    }
}

fn report_gap(missing: &mut BTreeMap<u64, Missing>, gap: std::ops::Range<u64>, now: Instant) {
    for number in gap {
        missing.insert(number, Missing { next: now + NACK_AFTER, tries: 0 });
        // The oldest go first, and count as lost.
        if missing.len() > MAX_MISSING as usize {
            missing.pop_first();
        }
    }
}

const OWN_SSRC: u32 = 1;
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const KEY_FRAME_PATIENCE: Duration = Duration::from_secs(1);
const SLOT_SETTLES: Duration = Duration::from_secs(1);
/// How long a packet may be overtaken before it is asked for.
const NACK_AFTER: Duration = Duration::from_millis(10);
const NACK_AGAIN: Duration = Duration::from_millis(100);
const NACK_TRIES: u8 = 8;
const MAX_MISSING: u64 = 512;

#[cfg(test)]
mod tests;
