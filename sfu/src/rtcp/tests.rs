use ::rtcp::receiver_report::ReceiverReport;
use bytes::Bytes;
use proptest::prelude::*;
use rtc_shared::marshal::Unmarshal;

use super::*;
use crate::id::Ssrc;

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

proptest! {
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
        for (index, byte) in at {
            let index = index.index(out.len());
            out[index] = byte;
        }
        out.truncate(cut.index(out.len()) + 1);
        walk(&out);
    }
}
