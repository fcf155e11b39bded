//! Packets that came at once leave together: a viewer gets the same as if they had come one by one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use simmer_sfu::id::{ParticipantId, PublicationId};
use simmer_sfu::message::Command;
use simmer_sfu::sim::{Broadcast, PlainContext};
use simmer_sfu::view::{VideoWish, View};

/// All datagrams, and how many sends they took.
#[derive(Default, PartialEq, Debug)]
struct Sent {
    datagrams: BTreeMap<SocketAddr, Vec<Vec<u8>>>,
    runs: usize,
}

impl Sent {
    fn collect(&mut self, room: &mut Broadcast) {
        room.shard.poll_transmit(room.now, |batch| {
            for (to, run) in batch {
                let datagrams = run.contents.chunks(run.segment_size).map(<[u8]>::to_vec);
                self.datagrams.entry(to).or_default().extend(datagrams);
                self.runs += 1;
            }
        });
    }
}

fn view(number: u64, watches: bool) -> Command {
    let publication = PublicationId { participant: ParticipantId(0), index: 0 };
    let video = if watches { vec![VideoWish::new(publication, 720)] } else { Vec::new() };
    let view = View { video, ..View::default() };
    Command::SetView { participant: ParticipantId(number), view }
}

/// Pictures on a line that loses, repeats and reorders; what goes out when the shard is asked after each packet, or after all of a picture.
fn play(seed: u64, at_once: bool) -> Sent {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut room = Broadcast::new(5, PlainContext::default());
    let mut sent = Sent::default();
    let mut watches = true;
    for _ in 0..300 {
        room.keep_alive();
        let mut packets: Vec<BytesMut> = (0..8).map(|_| room.datagram()).collect();
        if rng.random_bool(0.3) {
            packets.shuffle(&mut rng);
        }
        packets.retain(|_| rng.random_bool(0.97));
        if let Some(again) = packets.last().filter(|_| rng.random_bool(0.1)).cloned() {
            packets.push(again);
        }
        let turn = rng.random_range(0..30);
        for (place, packet) in packets.into_iter().enumerate() {
            room.take(packet);
            if place == turn {
                // Somebody looks away, or back, in the middle of it.
                watches = !watches;
                room.shard.handle_message(room.now, view(1, watches));
            }
            if !at_once {
                sent.collect(&mut room);
            }
        }
        sent.collect(&mut room);
        room.now += Duration::from_millis(33);
        if room.shard.poll_timeout().is_some_and(|at| at <= room.now) {
            room.shard.handle_timeout(room.now);
        }
        while room.shard.poll_event().is_some() {}
        sent.collect(&mut room);
    }
    sent
}

#[test]
fn what_comes_at_once_leaves_as_if_it_had_come_one_by_one() {
    for seed in 0..20 {
        let (single, together) = (play(seed, false), play(seed, true));
        assert!(single.datagrams.values().map(Vec::len).sum::<usize>() > 5 * 300 * 4, "seed {seed}");
        for (to, datagrams) in &single.datagrams {
            assert!(together.datagrams[to] == *datagrams, "seed {seed}: {to} gets something else");
        }
        let (one_by_one, fewer) = (single.runs, together.runs);
        assert!(fewer * 3 < one_by_one, "seed {seed}: {fewer} sends instead of {one_by_one}");
    }
}

/// Takes so many of a picture's eight packets; until when what there is waits then.
fn take(room: &mut Broadcast, packets: usize) -> Option<Duration> {
    for _ in 0..packets {
        let datagram = room.datagram();
        room.take(datagram);
    }
    room.shard.waits(room.now).map(|until| until - room.now)
}

#[test]
fn what_there_is_waits_for_the_rest_of_its_picture_and_no_longer() {
    let mut room = Broadcast::new(5, PlainContext::default());
    let mut sent = Sent::default();
    assert_eq!(room.shard.waits(room.now), None, "there is nothing");
    for packets in 1..7 {
        assert_eq!(take(&mut room, packets), Some(Duration::from_millis(1)));
        room.now += Duration::from_micros(900);
        assert_eq!(take(&mut room, 7 - packets), Some(Duration::from_micros(100)));
        assert_eq!(take(&mut room, 1), None, "it is whole");
        sent.collect(&mut room);
        assert_eq!(room.shard.waits(room.now), None, "it has left");
    }
    // A command is not kept waiting for a picture.
    assert!(take(&mut room, 3).is_some());
    room.shard.handle_message(room.now, view(1, false));
    assert_eq!(room.shard.waits(room.now), None);
}

#[test]
fn whose_packets_come_apart_is_not_waited_for_again_at_once() {
    let mut room = Broadcast::new(5, PlainContext::default());
    assert!(take(&mut room, 3).is_some());
    room.now += Duration::from_millis(1);
    assert_eq!(room.shard.waits(room.now), None, "the rest is late");
    room.shard.poll_transmit(room.now, |_| {});
    room.now += Duration::from_millis(900);
    assert_eq!(take(&mut room, 3), None);
    room.shard.poll_transmit(room.now, |_| {});
    room.now += Duration::from_millis(101);
    assert!(take(&mut room, 1).is_some(), "it is tried once more");
}
