//! Reading compound RTCP.

use crate::id::Ssrc;

/// The packets of a compound, in order; also of a reduced-size one (RFC 5506). Ends at the first that does not fit.
pub fn parse(compound: &[u8]) -> Packets<'_> {
    Packets { rest: compound }
}

/// See [`parse`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

/// One RTCP packet, borrowed from the compound.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RtcpPacket<'a> {
    /// RFC 3550 section 6.4.1.
    SenderReport {
        /// Whose.
        ssrc: Ssrc,
        /// Their wall clock, 64-bit NTP format.
        ntp: u64,
        /// The same instant on the stream's RTP clock.
        rtp_time: u32,
        /// Packets sent, modulo 2^32.
        packets: u32,
        /// Payload bytes sent, modulo 2^32.
        octets: u32,
        /// What they receive.
        blocks: Blocks<'a>,
    },
    /// RFC 3550 section 6.4.2.
    ReceiverReport {
        /// Whose.
        ssrc: Ssrc,
        /// What they receive.
        blocks: Blocks<'a>,
    },
    /// Generic negative acknowledgement (RFC 4585 section 6.2.1).
    Nack {
        /// Who lacks them.
        sender: Ssrc,
        /// Of which stream.
        media: Ssrc,
        /// Which sequence numbers.
        lost: LostSequences<'a>,
    },
    /// Picture loss indication (RFC 4585 section 6.3.1).
    Pli {
        /// Who lost it.
        sender: Ssrc,
        /// Of which stream.
        media: Ssrc,
    },
    /// Full intra request (RFC 5104 section 4.3.1).
    Fir {
        /// Who asks.
        sender: Ssrc,
        /// Of which streams.
        entries: FirEntries<'a>,
    },
    /// Receiver estimated maximum bitrate.
    Remb {
        /// Who estimates.
        sender: Ssrc,
        /// Bits per second, saturating.
        bitrate_bps: u64,
        /// The streams that share it.
        ssrcs: Ssrcs<'a>,
    },
    /// Transport-wide congestion control feedback.
    TransportCc {
        /// Who received.
        sender: Ssrc,
        /// A stream of the transport.
        media: Ssrc,
        /// What follows the two SSRCs, padding included.
        body: &'a [u8],
    },
    /// RFC 3550 section 6.6.
    Bye {
        /// Who leaves.
        ssrcs: Ssrcs<'a>,
    },
    /// Of a type or format not read.
    Other {
        /// The packet type.
        packet_type: u8,
        /// The count or format field.
        format: u8,
    },
}

impl<'a> Iterator for Packets<'a> {
    type Item = RtcpPacket<'a>;

    fn next(&mut self) -> Option<RtcpPacket<'a>> {
        let packet = self.read();
        if packet.is_none() {
            self.rest = &[];
        }
        packet
    }
}

impl<'a> Packets<'a> {
    fn read(&mut self) -> Option<RtcpPacket<'a>> {
        let &[first, packet_type, l0, l1] = self.rest.first_chunk::<4>()?;
        if first >> 6 != 2 {
            return None;
        }
        let len = 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
        let (packet, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        let mut body = packet.get(4..)?;
        if first & 0x20 != 0 {
            let padding = usize::from(*body.last()?);
            // RFC 3550 section 6.4.1: a multiple of four.
            let kept =
                body.len().checked_sub(padding).filter(|_| padding > 0 && padding.is_multiple_of(4))?;
            // The feedback's own parser knows where its deltas end.
            if packet_type != FEEDBACK_TRANSPORT || first & 0x1f != 15 {
                body = body.get(..kept)?;
            }
        }
        read_packet(packet_type, first & 0x1f, body)
    }
}

fn read_packet(packet_type: u8, format: u8, body: &[u8]) -> Option<RtcpPacket<'_>> {
    Some(match (packet_type, format) {
        (200, count) => {
            let (ssrc, rest) = split_u32(body)?;
            let (high, rest) = split_u32(rest)?;
            let (low, rest) = split_u32(rest)?;
            let (rtp_time, rest) = split_u32(rest)?;
            let (packets, rest) = split_u32(rest)?;
            let (octets, rest) = split_u32(rest)?;
            let ntp = u64::from(high) << 32 | u64::from(low);
            RtcpPacket::SenderReport {
                ssrc: Ssrc(ssrc),
                ntp,
                rtp_time,
                packets,
                octets,
                blocks: blocks(rest, count)?,
            }
        }
        (201, count) => {
            let (ssrc, rest) = split_u32(body)?;
            RtcpPacket::ReceiverReport { ssrc: Ssrc(ssrc), blocks: blocks(rest, count)? }
        }
        (203, count) => RtcpPacket::Bye { ssrcs: Ssrcs { bytes: body.get(..4 * usize::from(count))? } },
        (FEEDBACK_TRANSPORT | FEEDBACK_PAYLOAD, format) => {
            let (sender, rest) = split_u32(body)?;
            let (media, rest) = split_u32(rest)?;
            let (sender, media) = (Ssrc(sender), Ssrc(media));
            match (packet_type, format) {
                (FEEDBACK_TRANSPORT, 1) => {
                    RtcpPacket::Nack { sender, media, lost: LostSequences { pairs: rest, first: 0, mask: 0 } }
                }
                (FEEDBACK_TRANSPORT, 15) => RtcpPacket::TransportCc { sender, media, body: rest },
                (FEEDBACK_PAYLOAD, 1) => RtcpPacket::Pli { sender, media },
                (FEEDBACK_PAYLOAD, 4) => RtcpPacket::Fir { sender, entries: FirEntries { bytes: rest } },
                (FEEDBACK_PAYLOAD, 15) if rest.starts_with(b"REMB") => remb(sender, rest)?,
                _ => RtcpPacket::Other { packet_type, format },
            }
        }
        _ => RtcpPacket::Other { packet_type, format },
    })
}

fn remb(sender: Ssrc, body: &[u8]) -> Option<RtcpPacket<'_>> {
    let &[count, b0, b1, b2] = body.get(4..)?.first_chunk::<4>()?;
    let exponent = u32::from(b0 >> 2);
    let mantissa = u64::from(u32::from_be_bytes([0, b0 & 3, b1, b2]));
    let bitrate_bps = if mantissa.leading_zeros() >= exponent { mantissa << exponent } else { u64::MAX };
    let ssrcs = body.get(8..8 + 4 * usize::from(count))?;
    Some(RtcpPacket::Remb { sender, bitrate_bps, ssrcs: Ssrcs { bytes: ssrcs } })
}

/// What a receiver says of one stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportBlock {
    /// Of which stream.
    pub ssrc: Ssrc,
    /// Packets lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost since the start, signed 24 bits: duplicates count against it.
    pub cumulative_lost: i32,
    /// The highest sequence number, with its cycles above bit 16.
    pub highest_sequence: u32,
    /// Interarrival jitter in units of the RTP clock.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 before the first.
    pub last_sender_report: u32,
    /// Since that report, in 65536ths of a second.
    pub delay_since_last: u32,
}

fn blocks(bytes: &[u8], count: u8) -> Option<Blocks<'_>> {
    Some(Blocks { bytes: bytes.get(..BLOCK_BYTES * usize::from(count))? })
}

/// The report blocks of a packet.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
}

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (ssrc, rest) = split_u32(self.bytes)?;
        let (lost, rest) = split_u32(rest)?;
        let (highest_sequence, rest) = split_u32(rest)?;
        let (jitter, rest) = split_u32(rest)?;
        let (last_sender_report, rest) = split_u32(rest)?;
        let (delay_since_last, rest) = split_u32(rest)?;
        self.bytes = rest;
        Some(ReportBlock {
            ssrc: Ssrc(ssrc),
            fraction_lost: (lost >> 24) as u8,
            // Shifted up and down again, the 24th bit becomes the sign.
            cumulative_lost: ((lost << 8) as i32) >> 8,
            highest_sequence,
            jitter,
            last_sender_report,
            delay_since_last,
        })
    }
}

/// The sequence numbers of a negative acknowledgement, in its order.
#[derive(Clone, Debug)]
pub struct LostSequences<'a> {
    pairs: &'a [u8],
    first: u16,
    /// Bit i: `first` + 1 + i is lost.
    mask: u16,
}

impl Iterator for LostSequences<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.mask == 0 {
            let (pair, rest) = split_u32(self.pairs)?;
            self.pairs = rest;
            self.first = (pair >> 16) as u16;
            self.mask = pair as u16;
            return Some(self.first);
        }
        let bit = self.mask.trailing_zeros() as u16;
        self.mask &= self.mask.wrapping_sub(1);
        Some(self.first.wrapping_add(1).wrapping_add(bit))
    }
}

/// One request of a full intra request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirEntry {
    /// Of which stream.
    pub ssrc: Ssrc,
    /// The same number is the same request.
    pub number: u8,
}

/// The requests of a full intra request.
#[derive(Clone, Debug)]
pub struct FirEntries<'a> {
    bytes: &'a [u8],
}

impl Iterator for FirEntries<'_> {
    type Item = FirEntry;

    fn next(&mut self) -> Option<FirEntry> {
        let (ssrc, rest) = split_u32(self.bytes)?;
        let (number, rest) = split_u32(rest)?;
        self.bytes = rest;
        Some(FirEntry { ssrc: Ssrc(ssrc), number: (number >> 24) as u8 })
    }
}

/// A list of SSRCs.
#[derive(Clone, Debug)]
pub struct Ssrcs<'a> {
    bytes: &'a [u8],
}

impl Iterator for Ssrcs<'_> {
    type Item = Ssrc;

    fn next(&mut self) -> Option<Ssrc> {
        let (ssrc, rest) = split_u32(self.bytes)?;
        self.bytes = rest;
        Some(Ssrc(ssrc))
    }
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*first), rest))
}

const FEEDBACK_TRANSPORT: u8 = 205;
const FEEDBACK_PAYLOAD: u8 = 206;
const BLOCK_BYTES: usize = 24;
