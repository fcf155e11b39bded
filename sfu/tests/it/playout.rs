//! Players are told to wait for repairs where there is something to wait for, and only then.

use std::time::Duration;

use simmer_sfu::sim::{Line, Watched, World};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn line(loss: f64) -> Line {
    Line { delay: ms(20), jitter: ms(10), loss, ..Line::default() }
}

fn last_told(slot: &Watched) -> Option<Duration> {
    slot.told.values().last().map(|&units| ms(10) * u32::from(units))
}

#[test]
fn on_a_good_line_nothing_is_said_whatever_the_publisher_sends() {
    let mut world = World::new(1);
    world.join_natural(&[720, 360, 180], 0, line(0.0));
    let viewer = world.join_natural(&[], 1, line(0.0));
    world.run_for(Duration::from_secs(20));
    let slot = &world.client(viewer).slots[0];
    assert!(slot.received.len() > 1000);
    assert!(slot.told.is_empty(), "{:?}", slot.told);
}

#[test]
fn a_line_that_loses_is_told_at_once_and_a_good_one_after_a_while() {
    for seed in 0..5 {
        let mut world = World::new(seed);
        world.join_natural(&[720], 0, line(0.0));
        let viewer = world.join_natural(&[], 1, line(0.0));
        world.run_for(Duration::from_secs(10));
        world.set_down(viewer, line(0.05));
        world.run_for(Duration::from_secs(5));
        let told = last_told(&world.client(viewer).slots[0]).expect("it is told");
        assert!(told >= ms(100) && told <= ms(400), "seed {seed}: {told:?}");
        world.run_for(Duration::from_secs(25));
        let slot = &world.client(viewer).slots[0];
        // Said for some reports' time and no more, again where it rose.
        assert!(slot.told.len() * 4 < slot.received.len(), "seed {seed}: said {} times", slot.told.len());
        world.set_down(viewer, line(0.0));
        world.run_for(Duration::from_secs(20));
        assert!(last_told(&world.client(viewer).slots[0]) >= Some(told), "seed {seed}: it falls slowly");
        // In two steps: what was lost last counts for a while.
        world.run_for(Duration::from_secs(55));
        assert_eq!(
            last_told(&world.client(viewer).slots[0]),
            Some(Duration::ZERO),
            "seed {seed}: all is well"
        );
    }
}

#[test]
fn what_the_publishers_line_loses_is_waited_for_too() {
    let mut world = World::new(3);
    world.join_natural(&[720], 0, line(0.05));
    let viewer = world.join_natural(&[], 1, line(0.0));
    world.run_for(Duration::from_secs(15));
    let slot = &world.client(viewer).slots[0];
    assert!(last_told(slot) >= Some(ms(80)), "{:?}", last_told(slot));
}
