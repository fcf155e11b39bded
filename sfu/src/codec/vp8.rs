//! The VP8 payload descriptor (RFC 7741 section 4.2) and the little of the frame header that tells key frames.

use super::picture::{PictureNumbers, Reader};

/// Where a packet belongs in a VP8 stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vp8Descriptor {
    /// The picture's running numbers.
    pub numbers: PictureNumbers,
    /// The temporal layer, if given.
    pub temporal: Option<u8>,
    /// The picture needs no other than the base layer's (the Y bit).
    pub layer_sync: bool,
    /// No other picture needs this one (the N bit).
    pub discardable: bool,
    /// The packet begins a picture.
    pub starts_frame: bool,
    /// The packet begins a key frame.
    pub starts_keyframe: bool,
    /// Width and height in pixels, on the first packet of a key frame.
    pub dimensions: Option<(u16, u16)>,
    /// The descriptor's length in bytes.
    pub len: usize,
}

impl Vp8Descriptor {
    /// Reads a payload; `None` when it is shorter than it says.
    #[inline]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let first = reader.byte()?;
        let starts_frame = first & 0x10 != 0 && first & 0x07 == 0;
        let mut numbers = PictureNumbers::default();
        let (mut temporal, mut layer_sync) = (None, false);
        if first & 0x80 != 0 {
            let present = reader.byte()?;
            if present & 0x80 != 0 {
                reader.picture_id(&mut numbers)?;
            }
            if present & 0x40 != 0 {
                reader.tl0_pic_idx(&mut numbers)?;
            }
            if present & 0x30 != 0 {
                let layer = reader.byte()?;
                temporal = (present & 0x20 != 0).then_some(layer >> 6);
                layer_sync = present & 0x20 != 0 && layer & 0x20 != 0;
            }
        }
        let len = reader.position();
        let frame = payload.get(len..)?;
        // RFC 6386 section 9.1: the frame tag's lowest bit is 0 for a key frame.
        let starts_keyframe = starts_frame && frame.first().is_some_and(|tag| tag & 1 == 0);
        let dimensions = match frame.first_chunk::<10>() {
            Some(&[_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1]) if starts_keyframe => {
                // 14 bits each, the upper two scale the picture.
                Some((u16::from_le_bytes([w0, w1]) & 0x3fff, u16::from_le_bytes([h0, h1]) & 0x3fff))
            }
            _ => None,
        };
        let discardable = first & 0x20 != 0;
        Some(Self {
            numbers,
            temporal,
            layer_sync,
            discardable,
            starts_frame,
            starts_keyframe,
            dimensions,
            len,
        })
    }
}
