//! Frames of VP8 packets (RFC 7741), and the few header fields of a frame (RFC 6386 section 9.1).

use std::time::Instant;

use bytes::Bytes;
use simmer_sfu::codec::vp8::Vp8Descriptor;
use simmer_sfu::sink::SinkPacket;

use crate::assembler::{Assembled, Frame};
use crate::reorder::Ordered;

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
        let Some(descriptor) = Vp8Descriptor::parse(&packet.payload) else { return self.lose(out) };
        let payload = packet.payload.get(descriptor.len..).unwrap_or_default();
        match &mut self.partial {
            Some(partial) if !descriptor.starts_frame && partial.rtp_time == packet.rtp_time => {
                partial.data.extend_from_slice(payload);
                if partial.data.len() > MAX_FRAME {
                    return self.lose(out);
                }
            }
            Some(partial) if descriptor.starts_frame && partial.rtp_time != packet.rtp_time => {
                // Nothing is missing between them, so the former frame is whole: its marker was not set.
                self.complete(out);
                self.start(packet, payload);
            }
            Some(_) => return self.lose(out),
            None if descriptor.starts_frame => self.start(packet, payload),
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

const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];
const MAX_FRAME: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            if let Some(Header::Key { width, height }) = Header::parse(&bytes) {
                prop_assert!(width > 0 && height > 0);
            }
        }
    }
}
