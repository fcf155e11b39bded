#![no_main]
//! Any bytes as redundant audio: the blocks lie inside, one after the other, and what is written of two of them is read alike.

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use simmer_sfu::codec::red::{EarlierPayload, RedPayload};

fuzz_target!(|data: &[u8]| {
    let Some(red) = RedPayload::parse(data) else { return };
    let mut end = None;
    for block in red.earlier().chain([&red.primary]) {
        assert!(end.is_none_or(|end| end == block.at.start) && block.at.start <= block.at.end);
        end = Some(block.at.end);
    }
    assert_eq!(end, Some(data.len()));
    let Some(last) = red.earlier().last() else { return };
    let (earlier, primary) = (&data[last.at.clone()], &data[red.primary.at.clone()]);
    let payload = Bytes::copy_from_slice(earlier);
    let Some(along) = EarlierPayload::new(last.ticks.into(), &payload, primary.len()) else { return };
    let mut written = Vec::new();
    along.write(&mut written, red.primary.payload_type, primary);
    let again = RedPayload::parse(&written).expect("what was written");
    let [block] = again.earlier().collect::<Vec<_>>()[..] else { panic!("one earlier block") };
    assert_eq!((&written[block.at.clone()], block.ticks), (earlier, last.ticks));
    assert_eq!(&written[again.primary.at.clone()], primary);
    assert_eq!(again.primary.payload_type, red.primary.payload_type);
});
