use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use simmer_sfu::rtcp::RtcpPacket;

use super::*;

const INTERVAL: Duration = Duration::from_millis(100);

/// What the server's parser, which is another's work, reads from feedback: the first number, how many packets it
/// took, and each number's arrival in microseconds of [`Clock`].
fn read(packets: &[Bytes]) -> BTreeMap<u16, Vec<Option<i64>>> {
    let mut told: BTreeMap<u16, Vec<Option<i64>>> = BTreeMap::new();
    for packet in packets {
        assert_eq!(packet.len() % 4, 0);
        assert!(packet.len() < 1200, "{}", packet.len());
        let parsed: Vec<_> = simmer_sfu::rtcp::parse(packet).collect();
        let [RtcpPacket::TransportFeedback(feedback)] = &parsed[..] else { panic!("{parsed:?}") };
        let reference = i64::from(feedback.reference()) * 64_000;
        assert_eq!(feedback.arrivals().count(), usize::from(feedback.statuses()));
        for (number, at) in feedback.arrivals() {
            told.entry(number).or_default().push(at.map(|at| reference + at));
        }
    }
    told
}

/// A moment on the clock, which begins when it is first asked.
fn begin() -> Instant {
    Clock::nanos(Instant::now());
    Instant::now()
}

fn us(at: Instant) -> i64 {
    (Clock::nanos(at) / 1000) as i64
}

#[test]
fn arrivals_and_gaps_are_told_once_each() {
    let begin = begin();
    for (seed, loss) in [(1, 0.0), (2, 0.02), (3, 0.3), (4, 0.9)] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut arrivals = Arrivals::new(INTERVAL);
        let mut now = begin;
        let (mut sent, mut told) = (BTreeMap::new(), BTreeMap::new());
        let first = 65_000u16;
        let mut counts = 0u8;
        for pair in 0..1500u16 {
            // Bursts, and now and then a pause that takes a large delta.
            now += Duration::from_micros(match rng.random_range(0..100) {
                0 => 120_000,
                1..=20 => 9_000,
                _ => 30,
            });
            let packets = arrivals.feedback(now, 1, 2);
            counts = counts.wrapping_add(packets.len() as u8);
            for (number, statuses) in read(&packets) {
                assert!(told.insert(number, statuses).is_none(), "{number} is told twice");
            }
            // One in ten is overtaken by the next.
            let order = if rng.random_bool(0.1) { [1, 0] } else { [0, 1] };
            for index in order.map(|step| pair * 2 + step) {
                now += Duration::from_micros(600);
                if index == 0 || index == 2999 || !rng.random_bool(loss) {
                    arrivals.note(now, first.wrapping_add(index));
                    sent.insert(first.wrapping_add(index), us(now));
                }
            }
        }
        let packets = arrivals.feedback(now + INTERVAL, 1, 2);
        assert_eq!(packets[0][19], counts, "feedback is numbered");
        told.extend(read(&packets));
        assert_eq!(told.len(), 3000);
        for (number, statuses) in told {
            let [status] = statuses[..] else { panic!("{number}: {statuses:?}") };
            assert_eq!(status.is_some(), sent.contains_key(&number), "{number}");
            if let (Some(told), Some(at)) = (status, sent.get(&number)) {
                assert!((told - at).abs() <= 250, "{number}: {told} {at}");
            }
        }
    }
}

#[test]
fn what_was_overtaken_by_a_feedback_is_told_alone() {
    let begin = begin();
    let mut arrivals = Arrivals::new(INTERVAL);
    for number in [10, 11, 14] {
        arrivals.note(begin, number);
    }
    assert!(arrivals.feedback(begin, 1, 2).is_empty(), "not due yet");
    let told = read(&arrivals.feedback(begin + INTERVAL, 1, 2));
    let arrived = |told: &BTreeMap<u16, Vec<Option<i64>>>| -> Vec<(u16, bool)> {
        told.iter().map(|(number, at)| (*number, at[0].is_some())).collect()
    };
    assert_eq!(arrived(&told), [(10, true), (11, true), (12, false), (13, false), (14, true)]);
    let later = begin + INTERVAL;
    for number in [16, 12, 12, 11] {
        arrivals.note(later, number);
    }
    let packets = arrivals.feedback(later + INTERVAL, 1, 2);
    assert_eq!(packets.len(), 2, "the late ones, and the new ones");
    let told = read(&packets);
    assert_eq!(arrived(&told), [(11, true), (12, true), (15, false), (16, true)]);
    assert_eq!(arrivals.poll_timeout(), None, "silence is not reported");
}

#[test]
fn a_long_silence_and_a_long_gap_take_packets_of_their_own() {
    let begin = begin();
    let mut arrivals = Arrivals::new(Duration::from_secs(60));
    arrivals.note(begin, 1);
    arrivals.note(begin + Duration::from_secs(20), 2);
    arrivals.note(begin + Duration::from_secs(20), 30_000);
    let packets = arrivals.feedback(begin + Duration::from_secs(60), 1, 2);
    assert_eq!(packets.len(), 3);
    let told = read(&packets);
    let at = |number: u16| told.get(&number).and_then(|at| at[0]).expect("told as arrived");
    assert!((at(2) - at(1) - 20_000_000).abs() <= 250);
    assert!((at(30_000) - at(2)).abs() <= 250);
    assert!(told.values().flatten().filter(|at| at.is_none()).count() <= usize::from(u16::MAX) / 4);
}
