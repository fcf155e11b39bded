use std::time::Duration;

use proptest::prelude::*;
use simmer_sfu::id::{ParticipantId, PublicationId};

use super::*;

fn packet(base: Instant, ms: u64, sequence: u64, rtp_time: u32, marker: bool, payload: &[u8]) -> SinkPacket {
    SinkPacket {
        publication: PublicationId { participant: ParticipantId(1), index: 0 },
        encoding: 0,
        arrival: base + Duration::from_millis(ms),
        sequence,
        rtp_time,
        marker,
        payload: Bytes::copy_from_slice(payload),
    }
}

/// The first packet of a key frame of 16 x 8 pixels, and of any other.
const KEY: &[u8] = &[0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 8, 0];
const INTER: &[u8] = &[0x10, 0x11, 0, 0];
const MORE: &[u8] = &[0x00, 9];

/// Runs packets through and tells what came out as text: `K`ey, `i`nter with its length, `!` for a loss.
fn run(packets: Vec<SinkPacket>, base: Instant, until_ms: u64) -> String {
    let mut assembler = Assembler::new(Codec::Vp8).unwrap();
    let mut out = Vec::new();
    for packet in packets {
        let now = packet.arrival;
        assembler.handle_packet(packet, now, &mut out);
    }
    assembler.handle_timeout(base + Duration::from_millis(until_ms), &mut out);
    let tell = |one: &Assembled| match one {
        Assembled::Lost => "!".to_owned(),
        Assembled::Frame(frame) if frame.key => {
            assert_eq!(frame.picture, Some((16, 8)));
            format!("K{}", frame.data.len())
        }
        Assembled::Frame(frame) => format!("i{}", frame.data.len()),
    };
    out.iter().map(tell).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_frame_is_whole_or_not_there() {
    let base = Instant::now();
    let p = |ms, sequence, time, marker, payload| packet(base, ms, sequence, time, marker, payload);
    for (what, packets, until, expected) in [
        (
            "in order",
            vec![p(0, 1, 1, false, KEY), p(1, 2, 1, true, MORE), p(2, 3, 2, true, INTER)],
            2,
            "K11 i3",
        ),
        (
            "disorder",
            vec![p(0, 1, 1, false, KEY), p(1, 3, 2, true, INTER), p(2, 2, 1, true, MORE)],
            2,
            "K11 i3",
        ),
        (
            "repaired in time",
            vec![p(0, 1, 1, true, KEY), p(9, 3, 3, true, INTER), p(508, 2, 2, true, INTER)],
            508,
            "K10 i3 i3",
        ),
        (
            "too late",
            vec![
                p(0, 1, 1, true, KEY),
                p(9, 3, 3, true, INTER),
                p(509, 4, 4, true, KEY),
                p(510, 2, 2, true, INTER),
            ],
            510,
            "K10 ! K10",
        ),
        ("still waiting", vec![p(0, 1, 1, true, KEY), p(9, 3, 3, true, INTER)], 508, "K10"),
        ("no key first", vec![p(0, 1, 1, true, INTER), p(1, 2, 2, true, KEY)], 1, "K10"),
        ("no marker", vec![p(0, 1, 1, false, KEY), p(1, 2, 2, true, INTER)], 1, "K10 i3"),
        (
            "padding",
            vec![
                p(0, 1, 1, false, KEY),
                p(1, 2, 1, false, &[]),
                p(2, 3, 1, true, MORE),
                p(3, 4, 1, false, &[]),
                p(4, 5, 2, true, INTER),
            ],
            4,
            "K11 i3",
        ),
        (
            "no start",
            vec![p(0, 1, 1, true, KEY), p(1, 2, 2, true, MORE), p(2, 3, 3, true, INTER)],
            2,
            "K10 !",
        ),
        (
            "mixed times",
            vec![p(0, 1, 1, true, KEY), p(1, 2, 2, false, INTER), p(2, 3, 3, true, MORE)],
            2,
            "K10 !",
        ),
        ("garbage", vec![p(0, 1, 1, true, KEY), p(1, 2, 2, true, &[0x80])], 1, "K10 !"),
        ("twice", vec![p(0, 1, 1, true, KEY), p(1, 1, 1, true, KEY), p(2, 2, 2, true, INTER)], 2, "K10 i3"),
    ] {
        assert_eq!(run(packets, base, until), expected, "{what}");
    }
}

#[test]
fn a_sequence_that_starts_anew_is_followed() {
    let base = Instant::now();
    let mut packets = vec![packet(base, 0, 1 << 20, 1, true, KEY)];
    packets.extend((0..300).map(|at| packet(base, at, at, 2, true, KEY)));
    let out = run(packets, base, 300);
    assert!(out.matches('K').count() > 40, "{out}");
}

#[test]
fn memory_is_bounded_before_time_is() {
    let base = Instant::now();
    let mut assembler = Assembler::new(Codec::Vp8).unwrap();
    let mut out = Vec::new();
    assembler.handle_packet(packet(base, 0, 1, 1, true, KEY), base, &mut out);
    for at in 0..3000 {
        assembler.handle_packet(packet(base, 0, 3 + at, 2, false, MORE), base, &mut out);
    }
    assert_eq!(out.get(1), Some(&Assembled::Lost));
}

/// Packets that look like VP8 often enough to go deep.
fn hostile() -> impl Strategy<Value = (u64, u64, u32, bool, Vec<u8>)> {
    let payload = prop_oneof![
        Just(KEY.to_vec()),
        Just(INTER.to_vec()),
        Just(MORE.to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, value)| {
            let mut bytes = KEY.to_vec();
            let at = at.index(bytes.len());
            bytes[at] = value;
            bytes
        }),
    ];
    let sequence = prop_oneof![0..40u64, any::<u64>()];
    (0..2000u64, sequence, 0..6u32, any::<bool>(), payload)
}

proptest! {
    #[test]
    fn nothing_panics_and_a_loss_is_followed_by_a_key_frame(packets in prop::collection::vec(hostile(), 0..120)) {
        let base = Instant::now();
        for codec in [Codec::Vp8, Codec::Opus] {
            let mut assembler = Assembler::new(codec).unwrap();
            let mut out = Vec::new();
            let mut now = base;
            for (ms, sequence, time, marker, payload) in &packets {
                let packet = packet(base, *ms, *sequence, *time, *marker, payload);
                now = now.max(packet.arrival);
                assembler.handle_packet(packet, now, &mut out);
            }
            let mut needs_key = true;
            for one in out.iter().filter(|_| codec == Codec::Vp8) {
                match one {
                    Assembled::Lost => needs_key = true,
                    Assembled::Frame(frame) => {
                        prop_assert!(frame.key || !needs_key);
                        needs_key = false;
                    }
                }
            }
        }
    }
}
