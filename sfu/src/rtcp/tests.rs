use std::time::{Duration, Instant};

use ::rtcp::receiver_report::ReceiverReport;
use bytes::Bytes;
use proptest::prelude::*;
use rtc_shared::marshal::Unmarshal;

use super::*;
use crate::bandwidth::Bitrate;
use crate::id::Ssrc;
use crate::ingress::ArrivalRecorder;

const BLOCK: ReportBlock = ReportBlock {
    ssrc: Ssrc(5),
    fraction_lost: 64,
    cumulative_lost: -3,
    highest_sequence: 0x0001_0002,
    jitter: 90,
    last_sender_report: 0xaabb_ccdd,
    delay_since_last: 65_536,
};

fn walk(bytes: &[u8]) -> usize {
    parse(bytes)
        .map(|packet| match packet {
            RtcpPacket::SenderReport { blocks, .. } | RtcpPacket::ReceiverReport { blocks, .. } => {
                blocks.count()
            }
            RtcpPacket::Nack { lost, .. } => lost.count(),
            RtcpPacket::Fir { entries, .. } => entries.count(),
            RtcpPacket::TransportFeedback(feedback) => feedback.arrivals().count(),
            _ => 1,
        })
        .sum()
}

#[test]
fn a_compound_is_read_as_written() {
    let mut out = Vec::new();
    let report =
        SenderInfo { ssrc: Ssrc(1), ntp: 0x0102_0304_0506_0708, rtp_time: 9, packets: 10, octets: 11 };
    write_sender_report(&mut out, &report);
    write_cname(&mut out, Ssrc(1), "stream");
    write_receiver_report(&mut out, Ssrc(2), &[BLOCK; 31]);
    write_pli(&mut out, Ssrc(2), Ssrc(3));
    let packets: Vec<_> = parse(&out).collect();
    let [
        RtcpPacket::SenderReport { ssrc: Ssrc(1), ntp: 0x0102_0304_0506_0708, rtp_time: 9, .. },
        RtcpPacket::Other { packet_type: 202, format: 1 },
        RtcpPacket::ReceiverReport { blocks },
        RtcpPacket::Pli { media: Ssrc(3) },
    ] = &packets[..]
    else {
        panic!("{packets:?}")
    };
    assert_eq!(blocks.clone().count(), 31);
    assert!(blocks.clone().all(|block| block == BLOCK));
}

#[test]
fn another_parser_reads_the_same() {
    let mut out = Vec::new();
    write_receiver_report(&mut out, Ssrc(2), &[BLOCK]);
    let read = ReceiverReport::unmarshal(&mut Bytes::from(out)).unwrap();
    let block = &read.reports[0];
    assert_eq!((read.ssrc, block.ssrc, block.fraction_lost, block.jitter), (2, 5, 64, 90));
    assert_eq!((block.last_sender_report, block.delay), (0xaabb_ccdd, 65_536));
}

#[test]
fn what_does_not_fit_ends_the_reading() {
    let mut good = Vec::new();
    write_pli(&mut good, Ssrc(2), Ssrc(3));
    let cases: [(&str, &[u8]); 4] = [
        ("version", &[0x41, 206, 0, 0]),
        ("length", &[0x81, 206, 0xff, 3, 0, 0, 0, 0]),
        ("report blocks", &[0x81, 201, 0, 1, 0, 0, 0, 1]),
        ("padding", &[0xa1, 206, 0, 1, 0, 0, 0, 8]),
    ];
    for (name, bad) in cases {
        let compound = [&good[..], bad, &good].concat();
        assert_eq!(parse(&compound).count(), 1, "{name}");
    }
}

#[test]
fn datagrams_are_cut_between_packets() {
    let mut out = Vec::new();
    for _ in 0..5 {
        write_pli(&mut out, Ssrc(1), Ssrc(2));
    }
    let lens = |limit| datagrams(&out, limit).map(<[u8]>::len).collect::<Vec<_>>();
    assert_eq!(lens(24), [24, 24, 12]);
    assert_eq!(lens(35), [24, 24, 12]);
    assert_eq!(lens(1000), [60]);
    assert_eq!(lens(5), [12; 5]);
    assert_eq!(datagrams(&[], 10).count(), 0);
}

/// Feedback with the given chunks and deltas.
fn feedback(statuses: u16, chunks: &[u16], deltas: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let at = begin(&mut out, 205, 15);
    out.extend([0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe]);
    out.extend(statuses.to_be_bytes());
    out.extend([0x12, 0x34, 0x56, 7]);
    for chunk in chunks {
        out.extend(chunk.to_be_bytes());
    }
    out.extend(deltas);
    end(&mut out, at);
    out
}

#[test]
fn transport_feedback_is_read_chunk_by_chunk() {
    // Three lost in a run; then small, lost, large in two bits each; then, one bit each, small and lost.
    let chunks = [3, 0xc000 | 1 << 12 | 2 << 8, 0x8000 | 1 << 13];
    let packet = feedback(12, &chunks, &[4, 0xff, 0xfe, 8]);
    let [RtcpPacket::TransportFeedback(read)] = &parse(&packet).collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!((read.base(), read.statuses(), read.reference(), read.count()), (0xfffe, 12, 0x0012_3456, 7));
    let arrivals: Vec<_> = read.arrivals().collect();
    let received: Vec<_> = arrivals.iter().filter_map(|(number, at)| Some((*number, (*at)?))).collect();
    assert_eq!(arrivals.len(), 12);
    assert_eq!(arrivals[2], (0, None), "across the wrap");
    assert_eq!(received, [(1, 1000), (3, 500), (8, 2500)]);
}

#[test]
fn transport_feedback_that_lacks_something_is_none() {
    let bad = [
        ("no chunk", feedback(1, &[], &[])),
        ("an empty run", feedback(1, &[0, 0], &[])),
        ("a reserved status", feedback(1, &[3 << 13 | 1], &[0, 0])),
        ("no delta", feedback(8, &[1 << 13 | 8], &[1, 2, 3, 4, 5])),
        ("half a delta", feedback(4, &[2 << 13 | 4], &[1, 2, 3, 4, 5, 6])),
    ];
    for (name, packet) in bad {
        assert_eq!(parse(&packet).count(), 0, "{name}");
    }
}

#[test]
fn a_receivers_own_estimate_is_read() {
    let remb = |word: u32| {
        let mut out = Vec::new();
        let at = begin(&mut out, 206, 15);
        out.extend([0, 0, 0, 1, 0, 0, 0, 0]);
        out.extend(b"REMB");
        out.extend(word.to_be_bytes());
        out.extend([0, 0, 0, 5]);
        end(&mut out, at);
        match &parse(&out).collect::<Vec<_>>()[..] {
            [RtcpPacket::Remb { bitrate }] => *bitrate,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(remb(1 << 24 | 3 << 18 | 125_000), Bitrate::kbps(1000));
    assert_eq!(remb(u32::MAX), Bitrate::MAX);
}

proptest! {
    #[test]
    fn feedback_reads_as_the_recorder_wrote_it(
        start: u16,
        // What spans more between two reports is not reported whole.
        steps in prop::collection::vec((prop_oneof![8 => 1u16..3, 1 => 3u16..40], 0u64..30_000), 1..300)
            .prop_filter("too far", |steps| steps.iter().map(|(step, _)| step).sum::<u16>() <= 1500),
    ) {
        #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        let origin = Instant::now();
        let mut recorder = ArrivalRecorder::default();
        let (mut number, mut at_us, mut arrived) = (start, 0, Vec::new());
        for (step, wait_us) in steps {
            recorder.on_packet(origin + Duration::from_micros(at_us), number, Ssrc(9));
            arrived.push((number, at_us as i64));
            number = number.wrapping_add(step);
            at_us += wait_us;
        }
        let mut out = Vec::new();
        recorder.poll(origin + Duration::from_secs(60), Ssrc(1), &mut out);
        let mut read = Vec::new();
        for packet in parse(&out) {
            let RtcpPacket::TransportFeedback(feedback) = packet else { panic!("{packet:?}") };
            let reference_us = i64::from(feedback.reference()) * 64_000;
            read.extend(feedback.arrivals().filter_map(|(number, at)| Some((number, reference_us + at?))));
        }
        prop_assert_eq!(read.len(), arrived.len());
        for ((number, at_us), (read, read_us)) in arrived.into_iter().zip(read) {
            prop_assert_eq!(number, read);
            prop_assert!((at_us - 250..=at_us).contains(&read_us), "{} read as {}", at_us, read_us);
        }
    }

    #[test]
    fn lost_numbers_survive_the_pairs(start in 0u64..200_000, steps in prop::collection::vec(1u64..40, 1..80)) {
        let lost: Vec<u64> =
            steps.iter().scan(start, |at, step| { *at += step; Some(*at) }).collect();
        let mut out = Vec::new();
        write_nack(&mut out, Ssrc(1), Ssrc(2), &lost);
        let [RtcpPacket::Nack { lost: read, .. }] = &parse(&out).collect::<Vec<_>>()[..] else { panic!() };
        let expected: Vec<u16> = lost.iter().map(|&number| number as u16).collect();
        prop_assert_eq!(read.clone().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        walk(&bytes);
        datagrams(&bytes, 60).count();
    }

    #[test]
    fn no_mutation_panics(at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), cut: prop::sample::Index) {
        let mut out = Vec::new();
        write_receiver_report(&mut out, Ssrc(2), &[BLOCK; 3]);
        write_nack(&mut out, Ssrc(1), Ssrc(2), &[1, 2, 60, 70]);
        out.extend(feedback(12, &[3, 0xd200, 0xa000], &[4, 0xff, 0xfe, 8]));
        for (index, byte) in at {
            let index = index.index(out.len());
            out[index] = byte;
        }
        out.truncate(cut.index(out.len()) + 1);
        walk(&out);
    }
}
