//! Running VP8 numbers for one slot across changes of its source.

use crate::codec::vp8::{PictureId, Vp8Descriptor, Vp8Ids};

/// Keeps PictureID and TL0PICIDX (RFC 7741 section 4.2) running on without a jump when the source changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vp8Munger {
    /// Added to the source's numbers, wrapping.
    picture_offset: u16,
    tl0_offset: u8,
    last_picture: Option<u16>,
    last_tl0: Option<u8>,
}

impl Vp8Munger {
    /// Begins another source with this packet: it gets the numbers after those sent last.
    pub fn switch_to(&mut self, descriptor: &Vp8Descriptor) {
        if let (Some(last), Some(PictureId { value, .. })) = (self.last_picture, descriptor.picture_id) {
            self.picture_offset = last.wrapping_add(1).wrapping_sub(value);
        }
        if let (Some(last), Some(value)) = (self.last_tl0, descriptor.tl0_pic_idx) {
            self.tl0_offset = last.wrapping_add(1).wrapping_sub(value);
        }
    }

    /// The numbers for a packet of the present source.
    #[inline]
    pub fn forward(&mut self, descriptor: &Vp8Descriptor) -> Vp8Ids {
        let (value, bits) = match descriptor.picture_id {
            Some(PictureId { value, long }) => (value, if long { LONG } else { SHORT }),
            None => (0, LONG),
        };
        let picture_id = value.wrapping_add(self.picture_offset) & bits;
        let ahead = |last: u16| picture_id.wrapping_sub(last) & bits <= bits / 2;
        if descriptor.picture_id.is_some() && self.last_picture.is_none_or(ahead) {
            self.last_picture = Some(picture_id);
        }
        let tl0_pic_idx = descriptor.tl0_pic_idx.unwrap_or(0).wrapping_add(self.tl0_offset);
        let ahead = |last: u8| tl0_pic_idx.wrapping_sub(last) < 128;
        if descriptor.tl0_pic_idx.is_some() && self.last_tl0.is_none_or(ahead) {
            self.last_tl0 = Some(tl0_pic_idx);
        }
        Vp8Ids { picture_id, tl0_pic_idx }
    }
}

const LONG: u16 = 0x7fff;
const SHORT: u16 = 0x7f;

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(picture: u16, tl0: u8, long: bool) -> Vp8Descriptor {
        Vp8Descriptor {
            picture_id: Some(PictureId { value: picture, long }),
            tl0_pic_idx: Some(tl0),
            temporal: None,
            starts_frame: true,
            starts_keyframe: false,
            dimensions: None,
            len: 5,
        }
    }

    #[test]
    fn numbers_run_on_across_a_switch_and_a_late_packet_gets_its_own() {
        let mut munger = Vp8Munger::default();
        assert_eq!(
            munger.forward(&descriptor(0x7fff, 255, true)),
            Vp8Ids { picture_id: 0x7fff, tl0_pic_idx: 255 }
        );
        munger.switch_to(&descriptor(500, 9, true));
        for (source, expected) in [(500, 0), (501, 1), (503, 3), (502, 2), (504, 4)] {
            let ids = munger.forward(&descriptor(source, (source - 491) as u8, true));
            assert_eq!((ids.picture_id, u16::from(ids.tl0_pic_idx)), (expected, expected));
        }
        munger.switch_to(&descriptor(7, 1, true));
        assert_eq!(
            munger.forward(&descriptor(7, 1, true)).picture_id,
            5,
            "after the highest, not the latest"
        );
    }

    #[test]
    fn a_short_picture_id_wraps_at_its_own_width() {
        let mut munger = Vp8Munger::default();
        munger.forward(&descriptor(126, 0, false));
        munger.switch_to(&descriptor(3, 0, false));
        let ids: Vec<_> =
            (3..6).map(|picture| munger.forward(&descriptor(picture, 0, false)).picture_id).collect();
        assert_eq!(ids, [127, 0, 1]);
    }
}
