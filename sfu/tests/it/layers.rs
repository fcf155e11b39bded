//! Layered video through the whole core: what viewers of different sizes get, and what they can decode.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use simmer_sfu::codec::Codec;
use simmer_sfu::id::{ParticipantId, PublicationId, RoomId};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::sim::{
    Client, ClientPlan, Line, Mark, PlainContext, PlainTransport, Scheme, Watched, World, check, participant,
};
use simmer_sfu::view::{VideoWish, View};
use simmer_sfu::{Limits, Shard, ShardConfig};

const SCHEMES: [Scheme; 5] = [
    Scheme { codec: Codec::Vp8, spatial: 1, temporal: 3, key_mode: false, dependency: false },
    Scheme { codec: Codec::Vp9, spatial: 3, temporal: 3, key_mode: false, dependency: false },
    Scheme { codec: Codec::Vp9, spatial: 3, temporal: 1, key_mode: true, dependency: true },
    Scheme { codec: Codec::Av1, spatial: 3, temporal: 3, key_mode: false, dependency: true },
    Scheme { codec: Codec::Av1, spatial: 2, temporal: 2, key_mode: true, dependency: true },
];

/// Every frame that came is whole and finds the frames it needs; nothing is missing.
fn assert_decodable(slot: &Watched, scheme: Scheme, context: &str) {
    assert_eq!((slot.contradictions, slot.gaps()), (0, 0), "{context}");
    let mut parts: BTreeMap<u32, BTreeSet<u8>> = BTreeMap::new();
    for mark in slot.layers.values() {
        parts.entry(mark.frame).or_default().insert(mark.part);
    }
    // Nobody asks for what is lost at the very beginning or end: that something was there is not seen.
    let head = slot.layers.values().next().map_or(0, |mark| mark.frame);
    let whole = |frame: u32| frame <= head || parts.get(&frame).is_some_and(|parts| parts.len() == 2);
    let last = slot.layers.values().map(|mark| mark.frame).max().unwrap_or(0) - u32::from(scheme.spatial);
    for (number, mark) in slot.layers.iter().filter(|(_, mark)| mark.frame < last) {
        assert!(whole(mark.frame), "{context}: {number}: a part is missing of {mark:?}");
        let lacking = mark.references.iter().find(|&&frame| !whole(frame));
        assert_eq!(lacking, None, "{context}: {number}: cannot be decoded: {mark:?}");
    }
}

/// The heights of the spatial layers that came among the last packets.
fn shown(slot: &Watched, scheme: Scheme) -> u16 {
    let spatial = slot.layers.values().rev().take(30).map(|mark| mark.layer.spatial).max();
    720 >> (scheme.spatial - 1 - spatial.expect("something is shown"))
}

#[test]
fn sizes_change_at_random_on_bad_lines_and_all_that_is_shown_can_be_decoded() {
    for seed in 0..15 {
        let scheme = SCHEMES[seed as usize % SCHEMES.len()];
        let context = format!("seed {seed}, {scheme:?}");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut world = World::new(seed);
        let bad = Line { loss: 0.02, reorder: 0.01, jitter: Duration::from_millis(5), ..Line::default() };
        let publisher = world.join_layered(scheme, Some(720), 0, bad.clone());
        let viewers: Vec<_> = (0..2).map(|_| world.join_layered(scheme, None, 1, bad.clone())).collect();
        let publication = PublicationId { participant: participant(publisher), index: 0 };
        let want = |world: &mut World, viewer, max_height| {
            world.view(
                viewer,
                View { video: vec![VideoWish::new(publication, max_height)], ..View::default() },
            );
        };
        for _ in 0..20 {
            let viewer = viewers[rng.random_range(0..2)];
            want(&mut world, viewer, [180, 360, 720][rng.random_range(0..3)]);
            world.run_for(Duration::from_millis(rng.random_range(50..1000)));
        }
        want(&mut world, viewers[0], 180);
        want(&mut world, viewers[1], 720);
        world.run_for(Duration::from_secs(4));
        let publication = world.events.iter().find_map(|event| match event {
            Event::Published { publication, .. } => Some(publication.encodings.clone()),
            _ => None,
        });
        assert_eq!(publication, Some(vec![None]), "{context}: one encoding");
        let heights = [180, 720].map(|height: u16| height.max(720 >> (scheme.spatial - 1)));
        for (&viewer, height) in viewers.iter().zip(heights) {
            assert_eq!(shown(&world.client(viewer).slots[0], scheme), height, "{context}");
        }
        world.clients[publisher].as_mut().expect("it is there").stop_publishing();
        world.run_for(Duration::from_secs(3));
        for &viewer in &viewers {
            let slot = &world.client(viewer).slots[0];
            assert!(slot.layers.len() > 300, "{context}: {}", slot.layers.len());
            assert_decodable(slot, scheme, &context);
        }
    }
}

#[test]
fn a_repair_stream_that_says_nothing_but_whose_it_is_finds_its_encoding() {
    let now = Instant::now();
    let config = ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
    let mut shard: Shard<PlainTransport> = Shard::new(config, PlainContext::default(), [1; 32]);
    let address = ([127, 0, 0, 1], 10_000).into();
    let plan = ClientPlan { number: 0, publishes: vec![720, 360], parts: 1, ..ClientPlan::default() };
    let sdp = Client::new(plan, address).offer();
    let participant = ParticipantId(0);
    shard.handle_message(now, Command::Join { room: RoomId(1), participant });
    shard.handle_message(now, Command::Offer { participant, request: 0, sdp });
    let answer = std::iter::from_fn(|| shard.poll_event()).find_map(|event| match event {
        Event::Answered { answer, .. } => answer.ok(),
        _ => None,
    });
    let answer = answer.expect("an answer");
    let ufrag = answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("a ufrag");
    shard.handle_datagram(now, address, BytesMut::from(&check(ufrag)[..]));
    // In one-byte form: the m-line has id 1, the stream 2, the repaired stream 3.
    let mut send = |payload_type: u8, sequence: u16, ssrc: u32, extension: [u8; 8], payload: &[u8]| {
        let mut packet = BytesMut::from(&[0x90, payload_type][..]);
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 1]);
        packet.extend_from_slice(&ssrc.to_be_bytes());
        packet.extend_from_slice(&[0xbe, 0xde, 0, 2]);
        packet.extend_from_slice(&extension);
        packet.extend_from_slice(payload);
        shard.handle_datagram(now, address, packet);
        (shard.counters().packets_repaired, shard.counters().packets_discarded)
    };
    let mark = Mark { publisher: 0, encoding: 1, frame: 0, part: 0, parts: 1, key: true, temporal: None };
    let payload = mark.write(100, 360);
    for sequence in [10, 12] {
        let media = [0x10, b'0', 0x21, b'r', b'1', 0, 0, 0];
        assert_eq!(send(96, sequence, 5, media, &payload), (0, 0));
    }
    let repair = |sequence: u16| [&sequence.to_be_bytes()[..], &payload].concat();
    let repaired = |rid| [0x31, b'r', rid, 0, 0, 0, 0, 0];
    assert_eq!(send(97, 0, 6, repaired(b'9'), &repair(11)), (0, 1), "of nobody");
    assert_eq!(send(97, 0, 7, repaired(b'1'), &repair(11)), (1, 1));
    assert_eq!(send(97, 1, 7, [0; 8], &repair(12)), (1, 2), "known by its SSRC, and a duplicate");
}
