//! VP8 payloads (RFC 7741) and the few header fields of a frame (RFC 6386 section 9.1).

use std::time::Instant;

use bytes::Bytes;
use simmer_sfu::sink::SinkPacket;

use crate::assembler::{Assembled, Frame};
use crate::reorder::Ordered;

/// What the payload descriptor of RFC 7741 section 4.2 says, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Descriptor<'a> {
    /// The first packet of a frame: start of partition 0.
    pub(crate) starts_frame: bool,
    /// What follows the descriptor.
    pub(crate) payload: &'a [u8],
}

impl<'a> Descriptor<'a> {
    /// Reads the descriptor; `None` when the packet ends inside it.
    pub(crate) fn parse(packet: &'a [u8]) -> Option<Self> {
        let (&first, mut rest) = packet.split_first()?;
        if first & EXTENDED != 0 {
            let (&extension, after) = rest.split_first()?;
            rest = after;
            if extension & HAS_PICTURE_ID != 0 {
                let (&picture_id, after) = rest.split_first()?;
                rest = if picture_id & LONG_PICTURE_ID != 0 { after.get(1..)? } else { after };
            }
            if extension & HAS_TL0_PICTURE_INDEX != 0 {
                rest = rest.get(1..)?;
            }
            if extension & (HAS_TEMPORAL_ID | HAS_KEY_INDEX) != 0 {
                rest = rest.get(1..)?;
            }
        }
        let starts_frame = first & START != 0 && first & PARTITION == 0;
        Some(Self { starts_frame, payload: rest })
    }
}

/// What the first bytes of a frame say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Header {
    Key { width: u16, height: u16 },
    Inter,
}

impl Header {
    /// Reads a frame's uncompressed data chunk; `None` when it is not VP8.
    pub(crate) fn parse(frame: &[u8]) -> Option<Self> {
        if frame.get(..3)?.first()? & 1 != 0 {
            return Some(Self::Inter);
        }
        if frame.get(3..6)? != START_CODE {
            return None;
        }
        let size = |at: usize| Some(u16::from_le_bytes([*frame.get(at)?, *frame.get(at + 1)?]) & 0x3fff);
        match (size(6)?, size(8)?) {
            (0, _) | (_, 0) => None,
            (width, height) => Some(Self::Key { width, height }),
        }
    }
}

/// Makes frames of ordered packets. After a loss it waits for a key frame.
#[derive(Default)]
pub(crate) struct FrameBuilder {
    synced: bool,
    partial: Option<Partial>,
}

struct Partial {
    rtp_time: u32,
    arrival: Instant,
    data: Vec<u8>,
}

impl FrameBuilder {
    /// Whether nothing can come out before a key frame comes in.
    pub(crate) fn needs_key(&self) -> bool {
        !self.synced
    }

    pub(crate) fn push(&mut self, ordered: Ordered, out: &mut Vec<Assembled>) {
        match ordered {
            Ordered::Lost => self.lose(out),
            // Padding for bandwidth probes uses up sequence numbers and means nothing.
            Ordered::Packet(packet) if packet.payload.is_empty() => {}
            Ordered::Packet(packet) => self.packet(&packet, out),
        }
    }

    fn packet(&mut self, packet: &SinkPacket, out: &mut Vec<Assembled>) {
        let Some(descriptor) = Descriptor::parse(&packet.payload) else { return self.lose(out) };
        match &mut self.partial {
            Some(partial) if !descriptor.starts_frame && partial.rtp_time == packet.rtp_time => {
                partial.data.extend_from_slice(descriptor.payload);
                if partial.data.len() > MAX_FRAME {
                    return self.lose(out);
                }
            }
            Some(partial) if descriptor.starts_frame && partial.rtp_time != packet.rtp_time => {
                // Nothing is missing between them, so the former frame is whole: its marker was not set.
                self.complete(out);
                self.start(packet, descriptor.payload);
            }
            Some(_) => return self.lose(out),
            None if descriptor.starts_frame => self.start(packet, descriptor.payload),
            None => return self.lose(out),
        }
        if packet.marker {
            self.complete(out);
        }
    }

    fn start(&mut self, packet: &SinkPacket, payload: &[u8]) {
        let inter = payload.first().is_none_or(|first| first & 1 != 0);
        if inter && !self.synced {
            return;
        }
        self.partial =
            Some(Partial { rtp_time: packet.rtp_time, arrival: packet.arrival, data: payload.to_vec() });
    }

    fn complete(&mut self, out: &mut Vec<Assembled>) {
        let Some(Partial { rtp_time, arrival, data }) = self.partial.take() else { return };
        let picture = match Header::parse(&data) {
            Some(Header::Key { width, height }) => Some((width, height)),
            Some(Header::Inter) if self.synced => None,
            _ => return self.lose(out),
        };
        self.synced = true;
        out.push(Assembled::Frame(Frame {
            rtp_time,
            arrival,
            key: picture.is_some(),
            picture,
            data: Bytes::from(data),
        }));
    }

    /// The decoder would lose its footing here.
    fn lose(&mut self, out: &mut Vec<Assembled>) {
        self.partial = None;
        if self.synced {
            self.synced = false;
            out.push(Assembled::Lost);
        }
    }
}

const EXTENDED: u8 = 0x80;
const START: u8 = 0x10;
const PARTITION: u8 = 0x07;
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_TL0_PICTURE_INDEX: u8 = 0x40;
const HAS_TEMPORAL_ID: u8 = 0x20;
const HAS_KEY_INDEX: u8 = 0x10;
const LONG_PICTURE_ID: u8 = 0x80;
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];
const MAX_FRAME: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_descriptor_is_as_long_as_its_flags_say() {
        for (packet, starts_frame, payload) in [
            (&[0x10, 1, 2][..], true, &[1, 2][..]),
            (&[0x00, 1], false, &[1]),
            (&[0x11, 1], false, &[1]),
            (&[0x90, 0x80, 0x05, 9], true, &[9]),
            (&[0x90, 0x80, 0x85, 0x01, 9], true, &[9]),
            (&[0x90, 0xf0, 0x85, 0x01, 7, 8, 9], true, &[9]),
            (&[0x90, 0x20, 7, 9], true, &[9]),
            (&[0x80, 0x10, 7], false, &[]),
        ] {
            assert_eq!(Descriptor::parse(packet), Some(Descriptor { starts_frame, payload }), "{packet:x?}");
        }
        for cut in [&[][..], &[0x80], &[0x80, 0x80], &[0x80, 0x80, 0x80], &[0x80, 0x40], &[0x80, 0x20]] {
            assert_eq!(Descriptor::parse(cut), None, "{cut:x?}");
        }
    }

    #[test]
    fn a_key_frame_tells_its_size() {
        let key = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0xe0, 0x81];
        assert_eq!(Header::parse(&key), Some(Header::Key { width: 640, height: 480 }));
        assert_eq!(Header::parse(&[0x11, 0, 0]), Some(Header::Inter));
        assert_eq!(Header::parse(&key[..9]), None);
        assert_eq!(Header::parse(&[0x10, 0, 0, 0, 0, 0, 1, 1, 1, 1]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(descriptor) = Descriptor::parse(&bytes) {
                prop_assert!(bytes.ends_with(descriptor.payload));
                let _ = Header::parse(descriptor.payload);
            }
        }
    }
}
