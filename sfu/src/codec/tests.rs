use proptest::prelude::*;

use super::vp8::{PictureId, Vp8Descriptor, Vp8Ids};
use super::*;

const KEY: [u8; 10] = [0x10, 2, 0, 0x9d, 1, 0x2a, 0x00, 0x45, 0xd0, 0x02];

#[test]
fn descriptors_are_read() {
    let bare = Vp8Descriptor::parse(&[&[0x10][..], &KEY].concat()).unwrap();
    assert!(bare.starts_frame && bare.starts_keyframe);
    assert_eq!((bare.len, bare.dimensions), (1, Some((0x500, 0x2d0))));
    let full = Vp8Descriptor::parse(&[0x90, 0xf0, 0x81, 0x02, 9, 0xa5, 0x11]).unwrap();
    assert_eq!(full.picture_id, Some(PictureId { value: 0x102, long: true }));
    assert_eq!((full.tl0_pic_idx, full.temporal), (Some(9), Some(2)));
    assert_eq!((full.len, full.starts_frame, full.starts_keyframe), (6, true, false));
    let short = Vp8Descriptor::parse(&[0x80, 0x80, 0x7f, 0x10]).unwrap();
    assert_eq!(short.picture_id, Some(PictureId { value: 127, long: false }));
    assert!(!short.starts_frame && !short.starts_keyframe);
    // A start of partition 1 starts no picture.
    assert!(!Vp8Descriptor::parse(&[0x11, 0x10]).unwrap().starts_frame);
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

proptest! {
    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..64)) {
        for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
            PayloadInfo::inspect(codec, &payload);
        }
    }
}
