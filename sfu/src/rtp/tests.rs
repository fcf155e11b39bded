use proptest::prelude::*;

use super::*;
use crate::id::{Mid, Rid, Ssrc};
use crate::sdp::Extensions;

const IDS: Extensions = Extensions {
    mid: Some(1),
    rid: Some(2),
    repaired_rid: Some(3),
    transport_cc: Some(4),
    audio_level: Some(5),
    dependency: Some(9),
    playout_delay: None,
    abs_send_time: None,
};

fn packet(first: u8, extension: &[u8], payload: &[u8]) -> Vec<u8> {
    [&[first, 0xe0, 1, 2, 0, 0, 0, 9, 0, 0, 0, 7], extension, payload].concat()
}

#[test]
fn fields_and_payload_are_found() {
    let header = RtpHeader::parse(&packet(0x80, &[], b"abc")).unwrap();
    assert_eq!((header.payload_type, header.marker, header.sequence), (96, true, 0x0102));
    assert_eq!((header.timestamp, header.ssrc), (9, Ssrc(7)));
    assert_eq!((header.header_len, header.payload_end), (12, 15));
    let header = RtpHeader::parse(&packet(0xa1, b"CSRC", &[b'a', 0, 0, 3])).unwrap();
    assert_eq!((header.header_len, header.payload_end), (16, 17));
}

#[test]
fn what_does_not_fit_is_refused() {
    let cases: [(&str, Vec<u8>); 6] = [
        ("short", vec![0x80; 11]),
        ("version", packet(0x40, &[], b"")),
        ("CSRCs", packet(0x82, b"CSRC", b"")),
        ("extension header", packet(0x90, &[0xbe, 0xde, 0], b"")),
        ("extension", packet(0x90, &[0xbe, 0xde, 0, 1], b"abc")),
        ("padding over the header", packet(0xa0, &[], &[1, 3])),
    ];
    for (name, bytes) in cases {
        assert_eq!(RtpHeader::parse(&bytes), None, "{name}");
    }
}

#[test]
fn extensions_are_read_in_either_form() {
    let one =
        [0xbe, 0xde, 0, 4, 0x11, b'm', b'1', 0, 0x20, b'h', 0x30, b'l', 0x41, 1, 2, 0x50, 0x85, 0, 0, 0];
    let two = [0x10, 0, 0, 5, 1, 2, b'm', b'1', 0, 2, 1, b'h', 3, 1, b'l', 4, 2, 1, 2, 5, 1, 0x85, 9, 0];
    for extension in [&one[..], &two[..]] {
        let packet = packet(0x90, extension, b"x");
        let header = RtpHeader::parse(&packet).unwrap();
        let values = ExtensionValues::read(&packet, &header, &IDS);
        assert_eq!(values.mid, Mid::new(b"m1").ok());
        assert_eq!(values.rid, Rid::new(b"h").ok());
        assert_eq!(values.repaired_rid, Rid::new(b"l").ok());
        assert_eq!(values.transport_cc, Some(0x0102));
        assert_eq!(values.audio_level, Some(AudioLevel { level: 5, voice: true }));
    }
}

#[test]
fn id_15_ends_the_reading_and_other_profiles_are_skipped() {
    for (profile, first) in [([0xbe, 0xde], 0xf0), ([0xab, 0xcd], 0x10)] {
        let extension = [profile[0], profile[1], 0, 1, first, b'm', 0x10, b'm'];
        let packet = packet(0x90, &extension, b"");
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(ExtensionValues::read(&packet, &header, &IDS), ExtensionValues::default());
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_the_parts_lie_inside(mut bytes in prop::collection::vec(any::<u8>(), 0..80), valid: bool, two: bool) {
        if valid && bytes.len() > 16 {
            bytes[0] = 0x90;
            bytes[12..14].copy_from_slice(&if two { [0x10, 0] } else { [0xbe, 0xde] });
            let words = (bytes.len() - 16) as u16 / 4;
            bytes[14..16].copy_from_slice(&words.to_be_bytes());
        }
        if let Some(header) = RtpHeader::parse(&bytes) {
            prop_assert!(header.header_len <= header.payload_end && header.payload_end <= bytes.len());
            ExtensionValues::read(&bytes, &header, &IDS);
        }
    }
}

#[test]
fn what_is_written_is_read_again() {
    let level = AudioLevel { level: 90, voice: true };
    let mids = [None, Mid::new(b"0").ok(), Mid::new(&[b'm'; 16]).ok()];
    for mid in mids {
        for transport_cc in [None, Some(0xfffe)] {
            for audio_level in [None, Some(level)] {
                let header = EgressHeader {
                    payload_type: 127,
                    marker: true,
                    sequence: 0xabcd,
                    timestamp: 0x0102_0304,
                    ssrc: Ssrc(0x0506_0708),
                    mid: mid.map(|mid| (1, mid)),
                    padding: false,
                    transport_cc: transport_cc.map(|sequence| (4, sequence)),
                    audio_level: audio_level.map(|level| (14, level)),
                    dependency: None,
                    playout_delay: transport_cc.map(|_| (9, 37)),
                };
                let mut out = b"before".to_vec();
                let len = write_header(&mut out, &header);
                out.extend_from_slice(b"payload");
                let packet = &out[6..];
                let read = RtpHeader::parse(packet).unwrap();
                assert_eq!((read.header_len, read.payload_end), (len, packet.len()));
                assert_eq!((read.payload_type, read.marker, read.sequence), (127, true, 0xabcd));
                assert_eq!((read.timestamp, read.ssrc), (header.timestamp, header.ssrc));
                let ids = Extensions {
                    mid: Some(1),
                    transport_cc: Some(4),
                    audio_level: Some(14),
                    playout_delay: Some(9),
                    ..Extensions::default()
                };
                let values = ExtensionValues::read(packet, &read, &ids);
                assert_eq!(
                    (values.mid, values.transport_cc, values.audio_level),
                    (mid, transport_cc, audio_level)
                );
                assert_eq!(values.playout_delay, transport_cc.map(|_| 37));
            }
        }
    }
}

#[test]
fn a_dependency_descriptor_goes_on_with_another_frame_number_in_the_form_it_needs() {
    let bytes: Vec<u8> = (0..=255).collect();
    for (len, form) in [(3, [0xbe, 0xde]), (16, [0xbe, 0xde]), (17, [0x10, 0x00]), (255, [0x10, 0x00])] {
        let header = EgressHeader {
            padding: false,
            payload_type: 96,
            marker: false,
            sequence: 1,
            timestamp: 2,
            ssrc: Ssrc(3),
            mid: Mid::new(b"17").ok().map(|mid| (1, mid)),
            transport_cc: Some((4, 0xfffe)),
            audio_level: None,
            dependency: Some((9, &bytes[..len], 0xabcd)),
            playout_delay: None,
        };
        let mut packet = Vec::new();
        write_header(&mut packet, &header);
        assert_eq!(packet[12..14], form, "{len}");
        let read = RtpHeader::parse(&packet).unwrap();
        let values = ExtensionValues::read(&packet, &read, &IDS);
        assert_eq!((values.mid, values.transport_cc), (Mid::new(b"17").ok(), Some(0xfffe)));
        let descriptor = &packet[values.dependency.unwrap().range()];
        assert_eq!((descriptor.len(), &descriptor[..3]), (len, &[0, 0xab, 0xcd][..]));
        assert_eq!(descriptor[3..], bytes[3..len]);
    }
}

#[test]
fn numbers_count_on_over_the_wrap_and_late_ones_find_their_place() {
    let cases: [(&[u16], &[u64]); 3] = [
        (&[65_534, 65_535, 0, 65_533, 1], &[131_070, 131_071, 131_072, 131_069, 131_073]),
        (&[0, 65_535, 1], &[65_536, 65_535, 65_537]),
        (&[7, 7 + 0x7fff, 7], &[65_543, 65_543 + 0x7fff, 65_543]),
    ];
    for (numbers, expected) in cases {
        let mut extender = Extender16::default();
        let extended: Vec<u64> = numbers.iter().map(|&number| extender.extend(number)).collect();
        assert_eq!(extended, expected);
    }
}

proptest! {
    #[test]
    fn steps_within_half_a_cycle_are_followed(start: u16, steps in prop::collection::vec(0u64..30_000, 1..50)) {
        let mut extender = Extender16::default();
        let mut at = 65_536 + u64::from(start);
        prop_assert_eq!(extender.extend(at as u16), at);
        for step in steps {
            at += step;
            prop_assert_eq!(extender.extend(at as u16), at);
        }
    }
}
