//! A simulated client: publishes marked video, watches through slots, repairs, and writes down all it received.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::id::{Mid, Ssrc};
use crate::ingress::ArrivalRecorder;
use crate::rtcp::{self, RtcpPacket, SenderInfo};
use crate::rtp::{ExtensionValues, RtpHeader};
use crate::sdp::Extensions;
use crate::sim::mark::Mark;
use crate::sim::plain;
use crate::sim::svc::{self, LayeredSource, Scheme};
use crate::sim::voice::{self, Heard, Report, Voice};
use crate::sim::watched::Watched;

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
    /// What it makes of a picture that takes more than its share: no hiccups, but half of the pictures for 1.2 s of every 3.3. `lively` as well.
    pub calms: bool,
    /// It tells when what is sent to it arrives (transport-wide feedback), and reports on what it receives.
    pub feedback: bool,
    /// It reports on what it receives also without transport-wide feedback.
    pub reports: bool,
    /// What it believes of its line, in bit/s: that is all it tells besides its reports, if the server wants to know.
    pub remb: Option<u64>,
    /// It publishes a sound as well.
    pub speaks: bool,
    /// Audio slots it offers.
    pub sounds: usize,
    /// It tells what its clocks show: each encoding's and the sound's begin anywhere, and so does its wall clock.
    pub clocks: bool,
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
        let kbps = if self.calms { kbps * CALMS_TAKE } else { kbps };
        // A picture that others build upon is more of it.
        let part = match temporal {
            _ if key => 5.0,
            Some(2) if self.calms => 0.8,
            Some(2) => 0.7,
            _ if self.calms => 1.2,
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
    /// What came, per audio slot.
    pub sounds: Vec<Heard>,
    /// When the pictures of each encoding were taken, by encoding and number.
    pub taken: BTreeMap<(u8, u32), Instant>,
    /// When each frame of its sound was taken.
    pub spoken: Vec<Instant>,
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
    voice: Option<Voice>,
    next_word: Option<Instant>,
    next_clock: Option<Instant>,
    /// Turns in which a clock was told, or could have been.
    clock_turns: usize,
    /// The server wants to know what it believes of its line.
    remb_wanted: bool,
    arrivals: ArrivalRecorder,
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
            sounds: Vec::new(),
            taken: BTreeMap::new(),
            spoken: Vec::new(),
            keys_asked: Vec::new(),
            voice: plan.speaks.then(|| Voice::new(plan.number)),
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
            next_word: None,
            next_clock: None,
            clock_turns: 0,
            remb_wanted: false,
            arrivals: ArrivalRecorder::default(),
        }
    }

    /// A client whose video is layered: one encoding, whose largest picture has the height that the plan gives first.
    pub fn layered(plan: ClientPlan, address: SocketAddr, scheme: Scheme) -> Self {
        let layered = plan.publishes.first().map(|&height| LayeredSource::new(scheme, height, 0));
        Self { scheme: Some(scheme), layered, ..Self::new(plan, address) }
    }

    /// Its offer: one simulcast publication if it publishes, then its slots, then sounds.
    pub fn offer(&self) -> String {
        let lines = self.plan.slots + usize::from(!self.plan.publishes.is_empty());
        let mids: Vec<String> = (0..lines).map(|mid| mid.to_string()).collect();
        let connection = format!(
            "a=ice-ufrag:sim{:05}\r\na=ice-pwd:simulatedPasswordOf24chars\r\na=fingerprint:sha-256 {}\r\na=setup:actpass\r\n\
             a=rtcp-mux\r\na=extmap:{MID} urn:ietf:params:rtp-hdrext:sdes:mid\r\n{}",
            self.plan.number,
            ["5A"; 32].join(":"),
            if self.plan.feedback { TRANSPORT_CC_LINE } else { "" }
        );
        let sounds = voice::offer(self.plan.speaks, self.plan.sounds, self.plan.feedback, &connection);
        let all = mids.iter().chain(sounds.iter().map(|(mid, _)| mid)).map(String::as_str);
        let mut sdp = format!(
            "v=0\r\no=- {} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\n",
            u32::from(self.plan.number) + 1,
            all.collect::<Vec<_>>().join(" ")
        );
        for (at, mid) in mids.iter().enumerate() {
            let publishes = at == 0 && !self.plan.publishes.is_empty();
            let _ = write!(
                sdp,
                "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n{connection}a={direction}\r\n\
                 a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n\
                 a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=extmap:{RID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
                 a=extmap:{REPAIRED} urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n",
                direction = if publishes { "sendonly" } else { "recvonly" },
            );
            if self.plan.feedback {
                let _ = write!(
                    sdp,
                    "a=rtcp-fb:96 transport-cc\r\n\
                     a=extmap:{PLAYOUT_DELAY} http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n"
                );
            }
            if self.plan.remb.is_some() {
                sdp.push_str("a=rtcp-fb:96 goog-remb\r\n");
            }
            if publishes && self.scheme.is_none() {
                let rids: Vec<String> = (0..self.plan.publishes.len()).map(|rid| format!("r{rid}")).collect();
                for rid in &rids {
                    let _ = write!(sdp, "a=rid:{rid} send\r\n");
                }
                let _ = write!(sdp, "a=simulcast:send {}\r\n", rids.join(";"));
            }
        }
        sdp.extend(sounds.iter().map(|(_, section)| section.as_str()));
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
        self.remb_wanted = answer.contains("goog-remb");
        for section in answer.split("\r\nm=").skip(1) {
            let value = |prefix: &str| section.lines().find_map(|line| line.strip_prefix(prefix));
            if section.starts_with("audio") {
                let ssrc = value("a=ssrc:").and_then(|line| line.split(' ').next()?.parse().ok());
                let mid = value("a=mid:").and_then(|mid| Mid::new(mid.as_bytes()).ok());
                if let Some((mid, ssrc)) = mid.zip(ssrc)
                    && self.sounds.iter().all(|slot| slot.mid != mid)
                {
                    self.sounds.push(Heard::new(mid, Ssrc(ssrc)));
                }
                continue;
            }
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
                let ClientPlan { feedback, reports, remb, clocks, .. } = self.plan;
                self.next_report = (feedback || reports || remb.is_some()).then_some(now + REPORT_EVERY);
                self.next_word = self.voice.as_ref().map(|_| now);
                self.next_clock = clocks.then_some(now + CLOCK_EVERY);
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
                .map(|slot| (&mut slot.stream, slot.ssrc))
                .chain(self.sounds.iter_mut().map(|slot| (&mut slot.stream, slot.ssrc)))
                .filter_map(|(stream, ssrc)| stream.reception_report(now, ssrc))
                .collect();
            rtcp::write_receiver_report(&mut out, self.own_ssrc(), &blocks);
            if let Some(bitrate) = self.plan.remb.filter(|_| self.remb_wanted) {
                write_remb(&mut out, self.own_ssrc(), bitrate);
            }
            self.out.push_back(out.into());
        }
        if due(self.next_word) {
            self.next_word = Some(now + voice::FRAME_EVERY);
            self.spoken.push(now);
            let number = self.plan.number;
            self.out.extend(self.voice.as_mut().map(|voice| voice.say(now, number)));
        }
        if due(self.next_clock) {
            self.next_clock = Some(now + CLOCK_EVERY);
            self.tell_a_clock(now);
        }
        if due(self.arrivals.poll_timeout()) {
            let mut out = Vec::new();
            self.arrivals.poll(now, self.own_ssrc(), &mut out);
            self.out.extend(rtcp::datagrams(&out, 1180).map(Bytes::copy_from_slice));
        }
    }

    /// Sends the next sender report: one of each encoding that is sent in a second, one of the sound in five.
    fn tell_a_clock(&mut self, now: Instant) {
        let turn = self.clock_turns;
        self.clock_turns += 1;
        let Some(origin) = self.first_frame.or(self.spoken.first().copied()) else { return };
        let seconds = 3_900_000_000 + 5000 * u64::from(self.plan.number);
        let since = now - origin;
        let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
        let ntp = (seconds + since.as_secs()) << 32 | fraction;
        let info = match turn % 4 {
            3 if turn % 20 == 3 => self.voice.as_ref().and_then(|voice| voice.report(now, ntp)),
            at => {
                self.encodings.get(at).filter(|sending| sending.wanted && sending.frame > 0).map(|sending| {
                    let rtp_time = sending.rtp_time(FRAME_TICKS.wrapping_add(ticks(90_000, origin, now)));
                    SenderInfo { ssrc: Ssrc(sending.ssrc), ntp, rtp_time, packets: sending.frame, octets: 0 }
                })
            }
        };
        if let Some(info) = info {
            let mut out = Vec::new();
            rtcp::write_sender_report(&mut out, &info);
            self.out.push_back(out.into());
        }
    }

    fn own_ssrc(&self) -> Ssrc {
        Ssrc(u32::from(self.plan.number))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let turns = [
            self.next_check,
            self.next_frame,
            self.next_repair,
            self.next_report,
            self.next_word,
            self.next_clock,
        ];
        let paced = self.paced.front().map(|(at, _)| *at);
        turns.into_iter().chain([self.arrivals.poll_timeout(), paced]).flatten().min()
    }

    /// Next datagram for the server.
    pub fn poll_transmit(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    /// Stops publishing; what is on its way can still be repaired.
    pub fn stop_publishing(&mut self) {
        (self.next_frame, self.next_word) = (None, None);
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
        let within = since.as_millis() % HICCUP_EVERY_MS;
        let left_out = match (self.plan.lively, self.plan.calms) {
            (true, true) => within >= CALM_FROM_MS && self.pictures.is_multiple_of(2),
            (lively, _) => lively && within < HICCUP_MS,
        };
        if left_out {
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
            self.taken.insert((encoding as u8, sending.frame), now);
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
                let timestamp = sending.rtp_time(self.pictures.wrapping_mul(FRAME_TICKS));
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
                RtcpPacket::SenderReport { ssrc, ntp, rtp_time, .. } => {
                    let pictures =
                        self.slots.iter_mut().map(|slot| (slot.ssrc, &mut slot.stream, &mut slot.reports));
                    let sounds =
                        self.sounds.iter_mut().map(|slot| (slot.ssrc, &mut slot.stream, &mut slot.reports));
                    for (_, stream, reports) in pictures.chain(sounds).filter(|(of, ..)| *of == ssrc) {
                        stream.on_sender_report(now, ntp);
                        reports.push(Report { at: now, ntp, rtp_time });
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
        }
        self.came.push((now, datagram.len()));
        if let Some(slot) = self.sounds.iter_mut().find(|slot| slot.ssrc == header.ssrc) {
            return slot.take(now, &header, payload);
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
        let sender = Ssrc(u32::from(self.plan.number));
        for slot in &mut self.slots {
            if slot.asks_for_key(now) {
                let mut out = Vec::new();
                rtcp::write_pli(&mut out, sender, slot.ssrc);
                self.out.push_back(out.into());
            }
            let wanted = slot.asks_for(now);
            if !wanted.is_empty() && !self.plan.mute {
                let mut out = Vec::new();
                rtcp::write_nack(&mut out, sender, slot.ssrc, &wanted);
                self.out.push_back(out.into());
            }
        }
    }
}

impl Sending {
    fn rtp_time(&self, ticks: u32) -> u32 {
        clock_of(self.ssrc).wrapping_add(ticks)
    }
}

/// Where a stream's RTP clock begins.
pub(super) fn clock_of(ssrc: u32) -> u32 {
    ssrc.wrapping_mul(0x9e37_79b9)
}

/// How far an RTP clock goes.
pub(super) fn ticks(rate: u32, from: Instant, to: Instant) -> u32 {
    ((to - from).as_nanos() * u128::from(rate) / 1_000_000_000) as u32
}

/// A receiver's estimate of its line (draft-alvestrand-rmcat-remb-03 section 2.2).
fn write_remb(out: &mut Vec<u8>, sender: Ssrc, bitrate: u64) {
    let exponent = (64 - bitrate.leading_zeros()).saturating_sub(18);
    let mantissa = (bitrate >> exponent) as u32;
    out.extend([0x8f, 206, 0, 5]);
    for word in [sender.0, 0, u32::from_be_bytes(*b"REMB"), 1 << 24 | exponent << 18 | mantissa, 0] {
        out.extend(word.to_be_bytes());
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
/// In the same time.
const CALM_FROM_MS: u128 = 2_100;
const CALMS_TAKE: f64 = 1.08;
const HISTORY: usize = 600;
const FRAME_EVERY: Duration = Duration::from_millis(33);
/// The same by the RTP clock.
const FRAME_TICKS: u32 = 2970;
const CHECK_EVERY: Duration = Duration::from_secs(2);
const CHECK_AGAIN: Duration = Duration::from_millis(200);
/// What Chromium sends two or three megabits a second at.
const PART_EVERY: Duration = Duration::from_micros(1200);
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Each of three encodings and the sound have a turn in a second.
const CLOCK_EVERY: Duration = Duration::from_millis(250);
const TRANSPORT_CC_LINE: &str =
    "a=extmap:5 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n";
const REPAIR_EVERY: Duration = Duration::from_millis(10);
