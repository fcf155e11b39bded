use proptest::prelude::*;

use super::*;

/// Bytes of a text of bits; spaces are for the reader, what is missing to a whole byte is 0.
fn bits(text: &str) -> Vec<u8> {
    let bits: Vec<u8> = text.bytes().filter(|byte| matches!(byte, b'0' | b'1')).collect();
    let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0')) << (8 - bits.len());
    bits.chunks(8).map(byte).collect()
}

fn layer(spatial: u8, temporal: u8) -> Layer {
    Layer { spatial, temporal }
}

/// Two temporal layers: template 10 for key frames, 11 for the base, 12 for what is above; one chain; one size.
fn two_temporal_layers(frame_number: &str) -> Vec<u8> {
    bits(&format!(
        "1 0 001010 {frame_number} 1 0 0 0 0 \
         001010 00001  00 01 11  10 10  10 10  00 01  0  1 0001 0  1 0000 0 \
         10  0000 0010 0001  1 0000010011111111 0000001011001111"
    ))
}

const SEVEN: &str = "0000000000000111";

#[test]
fn a_structure_comes_with_the_key_frame_and_stays() {
    let mut reader = DependencyReader::default();
    // The end of a frame of template 12, number 8.
    let above = bits("0 1 001100 0000000000001000");
    assert_eq!(reader.read(&above), Err(DependencyError::UnknownTemplate));
    let key = reader.read(&two_temporal_layers(SEVEN)).unwrap();
    assert!(key.starts_frame && !key.ends_frame && key.structure && key.references.is_empty());
    assert_eq!((key.frame_number, key.layer, key.dimensions), (7, layer(0, 0), Some((1280, 720))));
    assert!(key.switches.contains(layer(0, 0)) && key.switches.contains(layer(0, 1)));
    assert!(reader.active_layers().contains(layer(0, 1)) && !reader.active_layers().contains(layer(1, 0)));
    let above = reader.read(&above).unwrap();
    assert_eq!((above.frame_number, above.layer, above.ends_frame), (8, layer(0, 1), true));
    assert!(above.discardable && above.switches.is_empty() && !above.structure);
    assert_eq!(above.references.distances().collect::<Vec<_>>(), [1]);
    let base = reader.read(&bits("1 1 001011 0000000000001001")).unwrap();
    assert_eq!(base.references.distances().collect::<Vec<_>>(), [2]);
    assert!(!base.discardable && base.switches.contains(layer(0, 1)));
    assert_eq!(reader.read(&bits("1 1 001101 0000000000001001")), Err(DependencyError::UnknownTemplate));
}

#[test]
fn a_frame_may_differ_from_its_template() {
    let mut reader = DependencyReader::default();
    reader.read(&two_temporal_layers(SEVEN)).unwrap();
    // Only the lower target is active; indications "-R"; references 18 and 3 back; one chain.
    let frame = bits("1 1 001011 0000000000001010  0 1 1 1 1  01  00 11  10 00010001 01 0010 00  00000011");
    let frame = reader.read(&frame).unwrap();
    assert_eq!(frame.references.distances().collect::<Vec<_>>(), [3, 18]);
    assert!(frame.switches.is_empty() && !frame.discardable);
    assert!(reader.active_layers().contains(layer(0, 0)) && !reader.active_layers().contains(layer(0, 1)));
    assert!(frame.references.are_among(1 << 2 | 1 << 17) && !frame.references.are_among(1 << 2));
    // One 65 back is out of sight.
    let far = bits("1 1 001011 0000000000001011  0 0 0 1 0  10 01000000 00");
    assert!(!reader.read(&far).unwrap().references.are_among(u64::MAX));
}

#[test]
fn what_comes_late_does_not_bring_back_an_old_structure() {
    let mut reader = DependencyReader::default();
    reader.read(&two_temporal_layers("0000000000001001")).unwrap();
    // An older key frame of one layer: one target, one template, no chain, no size.
    let old = bits("1 1 000000 0000000000001000  1 0 0 0 0  000000 00000  11  10  0  0  0");
    assert_eq!(reader.read(&old).unwrap().layer, layer(0, 0));
    assert_eq!(reader.structure().map(Structure::targets), Some(2));
    let new = bits("1 1 000000 0000000000001010  1 0 0 0 0  000000 00000  11  10  0  0  0");
    reader.read(&new).unwrap();
    assert_eq!(reader.structure().map(Structure::targets), Some(1));
}

#[test]
fn spatial_layers_have_their_sizes() {
    // Two spatial layers; the upper one needs the lower of its picture: targets S0 and S1.
    let key = bits(&format!(
        "1 1 000000 {SEVEN} 1 0 0 0 0  000000 00001  10 11  10 11  00 10  0  1 0000 0 \
         0  1 0000000100111111 0000000010110011 0000001001111111 0000000101100111"
    ));
    let mut reader = DependencyReader::default();
    let key = reader.read(&key).unwrap();
    assert_eq!((key.layer, key.dimensions), (layer(0, 0), Some((320, 180))));
    let upper = reader.read(&bits("1 1 000001 0000000000001000")).unwrap();
    assert_eq!((upper.layer, upper.dimensions), (layer(1, 0), Some((640, 360))));
    assert!(upper.switches.contains(layer(1, 0)) && !upper.switches.contains(layer(0, 0)));
    assert_eq!(upper.switches.highest_within(layer(3, 7)), Some(layer(1, 0)));
    assert_eq!(upper.switches.highest_within(layer(0, 7)), None);
}

#[test]
fn what_is_cut_short_is_refused() {
    let whole = two_temporal_layers(SEVEN);
    for len in 0..whole.len() {
        let expected = if len == 3 { DependencyError::UnknownTemplate } else { DependencyError::Malformed };
        assert_eq!(DependencyReader::default().read(&whole[..len]), Err(expected), "{len}");
    }
    // More layers than there are.
    let layers = bits(&format!("1 1 000000 {SEVEN} 1 0 0 0 0  000000 00000  10 10 10 10 11"));
    assert_eq!(DependencyReader::default().read(&layers), Err(DependencyError::Malformed));
}

proptest! {
    #[test]
    fn no_bytes_panic(descriptors in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..8)) {
        let mut reader = DependencyReader::default();
        let _ = reader.read(&two_temporal_layers(SEVEN));
        for descriptor in descriptors {
            let _ = reader.read(&descriptor);
            reader.active_layers();
        }
    }

    #[test]
    fn the_highest_layer_within_is_found(members in prop::collection::vec((0u8..4, 0u8..8), 0..10), spatial in 0u8..8, temporal in 0u8..8) {
        let mut set = LayerSet::default();
        let members: Vec<Layer> = members.into_iter().map(|(spatial, temporal)| layer(spatial, temporal)).collect();
        members.iter().for_each(|&member| set.insert(member));
        let most = layer(spatial, temporal);
        let expected = members.into_iter().filter(|&member| most.includes(member)).max();
        prop_assert_eq!(set.highest_within(most), expected);
    }
}
