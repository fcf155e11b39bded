#![expect(clippy::disallowed_methods, reason = "a time to start from")]

use super::*;
use crate::bandwidth::Claim;
use crate::codec::Kind;
use crate::id::ParticipantId;
use crate::sdp::Flow;

fn publication(codec: Codec) -> PublicationState {
    publication_of(codec, &[])
}

fn publication_of(codec: Codec, rids: &[Rid]) -> PublicationState {
    let format = PayloadFormat {
        codec,
        payload_type: 96,
        rtx_payload_type: None,
        red_payload_type: None,
        parameters: String::new(),
        nack: true,
        pli: true,
        transport_cc: false,
        remb: false,
    };
    let line = MediaLine {
        mid: Mid::new(b"0").unwrap(),
        kind: Kind::Video,
        flow: Flow::Receive { rids: Vec::new(), ssrcs: Vec::new() },
        codecs: vec![format.clone()],
        extensions: Extensions::default(),
    };
    let id = PublicationId { participant: ParticipantId(1), index: 0 };
    PublicationState::new(id, &line, format, rids, &Limits::default())
}

fn received(sequence: u16, timestamp: u32, descriptor: &[u8], payload: &[u8]) -> Received {
    Received {
        sequence,
        timestamp,
        marker: true,
        audio_level: None,
        descriptor: Bytes::copy_from_slice(descriptor),
        payload: Bytes::copy_from_slice(payload),
        repaired: false,
    }
}

fn target(spatial: u8, temporal: u8) -> Target {
    Target { encoding: 0, layer: Layer { spatial, temporal } }
}

/// What is shown `max_height` pixels high on a line without bound.
fn best(publication: &PublicationState, now: Instant, max_height: u16) -> Target {
    let ladder = publication.ladder(now);
    let rungs: Vec<Rung> = ladder.iter().map(LayerChoice::rung).collect();
    let claim = Claim {
        priority: 0,
        max_height,
        ladder: &rungs,
        current: None,
        rises_to: u16::MAX,
        may_resume: true,
    };
    ladder[claim.ceiling().unwrap()].target
}

/// Frame 7 with a structure of two temporal layers: templates 0 (key), 1 (base) and 2 (above), for targets T0 and T1.
const KEY: [u8; 11] = [
    0b1100_0000,
    0,
    7,           //
    0b1000_0000, // a structure; its first id is 0
    0b0000_0001, // two targets
    0b0001_1110, // the templates' layers; indications 10
    0b1010_1000, // 10, 10 10, 00
    0b0101_0001, // 01; no reference; 1, 2 back
    0b0100_0000, // none more; 1, 1 back
    0b0000_0000, // none more; no chain, no sizes
    0,
];

#[test]
fn what_means_a_structure_to_come_waits_for_it() {
    let now = Instant::now();
    let mut publication = publication(Codec::Av1);
    let take = |publication: &mut PublicationState, sequence, descriptor: &[u8]| {
        let taken = publication.take(now, 0, received(sequence, u32::from(sequence), descriptor, b"payload"));
        taken.unwrap().packet.map(|packet| (packet.sequence as u16, packet.info.layer.temporal))
    };
    assert_eq!(take(&mut publication, 3, &[0b1100_0010, 0, 8]), None);
    assert_eq!(take(&mut publication, 4, &[0b1100_0001, 0, 9]), None);
    // Of a structure that never comes.
    assert_eq!(take(&mut publication, 5, &[0b1101_0000, 0, 10]), None);
    assert!(publication.release(0).is_none());
    assert_eq!(take(&mut publication, 2, &KEY), Some((2, 0)));
    let released: Vec<_> = std::iter::from_fn(|| publication.release(0))
        .map(|packet| (packet.sequence as u16, packet.info.layer.temporal))
        .collect();
    assert_eq!(released, [(3, 1), (4, 0)]);
    assert_eq!(take(&mut publication, 6, &[0b1100_0010, 0, 11]), Some((6, 1)));
}

/// A VP9 frame: the key picture tells of 180 and 360 lines.
fn vp9(key: bool, spatial: u8, temporal: u8, size: usize) -> Vec<u8> {
    let inter = if key { 0 } else { 0x40 };
    let mut payload = if key && spatial == 0 {
        vec![0x2e, 0, 0, 0x30, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68]
    } else {
        vec![0x2c | inter, temporal << 5 | spatial << 1 | u8::from(spatial > 0), 0]
    };
    payload.resize(size, 0);
    payload
}

#[test]
fn one_encoding_offers_its_layers_by_height_and_rate() {
    let origin = Instant::now();
    let mut publication = publication(Codec::Vp9);
    let mut sequence = 0;
    let mut picture = |publication: &mut PublicationState, at: u32, layers: u8| {
        let now = origin + Duration::from_millis(u64::from(at) * 20);
        let mut reconsider = false;
        for spatial in 0..layers {
            let size = [100, 300][usize::from(spatial)];
            let payload = vp9(at == 0, spatial, (at % 2) as u8, size);
            sequence += 1;
            reconsider |=
                publication.take(now, 0, received(sequence, at * 1800, &[], &payload)).unwrap().reconsider;
        }
        reconsider
    };
    assert!(picture(&mut publication, 0, 2));
    assert_eq!(best(&publication, origin, 200), target(1, 7), "known from the key frame");
    assert!((1..100).all(|at| !picture(&mut publication, at, 2)));
    let now = origin + Duration::from_secs(2);
    assert_eq!(best(&publication, now, 180), target(0, 7));
    assert_eq!(best(&publication, now, 720), target(1, 7), "the tallest there is");
    let choices = publication.ladder(now);
    let seen: Vec<_> = choices.iter().map(|choice| (choice.target, choice.height, choice.fps)).collect();
    let expected =
        [(target(0, 0), 180, 25), (target(0, 7), 180, 50), (target(1, 0), 360, 25), (target(1, 7), 360, 50)];
    assert_eq!(seen, expected);
    for (choice, bps) in choices.iter().zip([8 * 25 * 100, 8 * 50 * 100, 8 * 25 * 400, 8 * 50 * 400]) {
        let off = choice.bitrate.as_bps() as f64 / f64::from(bps);
        assert!((0.9..1.1).contains(&off), "{choice:?}");
    }
    assert_eq!(publication.info.encodings, [None]);
    assert!(publication.has_layers());
    // The upper layer falls silent.
    assert_eq!((100..200).filter(|&at| picture(&mut publication, at, 1)).count(), 0);
    let now = origin + Duration::from_secs(4);
    assert_eq!(best(&publication, now, 720), target(0, 7));
    assert!(publication.ladder(now).iter().all(|choice| choice.target.layer.spatial == 0));
    assert!(picture(&mut publication, 200, 2), "and comes back");
    assert_eq!(best(&publication, now, 720), target(1, 7));
}

/// A VP8 key frame of so many lines.
fn vp8_key(height: u16, size: usize) -> Vec<u8> {
    let mut payload = vec![0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01];
    payload.extend(height.to_le_bytes());
    payload.resize(size, 0);
    payload
}

#[test]
fn what_was_let_go_before_it_ever_came_is_presumed_above_what_did() {
    let origin = Instant::now();
    let rids = [b"h", b"m", b"l"].map(|rid| Rid::new(rid).unwrap());
    let mut publication = publication_of(Codec::Vp8, &rids);
    // The publisher's line had no room for the largest; nobody asked for it in all that time.
    let mut now = origin;
    for picture in 0..400_u16 {
        now = origin + Duration::from_millis(u64::from(picture) * 20);
        for (encoding, height) in [(1, 360), (2, 180)] {
            let received = received(picture, u32::from(picture) * 1800, &[], &vp8_key(height, 200));
            assert!(publication.take(now, encoding, received).is_some());
        }
        publication.saving.review(now, |encoding| encoding > 0);
    }
    assert_eq!(publication.saving.wanted(), [false, true, true]);
    let ladder = publication.ladder(now);
    let heights: Vec<_> = ladder.iter().map(|choice| (choice.target.encoding, choice.height)).collect();
    assert_eq!(heights, [(2, 180), (1, 360), (0, 720)]);
    assert!(ladder[2].bitrate > ladder[1].bitrate * 2.0, "it is no bargain");
    assert_eq!(best(&publication, now, 720).encoding, 0, "so it is asked for where it is of use");
    assert_eq!(best(&publication, now, 360).encoding, 1);
}

#[test]
fn what_lost_the_beginning_of_its_key_frame_is_not_taken_for_the_smallest() {
    let origin = Instant::now();
    let rids = [b"h", b"m", b"l"].map(|rid| Rid::new(rid).unwrap());
    let mut publication = publication_of(Codec::Vp8, &rids);
    let mut now = origin;
    for picture in 0..60_u16 {
        now = origin + Duration::from_millis(u64::from(picture) * 33);
        for (encoding, payload) in
            [(0, vp8_key(720, 1000)), (1, vec![0x10, 1, 0, 0, 0xa5, 0xa5]), (2, vp8_key(180, 200))]
        {
            publication.take(now, encoding, received(picture, u32::from(picture) * 2970, &[], &payload));
        }
    }
    let ladder = publication.ladder(now);
    let heights: Vec<_> = ladder.iter().map(|choice| (choice.target.encoding, choice.height)).collect();
    assert_eq!(heights, [(2, 180), (1, 360), (0, 720)]);
}

/// Key frames that x264 began, of 360 and of 180 lines.
const H264_360: &[u8] =
    b"\x67\x42\xc0\x16\xd9\x00\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\x00\x00\x03\x00\x0a\x0f\x16\x2e\x48";
const H264_180: &[u8] =
    b"\x67\x42\xc0\x0b\xd9\x01\x41\x9f\x9f\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x00\xa0\xf1\x42\xa4\x80";

#[test]
fn h264_tells_heights_by_its_parameter_sets_with_or_without_descriptors() {
    let now = Instant::now();
    let rids = [b"h", b"m"].map(|rid| Rid::new(rid).unwrap());
    for descriptor in [&KEY[..], &[]] {
        let mut publication = publication_of(Codec::H264, &rids);
        for (encoding, set) in [(0, H264_360), (1, H264_180)] {
            assert!(publication.take(now, encoding, received(1, 0, descriptor, set)).unwrap().reconsider);
        }
        assert_eq!([180, 360, 720].map(|height| best(&publication, now, height).encoding), [1, 0, 0]);
    }
}

#[test]
fn what_hardly_moves_is_not_shown_where_something_smaller_does() {
    let origin = Instant::now();
    let rids = [b"h", b"m", b"l"].map(|rid| Rid::new(rid).unwrap());
    let mut publication = publication_of(Codec::Vp8, &rids);
    // 50 pictures a second, of the largest only every so many.
    let mut play = |from: u16, to: u16, every: u16, others: u16| {
        let mut now = origin;
        for picture in from..to {
            now = origin + Duration::from_millis(u64::from(picture) * 20);
            for (encoding, height, every) in [(0, 720, every), (1, 360, others), (2, 180, others)] {
                if picture % every == 0 {
                    let received = received(picture, u32::from(picture) * 1800, &[], &vp8_key(height, 200));
                    assert!(publication.take(now, encoding, received).is_some());
                }
            }
        }
        (best(&publication, now, 720).encoding, publication.is_starved(now, 0))
    };
    assert_eq!(play(0, 30, 25, 1), (0, false), "too early to tell");
    assert_eq!(play(30, 300, 50, 1), (1, true), "one a second");
    assert_eq!(play(300, 400, 3, 1), (0, false), "it moves again");
    assert_eq!(
        play(400, 600, 50, 50),
        (0, false),
        "nothing moves: a still picture is shown as large as it comes"
    );
}
