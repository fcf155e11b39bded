//! What a subscriber's line carries, as far as its feedback tells.

use std::time::{Duration, Instant};

use crate::bandwidth::arrival_clock::ArrivalClock;
use crate::bandwidth::cluster::{Clusters, Finding};
use crate::bandwidth::grouping::Grouping;
use crate::bandwidth::history::{CAPACITY, News, SentHistory};
use crate::bandwidth::loss::{LossControl, LossMeter};
use crate::bandwidth::probe::{DOUBTED, Prober, Situation};
use crate::bandwidth::queue::QueueDelay;
use crate::bandwidth::rate_control::{CEILING, FLOOR, Observed, RateControl};
use crate::bandwidth::throughput::Throughput;
use crate::bandwidth::trains::Trains;
use crate::bandwidth::trendline::Trendline;
use crate::bandwidth::{Bitrate, Probe, ProbeId};
use crate::rtcp::TransportFeedback;

/// The send-side bandwidth estimator of one subscriber's line.
///
/// After any call that changes it, [`estimate`](Self::estimate), [`poll_probe`](Self::poll_probe) and [`poll_timeout`](Self::poll_timeout) are asked
/// anew. It allocates nothing for a datagram once its memory has grown to the line.
#[derive(Clone, Debug)]
pub struct BandwidthEstimator {
    origin: Instant,
    history: SentHistory,
    clock: ArrivalClock,
    sent: Throughput,
    acknowledged: Throughput,
    grouping: Grouping,
    trendline: Trendline,
    queue: QueueDelay,
    control: RateControl,
    loss: LossControl,
    lost_lately: LossMeter,
    lost_by_chance: LossMeter,
    lost_suddenly: LossMeter,
    /// The least delay known when counting of those began, in microseconds.
    chance_judged_by: Option<i64>,
    prober: Prober,
    clusters: Clusters,
    trains: Trains,
    /// A probe found room on the line: until then it counts.
    room_until: Option<Instant>,
    /// What the line was seen to carry, and when.
    confirmed: Option<(Instant, Bitrate)>,
    silence: Silence,
    reports: Reports,
    round_trip: Option<Duration>,
    feedback_round_trip: Option<Duration>,
    /// Datagrams that one feedback tells the loss of.
    missing: u32,
}

/// What the delay of a line says of its use (draft-ietf-rmcat-gcc-02 section 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Usage {
    /// A queue drains.
    Underuse,
    /// The queue stays as it is.
    #[default]
    Normal,
    /// A queue grows.
    Overuse,
}

/// What the estimator knows, for charts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EstimatorReport {
    /// What may be sent.
    pub estimate: Bitrate,
    /// What arrives, once that is known.
    pub acknowledged: Option<Bitrate>,
    /// The part lost of the last 30 to 60 datagrams, 0 to 1.
    pub loss: f64,
    /// The part lost while nothing waited on the line, of the last 200 to 400 datagrams: no fault of too much being sent. 0 to 1.
    pub chance_loss: f64,
    /// The same of the last 30 to 60, one of them passed over: a line that has just begun to lose shows here first. 0 to 1.
    pub sudden_loss: f64,
    /// The slope of the delay: by how many milliseconds the queue grows in a second.
    pub trend: f64,
    /// What is concluded from it.
    pub usage: Usage,
    /// How much longer a datagram takes than at best: what waits on the line.
    pub queue: Duration,
    /// To the subscriber and back.
    pub round_trip: Option<Duration>,
}

/// What one feedback says has arrived: memory for one after the other, of any estimators. It grows to the longest, 256 KiB at most.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Vec<Arrival>);

#[derive(Clone, Copy, Debug)]
struct Arrival {
    sent_us: i64,
    at_us: i64,
    bytes: u32,
    probe: Option<ProbeId>,
}

/// Whether feedback is missing.
#[derive(Clone, Copy, Default, Debug)]
struct Silence {
    /// Since when datagrams are out and nothing was heard.
    since: Option<Instant>,
    /// How many left since then, or since the rate was cut.
    datagrams: u32,
    /// The rate before, and when it is cut next.
    blackout: Option<(Bitrate, Instant)>,
    /// Datagrams before this number were sent into a blackout.
    excused_before: u64,
}

/// What is known without transport-wide feedback.
#[derive(Clone, Copy, Default, Debug)]
struct Reports {
    /// Feedback has come, so none of this counts.
    feedback: bool,
    limit: Option<Bitrate>,
    last_at: Option<Instant>,
    loss: f64,
}

impl BandwidthEstimator {
    /// Knows nothing but the rate to begin with.
    pub fn new(now: Instant) -> Self {
        Self {
            origin: now,
            history: SentHistory::default(),
            clock: ArrivalClock::default(),
            sent: Throughput::default(),
            acknowledged: Throughput::default(),
            grouping: Grouping::default(),
            trendline: Trendline::default(),
            queue: QueueDelay::default(),
            control: RateControl::new(START),
            loss: LossControl::default(),
            lost_lately: LossMeter::new(LATELY),
            lost_by_chance: LossMeter::new(BY_CHANCE),
            lost_suddenly: LossMeter::new(LATELY),
            chance_judged_by: None,
            prober: Prober::new(now),
            clusters: Clusters::default(),
            trains: Trains::default(),
            room_until: None,
            confirmed: None,
            silence: Silence::default(),
            reports: Reports::default(),
            round_trip: None,
            feedback_round_trip: None,
            missing: 0,
        }
    }

    /// Begins with a higher rate: so much was sent before the receiver told anything.
    pub fn beginning_at(mut self, now: Instant, sent: Bitrate) -> Self {
        if sent > self.control.rate() {
            self.control.set(now, sent);
        }
        self
    }

    /// A datagram with this transport-wide number (extended, one more each) goes to the network now. `bytes`: its UDP payload. `probe`: what it
    /// is part of.
    pub fn on_sent(&mut self, now: Instant, sequence: u64, bytes: usize, probe: Option<ProbeId>) {
        let now_us = self.micros(now);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.sent.add(now_us, bytes);
        let probe = self.clusters.on_sent(probe, now_us, bytes);
        self.history.push(sequence, now_us, bytes, probe);
        if self.reports.feedback {
            self.silence.since.get_or_insert(now);
            self.silence.datagrams = self.silence.datagrams.saturating_add(1);
        }
    }

    /// A datagram without such a number goes to the network now.
    pub fn on_sent_unnumbered(&mut self, now: Instant, bytes: usize) {
        self.sent.add(self.micros(now), u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// The last so many numbers are those that feedback may still be about.
    pub fn unsettled(&self) -> usize {
        self.history.len()
    }

    /// The receiver tells when datagrams arrived. Whatever it tells is survived; what cannot be is passed over. `arrivals` is lent for its memory: what
    /// is in it means nothing before and after.
    pub fn on_feedback(&mut self, now: Instant, feedback: &TransportFeedback<'_>, arrivals: &mut Arrivals) {
        if usize::from(feedback.statuses()) > CAPACITY {
            return;
        }
        let now_us = self.micros(now);
        let (reference_us, steady) =
            if feedback.has_arrivals() { self.clock.unwrap(now_us, feedback.reference()) } else { (0, true) };
        if !steady {
            self.restart();
        }
        self.take_in(feedback, reference_us, arrivals);
        let Arrivals(arrivals) = arrivals;
        let arrived = u32::try_from(arrivals.len()).unwrap_or(u32::MAX);
        self.lost_lately.on_feedback(arrived, self.missing);
        let Some(last_sent_us) = arrivals.iter().map(|arrival| arrival.sent_us).max() else {
            // Nothing new arrived: no sign that the line is there.
            self.loss.update(self.queue_stands());
            return;
        };
        if self.silence.blackout.is_some() {
            self.restart();
        }
        self.reports.feedback = true;
        (self.silence.since, self.silence.datagrams) = (None, 0);
        self.on_heard(now_us.saturating_sub(last_sent_us));
        let delays = arrivals.iter().map(|arrival| arrival.at_us.saturating_sub(arrival.sent_us));
        if let Some(least) = delays.min() {
            self.queue.on_feedback(now_us, least);
        }
        self.review_chance();
        if self.queue.latest_micros() <= LONG_QUEUE_US && self.loss.limit().is_none() {
            self.lost_by_chance.on_feedback(arrived, self.missing);
            self.lost_suddenly.on_feedback(arrived, self.missing);
        }
        for arrival in arrivals {
            self.acknowledged.add(arrival.at_us, arrival.bytes);
            self.trains.on_packet(arrival.sent_us, arrival.at_us, arrival.bytes);
            if let Some(probe) = arrival.probe {
                self.clusters.on_arrival(probe, arrival.at_us, arrival.bytes);
            }
            if let Some(change) = self.grouping.on_packet(arrival.sent_us, arrival.at_us) {
                self.trendline.on_change(&change);
            }
        }
        if let Some((before, _)) = self.silence.blackout.take() {
            self.silence.excused_before = self.history.end();
            self.control.set(now, self.control.rate().max(before * 0.5));
            self.prober.on_return(before, self.control.rate());
        }
        self.judge(now, now_us);
    }

    /// A receiver report: the part lost since the last one, in 1/256, and the round trip where it gives one.
    pub fn on_report(&mut self, now: Instant, fraction_lost: u8, round_trip: Option<Duration>) {
        if let Some(sample) = round_trip.filter(|sample| *sample <= MAX_ROUND_TRIP) {
            let smoothed = self.round_trip.map_or(sample, |former| (former * 7 + sample) / 8);
            self.round_trip = Some(smoothed);
        }
        if self.reports.feedback {
            return;
        }
        // Draft-ietf-rmcat-gcc-02 section 6.
        let elapsed = now.saturating_duration_since(self.reports.last_at.replace(now).unwrap_or(now));
        let loss = f64::from(fraction_lost) / 256.0;
        self.reports.loss = loss;
        let rate = self.control.rate();
        let next = if loss > 0.1 {
            rate * (1.0 - 0.5 * loss)
        } else if loss < 0.02 {
            let sent = self.sent.rate_at(self.micros(now)).unwrap_or(Bitrate::ZERO);
            let higher = rate * 1.08f64.powf(elapsed.as_secs_f64().min(1.0)) + Bitrate::kbps(1);
            higher.min(sent * REACH + Bitrate::kbps(10)).max(rate)
        } else {
            rate
        };
        self.control.set(now, next);
    }

    /// The receiver's own estimate, heeded only where it sends no transport-wide feedback.
    pub fn on_remb(&mut self, now: Instant, limit: Bitrate) {
        if self.reports.feedback {
            return;
        }
        self.reports.limit = Some(limit);
        // It may know more than a guess at the start, but of no more than was sent.
        let sent = self.sent.rate_at(self.micros(now)).unwrap_or(Bitrate::ZERO);
        self.control.set(now, self.control.rate().max(limit.min(sent * 1.5)));
    }

    /// Whether the receiver has told anything of the line: what arrives, or without feedback its loss or a limit.
    pub fn is_told(&self) -> bool {
        let Reports { feedback, limit, last_at, .. } = &self.reports;
        if *feedback { self.acknowledged.rate().is_some() } else { limit.is_some() || last_at.is_some() }
    }

    /// The limit that the receiver sets, where that is heeded.
    pub fn limit(&self) -> Option<Bitrate> {
        self.reports.limit.filter(|_| !self.reports.feedback)
    }

    /// What would be sent if the line carried everything; probes go no further than a little above it.
    pub fn set_demand(&mut self, now: Instant, demand: Bitrate) {
        let situation = self.situation();
        self.prober.set_demand(demand, &situation);
        self.prober.update(now, &situation);
    }

    /// Whether the sources of what is sent take less than of late: then there are no probes for a while. `apart`, 0 to 1, is another for each viewer, so
    /// that those behind one bottleneck do not probe together once that is over.
    pub fn on_sources(&mut self, now: Instant, calm: bool, apart: f64) {
        self.prober.on_sources(now, calm, apart);
    }

    /// Does what is due: cuts the rate of a silent line, sees to the next probe.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.silence_due().is_some_and(|due| due <= now) {
            self.on_silence(now);
        }
        self.prober.update(now, &self.situation());
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do, or [`poll_probe`](Self::poll_probe) something to tell. Ask that first: what is
    /// due already is told as long as it is not fetched.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let probing = [self.prober.next_at(&self.situation()), self.prober.pending_at()];
        probing.into_iter().flatten().chain(self.silence_due()).min()
    }

    /// What may be sent, all datagrams together.
    pub fn estimate(&self) -> Bitrate {
        let limit = self.loss.limit().or(self.limit());
        self.control.rate().min(limit.unwrap_or(CEILING)).clamp(FLOOR, CEILING)
    }

    /// So many bytes may leave at once: the line was seen to take them, or half of them. 0 while nothing is known of that.
    pub fn at_once(&self, now: Instant) -> usize {
        self.trains.at_once(self.micros(now))
    }

    /// The subscriber is reached another way from now on.
    pub fn on_moved(&mut self) {
        self.trains = Trains::default();
    }

    /// A probe to send now, evenly at its rate: media that waits first, then old packets again, then padding.
    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        let probe = self.prober.poll(now)?;
        self.clusters.begin(probe, self.micros(now));
        Some(probe)
    }

    /// Whether the line is known to carry so much just now, all datagrams together: what was found before it was full says little of what others leave of it.
    pub fn is_confirmed(&self, now: Instant, rate: Bitrate) -> bool {
        let since = |at: Instant| now.saturating_duration_since(at);
        let never_full = self.control.decreased_at().is_none_or(|at| since(at) >= FULL_REMEMBERED);
        let arrives = self.acknowledged.rate().is_some_and(|arrives| arrives >= rate);
        never_full || arrives || self.confirmed.is_some_and(|(at, seen)| seen >= rate && since(at) <= ROOM)
    }

    /// Sees to a probe that confirms a rate, or does not.
    pub fn confirm(&mut self, now: Instant, rate: Bitrate) {
        self.prober.doubt(rate);
        self.prober.update(now, &self.situation());
    }

    /// To the subscriber and back, once that is known.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.or(self.feedback_round_trip)
    }

    /// What it knows, for charts.
    pub fn report(&self) -> EstimatorReport {
        let told =
            |meter: &LossMeter| if self.reports.feedback { meter.fraction() } else { self.reports.loss };
        EstimatorReport {
            estimate: self.estimate(),
            acknowledged: self.acknowledged.rate(),
            loss: told(&self.lost_lately),
            chance_loss: told(&self.lost_by_chance),
            sudden_loss: self.lost_suddenly.fraction_beyond_one(),
            trend: self.trendline.slope() * 1000.0,
            usage: self.trendline.usage(),
            queue: Duration::from_micros(self.queue.latest_micros().unsigned_abs()),
            round_trip: self.round_trip(),
        }
    }

    /// Settles the datagrams that the feedback is about; leaves in `arrivals` those that arrived, in the order they did.
    fn take_in(
        &mut self,
        feedback: &TransportFeedback<'_>,
        reference_us: i64,
        Arrivals(arrivals): &mut Arrivals,
    ) {
        arrivals.clear();
        self.missing = 0;
        self.trains.on_feedback();
        for (number, offset_us) in feedback.arrivals() {
            let Some(number) = self.history.extend(number) else { continue };
            let Some((packet, news)) = self.history.settle(number, offset_us.is_some()) else { continue };
            if number >= self.silence.excused_before && self.silence.blackout.is_none() {
                match news {
                    News::Arrived => self.loss.on_packet(packet.sent_us, packet.bytes, false),
                    News::Missing => {
                        self.missing += 1;
                        self.trains.on_missing(packet.sent_us);
                        self.loss.on_packet(packet.sent_us, packet.bytes, true);
                    }
                    News::ArrivedAfterAll => self.loss.on_recovered(),
                }
            }
            if let Some(offset_us) = offset_us {
                let at_us = reference_us.saturating_add(offset_us);
                let (sent_us, bytes, probe) = (packet.sent_us, packet.bytes, packet.probe);
                arrivals.push(Arrival { sent_us, at_us, bytes, probe });
            }
        }
        arrivals.sort_unstable_by_key(|arrival| (arrival.at_us, arrival.sent_us));
    }

    fn on_heard(&mut self, since_sent_us: i64) {
        let sample = Duration::from_micros(since_sent_us.max(0).unsigned_abs()).min(MAX_ROUND_TRIP);
        // Part of it is the wait for the next feedback, so the shorter ones are truer.
        let smoothed = self.feedback_round_trip.map_or(sample, |former| {
            if sample < former { (former + sample) / 2 } else { (former * 15 + sample) / 16 }
        });
        self.feedback_round_trip = Some(smoothed);
    }

    fn judge(&mut self, now: Instant, now_us: i64) {
        self.loss.update(self.queue_stands());
        let observed = Observed {
            usage: self.trendline.usage(),
            acknowledged: self.acknowledged.rate(),
            sent: self.sent.rate_at(now_us),
            queue_stands: self.queue_stands(),
            round_trip: self.round_trip().unwrap_or(ASSUMED_ROUND_TRIP),
        };
        self.control.update(now, &observed);
        if let Some(limit) = self.loss.limit().filter(|limit| *limit < self.control.rate()) {
            self.control.set(now, limit);
        }
        while let Some(finding) = self.clusters.next_finding() {
            let believed = finding.carried > self.control.rate()
                && observed.usage != Usage::Overuse
                && !self.is_contended(now, &finding);
            if !finding.filled || finding.carried * DOUBTED >= finding.probed {
                self.confirmed = Some((now, finding.carried));
            } else if finding.probed <= self.control.rate()
                && observed.is_application_limited(self.control.rate())
            {
                // No more was asked for than was believed of the line, and it did not come.
                let arrives = observed.acknowledged.unwrap_or(Bitrate::ZERO);
                self.control.set(now, finding.carried.max(arrives).min(self.control.rate()));
            }
            if believed {
                self.control.set(now, finding.carried);
                self.loss.restart();
                if !finding.filled {
                    self.room_until = Some(now + ROOM);
                }
            }
            self.prober.on_finding(&finding, self.control.rate());
        }
        self.clusters.expire(now_us);
        self.prober.update(now, &self.situation());
    }

    /// Whether what a probe carried was taken from others. What fills a line that has been full before may be; who has a large part of it already
    /// gains nothing by that, unless there was room just before.
    fn is_contended(&self, now: Instant, finding: &Finding) -> bool {
        let full_before =
            self.control.decreased_at().is_some() && self.room_until.is_none_or(|until| until < now);
        // Its part is what it has used: a picture's next size may be far above the last, and the estimate with it.
        let used = self.acknowledged.rate().unwrap_or(Bitrate::ZERO).min(self.control.rate());
        finding.filled && full_before && used > finding.carried * 0.6
    }

    /// The line is seen to be much shorter than it ever was: it was full from the beginning, and what was lost then was not lost by chance.
    fn review_chance(&mut self) {
        let Some(least_us) = self.queue.least_micros() else { return };
        let judged_by = *self.chance_judged_by.get_or_insert(least_us);
        if judged_by.saturating_sub(least_us) > LONG_QUEUE_US {
            self.chance_judged_by = Some(least_us);
            self.lost_by_chance = LossMeter::new(BY_CHANCE);
            self.lost_suddenly = LossMeter::new(LATELY);
        }
    }

    /// Nothing known of the delay holds any more.
    fn restart(&mut self) {
        self.grouping = Grouping::default();
        self.trendline.restart();
        self.queue = QueueDelay::default();
        self.chance_judged_by = None;
        self.acknowledged = Throughput::default();
        self.loss.restart();
        self.clusters.clear();
        self.trains = Trains::default();
    }

    fn on_silence(&mut self, now: Instant) {
        let few = std::mem::take(&mut self.silence.datagrams) < TELLING_DATAGRAMS;
        let before = match self.silence.blackout {
            // The last one before a pause may have been lost: that is no sign.
            None if few => return self.silence.since = None,
            None => self.control.rate(),
            Some((before, _)) => before,
        };
        if !few {
            self.control.set(now, self.control.rate() * BLACKOUT_DECREASE);
        }
        self.silence.blackout = Some((before, now + BLACKOUT_INTERVAL));
    }

    fn queue_stands(&self) -> bool {
        self.queue.micros() > LONG_QUEUE_US
    }

    fn situation(&self) -> Situation {
        Situation {
            estimate: self.estimate(),
            normal: self.trendline.usage() == Usage::Normal && self.silence.blackout.is_none(),
            decreased_at: self.control.decreased_at(),
            steady: self.control.steady(),
            heard: self.reports.feedback,
        }
    }

    fn silence_due(&self) -> Option<Instant> {
        let since = self.silence.since?;
        let patience = self.round_trip().map_or(PATIENCE, |round_trip| PATIENCE.max(round_trip * 4));
        Some(self.silence.blackout.map_or(since + patience, |(_, next)| next))
    }

    fn micros(&self, now: Instant) -> i64 {
        i64::try_from(now.saturating_duration_since(self.origin).as_micros()).unwrap_or(i64::MAX)
    }
}

/// Without probes only trying tells what a line carries: the next larger encoding takes three times as much, and must fit with a fifth to spare.
const REACH: f64 = 4.0;
/// Enough for audio and a small layer; the first probes say more before it matters.
const START: Bitrate = Bitrate::kbps(600);
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(100);
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);
/// Without feedback.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer than what a good line's jitter adds to every datagram of a feedback.
const LONG_QUEUE_US: i64 = 80_000;
/// Datagrams.
const LATELY: u32 = 60;
const BY_CHANCE: u32 = 400;
const TELLING_DATAGRAMS: u32 = 5;
const BLACKOUT_DECREASE: f64 = 0.8;
const ROOM: Duration = Duration::from_secs(2);
/// So long after a line was full it may be again.
const FULL_REMEMBERED: Duration = Duration::from_secs(60);
const BLACKOUT_INTERVAL: Duration = Duration::from_millis(500);
