//! RTCP as we send it, appended to a buffer packet by packet.

use crate::id::Ssrc;
use crate::rtcp::ReportBlock;
use crate::rtcp::parse::{
    PAYLOAD_FEEDBACK, RECEIVER_REPORT, SENDER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK,
};

/// The sender's part of a sender report (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderInfo {
    /// The stream.
    pub ssrc: Ssrc,
    /// Wall clock, NTP format.
    pub ntp: u64,
    /// The same instant on the stream's clock.
    pub rtp_time: u32,
    /// Packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// Appends a sender report without report blocks.
pub fn write_sender_report(out: &mut Vec<u8>, info: &SenderInfo) {
    let at = begin(out, SENDER_REPORT, 0);
    out.extend_from_slice(&info.ssrc.0.to_be_bytes());
    out.extend_from_slice(&info.ntp.to_be_bytes());
    for word in [info.rtp_time, info.packets, info.octets] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    end(out, at);
}

/// Appends a receiver report (RFC 3550 section 6.4.2) of at most 31 blocks; more are left out.
pub fn write_receiver_report(out: &mut Vec<u8>, ssrc: Ssrc, blocks: &[ReportBlock]) {
    let blocks = blocks.get(..31).unwrap_or(blocks);
    let at = begin(out, RECEIVER_REPORT, blocks.len() as u8);
    out.extend_from_slice(&ssrc.0.to_be_bytes());
    for block in blocks {
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        for word in [
            block.ssrc.0,
            u32::from(block.fraction_lost) << 24 | lost,
            block.highest_sequence,
            block.jitter,
            block.last_sender_report,
            block.delay_since_last,
        ] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
    end(out, at);
}

/// Appends a source description with a CNAME of at most 255 bytes (RFC 3550 section 6.5.1).
pub fn write_cname(out: &mut Vec<u8>, ssrc: Ssrc, cname: &str) {
    let text = cname.as_bytes();
    let text = text.get(..255).unwrap_or(text);
    let at = begin(out, SOURCE_DESCRIPTION, 1);
    out.extend_from_slice(&ssrc.0.to_be_bytes());
    out.extend_from_slice(&[1, text.len() as u8]);
    out.extend_from_slice(text);
    // At least one null ends the items.
    out.push(0);
    end(out, at);
}

/// Appends a generic NACK (RFC 4585 section 6.2.1) for extended sequence numbers in ascending order.
pub fn write_nack(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc, missing: &[u64]) {
    let at = begin(out, TRANSPORT_FEEDBACK, 1);
    out.extend_from_slice(&sender.0.to_be_bytes());
    out.extend_from_slice(&media.0.to_be_bytes());
    let mut rest = missing.iter().copied().peekable();
    while let Some(base) = rest.next() {
        let mut mask = 0u16;
        while let Some(next) = rest.next_if(|next| (1..=16).contains(&next.wrapping_sub(base))) {
            mask |= 1 << (next - base - 1);
        }
        out.extend_from_slice(&(base as u16).to_be_bytes());
        out.extend_from_slice(&mask.to_be_bytes());
    }
    end(out, at);
}

/// Appends a picture loss indication (RFC 4585 section 6.3.1).
pub fn write_pli(out: &mut Vec<u8>, sender: Ssrc, media: Ssrc) {
    let at = begin(out, PAYLOAD_FEEDBACK, 1);
    out.extend_from_slice(&sender.0.to_be_bytes());
    out.extend_from_slice(&media.0.to_be_bytes());
    end(out, at);
}

/// Begins a packet; [`end`] fills in its length and pads it to whole words.
pub(crate) fn begin(out: &mut Vec<u8>, packet_type: u8, format: u8) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0x80 | format & 0x1f, packet_type, 0, 0]);
    at
}

pub(crate) fn end(out: &mut Vec<u8>, at: usize) {
    while !(out.len() - at).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - at) / 4 - 1) as u16;
    if let Some(length) = out.get_mut(at + 2..at + 4) {
        length.copy_from_slice(&words.to_be_bytes());
    }
}
