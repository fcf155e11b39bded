//! Plans in virtual time: many clients, good and bad lines, one seed each.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use simmer_sfu::message::Event;
use simmer_sfu::sim::{Line, World};

/// Everything of one slot's life: nothing missing, nothing twice, in the publisher's order.
///
/// Within one encoding a slot shows every part from the key frame at which it was switched to; a missing number would be a hole that only
/// an intended drop may close.
fn assert_continuous(world: &World, number: usize, context: &str) {
    for slot in &world.client(number).slots {
        assert_eq!(slot.contradictions, 0, "{context}: a number came twice with different contents");
        assert_eq!(slot.gaps(), 0, "{context}: packets are missing after repair");
        let marks: Vec<_> = slot.received.values().collect();
        for pair in marks.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            if (before.publisher, before.encoding) != (after.publisher, after.encoding) {
                assert!(
                    after.key && after.part == 0,
                    "{context}: a switch in the middle: {before:?} {after:?}"
                );
            } else if before.part + 1 < before.parts {
                assert_eq!((after.frame, after.part), (before.frame, before.part + 1), "{context}");
            } else {
                assert_eq!((after.frame, after.part), (before.frame + 1, 0), "{context}");
            }
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn on_a_good_line_every_packet_arrives_in_order() {
    let mut world = World::new(1);
    let publisher = world.join(&[720], 0, Line::default());
    let viewers: Vec<_> = (0..5).map(|_| world.join(&[], 1, Line::default())).collect();
    world.run_for(seconds(10));
    world.clients[publisher].as_mut().unwrap().stop_publishing();
    world.run_for(seconds(2));
    let published = world.client(publisher).published[0];
    assert!(published > 1400, "{published}");
    for viewer in viewers {
        assert_continuous(&world, viewer, "good line");
        let received = world.client(viewer).slots[0].received.len() as u64;
        // Those before the viewer's own connection are not for it.
        assert!(received > published - 60, "{received} of {published}");
    }
    assert_eq!(world.shard.counters().packets_retransmitted, 0);
    assert_eq!(world.shard.counters().nacks_sent, 0);
}

#[test]
fn with_five_percent_loss_each_way_every_packet_reaches_its_own_place() {
    for seed in 0..5 {
        let mut world = World::new(seed);
        let lossy = Line {
            delay: Duration::from_millis(25),
            jitter: Duration::from_millis(10),
            loss: 0.05,
            reorder: 0.01,
            duplicate: 0.01,
            ..Line::default()
        };
        let publisher = world.join(&[720], 0, lossy.clone());
        let viewers: Vec<_> = (0..10).map(|_| world.join(&[], 1, lossy.clone())).collect();
        world.run_for(seconds(20));
        world.clients[publisher].as_mut().unwrap().stop_publishing();
        world.run_for(seconds(3));
        let counters = world.shard.counters();
        assert!(counters.packets_repaired > 50, "seed {seed}: {counters:?}");
        assert!(counters.packets_retransmitted > 500, "seed {seed}: {counters:?}");
        for viewer in viewers {
            assert_continuous(&world, viewer, &format!("seed {seed}, viewer {viewer}"));
            let slot = &world.client(viewer).slots[0];
            assert!(slot.received.len() > 2800, "seed {seed}: {}", slot.received.len());
        }
    }
}

#[test]
fn a_change_of_height_switches_at_a_key_frame_without_a_gap() {
    let mut world = World::new(3);
    world.join(&[720, 360, 180], 0, Line::default());
    world.max_height = 720;
    let viewer = world.join(&[], 1, Line::default());
    world.run_for(seconds(3));
    let publication = world.events.iter().find_map(|event| match event {
        Event::Published { publication, .. } => Some(publication.id),
        _ => None,
    });
    for max_height in [180, 720, 300, 90] {
        let wish = simmer_sfu::view::VideoWish::new(publication.unwrap(), max_height);
        world.view(viewer, simmer_sfu::view::View { video: vec![wish], ..Default::default() });
        world.run_for(seconds(3));
        let shown = world.client(viewer).slots[0].received.values().last().unwrap().encoding;
        let expected = match max_height {
            720 => 0,
            300 => 1,
            _ => 2,
        };
        assert_eq!(shown, expected, "for a height of {max_height}");
    }
    assert_continuous(&world, viewer, "switching");
    let slot = &world.client(viewer).slots[0];
    let steps: Vec<_> = slot.timestamps.values().collect();
    for pair in steps.windows(2) {
        let step = pair[1].wrapping_sub(*pair[0]);
        assert!(step < 90_000 / 5, "the slot's clock jumps by {step}");
    }
}

#[test]
fn people_come_and_go_in_storms_and_nothing_is_left_behind() {
    for seed in 0..10 {
        let mut world = World::new(seed);
        let mut dice = ChaCha20Rng::seed_from_u64(seed);
        let mut present = Vec::new();
        for _ in 0..60 {
            if present.len() < 3 || dice.random_bool(0.55) {
                let publishes: &[u16] = if dice.random_bool(0.5) { &[720, 360, 180] } else { &[] };
                let loss = if dice.random_bool(0.3) { 0.03 } else { 0.0 };
                present.push(world.join(publishes, 4, Line { loss, ..Line::default() }));
            } else {
                let at = dice.random_range(0..present.len());
                world.leave(present.swap_remove(at));
            }
            world.run_for(Duration::from_millis(dice.random_range(1..400)));
        }
        world.run_for(seconds(5));
        for &number in &present {
            for slot in &world.client(number).slots {
                assert_eq!(slot.contradictions, 0, "seed {seed}, client {number}");
            }
            let shown: BTreeSet<u16> = world
                .client(number)
                .slots
                .iter()
                .filter_map(|slot| slot.received.values().last().map(|mark| mark.publisher))
                .collect();
            assert!(!shown.contains(&(number as u16)), "seed {seed}: {number} sees itself");
        }
        for &number in &present {
            world.leave(number);
        }
        world.run_for(seconds(40));
        let counters = world.shard.counters();
        assert_eq!((counters.participants, counters.publications), (0, 0), "seed {seed}");
        assert_eq!(world.shard.poll_timeout(), None, "seed {seed}: a timer of nobody");
    }
}

#[test]
fn one_seed_is_one_run() {
    let run = |seed| {
        let mut world = World::new(seed);
        let line = Line { loss: 0.03, jitter: Duration::from_millis(8), reorder: 0.01, ..Line::default() };
        world.join(&[720, 360], 2, line.clone());
        world.join(&[360], 2, line.clone());
        world.join(&[], 2, line);
        world.run_for(seconds(5));
        (world.trace(), world.shard.counters())
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11).0, run(12).0);
}

#[test]
fn slots_follow_the_view_and_an_unserved_wish_asks_for_more() {
    let mut world = World::new(9);
    let publishers: Vec<_> = (0..3).map(|_| world.join(&[360], 0, Line::default())).collect();
    let viewer = world.join(&[], 2, Line::default());
    world.run_for(seconds(2));
    let wanted = world.events.iter().rev().find_map(|event| match event {
        Event::SlotsWanted { participant, video, .. }
            if *participant == simmer_sfu::sim::participant(viewer) =>
        {
            Some(*video)
        }
        _ => None,
    });
    assert_eq!(wanted, Some(3));
    world.leave(publishers[0]);
    world.run_for(seconds(2));
    let shown: BTreeSet<u16> = world
        .client(viewer)
        .slots
        .iter()
        .map(|slot| slot.received.values().last().unwrap().publisher)
        .collect();
    assert_eq!(shown, BTreeSet::from([1, 2]));
    for slot in &world.client(viewer).slots {
        assert_eq!(slot.gaps(), 0, "a change of contents leaves no gap");
    }
}

#[test]
fn a_publisher_of_whom_nothing_comes_is_not_looked_at_all_the_time() {
    let mut world = World::new(1);
    let publisher = world.join(&[720, 360, 180], 0, Line::default());
    world.clients[publisher].as_mut().unwrap().want(&[false; 3]);
    world.join(&[], 1, Line::default());
    world.run_for(Duration::from_secs(1));
    let mut turns = 0;
    for _ in 0..100 {
        let millisecond = Duration::from_millis(1);
        turns += u32::from(world.shard.poll_timeout().is_some_and(|at| at <= world.now + millisecond));
        world.run_for(millisecond);
    }
    assert_eq!(world.client(publisher).published, [0; 3]);
    assert!(turns < 10, "{turns} turns in a tenth of a second");
}
