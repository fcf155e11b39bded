//! A simulated client: publishes marked video, watches through slots, repairs, and writes down all it received.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::id::{Mid, Ssrc};
use crate::ingress::{ArrivalRecorder, ReceiveStream};
use crate::rtcp::{self, RtcpPacket};
use crate::rtp::{Extender16, ExtensionValues, RtpHeader};
use crate::sdp::Extensions;
use crate::sim::mark::Mark;
use crate::sim::plain;
use crate::sim::svc::{self, LayerMark, LayeredSource, Scheme};

/// What a simulated client does.
#[derive(Clone, Debug, Default)]
pub struct ClientPlan {
    /// Its number, found again in every [`Mark`].
    pub number: u16,
    /// Heights of the encodings it publishes, the largest first; empty for none.
    pub publishes: Vec<u16>,
    /// Video slots it offers.
    pub slots: usize,
    /// Parts of a picture.
    pub parts: u8,
    /// Pictures have the sizes that an encoder makes: smaller for smaller encodings, larger for key frames, and leave spread over some time, as
    /// browsers send them. `parts` counts no more.
    pub natural: bool,
    /// What Chromium makes of its fake camera at 540, 270 and 135 lines: three temporal layers, a hiccup every 3.3 s, and a largest encoding that takes 8 s
    /// to come to its rate. `natural` as well.
    pub lively: bool,
    /// It tells when what is sent to it arrives (transport-wide feedback), and reports on what it receives.
    pub feedback: bool,
    /// It never asks for what it lacks.
    pub mute: bool,
    /// So many pictures of an encoding are left out after the key frame that it comes back with, as libvpx does.
    pub stutters: u8,
}

impl ClientPlan {
    /// How many parts a picture of so high an encoding has.
    fn parts_of(&self, height: u16, key: bool) -> u8 {
        match (self.natural, height) {
            (false, _) => self.parts,
            (true, ..=199) => 1 + u8::from(key),
            (true, 200..=499) => {
                if key {
                    8
                } else {
                    2
                }
            }
            (true, 500..) => {
                if key {
                    24
                } else {
                    6
                }
            }
        }
    }

    /// How many bytes a picture has where `lively`, so long after the first.
    fn bytes_of(&self, height: u16, temporal: Option<u8>, key: bool, since: Duration) -> usize {
        let at = since.as_secs_f64();
        let (kbps, begun) = match height {
            ..=199 => (117.0, 1.0),
            200..=499 => (350.0, 1.0),
            500.. => (1090.0, (0.2 + at / 10.0).min(1.0)),
        };
        // A picture that others build upon is more of it.
        let part = match temporal {
            _ if key => 5.0,
            Some(2) => 0.7,
            _ => 1.3,
        };
        (kbps * 1000.0 / 8.0 / 30.3 * begun * part) as usize
    }
}

/// A client of the simulation, itself sans-IO.
pub struct Client {
    /// What it does.
    pub plan: ClientPlan,
    /// Its address.
    pub address: SocketAddr,
    /// What came, per slot.
    pub slots: Vec<Watched>,
    /// Packets of each encoding that were sent, first sendings only.
    pub published: Vec<u64>,
    /// Datagrams of media that came, when and how large.
    pub came: Vec<(Instant, usize)>,
    /// When a key frame was asked for, and of which encoding.
    pub keys_asked: Vec<(Instant, usize)>,
    ufrag: Option<String>,
    connected: bool,
    encodings: Vec<Sending>,
    /// What it publishes and shows is layered, instead of plain VP8.
    scheme: Option<Scheme>,
    layered: Option<LayeredSource>,
    /// Pictures taken so far, whichever encodings were made of them.
    pictures: u32,
    out: VecDeque<Bytes>,
    /// Parts of pictures whose time to leave has not come.
    paced: VecDeque<(Instant, Bytes)>,
    next_frame: Option<Instant>,
    first_frame: Option<Instant>,
    next_check: Option<Instant>,
    next_repair: Option<Instant>,
    next_report: Option<Instant>,
    arrivals: ArrivalRecorder,
}

/// What a slot received.
pub struct Watched {
    /// The slot's m-line.
    pub mid: Mid,
    /// Marks by extended sequence number, repaired ones included.
    pub received: BTreeMap<u64, Mark>,
    /// When each number came first.
    pub arrivals: BTreeMap<u64, Instant>,
    /// RTP timestamps by extended sequence number.
    pub timestamps: BTreeMap<u64, u32>,
    /// The same for layered video.
    pub layers: BTreeMap<u64, LayerMark>,
    /// Numbers that came with nothing in them.
    pub empty: BTreeSet<u64>,
    /// Numbers that came twice with different contents: a fault.
    pub contradictions: u64,
    /// When the first complete key frame began to arrive.
    pub first_key: Option<Instant>,
    /// The playout delays that packets told, in units of 10 ms, by extended sequence number.
    pub told: BTreeMap<u64, u16>,
    /// Repairs that came, needed or not.
    pub repairs_received: u64,
    ssrc: Ssrc,
    rtx_ssrc: Ssrc,
    extender: Extender16,
    stream: ReceiveStream,
    missing: BTreeMap<u64, Missing>,
    /// Something was given up: since when a key frame is waited for, and when it was asked for last.
    wants_key: Option<Option<Instant>>,
}

#[derive(Clone, Copy)]
struct Missing {
    since: Instant,
    asked: Option<Instant>,
}

struct Sending {
    ssrc: u32,
    sequence: u16,
    rtx_sequence: u16,
    frame: u32,
    /// The picture with which the layers' order began.
    layered_since: u32,
    wants_key: bool,
    wanted: bool,
    comes_back: bool,
    left_out: u8,
    history: VecDeque<(u16, Vec<u8>)>,
}

impl Client {
    /// A client that has said nothing yet.
    pub fn new(plan: ClientPlan, address: SocketAddr) -> Self {
        let sending = |index: usize| Sending {
            ssrc: u32::from(plan.number) * 100 + index as u32 + 1,
            // Close to the end of the cycle, so that every run sees the numbers wrap.
            sequence: 65_000,
            rtx_sequence: 0,
            frame: 0,
            layered_since: 0,
            wants_key: true,
            wanted: true,
            comes_back: false,
            left_out: 0,
            history: VecDeque::new(),
        };
        let encodings: Vec<_> = (0..plan.publishes.len()).map(sending).collect();
        Self {
            published: vec![0; encodings.len()],
            came: Vec::new(),
            keys_asked: Vec::new(),
            plan,
            address,
            slots: Vec::new(),
            ufrag: None,
            connected: false,
            encodings,
            scheme: None,
            layered: None,
            pictures: 0,
            out: VecDeque::new(),
            paced: VecDeque::new(),
            next_frame: None,
            first_frame: None,
            next_check: None,
            next_repair: None,
            next_report: None,
            arrivals: ArrivalRecorder::default(),
        }
    }

    /// A client whose video is layered: one encoding, whose largest picture has the height that the plan gives first.
    pub fn layered(plan: ClientPlan, address: SocketAddr, scheme: Scheme) -> Self {
        let layered = plan.publishes.first().map(|&height| LayeredSource::new(scheme, height, 0));
        Self { scheme: Some(scheme), layered, ..Self::new(plan, address) }
    }

    /// Its offer: one simulcast publication if it publishes, then its slots.
    pub fn offer(&self) -> String {
        let lines = self.plan.slots + usize::from(!self.plan.publishes.is_empty());
        let mids: Vec<String> = (0..lines).map(|mid| mid.to_string()).collect();
        let mut sdp = format!(
            "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
            u32::from(self.plan.number) + 1,
            mids.join(" ")
        );
        for (at, mid) in mids.iter().enumerate() {
            let publishes = at == 0 && !self.plan.publishes.is_empty();
            let _ = write!(
                sdp,
                "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:sim{number:05}\r\n\
                 a=ice-pwd:simulatedPasswordOf24chars\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=mid:{mid}\r\n\
                 a=rtcp-mux\r\na={direction}\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                 a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=extmap:{MID} urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
                 a=extmap:{RID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
                 a=extmap:{REPAIRED} urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n",
                number = self.plan.number,
                fingerprint = ["5A"; 32].join(":"),
                direction = if publishes { "sendonly" } else { "recvonly" },
            );
            if self.plan.feedback {
                let _ = write!(
                    sdp,
                    "a=rtcp-fb:96 transport-cc\r\na=extmap:{TRANSPORT_CC} \
                     http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
                     a=extmap:{PLAYOUT_DELAY} http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n"
                );
            }
            if publishes && self.scheme.is_none() {
                let rids: Vec<String> = (0..self.plan.publishes.len()).map(|rid| format!("r{rid}")).collect();
                for rid in &rids {
                    let _ = write!(sdp, "a=rid:{rid} send\r\n");
                }
                let _ = write!(sdp, "a=simulcast:send {}\r\n", rids.join(";"));
            }
        }
        self.scheme.map_or(sdp.clone(), |scheme| svc::offer(&sdp, scheme))
    }

    /// From now on it is somewhere else, and checks from there.
    pub(super) fn move_to(&mut self, now: Instant, address: SocketAddr) {
        self.address = address;
        self.next_check = Some(now);
    }

    /// Takes the answer: from here on it checks the connection and watches its slots.
    ///
    /// # Panics
    ///
    /// When the answer lacks what every answer has: a simulation ends there.
    pub fn handle_answer(&mut self, now: Instant, answer: &str) {
        let line = |prefix: &str| answer.lines().find_map(|line| line.strip_prefix(prefix));
        self.ufrag = line("a=ice-ufrag:").map(str::to_owned);
        assert!(self.ufrag.is_some(), "an answer without a ufrag");
        for section in answer.split("\r\nm=").skip(1) {
            let value = |prefix: &str| section.lines().find_map(|line| line.strip_prefix(prefix));
            let Some(group) = value("a=ssrc-group:FID ") else { continue };
            let ssrcs: Vec<u32> = group.split(' ').filter_map(|ssrc| ssrc.parse().ok()).collect();
            let mid = value("a=mid:").and_then(|mid| Mid::new(mid.as_bytes()).ok());
            let (Some(mid), &[ssrc, rtx_ssrc]) = (mid, &ssrcs[..]) else { panic!("a slot without identity") };
            if self.slots.iter().all(|slot| slot.mid != mid) {
                self.slots.push(Watched::new(mid, Ssrc(ssrc), Ssrc(rtx_ssrc)));
            }
        }
        self.next_check.get_or_insert(now);
    }

    /// Takes one datagram from the server.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &Bytes) {
        match datagram.as_ref() {
            [0, 1, ..] if !self.connected => {
                self.connected = true;
                self.next_frame = Some(now);
                self.next_repair = Some(now + REPAIR_EVERY);
                self.next_report = self.plan.feedback.then_some(now + REPORT_EVERY);
            }
            [128..=191, 192..=223, ..] => self.handle_rtcp(now, datagram),
            [128..=191, ..] => self.handle_rtp(now, datagram),
            _ => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.next_check) {
            self.next_check = Some(now + if self.connected { CHECK_EVERY } else { CHECK_AGAIN });
            if let Some(ufrag) = &self.ufrag {
                self.out.push_back(plain::check(ufrag));
            }
        }
        if due(self.next_frame) {
            self.next_frame = Some(now + FRAME_EVERY);
            self.send_frames(now);
        }
        while self.paced.front().is_some_and(|(at, _)| *at <= now) {
            self.out.extend(self.paced.pop_front().map(|(_, packet)| packet));
        }
        if due(self.next_repair) {
            self.next_repair = Some(now + REPAIR_EVERY);
            self.repair(now);
        }
        if due(self.next_report) {
            self.next_report = Some(now + REPORT_EVERY);
            let mut out = Vec::new();
            let blocks: Vec<_> = self
                .slots
                .iter_mut()
                .filter_map(|slot| slot.stream.reception_report(now, slot.ssrc))
                .collect();
            rtcp::write_receiver_report(&mut out, self.own_ssrc(), &blocks);
            self.out.push_back(out.into());
        }
        if due(self.arrivals.poll_timeout()) {
            let mut out = Vec::new();
            self.arrivals.poll(now, self.own_ssrc(), &mut out);
            self.out.extend(rtcp::datagrams(&out, 1180).map(Bytes::copy_from_slice));
        }
    }

    fn own_ssrc(&self) -> Ssrc {
        Ssrc(u32::from(self.plan.number))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let turns = [self.next_check, self.next_frame, self.next_repair, self.next_report];
        let paced = self.paced.front().map(|(at, _)| *at);
        turns.into_iter().chain([self.arrivals.poll_timeout(), paced]).flatten().min()
    }

    /// Next datagram for the server.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    /// Stops publishing; what is on its way can still be repaired.
    pub fn stop_publishing(&mut self) {
        self.next_frame = None;
    }

    /// The server tells which encodings are worth sending. One that is taken up again begins with a key frame.
    pub fn want(&mut self, wanted: &[bool]) {
        for (sending, &wanted) in self.encodings.iter_mut().zip(wanted) {
            sending.comes_back |= wanted && !sending.wanted;
            sending.wants_key |= sending.comes_back;
            sending.wanted = wanted;
        }
    }

    /// A picture of layered video.
    fn send_picture(&mut self, mut source: LayeredSource) {
        let Some(sending) = self.encodings.first_mut() else { return };
        let picture = source.picture(std::mem::take(&mut sending.wants_key), self.plan.parts);
        for (frame, part) in
            picture.iter().flat_map(|frame| (0..frame.mark.parts).map(move |part| (frame, part)))
        {
            let payload = source.payload(frame, part, PART_BYTES);
            let header = svc::PacketHeader {
                marker: frame.ends_picture && part + 1 == frame.mark.parts,
                timestamp: frame.picture.wrapping_mul(FRAME_TICKS),
                descriptor: &source.descriptor(frame, part),
                frame: frame.mark.frame,
            };
            let sequence = sending.sequence;
            self.out.push_back(header.write(96, sending.ssrc, sequence, &payload).into());
            let repair = [&sequence.to_be_bytes()[..], &payload].concat();
            sending.history.push_back((sequence, header.write(97, sending.ssrc + 50, 0, &repair)));
            if sending.history.len() > HISTORY {
                sending.history.pop_front();
            }
            sending.sequence = sequence.wrapping_add(1);
            self.published[0] += 1;
        }
        self.layered = Some(source);
    }

    fn send_frames(&mut self, now: Instant) {
        if let Some(source) = self.layered.take() {
            self.send_picture(source);
            return;
        }
        let mut turn = self.paced.back().map_or(now, |(at, _)| now.max(*at));
        self.pictures += 1;
        let since = now - *self.first_frame.get_or_insert(now);
        if self.plan.lively && since.as_millis() % HICCUP_EVERY_MS < HICCUP_MS {
            return;
        }
        for (encoding, sending) in self.encodings.iter_mut().enumerate().filter(|(_, sending)| sending.wanted)
        {
            if sending.left_out > 0 {
                sending.left_out -= 1;
                continue;
            }
            let key = std::mem::take(&mut sending.wants_key);
            if std::mem::take(&mut sending.comes_back) {
                sending.left_out = self.plan.stutters;
            }
            let height = self.plan.publishes[encoding];
            if key {
                sending.layered_since = sending.frame;
            }
            let place = (sending.frame - sending.layered_since) as usize % TEMPORAL.len();
            let temporal = self.plan.lively.then_some(TEMPORAL[place]);
            let (parts, part_bytes) = if self.plan.lively {
                let bytes = self.plan.bytes_of(height, temporal, key, since);
                let parts = bytes.div_ceil(MOST_PART_BYTES).max(1);
                (parts as u8, bytes.div_ceil(parts))
            } else {
                (self.plan.parts_of(height, key), PART_BYTES)
            };
            for part in 0..parts {
                let mark = Mark {
                    publisher: self.plan.number,
                    encoding: encoding as u8,
                    frame: sending.frame,
                    part,
                    parts,
                    key,
                    temporal,
                };
                let payload = mark.write(part_bytes, height);
                let timestamp = self.pictures.wrapping_mul(FRAME_TICKS).wrapping_add(sending.ssrc);
                let header = Header {
                    payload_type: 96,
                    marker: part + 1 == parts,
                    sequence: sending.sequence,
                    timestamp,
                    ssrc: sending.ssrc,
                };
                let packet = header.write(RID, encoding, &payload);
                if self.plan.natural {
                    self.paced.push_back((turn, packet.into()));
                    turn += PART_EVERY;
                } else {
                    self.out.push_back(packet.into());
                }
                let repair = [&sending.sequence.to_be_bytes()[..], &payload].concat();
                let header = Header { payload_type: 97, ssrc: sending.ssrc + 50, ..header };
                sending.history.push_back((sending.sequence, header.write(REPAIRED, encoding, &repair)));
                if sending.history.len() > HISTORY {
                    sending.history.pop_front();
                }
                sending.sequence = sending.sequence.wrapping_add(1);
                self.published[encoding] += 1;
            }
            sending.frame += 1;
        }
    }

    fn handle_rtcp(&mut self, now: Instant, datagram: &[u8]) {
        for packet in rtcp::parse(datagram) {
            match packet {
                RtcpPacket::SenderReport { ssrc, ntp, .. } => {
                    for slot in self.slots.iter_mut().filter(|slot| slot.ssrc == ssrc) {
                        slot.stream.on_sender_report(now, ntp);
                    }
                }
                RtcpPacket::Pli { media } => {
                    if let Some(at) = self.encodings.iter().position(|sending| sending.ssrc == media.0) {
                        self.encodings[at].wants_key = true;
                        self.keys_asked.push((now, at));
                    }
                }
                RtcpPacket::Nack { media, lost } => {
                    let Some(sending) = self.encodings.iter_mut().find(|sending| sending.ssrc == media.0)
                    else {
                        continue;
                    };
                    for wanted in lost {
                        let Some((_, packet)) =
                            sending.history.iter().find(|(sequence, _)| *sequence == wanted)
                        else {
                            continue;
                        };
                        let mut packet = packet.clone();
                        packet[2..4].copy_from_slice(&sending.rtx_sequence.to_be_bytes());
                        sending.rtx_sequence = sending.rtx_sequence.wrapping_add(1);
                        self.out.push_back(packet.into());
                    }
                }
                _ => {}
            }
        }
    }

    fn handle_rtp(&mut self, now: Instant, datagram: &Bytes) {
        let Some(header) = RtpHeader::parse(datagram) else { return };
        let payload = &datagram[header.header_len..header.payload_end];
        let ids = Extensions {
            transport_cc: Some(TRANSPORT_CC),
            playout_delay: Some(PLAYOUT_DELAY),
            ..Extensions::default()
        };
        let values = ExtensionValues::read(datagram, &header, &ids);
        if let Some(number) = values.transport_cc {
            self.arrivals.on_packet(now, number, header.ssrc);
            self.came.push((now, datagram.len()));
        }
        for slot in &mut self.slots {
            if slot.ssrc == header.ssrc {
                slot.stream.on_packet(now, header.sequence, header.timestamp);
                let number = slot.extender.extend(header.sequence);
                slot.told.extend(values.playout_delay.map(|units| (number, units)));
                slot.take(now, number, header.timestamp, payload);
            } else if slot.rtx_ssrc == header.ssrc && payload.len() >= 2 {
                let number = slot.extender.peek(u16::from_be_bytes([payload[0], payload[1]]));
                slot.told.extend(values.playout_delay.map(|units| (number, units)));
                slot.repairs_received += 1;
                slot.take(now, number, header.timestamp, &payload[2..]);
            }
        }
    }

    fn repair(&mut self, now: Instant) {
        for slot in &mut self.slots {
            let again = |asked: Option<Instant>| asked.is_none_or(|at| now.duration_since(at) >= ASK_AGAIN);
            let before = slot.missing.len();
            slot.missing.retain(|_, missing| now.duration_since(missing.since) < GIVE_UP);
            if slot.missing.len() < before {
                slot.wants_key.get_or_insert(None);
            }
            if let Some(asked) = &mut slot.wants_key
                && asked.is_none_or(|at| now.duration_since(at) >= ASK_KEY_AGAIN)
            {
                *asked = Some(now);
                let mut out = Vec::new();
                rtcp::write_pli(&mut out, Ssrc(u32::from(self.plan.number)), slot.ssrc);
                self.out.push_back(out.into());
            }
            let mut wanted = Vec::new();
            for (&number, missing) in &mut slot.missing {
                if again(missing.asked) {
                    missing.asked = Some(now);
                    wanted.push(number);
                }
            }
            if !wanted.is_empty() && !self.plan.mute {
                let mut out = Vec::new();
                rtcp::write_nack(&mut out, Ssrc(u32::from(self.plan.number)), slot.ssrc, &wanted);
                self.out.push_back(out.into());
            }
        }
    }
}

impl Watched {
    fn new(mid: Mid, ssrc: Ssrc, rtx_ssrc: Ssrc) -> Self {
        Self {
            mid,
            received: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            layers: BTreeMap::new(),
            empty: BTreeSet::new(),
            timestamps: BTreeMap::new(),
            contradictions: 0,
            first_key: None,
            told: BTreeMap::new(),
            repairs_received: 0,
            ssrc,
            rtx_ssrc,
            extender: Extender16::default(),
            stream: ReceiveStream::new(90_000),
            missing: BTreeMap::new(),
            wants_key: None,
        }
    }

    /// Numbers between the first and the last that never came.
    pub fn gaps(&self) -> u64 {
        let (Some(first), Some(last)) = (self.timestamps.keys().next(), self.timestamps.keys().last()) else {
            return 0;
        };
        last - first + 1 - self.timestamps.len() as u64
    }

    fn take(&mut self, now: Instant, number: u64, timestamp: u32, payload: &[u8]) {
        let (mark, layers) = (Mark::read(payload), LayerMark::read(payload));
        if mark.is_none() && layers.is_none() && !payload.is_empty() {
            self.contradictions += 1;
            return;
        }
        let (first, last) = (self.timestamps.keys().next().copied(), self.timestamps.keys().last().copied());
        if let (Some(first), Some(last)) = (first, last) {
            // The very first to arrive may have overtaken its predecessors.
            for lost in (last + 1..number).chain(number + 1..first) {
                self.missing.insert(lost, Missing { since: now, asked: None });
            }
        }
        self.missing.remove(&number);
        let begins_key = mark.is_some_and(|mark| mark.key && mark.part == 0)
            || layers.as_ref().is_some_and(|layers| layers.key && layers.part == 0);
        if begins_key {
            self.wants_key = None;
        } else if first.is_none() {
            // What came before it is unknown: nothing can be decoded.
            self.wants_key = Some(None);
        }
        if mark.is_some_and(|mark| mark.key) {
            self.first_key.get_or_insert(now);
        }
        self.arrivals.entry(number).or_insert(now);
        self.timestamps.insert(number, timestamp);
        let former = match (mark, layers) {
            (Some(mark), _) => self.received.insert(number, mark).is_some_and(|former| former != mark),
            (None, Some(mark)) => {
                self.layers.insert(number, mark.clone()).is_some_and(|former| former != mark)
            }
            (None, None) => {
                self.empty.insert(number);
                false
            }
        };
        self.contradictions += u64::from(former);
    }
}

#[derive(Clone, Copy)]
struct Header {
    payload_type: u8,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
}

impl Header {
    /// With the m-line and the rid in one-byte extensions (RFC 8285): every client publishes on mid 0. A playout delay of a second is there too, which is nobody's business but
    /// this client's.
    fn write(&self, rid_id: u8, encoding: usize, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x90, self.payload_type | u8::from(self.marker) << 7];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        let rid = [rid_id << 4 | 1, b'r', b'0' + encoding as u8];
        packet.extend([0xbe, 0xde, 0, 3, MID << 4, b'0', rid[0], rid[1], rid[2], 0, 0, 0]);
        packet.extend([PLAYOUT_DELAY << 4 | 2, 0x06, 0x40, 0x64]);
        packet.extend(payload);
        packet
    }
}

const MID: u8 = 1;
const RID: u8 = 2;
const REPAIRED: u8 = 3;
const TRANSPORT_CC: u8 = 5;
const PLAYOUT_DELAY: u8 = 6;
const PART_BYTES: usize = 900;
const MOST_PART_BYTES: usize = 1050;
/// The temporal layers of successive pictures.
const TEMPORAL: [u8; 4] = [0, 2, 1, 2];
/// Chromium's fake camera makes no pictures for so long, every so often.
const HICCUP_MS: u128 = 270;
const HICCUP_EVERY_MS: u128 = 3_300;
const HISTORY: usize = 600;
const FRAME_EVERY: Duration = Duration::from_millis(33);
/// The same by the RTP clock.
const FRAME_TICKS: u32 = 2970;
const CHECK_EVERY: Duration = Duration::from_secs(2);
const CHECK_AGAIN: Duration = Duration::from_millis(200);
/// What Chromium sends two or three megabits a second at.
const PART_EVERY: Duration = Duration::from_micros(1200);
const REPORT_EVERY: Duration = Duration::from_secs(1);
const REPAIR_EVERY: Duration = Duration::from_millis(10);
/// What libwebrtc takes a round trip for that it does not know, and a turn of its clock.
const ASK_AGAIN: Duration = Duration::from_millis(110);
/// What has not come by then is not waited for: a browser asks for a key frame.
const GIVE_UP: Duration = Duration::from_millis(800);
const ASK_KEY_AGAIN: Duration = Duration::from_millis(300);
