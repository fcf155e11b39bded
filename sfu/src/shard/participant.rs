//! One participant: their connection, what they publish, the slots they watch through.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::codec::Kind;
use crate::config::Limits;
use crate::counters::Counters;
use crate::egress::WallClock;
use crate::id::{Mid, ParticipantId, PublicationId, RoomId, ShardIndex, Ssrc};
use crate::ingress::{ArrivalRecorder, LineQuality};
use crate::report::{ParticipantReport, SlotReport};
use crate::rtcp;
use crate::rtp::{ExtensionValues, RtpHeader};
use crate::sdp::{IceCredentials, Negotiated};
use crate::shard::downlink::{Downlink, Waiting};
use crate::shard::mirror;
use crate::shard::pictures::Picture;
use crate::shard::publication::{PublicationState, Received, SILENCE, Taken};
use crate::shard::slot::Slot;
use crate::transport::Transport;
use crate::view::{SlotAssignment, View};

/// A participant of this shard.
pub(super) struct Participant<T> {
    pub(super) id: ParticipantId,
    /// The room's index.
    pub(super) room: usize,
    /// Its place in the order of joining.
    pub(super) number: u64,
    /// The shard that this one's connection is at, if it is not this one.
    pub(super) mirror_of: Option<ShardIndex>,
    pub(super) transport: Option<T>,
    pub(super) ice: Option<IceCredentials>,
    /// The ufrag before the last ICE restart.
    pub(super) former_ufrag: Option<String>,
    pub(super) session_id: u64,
    pub(super) session_version: u64,
    pub(super) negotiated: Option<Negotiated>,
    /// Addresses that passed a check, the latest last.
    pub(super) addresses: VecDeque<SocketAddr>,
    pub(super) publications: Vec<PublicationState>,
    pub(super) next_publication: u16,
    pub(super) slots: Vec<Slot>,
    pub(super) view: View,
    /// What the view's pictures come to just now.
    pub(super) pictures: Vec<Picture>,
    /// The m-lines that carry a screen.
    pub(super) screens: Vec<Mid>,
    /// What the slots carry, as told last.
    pub(super) slots_told: Vec<SlotAssignment>,
    /// How many slots the view needs, audio and video, where that is more than there are, as said last.
    pub(super) slots_lacking: (u16, u16),
    pub(super) downlink: Downlink,
    pub(super) line: LineQuality,
    /// It is in the shard's list of those with something to send.
    pub(super) queued: bool,
    /// Its own clock, as far as it reports.
    pub(super) wall: WallClock,
    /// Where the clocks of its slots begin.
    pub(super) origin: Option<Instant>,
    /// Who we are in reports to this participant.
    ssrc: Ssrc,
    bindings: Vec<Binding>,
    arrivals: ArrivalRecorder,
    /// Packets since the last report, and how many of them were repairs.
    arrived: (u32, u32),
    next_report: Option<Instant>,
    /// When its pictures begin: a little after the handshake, since a client needs a moment to make its keys of the last flight and drops
    /// what it cannot open yet. `None` once that has passed.
    pub(super) pictures_from: Option<Instant>,
    scratch: Scratch,
}

/// Which encoding an SSRC is.
#[derive(Clone, Copy)]
struct Binding {
    ssrc: Ssrc,
    publication: PublicationId,
    /// Index of the publication in its list; rebuilt when the list changes.
    at: usize,
    encoding: u8,
    repair: bool,
}

/// An encoding of this participant: index of the publication, index of the encoding.
pub(super) type EncodingAt = (usize, u8);

/// Buffers that keep their memory between uses.
#[derive(Default)]
struct Scratch {
    missing: Vec<u64>,
    rtcp: Vec<u8>,
    /// What is said once more, in case the first is lost.
    twice: Vec<u8>,
}

impl<T: Transport> Participant<T> {
    pub(super) fn new(id: ParticipantId, room: usize, ssrc: Ssrc, session_id: u64) -> Self {
        Self {
            id,
            room,
            number: 0,
            mirror_of: None,
            transport: None,
            ice: None,
            former_ufrag: None,
            session_id,
            session_version: 0,
            negotiated: None,
            addresses: VecDeque::new(),
            publications: Vec::new(),
            next_publication: 0,
            slots: Vec::new(),
            view: View::default(),
            pictures: Vec::new(),
            screens: Vec::new(),
            slots_told: Vec::new(),
            slots_lacking: (0, 0),
            downlink: Downlink::new(),
            line: LineQuality::default(),
            queued: false,
            wall: WallClock::default(),
            origin: None,
            ssrc,
            bindings: Vec::new(),
            arrivals: ArrivalRecorder::default(),
            arrived: (0, 0),
            next_report: None,
            pictures_from: None,
            scratch: Scratch::default(),
        }
    }

    /// How many publications it has had.
    pub(super) fn published_ever(&self) -> u16 {
        self.next_publication
    }

    pub(super) fn is_connected(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.destination().is_some())
    }

    /// Whether pictures can be sent to it.
    pub(super) fn takes_pictures(&self, now: Instant) -> bool {
        self.is_connected() && self.pictures_from.is_none_or(|from| from <= now)
    }

    /// The handshake is over.
    pub(super) fn connected(&mut self, now: Instant) {
        self.pictures_from = Some(now + KEYS_MADE);
    }

    /// Whether the time of its pictures has come just now.
    pub(super) fn pictures_begin(&mut self, now: Instant) -> bool {
        let begin = self.pictures_from.is_some_and(|from| from <= now);
        if begin {
            self.pictures_from = None;
        }
        begin
    }

    pub(super) fn publication(&self, id: PublicationId) -> Option<usize> {
        self.publications.iter().position(|publication| publication.id() == id)
    }

    pub(super) fn slot_assignments(&self) -> Vec<SlotAssignment> {
        let role_of = |publication: PublicationId| {
            self.pictures.iter().find(|picture| picture.publication == publication)?.role
        };
        self.slots
            .iter()
            .map(|slot| SlotAssignment {
                mid: slot.mid,
                publication: slot.publication(),
                role: slot.publication().or(slot.undecodable).and_then(role_of),
                undecodable: slot.undecodable,
                paused: slot.allotment.paused,
            })
            .collect()
    }

    /// The slots of one kind, as indices into `slots`, in the order of m-lines.
    pub(super) fn slots_of(&self, kind: Kind) -> Vec<usize> {
        (0..self.slots.len()).filter(|&at| self.slots[at].kind == kind).collect()
    }

    /// Binds the SSRCs an offer announced, after the list of publications changed.
    pub(super) fn rebind(&mut self, announced: &[(Mid, Ssrc, Option<Ssrc>)], limits: &Limits) {
        let publications = &self.publications;
        self.bindings.retain_mut(|binding| {
            match publications.iter().position(|publication| publication.id() == binding.publication) {
                Some(at) => {
                    binding.at = at;
                    true
                }
                None => false,
            }
        });
        for &(mid, ssrc, repair) in announced {
            if let Some(at) = self.publications.iter().position(|publication| publication.mid() == mid)
                && self.publications[at].info.encodings == [None]
            {
                self.bind(ssrc, (at, 0), false, limits);
                if let Some(repair) = repair {
                    self.bind(repair, (at, 0), true, limits);
                }
            }
        }
    }

    fn bind(
        &mut self,
        ssrc: Ssrc,
        (at, encoding): EncodingAt,
        repair: bool,
        limits: &Limits,
    ) -> Option<Binding> {
        if let Some(known) = self.bindings.iter().find(|binding| binding.ssrc == ssrc) {
            return Some(*known);
        }
        let publication = self.publications.get_mut(at)?;
        let id = publication.id();
        let state = publication.encoding_mut(encoding)?;
        // An encoding has one SSRC of each sort; a new one replaces the former.
        let known = if repair { &mut state.repair_ssrc } else { &mut state.ssrc };
        self.bindings.retain(|binding| Some(binding.ssrc) != *known);
        if self.bindings.len() >= limits.ssrcs_per_participant {
            return None;
        }
        *known = Some(ssrc);
        let binding = Binding { ssrc, publication: id, at, encoding, repair };
        self.bindings.push(binding);
        Some(binding)
    }

    /// Finds which encoding a new SSRC is, by what its packet says of itself: MID and RID (RFC 8852, RFC 9143), or the only
    /// publication that its payload type can belong to.
    fn bind_by_packet(&mut self, header: &RtpHeader, packet: &[u8], limits: &Limits) -> Option<Binding> {
        let extensions = self.publications.first()?.extensions;
        let values = ExtensionValues::read(packet, header, &extensions);
        let fits = |publication: &PublicationState| {
            publication.format.payload_type == header.payload_type
                || publication.format.rtx_payload_type == Some(header.payload_type)
                || publication.format.red_payload_type == Some(header.payload_type)
        };
        let at = match values.mid {
            Some(mid) => self.publications.iter().position(|publication| publication.mid() == mid)?,
            None => {
                let mut fitting = (0..self.publications.len()).filter(|&at| fits(&self.publications[at]));
                let only = fitting.next()?;
                fitting.next().is_none().then_some(only)?
            }
        };
        let publication = &self.publications[at];
        if !fits(publication) {
            return None;
        }
        let repair = publication.format.rtx_payload_type == Some(header.payload_type);
        let encoding = match values.rid.or(values.repaired_rid) {
            Some(rid) => publication.encoding_named(rid)?,
            None if publication.encodings.len() == 1 => 0,
            None => return None,
        };
        self.bind(header.ssrc, (at, encoding), repair, limits)
    }

    /// Takes an opened RTP packet in. With `mirrored` also what crosses to other shards.
    #[inline]
    pub(super) fn receive(
        &mut self,
        now: Instant,
        datagram: BytesMut,
        limits: &Limits,
        counters: &mut Counters,
        mirrored: bool,
    ) -> Option<(usize, Taken, Option<mirror::Packet>)> {
        let header = RtpHeader::parse(&datagram)?;
        let binding = match self.bindings.iter().find(|binding| binding.ssrc == header.ssrc) {
            Some(binding) => *binding,
            None => self.bind_by_packet(&header, &datagram, limits)?,
        };
        let publication = self.publications.get_mut(binding.at)?;
        let values = ExtensionValues::read(&datagram, &header, &publication.extensions);
        if let Some(sequence) = values.transport_cc {
            self.arrivals.on_packet(now, sequence, header.ssrc);
        }
        let datagram = datagram.freeze();
        let mut payload = datagram.slice(header.header_len..header.payload_end);
        let mut sequence = header.sequence;
        if binding.repair {
            // RFC 4588 section 4: the original sequence number, then the original payload. Shorter ones are probes.
            let original = payload.first_chunk::<2>()?;
            sequence = u16::from_be_bytes(*original);
            payload = payload.slice(2..);
        }
        let redundant = !binding.repair && publication.format.red_payload_type == Some(header.payload_type);
        if !binding.repair && !redundant && header.payload_type != publication.format.payload_type {
            return None;
        }
        counters.payload_bytes_received += payload.len() as u64;
        let received = Received {
            sequence,
            timestamp: header.timestamp,
            marker: header.marker,
            audio_level: values.audio_level,
            descriptor: values.dependency.map_or_else(Bytes::new, |place| datagram.slice(place.range())),
            payload,
            repaired: binding.repair,
        };
        let repaired = received.repaired;
        let crossing = mirrored.then(|| {
            mirror::Packet::new(publication.id(), binding.encoding, now, redundant, received.clone())
        });
        let taken = if redundant {
            publication.take_redundant(now, binding.encoding, received)?
        } else {
            publication.take(now, binding.encoding, received)?
        };
        counters.packets_repaired += u64::from(repaired);
        self.arrived.0 += 1;
        self.arrived.1 += u32::from(repaired);
        if let Some(round_trip) = taken.round_trip {
            self.line.on_round_trip(round_trip);
        }
        self.next_report.get_or_insert(now + REPORT_INTERVAL);
        Some((binding.at, taken, crossing))
    }

    pub(super) fn encoding_of(&self, ssrc: Ssrc) -> Option<EncodingAt> {
        let binding = self.bindings.iter().find(|binding| binding.ssrc == ssrc && !binding.repair)?;
        Some((binding.at, binding.encoding))
    }

    pub(super) fn slot_of(&self, ssrc: Ssrc) -> Option<usize> {
        self.slots.iter().position(|slot| slot.identity.ssrc == ssrc)
    }

    /// Reports begin with the first packet sent, so that the client can align sound and picture at once.
    pub(super) fn report_soon(&mut self, now: Instant) {
        self.next_report.get_or_insert(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.mirror_of.is_some() {
            let encodings = self.publications.iter().flat_map(|publication| &publication.encodings);
            return encodings.filter_map(|encoding| encoding.keyframes.poll_timeout()).min();
        }
        let transport = self.transport.as_ref().and_then(Transport::poll_timeout);
        let media = self
            .publications
            .iter()
            .flat_map(|publication| &publication.encodings)
            .flat_map(|encoding| [encoding.nacks.poll_timeout(), encoding.asks_at()]);
        let others =
            [transport, self.next_report, self.arrivals.poll_timeout(), self.downlink.poll_timeout()];
        let others = others.into_iter().chain([self.pictures_from]);
        media.chain(others).flatten().min()
    }

    /// Sends what is due: negative acknowledgements, key-frame requests, feedback, reports. Whether the choice of encodings should be looked
    /// at again.
    pub(super) fn handle_timeout(&mut self, now: Instant, counters: &mut Counters) -> bool {
        let Some(transport) = &mut self.transport else { return false };
        transport.handle_timeout(now);
        if transport.destination().is_none() {
            self.next_report = self.next_report.filter(|&at| at > now);
            self.next_report.get_or_insert(now + REPORT_INTERVAL);
            return false;
        }
        let out = &mut self.scratch.rtcp;
        out.clear();
        self.scratch.twice.clear();
        for encoding in self.publications.iter_mut().flat_map(|publication| &mut publication.encodings) {
            let Some(media) = encoding.ssrc else { continue };
            self.scratch.missing.clear();
            encoding.nacks.poll(now, self.line.round_trip(), &mut self.scratch.missing);
            if !self.scratch.missing.is_empty() {
                counters.nacks_sent += self.scratch.missing.len() as u64;
                rtcp::write_nack(out, self.ssrc, media, &self.scratch.missing);
            }
            if encoding.nacks.take_keyframe_wish() {
                encoding.keyframes.request(now);
            }
            if encoding.keyframes.poll(now) {
                counters.keyframes_requested += 1;
                rtcp::write_pli(out, self.ssrc, media);
                if self.line.loses_up() {
                    rtcp::write_pli(&mut self.scratch.twice, self.ssrc, media);
                }
            }
        }
        self.arrivals.poll(now, self.ssrc, out);
        let report = self.next_report.is_some_and(|at| at <= now);
        if report {
            self.next_report = Some(now + REPORT_INTERVAL);
            self.write_reports(now);
            self.downlink.trim();
        }
        if let Some(estimator) = self.downlink.estimator() {
            estimator.handle_timeout(now);
            self.downlink.follow_estimate(now);
        }
        self.release(now, false);
        if let Some(transport) = &mut self.transport {
            let Scratch { rtcp: out, twice, .. } = &self.scratch;
            let datagrams = [out, twice].into_iter().flat_map(|out| rtcp::datagrams(out, MAX_RTCP_BYTES));
            for chunk in datagrams {
                self.downlink.outbox.push(|buffer, start| {
                    buffer.extend_from_slice(chunk);
                    transport.seal_rtcp(buffer, start);
                    true
                });
            }
        }
        report
    }

    /// Writes what is held back and has its turn now; with `all` whatever waits.
    pub(super) fn release(&mut self, now: Instant, all: bool) {
        while let Some(waiting) = self.downlink.release(now, all) {
            self.write(now, &waiting);
        }
    }

    /// Writes the first that waits, whether it has its turn or not; whether there was one.
    pub(super) fn release_one(&mut self, now: Instant) -> bool {
        let waiting = self.downlink.release(now, true);
        if let Some(waiting) = &waiting {
            self.write(now, waiting);
        }
        waiting.is_some()
    }

    fn write(&mut self, now: Instant, waiting: &Waiting) {
        let (Some(transport), Some(slot)) = (&mut self.transport, self.slots.get_mut(waiting.slot)) else {
            return;
        };
        if waiting.repair {
            slot.retransmit(now, &waiting.packet, &waiting.sent, transport, &mut self.downlink);
        } else {
            slot.send(now, &waiting.packet, waiting.sent, transport, &mut self.downlink);
        }
    }

    /// Works out anew what the line up loses, of what came since the last time.
    pub(super) fn review_line(&mut self) {
        let (arrived, repaired) = std::mem::take(&mut self.arrived);
        self.line.on_arrivals(arrived, repaired);
    }

    fn write_reports(&mut self, now: Instant) {
        let out = &mut self.scratch.rtcp;
        for slot in &self.slots {
            if let Some(report) = slot.sender_report(now) {
                rtcp::write_sender_report(out, &report);
                rtcp::write_cname(out, report.ssrc, &slot.identity.stream);
            }
        }
        let mut blocks = Vec::new();
        for publication in &mut self.publications {
            for encoding in &mut publication.encodings {
                if let Some(ssrc) = encoding.ssrc {
                    blocks.extend(encoding.stream.reception_report(now, ssrc));
                }
            }
        }
        for blocks in blocks.chunks(MAX_REPORT_BLOCKS) {
            rtcp::write_receiver_report(out, self.ssrc, blocks);
        }
    }

    /// How it is just now.
    pub(super) fn report(&self, now: Instant, room: RoomId) -> ParticipantReport {
        let slots = self.slots.iter().map(|slot| SlotReport {
            mid: slot.mid,
            publication: slot.publication(),
            shown: slot.selector.current(),
            allotted: slot.allotment.target,
            paused: slot.allotment.paused,
        });
        let (packets_sent, bytes_sent, bytes_waiting) = self.downlink.totals();
        ParticipantReport {
            participant: self.id,
            room,
            estimate: self.downlink.estimator_report(),
            round_trip: self.line.measured_round_trip(),
            packets_sent,
            bytes_sent,
            bytes_waiting,
            slots: slots.collect(),
            publications: self.publications.iter().map(|publication| publication.report(now)).collect(),
        }
    }

    /// Whether it has publications whose encodings or layers come and go.
    pub(super) fn has_layers(&self) -> bool {
        self.publications.iter().any(PublicationState::has_layers)
    }
}

/// How often reports are sent. RFC 3550 section 6.2 scales it with bandwidth; a second is what senders of video settle at.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Stays below the smallest MTU of IPv6 with SRTCP's trailer.
const MAX_RTCP_BYTES: usize = 1180;
const KEYS_MADE: Duration = Duration::from_millis(20);
const MAX_REPORT_BLOCKS: usize = 31;
const _: () = assert!(REPORT_INTERVAL.as_millis() < SILENCE.as_millis());
