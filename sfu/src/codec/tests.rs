use proptest::prelude::*;

use super::vp8::Vp8Descriptor;
use super::vp9::Vp9Descriptor;
use super::*;

const KEY: [u8; 10] = [0x10, 2, 0, 0x9d, 1, 0x2a, 0x00, 0x45, 0xd0, 0x02];

#[test]
fn descriptors_are_read() {
    let bare = Vp8Descriptor::parse(&[&[0x10][..], &KEY].concat()).unwrap();
    assert!(bare.starts_frame && bare.starts_keyframe);
    assert_eq!((bare.len, bare.dimensions), (1, Some((0x500, 0x2d0))));
    let full = Vp8Descriptor::parse(&[0x90, 0xf0, 0x81, 0x02, 9, 0xa5, 0x11]).unwrap();
    assert_eq!(full.numbers.picture_id, Some(PictureId { value: 0x102, long: true }));
    assert_eq!((full.numbers.tl0_pic_idx, full.temporal), (Some(9), Some(2)));
    assert_eq!((full.len, full.starts_frame, full.starts_keyframe), (6, true, false));
    let short = Vp8Descriptor::parse(&[0x80, 0x80, 0x7f, 0x10]).unwrap();
    assert_eq!(short.numbers.picture_id, Some(PictureId { value: 127, long: false }));
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
        before.numbers.rewrite(&mut bytes, &PictureIds { picture_id, tl0_pic_idx });
        let value = |id: PictureId| PictureId { value: if id.long { picture_id } else { picture_id & 0x7f }, ..id };
        let expected = Vp8Descriptor {
            numbers: PictureNumbers {
                picture_id: before.numbers.picture_id.map(value),
                tl0_pic_idx: before.numbers.tl0_pic_idx.map(|_| tl0_pic_idx),
                ..before.numbers
            },
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

#[test]
fn vp9_descriptors_are_read() {
    // I, L, F = 0, B, E: a 15-bit id, TID 1, U, SID 0, TL0PICIDX.
    let plain = Vp9Descriptor::parse(&[0xac, 0x81, 0x02, 0x30, 7, 0xff]).unwrap();
    assert_eq!(plain.numbers.picture_id, Some(PictureId { value: 0x102, long: true }));
    assert_eq!(plain.layer, Some(Layer { spatial: 0, temporal: 1 }));
    assert_eq!((plain.numbers.tl0_pic_idx, plain.len), (Some(7), 5));
    assert!(plain.starts_frame && plain.ends_frame && plain.switching_up && plain.starts_keyframe());
    assert!(!plain.inter_picture && !plain.inter_layer && !plain.flexible && !plain.not_for_upper);
    // I, P, L, F, Z: a 7-bit id, TID 0, SID 2, D, references 1 and 3 back.
    let flexible = Vp9Descriptor::parse(&[0xf1, 0x05, 0x05, 0x03, 0x06, 0xff]).unwrap();
    assert_eq!(flexible.numbers.picture_id, Some(PictureId { value: 5, long: false }));
    assert_eq!(flexible.layer, Some(Layer { spatial: 2, temporal: 0 }));
    assert_eq!((flexible.differences, flexible.numbers.tl0_pic_idx, flexible.len), ([1, 3, 0], None, 5));
    assert!(flexible.inter_picture && flexible.inter_layer && flexible.not_for_upper);
    assert!(!flexible.starts_frame && !flexible.starts_keyframe());
    // A fourth reference there cannot be.
    assert_eq!(Vp9Descriptor::parse(&[0x50, 0x03, 0x03, 0x03, 0x02, 0xff]), None);
}

#[test]
fn vp9_tells_the_sizes_of_its_spatial_layers() {
    // L, B, V: N_S = 1, Y, G; two sizes; a group of two pictures, the second with one reference.
    let told = [0x2a, 0x00, 9, 0x38, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 2, 0x00, 0x24, 1, 0xff];
    let descriptor = Vp9Descriptor::parse(&told).unwrap();
    let scalability = descriptor.scalability.unwrap();
    assert_eq!((scalability.spatial_layers, descriptor.len), (2, 16));
    assert_eq!(scalability.resolutions.unwrap()[..2], [(320, 180), (640, 360)]);
    for len in 0..descriptor.len {
        assert_eq!(Vp9Descriptor::parse(&told[..len]), None, "{len}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_as_vp9_and_a_rewrite_changes_the_numbers_alone(
        mut bytes in prop::collection::vec(any::<u8>(), 0..48), picture_id in 0u16..0x8000, tl0_pic_idx: u8
    ) {
        let Some(before) = Vp9Descriptor::parse(&bytes) else { return Ok(()) };
        prop_assert!(before.len <= bytes.len());
        before.numbers.rewrite(&mut bytes, &PictureIds { picture_id, tl0_pic_idx });
        let value = |id: PictureId| PictureId { value: if id.long { picture_id } else { picture_id & 0x7f }, ..id };
        let numbers = PictureNumbers {
            picture_id: before.numbers.picture_id.map(value),
            tl0_pic_idx: before.numbers.tl0_pic_idx.map(|_| tl0_pic_idx),
            ..before.numbers
        };
        prop_assert_eq!(Vp9Descriptor::parse(&bytes), Some(Vp9Descriptor { numbers, ..before }));
    }
}

#[test]
fn vp9_key_frames_are_the_base_layers_frames_that_need_nothing() {
    let starts = |payload: &[u8]| PayloadInfo::inspect(Codec::Vp9, payload).starts_keyframe;
    assert!(starts(&[0x08, 0]));
    assert!(starts(&[0x88, 0x81, 0x02, 0]));
    assert!(!starts(&[0x48, 0]), "predicted");
    assert!(!starts(&[0x00, 0]), "not the first packet");
    assert!(!starts(&[0xa8, 0x01, 0x02, 0, 0]), "an upper spatial layer");
    assert!(!starts(&[]));
}
