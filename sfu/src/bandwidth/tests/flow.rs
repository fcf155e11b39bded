//! A subscriber: a source of 30 frames a second on one end, a receiver that writes real feedback on the other.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

use super::line::Line;
use crate::bandwidth::{Arrivals, BandwidthEstimator, Bitrate, Pacer, ProbeId};
use crate::id::Ssrc;
use crate::ingress::ArrivalRecorder;
use crate::rtcp::{RtcpPacket, parse};

pub(super) struct Flow {
    pub(super) estimator: BandwidthEstimator,
    /// What the source would send.
    pub(super) demand: Bitrate,
    /// What it has to send, where that is less.
    pub(super) available: Bitrate,
    pub(super) seconds: Vec<Second>,
    /// Pictures, every hundredth of which is so many times as large.
    pub(super) key_frames: usize,
    pictures: usize,
    /// Feedback is lost with this probability.
    pub(super) feedback_loss: f64,
    pub(super) pacer: Pacer,
    receiver: ArrivalRecorder,
    rng: ChaCha20Rng,
    frame_us: i64,
    outbox: VecDeque<(usize, i64)>,
    probe: VecDeque<(i64, usize, ProbeId)>,
    sequence: u64,
    arriving: BinaryHeap<Reverse<(i64, u64, usize)>>,
    feedback: VecDeque<(i64, Vec<u8>)>,
}

/// What happened in a second.
#[derive(Clone, Default, Debug)]
pub(super) struct Second {
    /// At its end.
    pub(super) estimate: u64,
    pub(super) sent_bytes: usize,
    pub(super) arrived_bytes: usize,
    /// Of each datagram sent: how long it waited on the line, in microseconds.
    pub(super) queue_us: Vec<i64>,
    /// How long media waited for the pacer, at most.
    pub(super) paced_us: i64,
}

impl Flow {
    pub(super) fn new(seed: u64, origin: Instant, now_us: i64, demand: Bitrate) -> Self {
        let now = at(origin, now_us);
        let estimator = BandwidthEstimator::new(now);
        let pacer = Pacer::new(now, estimator.estimate());
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        Self {
            estimator,
            demand,
            available: Bitrate::MAX,
            seconds: Vec::new(),
            key_frames: 1,
            pictures: 0,
            feedback_loss: 0.0,
            pacer,
            receiver: ArrivalRecorder::default(),
            frame_us: now_us + rng.random_range(0..33_333),
            rng,
            outbox: VecDeque::new(),
            probe: VecDeque::new(),
            sequence: 65_000,
            arriving: BinaryHeap::new(),
            feedback: VecDeque::new(),
        }
    }

    /// A millisecond of it.
    pub(super) fn tick(&mut self, origin: Instant, now_us: i64, line: &mut Line) {
        let now = at(origin, now_us);
        if self.seconds.is_empty() || now_us % 1_000_000 == 0 {
            self.seconds.push(Second::default());
        }
        self.receive(origin, now_us, line);
        self.estimator.set_demand(now, self.demand);
        if self.estimator.poll_timeout().is_some_and(|due| due <= now) {
            self.estimator.handle_timeout(now);
        }
        self.plan_probe(now, now_us);
        self.produce(now_us);
        self.send(now, now_us, line);
        let estimate = self.estimator.estimate();
        if let Some(second) = self.seconds.last_mut() {
            second.estimate = estimate.as_bps();
        }
    }

    fn receive(&mut self, origin: Instant, now_us: i64, line: &Line) {
        while let Some(&Reverse((arrival_us, sequence, bytes))) = self.arriving.peek()
            && arrival_us <= now_us
        {
            self.arriving.pop();
            self.receiver.on_packet(at(origin, arrival_us), sequence as u16, Ssrc(1));
            self.second().arrived_bytes += bytes;
        }
        let mut written = Vec::new();
        self.receiver.poll(at(origin, now_us), Ssrc(2), &mut written);
        if !written.is_empty() && !line.dead && !self.rng.random_bool(self.feedback_loss) {
            self.feedback.push_back((now_us + line.delay_us, written));
        }
        while self.feedback.front().is_some_and(|(due, _)| *due <= now_us) {
            let (_, compound) = self.feedback.pop_front().unwrap();
            for packet in parse(&compound) {
                let RtcpPacket::TransportFeedback(feedback) = packet else { panic!("{packet:?}") };
                self.estimator.on_feedback(at(origin, now_us), &feedback, &mut Arrivals::default());
            }
        }
    }

    fn plan_probe(&mut self, now: Instant, now_us: i64) {
        let Some(probe) = self.estimator.poll_probe(now) else { return };
        let packets = probe.packets.max(probe.bytes.div_ceil(1200));
        let bytes = probe.bytes.div_ceil(packets);
        let gap_us = probe.bitrate.time_for(bytes).as_micros() as i64;
        self.probe.extend((0..packets).map(|packet| (now_us + packet as i64 * gap_us, bytes, probe.id)));
    }

    fn produce(&mut self, now_us: i64) {
        if now_us < self.frame_us {
            return;
        }
        self.frame_us += 33_333;
        let rate = self.estimator.estimate().min(self.demand).min(self.available);
        let mut left = (rate.as_bps() as f64 / 240.0 * self.rng.random_range(0.8..1.2)) as usize;
        self.pictures += 1;
        if self.pictures.is_multiple_of(100) {
            left *= self.key_frames;
        }
        while left > 0 {
            let bytes = left.min(1200);
            self.outbox.push_back((bytes, now_us));
            left -= bytes;
        }
    }

    fn send(&mut self, now: Instant, now_us: i64, line: &mut Line) {
        while let Some(&(due, bytes, id)) = self.probe.front()
            && due <= now_us
        {
            self.probe.pop_front();
            // The driver of this simulation wakes once a millisecond: it sends at the time planned, not late.
            self.put(now, due, bytes, Some(id), line);
        }
        self.pacer.set_estimate(now, self.estimator.estimate());
        self.pacer.set_at_once(self.estimator.at_once(now));
        while let Some(&(bytes, queued_us)) = self.outbox.front()
            && self.pacer.budget(now) > 0
        {
            self.outbox.pop_front();
            self.pacer.on_sent(now, bytes);
            let second = self.second();
            second.paced_us = second.paced_us.max(now_us - queued_us);
            self.put(now, now_us, bytes, None, line);
        }
        let queued = self.outbox.iter().map(|(bytes, _)| bytes).sum();
        self.pacer.next(now, queued);
    }

    fn put(&mut self, now: Instant, now_us: i64, bytes: usize, probe: Option<ProbeId>, line: &mut Line) {
        self.sequence += 1;
        self.estimator.on_sent(now, self.sequence, bytes, probe);
        let waits = line.waiting_us(now_us);
        let second = self.second();
        second.sent_bytes += bytes;
        second.queue_us.push(waits);
        if let Some(arrival_us) = line.send(now_us, bytes) {
            self.arriving.push(Reverse((arrival_us, self.sequence, bytes)));
        }
    }

    /// The number after the last one sent.
    pub(super) fn sent_numbers(&self) -> u64 {
        self.sequence + 1
    }

    fn second(&mut self) -> &mut Second {
        self.seconds.last_mut().unwrap()
    }
}

pub(super) fn at(origin: Instant, us: i64) -> Instant {
    origin + Duration::from_micros(us as u64)
}
