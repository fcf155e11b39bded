#![expect(clippy::disallowed_methods, reason = "a time to start from")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ::rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, SymbolTypeTcc, TransportLayerCc};
use proptest::prelude::*;
use rtc_shared::marshal::Unmarshal;

use super::*;
use crate::id::Ssrc;

#[test]
fn a_restart_in_either_direction_is_believed_at_its_second_packet() {
    for restart in [20_000_u16, 50_000, 9_000, 64_000] {
        let mut stream = ReceiveStream::new(90_000);
        let now = Instant::now();
        stream.on_packet(now, 10_000, 0);
        let came = |stream: &mut ReceiveStream, number| {
            matches!(stream.on_packet(now, number, 0), Arrival::New { .. })
        };
        if restart == 9_000 {
            assert!(came(&mut stream, restart), "within the window it is only late");
            continue;
        }
        came(&mut stream, restart);
        let taken = (1..100).filter(|&at| came(&mut stream, restart.wrapping_add(at))).count();
        assert_eq!(taken, 99, "restart at {restart}");
    }
}

#[test]
fn a_repaired_packet_does_not_count_as_jitter() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut stream = ReceiveStream::new(90_000);
    for number in 0..100_u16 {
        if number != 90 {
            stream.on_packet(at(20 * u64::from(number)), number, 1800 * u32::from(number));
        }
    }
    stream.on_packet(at(20 * 99 + 1), 90, 1800 * 90);
    assert_eq!(stream.reception_report(at(2_000), Ssrc(1)).map(|report| report.jitter), Some(0));
}

#[test]
fn what_was_healed_is_reported_lost_until_it_comes_after_all() {
    let now = Instant::now();
    let mut stream = ReceiveStream::new(48_000);
    for number in [10, 11, 14] {
        stream.on_packet(now, number, 0);
    }
    let lost = |stream: &mut ReceiveStream| stream.reception_report(now, Ssrc(1)).unwrap().cumulative_lost;
    // The first cycle is 1.
    let extended = |number: u64| 65_536 + number;
    assert!(stream.on_healed(extended(12)) && stream.on_healed(extended(13)));
    assert!(!stream.on_healed(extended(12)), "only once");
    for never in [9, 10, 14, 15] {
        assert!(!stream.on_healed(extended(never)), "{never} was not missing");
    }
    assert_eq!(lost(&mut stream), 2);
    for _ in 0..2 {
        assert_eq!(stream.on_packet(now, 13, 0), Arrival::Duplicate);
        assert_eq!(lost(&mut stream), 1);
    }
    // Its place in the window is another one's by then.
    for number in 15..3_000 {
        assert!(matches!(stream.on_packet(now, number, 0), Arrival::New { .. }));
        stream.on_packet(now, number, 0);
    }
    assert_eq!(lost(&mut stream), 1);
}

#[test]
fn a_late_arrival_does_not_take_back_others() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut recorder = ArrivalRecorder::default();
    for number in [0, 1, 3, 4] {
        recorder.on_packet(at(0), number, Ssrc(1));
    }
    recorder.poll(at(60), Ssrc(2), &mut Vec::new());
    recorder.on_packet(at(70), 2, Ssrc(1));
    recorder.on_packet(at(71), 5, Ssrc(1));
    let mut out = Vec::new();
    recorder.poll(at(200), Ssrc(2), &mut out);
    let feedback = TransportLayerCc::unmarshal(&mut &out[..]).unwrap();
    let mut symbols = Vec::new();
    for chunk in &feedback.packet_chunks {
        match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                symbols.extend(vec![run.packet_status_symbol; usize::from(run.run_length)]);
            }
            PacketStatusChunk::StatusVectorChunk(vector) => symbols.extend(&vector.symbol_list),
        }
    }
    symbols.truncate(feedback.packet_status_count.into());
    let lost: BTreeSet<u16> = (feedback.base_sequence_number..)
        .zip(symbols)
        .filter(|(_, symbol)| *symbol == SymbolTypeTcc::PacketNotReceived)
        .map(|(number, _)| number)
        .collect();
    assert_eq!(lost, BTreeSet::new(), "3 and 4 were reported as received");
}

proptest! {
    #[test]
    fn no_number_is_new_twice(numbers in prop::collection::vec(any::<u16>(), 0..300), start: u16, near: bool) {
        let mut stream = ReceiveStream::new(90_000);
        let mut seen = BTreeSet::new();
        let now = Instant::now();
        for number in numbers {
            let number = if near { start.wrapping_add(number % 100) } else { number };
            if let Arrival::New { sequence } = stream.on_packet(now, number, 0) {
                prop_assert_eq!(sequence as u16, number);
                prop_assert!(seen.insert(sequence));
            }
        }
    }
}
