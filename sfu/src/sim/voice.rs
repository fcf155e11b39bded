//! Simulated sound: what a client says, and what one of its slots hears.

use std::time::Instant;

use bytes::Bytes;

use crate::id::{Mid, Ssrc};
use crate::ingress::ReceiveStream;
use crate::rtcp::SenderInfo;
use crate::rtp::{Extender16, RtpHeader};
use crate::sim::client::{clock_of, ticks};

/// A microphone: Opus of 20 ms, 32 kbit/s.
pub(super) struct Voice {
    ssrc: Ssrc,
    sequence: u16,
    frame: u32,
    began: Option<Instant>,
}

impl Voice {
    pub(super) fn new(number: u16) -> Self {
        let ssrc = Ssrc(u32::from(number) * 100 + 90);
        Self { ssrc, sequence: 65_000, frame: 0, began: None }
    }

    /// The next frame's packet. It tells the m-line and how loud it is.
    pub(super) fn say(&mut self, now: Instant, number: u16) -> Bytes {
        self.began.get_or_insert(now);
        let mut packet = vec![0x90, PAYLOAD_TYPE];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.rtp_time(FRAME_TICKS.wrapping_mul(self.frame)).to_be_bytes());
        packet.extend(self.ssrc.0.to_be_bytes());
        packet.extend([0xbe, 0xde, 0, 1, MID << 4, VOICE_MID, LEVEL << 4, LOUD]);
        packet.extend(MAGIC);
        packet.extend(number.to_be_bytes());
        packet.extend(self.frame.to_be_bytes());
        packet.resize(packet.len() + PAYLOAD_BYTES - 10, 0xa5);
        self.sequence = self.sequence.wrapping_add(1);
        self.frame += 1;
        packet.into()
    }

    /// What a sender report says of it: nothing before the first word.
    pub(super) fn report(&self, now: Instant, ntp: u64) -> Option<SenderInfo> {
        let rtp_time = self.rtp_time(ticks(48_000, self.began?, now));
        Some(SenderInfo { ssrc: self.ssrc, ntp, rtp_time, packets: self.frame, octets: 0 })
    }

    fn rtp_time(&self, ticks: u32) -> u32 {
        clock_of(self.ssrc.0).wrapping_add(ticks)
    }
}

/// What an audio slot received.
pub struct Heard {
    /// The slot's m-line.
    pub mid: Mid,
    /// In the order of arrival.
    pub sounds: Vec<Sound>,
    /// The sender reports about it.
    pub reports: Vec<Report>,
    pub(super) ssrc: Ssrc,
    pub(super) stream: ReceiveStream,
    extender: Extender16,
}

/// A frame of sound as it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sound {
    /// When.
    pub at: Instant,
    /// Who said it.
    pub publisher: u16,
    /// Counts what they said from 0.
    pub frame: u32,
    /// Extended.
    pub sequence: u64,
    /// On the slot's clock.
    pub timestamp: u32,
}

/// A sender report as it came: two clocks' times of one instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// When.
    pub at: Instant,
    /// The server's wall clock.
    pub ntp: u64,
    /// The slot's.
    pub rtp_time: u32,
}

impl Heard {
    pub(super) fn new(mid: Mid, ssrc: Ssrc) -> Self {
        Self {
            mid,
            sounds: Vec::new(),
            reports: Vec::new(),
            ssrc,
            stream: ReceiveStream::new(48_000),
            extender: Extender16::default(),
        }
    }

    pub(super) fn take(&mut self, now: Instant, header: &RtpHeader, payload: &[u8]) {
        self.stream.on_packet(now, header.sequence, header.timestamp);
        let Some([p0, p1, f0, f1, f2, f3]) = payload.strip_prefix(&MAGIC).and_then(|mark| mark.first_chunk())
        else {
            return;
        };
        self.sounds.push(Sound {
            at: now,
            publisher: u16::from_be_bytes([*p0, *p1]),
            frame: u32::from_be_bytes([*f0, *f1, *f2, *f3]),
            sequence: self.extender.extend(header.sequence),
            timestamp: header.timestamp,
        });
    }
}

/// The m-lines of a voice, if there is one, and of audio slots, with their names. `lines` are those that all m-lines of a client have.
pub(super) fn offer(speaks: bool, slots: usize, feedback: bool, lines: &str) -> Vec<(String, String)> {
    let slots = (0..slots).map(|slot| (format!("s{slot}"), "recvonly"));
    let voice = speaks.then(|| (char::from(VOICE_MID).to_string(), "sendonly"));
    let numbered = match feedback {
        true => "a=rtcp-fb:111 transport-cc\r\n",
        false => "",
    };
    let section = |(mid, direction): (String, &str)| {
        let text = format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}\r\nc=IN IP4 0.0.0.0\r\n{lines}a=mid:{mid}\r\na={direction}\r\n\
             a=rtpmap:{PAYLOAD_TYPE} opus/48000/2\r\n{numbered}\
             a=extmap:{LEVEL} urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
        );
        (mid, text)
    };
    voice.into_iter().chain(slots).map(section).collect()
}

pub(super) const FRAME_EVERY: std::time::Duration = std::time::Duration::from_millis(20);
const PAYLOAD_TYPE: u8 = 111;
const FRAME_TICKS: u32 = 960;
const PAYLOAD_BYTES: usize = 80;
const MAGIC: [u8; 4] = *b"TALK";
const MID: u8 = 1;
const LEVEL: u8 = 8;
const VOICE_MID: u8 = b'v';
/// In -dBov.
const LOUD: u8 = 30;
