//! What is promised of lines as they are.

use std::time::Duration;

use allocation_counter::measure;

use super::*;
use crate::bandwidth::Arrivals;
use crate::id::Ssrc;
use crate::ingress::ArrivalRecorder;
use crate::rtcp::{RtcpPacket, parse};

const SEEDS: std::ops::Range<u64> = 0..8;

#[test]
fn a_newcomer_on_a_good_line_has_all_within_a_second() {
    for seed in SEEDS {
        for jitter_us in [0, 10_000] {
            let mut world = World::new(seed, 20_000, 2500);
            world.line.jitter_us = jitter_us;
            let took = world.run_until(10_000, |estimate| estimate >= 2500);
            assert!(took <= 1000, "seed {seed}, jitter {jitter_us}: {took} ms");
        }
    }
}

#[test]
fn a_key_frame_is_spread_where_the_line_is_slow_and_only_there() {
    for seed in SEEDS {
        let waits = |rate_kbps: u64| {
            let mut world = World::new(seed, rate_kbps, 1500);
            world.flows[0].key_frames = 4;
            world.run_ms(30_000);
            let last = world.last(0, 12);
            (last.iter().map(|second| second.paced_us).max().unwrap_or(0), queue_ms(last, 99))
        };
        let (paced_us, queue) = waits(100_000);
        assert!(paced_us == 0 && queue <= 3, "seed {seed}: {paced_us} us, then {queue} ms on the line");
        let (paced_us, queue) = waits(4_000);
        assert!(paced_us >= 10_000 && queue <= 40, "seed {seed}: {paced_us} us, then {queue} ms on the line");
    }
}

#[test]
fn a_newcomer_on_a_slow_line_does_not_drown_it() {
    for seed in SEEDS {
        let mut world = World::new(seed, 400, 2500);
        world.run_ms(30_000);
        let (arrived, queue) = (arrived_kbps(world.last(0, 25)), queue_p95_ms(world.last(0, 25)));
        assert!(arrived >= 280, "seed {seed}: {arrived} kbit/s");
        assert!(queue <= 150, "seed {seed}: {queue} ms");
    }
}

/// Whoever enters on a full line knows no better delay than that of its queue, and loses what finds no place in it: no loss that a line is known by.
#[test]
fn what_a_full_line_drops_as_somebody_enters_is_not_lost_by_chance() {
    for seed in SEEDS {
        let mut world = World::new(seed, 2500, 2500);
        world.run_ms(10_000);
        world.set_rate(300);
        world.run_ms(400);
        world.join(1500);
        world.run_ms(700);
        world.flows[1].available = Bitrate::kbps(150);
        world.set_rate(5000);
        world.run_ms(700);
        let chance = world.flows[1].estimator.report().chance_loss;
        assert!(chance <= 0.1, "seed {seed}: {chance:.2} by chance");
    }
}

#[test]
fn a_rate_that_falls_and_rises_is_followed() {
    for seed in SEEDS {
        for jitter_us in [0, 10_000] {
            let mut world = World::new(seed, 2500, 2500);
            world.line.jitter_us = jitter_us;
            world.run_ms(20_000);
            world.set_rate(600);
            let down = world.run_until(10_000, |estimate| estimate <= 600);
            world.run_ms(30_000 - down);
            let (low, queue) = (arrived_kbps(world.last(0, 25)), queue_p95_ms(world.last(0, 25)));
            world.set_rate(2500);
            let up = world.run_until(20_000, |estimate| estimate >= 2000);
            world.run_ms(20_000 - up);
            let (high, high_queue) = (arrived_kbps(world.last(0, 10)), queue_p95_ms(world.last(0, 10)));
            let seen = format!(
                "seed {seed}, jitter {jitter_us}: down in {down} ms, {low} kbit/s and {queue} ms, up in {up} ms, {high} kbit/s and {high_queue} ms"
            );
            assert!(down <= 2000 && up <= 10_000, "{seen}");
            assert!(low >= 420 && high >= 1750, "{seen}");
            assert!(queue <= 150 && high_queue <= 150, "{seen}");
        }
    }
}

#[test]
fn random_loss_without_a_queue_is_no_reason_to_send_less() {
    for seed in SEEDS {
        for loss in [0.05, 0.1] {
            let mut world = World::new(seed, 5000, 2500);
            world.line.loss = loss;
            world.run_ms(60_000);
            let sent = sent_kbps(world.last(0, 55));
            let lowest = world.last(0, 55).iter().map(|second| second.estimate / 1000).min().unwrap();
            assert!(lowest >= 1750, "seed {seed}, loss {loss}: {sent} kbit/s, never under {lowest}");
        }
    }
}

#[test]
fn a_line_that_drops_instead_of_queueing_is_not_flooded() {
    for seed in SEEDS {
        for chance in [0.0, 0.03] {
            let mut world = World::new(seed, 1500, 2500);
            (world.line.queue_us, world.line.loss) = (50_000, chance);
            world.run_ms(60_000);
            let (arrived, loss) = (arrived_kbps(world.last(0, 50)), world.lost(0, 50));
            assert!(arrived >= 1000 && loss < 0.08 + chance, "seed {seed}: {arrived} kbit/s, {loss:.3} lost");
        }
    }
}

#[test]
fn two_flows_share_a_line() {
    for seed in SEEDS {
        let mut world = World::new(seed, 3000, 2500);
        world.run_ms(15_000);
        world.join(2500);
        world.run_ms(60_000);
        let shares = [0, 1].map(|flow| arrived_kbps(world.last(flow, 40)));
        let queue = queue_p95_ms(world.last(0, 40));
        let sum = shares[0] + shares[1];
        assert!(shares.iter().all(|share| share * 10 >= sum * 3), "seed {seed}: {shares:?} kbit/s");
        assert!(sum >= 2100 && queue <= 150, "seed {seed}: {shares:?} kbit/s, {queue} ms");
    }
}

#[test]
fn five_flows_share_a_line() {
    for seed in SEEDS {
        let mut world = World::new(seed, 5000, 2500);
        for _ in 0..4 {
            world.run_ms(2000);
            world.join(2500);
        }
        world.run_ms(90_000);
        let shares: Vec<_> = (0..5).map(|flow| arrived_kbps(world.last(flow, 60))).collect();
        let queue = queue_p95_ms(world.last(0, 60));
        let sum: u64 = shares.iter().sum();
        assert!(shares.iter().all(|share| share * 15 >= sum), "seed {seed}: {shares:?} kbit/s");
        assert!(sum >= 3500 && queue <= 250, "seed {seed}: {shares:?} kbit/s, {queue} ms");
    }
}

#[test]
fn other_traffic_takes_its_part_and_gives_it_back() {
    for seed in SEEDS {
        let mut world = World::new(seed, 3000, 2500);
        world.run_ms(15_000);
        world.line.cross_bps = 2_000_000;
        let down = world.run_until(10_000, |estimate| estimate <= 1000);
        world.run_ms(30_000 - down);
        let (low, queue) = (arrived_kbps(world.last(0, 20)), queue_ms(world.last(0, 20), 50));
        world.line.cross_bps = 0;
        let up = world.run_until(20_000, |estimate| estimate >= 2000);
        let seen = format!("seed {seed}: down in {down} ms, {low} kbit/s and {queue} ms, up in {up} ms");
        assert!(down <= 3000 && up <= 10_000, "{seen}");
        assert!(low >= 600 && queue <= 150, "{seen}");
    }
}

#[test]
fn what_was_found_before_the_line_was_full_is_doubted_until_it_is_seen_again() {
    for seed in SEEDS {
        let mut world = World::new(seed, 3000, 2500);
        let needed = Bitrate::kbps(1500);
        // Asks as the allocation does; the milliseconds it took, at most five seconds.
        let ask = |world: &mut World| {
            (0..5_000).find(|ms| {
                let now = flow::at(world.origin, world.now_us);
                let estimator = &mut world.flows[0].estimator;
                if !estimator.is_confirmed(now, needed) && ms % 1000 == 0 {
                    estimator.confirm(now, needed);
                }
                let known = estimator.is_confirmed(now, needed);
                world.tick();
                known
            })
        };
        world.run_ms(10_000);
        world.flows[0].available = Bitrate::kbps(300);
        world.run_ms(5_000);
        // Others fill the line for two seconds.
        world.line.cross_bps = 3_200_000;
        world.run_ms(2_000);
        world.line.cross_bps = 0;
        world.run_ms(3_000);
        let free = ask(&mut world);
        // They take most of it, and leave room for what is sent.
        world.line.cross_bps = 2_000_000;
        world.run_ms(3_000);
        let taken = ask(&mut world);
        let seen = format!("seed {seed}: {free:?} ms free, {taken:?} ms taken, {} kbit/s", world.estimate());
        assert!(free.is_some_and(|ms| ms <= 4_500) && taken.is_none() && world.estimate() < 1500, "{seen}");
    }
}

#[test]
fn a_blackout_ends_within_a_second() {
    for seed in SEEDS {
        for seconds in [3, 20] {
            let mut world = World::new(seed, 4000, 2500);
            world.run_ms(10_000);
            world.line.dead = true;
            world.run_ms(1000);
            let held = world.estimate();
            world.run_ms(seconds * 1000 - 1000);
            let cut = world.estimate();
            world.line.dead = false;
            let up = world.run_until(10_000, |estimate| estimate >= 2000);
            let seen = format!("seed {seed}, {seconds} s: held {held}, cut to {cut} kbit/s, up in {up} ms");
            assert!(held >= 2000 && cut < held / 2 && up <= 1000, "{seen}");
        }
    }
}

#[test]
fn a_pause_of_the_source_costs_nothing() {
    for seed in SEEDS {
        let mut world = World::new(seed, 4000, 2500);
        world.run_ms(10_000);
        let before = world.estimate();
        world.flows[0].available = Bitrate::kbps(50);
        world.run_ms(60_000);
        let (paused, padding) = (world.estimate(), sent_kbps(world.last(0, 50)));
        world.flows[0].available = Bitrate::MAX;
        world.run_ms(3000);
        let (after, queue) = (arrived_kbps(world.last(0, 2)), queue_p95_ms(world.last(0, 2)));
        let seen = format!(
            "seed {seed}: {before}, paused {paused} sending {padding}, after {after} kbit/s and {queue} ms"
        );
        assert!(paused >= 2000 && paused <= before * 3 / 2 && padding < 80, "{seen}");
        assert!(after >= 1750 && queue <= 150, "{seen}");
    }
}

#[test]
fn a_line_is_not_thought_to_carry_more_than_was_tried() {
    for seed in SEEDS {
        let mut world = World::new(seed, 20_000, 300);
        world.run_ms(60_000);
        let small = world.estimate();
        world.flows[0].demand = Bitrate::kbps(2500);
        let up = world.run_until(10_000, |estimate| estimate >= 2500);
        assert!(small <= 900 && up <= 2000, "seed {seed}: {small} kbit/s, up in {up} ms");
    }
}

#[test]
fn lost_feedback_and_strong_jitter_are_survived() {
    for seed in SEEDS {
        let mut world = World::new(seed, 5000, 2500);
        world.line.jitter_us = 30_000;
        world.flows[0].feedback_loss = 0.3;
        world.run_ms(60_000);
        let lowest = world.last(0, 50).iter().map(|second| second.estimate / 1000).min().unwrap();
        let sent = sent_kbps(world.last(0, 50));
        assert!(sent >= 1750, "seed {seed}: {sent} kbit/s, lowest {lowest} kbit/s");
    }
}

#[test]
fn an_hour_of_a_changing_line() {
    let mut world = World::new(7, 3000, 2500);
    let rates = [3000, 800, 2000, 5000, 400, 1200];
    for minute in 0..60 {
        world.set_rate(rates[minute % rates.len()]);
        world.line.loss = [0.0, 0.02, 0.0, 0.05][minute % 4];
        world.run_ms(60_000);
        let rate = rates[minute % rates.len()].min(2500);
        let (arrived, queue) = (arrived_kbps(world.last(0, 45)), queue_p95_ms(world.last(0, 45)));
        assert!(arrived * 10 >= rate * 7, "minute {minute}: {arrived} of {rate} kbit/s");
        assert!(queue <= 150, "minute {minute}: {queue} ms");
    }
}

#[test]
fn a_datagram_allocates_nothing() {
    let mut world = World::new(1, 3000, 2500);
    world.run_ms(20_000);
    let Flow { estimator, pacer, .. } = &mut world.flows[0];
    let mut number = 1_000_000;
    let mut now = flow::at(world.origin, world.now_us);
    let mut receiver = ArrivalRecorder::default();
    let mut arrivals = Arrivals::default();
    let mut second = |allocations: &mut u64| {
        let mut written = Vec::new();
        for _ in 0..20 {
            for _ in 0..15 {
                number += 1;
                now += Duration::from_millis(3);
                receiver.on_packet(now, number as u16, Ssrc(1));
                *allocations += measure(|| {
                    estimator.on_sent(now, number, 1200, None);
                    pacer.on_sent(now, 1200);
                    pacer.next(now, pacer.clone().budget(now));
                })
                .count_total;
            }
            written.clear();
            now += Duration::from_millis(8);
            receiver.poll(now, Ssrc(2), &mut written);
            for packet in parse(&written) {
                let RtcpPacket::TransportFeedback(feedback) = packet else { panic!("{packet:?}") };
                *allocations += measure(|| estimator.on_feedback(now, &feedback, &mut arrivals)).count_total;
            }
        }
    };
    let mut allocations = 0;
    for _ in 0..10 {
        second(&mut allocations);
    }
    allocations = 0;
    for _ in 0..60 {
        second(&mut allocations);
    }
    assert_eq!(allocations, 0);
}
