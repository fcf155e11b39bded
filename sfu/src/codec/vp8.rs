//! The VP8 payload descriptor (RFC 7741 section 4.2), read and renumbered.

/// What a VP8 packet says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Vp8Descriptor {
    /// The picture's running number.
    pub picture_id: Option<PictureId>,
    /// The running number of pictures of the lowest temporal layer.
    pub tl0_pic_idx: Option<u8>,
    /// The temporal layer, 0 to 3.
    pub temporal: Option<u8>,
    /// The picture depends on the lowest temporal layer only.
    pub layer_sync: bool,
    /// The temporal key frame's index.
    pub key_idx: Option<u8>,
    /// The first packet of a picture.
    pub start_of_frame: bool,
    /// The first packet of a key frame.
    pub keyframe: bool,
    /// Width and height in pixels, where a key frame starts.
    pub dimensions: Option<(u16, u16)>,
    /// The descriptor's length in bytes.
    pub len: usize,
}

/// A picture's running number as sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PictureId {
    /// The number: 15 bits when long, else 7.
    pub value: u16,
    /// It has 15 bits.
    pub long: bool,
}

/// Numbers to send in place of the source's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vp8Ids {
    /// 15 bits, of which a short one takes the lower 7.
    pub picture_id: u16,
    /// Of the lowest temporal layer.
    pub tl0_pic_idx: u8,
}

impl Vp8Descriptor {
    /// Reads the descriptor at the start of a payload; `None` when it does not fit.
    #[inline]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bytes = payload.iter();
        let first = *bytes.next()?;
        let mut descriptor = Self { start_of_frame: first & 0x17 == 0x10, ..Self::default() };
        if first & 0x80 != 0 {
            let present = *bytes.next()?;
            if present & 0x80 != 0 {
                let high = *bytes.next()?;
                let long = high & 0x80 != 0;
                let low = if long { Some(*bytes.next()?) } else { None };
                let value = u16::from(high & 0x7f);
                let value = low.map_or(value, |low| value << 8 | u16::from(low));
                descriptor.picture_id = Some(PictureId { value, long });
            }
            if present & 0x40 != 0 {
                descriptor.tl0_pic_idx = Some(*bytes.next()?);
            }
            if present & 0x30 != 0 {
                let layers = *bytes.next()?;
                descriptor.temporal = (present & 0x20 != 0).then_some(layers >> 6);
                descriptor.layer_sync = present & 0x20 != 0 && layers & 0x20 != 0;
                descriptor.key_idx = (present & 0x10 != 0).then_some(layers & 0x1f);
            }
        }
        let frame = bytes.as_slice();
        descriptor.len = payload.len().checked_sub(frame.len())?;
        // RFC 6386 section 9.1: the lowest bit of a key frame's tag is 0.
        descriptor.keyframe = descriptor.start_of_frame && frame.first().is_some_and(|tag| tag & 1 == 0);
        if descriptor.keyframe
            && let Some(&[_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1]) = frame.first_chunk::<10>()
        {
            // The upper two bits are a scale for display.
            let size = |low, high| u16::from_le_bytes([low, high]) & 0x3fff;
            descriptor.dimensions = Some((size(w0, w1), size(h0, h1)));
        }
        Some(descriptor)
    }

    /// Writes other running numbers into a payload that has this descriptor; its length stays.
    #[inline]
    pub fn rewrite(&self, payload: &mut [u8], ids: &Vp8Ids) {
        let mut at = 2;
        if let Some(id) = self.picture_id {
            let [high, low] = ids.picture_id.to_be_bytes();
            if id.long {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: [u8; 10] = [0x10, 2, 0, 0x9d, 1, 0x2a, 0x00, 0x45, 0xd0, 0x02];

    #[test]
    fn descriptors_are_read() {
        let bare = Vp8Descriptor::parse(&[&[0x10][..], &KEY].concat()).unwrap();
        assert!(bare.start_of_frame && bare.keyframe);
        assert_eq!((bare.len, bare.dimensions), (1, Some((0x500, 0x2d0))));
        let full = Vp8Descriptor::parse(&[0x90, 0xf0, 0x81, 0x02, 9, 0xa5, 0x11]).unwrap();
        assert_eq!(full.picture_id, Some(PictureId { value: 0x102, long: true }));
        assert_eq!(
            (full.tl0_pic_idx, full.temporal, full.layer_sync, full.key_idx),
            (Some(9), Some(2), true, Some(5))
        );
        assert_eq!((full.len, full.start_of_frame, full.keyframe), (6, true, false));
        let short = Vp8Descriptor::parse(&[0x80, 0x80, 0x7f, 0x10]).unwrap();
        assert_eq!(short.picture_id, Some(PictureId { value: 127, long: false }));
        assert!(!short.start_of_frame && !short.keyframe);
        // A start of partition 1 starts no picture.
        assert!(!Vp8Descriptor::parse(&[0x11, 0x10]).unwrap().start_of_frame);
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let full = [0x90, 0xf0, 0x81, 0x02, 9, 0xa5];
        for len in 0..full.len() {
            assert_eq!(Vp8Descriptor::parse(&full[..len]), None, "{len}");
        }
        assert!(Vp8Descriptor::parse(&full).is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_a_rewrite_changes_the_numbers_alone(
            mut bytes in prop::collection::vec(any::<u8>(), 0..24), picture_id in 0u16..0x8000, tl0_pic_idx: u8
        ) {
            let Some(before) = Vp8Descriptor::parse(&bytes) else { return Ok(()) };
            prop_assert!(before.len <= bytes.len());
            before.rewrite(&mut bytes, &Vp8Ids { picture_id, tl0_pic_idx });
            let value = |id: PictureId| PictureId { value: if id.long { picture_id } else { picture_id & 0x7f }, ..id };
            let expected = Vp8Descriptor {
                picture_id: before.picture_id.map(value),
                tl0_pic_idx: before.tl0_pic_idx.map(|_| tl0_pic_idx),
                ..before
            };
            prop_assert_eq!(Vp8Descriptor::parse(&bytes), Some(expected));
        }
    }
}
