#![no_main]
//! Any bytes as a payload of any codec; a VP8 or VP9 descriptor's numbers can be replaced, and nothing else changes.

use libfuzzer_sys::fuzz_target;
use simmer_sfu::codec::vp8::Vp8Descriptor;
use simmer_sfu::codec::vp9::Vp9Descriptor;
use simmer_sfu::codec::{Codec, PayloadInfo, PictureIds, PictureNumbers};

const IDS: PictureIds = PictureIds { picture_id: 0x1234, tl0_pic_idx: 0x56 };

fuzz_target!(|data: &[u8]| {
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        PayloadInfo::inspect(codec, data);
    }
    if let Some(descriptor) = Vp8Descriptor::parse(data) {
        let rewritten = rewritten(data, descriptor.len, &descriptor.numbers);
        let again = Vp8Descriptor::parse(&rewritten).expect("still a descriptor");
        check(&descriptor.numbers, &again.numbers);
        assert_eq!(again, Vp8Descriptor { numbers: again.numbers, ..descriptor });
    }
    if let Some(descriptor) = Vp9Descriptor::parse(data) {
        let rewritten = rewritten(data, descriptor.len, &descriptor.numbers);
        let again = Vp9Descriptor::parse(&rewritten).expect("still a descriptor");
        check(&descriptor.numbers, &again.numbers);
        assert_eq!(again, Vp9Descriptor { numbers: again.numbers, ..descriptor });
    }
});

fn rewritten(data: &[u8], len: usize, numbers: &PictureNumbers) -> Vec<u8> {
    assert!(len <= data.len());
    let mut rewritten = data.to_vec();
    numbers.rewrite(&mut rewritten, &IDS);
    assert_eq!(&rewritten[len..], &data[len..]);
    rewritten
}

fn check(before: &PictureNumbers, after: &PictureNumbers) {
    assert_eq!(before.picture_id.is_some(), after.picture_id.is_some());
    assert_eq!(after.tl0_pic_idx, before.tl0_pic_idx.map(|_| IDS.tl0_pic_idx));
}
