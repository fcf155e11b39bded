//! Transport-wide feedback to publishers: when each of their packets arrived
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::id::Ssrc;
use crate::rtcp::{begin, end};
use crate::rtp::Extender16;

/// Collects arrivals and writes the feedback that a publisher's bandwidth estimator lives on.
#[derive(Clone, Debug, Default)]
pub struct ArrivalRecorder {
    extender: Extender16,
    origin: Option<Instant>,
    /// From [`MAX_BEHIND`] before `next` on, so that a report which goes back tells again what it told.
    arrivals: BTreeMap<u64, Instant>,
    /// The first number that the next feedback is about.
    next: Option<u64>,
    media: Option<Ssrc>,
    due: Option<Instant>,
    count: u8,
}

impl ArrivalRecorder {
    /// A packet with this transport-wide number arrived.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, sequence: u16, media: Ssrc) {
        self.origin.get_or_insert(now);
        let extended = self.extender.extend(sequence);
        let next = *self.next.get_or_insert(extended);
        self.media = Some(media);
        self.due.get_or_insert(now + INTERVAL);
        if extended < next {
            // It was reported missing; a later feedback may say otherwise.
            if next - extended > MAX_BEHIND || self.arrivals.contains_key(&extended) {
                return;
            }
            self.next = Some(extended);
        } else if extended - next > MAX_SPAN {
            self.arrivals.clear();
            self.next = Some(extended);
        }
        self.arrivals.entry(extended).or_insert(now);
    }

    /// Appends a feedback packet when one is due.
    pub fn poll(&mut self, now: Instant, sender: Ssrc, out: &mut Vec<u8>) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.due = None;
        while let (Some(media), Some(&last)) = (self.media, self.arrivals.keys().next_back()) {
            let (Some(base), Some(origin)) = (self.next, self.origin) else { break };
            if last < base {
                break;
            }
            let end = last.min(base + MAX_PACKETS - 1);
            self.write(out, sender, media, base, end, origin);
            self.next = Some(end + 1);
            self.arrivals = self.arrivals.split_off(&(end + 1).saturating_sub(MAX_BEHIND));
        }
    }

    /// When [`poll`](Self::poll) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn write(&mut self, out: &mut Vec<u8>, sender: Ssrc, media: Ssrc, base: u64, last: u64, origin: Instant) {
        // Time in ticks of 250 us since the origin.
        let ticks = |at: Instant| (at.saturating_duration_since(origin).as_micros() / 250) as i64;
        let first = self.arrivals.range(base..).next().map_or(0, |(_, &at)| ticks(at));
        let reference = first / REFERENCE_TICKS;
        let mut former = reference * REFERENCE_TICKS;
        let mut statuses = Vec::with_capacity((last + 1 - base) as usize);
        let mut deltas = Vec::new();
        for sequence in base..=last {
            let Some(&at) = self.arrivals.get(&sequence) else {
                statuses.push(NOT_RECEIVED);
                continue;
            };
            let delta = ticks(at) - former;
            if let Ok(small) = u8::try_from(delta) {
                statuses.push(SMALL_DELTA);
                deltas.push(small);
                former += delta;
            } else {
                let large = delta.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
                statuses.push(LARGE_DELTA);
                deltas.extend(large.to_be_bytes());
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
        out.extend(deltas);
        end(out, at);
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
const MAX_SPAN: u64 = 4000;

#[cfg(test)]
mod tests {
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
