#![no_main]
//! Packets of any order, time and content: no panic, bounded output, and a key frame after every loss.

use std::time::{Duration, Instant};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use simmer_recorder::assembler::{Assembled, Assembler};
use simmer_sfu::codec::Codec;
use simmer_sfu::id::{ParticipantId, PublicationId};
use simmer_sfu::sink::SinkPacket;

fuzz_target!(|data: &[u8]| {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let codec = if first & 1 == 0 { Codec::Vp8 } else { Codec::Opus };
    let mut assembler = Assembler::new(codec).expect("a recorded codec");
    let base = Instant::now();
    let (mut sequence, mut ms, mut bytes) = (1u64 << 16, 0u64, 0usize);
    let mut out = Vec::new();
    while let Some((&[step, wait, time, length], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(length).min(after.len());
        let (payload, after) = after.split_at(length);
        rest = after;
        // Mostly the next packet, sometimes far away.
        let jump = if step & 0x40 != 0 { 1 << 20 } else { 1 };
        let distance = i64::from(step as i8 >> 3) * jump;
        sequence = sequence.wrapping_add_signed(if step & 7 == 0 { distance } else { 1 });
        ms += u64::from(wait);
        bytes += length;
        let arrival = base + Duration::from_millis(ms);
        let packet = SinkPacket {
            publication: PublicationId { participant: ParticipantId(1), index: 0 },
            encoding: 0,
            arrival,
            sequence,
            rtp_time: u32::from(time >> 1),
            marker: time & 1 != 0,
            payload: Bytes::copy_from_slice(payload),
        };
        assembler.handle_packet(packet, arrival, &mut out);
    }
    assembler.handle_timeout(base + Duration::from_millis(ms + 600), &mut out);
    let mut total = 0;
    let mut needs_key = codec == Codec::Vp8;
    for one in out {
        match one {
            Assembled::Lost => needs_key = codec == Codec::Vp8,
            Assembled::Frame(frame) => {
                assert!(frame.key || !needs_key);
                needs_key = false;
                total += frame.data.len();
            }
            _ => {}
        }
    }
    assert!(total <= bytes);
});
