use proptest::prelude::*;

use super::*;

#[test]
fn a_key_frame_begins_with_parameter_sets_or_an_idr_picture() {
    assert!(starts_keyframe(&[0x65, 0, 0]));
    assert!(starts_keyframe(&[0x67, 0x42]));
    assert!(!starts_keyframe(&[0x61, 0]));
    assert!(starts_keyframe(&[24, 0, 2, 0x67, 1, 0, 1, 0x65]));
    assert!(starts_keyframe(&[24, 0, 1, 0x09, 0, 1, 0x65]), "a delimiter may come first");
    assert!(!starts_keyframe(&[24, 0, 9, 0x67]), "a length beyond the end");
    assert!(starts_keyframe(&[28, 0x85, 1]));
    assert!(!starts_keyframe(&[28, 0x05, 1]), "a later fragment");
    assert!(!starts_keyframe(&[]));
}

/// Parameter sets as x264 writes them for pictures of these sizes.
const SETS: [(&str, (u16, u16)); 8] = [
    // Baseline.
    ("6742c016d900a02ff970110000030001000003000a0f162e48", (640, 360)),
    ("6742c00bd901419f9f0110000003001000000300a0f142a480", (320, 180)),
    // Main, in fields.
    ("674d4028eca03c0227ef0110000003001000000300a1f162d960", (1920, 1080)),
    // High.
    ("6764001facd9405005bb0110000003001000000300a0f1831960", (1280, 720)),
    ("6764000af3657b016c800000030080000005078912cb", (16, 16)),
    ("67640033acd9401000121b0110000003001000000300a0f1831960", (4096, 2304)),
    // High 4:2:2 and High 4:4:4 Predictive, whose colours are cropped otherwise.
    ("677a0016bcd940a02fea2f0110000003001000000300a0f162d960", (638, 358)),
    ("67f40016919b281405fdc56022000003000200000300141e2c5b2c", (638, 359)),
];

#[test]
fn parameter_sets_tell_the_size_of_the_picture() {
    for (set, size) in SETS {
        let set = hex(set);
        assert_eq!(dimensions(&set), Some(size), "alone");
        let aggregated = [&[24, 0, 1, 0x09, 0, set.len() as u8][..], &set, &[0, 2, 0x68, 0xee]].concat();
        assert_eq!(dimensions(&aggregated), Some(size), "with others");
        assert_eq!(dimensions(&set[..6]), None, "cut short");
    }
    assert_eq!(dimensions(&[0x65, 0x88, 0x84]), None, "a picture");
    assert_eq!(
        dimensions(&[28, 0x87, 0x42, 0xc0, 0x16, 0xd9, 0x00, 0xa0, 0x2f, 0xf9, 0x70]),
        None,
        "a part of one"
    );
}

#[test]
fn scaling_lists_and_the_order_of_pictures_are_passed_over() {
    let mut set = Bits::default();
    set.number(8, 0x67).number(8, 100).number(16, 0).golomb(0);
    set.golomb(1).golomb(0).golomb(0).number(1, 0).number(1, 1);
    // The first list ends at its third number, the last has 64, the others are not there.
    set.number(1, 1).golomb(3).golomb(1).golomb(22).number(6, 0).number(1, 1);
    for _ in 0..64 {
        set.golomb(1);
    }
    set.golomb(4);
    // The order of a cycle of two pictures.
    set.golomb(1).number(1, 0).golomb(2).golomb(2).golomb(2).golomb(7).golomb(8);
    set.golomb(1).number(1, 0).golomb(640 / 16 - 1).golomb(368 / 16 - 1).number(1, 1).number(1, 1);
    set.number(1, 1).golomb(0).golomb(0).golomb(0).golomb(4);
    assert_eq!(dimensions(&set.bytes()), Some((640, 360)));
}

#[test]
fn impossible_sizes_are_none() {
    for (width, height, crop) in
        [(0, 0, 8), (1 << 16, 1, 0), (u32::MAX - 1, 1, 0), (1, u32::MAX - 1, 0), (1, 1, u32::MAX - 1)]
    {
        let mut set = Bits::default();
        set.number(8, 0x67).number(8, 66).number(16, 0).golomb(0).golomb(0).golomb(2);
        set.golomb(1).number(1, 0).golomb(width).golomb(height).number(1, 1).number(1, 1);
        set.number(1, 1).golomb(crop).golomb(crop).golomb(0).golomb(0);
        assert_eq!(dimensions(&set.bytes()), None, "{width} {height} {crop}");
    }
}

proptest! {
    #[test]
    fn no_parameter_set_panics(profile in 0..256_u32, high: bool, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let profile = if high { PROFILES_WITH_CHROMA[profile as usize % PROFILES_WITH_CHROMA.len()] } else { profile };
        let size = dimensions(&[&[0x67, profile as u8][..], &bytes].concat());
        prop_assert!(size.is_none_or(|(width, height)| width > 0 && height > 0));
    }
}

/// Writes what [`BitReader`] reads.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn number(&mut self, width: u32, number: u64) -> &mut Self {
        self.0.extend((0..width).rev().map(|bit| number >> bit & 1 != 0));
        self
    }

    fn golomb(&mut self, number: u32) -> &mut Self {
        let code = u64::from(number) + 1;
        self.number(code.ilog2(), 0).number(code.ilog2() + 1, code)
    }

    fn bytes(&self) -> Vec<u8> {
        let byte = |bits: &[bool]| bits.iter().enumerate().map(|(at, &bit)| u8::from(bit) << (7 - at)).sum();
        self.0.chunks(8).map(byte).collect()
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
