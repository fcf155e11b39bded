//! Short bursts above the estimate, to see whether the line carries more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::bandwidth::Bitrate;
use crate::bandwidth::cluster::Finding;
use crate::bandwidth::rate_control::CEILING;

/// Which probe a datagram is part of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProbeId(pub u32);

/// A burst to send now, evenly paced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Given back with each datagram of it.
    pub id: ProbeId,
    /// At which rate.
    pub bitrate: Bitrate,
    /// At least so many bytes of UDP payload.
    pub bytes: usize,
    /// In at least so many datagrams.
    pub packets: usize,
}

/// Decides when and how fast to probe.
#[derive(Clone, Debug)]
pub(super) struct Prober {
    demand: Bitrate,
    /// Rates waiting their turn, and for how long each is to be tried.
    pending: VecDeque<(Bitrate, Duration)>,
    /// Not before this may the next one begin.
    free_at: Instant,
    /// When the last one was told to begin.
    last_at: Option<Instant>,
    last_failed: bool,
    /// When the demand rose beyond what was known, and when that was last answered.
    rose: bool,
    /// A rate within the estimate that is to be seen on the line before it is used.
    doubted: Option<Bitrate>,
    /// What the rate was before it dropped, until a probe has tried that; and the one tried last.
    before_drop: Option<Bitrate>,
    tried: Option<Bitrate>,
    normal_since: Option<Instant>,
    /// What is sent takes less than of late, and so may what others send: what would be found until then is not there for long.
    calm: bool,
    calm_until: Option<Instant>,
    next_id: u32,
}

/// What probing goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) estimate: Bitrate,
    /// Usage is normal.
    pub(super) normal: bool,
    pub(super) decreased_at: Option<Instant>,
    /// What the rate was before it began to fall.
    pub(super) steady: Bitrate,
    /// The receiver sends feedback, so that probes show results.
    pub(super) heard: bool,
}

impl Prober {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            demand: Bitrate::ZERO,
            pending: VecDeque::with_capacity(4),
            free_at: now,
            last_at: None,
            last_failed: false,
            rose: false,
            doubted: None,
            before_drop: None,
            tried: None,
            normal_since: None,
            calm: false,
            calm_until: None,
            next_id: 1,
        }
    }

    /// See [`BandwidthEstimator::set_demand`](crate::bandwidth::BandwidthEstimator::set_demand).
    pub(super) fn set_demand(&mut self, demand: Bitrate, situation: &Situation) {
        let first = self.demand == Bitrate::ZERO && self.last_at.is_none() && self.pending.is_empty();
        let rose = demand > self.demand * 1.25 && demand > situation.estimate * 1.25;
        self.demand = demand;
        if first && demand > Bitrate::ZERO {
            for factor in FIRST_PROBES {
                self.push(situation.estimate * factor, situation.estimate);
            }
        } else if rose {
            self.rose = true;
        }
    }

    /// Is to see whether the line carries a rate that is believed of it, as soon as there may be a probe.
    pub(super) fn doubt(&mut self, rate: Bitrate) {
        self.doubted = Some(rate);
    }

    /// See [`BandwidthEstimator::on_sources`](crate::bandwidth::BandwidthEstimator::on_sources).
    pub(super) fn on_sources(&mut self, now: Instant, calm: bool, apart: f64) {
        if calm != self.calm {
            self.calm_until =
                Some(now + if calm { LONGEST_CALM } else { APART.mul_f64(apart.clamp(0.0, 1.0)) });
        }
        self.calm = calm;
    }

    /// A probe showed what the line carries, and the rate went there or was there.
    pub(super) fn on_finding(&mut self, finding: &Finding, rate: Bitrate) {
        self.last_failed = finding.carried < rate;
        if finding.carried >= finding.probed * GOOD_RESULT && !finding.filled {
            self.push(finding.carried * 2.0, rate);
        }
    }

    /// Feedback returned after a blackout: is the rate what it was?
    pub(super) fn on_return(&mut self, before: Bitrate, estimate: Bitrate) {
        self.pending.clear();
        self.push(before, estimate);
    }

    /// Sees whether it is time for a probe.
    pub(super) fn update(&mut self, now: Instant, situation: &Situation) {
        if situation.normal {
            self.normal_since.get_or_insert(now);
        } else {
            self.normal_since = None;
            self.pending.clear();
        }
        if self.doubted.is_some_and(|rate| rate > self.demand) {
            self.doubted = None;
        }
        let dropped = situation.estimate < situation.steady * LARGE_DROP;
        if dropped && self.tried != Some(situation.steady) {
            self.before_drop = Some(situation.steady);
        }
        if self.next_at(situation).is_none_or(|at| at > now) {
            return;
        }
        let mut rate = situation.estimate * 2.0;
        if let Some(before) = self.before_drop.take() {
            self.tried = Some(before);
            rate = rate.max(before * AFTER_DROP);
        }
        self.rose = false;
        match self.doubted.take() {
            Some(doubted) => self.pending.push_back((doubted * DOUBTED, LONG_PROBE_TIME)),
            None => self.push(rate, situation.estimate),
        }
    }

    /// When [`update`](Self::update) has something to do.
    pub(super) fn next_at(&self, situation: &Situation) -> Option<Instant> {
        let wanting = self.demand.min(CEILING) > situation.estimate * ENOUGH || self.doubted.is_some();
        if !wanting || !situation.heard || !self.pending.is_empty() {
            return None;
        }
        let mut at =
            self.normal_since? + if self.before_drop.is_some() { CALM_AFTER_DROP } else { Duration::ZERO };
        if let Some(until) = self.calm_until {
            at = at.max(until);
        }
        if let Some(decreased_at) = situation.decreased_at {
            at = at.max(decreased_at + CALM);
        }
        let pause = match (self.rose, self.last_failed) {
            (true, _) => RISE_PAUSE,
            (false, false) => PAUSE,
            (false, true) => PAUSE_AFTER_FAILURE,
        };
        Some(self.last_at.map_or(at, |last| at.max(last + pause)))
    }

    /// When [`poll`](Self::poll) has the next one.
    pub(super) fn pending_at(&self) -> Option<Instant> {
        (!self.pending.is_empty()).then_some(self.free_at)
    }

    /// The next probe to send.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Probe> {
        if now < self.free_at {
            return None;
        }
        let (bitrate, time) = self.pending.pop_front()?;
        let time = if (self.next_id as usize) <= FIRST_PROBES.len() { FIRST_PROBE_TIME } else { time };
        let bytes = bitrate.bytes_in(time).max(MIN_BYTES);
        let id = ProbeId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        self.last_at = Some(now);
        self.free_at = now + bitrate.time_for(bytes) + BETWEEN;
        // Until it shows a result.
        self.last_failed = true;
        Some(Probe { id, bitrate, bytes, packets: MIN_PACKETS })
    }

    fn push(&mut self, rate: Bitrate, estimate: Bitrate) {
        let rate = rate.min(self.demand * ABOVE_DEMAND).min(CEILING);
        let highest = self.pending.iter().map(|&(rate, _)| rate).max().unwrap_or(estimate);
        if rate > highest.max(estimate) * 1.05 && self.pending.len() < MAX_PENDING {
            self.pending.push_back((rate, PROBE_TIME));
        }
    }
}

/// More is wished for than a little above the estimate, or there is no use for a probe beyond it.
const ENOUGH: f64 = 1.05;
/// So much more is tried than what was doubted: what comes of it on a line that others use too is then no more than what they leave.
pub(super) const DOUBTED: f64 = 1.15;
/// 3 x and 6 x the starting rate.
const FIRST_PROBES: [f64; 2] = [3.0, 6.0];
/// A result that is so much of the rate probed asks for the next step.
const GOOD_RESULT: f64 = 0.7;
const ABOVE_DEMAND: f64 = 1.25;
const LARGE_DROP: f64 = 0.66;
const AFTER_DROP: f64 = 0.85;
const CALM_AFTER_DROP: Duration = Duration::from_secs(2);
/// After a decrease.
const CALM: Duration = Duration::from_secs(1);
/// A source that takes less for longer will go on so.
const LONGEST_CALM: Duration = Duration::from_secs(3);
/// Those who waited for the same probe one after the other.
const APART: Duration = Duration::from_millis(600);
const RISE_PAUSE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(3);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(4);
/// Of the first ones, which may meet a slow line.
const FIRST_PROBE_TIME: Duration = Duration::from_millis(15);
/// More than a frame's time, so that it meets what others send.
const PROBE_TIME: Duration = Duration::from_millis(35);
/// What decides about a picture's size is to meet several of their pictures.
const LONG_PROBE_TIME: Duration = Duration::from_millis(80);
/// So that the line has time to drain between two.
const BETWEEN: Duration = Duration::from_millis(20);
const MIN_BYTES: usize = 4000;
const MIN_PACKETS: usize = 5;
const MAX_PENDING: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn while_its_sources_are_calm_a_line_is_not_probed_but_not_for_ever() {
        let origin = Instant::now();
        let at = |ms: u64| origin + Duration::from_millis(ms);
        let estimate = Bitrate::kbps(600);
        let situation =
            Situation { estimate, normal: true, decreased_at: None, steady: estimate, heard: true };
        let next = |calm: &[(u64, bool)]| {
            let mut prober = Prober::new(origin);
            prober.set_demand(Bitrate::kbps(2000), &situation);
            while prober.poll(at(0)).is_some() || prober.poll(at(1000)).is_some() {}
            prober.update(at(1000), &situation);
            calm.iter().for_each(|&(ms, calm)| prober.on_sources(at(ms), calm, 0.5));
            prober.next_at(&situation)
        };
        assert_eq!(next(&[]), Some(at(5000)), "four seconds after the last that found nothing");
        assert_eq!(next(&[(4000, true), (4500, true)]), Some(at(7000)));
        assert_eq!(
            next(&[(4000, true), (6000, false), (6100, false)]),
            Some(at(6300)),
            "the viewer's own time later"
        );
        assert_eq!(next(&[(1000, true), (2000, false)]), Some(at(5000)));
    }
}
