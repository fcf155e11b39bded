//! Writing the RTP header of a packet that leaves.

use crate::id::{Mid, Ssrc};
use crate::rtp::AudioLevel;

/// A header to write. Extensions come with their ids, 1 to 14.
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
    /// Which stream.
    pub ssrc: Ssrc,
    /// The m-line (RFC 9143).
    pub mid: Option<(u8, Mid)>,
    /// The transport-wide sequence number.
    pub transport_cc: Option<(u8, u16)>,
    /// The sound's level (RFC 6464).
    pub audio_level: Option<(u8, AudioLevel)>,
}

/// Appends the header with one-byte extensions (RFC 8285 section 4.2); returns its length. Allocates only when `out` must grow.
#[inline]
pub fn write_header(out: &mut Vec<u8>, header: &EgressHeader) -> usize {
    let start = out.len();
    let extended = header.mid.is_some() || header.transport_cc.is_some() || header.audio_level.is_some();
    let mut fixed = [0; 12];
    let [s0, s1] = header.sequence.to_be_bytes();
    let [t0, t1, t2, t3] = header.timestamp.to_be_bytes();
    let [i0, i1, i2, i3] = header.ssrc.0.to_be_bytes();
    let first = if extended { 0x90 } else { 0x80 };
    let second = header.payload_type & 0x7f | u8::from(header.marker) << 7;
    fixed.copy_from_slice(&[first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3]);
    out.extend_from_slice(&fixed);
    if extended {
        out.extend_from_slice(&[0xbe, 0xde, 0, 0]);
        let elements = out.len();
        if let Some((id, sequence)) = header.transport_cc {
            element(out, id, &sequence.to_be_bytes());
        }
        if let Some((id, level)) = header.audio_level {
            element(out, id, &[level.level_dbov & 0x7f | u8::from(level.voice) << 7]);
        }
        if let Some((id, mid)) = header.mid {
            element(out, id, mid.as_str().as_bytes());
        }
        while !(out.len() - elements).is_multiple_of(4) {
            out.push(0);
        }
        // Three elements of at most 17 bytes: the count of words fits one byte.
        let words = ((out.len() - elements) / 4) as u8;
        if let Some(count) = out.get_mut(elements - 1) {
            *count = words;
        }
    }
    out.len() - start
}

#[inline]
fn element(out: &mut Vec<u8>, id: u8, data: &[u8]) {
    debug_assert!((1..=14).contains(&id) && (1..=16).contains(&data.len()));
    out.push(id << 4 | (data.len() as u8).wrapping_sub(1) & 0x0f);
    out.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{ExtensionValues, RtpHeader};
    use crate::sdp::Extensions;

    #[test]
    fn what_is_written_is_read_again() {
        let level = AudioLevel { level_dbov: 90, voice: true };
        let mids = [None, Mid::new(b"0").ok(), Mid::new(&[b'm'; 16]).ok()];
        for mid in mids {
            for transport_cc in [None, Some(0xfffe)] {
                for audio_level in [None, Some(level)] {
                    let header = EgressHeader {
                        payload_type: 127,
                        marker: true,
                        sequence: 0xabcd,
                        timestamp: 0x0102_0304,
                        ssrc: Ssrc(0x0506_0708),
                        mid: mid.map(|mid| (1, mid)),
                        transport_cc: transport_cc.map(|sequence| (4, sequence)),
                        audio_level: audio_level.map(|level| (14, level)),
                    };
                    let mut out = b"before".to_vec();
                    let len = write_header(&mut out, &header);
                    out.extend_from_slice(b"payload");
                    let packet = &out[6..];
                    let read = RtpHeader::parse(packet).unwrap();
                    assert_eq!((read.header_len, read.payload_end), (len, packet.len()));
                    assert_eq!((read.payload_type, read.marker, read.sequence), (127, true, 0xabcd));
                    assert_eq!((read.timestamp, read.ssrc), (header.timestamp, header.ssrc));
                    let ids = Extensions {
                        mid: Some(1),
                        transport_cc: Some(4),
                        audio_level: Some(14),
                        ..Extensions::default()
                    };
                    let values = ExtensionValues::read(packet, &read, &ids);
                    assert_eq!(
                        (values.mid, values.transport_cc, values.audio_level),
                        (mid, transport_cc, audio_level)
                    );
                }
            }
        }
    }
}
