//! The RTP header (RFC 3550 section 5.1) and its extensions (RFC 8285), read without trust.

use std::ops::Range;

use crate::id::{Mid, Rid, Ssrc};
use crate::sdp::Extensions;

/// Where things are in an RTP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RtpHeader {
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
    /// Where the payload begins: after fixed header, CSRCs and extension.
    pub header_len: usize,
    /// Where the payload ends: before the padding.
    pub payload_end: usize,
    extension: Option<(u16, Range<usize>)>,
}

impl RtpHeader {
    /// Reads the header; `None` when the packet is not version 2, or shorter than it says.
    #[inline]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let &[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = packet.first_chunk::<12>()?;
        if first >> 6 != 2 {
            return None;
        }
        let mut at = 12 + usize::from(first & 0x0f) * 4;
        let mut extension = None;
        if first & 0x10 != 0 {
            let &[p0, p1, l0, l1] = packet.get(at..)?.first_chunk::<4>()?;
            let start = at + 4;
            at = start + usize::from(u16::from_be_bytes([l0, l1])) * 4;
            extension = Some((u16::from_be_bytes([p0, p1]), start..at));
        }
        let padding = if first & 0x20 != 0 { usize::from(*packet.last()?).max(1) } else { 0 };
        let payload_end = packet.len().checked_sub(padding)?;
        (at <= payload_end).then_some(Self {
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: Ssrc(u32::from_be_bytes([c0, c1, c2, c3])),
            header_len: at,
            payload_end,
            extension,
        })
    }
}

/// The header extensions we read, as one packet has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ExtensionValues {
    /// The m-line (RFC 9143).
    pub mid: Option<Mid>,
    /// The simulcast stream (RFC 8852).
    pub rid: Option<Rid>,
    /// The simulcast stream that this packet repairs (RFC 8852).
    pub repaired_rid: Option<Rid>,
    /// The transport-wide sequence number.
    pub transport_cc: Option<u16>,
    /// How loud it is (RFC 6464).
    pub audio_level: Option<AudioLevel>,
    /// Where in the packet the dependency descriptor is.
    pub dependency: Option<Place>,
    /// How long pictures are held back at least, in units of 10 ms.
    pub playout_delay: Option<u16>,
}

/// Where something is in a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its first byte.
    pub at: u16,
    /// In bytes.
    pub len: u8,
}

impl Place {
    /// The bytes it stands for.
    pub fn range(self) -> Range<usize> {
        usize::from(self.at)..usize::from(self.at) + usize::from(self.len)
    }
}

/// How loud an audio packet is (RFC 6464).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AudioLevel {
    /// In -dBov: 0 is the loudest, 127 silence.
    pub level: u8,
    /// The sender believes it is speech.
    pub voice: bool,
}

impl ExtensionValues {
    /// Reads those that were negotiated; malformed ones are passed over.
    #[inline]
    pub fn read(packet: &[u8], header: &RtpHeader, ids: &Extensions) -> Self {
        let mut values = Self::default();
        let Some((profile, range)) = &header.extension else { return values };
        let Some(mut rest) = packet.get(range.clone()) else { return values };
        while let Some((&first, after)) = rest.split_first() {
            if first == 0 {
                rest = after;
                continue;
            }
            let (id, length, after) = match *profile {
                ONE_BYTE => (first >> 4, usize::from(first & 0x0f) + 1, after),
                profile if profile & 0xfff0 == TWO_BYTE => {
                    let Some((&length, after)) = after.split_first() else { break };
                    (first, usize::from(length), after)
                }
                _ => break,
            };
            if *profile == ONE_BYTE && id == 15 {
                break;
            }
            let Some((value, after)) = after.split_at_checked(length) else { break };
            values.set(Some(id), value, ids);
            if Some(id) == ids.dependency && !value.is_empty() {
                // A packet is never longer than a datagram, an element never longer than its length byte says.
                let at = range.end - after.len() - length;
                values.dependency = Some(Place { at: at as u16, len: length as u8 });
            }
            rest = after;
        }
        values
    }

    #[inline]
    fn set(&mut self, id: Option<u8>, value: &[u8], ids: &Extensions) {
        if id == ids.transport_cc {
            self.transport_cc = value.first_chunk().copied().map(u16::from_be_bytes);
        } else if id == ids.mid {
            self.mid = Mid::new(value).ok();
        } else if id == ids.rid {
            self.rid = Rid::new(value).ok();
        } else if id == ids.repaired_rid {
            self.repaired_rid = Rid::new(value).ok();
        } else if id == ids.audio_level {
            self.audio_level =
                value.first().map(|&byte| AudioLevel { level: byte & 0x7f, voice: byte & 0x80 != 0 });
        } else if id == ids.playout_delay {
            self.playout_delay = value.first_chunk().map(|&[m0, m1, _]| u16::from_be_bytes([m0, m1]) >> 4);
        }
    }
}

const ONE_BYTE: u16 = 0xbede;
const TWO_BYTE: u16 = 0x1000;
