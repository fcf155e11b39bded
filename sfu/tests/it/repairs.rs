//! What is lost is sent again as often as needed and seldom more, whether its viewer asks for it or feedback tells.

use std::time::Duration;

use simmer_sfu::sim::{ClientPlan, Line, World};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A viewer on a line that loses, a minute long: what was missing, what of it was there again within 300 ms, and the repairs that came.
fn watch(seed: u64, loss: f64, mute: bool) -> (usize, usize, u64) {
    let mut world = World::new(seed);
    let publisher = world.join_natural(&[720], 0, Line::default());
    let line = Line { delay: ms(25), loss, ..Line::default() };
    let plan = ClientPlan { slots: 1, natural: true, feedback: true, mute, ..ClientPlan::default() };
    let viewer = world.join_as(plan, line);
    world.run_for(Duration::from_secs(60));
    world.clients[publisher].as_mut().unwrap().stop_publishing();
    world.run_for(Duration::from_secs(2));
    let slot = &world.client(viewer).slots[0];
    let repairs = slot.repairs();
    let in_time = repairs.iter().flatten().filter(|&&took| took <= ms(300)).count();
    (repairs.len(), in_time, slot.repairs_received)
}

#[test]
fn what_feedback_reports_lost_is_repaired_though_nobody_asks() {
    for seed in 0..5 {
        let (lost, in_time, _) = watch(seed, 0.05, true);
        assert!(lost > 300, "seed {seed}: {lost}");
        // Where feedback itself is lost nobody tells.
        let repaired = in_time as f64 / lost as f64;
        assert!(repaired >= 0.9, "seed {seed}: {:.1} % of {lost}", repaired * 100.0);
    }
}

#[test]
fn a_loss_costs_little_more_than_one_repair() {
    // Until a player waits for repairs they come twice: where little is lost that takes a while, and costs little.
    for (loss, most) in [(0.01, 1.3), (0.05, 1.15), (0.1, 1.2)] {
        for seed in 0..5 {
            let (lost, _, came) = watch(seed, loss, false);
            let each = came as f64 / lost as f64;
            assert!((1.0..=most).contains(&each), "{loss}, seed {seed}: {came} repairs of {lost}");
        }
    }
}
