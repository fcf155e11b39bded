//! What a subscriber may say about a stream (RTCP), said too often and untruly.

use rand::{Rng, RngCore as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::generator::Generator;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Key frames are asked for, by PLI and by FIR (RFC 4585 section 6.3.1, RFC 5104 section 4.3.1).
    KeyFrames,
    /// Everything of late is asked for again (RFC 4585 section 6.2.1).
    Losses {
        /// The newest sequence number.
        newest: u16,
    },
    /// Reports of impossible losses and delays, bitrates of nothing and of everything, arrivals of what was never sent.
    Lies,
}

/// Compound packets on one subject about one stream, not sealed.
#[derive(Debug)]
pub struct Feedback {
    rng: ChaCha8Rng,
    media: u32,
    turn: u32,
    /// May be changed as the stream goes on.
    pub subject: Subject,
}

impl Feedback {
    /// About the stream `media`.
    pub fn new(seed: u64, media: u32, subject: Subject) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), media, turn: 0, subject }
    }

    fn key_frames(&mut self, out: &mut Vec<u8>) {
        write(out, 1, PAYLOAD_FEEDBACK, &[OWN_SSRC, self.media].map(u32::to_be_bytes).concat());
        let fir: Vec<u8> = [OWN_SSRC, 0, self.media, self.turn << 24].map(u32::to_be_bytes).concat();
        write(out, 4, PAYLOAD_FEEDBACK, &fir);
    }

    fn losses(&mut self, newest: u16, out: &mut Vec<u8>) {
        let mut body = [OWN_SSRC, self.media].map(u32::to_be_bytes).concat();
        for step in 1..=32 {
            body.extend(newest.wrapping_sub(17 * step).to_be_bytes());
            body.extend([0xff, 0xff]);
        }
        write(out, 1, TRANSPORT_FEEDBACK, &body);
    }

    fn lies(&mut self, out: &mut Vec<u8>) {
        let mut report = [OWN_SSRC, self.media].map(u32::to_be_bytes).concat();
        let mut rest = [0; 20];
        self.rng.fill_bytes(&mut rest);
        if self.turn.is_multiple_of(3) {
            rest = [0xff; 20];
        }
        report.extend(rest);
        write(out, 1, RECEIVER_REPORT, &report);
        // draft-alvestrand-rmcat-remb: mantissa of 18 bits, exponent of 6.
        let bitrate = [0, 0x00ff_ffff, 0x0000_0001, self.rng.random::<u32>() >> 8];
        let bitrate = bitrate.get(self.turn as usize % 4).copied().unwrap_or_default();
        let remb = [OWN_SSRC, 0, u32::from_be_bytes(*b"REMB"), 1 << 24 | bitrate, self.media];
        write(out, 15, PAYLOAD_FEEDBACK, &remb.map(u32::to_be_bytes).concat());
        self.arrivals(out);
    }

    /// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1) on any numbers, with any delays.
    fn arrivals(&mut self, out: &mut Vec<u8>) {
        let mut body = [OWN_SSRC, self.media].map(u32::to_be_bytes).concat();
        let count: u16 = if self.turn.is_multiple_of(7) { u16::MAX } else { 21 };
        body.extend(self.rng.random::<u16>().to_be_bytes());
        body.extend(count.to_be_bytes());
        body.extend((self.rng.random::<u32>() & !0xff | self.turn & 0xff).to_be_bytes());
        // A run of packets with small deltas, and as many deltas as one datagram takes.
        body.extend((0x2000 | count.min(0x1fff)).to_be_bytes());
        let deltas = usize::from(count).min(800);
        body.extend((0..deltas).map(|_| self.rng.random::<u8>()));
        body.resize(body.len().next_multiple_of(4), 0);
        write(out, 15, TRANSPORT_FEEDBACK, &body);
    }
}

impl Generator for Feedback {
    fn next(&mut self, out: &mut Vec<u8>) {
        self.turn = self.turn.wrapping_add(1);
        match self.subject {
            Subject::KeyFrames => self.key_frames(out),
            Subject::Losses { newest } => self.losses(newest, out),
            Subject::Lies => self.lies(out),
        }
    }
}

fn write(out: &mut Vec<u8>, count: u8, kind: u8, body: &[u8]) {
    out.extend([0x80 | count, kind]);
    out.extend(((body.len() / 4) as u16).to_be_bytes());
    out.extend(body);
}

const OWN_SSRC: u32 = 0x0a77_ac4e;
const RECEIVER_REPORT: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

#[cfg(test)]
mod tests {
    use super::*;
    use simmer_sfu::id::Ssrc;
    use simmer_sfu::rtcp::{RtcpPacket, parse};

    fn kinds(subject: Subject) -> Vec<&'static str> {
        let mut feedback = Feedback::new(1, 7, subject);
        let mut kinds = Vec::new();
        for _ in 0..8 {
            let mut out = Vec::new();
            feedback.next(&mut out);
            assert!(out.len() % 4 == 0 && out.len() < 1200, "{}", out.len());
            kinds.extend(parse(&out).map(|packet| match packet {
                RtcpPacket::Pli { media: Ssrc(7) } => "pli",
                RtcpPacket::Fir { entries } => {
                    assert_eq!(entries.collect::<Vec<_>>(), [Ssrc(7)]);
                    "fir"
                }
                RtcpPacket::Nack { media: Ssrc(7), lost } => {
                    assert_eq!(lost.count(), 32 * 17);
                    "nack"
                }
                RtcpPacket::ReceiverReport { .. } => "report",
                RtcpPacket::Remb { .. } => "remb",
                RtcpPacket::TransportFeedback(_) => "arrivals",
                _ => "other",
            }));
        }
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    #[test]
    fn the_server_understands_what_it_is_told() {
        assert_eq!(kinds(Subject::KeyFrames), ["fir", "pli"]);
        assert_eq!(kinds(Subject::Losses { newest: 5 }), ["nack"]);
        assert_eq!(kinds(Subject::Lies), ["arrivals", "remb", "report"]);
    }
}
