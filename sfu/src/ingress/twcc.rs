//! Transport-wide feedback: when each packet of a connection arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::id::Ssrc;
use crate::rtcp;
use crate::rtp::Extender16;

/// Arrival times not reported yet, of all streams of one connection.
#[derive(Clone, Debug, Default)]
pub struct ArrivalRecorder {
    extender: Extender16,
    /// The time that reference times count from: the first arrival.
    epoch: Option<Instant>,
    /// Arrival times in quarters of a millisecond since the epoch; the front is packet `base`.
    arrivals: VecDeque<Option<i64>>,
    base: u64,
    media: Option<Ssrc>,
    due: Option<Instant>,
    feedback_count: u8,
}

impl ArrivalRecorder {
    /// Takes a packet's transport-wide number. One that was reported as lost already, or lies beyond all bounds, is left out.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, number: u16, media: Ssrc) {
        let epoch = *self.epoch.get_or_insert(now);
        let fresh = self.extender.highest().is_none();
        let sequence = self.extender.extend(number);
        if fresh {
            self.base = sequence;
        }
        let Some(mut at) = sequence.checked_sub(self.base) else { return };
        if at >= CAPACITY as u64 {
            // Full, or a wild jump: the oldest go unreported, which a sender takes as lost.
            let dropped = at + 1 - CAPACITY as u64;
            self.arrivals.drain(..self.arrivals.len().min(dropped.min(CAPACITY as u64) as usize));
            self.base += dropped;
            at -= dropped;
        }
        let at = at as usize;
        if at >= self.arrivals.len() {
            self.arrivals.resize(at + 1, None);
        }
        if let Some(slot) = self.arrivals.get_mut(at) {
            let ticks = now.saturating_duration_since(epoch).as_micros() / TICK_MICROS;
            slot.get_or_insert(ticks as i64);
        }
        self.media = Some(media);
        self.due.get_or_insert(now + INTERVAL);
    }

    /// When [`poll`](Self::poll) has something to report.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Appends the feedback that is due, as one packet or more; whether there was any.
    pub fn poll(&mut self, now: Instant, sender: Ssrc, out: &mut Vec<u8>) -> bool {
        let (Some(media), true) = (self.media, self.due.is_some_and(|due| due <= now)) else { return false };
        self.due = None;
        let mut written = false;
        while self.arrivals.iter().any(Option::is_some) {
            self.write(sender, media, out);
            written = true;
        }
        written
    }

    /// One packet, of as many arrivals as its fields can hold; they are forgotten.
    fn write(&mut self, sender: Ssrc, media: Ssrc, out: &mut Vec<u8>) {
        let Some(first) = self.arrivals.iter().flatten().next().copied() else { return };
        let reference = first.div_euclid(REFERENCE_TICKS);
        let start = rtcp::begin(out, 15, rtcp::FEEDBACK_TRANSPORT);
        out.extend_from_slice(&sender.0.to_be_bytes());
        out.extend_from_slice(&media.0.to_be_bytes());
        out.extend_from_slice(&(self.base as u16).to_be_bytes());
        let count_at = out.len();
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(reference as u32).to_be_bytes()[1..]);
        out.push(self.feedback_count);
        self.feedback_count = self.feedback_count.wrapping_add(1);
        let (mut statuses, mut last) = ([NOT_RECEIVED; MAX_STATUSES], reference * REFERENCE_TICKS);
        let mut count = 0;
        let mut deltas = [0_i16; MAX_STATUSES];
        for ((status, delta), arrival) in statuses.iter_mut().zip(&mut deltas).zip(&self.arrivals) {
            if let Some(arrival) = arrival {
                // A step too large for a delta begins the next packet, with a reference time of its own.
                let Ok(step) = i16::try_from(arrival - last) else { break };
                *delta = step;
                *status = if (0..=255).contains(&step) { SMALL } else { LARGE };
                last = *arrival;
            }
            count += 1;
        }
        let statuses = statuses.get(..count).unwrap_or_default();
        // 7 symbols of 2 bits a chunk; runs of one symbol that are longer as a run.
        let mut rest = statuses;
        while let Some(&symbol) = rest.first() {
            let run = rest.iter().take_while(|&&next| next == symbol).count();
            let (chunk, taken) = if run > 7 || run == rest.len() {
                (u16::from(symbol) << 13 | run as u16, run)
            } else {
                let symbols = rest.iter().chain(std::iter::repeat(&0)).take(7);
                (symbols.fold(0b11, |chunk, &symbol| chunk << 2 | u16::from(symbol)), rest.len().min(7))
            };
            out.extend_from_slice(&chunk.to_be_bytes());
            rest = rest.get(taken..).unwrap_or_default();
        }
        for (status, delta) in statuses.iter().zip(deltas) {
            match *status {
                SMALL => out.push(delta as u8),
                LARGE => out.extend_from_slice(&delta.to_be_bytes()),
                _ => {}
            }
        }
        if let Some(field) = out.get_mut(count_at..count_at + 2) {
            field.copy_from_slice(&(count as u16).to_be_bytes());
        }
        rtcp::finish(out, start);
        self.arrivals.drain(..count);
        self.base += count as u64;
    }
}

const NOT_RECEIVED: u8 = 0;
const SMALL: u8 = 1;
const LARGE: u8 = 2;
const INTERVAL: Duration = Duration::from_millis(50);
const TICK_MICROS: u128 = 250;
/// A reference time counts 64 ms.
const REFERENCE_TICKS: i64 = 256;
/// Arrivals kept between two reports.
const CAPACITY: usize = 4096;
/// In one packet, so that it stays below 1200 bytes with the largest deltas.
const MAX_STATUSES: usize = 400;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a time to start from")]
mod tests {
    use std::collections::BTreeMap;

    use ::rtcp::transport_feedbacks::transport_layer_cc::{
        PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
    };
    use bytes::Bytes;
    use proptest::prelude::*;
    use rtc_shared::marshal::Unmarshal;

    use super::*;

    /// What another parser reads: number to arrival time, in ticks; `None` for those reported lost.
    fn read(mut out: &[u8]) -> BTreeMap<u16, Option<i64>> {
        let mut read = BTreeMap::new();
        while !out.is_empty() {
            let len = 4 + 4 * usize::from(u16::from_be_bytes([out[2], out[3]]));
            assert!(len <= 1200);
            let packet = TransportLayerCc::unmarshal(&mut Bytes::copy_from_slice(&out[..len])).unwrap();
            out = &out[len..];
            let mut symbols = Vec::new();
            for chunk in &packet.packet_chunks {
                match chunk {
                    PacketStatusChunk::RunLengthChunk(run) => {
                        symbols.extend(vec![run.packet_status_symbol; usize::from(run.run_length)]);
                    }
                    PacketStatusChunk::StatusVectorChunk(vector) => symbols.extend(&vector.symbol_list),
                }
            }
            let mut deltas = packet.recv_deltas.iter();
            let mut time = i64::from(packet.reference_time) * 256;
            for at in 0..packet.packet_status_count {
                let number = packet.base_sequence_number.wrapping_add(at);
                let arrival = (symbols[usize::from(at)] != SymbolTypeTcc::PacketNotReceived).then(|| {
                    time += deltas.next().unwrap().delta / 250;
                    time
                });
                assert_eq!(read.insert(number, arrival), None, "reported twice");
            }
            assert!(deltas.next().is_none());
        }
        read
    }

    fn record(packets: &[(u64, u16)]) -> BTreeMap<u16, Option<i64>> {
        let start = Instant::now();
        let mut recorder = ArrivalRecorder::default();
        let mut out = Vec::new();
        let mut end = start;
        for &(ticks, number) in packets {
            end = start + Duration::from_micros(ticks * 250);
            recorder.on_packet(end, number, Ssrc(2));
        }
        let due = recorder.poll_timeout().unwrap();
        assert!(!recorder.poll(start, Ssrc(1), &mut out));
        assert!(recorder.poll(due.max(end), Ssrc(1), &mut out));
        assert_eq!(recorder.poll_timeout(), None);
        read(&out)
    }

    #[test]
    fn arrivals_losses_and_disorder_are_reported() {
        let read = record(&[(0, 65_534), (300, 0), (301, 65_535), (700, 3)]);
        let expected =
            [(65_534, Some(0)), (65_535, Some(301)), (0, Some(300)), (1, None), (2, None), (3, Some(700))];
        assert_eq!(read, BTreeMap::from(expected));
    }

    #[test]
    fn a_long_pause_begins_another_packet() {
        let read = record(&[(0, 1), (40_000, 2), (200_000, 4)]);
        assert_eq!(read, BTreeMap::from([(1, Some(0)), (2, Some(40_000)), (3, None), (4, Some(200_000))]));
    }

    #[test]
    fn a_wild_jump_stays_bounded() {
        let read = record(&[(0, 1), (1, 30_000)]);
        assert_eq!((read.len(), read.get(&30_000)), (CAPACITY, Some(&Some(1))));
    }

    proptest! {
        #[test]
        fn another_parser_reads_every_arrival(steps in prop::collection::vec((0u64..3000, 1u16..20), 1..200), start: u16, swap in 0usize..5) {
            let mut packets = Vec::new();
            let (mut ticks, mut number) = (0, start);
            for (step, ahead) in steps {
                packets.push((ticks, number));
                ticks += step;
                number = number.wrapping_add(ahead);
            }
            for at in (1..packets.len().saturating_sub(swap)).step_by(7) {
                let (a, b) = (packets[at].1, packets[at + swap].1);
                (packets[at].1, packets[at + swap].1) = (b, a);
            }
            let read = record(&packets);
            for (ticks, number) in packets {
                prop_assert_eq!(read.get(&number), Some(&Some(ticks as i64)));
            }
        }
    }
}
