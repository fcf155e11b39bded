//! What simulated video says of itself: who sent it, which picture, which part.

/// The contents of one packet of simulated VP8.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Mark {
    /// The publisher's number in the simulation.
    pub publisher: u16,
    /// Index of the simulcast encoding.
    pub encoding: u8,
    /// Counts the encoding's pictures from 0.
    pub frame: u32,
    /// The packet's place in the picture, from 0.
    pub part: u8,
    /// Of how many.
    pub parts: u8,
    /// It belongs to a key frame.
    pub key: bool,
    /// Its temporal layer of three, of which every fourth, second and each picture is; `None` where there are no layers.
    pub temporal: Option<u8>,
}

impl Mark {
    /// A VP8 payload (RFC 7741) of `size` bytes that carries the mark: descriptor with a 15-bit picture id and TL0PICIDX, for a first part the
    /// frame header with the picture's height. At most 1200 bytes follow them.
    pub fn write(&self, size: usize, height: u16) -> Vec<u8> {
        let first = self.part == 0;
        let layered = if self.temporal.is_some() { 0x20 } else { 0 };
        let mut payload = vec![0x80 | if first { 0x10 } else { 0 }, 0xc0 | layered];
        payload.extend((0x8000 | (self.frame & 0x7fff) as u16).to_be_bytes());
        payload.push(self.frame as u8);
        // Whoever gets the layers below may go up with any picture.
        payload.extend(self.temporal.map(|temporal| temporal << 6 | 0x20));
        if first {
            // RFC 6386 section 9.1: the lowest bit of a key frame's tag is 0.
            payload.extend([if self.key { 0x10 } else { 0x11 }, 0x02, 0x00]);
            if self.key {
                payload.extend([0x9d, 0x01, 0x2a]);
                payload.extend((height / 9 * 16).to_le_bytes());
                payload.extend(height.to_le_bytes());
            }
        }
        payload.extend(MAGIC);
        payload.extend(self.publisher.to_be_bytes());
        payload.extend(self.frame.to_be_bytes());
        payload.extend([self.encoding, self.part, self.parts, u8::from(self.key)]);
        payload.push(self.temporal.unwrap_or(NO_LAYERS));
        let filling = size.saturating_sub(payload.len());
        payload.extend_from_slice(FILLING.get(..filling).unwrap_or(&FILLING));
        payload
    }

    /// Finds the mark in a payload that [`write`](Self::write) made, whatever became of its descriptor's numbers.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let at = payload.windows(MAGIC.len()).take(SEARCH).position(|window| window == MAGIC)?;
        let mark = payload.get(at + MAGIC.len()..)?.first_chunk::<11>()?;
        let [p0, p1, f0, f1, f2, f3, encoding, part, parts, key, temporal] = *mark;
        Some(Self {
            publisher: u16::from_be_bytes([p0, p1]),
            frame: u32::from_be_bytes([f0, f1, f2, f3]),
            encoding,
            part,
            parts,
            key: key != 0,
            temporal: (temporal != NO_LAYERS).then_some(temporal),
        })
    }

    /// How many pictures before is the one that this one builds upon, if it is no key frame.
    pub fn builds_upon(&self) -> u32 {
        match self.temporal {
            Some(0) => 4,
            Some(1) => 2,
            _ => 1,
        }
    }
}

const FILLING: [u8; 1200] = [0xa5; 1200];
const NO_LAYERS: u8 = 0xff;
const MAGIC: [u8; 4] = *b"MARK";
/// Descriptor and frame header are never longer.
const SEARCH: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{Codec, PayloadInfo};

    #[test]
    fn a_marked_payload_is_vp8_and_keeps_its_mark() {
        for (part, key, temporal) in
            [(0, true, None), (0, false, None), (1, true, Some(0)), (0, false, Some(2))]
        {
            let mark = Mark { publisher: 3, encoding: 1, frame: 70_000, part, parts: 2, key, temporal };
            let payload = mark.write(600, 720);
            assert_eq!(payload.len(), 600);
            assert_eq!(Mark::read(&payload), Some(mark));
            let info = PayloadInfo::inspect(Codec::Vp8, &payload);
            assert_eq!(info.starts_keyframe, key && part == 0);
            assert_eq!(info.layer.temporal, temporal.unwrap_or(0));
            assert_eq!(info.dimensions, (key && part == 0).then_some((1280, 720)));
        }
        assert_eq!(Mark::read(&[0; 40]), None);
    }
}
