//! Transport-wide feedback to publishers: when each of their packets arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::time::{Duration, Instant};

use crate::id::Ssrc;
use crate::rtcp::{begin, end};
use crate::rtp::Extender16;

/// Collects arrivals and writes the feedback that a publisher's bandwidth estimator lives on.
#[derive(Clone, Debug, Default)]
pub struct ArrivalRecorder {
    extender: Extender16,
    origin: Option<Instant>,
    /// The highest number that arrived.
    highest: u64,
    /// When the last [`KEPT`] numbers up to `highest` arrived, by number modulo [`KEPT`], in ticks since the origin; [`NEVER`] for those that
    /// did not. Those reported already are kept too, so that a report which goes back tells again what it told. Empty before the first packet.
    arrivals: Vec<u64>,
    /// The first number that the next feedback is about.
    next: Option<u64>,
    media: Option<Ssrc>,
    due: Option<Instant>,
    count: u8,
    /// Keep their memory between reports.
    statuses: Vec<u16>,
    deltas: Vec<u8>,
}

impl ArrivalRecorder {
    /// A packet with this transport-wide number arrived.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, sequence: u16, media: Ssrc) {
        let origin = *self.origin.get_or_insert(now);
        let extended = self.extender.extend(sequence);
        if self.arrivals.is_empty() {
            self.arrivals.resize(KEPT as usize, NEVER);
            self.highest = extended;
        }
        let next = *self.next.get_or_insert(extended);
        self.media = Some(media);
        self.due.get_or_insert(now + INTERVAL);
        if extended < next {
            // It was reported missing; a later feedback may say otherwise.
            let too_late = next - extended > MAX_BEHIND || self.highest - extended > MAX_SPAN + MAX_BEHIND;
            if too_late || self.arrival(extended) != NEVER {
                return;
            }
            self.next = Some(extended);
        } else if extended - next > MAX_SPAN {
            self.arrivals.fill(NEVER);
            self.next = Some(extended);
        }
        for passed in (self.highest + 1..=extended).rev().take(KEPT as usize) {
            *self.arrival_mut(passed) = NEVER;
        }
        self.highest = self.highest.max(extended);
        let arrival = self.arrival_mut(extended);
        if *arrival == NEVER {
            *arrival = (now.saturating_duration_since(origin).as_micros() / 250) as u64;
        }
    }

    /// Appends a feedback packet when one is due.
    pub fn poll(&mut self, now: Instant, sender: Ssrc, out: &mut Vec<u8>) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        while let (Some(media), Some(base)) = (self.media, self.next)
            && base <= self.highest
        {
            let end = self.highest.min(base + MAX_PACKETS - 1);
            self.write(out, sender, media, base, end);
            self.next = Some(end + 1);
        }
    }

    /// When [`poll`](Self::poll) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn arrival(&self, sequence: u64) -> u64 {
        self.arrivals[(sequence % KEPT) as usize]
    }

    fn arrival_mut(&mut self, sequence: u64) -> &mut u64 {
        &mut self.arrivals[(sequence % KEPT) as usize]
    }

    fn write(&mut self, out: &mut Vec<u8>, sender: Ssrc, media: Ssrc, base: u64, last: u64) {
        let (mut statuses, mut deltas) =
            (std::mem::take(&mut self.statuses), std::mem::take(&mut self.deltas));
        statuses.clear();
        deltas.clear();
        let first = (base..=last).map(|sequence| self.arrival(sequence)).find(|&at| at != NEVER);
        let reference = first.unwrap_or(0) as i64 / REFERENCE_TICKS;
        let mut former = reference * REFERENCE_TICKS;
        for sequence in base..=last {
            let at = self.arrival(sequence);
            if at == NEVER {
                statuses.push(NOT_RECEIVED);
                continue;
            }
            let delta = at as i64 - former;
            if let Ok(small) = u8::try_from(delta) {
                statuses.push(SMALL_DELTA);
                deltas.push(small);
                former += delta;
            } else {
                let large = delta.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
                statuses.push(LARGE_DELTA);
                deltas.extend_from_slice(&large.to_be_bytes());
                former += i64::from(large);
            }
        }
        let at = begin(out, 205, 15);
        out.extend(sender.0.to_be_bytes());
        out.extend(media.0.to_be_bytes());
        out.extend((base as u16).to_be_bytes());
        out.extend((statuses.len() as u16).to_be_bytes());
        let [_, r0, r1, r2] = (reference as u32).to_be_bytes();
        out.extend([r0, r1, r2, self.count]);
        self.count = self.count.wrapping_add(1);
        write_chunks(out, &statuses);
        out.extend_from_slice(&deltas);
        end(out, at);
        (self.statuses, self.deltas) = (statuses, deltas);
    }
}

/// Status chunks: a run where at least seven are alike, else seven in two bits each (section 3.1.3, 3.1.4).
fn write_chunks(out: &mut Vec<u8>, statuses: &[u16]) {
    let mut rest = statuses;
    while let Some(&first) = rest.first() {
        let run = rest.iter().take_while(|&&status| status == first).count().min(MAX_RUN);
        let (chunk, taken) = if run >= 7 || run == rest.len() {
            (first << 13 | run as u16, run)
        } else {
            let taken = rest.len().min(7);
            let vector = rest[..taken].iter().enumerate();
            (vector.fold(0xc000, |chunk, (at, &status)| chunk | status << (12 - 2 * at)), taken)
        };
        out.extend(chunk.to_be_bytes());
        rest = &rest[taken..];
    }
}

const NOT_RECEIVED: u16 = 0;
const SMALL_DELTA: u16 = 1;
const LARGE_DELTA: u16 = 2;
/// What libwebrtc's estimator expects at good bandwidth is 50 to 100 ms.
const INTERVAL: Duration = Duration::from_millis(50);
/// 64 ms, the unit of the reference time.
const REFERENCE_TICKS: i64 = 256;
/// 13 bits.
const MAX_RUN: usize = 8191;
/// In one feedback packet, so that it fits a datagram even when every delta is large.
const MAX_PACKETS: u64 = 400;
/// A number that comes later than so many others is not reported again.
const MAX_BEHIND: u64 = 500;
/// A jump further ahead starts over.
const MAX_SPAN: u64 = 1500;
/// Numbers remembered, a power of two: what a report is about, and what it may go back to.
const KEPT: u64 = 2048;
/// In place of an arrival. In ticks of 250 us it is far.
const NEVER: u64 = u64::MAX;
const _: () = assert!(MAX_SPAN + MAX_BEHIND < KEPT);

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use rtc_shared::marshal::Unmarshal;
    use rtcp::transport_feedbacks::transport_layer_cc::{PacketStatusChunk, TransportLayerCc};

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn origin() -> Instant {
        Instant::now()
    }

    /// What an independent reader makes of the feedback: number, arrival in ticks of 250 us.
    fn read(feedback: &[u8]) -> Vec<(u16, Option<i64>)> {
        let packet = TransportLayerCc::unmarshal(&mut &feedback[..]).unwrap();
        let mut statuses = Vec::new();
        for chunk in &packet.packet_chunks {
            match chunk {
                PacketStatusChunk::RunLengthChunk(run) => {
                    statuses
                        .extend(std::iter::repeat_n(run.packet_status_symbol as u16, run.run_length.into()));
                }
                PacketStatusChunk::StatusVectorChunk(vector) => {
                    statuses.extend(vector.symbol_list.iter().map(|&symbol| symbol as u16));
                }
            }
        }
        statuses.truncate(packet.packet_status_count.into());
        let mut deltas = packet.recv_deltas.iter();
        let mut time = i64::from(packet.reference_time) * REFERENCE_TICKS;
        let received = |(at, status): (usize, u16)| {
            let sequence = packet.base_sequence_number.wrapping_add(at as u16);
            if status == NOT_RECEIVED {
                return (sequence, None);
            }
            time += deltas.next().unwrap().delta / 250;
            (sequence, Some(time))
        };
        statuses.into_iter().enumerate().map(received).collect()
    }

    #[test]
    fn an_independent_reader_finds_every_arrival() {
        let origin = origin();
        let mut recorder = ArrivalRecorder::default();
        let at = |ms: u64| origin + Duration::from_millis(ms);
        // In order, lost, out of order, late by a long time, across the wrap.
        let arrivals =
            [(65_533, 0), (65_534, 1), (0, 3), (65_535, 4), (1, 5), (5, 90), (6, 91), (7, 92), (9, 30)];
        for (sequence, ms) in arrivals {
            recorder.on_packet(at(ms), sequence, Ssrc(9));
        }
        let mut out = Vec::new();
        recorder.poll(at(10), Ssrc(1), &mut out);
        assert!(out.is_empty(), "not due yet");
        recorder.poll(at(100), Ssrc(1), &mut out);
        let read: Vec<_> =
            read(&out).into_iter().filter_map(|(sequence, time)| Some((sequence, time? / 4))).collect();
        let mut expected: Vec<(u16, i64)> =
            arrivals.iter().map(|&(sequence, ms)| (sequence, ms as i64)).collect();
        expected.sort_by_key(|(sequence, _)| sequence.wrapping_sub(65_533));
        assert_eq!(read, expected);
    }

    proptest! {
        #[test]
        fn what_is_reported_is_what_arrived(
            start: u16,
            steps in prop::collection::vec((prop_oneof![6 => 1i64..4, 2 => -450i64..0, 1 => 0i64..2000, 1 => any::<i16>().prop_map(i64::from)], 0u64..20), 1..400),
        ) {
            let origin = origin();
            let mut recorder = ArrivalRecorder::default();
            let mut arrived: BTreeMap<u16, BTreeSet<i64>> = BTreeMap::new();
            let (mut at, mut ms, mut first) = (i64::from(start), 0, None);
            let mut reported = 0;
            for (step, wait) in steps {
                at += step;
                ms += wait;
                let now = origin + Duration::from_millis(ms);
                recorder.on_packet(now, at as u16, Ssrc(9));
                let since_first = ms - *first.get_or_insert(ms);
                arrived.entry(at as u16).or_default().insert(since_first as i64 * 4);
                let mut out = Vec::new();
                if ms % 3 == 0 {
                    recorder.poll(now, Ssrc(1), &mut out);
                }
                for feedback in crate::rtcp::datagrams(&out, 1) {
                    prop_assert!(feedback.len() < 1180);
                    for (sequence, time) in read(feedback) {
                        let Some(time) = time else { continue };
                        reported += 1;
                        let known = arrived.get(&sequence).is_some_and(|times| times.contains(&time));
                        prop_assert!(known, "{sequence} did not arrive at {time}: {:?}", arrived.get(&sequence));
                    }
                }
            }
            prop_assert!(reported > 0 || ms < 500);
        }
    }

    #[test]
    fn a_long_run_and_a_jump_stay_within_bounds() {
        let origin = origin();
        let mut recorder = ArrivalRecorder::default();
        for number in 0..1000u16 {
            recorder.on_packet(origin + Duration::from_millis(u64::from(number)), number, Ssrc(9));
        }
        let mut out = Vec::new();
        recorder.poll(origin + Duration::from_secs(2), Ssrc(1), &mut out);
        let packets: Vec<_> = crate::rtcp::datagrams(&out, 1).collect();
        assert_eq!(packets.iter().map(|packet| read(packet).len()).collect::<Vec<_>>(), [400, 400, 200]);
        assert!(packets.iter().all(|packet| packet.len() < 1180));
        recorder.on_packet(origin + Duration::from_secs(3), 30_000, Ssrc(9));
        out.clear();
        recorder.poll(origin + Duration::from_secs(4), Ssrc(1), &mut out);
        assert_eq!(read(&out).len(), 1);
    }
}
