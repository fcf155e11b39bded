#![expect(clippy::disallowed_methods, reason = "a time to start from")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::codec::{PayloadInfo, PictureId, Vp8Descriptor};

#[test]
fn only_a_key_frame_moves_what_flows() {
    let mut selector = LayerSelector::default();
    assert_eq!(selector.select(0, true), Selection::Drop);
    assert!(selector.set_target(Some(1)));
    assert!(!selector.set_target(Some(1)));
    assert_eq!((selector.select(1, false), selector.wanted_keyframe()), (Selection::Drop, Some(1)));
    assert_eq!((selector.select(1, true), selector.wanted_keyframe()), (Selection::Switch, None));
    assert_eq!(
        (selector.select(1, true), selector.select(1, false)),
        (Selection::Forward, Selection::Forward)
    );
    selector.set_target(Some(0));
    assert_eq!((selector.wanted_keyframe(), selector.shown_or_wanted()), (Some(0), Some(1)));
    assert_eq!((selector.select(1, false), selector.select(0, false)), (Selection::Forward, Selection::Drop));
    assert_eq!((selector.select(0, true), selector.select(1, true)), (Selection::Switch, Selection::Drop));
    selector.set_target(None);
    assert_eq!((selector.select(0, true), selector.shown_or_wanted()), (Selection::Drop, None));
    let mut sound = LayerSelector::passthrough();
    assert_eq!((sound.select(0, true), sound.select(0, true)), (Selection::Switch, Selection::Forward));
}

#[test]
fn a_lost_packet_keeps_its_place_and_a_dropped_one_has_none() {
    let mut munger = RtpMunger::new(7);
    let number = |munger: &mut RtpMunger, at| munger.forward(at, 0).map(|munged| munged.sequence - 65_543);
    assert_eq!(number(&mut munger, 100), None, "no source yet");
    munger.switch_to(100, 5, 50);
    assert_eq!(munger.forward(100, 8), Some(Munged { sequence: 65_543, timestamp: 53 }));
    assert_eq!(number(&mut munger, 99), None);
    munger.skip(101);
    assert_eq!(number(&mut munger, 104), Some(3));
    assert_eq!(
        (number(&mut munger, 103), number(&mut munger, 101), number(&mut munger, 102)),
        (Some(2), None, Some(1))
    );
    munger.switch_to(5000, 0, 0);
    assert_eq!((number(&mut munger, 5000), number(&mut munger, 105)), (Some(4), None));
}

#[test]
fn a_source_that_begins_anew_leaves_no_jump() {
    let mut munger = RtpMunger::new(0);
    munger.switch_to(70_000, 0, 1_000);
    assert_eq!(munger.forward(70_000, 0), Some(Munged { sequence: 65_536, timestamp: 1_000 }));
    assert_eq!(munger.forward(270_000, 9_000), Some(Munged { sequence: 65_537, timestamp: 10_000 }));
    assert_eq!(munger.forward(470_000, 1 << 31), Some(Munged { sequence: 65_538, timestamp: 13_000 }));
    assert_eq!(munger.forward(270_001, 9_000), None);
    assert_eq!(munger.forward(470_002, 1 << 31), Some(Munged { sequence: 65_540, timestamp: 13_000 }));
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Sent,
    Late(usize),
    Lost,
    Dropped,
    Twice,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        6 => Just(Fate::Sent),
        1 => (1usize..6).prop_map(Fate::Late),
        1 => Just(Fate::Lost),
        2 => Just(Fate::Dropped),
        1 => Just(Fate::Twice),
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
            let mut arrivals: Vec<(usize, u64, bool)> = Vec::new();
            for (at, fate) in fates.iter().enumerate() {
                let (late, sequence) = (2 * at, first + at as u64);
                match *fate {
                    // The first packet is the switch itself.
                    _ if at == 0 => arrivals.push((late, sequence, false)),
                    Fate::Sent => arrivals.push((late, sequence, false)),
                    Fate::Late(by) => arrivals.push((late + 2 * by + 1, sequence, false)),
                    Fate::Dropped => arrivals.push((late, sequence, true)),
                    Fate::Twice => arrivals.extend([(late, sequence, false), (late + 1, sequence, false)]),
                    Fate::Lost => {}
                }
            }
            arrivals.sort();
            munger.switch_to(first, 0, 0);
            let mut highest = first;
            let mut oldest_skips = Vec::new();
            let mut sent = BTreeMap::new();
            for &(_, sequence, drop) in &arrivals {
                if drop {
                    if sequence > highest {
                        oldest_skips.push(sequence);
                    }
                    munger.skip(sequence);
                } else if let Some(munged) = munger.forward(sequence, 0) {
                    if let Some(before) = sent.insert(sequence, munged.sequence) {
                        prop_assert_eq!(before, munged.sequence, "a duplicate keeps its number");
                    } else {
                        prop_assert_eq!(all.insert(munged.sequence, (index, sequence)), None);
                    }
                    highest = highest.max(sequence);
                } else {
                    // Only what lies before one of the last 128 drops.
                    let bound = oldest_skips.len().checked_sub(128).and_then(|at| at.checked_sub(1)).map(|at| oldest_skips[at]);
                    prop_assert!(bound.is_some_and(|bound| sequence <= bound));
                }
            }
            // Below the highest sent, what was neither sent nor dropped in time stays a gap.
            gaps += (first..=highest).filter(|sequence| !sent.contains_key(sequence) && !oldest_skips.contains(sequence)).count();
        }
        let order: Vec<_> = all.values().collect();
        prop_assert!(order.is_sorted(), "order kept");
        let (low, high) = (*all.keys().next().unwrap(), *all.keys().last().unwrap());
        prop_assert_eq!(low, 65_536 + u64::from(start));
        prop_assert_eq!((high - low + 1) as usize, all.len() + gaps);
    }
}

fn vp8(picture: u16, long: bool, tl0: u8) -> Vp8Descriptor {
    Vp8Descriptor {
        picture_id: Some(PictureId { value: picture, long }),
        tl0_pic_idx: Some(tl0),
        ..Vp8Descriptor::default()
    }
}

#[test]
fn picture_numbers_count_on_over_wraps_drops_and_switches() {
    let mut munger = Vp8Munger::default();
    let ids = |munger: &mut Vp8Munger, descriptor| {
        munger.forward(&descriptor).map(|ids| (ids.picture_id, ids.tl0_pic_idx))
    };
    assert_eq!(ids(&mut munger, vp8(1, true, 1)), None);
    munger.switch_to(&vp8(0x7ffe, true, 254));
    assert_eq!(ids(&mut munger, vp8(0x7ffe, true, 254)), Some((0x7ffe, 254)));
    assert_eq!(ids(&mut munger, vp8(0, true, 0)), Some((0, 0)));
    assert_eq!(ids(&mut munger, vp8(0x7fff, true, 255)), Some((0x7fff, 255)), "late over the wrap");
    munger.drop_picture(&vp8(1, true, 0));
    assert_eq!(ids(&mut munger, vp8(2, true, 1)), Some((1, 1)));
    assert_eq!((ids(&mut munger, vp8(1, true, 0)), ids(&mut munger, vp8(0, true, 0))), (None, Some((0, 0))));
    munger.switch_to(&vp8(90, false, 9));
    assert_eq!(ids(&mut munger, vp8(90, false, 9)), Some((2, 2)));
    assert_eq!(ids(&mut munger, vp8(91, false, 9)), Some((3, 2)));
}

#[test]
fn a_slot_counts_on_one_line_and_never_back() {
    let epoch = Instant::now();
    let at = |ms| epoch + Duration::from_millis(ms);
    let mut clock = SlotClock::new(90_000, u32::MAX - 8_999, epoch);
    assert_eq!(clock.rtp_at(at(1_100)), 90_000);
    clock.on_sent(90_000, at(1_100));
    assert_eq!(clock.rtp_at(at(2_000)), 171_000, "on the line");
    assert_eq!(clock.rtp_at(at(1_000)), 90_900, "10 ms after the last");
    let (ntp, rtp_time) = clock.sender_report(at(2_000));
    assert_eq!(rtp_time, 171_000 + 9_900, "the report follows the moved line");
    let (later, _) = clock.sender_report(at(2_500));
    assert_eq!(later - ntp, 1 << 31);
    let middle = (ntp >> 16) as u32;
    assert_eq!(clock.round_trip(at(2_750), middle, 32_768), Some(Duration::from_millis(250)));
    assert_eq!(clock.round_trip(at(2_750), 0, 0), None);
    assert_eq!(clock.round_trip(at(2_100), middle, 32_768), None, "a delay longer than the time that passed");
}

#[test]
fn a_source_is_placed_by_its_fastest_packet_then_by_its_reports() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut clock = SourceClock::new(90_000);
    assert_eq!(clock.time_of(0, at(3)), at(3));
    clock.on_packet(1_000, at(40));
    clock.on_packet(1_000 + 9_000, at(120));
    assert_eq!(clock.time_of(1_000 + 9_000, at(130)), at(120), "20 ms faster than the first");
    let second = 1_u64 << 32;
    clock.on_sender_report(at(500), 70 * second, 50_000);
    assert_eq!(clock.time_of(50_000 + 4_500, at(600)), at(550));
    clock.on_sender_report(at(1_450), 71 * second, 140_000);
    assert_eq!(clock.time_of(140_000, at(1_500)), at(1_450), "the faster report holds");
    clock.on_sender_report(at(2_650), 72 * second, 230_000);
    let time = clock.time_of(230_000, at(2_700));
    assert!(time >= at(2_450) && time < at(2_451), "a slow one hardly counts");
    assert_eq!(clock.time_of(900_000_000, at(2_700)), at(2_700), "never after its arrival");
}

#[test]
fn sound_and_picture_of_one_publisher_agree() {
    let epoch = Instant::now();
    let at = |ms| epoch + Duration::from_millis(ms);
    let ntp = 1_000_u64 << 32;
    let line = |rate: u32, source_rtp: u32, start, delay: u64| {
        let mut source = SourceClock::new(rate);
        source.on_sender_report(at(1_000), ntp, source_rtp);
        let captured = source_rtp.wrapping_add(rate / 2);
        let mut slot = SlotClock::new(rate, start, epoch);
        let out = slot.rtp_at(source.time_of(captured, at(1_500 + delay)));
        let (report_ntp, report_rtp) = slot.sender_report(at(3_000));
        // Both in 1000ths of a second since the report.
        (report_ntp, out.wrapping_sub(report_rtp) as i32 / (rate as i32 / 1_000))
    };
    assert_eq!(line(48_000, 77, 5, 20), line(90_000, u32::MAX, 900, 180));
}

#[test]
fn history_keeps_the_last_packets() {
    let packet = |sequence| SourcePacket {
        encoding: 0,
        sequence,
        timestamp: 0,
        marker: false,
        arrival: Instant::now(),
        audio_level: None,
        info: PayloadInfo::default(),
        payload: Bytes::new(),
    };
    let mut history = SourceHistory::new(4);
    for sequence in [100, 101, 103, 105, 102, 101] {
        history.insert(packet(sequence));
    }
    let kept: Vec<u64> = (98..108).filter(|&sequence| history.lookup(sequence).is_some()).collect();
    assert_eq!(kept, [100, 102, 103, 105]);
}

#[test]
fn what_is_sent_again_is_paced_and_within_a_budget() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let sent = |sequence| Sent { encoding: 0, source_sequence: 9, sequence, timestamp: 1, vp8: None };
    let pace = Duration::from_millis(50);
    let mut history = SentHistory::default();
    assert_eq!(history.resend(at(0), 1, pace), None);
    history.on_sent(sent(65_537), 1_000);
    assert_eq!((history.lookup(1), history.lookup(2)), (Some(sent(65_537)), None));
    assert_eq!(history.lookup(1 + 1024), None);
    assert_eq!(history.resend(at(0), 1, pace), Some(sent(65_537)));
    assert_eq!(history.resend(at(49), 1, pace), None);
    assert_eq!(history.resend(at(50), 1, pace), Some(sent(65_537)));
    assert_eq!(history.resend(at(69), 1, Duration::ZERO), None);
    assert_eq!(history.resend(at(70), 1, Duration::ZERO), Some(sent(65_537)));
    for sequence in 0..1_000 {
        history.on_sent(sent(131_072 + sequence), 1_000);
    }
    let again = (0..1_000).filter(|&sequence| history.resend(at(80), sequence, pace).is_some()).count();
    assert_eq!(again, 256 * 1024 / 1_000, "a full budget and no more");
    assert_eq!(history.resend(at(80), 999, pace), None);
    assert!(history.resend(at(400), 999, pace).is_some(), "the floor fills it again");
    history.clear();
    assert_eq!(history.lookup(1), None);
}
