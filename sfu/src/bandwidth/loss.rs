//! Whether loss comes from sending too much.

use std::collections::VecDeque;

use crate::bandwidth::Bitrate;

/// Compares two explanations of the loss seen: chance, at any rate; or a limit, and chance besides.
#[derive(Clone, Debug, Default)]
pub(super) struct LossControl {
    open: Interval,
    observations: VecDeque<Observation>,
    limit: Option<Bitrate>,
    max_chance: f64,
}

/// What is being observed.
#[derive(Clone, Copy, Default, Debug)]
struct Interval {
    /// When the first and the last datagram left.
    sent_us: Option<(i64, i64)>,
    bytes: u64,
    packets: u32,
    lost: u32,
}

#[derive(Clone, Copy, Debug)]
struct Observation {
    /// What was sent, in bits per second.
    sent: f64,
    lost: f64,
    arrived: f64,
}

impl LossControl {
    /// A datagram's fate is known.
    pub(super) fn on_packet(&mut self, sent_us: i64, bytes: u32, lost: bool) {
        let open = &mut self.open;
        let (first, last) = open.sent_us.unwrap_or((sent_us, sent_us));
        open.sent_us = Some((first.min(sent_us), last.max(sent_us)));
        open.bytes = open.bytes.saturating_add(bytes.into());
        open.packets = open.packets.saturating_add(1);
        open.lost = open.lost.saturating_add(lost.into());
    }

    /// One thought lost arrived after all.
    pub(super) fn on_recovered(&mut self) {
        if self.open.lost > 0 {
            self.open.lost -= 1;
        } else if let Some(last) = self.observations.back_mut().filter(|last| last.lost >= 1.0) {
            last.lost -= 1.0;
            last.arrived += 1.0;
        }
    }

    /// Forgets what was seen: the line is another.
    pub(super) fn restart(&mut self) {
        self.observations.clear();
        (self.open, self.limit) = (Interval::default(), None);
    }

    /// What loss allows; `None` where it is no sign of sending too much.
    pub(super) fn limit(&self) -> Option<Bitrate> {
        self.limit
    }

    /// The part lost lately, 0 to 1.
    pub(super) fn fraction(&self) -> f64 {
        let (lost, all) = self.weighed().fold((0.0, 0.0), |(lost, all), (weight, seen)| {
            (lost + weight * seen.lost, all + weight * (seen.lost + seen.arrived))
        });
        if all > 0.0 { lost / all } else { 0.0 }
    }

    /// After each feedback: judges when an interval is complete. Where a long queue stands on the line, next to nothing is ascribed to chance.
    pub(super) fn update(&mut self, queue_stands: bool) {
        self.max_chance = if queue_stands { MAX_CHANCE_WITH_QUEUE } else { MAX_CHANCE };
        let open = &self.open;
        let Some((first, last)) = open.sent_us else { return };
        let span_us = last.saturating_sub(first);
        if span_us < INTERVAL_US || open.packets < MIN_PACKETS {
            return;
        }
        let (lost, all) = (f64::from(open.lost), f64::from(open.packets));
        // The last datagram's time is not in the span.
        let bytes = open.bytes as f64 * (all - 1.0) / all;
        let sent = bytes * 8e6 / span_us as f64;
        self.open = Interval::default();
        if self.observations.len() == OBSERVATIONS {
            self.observations.pop_front();
        }
        self.observations.push_back(Observation { sent, lost, arrived: all - lost });
        self.judge();
    }

    fn judge(&mut self) {
        self.limit = None;
        if self.fraction() < NO_LOSS {
            return;
        }
        let chance = self.explain(f64::INFINITY);
        let arrived = self.arrived_in_lossy();
        let best = CANDIDATES
            .iter()
            .map(|part| part * arrived)
            .map(|limit| (limit, self.explain(limit)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((limit, likelihood)) = best
            && likelihood > chance + MUCH_LIKELIER
        {
            self.limit = Some(Bitrate::bps(limit as u64));
        }
    }

    /// What arrived, on average, while more than usual was lost.
    fn arrived_in_lossy(&self) -> f64 {
        let usual = self.fraction();
        let lossy = self.weighed().filter(|(_, seen)| seen.lost >= usual * (seen.lost + seen.arrived));
        let (sum, weights) = lossy.fold((0.0, 0.0), |(sum, weights), (weight, seen)| {
            let rate = seen.sent * seen.arrived / (seen.lost + seen.arrived);
            (sum + weight * rate, weights + weight)
        });
        if weights > 0.0 { sum / weights } else { 0.0 }
    }

    /// How well a limit explains what was seen, with the chance of loss that fits best to it (by expectation maximisation): the log-likelihood.
    fn explain(&self, limit: f64) -> f64 {
        let mut chance: f64 = START_CHANCE;
        for _ in 0..ROUNDS {
            let (by_chance, all) = self.weighed().fold((0.0, 0.0), |(by_chance, all), (weight, seen)| {
                let lost = loss_at(seen.sent, limit, chance);
                (by_chance + weight * seen.lost * chance / lost, all + weight * (seen.lost + seen.arrived))
            });
            chance = (by_chance / all).clamp(MIN_CHANCE, self.max_chance);
        }
        let likelihood = self.weighed().map(|(weight, seen)| {
            let lost = loss_at(seen.sent, limit, chance);
            weight * (seen.lost * lost.ln() + seen.arrived * (1.0 - lost).ln())
        });
        // Where a lower limit and less chance explain as much, they are it.
        likelihood.sum::<f64>() - CHANCE_COST * chance
    }

    /// The newest weighs most.
    fn weighed(&self) -> impl Iterator<Item = (f64, &Observation)> {
        let weights = std::iter::successors(Some(1.0), |weight| Some(weight * FADING));
        weights.zip(self.observations.iter().rev())
    }
}

/// The part lost of the last datagrams.
#[derive(Clone, Copy, Debug)]
pub(super) struct LossMeter {
    arrived: u32,
    lost: u32,
    /// So many count; the older half of them is forgotten at once.
    remembered: u32,
}

impl LossMeter {
    pub(super) fn new(remembered: u32) -> Self {
        Self { arrived: 0, lost: 0, remembered }
    }

    /// So many arrived and were lost.
    pub(super) fn on_feedback(&mut self, arrived: u32, lost: u32) {
        self.arrived = self.arrived.saturating_add(arrived);
        self.lost = self.lost.saturating_add(lost);
        if self.arrived.saturating_add(self.lost) > self.remembered {
            (self.arrived, self.lost) = (self.arrived / 2, self.lost / 2);
        }
    }

    /// 0 to 1. Of fewer than half of those that count nothing much is concluded.
    pub(super) fn fraction(&self) -> f64 {
        self.part(self.lost)
    }

    /// The same, as if one had not been lost: of few, one says nothing.
    pub(super) fn fraction_beyond_one(&self) -> f64 {
        self.part(self.lost.saturating_sub(1))
    }

    fn part(&self, lost: u32) -> f64 {
        let all = self.arrived.saturating_add(self.lost).max(self.remembered / 2);
        if all == 0 { 0.0 } else { f64::from(lost) / f64::from(all) }
    }
}

/// The part lost of what is sent at a rate.
fn loss_at(sent: f64, limit: f64, chance: f64) -> f64 {
    let above = ((sent - limit) / sent).max(0.0);
    (chance + (1.0 - chance) * above).min(0.999)
}

const INTERVAL_US: i64 = 250_000;
const MIN_PACKETS: u32 = 10;
const OBSERVATIONS: usize = 20;
const FADING: f64 = 0.9;
/// Less loss is nothing to explain.
const NO_LOSS: f64 = 0.01;
/// Of what arrives when more than usual is lost.
const CANDIDATES: [f64; 6] = [0.8, 0.9, 0.95, 1.0, 1.05, 1.1];
/// Of log-likelihood.
const MUCH_LIKELIER: f64 = 4.0;
const CHANCE_COST: f64 = 10.0;
const START_CHANCE: f64 = 0.05;
const MIN_CHANCE: f64 = 0.0005;
/// More is not ascribed to chance.
const MAX_CHANCE: f64 = 0.2;
const MAX_CHANCE_WITH_QUEUE: f64 = 0.02;
const ROUNDS: usize = 6;

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha20Rng;

    use super::*;

    /// Sends at the given rates, a second each, over a line that loses by chance and above a limit; the limits concluded.
    fn run(seed: u64, rates_kbps: &[u64], chance: f64, limit_kbps: u64) -> Vec<Option<u64>> {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut control = LossControl::default();
        let (mut at_us, mut concluded) = (0, Vec::new());
        for &rate in rates_kbps {
            let above = 1.0 - (limit_kbps as f64 / rate as f64).min(1.0);
            let packets = rate * 1000 / 8 / 1000;
            for _ in 0..packets {
                at_us += 1_000_000 / packets as i64;
                control.on_packet(at_us, 1000, rng.random_bool(chance + (1.0 - chance) * above));
                control.update(false);
            }
            concluded.push(control.limit().map(|limit| limit.as_bps() / 1000));
        }
        concluded
    }

    #[test]
    fn chance_is_no_limit() {
        for seed in 0..20 {
            for chance in [0.02, 0.05, 0.1, 0.15] {
                let rates = [1000, 1100, 1200, 1300, 2000, 2500, 2400, 2600, 2500, 2500];
                let limits = run(seed, &rates, chance, 100_000);
                let wrong = limits.iter().flatten().count();
                assert!(wrong <= 1, "seed {seed}, chance {chance}: {limits:?}");
            }
        }
    }

    #[test]
    fn a_limit_is_found_by_what_exceeds_it() {
        for seed in 0..20 {
            for chance in [0.0, 0.05] {
                let limits = run(seed, &[800, 860, 930, 1000, 1100, 1200], chance, 900);
                let found: Vec<_> = limits.iter().flatten().collect();
                assert!(!found.is_empty(), "seed {seed}, chance {chance}: {limits:?}");
                let near = found.iter().all(|found| (700..1000).contains(*found));
                assert!(near, "seed {seed}, chance {chance}: {limits:?}");
            }
        }
    }

    #[test]
    fn great_loss_is_a_limit_at_once() {
        for seed in 0..20 {
            let limits = run(seed, &[2500, 2500], 0.0, 600);
            let [Some(first), Some(second)] = limits[..] else { panic!("seed {seed}: {limits:?}") };
            assert!(first < 800 && (420..780).contains(&second), "seed {seed}: {limits:?}");
        }
    }

    #[test]
    fn a_meter_tells_of_the_last_datagrams() {
        let mut meter = LossMeter::new(400);
        meter.on_feedback(5, 5);
        assert!(meter.fraction() < 0.05, "ten say little");
        (0..200).for_each(|_| meter.on_feedback(8, 2));
        assert!((0.19..0.21).contains(&meter.fraction()), "{}", meter.fraction());
        (0..60).for_each(|_| meter.on_feedback(10, 0));
        assert!(meter.fraction() < 0.07, "{}", meter.fraction());
        meter.on_feedback(u32::MAX, u32::MAX);
        assert!(meter.fraction() < 0.51);
        assert_eq!(LossMeter::new(0).fraction(), 0.0);
    }

    #[test]
    fn of_few_datagrams_one_that_is_lost_says_nothing() {
        let after = |lost| {
            let mut meter = LossMeter::new(60);
            meter.on_feedback(50 - lost, lost);
            meter.fraction_beyond_one()
        };
        assert_eq!([0, 1, 2, 6].map(after), [0.0, 0.0, 0.02, 0.1]);
    }
}
