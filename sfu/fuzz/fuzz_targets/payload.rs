#![no_main]
//! Any bytes as a payload of any codec; a VP8 descriptor's numbers can be replaced, and nothing else changes.

use libfuzzer_sys::fuzz_target;
use simmer_sfu::codec::vp8::{Vp8Descriptor, Vp8Ids};
use simmer_sfu::codec::{Codec, PayloadInfo};

fuzz_target!(|data: &[u8]| {
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        PayloadInfo::inspect(codec, data);
    }
    let Some(descriptor) = Vp8Descriptor::parse(data) else { return };
    assert!(descriptor.len <= data.len());
    let mut rewritten = data.to_vec();
    descriptor.rewrite(&mut rewritten, &Vp8Ids { picture_id: 0x1234, tl0_pic_idx: 0x56 });
    assert_eq!(&rewritten[descriptor.len..], &data[descriptor.len..]);
    let again = Vp8Descriptor::parse(&rewritten).expect("still a descriptor");
    assert_eq!((again.len, again.starts_keyframe), (descriptor.len, descriptor.starts_keyframe));
    assert_eq!(again.picture_id.is_some(), descriptor.picture_id.is_some());
    assert_eq!(again.tl0_pic_idx, descriptor.tl0_pic_idx.map(|_| 0x56));
});
