//! Several shards are as good as one.

use std::time::Duration;

use simmer_sfu::id::RoomId;
use simmer_sfu::sim::{ClientPlan, Line, Mark, World};

/// What every slot of every client received, in order, in half a minute of two rooms with simulcast, bad lines, and people who come, move and leave.
fn received(seed: u64, shards: usize) -> Vec<Vec<Mark>> {
    let mut world = World::sharded(seed, shards);
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

#[test]
fn two_shards_show_everybody_what_one_shows() {
    for seed in [1, 2] {
        let (one, two) = (received(seed, 1), received(seed, 2));
        assert!(
            one.iter().all(|slot| slot.len() > 300),
            "{:?}",
            one.iter().map(Vec::len).collect::<Vec<_>>()
        );
        assert_eq!(one.len(), two.len());
        for (number, (one, two)) in one.iter().zip(&two).enumerate() {
            let differs = one.iter().zip(two).position(|(one, two)| one != two);
            assert_eq!((one.len(), differs), (two.len(), None), "seed {seed}, slot {number}");
        }
    }
}
