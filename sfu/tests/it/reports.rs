//! Clients without transport-wide feedback: what they say of their line otherwise is heeded.

use std::time::{Duration, Instant};

use simmer_sfu::sim::{ClientPlan, Line, World};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn line(loss: f64) -> Line {
    Line { delay: Duration::from_millis(20), loss, ..Line::default() }
}

/// A room with a camera of 1.4, 0.5 and 0.2 Mbit/s, and who watches it so.
fn watched(seed: u64, plan: ClientPlan) -> (World, usize) {
    let mut world = World::new(seed);
    world.join_natural(&[720, 360, 180], 0, line(0.0));
    let viewer = world.join_as(ClientPlan { slots: 1, ..plan }, line(0.0));
    (world, viewer)
}

/// What came in each second of some time, in kbit/s, headers of IP and UDP left out.
fn kbps(world: &World, viewer: usize, from: Instant) -> Vec<usize> {
    let mut seconds = vec![0; (world.now - from).as_secs() as usize];
    for (at, bytes) in world.client(viewer).came.iter().filter(|(at, _)| *at >= from) {
        if let Some(second) = seconds.get_mut((*at - from).as_secs() as usize) {
            *second += bytes * 8 / 1000;
        }
    }
    seconds
}

fn encoding(world: &World, viewer: usize) -> Option<u8> {
    world.client(viewer).slots[0].shown().last().map(|picture| picture.mark.encoding)
}

#[test]
fn what_a_client_says_that_its_line_carries_is_not_exceeded() {
    for seed in 0..3 {
        let plan = ClientPlan { remb: Some(400_000), ..ClientPlan::default() };
        let (mut world, viewer) = watched(seed, plan);
        world.run_for(seconds(4));
        let from = world.now;
        world.run_for(seconds(10));
        let narrow = kbps(&world, viewer, from);
        assert!(narrow.iter().all(|&kbps| (150..=400).contains(&kbps)), "seed {seed}: {narrow:?}");
        world.clients[viewer].as_mut().unwrap().plan.remb = Some(3_000_000);
        world.run_for(seconds(15));
        assert_eq!(encoding(&world, viewer), Some(0), "seed {seed}: {:?}", kbps(&world, viewer, from));
        world.clients[viewer].as_mut().unwrap().plan.remb = Some(700_000);
        world.run_for(seconds(3));
        let from = world.now;
        world.run_for(seconds(10));
        let narrow = kbps(&world, viewer, from);
        assert!(narrow.iter().all(|&kbps| (300..=700).contains(&kbps)), "seed {seed}: {narrow:?}");
        assert_eq!(world.shard.counters().packets_probing, 0, "nothing would tell how a probe fared");
    }
}

#[test]
fn reports_of_much_loss_cut_what_is_sent_and_of_little_let_it_climb() {
    for seed in 0..3 {
        let plan = ClientPlan { reports: true, ..ClientPlan::default() };
        let (mut world, viewer) = watched(seed, plan);
        world.run_for(seconds(5));
        assert_eq!(encoding(&world, viewer), Some(0), "seed {seed}: a good line shows everything");
        world.set_down(viewer, line(0.15));
        world.run_for(seconds(20));
        assert_eq!(encoding(&world, viewer), Some(2), "seed {seed}");
        world.set_down(viewer, line(0.005));
        world.run_for(seconds(50));
        assert_eq!(encoding(&world, viewer), Some(0), "seed {seed}");
        assert_eq!(world.shard.counters().packets_probing, 0);
    }
}
