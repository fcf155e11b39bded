//! The RTP header of what goes to subscribers.

use crate::id::{Mid, Ssrc};
use crate::rtp::AudioLevel;

/// What is in a subscriber's RTP header; each extension with its negotiated id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EgressHeader {
    /// 0 to 127.
    pub payload_type: u8,
    /// The marker bit.
    pub marker: bool,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp.
    pub timestamp: u32,
    /// The source.
    pub ssrc: Ssrc,
    /// The packet ends with padding.
    pub padding: bool,
    /// The m-line.
    pub mid: Option<(u8, Mid)>,
    /// The transport-wide sequence number.
    pub transport_cc: Option<(u8, u16)>,
    /// How loud it is.
    pub audio_level: Option<(u8, AudioLevel)>,
}

/// Appends the header, with one-byte extensions (RFC 8285 section 4.2), and returns its length.
#[inline]
pub fn write_header(out: &mut Vec<u8>, header: &EgressHeader) -> usize {
    let start = out.len();
    let extended = header.mid.is_some() || header.transport_cc.is_some() || header.audio_level.is_some();
    let [s0, s1] = header.sequence.to_be_bytes();
    let [t0, t1, t2, t3] = header.timestamp.to_be_bytes();
    let [c0, c1, c2, c3] = header.ssrc.0.to_be_bytes();
    let first = 0x80 | if extended { 0x10 } else { 0 } | if header.padding { 0x20 } else { 0 };
    let second = header.payload_type & 0x7f | if header.marker { 0x80 } else { 0 };
    out.extend_from_slice(&[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]);
    if extended {
        out.extend_from_slice(&[0xbe, 0xde, 0, 0]);
        let elements = out.len();
        if let Some((id, sequence)) = header.transport_cc {
            let [high, low] = sequence.to_be_bytes();
            out.extend_from_slice(&[id << 4 | 1, high, low]);
        }
        if let Some((id, level)) = header.audio_level {
            out.extend_from_slice(&[id << 4, level.level & 0x7f | if level.voice { 0x80 } else { 0 }]);
        }
        if let Some((id, mid)) = header.mid {
            let text = mid.as_str().as_bytes();
            out.push(id << 4 | (text.len() as u8).wrapping_sub(1) & 0x0f);
            out.extend_from_slice(text);
        }
        while !(out.len() - elements).is_multiple_of(4) {
            out.push(0);
        }
        let words = ((out.len() - elements) / 4) as u8;
        if let Some(length) = out.get_mut(elements - 1) {
            *length = words;
        }
    }
    out.len() - start
}
