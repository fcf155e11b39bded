#![no_main]
//! Any bytes as the dependency descriptors of one encoding, one after the other: each by its length.

use libfuzzer_sys::fuzz_target;
use simmer_sfu::codec::Layer;
use simmer_sfu::codec::dependency::DependencyReader;

fuzz_target!(|data: &[u8]| {
    let mut reader = DependencyReader::default();
    let mut rest = data;
    while let Some((&length, after)) = rest.split_first() {
        let (descriptor, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let Ok(frame) = reader.read(descriptor) else { continue };
        assert!(frame.layer.spatial < 4 && frame.layer.temporal < 8);
        assert!(!frame.structure || reader.has_structure());
        let within = frame.switches.highest_within(Layer::ALL);
        assert_eq!(within.is_none(), frame.switches.is_empty());
    }
});
