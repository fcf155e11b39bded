#![expect(clippy::disallowed_methods, reason = "a time to start from")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

#[test]
fn a_source_that_begins_anew_leaves_no_jump() {
    let mut munger = RtpMunger::new(0);
    munger.switch_to(70_000, 0, 1_000);
    assert_eq!(munger.forward(70_000, 0), Some(Munged { sequence: 65_537, timestamp: 1_000 }));
    assert_eq!(munger.forward(270_000, 9_000), Some(Munged { sequence: 65_538, timestamp: 10_000 }));
    assert_eq!(munger.forward(470_000, 1 << 31), Some(Munged { sequence: 65_539, timestamp: 13_000 }));
    assert_eq!(munger.forward(270_001, 9_000), None);
    assert_eq!(munger.forward(470_002, 1 << 31), Some(Munged { sequence: 65_541, timestamp: 13_000 }));
}

#[test]
fn timestamps_move_and_numbers_run_on() {
    let mut munger = RtpMunger::new(0);
    munger.switch_to(70_000, 0, 1_000);
    assert_eq!(munger.forward(70_000, 0), Some(Munged { sequence: 65_537, timestamp: 1_000 }));
    munger.retime(70_002, 3_000, 1_090);
    assert_eq!(munger.forward(70_002, 3_000), Some(Munged { sequence: 65_539, timestamp: 1_090 }));
    assert_eq!(munger.forward(70_001, 0), Some(Munged { sequence: 65_538, timestamp: 1_000 }), "of before");
    assert!(!munger.skip(70_003));
    munger.retime(70_004, 6_000, 7_000);
    assert_eq!(munger.forward(70_004, 6_000), Some(Munged { sequence: 65_540, timestamp: 7_000 }));
    assert_eq!(munger.forward(70_003, 3_000), None, "left out");
    assert_eq!(munger.last_timestamp(), 7_000);
}

#[test]
fn a_picture_that_comes_late_has_its_own_number_whatever_was_left_out_after_it() {
    let mut munger = RtpMunger::new(0);
    munger.switch_to(70_000, 0, 1_000);
    assert_eq!(munger.forward(70_000, 0), Some(Munged { sequence: 65_537, timestamp: 1_000 }));
    assert!(!munger.skip(70_002) && !munger.skip(70_004));
    munger.retime(70_001, 3_000, 1_090);
    assert_eq!(munger.forward(70_001, 3_000), Some(Munged { sequence: 65_538, timestamp: 1_090 }));
    assert_eq!(munger.forward(70_003, 6_000), Some(Munged { sequence: 65_539, timestamp: 4_090 }));
    assert_eq!(munger.forward(70_005, 9_000), Some(Munged { sequence: 65_540, timestamp: 7_090 }));
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Sent,
    Late(usize),
    Lost,
    Dropped,
    Twice,
    /// Late by so much, and given another time if no later one was sent.
    Retimed(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Arrival {
    Sent,
    Retimed,
    Dropped,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        6 => Just(Fate::Sent),
        1 => (1usize..100).prop_map(Fate::Late),
        1 => Just(Fate::Lost),
        2 => Just(Fate::Dropped),
        1 => Just(Fate::Twice),
        1 => (0usize..4).prop_map(Fate::Retimed),
    ];
    prop::collection::vec(fate, 1..400)
}

proptest! {
    /// A drop is decided when the packet comes; one that comes behind others already sent stays a gap.
    #[test]
    fn numbers_are_unique_ordered_and_have_gaps_only_for_what_is_missing(
        sources in prop::collection::vec((65_536u64..10_000_000, fates()), 1..5), start: u16
    ) {
        let mut munger = RtpMunger::new(start);
        let mut all: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
        let mut gaps = 0;
        for (index, (first, fates)) in sources.into_iter().enumerate() {
            let mut arrivals: Vec<(usize, u64, Arrival)> = Vec::new();
            for (at, fate) in fates.iter().enumerate() {
                let (late, sequence) = (2 * at, first + at as u64);
                match *fate {
                    // The first packet is the switch itself.
                    _ if at == 0 => arrivals.push((late, sequence, Arrival::Sent)),
                    Fate::Sent => arrivals.push((late, sequence, Arrival::Sent)),
                    Fate::Late(by) => arrivals.push((late + 2 * by + 1, sequence, Arrival::Sent)),
                    Fate::Retimed(by) => arrivals.push((late + 2 * by + 1, sequence, Arrival::Retimed)),
                    Fate::Dropped => arrivals.push((late, sequence, Arrival::Dropped)),
                    Fate::Twice => {
                        arrivals.extend([(late, sequence, Arrival::Sent), (late + 1, sequence, Arrival::Sent)]);
                    }
                    Fate::Lost => {}
                }
            }
            arrivals.sort();
            munger.switch_to(first, 0, 0);
            let mut highest = first;
            let (mut skips, mut changes) = (Vec::new(), Vec::new());
            let mut sent = BTreeMap::new();
            for &(_, sequence, arrival) in &arrivals {
                if arrival == Arrival::Dropped {
                    if sequence > highest {
                        skips.push(sequence);
                        changes.push(sequence);
                    }
                    munger.skip(sequence);
                    continue;
                }
                let retimed = arrival == Arrival::Retimed && sequence > highest;
                if retimed {
                    munger.retime(sequence, 0, sequence as u32);
                    changes.push(sequence);
                }
                if let Some(munged) = munger.forward(sequence, 0) {
                    prop_assert!(!retimed || munged.timestamp == sequence as u32);
                    if let Some(before) = sent.insert(sequence, munged.sequence) {
                        prop_assert_eq!(before, munged.sequence, "a duplicate keeps its number");
                    } else {
                        prop_assert_eq!(all.insert(munged.sequence, (index, sequence)), None);
                    }
                    highest = highest.max(sequence);
                } else {
                    // Only what lies before one of the last 64 changes.
                    let bound = changes.iter().rev().skip(64).max();
                    prop_assert!(bound.is_some_and(|&bound| sequence <= bound));
                }
            }
            // Below the highest sent, what was neither sent nor dropped in time stays a gap.
            gaps += (first..=highest).filter(|sequence| !sent.contains_key(sequence) && !skips.contains(sequence)).count();
        }
        let order: Vec<_> = all.values().collect();
        prop_assert!(order.is_sorted(), "order kept");
        let (low, high) = (*all.keys().next().unwrap(), *all.keys().last().unwrap());
        prop_assert_eq!(low, 65_537 + u64::from(start));
        prop_assert_eq!((high - low + 1) as usize, all.len() + gaps);
    }
}

#[test]
fn a_report_far_off_does_not_move_a_slot_by_hours() {
    let origin = Instant::now() + Duration::from_secs(100_000);
    let mut clock = SourceClock::new(90_000);
    clock.on_packet(0, origin);
    clock.on_sender_report(WallClock::default().on_report(origin, 1 << 32), 2_000_000_000);
    let time = clock.time_of(1_000, origin);
    assert!(time <= origin && origin.duration_since(time) < Duration::from_secs(10));
}

#[test]
fn without_reports_a_long_stream_keeps_its_time() {
    let origin = Instant::now();
    let mut clock = SourceClock::new(90_000);
    for second in 0..8 * 3_600_u64 {
        clock.on_packet((second * 90_000) as u32, origin + Duration::from_secs(second));
    }
    let last = origin + Duration::from_secs(8 * 3_600);
    let time = clock.time_of((8 * 3_600 * 90_000_u64) as u32, last);
    assert!(last.duration_since(time) < Duration::from_secs(1));
}

pub(super) fn sent(sequence: u64) -> Sent {
    Sent {
        encoding: 0,
        source_sequence: sequence,
        sequence,
        timestamp: 0,
        marker: false,
        picture: None,
        frame_number: None,
        empty: false,
        redundant: false,
        worth: Worth::Link,
        marks: Marks::default(),
    }
}

const ONCE: Copies = Copies { first: 1, later: 1 };

#[test]
fn a_late_repair_does_not_drive_out_what_took_its_place() {
    let mut history = SentHistory::default();
    let mut now = Instant::now();
    for sequence in 100_000..100_600 {
        now += Duration::from_millis(4);
        if sequence != 100_010 {
            history.on_sent(now, sent(sequence), 1000);
        }
    }
    history.on_sent(now, sent(100_010), 1000);
    let pace = Duration::from_millis(50);
    let again =
        |history: &mut SentHistory, sequence: u64| history.resend(now, sequence as u16, pace, ONCE, true);
    assert_eq!(again(&mut history, 100_010 + 512), Ok((sent(100_010 + 512), 1)));
    assert_eq!(again(&mut history, 100_010), Err(NotAgain::TooLate));
}

#[test]
fn so_many_are_kept_as_are_sent_in_a_second_within_bounds() {
    let mut history = SentHistory::default();
    let now = Instant::now();
    let again = |history: &mut SentHistory, sequence: u64| {
        history
            .resend(now, sequence as u16, Duration::from_millis(50), ONCE, true)
            .map(|(sent, _)| sent.sequence)
    };
    (100_000..102_000).for_each(|sequence| history.on_sent(now, sent(sequence), 100));
    for sequence in [100_000, 100_063, 100_064, 101_000, 101_999] {
        assert_eq!(again(&mut history, sequence), Ok(sequence));
    }
    assert_eq!(again(&mut history, 102_000), Err(NotAgain::Unknown), "it has not been sent");
    assert_eq!(again(&mut history, 99_990), Err(NotAgain::TooLate), "it was never kept");
    (102_000..110_000).for_each(|sequence| history.on_sent(now, sent(sequence), 100));
    assert_eq!(again(&mut history, 101_999), Err(NotAgain::TooLate));
    assert_eq!(again(&mut history, 109_000), Ok(109_000));
}

#[test]
fn what_came_before_a_key_frame_needs_no_other_one_however_long_ago() {
    let mut history = SentHistory::default();
    let mut now = Instant::now();
    for sequence in 100_000..101_000 {
        now += Duration::from_millis(10);
        let worth = if sequence == 100_500 { Worth::Key } else { Worth::Link };
        history.on_sent(now, Sent { worth, ..sent(sequence) }, 100);
    }
    let mut again = |sequence: u64| history.resend(now, sequence as u16, Duration::ZERO, ONCE, true);
    assert_eq!(again(100_499), Err(NotAgain::NotNeeded));
    assert_eq!(again(100_501), Err(NotAgain::TooLate));
    assert_eq!(again(100_999).map(drop), Ok(()));
}

#[test]
fn a_first_packet_may_be_overtaken() {
    let now = Instant::now();
    let mut history = SentHistory::default();
    for sequence in [100_001, 100_000] {
        history.on_sent(now, sent(sequence), 1000);
    }
    let again = history.resend(now, 100_000_u64 as u16, Duration::from_millis(50), ONCE, true);
    assert_eq!(again, Ok((sent(100_000), 1)));
}

#[test]
fn what_is_asked_for_is_sent_again_at_the_pace_of_the_round_trip_and_not_too_late() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let pace = Duration::from_millis(50);
    let mut history = SentHistory::default();
    history.on_sent(start, sent(100_000), 1000);
    history.on_sent(start, sent(100_513), 1000);
    let not_yet = history.resend(start, 100_512_u64 as u16, pace, ONCE, true);
    assert_eq!(not_yet, Err(NotAgain::Unknown), "its place is still its predecessor's");
    let mut again = |ms| history.resend(at(ms), 100_000_u64 as u16, pace, ONCE, true);
    assert_eq!(again(40), Ok((sent(100_000), 1)));
    assert_eq!(again(80), Err(NotAgain::JustSent));
    assert_eq!(again(90), Ok((sent(100_000), 1)));
    assert_eq!(again(1_000), Ok((sent(100_000), 1)));
    assert_eq!(again(1_050), Err(NotAgain::TooLate));
}

#[test]
fn what_is_not_asked_for_is_sent_again_while_no_repair_is_on_its_way() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut history = SentHistory::default();
    history.on_sent(start, sent(100_000), 1000);
    let low = 100_000_u64 as u16;
    let again = |history: &mut SentHistory, ms, asked| {
        history
            .resend(at(ms), low, Duration::from_millis(50), Copies { first: 1, later: 2 }, asked)
            .map(|(_, copies)| copies)
    };
    assert!(!history.on_copy_lost(low), "there was none");
    assert_eq!(again(&mut history, 20, true), Ok(1), "the first repair is one");
    assert_eq!(again(&mut history, 60, false), Err(NotAgain::JustSent));
    history.on_copy(100_000);
    assert_eq!(again(&mut history, 100, false), Err(NotAgain::JustSent), "it may have come");
    assert!(history.on_copy_lost(low));
    assert_eq!(again(&mut history, 101, false), Ok(2));
    (0..2).for_each(|_| history.on_copy(100_000));
    assert!(!history.on_copy_lost(low), "one is on its way");
    assert_eq!(again(&mut history, 200, false), Err(NotAgain::JustSent));
    assert!(history.on_copy_lost(low));
    assert_eq!(again(&mut history, 401, false), Err(NotAgain::TooLate), "the player waits no longer");
    assert_eq!(again(&mut history, 402, true), Ok(2));
}

#[test]
fn another_picture_brings_no_new_budget() {
    let mut history = SentHistory::default();
    let now = Instant::now();
    let mut resent = 0;
    for round in 0..50_u64 {
        let first = 100_000 + round * 20;
        for sequence in first..first + 20 {
            history.on_sent(now, sent(sequence), 1000);
        }
        resent += (first..first + 20)
            .filter(|&sequence| history.resend(now, sequence as u16, Duration::ZERO, ONCE, true).is_ok())
            .count();
        history.clear();
        assert_eq!(
            history.resend(now, first as u16, Duration::ZERO, ONCE, true),
            Err(NotAgain::Unknown),
            "forgotten"
        );
    }
    // A quarter of what was sent, and what there is at first.
    assert!((250..=250 + 66).contains(&resent), "{resent} of 1000");
}

#[test]
fn a_publishers_clock_that_drifts_is_followed() {
    for parts_per_million in [-200_i64, -50, 50, 200] {
        let origin = Instant::now() + Duration::from_secs(1000);
        let (mut wall_clock, mut clock) = (WallClock::default(), SourceClock::new(90_000));
        let mut worst = Duration::ZERO;
        for second in 0..8 * 3600_u64 {
            let wall = second as i64 * 1_000_000_000 + second as i64 * parts_per_million * 1000;
            let ntp = (7_u64 << 32) + (i128::from(wall) * (1 << 32) / 1_000_000_000) as u64;
            let rtp_time = (i128::from(wall) * 90_000 / 1_000_000_000) as u32;
            // Every third report is held up on its way.
            let delay = Duration::from_millis(if second % 3 == 1 { 80 } else { 20 });
            let arrival = origin + Duration::from_secs(second) + delay;
            clock.on_packet(rtp_time, arrival);
            clock.on_sender_report(wall_clock.on_report(arrival, ntp), rtp_time);
            let captured = origin + Duration::from_secs(second) + Duration::from_millis(20);
            let time = clock.time_of(rtp_time, arrival);
            worst = worst.max(time.saturating_duration_since(captured));
            worst = worst.max(captured.saturating_duration_since(time));
        }
        assert!(worst < Duration::from_millis(5), "{parts_per_million} ppm: {worst:?} off");
    }
}

/// A key frame of two packets and 28 others; of these as many are sent again as the budget allows. When it is gone.
fn spent(history: &mut SentHistory) -> Instant {
    let mut now = Instant::now();
    for sequence in 100_000..100_030 {
        let worth = if sequence < 100_002 { Worth::Key } else { Worth::Link };
        let timestamp = if worth == Worth::Key { 7 } else { sequence as u32 };
        history.on_sent(now, Sent { worth, timestamp, ..sent(sequence) }, 1000);
    }
    let again = |history: &mut SentHistory, now, sequence: u64| {
        history.resend(now, sequence as u16, PACE, ONCE, false)
    };
    while (100_002..100_030).filter(|&sequence| again(history, now, sequence).is_ok()).count() > 0 {
        now += PACE;
    }
    now + PACE
}

const PACE: Duration = Duration::from_millis(10);

#[test]
fn the_last_of_the_budget_is_for_key_frames() {
    let mut history = SentHistory::default();
    let now = spent(&mut history);
    let mut again = |sequence: u64| history.resend(now, sequence as u16, PACE, ONCE, true).map(drop);
    assert_eq!(again(100_005), Err(NotAgain::OverBudget));
    assert_eq!([100_000, 100_001].map(again), [Ok(()); 2]);
}

#[test]
fn what_builds_upon_a_packet_given_up_is_not_repaired_before_the_next_key_frame() {
    let mut history = SentHistory::default();
    let now = spent(&mut history);
    let again = |history: &mut SentHistory, now, sequence: u64| {
        history.resend(now, sequence as u16, PACE, ONCE, true).map(drop)
    };
    assert_eq!(again(&mut history, now, 100_020), Err(NotAgain::OverBudget), "a key frame is due");
    assert_eq!(again(&mut history, now, 100_021), Err(NotAgain::NotNeeded));
    assert_eq!(again(&mut history, now, 100_019), Err(NotAgain::OverBudget), "it comes before");
    assert_eq!(again(&mut history, now, 100_020), Err(NotAgain::NotNeeded));
    // The next one, whose first packet comes last.
    for sequence in [100_031, 100_030] {
        history.on_sent(now, Sent { worth: Worth::Key, timestamp: 8, ..sent(sequence) }, 1000);
    }
    history.on_sent(now, sent(100_032), 8000);
    let asked = [100_029, 100_030, 100_032].map(|sequence| again(&mut history, now, sequence));
    assert_eq!(asked, [Err(NotAgain::NotNeeded), Ok(()), Err(NotAgain::OverBudget)]);
    let late = now + Duration::from_secs(2);
    assert_eq!(again(&mut history, late, 100_005), Err(NotAgain::NotNeeded), "what is past needs none");
    assert_eq!(again(&mut history, late, 100_030), Err(NotAgain::TooLate));
}

#[test]
fn what_nothing_builds_upon_is_repaired_from_what_is_to_spare() {
    let (mut history, mut now) = (SentHistory::default(), Instant::now());
    for sequence in 100_000..100_002 {
        let worth = if sequence == 100_000 { Worth::Spare } else { Worth::Link };
        history.on_sent(now, Sent { worth, ..sent(sequence) }, 1000);
    }
    let mut spare = 0;
    let refused = loop {
        match history.resend(now, 100_000_u64 as u16, PACE, ONCE, true) {
            Ok(_) => spare += 1,
            Err(refused) => break refused,
        }
        now += PACE;
    };
    // 64 KiB at first, of which 16 are kept.
    assert_eq!((refused, spare), (NotAgain::NotNeeded, 48 * 1024 / 1000));
    assert_eq!(history.resend(now, 100_001_u64 as u16, PACE, ONCE, true).map(drop), Ok(()));
}

#[test]
fn a_first_repair_is_as_many_copies_as_are_wished_while_there_are_any_to_spare() {
    let (mut history, now) = (SentHistory::default(), Instant::now());
    (100_000..100_060).for_each(|sequence| history.on_sent(now, sent(sequence), 1000));
    let copies: Vec<usize> = (100_000..100_060)
        .filter_map(|sequence: u64| {
            let again = history.resend(now, sequence as u16, PACE, Copies { first: 2, later: 1 }, true);
            again.ok().map(|(_, copies)| copies)
        })
        .collect();
    // 64 KiB at first and a quarter of what was sent, of which 16 KiB are to spare from.
    let twice = (48 * 1024 + 15_000_usize).div_ceil(2000);
    assert_eq!(copies[..twice + 1], [&vec![2; twice][..], &[1]].concat());
}
