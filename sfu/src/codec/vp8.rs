//! The VP8 payload descriptor (RFC 7741 section 4.2) and the little of the frame header that tells key frames.

/// Where a packet belongs in a VP8 stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vp8Descriptor {
    /// The picture's running number, if given.
    pub picture_id: Option<PictureId>,
    /// The running number of base-layer pictures, if given.
    pub tl0_pic_idx: Option<u8>,
    /// The temporal layer, if given.
    pub temporal: Option<u8>,
    /// The packet begins a picture.
    pub starts_frame: bool,
    /// The packet begins a key frame.
    pub starts_keyframe: bool,
    /// Width and height in pixels, on the first packet of a key frame.
    pub dimensions: Option<(u16, u16)>,
    /// The descriptor's length in bytes.
    pub len: usize,
}

/// A picture's running number, of 7 or 15 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PictureId {
    /// The number.
    pub value: u16,
    /// It has 15 bits.
    pub long: bool,
}

/// The running numbers that a subscriber's copy gets in place of the source's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vp8Ids {
    /// Cut to the width that the source uses.
    pub picture_id: u16,
    /// TL0PICIDX.
    pub tl0_pic_idx: u8,
}

impl Vp8Descriptor {
    /// Reads a payload; `None` when it is shorter than it says.
    #[inline]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader { payload, at: 0 };
        let first = reader.byte()?;
        let starts_frame = first & 0x10 != 0 && first & 0x07 == 0;
        let (mut picture_id, mut tl0_pic_idx, mut temporal) = (None, None, None);
        if first & 0x80 != 0 {
            let present = reader.byte()?;
            if present & 0x80 != 0 {
                let high = reader.byte()?;
                picture_id = Some(if high & 0x80 != 0 {
                    PictureId { value: u16::from_be_bytes([high & 0x7f, reader.byte()?]), long: true }
                } else {
                    PictureId { value: u16::from(high), long: false }
                });
            }
            if present & 0x40 != 0 {
                tl0_pic_idx = Some(reader.byte()?);
            }
            if present & 0x30 != 0 {
                let layer = reader.byte()?;
                temporal = (present & 0x20 != 0).then_some(layer >> 6);
            }
        }
        let len = reader.at;
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
        Some(Self { picture_id, tl0_pic_idx, temporal, starts_frame, starts_keyframe, dimensions, len })
    }

    /// Puts other running numbers into a copy of the payload that this was parsed from. The length does not change.
    #[inline]
    pub fn rewrite(&self, payload: &mut [u8], ids: &Vp8Ids) {
        let mut at = 2;
        if let Some(PictureId { long, .. }) = self.picture_id {
            let [high, low] = ids.picture_id.to_be_bytes();
            if long {
                if let Some(field) = payload.get_mut(at..at + 2) {
                    field.copy_from_slice(&[high | 0x80, low]);
                }
                at += 2;
            } else {
                if let Some(field) = payload.get_mut(at) {
                    *field = low & 0x7f;
                }
                at += 1;
            }
        }
        if self.tl0_pic_idx.is_some()
            && let Some(field) = payload.get_mut(at)
        {
            *field = ids.tl0_pic_idx;
        }
    }
}

struct Reader<'a> {
    payload: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.payload.get(self.at)?;
        self.at += 1;
        Some(byte)
    }
}
