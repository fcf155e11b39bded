#![no_main]
//! Any feedback, reports and pauses: the estimate stays within its bounds, and there is an end to probing and to timers.

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use simmer_sfu::bandwidth::{Arrivals, BandwidthEstimator, Bitrate, Pacer};
use simmer_sfu::rtcp::{self, RtcpPacket};

fuzz_target!(|data: &[u8]| {
    let origin = Instant::now();
    let mut now = origin;
    let mut estimator = BandwidthEstimator::new(now);
    let mut pacer = Pacer::new(now, estimator.estimate());
    let (mut number, mut rest, mut arrivals) = (65_500, data, Arrivals::default());
    while let Some((&[what, size, pause], after)) = rest.split_first_chunk::<3>() {
        now += Duration::from_millis(u64::from(pause));
        let (bytes, after) = after.split_at(after.len().min(usize::from(size)));
        rest = after;
        let rate = Bitrate::bps(bytes.iter().take(8).fold(0, |rate, byte| rate << 8 | u64::from(*byte)));
        match what % 6 {
            0 => {
                for packet in rtcp::parse(bytes) {
                    match packet {
                        RtcpPacket::TransportFeedback(feedback) => {
                            estimator.on_feedback(now, &feedback, &mut arrivals)
                        }
                        RtcpPacket::Remb { bitrate } => estimator.on_remb(now, bitrate),
                        _ => {}
                    }
                }
            }
            1 => {
                // Whole and about what was sent, with statuses and deltas as they come.
                let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
                packet.extend(((number as u16).wrapping_sub(u16::from(what))).to_be_bytes());
                packet.extend([0, bytes.len().min(60) as u8]);
                packet.extend(bytes);
                packet.resize(packet.len().next_multiple_of(4), 0);
                let words = (packet.len() / 4 - 1) as u16;
                packet[2..4].copy_from_slice(&words.to_be_bytes());
                for packet in rtcp::parse(&packet) {
                    if let RtcpPacket::TransportFeedback(feedback) = packet {
                        estimator.on_feedback(now, &feedback, &mut arrivals);
                    }
                }
            }
            2 => estimator.on_report(now, size, Some(Duration::from_micros(rate.as_bps()))),
            3 => estimator.set_demand(now, rate),
            4 => number += u64::from(pause) << (size % 16),
            _ => {}
        }
        let mut probe = None;
        for _ in 0..8 {
            estimator.handle_timeout(now);
            probe = estimator.poll_probe(now).or(probe);
        }
        assert!(estimator.poll_timeout().is_none_or(|due| due > now), "a timer that is always due");
        for packet in 0..what / 8 {
            number += 1;
            estimator.on_sent(
                now,
                number,
                usize::from(size) * 5,
                probe.map(|probe| probe.id).filter(|_| packet % 2 == 0),
            );
        }
        let estimate = estimator.estimate();
        assert!((Bitrate::kbps(30)..=Bitrate::kbps(100_000)).contains(&estimate), "{estimate:?}");
        pacer.set_estimate(now, estimate);
        let queued = usize::from(what) * 500;
        let sent = pacer.budget(now).min(queued);
        pacer.on_sent(now, sent);
        match pacer.next(now, queued - sent) {
            Some(next) => assert!(next >= now && next <= now + Duration::from_millis(250)),
            None => assert_eq!(queued, sent),
        }
    }
    estimator.report();
});
