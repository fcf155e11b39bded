//! A participant's line down: how much it carries, what waits for it, and what leaves at the next turn.
//!
//! Most packets are written and sealed at once. Video beyond the pacer's budget waits as a reference to the source packet, and is written when its
//! turn comes, so that its transport-wide number and its time of sending are those of the wire.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::bandwidth::{BandwidthEstimator, Bitrate, EstimatorReport, Pacer, Probe, Usage};
use crate::egress::{Sent, SourcePacket};
use crate::ingress::RateMeter;
use crate::shard::carried::{Carried, Packet};
use crate::shard::outbox::Outbox;

/// What goes down to one participant.
pub(super) struct Downlink {
    pub(super) outbox: Outbox,
    pub(super) carried: Carried,
    /// From the first packet that carries a transport-wide number on, or the first report.
    estimator: Option<Box<BandwidthEstimator>>,
    /// What was sent before there was an estimator.
    unmeasured: RateMeter,
    /// What could be spent at the last decision about what to send.
    allocated: Bitrate,
    tries_until: Option<Instant>,
    /// When a queue was growing last.
    overuse: Option<Instant>,
    /// Since when not even the least of what is shown fits.
    short_since: Option<Instant>,
    /// What is shown when the line was seen to carry this.
    awaited: Option<Bitrate>,
    /// Everything is sent as wished, and the line carries a good deal more.
    satisfied: bool,
    /// From the first feedback on: before it there is nothing to pace by.
    pacer: Option<Pacer>,
    /// Repairs wait in front of everything else.
    repairs: VecDeque<Waiting>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// The most that waited at once since memory was given back last.
    most_waiting: usize,
    /// More waits than should: the first leaves whether it has its turn or not.
    overflows: bool,
    /// What repairs take.
    repair_rate: RateMeter,
    /// When the first that waits may leave.
    turn: Option<Instant>,
    next_number: u64,
    /// When the first packet that the estimator counts was sent.
    first_sent: Option<Instant>,
    probing: Option<Probing>,
    packets: u64,
    bytes: u64,
}

/// A probe under way.
#[derive(Clone, Copy)]
struct Probing {
    probe: Probe,
    began: Instant,
    next: Instant,
    bytes: usize,
    packets: usize,
}

/// A packet that waits for its turn.
pub(super) struct Waiting {
    /// It was sent before.
    pub(super) repair: bool,
    /// Index of its slot.
    pub(super) slot: usize,
    pub(super) packet: SourcePacket,
    pub(super) sent: Sent,
}

impl Downlink {
    pub(super) fn new() -> Self {
        Self {
            outbox: Outbox::default(),
            carried: Carried::default(),
            estimator: None,
            unmeasured: RateMeter::default(),
            allocated: Bitrate::MAX,
            tries_until: None,
            overuse: None,
            short_since: None,
            awaited: None,
            satisfied: false,
            pacer: None,
            repairs: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            most_waiting: 0,
            overflows: false,
            repair_rate: RateMeter::default(),
            turn: None,
            next_number: FIRST_CYCLE,
            first_sent: None,
            probing: None,
            packets: 0,
            bytes: 0,
        }
    }

    /// So many bytes were a repair.
    pub(super) fn count_repair(&mut self, now: Instant, bytes: usize) {
        self.repair_rate.on_packet(now, bytes);
    }

    /// What the line is believed to carry; [`Bitrate::MAX`] when the client says nothing of it.
    fn estimate(&self, now: Instant) -> Bitrate {
        let Some(estimator) = &self.estimator else { return Bitrate::MAX };
        let silent = !estimator.is_told() && self.has_sent_for(now, SILENT);
        if silent { Bitrate::MAX } else { estimator.estimate() }
    }

    /// What may be spent on pictures and sounds, of which a decision is made now: the estimate without what repairs take.
    pub(super) fn begin_allocation(&mut self, now: Instant) -> Bitrate {
        self.allocated = self.spendable(now);
        self.awaited = None;
        // Repairs come in waves: the next one is not foretold by more than this.
        self.allocated - self.repair_rate.present(now).min(self.allocated * MOST_FOR_REPAIRS)
    }

    /// The estimate without what the line needs to get rid of its queue.
    fn spendable(&self, now: Instant) -> Bitrate {
        self.estimate(now) * self.for_new(now)
    }

    /// Whether a repair is not sent now though it may be: behind a long queue of ours the key frame of what is shown now is waited for, not what came
    /// before it (`past`); and what repairs wait already is enough. Who still lacks it then asks again.
    pub(super) fn lets_wait(&self, now: Instant, past: bool) -> bool {
        let waiting = || self.repairs.iter().map(|waiting| waiting.packet.payload.len()).sum::<usize>();
        self.is_draining(now) && (past || waiting() > self.estimate(now).bytes_in(REPAIRS_WAIT))
    }

    /// A long queue of ours stands on the line.
    fn is_draining(&self, now: Instant) -> bool {
        self.for_new(now) < 1.0
    }

    /// Of what the line carries, the part that is for what is sent from now on: a long queue that has just grown has to go first.
    fn for_new(&self, now: Instant) -> f64 {
        let grew = self.overuse.is_some_and(|last| now.saturating_duration_since(last) < OURS);
        let queue = self.estimator_report().map(|report| report.queue).filter(|_| grew);
        let too_long = queue.unwrap_or_default().saturating_sub(SHORT_QUEUE);
        1.0 - (too_long.as_secs_f64() / DRAINED_WITHIN.as_secs_f64()).min(MOST_FOR_QUEUE)
    }

    /// What may go on of `shown`, which is sent now: all of it while nothing tells of trouble, or what waits on the line is soon gone, else what arrives,
    /// with a little for the measuring's own error.
    pub(super) fn sustained(&self, now: Instant, shown: Bitrate) -> Bitrate {
        let Some(report) = self.estimator_report().filter(|report| report.loss < LOSSY) else {
            return Bitrate::ZERO;
        };
        let limit = self.estimator.as_ref().and_then(|estimator| estimator.limit());
        let shown = shown.min(limit.unwrap_or(Bitrate::MAX));
        let calm = self.overuse.is_none_or(|last| now.saturating_duration_since(last) >= CALM);
        if self.queue_by_now(shown) <= SHORT_QUEUE || calm && !self.is_draining(now) {
            shown
        } else {
            shown.min(report.acknowledged.unwrap_or(Bitrate::ZERO) * 1.03 * self.for_new(now))
        }
    }

    /// What waits on the line. What feedback tells is past: a queue that grows is longer by now, unless all of `shown`, which is sent, arrives: then it is a
    /// burst that is over.
    fn queue_by_now(&self, shown: Bitrate) -> Duration {
        let Some(report) = self.estimator_report() else { return Duration::ZERO };
        let arrives = report.acknowledged.is_none_or(|arrives| arrives >= shown * MOST);
        if report.usage != Usage::Overuse || arrives {
            return report.queue;
        }
        let since = report.round_trip.unwrap_or(Duration::ZERO) + FEEDBACK;
        report.queue + since.mul_f64((report.trend / 1000.0).clamp(0.0, 1.0))
    }

    /// Whether so much of `shown` waits on the line that what is to replace it has come before all of that is seen: sending more of it would only let it
    /// come later.
    pub(super) fn is_clogged(&self, shown: Bitrate) -> bool {
        self.queue_by_now(shown) >= LONG_QUEUE
    }

    /// Whether the least of what is shown, which is `least`, goes on though `budget` does not pay for it: for a while it does. Others who fill the line
    /// let everything on it come late, and a pause is worse than what it would save. It goes on for good where most of it arrives and nothing waits on the
    /// line: then what is lost is lost by chance, and a pause saves nothing. It ends at once where `sound` is lost with it.
    pub(super) fn endures(&mut self, now: Instant, least: Bitrate, budget: Bitrate, sound: Bitrate) -> bool {
        let report = self.estimator_report();
        let by_chance = report.is_some_and(|report| {
            report.queue <= SHORT_QUEUE && report.acknowledged.is_some_and(|arrives| arrives >= least * MUCH)
        });
        if budget >= least || by_chance {
            self.short_since = None;
            return budget < least;
        }
        !self.drowns(sound) && now.saturating_duration_since(*self.short_since.get_or_insert(now)) < ENDURANCE
    }

    /// Whether `sound` is lost behind a long queue.
    fn drowns(&self, sound: Bitrate) -> bool {
        let full = |report: EstimatorReport| report.queue >= LONG_QUEUE && report.loss > 0.0;
        sound > Bitrate::ZERO && self.estimator_report().is_some_and(full)
    }

    /// Whether so much may be sent, which is more than now. What is not known of the line for certain is found out: then the decision is reviewed.
    pub(super) fn carries(&mut self, now: Instant, rate: Bitrate) -> bool {
        let Some(estimator) = &mut self.estimator else { return true };
        let carries = estimator.is_confirmed(now, rate);
        if !carries {
            estimator.confirm(now, rate);
        }
        self.awaited = (!carries).then_some(rate);
        carries
    }

    /// Whether the first picture is shown whatever the estimate says: every now and then during a long pause, since a line on which nothing is
    /// sent says nothing of itself. It ends early where `sound` is lost by it.
    pub(super) fn tries(&mut self, now: Instant, paused_since: Option<Instant>, sound: Bitrate) -> bool {
        if paused_since.is_some_and(|since| now.saturating_duration_since(since) >= LONG_PAUSE) {
            self.tries_until = Some(now + TRY);
        } else if self.drowns(sound) {
            self.tries_until = None;
        }
        self.tries_until.is_some_and(|until| now < until)
    }

    /// The decision lets everything be sent as wished, and that is so much.
    pub(super) fn end_allocation(&mut self, satisfied: bool, demand: Bitrate) {
        self.satisfied = satisfied && demand * AMPLE <= self.allocated;
    }

    /// Whether another decision is due: the estimate has moved, and not from ample to ample.
    pub(super) fn is_to_review(&self, now: Instant, at_tick: bool) -> bool {
        let (then, estimate) = (self.allocated, self.spendable(now));
        if self.satisfied && estimate >= then {
            return false;
        }
        if let (Some(rate), Some(estimator)) = (self.awaited, &self.estimator)
            && estimator.is_confirmed(now, rate)
        {
            return true;
        }
        at_tick && !self.satisfied || estimate < then * 0.98 || estimate > then * 1.02
    }

    /// The client is reached another way from now on: what is known of its line is a guess once more.
    pub(super) fn moved(&mut self) {
        if let Some(estimator) = &mut self.estimator {
            estimator.on_moved();
        }
        self.first_sent = None;
        self.tries_until = None;
        self.overuse = None;
        self.short_since = None;
    }

    /// Whether the estimate stands on feedback, and on more than the first moments, unless `sound` is lost in those already.
    pub(super) fn is_known(&self, now: Instant, sound: Bitrate) -> bool {
        self.is_told() && (self.has_sent_for(now, FIRST_MOMENTS) || self.drowns(sound))
    }

    fn is_told(&self) -> bool {
        self.estimator.as_ref().is_some_and(|estimator| estimator.is_told())
    }

    /// Whether packets carry transport-wide numbers.
    fn is_numbered(&self) -> bool {
        self.next_number > FIRST_CYCLE
    }

    fn has_sent_for(&self, now: Instant, time: Duration) -> bool {
        self.first_sent.is_some_and(|first| now.saturating_duration_since(first) >= time)
    }

    /// Packets and bytes sent in all, and bytes that wait.
    pub(super) fn totals(&self) -> (u64, u64, usize) {
        (self.packets, self.bytes, self.waiting_bytes)
    }

    pub(super) fn estimator_report(&self) -> Option<EstimatorReport> {
        self.estimator.as_ref().map(|estimator| estimator.report())
    }

    /// The estimator, if there is one.
    pub(super) fn estimator(&mut self) -> Option<&mut BandwidthEstimator> {
        self.estimator.as_deref_mut()
    }

    /// The estimator, made when there is none: the client tells of its line.
    pub(super) fn measured(&mut self, now: Instant) -> &mut BandwidthEstimator {
        self.estimator.get_or_insert_with(|| {
            let sent = self.unmeasured.present(now);
            Box::new(BandwidthEstimator::new(now).beginning_at(now, sent))
        })
    }

    /// What would be sent if the line carried everything. Nothing tells how a probe without numbers fared, so there is none.
    pub(super) fn set_demand(&mut self, now: Instant, demand: Bitrate) {
        if self.is_numbered()
            && let Some(estimator) = &mut self.estimator
        {
            estimator.set_demand(now, demand);
        }
    }

    /// The pacer follows the estimate.
    pub(super) fn follow_estimate(&mut self, now: Instant) {
        let measures = |estimator: &&BandwidthEstimator| estimator.report().acknowledged.is_some();
        let Some(estimator) = self.estimator.as_deref().filter(measures) else { return };
        if estimator.report().usage == Usage::Overuse {
            self.overuse = Some(now);
        }
        let (estimate, at_once) = (estimator.estimate(), estimator.at_once(now));
        let pacer = self.pacer.get_or_insert_with(|| Pacer::new(now, estimate));
        pacer.set_estimate(now, estimate);
        pacer.set_at_once(at_once);
    }

    /// Whether video may be written now: nothing waits before it and the pacer lets it.
    #[inline]
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        let Some(pacer) = &mut self.pacer else { return true };
        self.waiting.is_empty() && self.repairs.is_empty() && pacer.budget(now) > 0
    }

    /// Whether a repair may be written now.
    pub(super) fn has_room_to_repair(&mut self, now: Instant) -> bool {
        let Some(pacer) = &mut self.pacer else { return true };
        self.repairs.is_empty() && pacer.budget(now) > 0
    }

    /// Keeps a packet until its turn.
    pub(super) fn hold(&mut self, now: Instant, waiting: Waiting) {
        self.waiting_bytes += waiting.packet.payload.len();
        let queue = if waiting.repair { &mut self.repairs } else { &mut self.waiting };
        queue.push_back(waiting);
        self.most_waiting = self.most_waiting.max(queue.len());
        // More than this no pacer brings down in time: what is too much is for the allocation to end, not for the queue to hold.
        self.overflows = self.waiting_bytes > MOST_WAITING;
        self.plan_turn(now);
    }

    /// Gives back memory that was not needed since this was called last.
    pub(super) fn trim(&mut self) {
        let most = std::mem::take(&mut self.most_waiting);
        for queue in [&mut self.repairs, &mut self.waiting] {
            // Room for half as much again is kept, or it would come and go.
            if most.max(queue.len()) * 2 < queue.capacity() {
                queue.shrink_to(most * 3 / 2);
            }
        }
    }

    /// More waits than should.
    pub(super) fn overflows(&self) -> bool {
        self.overflows
    }

    /// The next packet whose turn it is; with `all` whether it is or not.
    pub(super) fn release(&mut self, now: Instant, all: bool) -> Option<Waiting> {
        let may = all
            || std::mem::take(&mut self.overflows)
            || self.pacer.as_mut().is_none_or(|pacer| pacer.budget(now) > 0);
        let next = if may { self.repairs.pop_front().or_else(|| self.waiting.pop_front()) } else { None };
        match &next {
            Some(next) => self.waiting_bytes -= next.packet.payload.len(),
            None => self.plan_turn(now),
        }
        next
    }

    fn plan_turn(&mut self, now: Instant) {
        let queued = self.waiting_bytes;
        self.turn = match &mut self.pacer {
            Some(pacer) if queued > 0 => pacer.next(now, queued),
            _ => None,
        };
    }

    /// Writes one datagram that leaves at the next turn. With `numbered` it carries a transport-wide number, which `build` is given.
    #[inline]
    pub(super) fn send(
        &mut self,
        now: Instant,
        numbered: bool,
        build: impl FnOnce(&mut Vec<u8>, usize, u16),
    ) -> usize {
        let number = self.next_number;
        let size = self.outbox.push(|buffer, start| {
            build(buffer, start, number as u16);
            true
        });
        self.packets += 1;
        self.bytes += size as u64;
        if numbered {
            self.next_number += 1;
            self.first_sent.get_or_insert(now);
            let probe = self.probing.as_mut().map(|probing| {
                probing.bytes += size;
                probing.packets += 1;
                probing.probe.id
            });
            self.measured(now).on_sent(now, number, size, probe);
        } else if let Some(estimator) = &mut self.estimator {
            self.first_sent.get_or_insert(now);
            estimator.on_sent_unnumbered(now, size);
        } else {
            self.unmeasured.on_packet(now, size);
        }
        if let Some(pacer) = &mut self.pacer {
            pacer.on_sent(now, size);
        }
        size
    }

    /// Notes what was sent just now under a transport-wide number.
    #[inline]
    pub(super) fn note(&mut self, number: u16, packet: Packet) {
        let unsettled = self.estimator.as_ref().map_or(0, |estimator| estimator.unsettled());
        self.carried.note(number, packet, unsettled);
    }

    /// Whether a probe, the one under way or the next, lacks something now. What is sent in the meantime is part of it.
    pub(super) fn probe_lacks(&mut self, now: Instant) -> bool {
        if let Some(probing) = &self.probing
            && probing.bytes >= probing.probe.bytes
            && probing.packets >= probing.probe.packets
        {
            self.probing = None;
        }
        if self.probing.is_none()
            && let Some(probe) = self.estimator.as_mut().and_then(|estimator| estimator.poll_probe(now))
        {
            self.probing = Some(Probing { probe, began: now, next: now, bytes: 0, packets: 0 });
        }
        let Some(probing) = &mut self.probing else { return false };
        let due = probing.probe.bitrate.bytes_in(now.saturating_duration_since(probing.began) + PROBE_TURN);
        let lacks = probing.bytes < due;
        if !lacks {
            probing.next = now + PROBE_TURN;
        }
        lacks
    }

    /// There is nothing to fill the probe with.
    pub(super) fn abandon_probe(&mut self) {
        self.probing = None;
    }

    /// When something is due: a packet's turn, a repair's, or the estimator's.
    #[inline]
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let estimator = self.estimator.as_ref()?;
        let probe = self.probing.as_ref().map(|probing| probing.next);
        [self.turn, probe, estimator.poll_timeout(), self.carried.poll_timeout()].into_iter().flatten().min()
    }
}

/// Transport-wide numbers begin in cycle 1, as sequence numbers do.
const FIRST_CYCLE: u64 = 65_536;
/// So long an estimate is a guess.
const FIRST_MOMENTS: Duration = Duration::from_secs(2);
const LONG_PAUSE: Duration = Duration::from_secs(2);
const TRY: Duration = Duration::from_secs(2);
/// A full queue of others is gone by then, and what is left of the line for us is known.
const ENDURANCE: Duration = Duration::from_millis(1500);
/// Of the least that is shown.
const MUCH: f64 = 0.7;
/// Of what is shown.
const MOST: f64 = 0.9;
/// Between two feedbacks.
const FEEDBACK: Duration = Duration::from_millis(100);
/// A key frame takes a round trip to its publisher, and a picture's time.
const LONG_QUEUE: Duration = Duration::from_millis(150);
/// A queue that grows shows within this.
const CALM: Duration = Duration::from_millis(500);
/// Somebody else's burst, or a key frame of our own, makes no longer one.
const SHORT_QUEUE: Duration = Duration::from_millis(80);
/// A queue that has not grown for so long, and still is not gone, is that of others.
const OURS: Duration = Duration::from_secs(2);
/// What is longer than a short one.
const DRAINED_WITHIN: Duration = Duration::from_millis(500);
const MOST_FOR_QUEUE: f64 = 0.5;
const REPAIRS_WAIT: Duration = Duration::from_millis(50);
/// A part of packets lost that no random loss of a usable line explains.
const LOSSY: f64 = 0.1;
const MOST_WAITING: usize = 256 * 1024;
const MOST_FOR_REPAIRS: f64 = 0.1;
/// A client that has said nothing of its line by then will not.
const SILENT: Duration = Duration::from_secs(5);
/// With so much to spare a small change of the estimate is none.
const AMPLE: f64 = 1.5;
/// A probe is filled up so often.
const PROBE_TURN: Duration = Duration::from_millis(2);
