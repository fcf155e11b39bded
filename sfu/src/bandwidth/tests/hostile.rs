//! Receivers that lie.

use proptest::prelude::*;

use super::*;
use crate::bandwidth::rate_control::{CEILING, FLOOR};
use crate::bandwidth::{Arrivals, BandwidthEstimator, ProbeId};
use crate::rtcp::{RtcpPacket, parse};

/// A feedback packet of one run of statuses, all alike, with the given deltas.
fn feedback(base: u16, statuses: u16, reference: u32, symbol: u16, deltas: &[u8]) -> Vec<u8> {
    let [_, r0, r1, r2] = reference.to_be_bytes();
    let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    packet.extend(base.to_be_bytes());
    packet.extend(statuses.to_be_bytes());
    packet.extend([r0, r1, r2, 0]);
    packet.extend((symbol << 13 | statuses & 0x1fff).to_be_bytes());
    packet.extend(deltas);
    packet.resize(packet.len().next_multiple_of(4), 0);
    let words = (packet.len() / 4 - 1) as u16;
    packet[2..4].copy_from_slice(&words.to_be_bytes());
    packet
}

fn tell(estimator: &mut BandwidthEstimator, world: &World, packet: &[u8]) {
    for packet in parse(packet) {
        if let RtcpPacket::TransportFeedback(feedback) = packet {
            estimator.on_feedback(flow::at(world.origin, world.now_us), &feedback, &mut Arrivals::default());
        }
    }
}

#[test]
fn numbers_never_sent_change_nothing() {
    let mut world = World::new(1, 5000, 1000);
    world.run_ms(10_000);
    let before = world.flows[0].estimator.report();
    let mut estimator = world.flows[0].estimator.clone();
    // Those sent end a little above 65 000 + 3000 = 2464 modulo 65 536.
    for base in [20_000, 30_000, 40_000] {
        tell(&mut estimator, &world, &feedback(base, 100, 170, 1, &[4; 100]));
        tell(&mut estimator, &world, &feedback(base, 8191, 170, 0, &[]));
    }
    assert_eq!(estimator.report(), before);
}

#[test]
fn telling_again_changes_nothing() {
    let mut world = World::new(1, 5000, 1000);
    world.run_ms(10_000);
    let sent = (world.flows[0].sent_numbers() - 100) as u16;
    let mut estimator = world.flows[0].estimator.clone();
    let packet = feedback(sent.wrapping_sub(300), 200, 170, 0, &[]);
    let before = estimator.report();
    for _ in 0..100 {
        tell(&mut estimator, &world, &packet);
    }
    assert_eq!(estimator.report(), before, "all of them had arrived");
}

#[test]
fn a_receiver_that_claims_all_came_at_once_gets_no_more_than_was_tried() {
    let mut world = World::new(1, 5000, 1000);
    let mut estimator = BandwidthEstimator::new(flow::at(world.origin, 0));
    estimator.set_demand(flow::at(world.origin, 0), Bitrate::kbps(1000));
    let mut probe = None;
    for number in 0..6000u64 {
        world.now_us += 10_000;
        let now = flow::at(world.origin, world.now_us);
        estimator.handle_timeout(now);
        probe = estimator.poll_probe(now).map(|probe| probe.id).or(probe);
        estimator.on_sent(now, number, 1000, probe.filter(|_| number % 5 > 0));
        if number % 10 == 9 {
            tell(
                &mut estimator,
                &world,
                &feedback((number - 9) as u16, 10, (number / 64) as u32, 1, &[0; 10]),
            );
        }
    }
    // 800 kbit/s were sent, for a minute.
    assert!(estimator.estimate() <= Bitrate::kbps(1300), "{:?}", estimator.estimate());
}

proptest! {
    #[test]
    fn nothing_told_leaves_the_bounds(
        steps in prop::collection::vec((0u8..8, any::<u16>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..60)), 1..200),
    ) {
        let mut world = World::new(1, 5000, 1000);
        let mut estimator = BandwidthEstimator::new(flow::at(world.origin, 0));
        let mut number = 0;
        for (what, a, b, bytes) in steps {
            world.now_us += i64::from(b) * 10;
            let now = flow::at(world.origin, world.now_us);
            match what {
                0 => {
                    let mut packet = feedback(0, 0, 0, 0, &[]);
                    packet.truncate(12);
                    packet.extend(bytes);
                    packet.resize(packet.len().next_multiple_of(4), 0);
                    packet[3] = (packet.len() / 4 - 1) as u8;
                    tell(&mut estimator, &world, &packet);
                }
                1 => tell(&mut estimator, &world, &feedback(a, bytes.len() as u16, b.into(), 1, &bytes)),
                2 => {
                    let base = (number as u16).wrapping_sub(bytes.len() as u16 / 2);
                    let packet = feedback(base, bytes.len() as u16 / 2, u32::from(a) << 8, 2, &bytes);
                    tell(&mut estimator, &world, &packet);
                }
                3 => estimator.on_report(now, a as u8, Some(std::time::Duration::from_micros(b.into()))),
                4 => estimator.on_remb(now, Bitrate::bps(u64::from(a) << (b % 48))),
                5 => estimator.set_demand(now, Bitrate::bps(u64::from(a) << (b % 48))),
                6 => number += u64::from(a),
                _ => estimator.handle_timeout(now),
            }
            let probe = estimator.poll_probe(now).map(|probe| probe.id);
            for _ in 0..a % 50 {
                number += 1;
                estimator.on_sent(now, number, b.into(), probe.or(Some(ProbeId(a.into())).filter(|_| what == 5)));
            }
            prop_assert!((FLOOR..=CEILING).contains(&estimator.estimate()), "{:?}", estimator.report());
            estimator.poll_timeout();
        }
    }
}
