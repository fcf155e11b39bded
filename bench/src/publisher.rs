//! A client that sends: its sources, its RTP streams, and what it does about feedback.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes, BytesMut};
use rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

use crate::connection::{Connection, ConnectionPlan};
use crate::flow::Flows;
use crate::sdp::MediaSection;
use crate::source::{
    AUDIO_CLOCK, AudioSource, MediaKind, SourcePacket, VIDEO_CLOCK, VideoConfig, VideoSource,
};

/// What a publisher did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublisherCounts {
    /// Media packets sent in the measuring window.
    pub packets: u64,
    /// Of these, packets that left more than 20 ms late.
    pub late: u64,
    /// Key frames asked for by PLI or FIR.
    pub key_frame_requests: u64,
    /// Packets asked for by NACK.
    pub nacked: u64,
    /// Packets sent again.
    pub retransmitted: u64,
}

/// The sending side of a client.
#[derive(Debug)]
pub struct Publisher {
    index: u32,
    config: VideoConfig,
    video: Option<RtpStream>,
    audio: Option<RtpStream>,
    flows: Arc<Flows>,
    running: Option<Running>,
    counts: PublisherCounts,
    measuring: bool,
}

impl Publisher {
    /// A publisher of video, audio or both, with the number that `config` has; its SSRCs follow from it.
    pub fn new(config: VideoConfig, video: bool, audio: bool, flows: Arc<Flows>) -> Self {
        let ssrc = 0x5100_0000 + config.publisher * 16;
        Self {
            index: config.publisher,
            video: video.then(|| RtpStream::new(ssrc, config.seed as u16, VIDEO_CLOCK)),
            audio: audio.then(|| RtpStream::new(ssrc + 2, config.seed as u16 ^ 0x55aa, AUDIO_CLOCK)),
            config,
            flows,
            running: None,
            counts: PublisherCounts::default(),
            measuring: false,
        }
    }

    /// What its connection must offer.
    pub fn plan(&self) -> ConnectionPlan {
        ConnectionPlan {
            send_video: self.video.as_ref().map(|video| (video.ssrc, video.ssrc + 1)),
            send_audio: self.audio.as_ref().map(|audio| audio.ssrc),
            ..ConnectionPlan::default()
        }
    }

    /// Takes payload types and extensions from the answer's sections.
    pub fn negotiated(&mut self, sections: &[MediaSection]) {
        let of_kind = |kind| sections.iter().find(|section| section.kind == Some(kind) && !section.rejected);
        if let (Some(video), Some(section)) = (&mut self.video, of_kind(MediaKind::Video)) {
            video.negotiated(section);
        }
        if let (Some(audio), Some(section)) = (&mut self.audio, of_kind(MediaKind::Audio)) {
            audio.negotiated(section);
        }
    }

    /// Begins to send; publishers begin a few milliseconds apart.
    pub fn start(&mut self, now: Instant) {
        let start = now + Duration::from_millis(u64::from(self.index * 7 % 33));
        self.running = Some(Running {
            video: self.video.is_some().then(|| VideoSource::new(self.config, start)),
            audio: self.audio.is_some().then(|| AudioSource::new(self.index, self.config.seed, start)),
            next_report: start,
        });
    }

    /// Counts from now on, or no longer.
    pub fn measure(&mut self, measuring: bool) {
        self.measuring = measuring;
    }

    /// What it did.
    pub fn counts(&self) -> PublisherCounts {
        self.counts
    }

    /// When [`Publisher::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let running = self.running.as_ref()?;
        let video = running.video.as_ref().map(VideoSource::poll_timeout);
        let audio = running.audio.as_ref().map(AudioSource::poll_timeout);
        video.into_iter().chain(audio).chain([running.next_report]).min()
    }

    /// Sends what is due.
    pub fn handle_timeout(&mut self, connection: &mut Connection) {
        let Some(running) = &mut self.running else { return };
        if let (Some(source), Some(stream)) = (&mut running.video, &mut self.video) {
            while let Some(packet) = source.poll(soon(source.poll_timeout())) {
                let now = Instant::now();
                let flow = self.flows.flow(self.index, MediaKind::Video);
                flow.inspect(|flow| flow.sent(packet.number));
                if self.measuring {
                    self.counts.count(now, &packet);
                }
                connection.send_rtp(now, stream.packet(packet));
                connection.flush();
            }
        }
        if let (Some(source), Some(stream)) = (&mut running.audio, &mut self.audio) {
            while let Some(packet) = source.poll(Instant::now()) {
                let now = Instant::now();
                let flow = self.flows.flow(self.index, MediaKind::Audio);
                flow.inspect(|flow| flow.sent(packet.number));
                if self.measuring {
                    self.counts.count(now, &packet);
                }
                connection.send_rtp(now, stream.packet(packet));
                connection.flush();
            }
        }
        let now = Instant::now();
        if running.next_report <= now {
            running.next_report = now + REPORT_INTERVAL;
            for stream in self.video.iter().chain(&self.audio) {
                if let Some(report) = stream.report(now) {
                    connection.send_rtcp(now, vec![Box::new(report)]);
                }
            }
            connection.flush();
        }
    }

    /// Answers key frame requests and NACKs.
    pub fn handle_rtcp(
        &mut self,
        now: Instant,
        packets: &[Box<dyn rtcp::Packet>],
        connection: &mut Connection,
    ) {
        for packet in packets {
            let packet = packet.as_any();
            let Some(video) = &mut self.video else { return };
            let asks_key = packet
                .downcast_ref::<PictureLossIndication>()
                .is_some_and(|pli| pli.media_ssrc == video.ssrc)
                || packet
                    .downcast_ref::<FullIntraRequest>()
                    .is_some_and(|fir| fir.fir.iter().any(|entry| entry.ssrc == video.ssrc));
            if asks_key {
                self.counts.key_frame_requests += 1;
                if let Some(source) = self.running.as_mut().and_then(|running| running.video.as_mut()) {
                    source.request_key_frame(now);
                }
            }
            let Some(nack) = packet.downcast_ref::<TransportLayerNack>() else { continue };
            if nack.media_ssrc != video.ssrc {
                continue;
            }
            for number in nack.nacks.iter().flat_map(|pair| pair.packet_list()) {
                self.counts.nacked += 1;
                if let Some(again) = video.retransmission(number) {
                    self.counts.retransmitted += 1;
                    connection.send_rtp(now, again);
                }
            }
        }
        connection.flush();
    }
}

/// What is due within a moment is waited for, awake: no timer of the system is as exact as a picture's packets follow one another.
fn soon(due: Instant) -> Instant {
    loop {
        let now = Instant::now();
        if now >= due || due - now > SHORTEST_SLEEP {
            return now;
        }
        std::hint::spin_loop();
    }
}

impl PublisherCounts {
    /// Adds another publisher's counts.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.late += other.late;
        self.key_frame_requests += other.key_frame_requests;
        self.nacked += other.nacked;
        self.retransmitted += other.retransmitted;
    }

    fn count(&mut self, now: Instant, packet: &SourcePacket) {
        self.packets += 1;
        self.late += u64::from(now.saturating_duration_since(packet.due) > LATE);
    }
}

#[derive(Debug)]
struct Running {
    video: Option<VideoSource>,
    audio: Option<AudioSource>,
    next_report: Instant,
}

/// One RTP stream with the packets it can send again.
#[derive(Debug)]
struct RtpStream {
    ssrc: u32,
    payload_type: Option<u8>,
    rtx_payload_type: Option<u8>,
    mid: Option<(u8, Bytes)>,
    sequence_number: u16,
    rtx_sequence_number: u16,
    packets: u32,
    octets: u32,
    clock: u64,
    /// Whether packets are kept to be sent again.
    repairs: bool,
    /// The last packet's timestamp, and its moment.
    last: Option<(u32, Instant)>,
    history: VecDeque<rtp::Packet>,
}

impl RtpStream {
    fn new(ssrc: u32, sequence_number: u16, clock: u64) -> Self {
        Self {
            ssrc,
            payload_type: None,
            rtx_payload_type: None,
            mid: None,
            sequence_number,
            rtx_sequence_number: !sequence_number,
            packets: 0,
            octets: 0,
            clock,
            repairs: clock == VIDEO_CLOCK,
            last: None,
            history: VecDeque::new(),
        }
    }

    fn negotiated(&mut self, section: &MediaSection) {
        self.payload_type = section.payload_type;
        self.rtx_payload_type = section.rtx_payload_type;
        self.mid = section.mid_extension.map(|id| (id, Bytes::copy_from_slice(section.mid.as_bytes())));
    }

    fn packet(&mut self, packet: SourcePacket) -> rtp::Packet {
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(packet.payload.len() as u32);
        // A frame's packets leave one after the other; its moment is the first one's.
        if self.last.is_none_or(|(timestamp, _)| timestamp != packet.timestamp) {
            self.last = Some((packet.timestamp, packet.due));
        }
        let mut header = rtp::Header {
            version: 2,
            marker: packet.marker,
            payload_type: self.payload_type.unwrap_or_default(),
            sequence_number: self.sequence_number,
            timestamp: packet.timestamp,
            ssrc: self.ssrc,
            ..rtp::Header::default()
        };
        self.sequence_number = self.sequence_number.wrapping_add(1);
        if let Some((id, mid)) = self.mid.as_ref().filter(|_| self.packets <= MID_PACKETS) {
            let refused = header.set_extension(*id, mid.clone());
            debug_assert!(refused.is_ok(), "a mid fits a header extension");
        }
        let packet = rtp::Packet { header, payload: packet.payload };
        if self.repairs {
            // What is older than the last `HISTORY` packets is forgotten; `nacked` less `retransmitted` counts it.
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(packet.clone());
        }
        packet
    }

    /// The packet again, in the retransmission stream (RFC 4588 section 4), or as it was where none was agreed on.
    fn retransmission(&mut self, sequence_number: u16) -> Option<rtp::Packet> {
        let oldest = self.history.front()?.header.sequence_number;
        let original = self.history.get(usize::from(sequence_number.wrapping_sub(oldest)))?;
        let Some(payload_type) = self.rtx_payload_type else { return Some(original.clone()) };
        let mut payload = BytesMut::with_capacity(2 + original.payload.len());
        payload.put_u16(sequence_number);
        payload.extend_from_slice(&original.payload);
        let header = rtp::Header {
            payload_type,
            sequence_number: self.rtx_sequence_number,
            ssrc: self.ssrc + 1,
            ..original.header.clone()
        };
        self.rtx_sequence_number = self.rtx_sequence_number.wrapping_add(1);
        Some(rtp::Packet { header, payload: payload.freeze() })
    }

    /// A sender report for this moment (RFC 3550 section 6.4.1).
    fn report(&self, now: Instant) -> Option<SenderReport> {
        let (timestamp, at) = self.last?;
        let ticks = now.saturating_duration_since(at).as_secs_f64() * self.clock as f64;
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since_epoch.as_secs().wrapping_add(NTP_EPOCH) << 32;
        let fraction = (u64::from(since_epoch.subsec_nanos()) << 32) / 1_000_000_000;
        Some(SenderReport {
            ssrc: self.ssrc,
            ntp_time: seconds | fraction,
            rtp_time: timestamp.wrapping_add(ticks as u32),
            packet_count: self.packets,
            octet_count: self.octets,
            ..SenderReport::default()
        })
    }
}

const LATE: Duration = Duration::from_millis(20);
const SHORTEST_SLEEP: Duration = Duration::from_micros(300);
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
const HISTORY: usize = 1024;
/// The mid is sent until the server must have learned the SSRC.
const MID_PACKETS: u32 = 50;
/// Seconds from 1900 to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u64) -> SourcePacket {
        SourcePacket {
            payload: Bytes::copy_from_slice(&number.to_be_bytes()),
            timestamp: 3000,
            marker: false,
            due: Instant::now(),
            number,
        }
    }

    #[test]
    fn a_packet_is_sent_again_in_the_retransmission_stream() {
        let mut stream = RtpStream::new(16, 65_530, VIDEO_CLOCK);
        stream.rtx_payload_type = Some(97);
        let sent: Vec<rtp::Packet> = (1..=20).map(|number| stream.packet(packet(number))).collect();
        assert_eq!(sent[10].header.sequence_number, 4);
        let again = stream.retransmission(4).expect("it is still there");
        assert_eq!((again.header.ssrc, again.header.payload_type), (17, 97));
        assert_eq!(again.payload[..2], 4u16.to_be_bytes());
        assert_eq!(again.payload[2..], sent[10].payload[..]);
        assert!(stream.retransmission(14).is_none(), "not sent yet");
        (0..HISTORY as u64).for_each(|number| drop(stream.packet(packet(number))));
        assert!(stream.retransmission(4).is_none(), "forgotten");
        stream.rtx_payload_type = None;
        let last = stream.packet(packet(5000));
        let again = stream.retransmission(last.header.sequence_number).expect("it is still there");
        assert_eq!(again, last, "as it was, where there is no retransmission stream");
        let mut sound = RtpStream::new(18, 0, AUDIO_CLOCK);
        sound.packet(packet(1));
        assert!(sound.retransmission(0).is_none(), "nothing is kept of sound");
    }
}
