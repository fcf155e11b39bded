//! Reading an RTP header and its extensions.

use crate::id::{Mid, Rid, Ssrc};
use crate::sdp::Extensions;

/// The fixed header of one RTP packet and where its parts lie (RFC 3550 section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RtpHeader {
    /// 0 to 127.
    pub payload_type: u8,
    /// The marker bit.
    pub marker: bool,
    /// The sequence number as sent.
    pub sequence: u16,
    /// The timestamp as sent.
    pub timestamp: u32,
    /// Which stream.
    pub ssrc: Ssrc,
    /// Where the payload begins: after fixed header, CSRCs and extension.
    pub header_len: usize,
    /// Where the payload ends: padding is left out. Never before `header_len`.
    pub payload_end: usize,
    /// The extension's profile and where its words begin and end.
    pub extension: Option<(u16, usize, usize)>,
}

impl RtpHeader {
    /// Reads a packet's header; `None` when it is not RTP version 2 or its parts do not fit into it.
    #[inline]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let &[first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = packet.first_chunk::<12>()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut header_len = 12 + 4 * usize::from(first & 0x0f);
        let mut extension = None;
        if first & 0x10 != 0 {
            let &[p0, p1, l0, l1] = packet.get(header_len..)?.first_chunk::<4>()?;
            let begin = header_len + 4;
            header_len = begin + 4 * usize::from(u16::from_be_bytes([l0, l1]));
            extension = Some((u16::from_be_bytes([p0, p1]), begin, header_len));
        }
        let mut payload_end = packet.len();
        if first & 0x20 != 0 {
            let padding = usize::from(*packet.last()?);
            payload_end = payload_end.checked_sub(padding).filter(|_| padding > 0)?;
        }
        (header_len <= payload_end).then_some(Self {
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([i0, i1, i2, i3])),
            header_len,
            payload_end,
            extension,
        })
    }
}

/// How loud a packet's sound is (RFC 6464).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AudioLevel {
    /// Decibels below overload: 0 is the loudest, 127 silence.
    pub level_dbov: u8,
    /// The sender believes it to be a voice.
    pub voice: bool,
}

/// What a packet's header extensions say, as far as the core reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExtensionValues {
    /// The m-line (RFC 9143).
    pub mid: Option<Mid>,
    /// The simulcast stream (RFC 8852).
    pub rid: Option<Rid>,
    /// The simulcast stream that a retransmission repairs (RFC 8852).
    pub repaired_rid: Option<Rid>,
    /// The transport-wide sequence number.
    pub transport_cc: Option<u16>,
    /// The sound's level.
    pub audio_level: Option<AudioLevel>,
}

impl ExtensionValues {
    /// Reads the extensions agreed on, in one-byte or two-byte form (RFC 8285). What is malformed is left out, with all that follows it.
    #[inline]
    pub fn read(packet: &[u8], header: &RtpHeader, ids: &Extensions) -> Self {
        let mut values = Self::default();
        let Some((profile, begin, end)) = header.extension else { return values };
        let Some(bytes) = packet.get(begin..end) else { return values };
        for (id, data) in (Elements { profile, bytes }) {
            let id = Some(id);
            if id == ids.transport_cc {
                values.transport_cc = data.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
            } else if id == ids.mid {
                values.mid = Mid::new(data).ok();
            } else if id == ids.rid {
                values.rid = Rid::new(data).ok();
            } else if id == ids.repaired_rid {
                values.repaired_rid = Rid::new(data).ok();
            } else if id == ids.audio_level {
                let level = |byte: &u8| AudioLevel { level_dbov: byte & 0x7f, voice: byte & 0x80 != 0 };
                values.audio_level = data.first().map(level);
            }
        }
        values
    }
}

/// The elements of a header extension.
struct Elements<'a> {
    profile: u16,
    bytes: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // A zero byte between elements is padding.
        while let Some((0, rest)) = self.bytes.split_first() {
            self.bytes = rest;
        }
        let (&first, rest) = self.bytes.split_first()?;
        let (id, len, rest) = if self.profile == ONE_BYTE {
            // RFC 8285 section 4.2: 15 ends the reading. So does 0 with a length, which no sender may use.
            let id = first >> 4;
            (id, usize::from(first & 0x0f) + 1, if id == 15 || id == 0 { return None } else { rest })
        } else if self.profile & 0xfff0 == TWO_BYTES {
            let (&len, rest) = rest.split_first()?;
            (first, usize::from(len), rest)
        } else {
            return None;
        };
        let (data, rest) = rest.split_at_checked(len)?;
        self.bytes = rest;
        Some((id, data))
    }
}

const ONE_BYTE: u16 = 0xbede;
const TWO_BYTES: u16 = 0x1000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: Extensions = Extensions {
        mid: Some(1),
        rid: Some(2),
        repaired_rid: Some(3),
        transport_cc: Some(4),
        audio_level: Some(5),
        abs_send_time: None,
    };

    fn packet(first: u8, extension: &[u8], payload: &[u8]) -> Vec<u8> {
        [&[first, 0xe0, 1, 2, 0, 0, 0, 9, 0, 0, 0, 7], extension, payload].concat()
    }

    #[test]
    fn fields_and_payload_are_found() {
        let header = RtpHeader::parse(&packet(0x80, &[], b"abc")).unwrap();
        assert_eq!((header.payload_type, header.marker, header.sequence), (96, true, 0x0102));
        assert_eq!((header.timestamp, header.ssrc), (9, Ssrc(7)));
        assert_eq!((header.header_len, header.payload_end), (12, 15));
        let header = RtpHeader::parse(&packet(0xa1, b"CSRC", &[b'a', 0, 0, 3])).unwrap();
        assert_eq!((header.header_len, header.payload_end), (16, 17));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let cases: [(&str, Vec<u8>); 7] = [
            ("short", vec![0x80; 11]),
            ("version", packet(0x40, &[], b"")),
            ("CSRCs", packet(0x82, b"CSRC", b"")),
            ("extension header", packet(0x90, &[0xbe, 0xde, 0], b"")),
            ("extension", packet(0x90, &[0xbe, 0xde, 0, 1], b"abc")),
            ("no padding", packet(0xa0, &[], &[0])),
            ("padding over the header", packet(0xa0, &[], &[1, 3])),
        ];
        for (name, bytes) in cases {
            assert_eq!(RtpHeader::parse(&bytes), None, "{name}");
        }
    }

    #[test]
    fn extensions_are_read_in_either_form() {
        let one =
            [0xbe, 0xde, 0, 4, 0x11, b'm', b'1', 0, 0x20, b'h', 0x30, b'l', 0x41, 1, 2, 0x50, 0x85, 0, 0, 0];
        let two = [0x10, 0, 0, 5, 1, 2, b'm', b'1', 0, 2, 1, b'h', 3, 1, b'l', 4, 2, 1, 2, 5, 1, 0x85, 9, 0];
        for extension in [&one[..], &two[..]] {
            let packet = packet(0x90, extension, b"x");
            let header = RtpHeader::parse(&packet).unwrap();
            let values = ExtensionValues::read(&packet, &header, &IDS);
            assert_eq!(values.mid, Mid::new(b"m1").ok());
            assert_eq!(values.rid, Rid::new(b"h").ok());
            assert_eq!(values.repaired_rid, Rid::new(b"l").ok());
            assert_eq!(values.transport_cc, Some(0x0102));
            assert_eq!(values.audio_level, Some(AudioLevel { level_dbov: 5, voice: true }));
        }
    }

    #[test]
    fn id_15_ends_the_reading_and_other_profiles_are_skipped() {
        for (profile, first) in [([0xbe, 0xde], 0xf0), ([0xab, 0xcd], 0x10)] {
            let extension = [profile[0], profile[1], 0, 1, first, b'm', 0x10, b'm'];
            let packet = packet(0x90, &extension, b"");
            let header = RtpHeader::parse(&packet).unwrap();
            assert_eq!(ExtensionValues::read(&packet, &header, &IDS), ExtensionValues::default());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_the_parts_lie_inside(mut bytes in prop::collection::vec(any::<u8>(), 0..80), valid: bool, two: bool) {
            if valid && bytes.len() > 16 {
                bytes[0] = 0x90;
                bytes[12..14].copy_from_slice(&if two { [0x10, 0] } else { [0xbe, 0xde] });
                let words = (bytes.len() - 16) as u16 / 4;
                bytes[14..16].copy_from_slice(&words.to_be_bytes());
            }
            if let Some(header) = RtpHeader::parse(&bytes) {
                prop_assert!(header.header_len <= header.payload_end && header.payload_end <= bytes.len());
                ExtensionValues::read(&bytes, &header, &IDS);
            }
        }
    }
}
