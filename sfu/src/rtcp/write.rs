//! Writing RTCP: each function appends one whole packet, or as many as it takes.

use crate::id::Ssrc;
use crate::rtcp::ReportBlock;

/// The sender's part of a sender report (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderInfo {
    /// Whose.
    pub ssrc: Ssrc,
    /// Our wall clock, 64-bit NTP format.
    pub ntp: u64,
    /// The same instant on the stream's RTP clock.
    pub rtp_time: u32,
    /// Packets sent, modulo 2^32.
    pub packets: u32,
    /// Payload bytes sent, modulo 2^32.
    pub octets: u32,
}

/// Appends a sender report without report blocks.
pub fn write_sender_report(out: &mut Vec<u8>, report: &SenderInfo) {
    let start = begin(out, 0, 200);
    out.extend_from_slice(&report.ssrc.0.to_be_bytes());
    out.extend_from_slice(&report.ntp.to_be_bytes());
    for field in [report.rtp_time, report.packets, report.octets] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    finish(out, start);
}

/// Appends receiver reports (RFC 3550 section 6.4.2): one for every 31 blocks, and one when there is no block.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: Ssrc, blocks: &[ReportBlock]) {
    let mut rest = blocks;
    loop {
        let (blocks, after) = rest.split_at(rest.len().min(MAX_BLOCKS));
        let start = begin(out, blocks.len() as u8, 201);
        out.extend_from_slice(&ssrc.0.to_be_bytes());
        for block in blocks {
            let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
            for field in [
                block.ssrc.0,
                u32::from(block.fraction_lost) << 24 | lost,
                block.highest_sequence,
                block.jitter,
                block.last_sender_report,
                block.delay_since_last,
            ] {
                out.extend_from_slice(&field.to_be_bytes());
            }
        }
        finish(out, start);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
}

/// Appends a source description with a CNAME (RFC 3550 section 6.5), of which the first 255 bytes are sent.
pub fn write_cname(out: &mut Vec<u8>, ssrc: Ssrc, cname: &str) {
    let start = begin(out, 1, 202);
    let cname = cname.as_bytes().get(..255).unwrap_or(cname.as_bytes());
    out.extend_from_slice(&ssrc.0.to_be_bytes());
    out.extend_from_slice(&[1, cname.len() as u8]);
    out.extend_from_slice(cname);
    out.push(0);
    finish(out, start);
}

/// Appends a generic negative acknowledgement (RFC 4585 section 6.2.1) of extended sequence numbers, ascending. Nothing for none.
pub fn write_nack(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc, lost: &[u64]) {
    let mut lost = lost.iter().copied().peekable();
    if lost.peek().is_none() {
        return;
    }
    let start = begin_feedback(out, 1, FEEDBACK_TRANSPORT, sender, media);
    while let Some(first) = lost.next() {
        let mut mask: u16 = 0;
        while let Some(next) = lost.next_if(|&next| next.wrapping_sub(first) <= 16) {
            if let Some(bit) = next.wrapping_sub(first).checked_sub(1) {
                mask |= 1 << bit;
            }
        }
        out.extend_from_slice(&(first as u16).to_be_bytes());
        out.extend_from_slice(&mask.to_be_bytes());
    }
    finish(out, start);
}

/// Appends a picture loss indication (RFC 4585 section 6.3.1).
pub fn write_pli(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc) {
    let start = begin_feedback(out, 1, FEEDBACK_PAYLOAD, sender, media);
    finish(out, start);
}

/// Appends a goodbye (RFC 3550 section 6.6) of at most 31 streams.
pub fn write_bye(out: &mut Vec<u8>, ssrcs: &[Ssrc]) {
    let ssrcs = ssrcs.get(..MAX_BLOCKS).unwrap_or(ssrcs);
    let start = begin(out, ssrcs.len() as u8, 203);
    for ssrc in ssrcs {
        out.extend_from_slice(&ssrc.0.to_be_bytes());
    }
    finish(out, start);
}

/// Cuts a run of whole packets into datagrams of at most `limit` bytes, between packets. A packet longer than that is one alone.
pub fn datagrams(packets: &[u8], limit: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = packets;
    std::iter::from_fn(move || {
        let mut end = 0;
        while let Some(&[_, _, l0, l1]) = rest.get(end..).and_then(<[u8]>::first_chunk::<4>) {
            let next = end + 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]));
            if next > rest.len() || (next > limit && end > 0) {
                break;
            }
            end = next;
        }
        let (datagram, after) = rest.split_at_checked(end).filter(|_| end > 0)?;
        rest = after;
        Some(datagram)
    })
}

/// Begins a packet, with its count or format; returns what [`finish`] needs.
pub(crate) fn begin(out: &mut Vec<u8>, count: u8, packet_type: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count & 0x1f, packet_type, 0, 0]);
    start
}

fn begin_feedback(out: &mut Vec<u8>, format: u8, packet_type: u8, sender: Ssrc, media: Ssrc) -> usize {
    let start = begin(out, format, packet_type);
    out.extend_from_slice(&sender.0.to_be_bytes());
    out.extend_from_slice(&media.0.to_be_bytes());
    start
}

/// Fills up to a whole word with zeros and writes the length.
pub(crate) fn finish(out: &mut Vec<u8>, start: usize) {
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    if let Some(length) = out.get_mut(start + 2..start + 4) {
        length.copy_from_slice(&words.to_be_bytes());
    }
}

/// The packet type of transport layer feedback.
pub(crate) const FEEDBACK_TRANSPORT: u8 = 205;
const FEEDBACK_PAYLOAD: u8 = 206;
const MAX_BLOCKS: usize = 31;
