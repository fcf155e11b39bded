//! Several shards are as good as one.

use std::time::Duration;

use simmer_sfu::id::RoomId;
use simmer_sfu::sim::{ClientPlan, Line, Mark, World};

/// What every slot of every client received, in order, in half a minute of two rooms with simulcast, bad lines, and people who come, move and leave.
fn received(seed: u64, shards: usize) -> Vec<Vec<Mark>> {
    let mut world = World::sharded(seed, shards, usize::MAX);
    let line = || Line {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(8),
        loss: 0.02,
        ..Line::default()
    };
    let plan = |publishes: &[u16], slots| ClientPlan {
        publishes: publishes.to_vec(),
        slots,
        natural: true,
        feedback: true,
        ..ClientPlan::default()
    };
    let (hall, foyer) = (RoomId(1), RoomId(2));
    world.join_room(hall, plan(&[720, 360, 180], 0), line());
    world.join_room(foyer, plan(&[360], 1), line());
    for _ in 0..3 {
        world.join_room(hall, plan(&[], 2), line());
        world.join_room(foyer, plan(&[180], 2), Line { rate_bps: Some(900_000), ..line() });
        world.run_for(Duration::from_millis(900));
    }
    world.run_for(Duration::from_secs(8));
    world.move_away(2, line());
    world.run_for(Duration::from_secs(4));
    world.leave(1);
    world.join_room(hall, plan(&[360], 1), line());
    world.run_for(Duration::from_secs(8));
    if shards > 1 {
        let each: Vec<_> = world.shards().map(|shard| shard.counters().participants).collect();
        assert_eq!(each, [5, 3]);
    }
    let slots = world.clients.iter().flatten().flat_map(|client| &client.slots);
    slots.map(|slot| slot.received.values().copied().collect()).collect()
}

/// The same of one room, half of it on each of two shards: who is there from the beginning, publishers on both among them, who comes late, and who leaves.
fn received_in_one_room(seed: u64, shards: usize) -> Vec<Vec<Mark>> {
    let mut world = World::sharded(seed, shards, 3);
    let line = || Line {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(8),
        loss: 0.02,
        ..Line::default()
    };
    let plan = |publishes: &[u16], slots| ClientPlan {
        publishes: publishes.to_vec(),
        slots,
        natural: true,
        feedback: true,
        ..ClientPlan::default()
    };
    let hall = RoomId(1);
    world.join_room(hall, plan(&[720, 360, 180], 2), line());
    for _ in 0..2 {
        world.join_room(hall, plan(&[], 2), line());
    }
    world.join_room(hall, plan(&[360, 180], 2), line());
    world.join_room(hall, plan(&[], 2), Line { rate_bps: Some(900_000), ..line() });
    world.run_for(Duration::from_secs(6));
    world.join_room(hall, plan(&[], 2), line());
    world.run_for(Duration::from_secs(5));
    world.leave(1);
    world.join_room(hall, plan(&[180], 3), line());
    world.run_for(Duration::from_secs(5));
    world.move_away(5, line());
    world.leave(3);
    world.run_for(Duration::from_secs(8));
    if shards > 1 {
        let each: Vec<_> = world.shards().map(|shard| shard.counters().participants).collect();
        assert_eq!(each, [3, 2]);
    }
    let slots = world.clients.iter().flatten().flat_map(|client| &client.slots);
    slots.map(|slot| slot.received.values().copied().collect()).collect()
}

fn assert_same(seed: u64, one: &[Vec<Mark>], two: &[Vec<Mark>]) {
    assert_eq!(one.len(), two.len());
    for (number, (one, two)) in one.iter().zip(two).enumerate() {
        let differs = one.iter().zip(two).position(|(one, two)| one != two);
        assert_eq!((one.len(), differs), (two.len(), None), "seed {seed}, slot {number}");
    }
}

#[test]
fn a_room_on_two_shards_shows_everybody_what_it_shows_on_one() {
    for seed in [1, 2] {
        let (one, two) = (received_in_one_room(seed, 1), received_in_one_room(seed, 2));
        let lengths: Vec<_> = one.iter().map(Vec::len).collect();
        assert!(lengths.iter().filter(|&&length| length > 300).count() >= 6, "{lengths:?}");
        assert_same(seed, &one, &two);
    }
}

#[test]
fn two_shards_show_everybody_what_one_shows() {
    for seed in [1, 2] {
        let (one, two) = (received(seed, 1), received(seed, 2));
        assert!(
            one.iter().all(|slot| slot.len() > 300),
            "{:?}",
            one.iter().map(Vec::len).collect::<Vec<_>>()
        );
        assert_same(seed, &one, &two);
    }
}
