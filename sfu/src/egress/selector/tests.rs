#![expect(clippy::disallowed_methods, reason = "a time to start from")]

use std::time::Instant;

use bytes::Bytes;

use super::*;
use crate::codec::{Codec, Rise};

fn layer(spatial: u8, temporal: u8) -> Layer {
    Layer { spatial, temporal }
}

fn target(encoding: u8, spatial: u8, temporal: u8) -> Option<Target> {
    Some(Target { encoding, layer: layer(spatial, temporal) })
}

/// A packet of encoding 0 that is a whole frame; pictures have the numbers of their timestamps.
fn packet(sequence: u64, picture: u32, info: PayloadInfo) -> SourcePacket {
    SourcePacket {
        encoding: 0,
        sequence,
        timestamp: picture,
        marker: false,
        arrival: Instant::now(),
        audio_level: None,
        info: PayloadInfo { starts_frame: true, ends_frame: true, ..info },
        descriptor: Bytes::new(),
        payload: Bytes::new(),
        earlier: None,
    }
}

fn frame(spatial: u8, temporal: u8) -> PayloadInfo {
    PayloadInfo { layer: layer(spatial, temporal), ..PayloadInfo::default() }
}

const KEY: PayloadInfo = PayloadInfo {
    starts_keyframe: true,
    starts_frame: true,
    ends_frame: true,
    discardable: false,
    layer: Layer::BASE,
    rise: Rise { own_temporal: false, above_temporal: false, own_spatial: false },
    tells_sizes: false,
    dimensions: None,
    numbers: None,
    dependency: None,
};

fn of(encoding: u8, packet: SourcePacket) -> SourcePacket {
    SourcePacket { encoding, ..packet }
}

#[test]
fn only_a_key_frame_of_the_target_moves_what_is_shown() {
    let mut selector = LayerSelector::default();
    let key = |encoding, n: u64| of(encoding, packet(n, n as u32, KEY));
    let delta = |encoding, n: u64| of(encoding, packet(n, n as u32, frame(0, 0)));
    assert_eq!(selector.select(&key(0, 1)), Selection::Drop);
    assert!(selector.set_target(target(1, 0, 7)));
    assert!(!selector.set_target(target(1, 0, 7)));
    assert_eq!(selector.wanted_keyframe(), Some(1));
    assert_eq!(selector.select(&delta(1, 1)), Selection::Drop);
    assert_eq!(selector.select(&key(0, 2)), Selection::Drop);
    assert_eq!(selector.select(&key(1, 2)), Selection::Switch);
    assert_eq!(selector.wanted_keyframe(), None);
    assert_eq!(selector.select(&delta(1, 3)), Selection::Forward);
    selector.set_target(target(0, 0, 7));
    assert_eq!(selector.select(&delta(1, 4)), Selection::Forward, "the former one goes on until the switch");
    assert_eq!(selector.shown_or_wanted(), Some(0));
    assert_eq!(selector.current(), target(1, 0, 7));
    assert_eq!(selector.select(&key(0, 3)), Selection::Switch);
    assert_eq!(selector.select(&key(1, 5)), Selection::Drop);
}

#[test]
fn without_a_target_nothing_flows_until_a_key_frame_of_the_next_one() {
    for mut selector in [LayerSelector::default(), LayerSelector::passthrough()] {
        selector.set_target(target(0, 0, 0));
        assert_eq!(selector.select(&packet(1, 1, KEY)), Selection::Switch);
        assert!(selector.set_target(None));
        assert_eq!(selector.select(&packet(2, 2, KEY)), Selection::Drop);
        assert_eq!(selector.shown_or_wanted(), None);
        selector.set_target(target(0, 0, 0));
        assert_eq!(selector.select(&packet(3, 3, KEY)), Selection::Switch, "what is shown begins anew");
    }
}

#[test]
fn sound_begins_at_any_packet() {
    let mut selector = LayerSelector::passthrough();
    assert_eq!(selector.wanted_keyframe(), None);
    assert_eq!(selector.select(&packet(1, 1, frame(0, 0))), Selection::Switch);
    assert_eq!(selector.select(&packet(2, 2, frame(0, 0))), Selection::Forward);
}

/// Feeds packets by (number, picture, info) and says which of them are forwarded.
fn forwarded(selector: &mut LayerSelector, packets: &[(u64, u32, PayloadInfo)]) -> Vec<u64> {
    let sent = |selection| matches!(selection, Selection::Forward | Selection::Switch);
    let mut numbers = Vec::new();
    for &(number, picture, info) in packets {
        if sent(selector.select(&packet(number, picture, info))) {
            numbers.push(number);
        }
    }
    numbers
}

#[test]
fn vp8_goes_down_with_the_next_picture_and_up_at_layer_syncs_step_by_step() {
    let mut selector = LayerSelector::default();
    selector.set_target(target(0, 0, 0));
    let sync =
        |temporal| PayloadInfo { rise: Rise { own_temporal: true, ..Rise::default() }, ..frame(0, temporal) };
    assert_eq!(forwarded(&mut selector, &[(1, 1, KEY), (2, 2, sync(2)), (3, 3, sync(1))]), [1]);
    selector.set_target(target(0, 0, 2));
    assert_eq!(selector.wanted_keyframe(), None, "pictures per second need none");
    let up = [
        (4, 4, frame(0, 0)),
        (5, 5, frame(0, 1)), // needs one that was not sent
        (6, 6, sync(2)),     // the layer below it is missing
        (7, 7, sync(1)),
        (8, 8, frame(0, 2)),
        (9, 9, frame(0, 0)),
        (10, 10, sync(2)),
        (11, 11, frame(0, 1)),
        (12, 12, frame(0, 2)),
    ];
    assert_eq!(forwarded(&mut selector, &up), [4, 7, 9, 10, 11, 12]);
    // Down in the middle of a picture: its second packet still goes, and so does a late one from before.
    selector.set_target(target(0, 0, 0));
    let down = [(14, 12, frame(0, 2)), (15, 13, frame(0, 1)), (13, 12, frame(0, 2)), (16, 14, frame(0, 0))];
    assert_eq!(forwarded(&mut selector, &down), [14, 13, 16]);
}

#[test]
fn what_comes_late_moves_nothing() {
    let mut selector = LayerSelector::default();
    selector.set_target(target(0, 0, 0));
    forwarded(&mut selector, &[(1, 1, KEY)]);
    selector.set_target(target(0, 0, 1));
    let up = PayloadInfo { rise: Rise { above_temporal: true, ..Rise::default() }, ..frame(0, 0) };
    // The picture above was left out before the one that would have let it in came.
    let late = [(3, 3, frame(0, 1)), (2, 2, up), (4, 4, frame(0, 0)), (5, 5, frame(0, 1))];
    assert_eq!(forwarded(&mut selector, &late), [2, 4]);
    assert_eq!(forwarded(&mut selector, &[(6, 6, up), (7, 7, frame(0, 1))]), [6, 7]);
}

#[test]
fn vp9_goes_up_in_size_where_a_layer_needs_no_other_picture() {
    let mut selector = LayerSelector::default();
    selector.set_target(target(0, 0, 0));
    let fresh = |spatial, temporal| PayloadInfo {
        rise: Rise { own_spatial: true, ..Rise::default() },
        ..frame(spatial, temporal)
    };
    let key = [(1, 1, KEY), (2, 1, fresh(1, 0)), (3, 1, fresh(2, 0))];
    assert_eq!(forwarded(&mut selector, &key), [1]);
    let last = packet(1, 1, KEY);
    assert!(selector.ends_picture(&last), "the upper layers' marker is not sent");
    selector.set_target(target(0, 2, 0));
    assert_eq!(selector.wanted_keyframe(), Some(0));
    let up = [
        (4, 2, frame(0, 0)),
        (5, 2, frame(1, 0)),
        (6, 2, fresh(2, 0)), // the layer below it is missing
        (7, 3, frame(0, 0)),
        (8, 3, fresh(1, 0)),
        (9, 3, fresh(2, 0)),
        (10, 4, frame(0, 0)),
        (11, 4, frame(2, 0)),
    ];
    assert_eq!(forwarded(&mut selector, &up), [4, 7, 8, 9, 10, 11]);
    assert_eq!(selector.wanted_keyframe(), None);
    selector.set_target(target(0, 1, 0));
    assert_eq!(
        forwarded(&mut selector, &[(12, 5, frame(0, 0)), (13, 5, frame(1, 0)), (14, 5, frame(2, 0))]),
        [12, 13]
    );
    assert!(
        selector.ends_picture(&packet(13, 5, frame(1, 0)))
            && !selector.ends_picture(&packet(12, 5, frame(0, 0)))
    );
    // A key frame takes all at once.
    selector.set_target(target(0, 2, 0));
    assert_eq!(
        forwarded(&mut selector, &[(15, 6, KEY), (16, 6, frame(1, 0)), (17, 6, frame(2, 0))]),
        [15, 16, 17]
    );
}

#[test]
fn vp9_is_read_as_it_is_on_the_wire() {
    let info = |bytes: &[u8]| PayloadInfo::inspect(Codec::Vp9, bytes);
    let upper = info(&[0xa8, 0x01, 0x33, 0x00, 0]);
    assert_eq!((upper.layer, upper.starts_frame), (layer(1, 1), true));
    assert!(upper.rise.own_spatial && upper.rise.above_temporal && !upper.starts_keyframe);
    assert!(!info(&[0xe8, 0x01, 0x32, 0x00, 0]).rise.own_spatial);
}

mod by_descriptor {
    use super::*;
    use crate::codec::FrameDependency;
    use crate::codec::dependency::{LayerSet, References};

    fn info(number: u16, of: Layer, references: &[u16], switches: &[Layer]) -> PayloadInfo {
        let mut set = LayerSet::default();
        switches.iter().for_each(|&layer| set.insert(layer));
        PayloadInfo::default().with_dependency(FrameDependency {
            starts_frame: true,
            ends_frame: true,
            frame_number: number,
            layer: of,
            references: references.iter().copied().collect::<References>(),
            switches: set,
            discardable: false,
            structure: references.is_empty() && of == Layer::BASE,
            dimensions: None,
        })
    }

    #[test]
    fn a_switch_is_taken_only_where_what_the_frame_needs_went_out() {
        let (low, high) = (layer(0, 0), layer(1, 0));
        let mut selector = LayerSelector::default();
        selector.set_target(target(0, 0, 0));
        // As in L2T1_KEY: after the key picture each layer needs itself alone.
        let key = [(1, 1, info(65_534, low, &[], &[low, high])), (2, 1, info(65_535, high, &[1], &[high]))];
        assert_eq!(forwarded(&mut selector, &key), [1]);
        selector.set_target(target(0, 1, 0));
        let next = [(3, 2, info(0, low, &[2], &[low])), (4, 2, info(1, high, &[2], &[high]))];
        assert_eq!(forwarded(&mut selector, &next), [3]);
        assert_eq!(selector.wanted_keyframe(), Some(0));
        // A frame that needs the lower layer of its picture only: its references are there.
        let next = [(5, 3, info(2, low, &[2], &[low])), (6, 3, info(3, high, &[1], &[high]))];
        assert_eq!(forwarded(&mut selector, &next), [5, 6]);
        assert_eq!(selector.current(), target(0, 1, 0));
        // Lower layers go along: down works at once.
        selector.set_target(target(0, 0, 0));
        let next = [(7, 4, info(4, low, &[2], &[low])), (8, 4, info(5, high, &[2], &[high]))];
        assert_eq!(forwarded(&mut selector, &next), [7]);
    }

    #[test]
    fn a_base_frame_lets_in_the_pictures_between() {
        let layers = [layer(0, 0), layer(0, 1), layer(0, 2)];
        let mut selector = LayerSelector::default();
        selector.set_target(target(0, 0, 0));
        let key = [(1, 1, info(0, layers[0], &[], &layers)), (2, 2, info(1, layers[1], &[1], &[]))];
        assert_eq!(forwarded(&mut selector, &key), [1]);
        selector.set_target(target(0, 0, 7));
        let next = [
            (3, 3, info(2, layers[1], &[1], &[])),
            (4, 4, info(3, layers[0], &[3], &layers)),
            (5, 5, info(4, layers[2], &[1], &[])),
        ];
        assert_eq!(forwarded(&mut selector, &next), [4, 5]);
    }

    #[test]
    fn frames_sent_are_remembered_over_the_wrap_and_64_back() {
        let mut frames = SentFrames::default();
        [65_530, 65_535, 2, 65_533].into_iter().for_each(|frame| frames.insert(frame));
        let bits =
            |distances: &[u16]| distances.iter().fold(0_u64, |bits, distance| bits | 1 << (distance - 1));
        assert_eq!(frames.before(3), bits(&[1, 4, 6, 9]));
        assert_eq!(frames.before(2), bits(&[3, 5, 8]));
        assert_eq!(frames.before(65_535), bits(&[2, 5]));
        assert_eq!(frames.before(66), bits(&[64]));
        assert_eq!(frames.before(67), 0);
    }
}
