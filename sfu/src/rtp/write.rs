//! The RTP header of what goes to subscribers.

use crate::id::{Mid, Ssrc};
use crate::rtp::AudioLevel;

/// What is in a subscriber's RTP header; each extension with its negotiated id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EgressHeader<'a> {
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
    /// The dependency descriptor, of at most 255 bytes, and its frame number, which takes the place of the one in it.
    pub dependency: Option<(u8, &'a [u8], u16)>,
    /// How long pictures are held back at least, in units of 10 ms, 12 bits; at most [`LONGEST_DELAY`].
    pub playout_delay: Option<(u8, u16)>,
}

/// Appends the header and returns its length. Extensions are in the one-byte form (RFC 8285 section 4.2), or all in the two-byte form (section 4.3)
/// where a dependency descriptor needs more than 16 bytes.
#[inline]
pub fn write_header(out: &mut Vec<u8>, header: &EgressHeader<'_>) -> usize {
    let start = out.len();
    let dependency = header.dependency.filter(|(_, descriptor, _)| (3..=255).contains(&descriptor.len()));
    let extended = header.mid.is_some()
        || header.transport_cc.is_some()
        || header.audio_level.is_some()
        || dependency.is_some()
        || header.playout_delay.is_some();
    let [s0, s1] = header.sequence.to_be_bytes();
    let [t0, t1, t2, t3] = header.timestamp.to_be_bytes();
    let [c0, c1, c2, c3] = header.ssrc.0.to_be_bytes();
    let first = 0x80 | if extended { 0x10 } else { 0 } | if header.padding { 0x20 } else { 0 };
    let second = header.payload_type & 0x7f | if header.marker { 0x80 } else { 0 };
    out.extend_from_slice(&[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]);
    if extended {
        let long = dependency.is_some_and(|(_, descriptor, _)| descriptor.len() > 16);
        out.extend_from_slice(if long { &[0x10, 0x00, 0, 0] } else { &[0xbe, 0xde, 0, 0] });
        let elements = out.len();
        if let Some((id, sequence)) = header.transport_cc {
            element(out, long, id, 2);
            out.extend_from_slice(&sequence.to_be_bytes());
        }
        if let Some((id, level)) = header.audio_level {
            element(out, long, id, 1);
            out.push(level.level & 0x7f | if level.voice { 0x80 } else { 0 });
        }
        if let Some((id, mid)) = header.mid {
            let text = mid.as_str().as_bytes();
            element(out, long, id, text.len() as u8);
            out.extend_from_slice(text);
        }
        if let Some((id, least)) = header.playout_delay {
            // 12 bits each: the least delay, the most.
            element(out, long, id, 3);
            let both = u32::from(least.min(LONGEST_DELAY)) << 12 | u32::from(LONGEST_DELAY);
            let [_, bytes @ ..] = both.to_be_bytes();
            out.extend_from_slice(&bytes);
        }
        if let Some((id, descriptor, frame_number)) = dependency {
            element(out, long, id, descriptor.len() as u8);
            let at = out.len();
            out.extend_from_slice(descriptor);
            if let Some(number) = out.get_mut(at + 1..at + 3) {
                number.copy_from_slice(&frame_number.to_be_bytes());
            }
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

/// As the most that pictures may be held back, in units of 10 ms: what libwebrtc does without being told. A small value would ask it not to wait
/// for anything.
pub const LONGEST_DELAY: u16 = 1000;

/// The head of an extension of `length` bytes: 1 to 16 in the one-byte form.
#[inline]
fn element(out: &mut Vec<u8>, long: bool, id: u8, length: u8) {
    if long {
        out.extend_from_slice(&[id, length]);
    } else {
        out.push(id << 4 | length.wrapping_sub(1) & 0x0f);
    }
}
