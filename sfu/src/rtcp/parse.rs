//! RTCP, read without trust: compound packets (RFC 3550 section 6.1) and reduced-size ones (RFC 5506).

use crate::bandwidth::Bitrate;
use crate::id::Ssrc;
use crate::rtcp::TransportFeedback;

/// One RTCP packet of a compound.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RtcpPacket<'a> {
    /// RFC 3550 section 6.4.1.
    SenderReport {
        /// Who reports.
        ssrc: Ssrc,
        /// Wall clock, NTP format.
        ntp: u64,
        /// The same instant on the RTP clock.
        rtp_time: u32,
        /// What the sender received.
        blocks: ReportBlocks<'a>,
    },
    /// RFC 3550 section 6.4.2.
    ReceiverReport {
        /// What was received.
        blocks: ReportBlocks<'a>,
    },
    /// Generic NACK (RFC 4585 section 6.2.1).
    Nack {
        /// Of which stream.
        media: Ssrc,
        /// The sequence numbers missing.
        lost: LostSequences<'a>,
    },
    /// Picture loss indication (RFC 4585 section 6.3.1).
    Pli {
        /// Of which stream.
        media: Ssrc,
    },
    /// Full intra request (RFC 5104 section 4.3.1).
    Fir {
        /// The streams asked.
        entries: FirEntries<'a>,
    },
    /// When packets arrived (draft-holmer-rmcat-transport-wide-cc-extensions-01).
    TransportFeedback(TransportFeedback<'a>),
    /// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03 section 2.2).
    Remb {
        /// What all streams together may take.
        bitrate: Bitrate,
    },
    /// RFC 3550 section 6.6.
    Bye,
    /// Any other, of this packet type and format.
    Other {
        /// PT.
        packet_type: u8,
        /// FMT or count.
        format: u8,
    },
}

/// A reception report block (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportBlock {
    /// The stream reported on.
    pub ssrc: Ssrc,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost in all, 24 bits signed.
    pub cumulative_lost: i32,
    /// Highest sequence number, extended by its cycles.
    pub highest_sequence: u32,
    /// Interarrival jitter in RTP clock ticks.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 for none.
    pub last_sender_report: u32,
    /// Delay since then, in 1/65536 s.
    pub delay_since_last: u32,
}

/// Iterates over report blocks.
#[derive(Clone, Debug)]
pub struct ReportBlocks<'a>(&'a [u8]);

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk::<24>()?;
        self.0 = rest;
        let word = |at: usize| u32_at(block, at).unwrap_or_default();
        Some(ReportBlock {
            ssrc: Ssrc(word(0)),
            fraction_lost: (word(4) >> 24) as u8,
            // Sign-extends 24 bits.
            cumulative_lost: ((word(4) << 8) as i32) >> 8,
            highest_sequence: word(8),
            jitter: word(12),
            last_sender_report: word(16),
            delay_since_last: word(20),
        })
    }
}

/// Iterates over the sequence numbers of a generic NACK.
#[derive(Clone, Debug)]
pub struct LostSequences<'a> {
    pairs: &'a [u8],
    base: u16,
    bits: u32,
}

impl Iterator for LostSequences<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.bits == 0 {
            let (&[p0, p1, b0, b1], rest) = self.pairs.split_first_chunk::<4>()?;
            self.pairs = rest;
            self.base = u16::from_be_bytes([p0, p1]);
            // Bit 0 is the base itself, bit i + 1 of the mask its i-th successor.
            self.bits = u32::from(u16::from_be_bytes([b0, b1])) << 1 | 1;
        }
        let offset = self.bits.trailing_zeros();
        self.bits &= self.bits - 1;
        Some(self.base.wrapping_add(offset as u16))
    }
}

/// Iterates over the streams of a full intra request.
#[derive(Clone, Debug)]
pub struct FirEntries<'a>(&'a [u8]);

impl Iterator for FirEntries<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let (entry, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        u32_at(entry, 0).map(Ssrc)
    }
}

/// Iterates over the packets of a compound; ends at the first that is malformed.
pub fn parse(compound: &[u8]) -> impl Iterator<Item = RtcpPacket<'_>> {
    let mut rest = compound;
    std::iter::from_fn(move || {
        let (packet, after) = split(rest)?;
        rest = after;
        read(packet)
    })
}

/// Cuts compounds of at most `max` bytes out of RTCP packets written back to back. A single packet larger than `max` is one of its own.
pub fn datagrams(packets: &[u8], max: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = packets;
    std::iter::from_fn(move || {
        let mut length = 0;
        while let Some((packet, _)) = rest.get(length..).and_then(split) {
            if length > 0 && length + packet.len() > max {
                break;
            }
            length += packet.len();
        }
        let (datagram, after) = rest.split_at_checked(length)?;
        rest = after;
        (length > 0).then_some(datagram)
    })
}

fn split(packets: &[u8]) -> Option<(&[u8], &[u8])> {
    let &[first, _, l0, l1] = packets.first_chunk::<4>()?;
    let length = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
    if first >> 6 != 2 {
        return None;
    }
    packets.split_at_checked(length)
}

fn read(packet: &[u8]) -> Option<RtcpPacket<'_>> {
    let (&[first, packet_type, ..], mut body) = packet.split_first_chunk::<4>()?;
    let format = first & 0x1f;
    if first & 0x20 != 0 {
        let padding = usize::from(*body.last()?);
        body = body.get(..body.len().checked_sub(padding)?)?;
    }
    let media = || u32_at(body, 4).map(Ssrc);
    let blocks = |at: usize| {
        let blocks = body.get(at..)?;
        Some(ReportBlocks(blocks.get(..usize::from(format) * 24)?))
    };
    Some(match (packet_type, format) {
        (SENDER_REPORT, _) => RtcpPacket::SenderReport {
            ssrc: Ssrc(u32_at(body, 0)?),
            ntp: u64::from(u32_at(body, 4)?) << 32 | u64::from(u32_at(body, 8)?),
            rtp_time: u32_at(body, 12)?,
            blocks: blocks(24)?,
        },
        (RECEIVER_REPORT, _) => RtcpPacket::ReceiverReport { blocks: blocks(4)? },
        (TRANSPORT_FEEDBACK, 1) => RtcpPacket::Nack {
            media: media()?,
            lost: LostSequences { pairs: body.get(8..)?, base: 0, bits: 0 },
        },
        (TRANSPORT_FEEDBACK, 15) => RtcpPacket::TransportFeedback(TransportFeedback::parse(body.get(8..)?)?),
        (PAYLOAD_FEEDBACK, 1) => RtcpPacket::Pli { media: media()? },
        (PAYLOAD_FEEDBACK, 4) => RtcpPacket::Fir { entries: FirEntries(body.get(8..)?) },
        (PAYLOAD_FEEDBACK, 15) if body.get(8..12) == Some(b"REMB") => {
            let word = u32_at(body, 12)?;
            let (exponent, mantissa) = (word >> 18 & 0x3f, word & 0x3_ffff);
            // 18 bits shifted by up to 63.
            let bitrate = u128::from(mantissa) << exponent;
            RtcpPacket::Remb { bitrate: Bitrate::bps(u64::try_from(bitrate).unwrap_or(u64::MAX)) }
        }
        (BYE, _) => RtcpPacket::Bye,
        _ => RtcpPacket::Other { packet_type, format },
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

pub(super) const SENDER_REPORT: u8 = 200;
pub(super) const RECEIVER_REPORT: u8 = 201;
pub(super) const SOURCE_DESCRIPTION: u8 = 202;
pub(super) const BYE: u8 = 203;
pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
pub(super) const PAYLOAD_FEEDBACK: u8 = 206;
