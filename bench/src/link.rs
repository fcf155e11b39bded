//! A network link in one direction, emulated without sockets or clocks: delay, jitter, random and burst loss,
//! changed order, duplication, a rate with a queue. The same seed and the same packets give the same link.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub mod change;
pub mod window;

use window::Window;

/// What a link does to packets. Probabilities are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkConfig {
    /// How long every packet takes.
    pub delay: Duration,
    /// How far a packet's time varies around `delay`, evenly to both sides; it does not change the order.
    pub jitter: Duration,
    /// The share of packets lost independently of each other.
    pub loss: f64,
    /// Loss in bursts, on top of `loss`.
    pub burst: Option<BurstLoss>,
    /// The share of packets that take `reorder_by` longer, so that later ones overtake them.
    pub reorder: f64,
    /// How much longer those take.
    pub reorder_by: Duration,
    /// The share of packets that arrive twice.
    pub duplicate: f64,
    /// Bits per second the link carries; unlimited if none.
    pub rate_bps: Option<u64>,
    /// Bytes that may wait for a link with a rate; what comes to a full queue is dropped.
    pub queue_bytes: u64,
    /// Seeds everything that is left to chance.
    pub seed: u64,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: None,
            reorder: 0.0,
            reorder_by: Duration::from_millis(20),
            duplicate: 0.0,
            rate_bps: None,
            queue_bytes: 150_000,
            seed: 0,
        }
    }
}

/// Loss by the Gilbert-Elliott model: a good state that loses nothing and a bad one that loses a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BurstLoss {
    /// The probability that a packet turns the good state bad.
    pub enter: f64,
    /// The probability that a packet turns the bad state good; a burst lasts `1 / leave` packets on average.
    pub leave: f64,
    /// The share of packets lost in the bad state.
    pub loss: f64,
}

/// What a link has done so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Given to the link.
    pub entered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost in bursts.
    pub lost_in_bursts: u64,
    /// Lost while the link paused.
    pub lost_in_pauses: u64,
    /// Dropped because too much was waiting.
    pub dropped: u64,
    /// Sent twice.
    pub duplicated: u64,
    /// Held back so that others overtake.
    pub reordered: u64,
    /// Handed out, repetitions included.
    pub delivered: u64,
}

/// One direction of a link, carrying packets of type `P`.
#[derive(Debug)]
pub struct Link<P> {
    config: LinkConfig,
    rng: ChaCha8Rng,
    in_bad_state: bool,
    paused_until: Option<Instant>,
    line_free: Option<Instant>,
    last_arrival: Option<Instant>,
    order: u64,
    in_flight: BinaryHeap<Reverse<InFlight<P>>>,
    stats: LinkStats,
    window: Window,
}

impl<P: AsRef<[u8]> + Clone> Link<P> {
    /// An idle link.
    pub fn new(config: LinkConfig) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            config,
            in_bad_state: false,
            paused_until: None,
            line_free: None,
            last_arrival: None,
            order: 0,
            in_flight: BinaryHeap::new(),
            stats: LinkStats::default(),
            window: Window::default(),
        }
    }

    /// What the link does to packets.
    pub fn config(&self) -> LinkConfig {
        self.config
    }

    /// Does this to packets from now on. What waits leaves as was decided when it came; the seed is that of the
    /// beginning.
    pub fn reconfigure(&mut self, config: LinkConfig) {
        self.config = config;
        // A state that nothing leads out of any more would last.
        self.in_bad_state &= config.burst.is_some();
    }

    /// Loses whatever comes before `until`.
    pub fn pause(&mut self, until: Instant) {
        self.paused_until = Some(until);
    }

    /// Gives a packet to the link at `now`.
    pub fn handle(&mut self, now: Instant, packet: P) {
        let len = packet.as_ref().len();
        self.stats.entered += 1;
        self.window.bytes_in += len as u64;
        if self.paused_until.is_some_and(|until| now < until) {
            self.stats.lost_in_pauses += 1;
            self.window.lost += 1;
            return;
        }
        if self.chance(self.config.loss) {
            self.stats.lost += 1;
            self.window.lost += 1;
            return;
        }
        if self.lost_in_burst() {
            self.stats.lost_in_bursts += 1;
            self.window.lost += 1;
            return;
        }
        // Dropped when the queue before the line or the line itself is full: the newest packet goes, `dropped` counts it.
        let Some(leaves) = self.through_queue(now, len) else {
            self.stats.dropped += 1;
            self.window.dropped += 1;
            return;
        };
        // Bounded: a window that nobody takes has its first waits only.
        if self.window.waits.len() < MAX_WAITS {
            self.window.waits.push(leaves.saturating_duration_since(now));
        }
        let copies = 1 + u64::from(self.chance(self.config.duplicate));
        self.stats.duplicated += copies - 1;
        for _ in 0..copies {
            let at = self.arrival(leaves);
            self.order += 1;
            self.in_flight.push(Reverse(InFlight { at, order: self.order, packet: packet.clone() }));
        }
    }

    /// The next packet that has arrived by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<P> {
        if self.in_flight.peek()?.0.at > now {
            return None;
        }
        let Reverse(arrived) = self.in_flight.pop()?;
        self.stats.delivered += 1;
        self.window.bytes_out += arrived.packet.as_ref().len() as u64;
        Some(arrived.packet)
    }

    /// When the next packet arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.peek().map(|next| next.0.at)
    }

    /// What the link has done so far.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// What the link has done since this was asked last. A link that is never asked keeps no more than
    /// `MAX_WAITS` waits.
    pub fn take_window(&mut self) -> Window {
        std::mem::take(&mut self.window)
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random::<f64>() < probability
    }

    fn lost_in_burst(&mut self) -> bool {
        let Some(burst) = self.config.burst else { return false };
        let turns = if self.in_bad_state { burst.leave } else { burst.enter };
        if self.chance(turns) {
            self.in_bad_state = !self.in_bad_state;
        }
        self.in_bad_state && self.chance(burst.loss)
    }

    /// When the packet has passed the queue and the line's rate; none when there is no room.
    fn through_queue(&mut self, now: Instant, len: usize) -> Option<Instant> {
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            return None;
        }
        let Some(rate) = self.config.rate_bps else { return Some(now) };
        let rate = rate.max(1);
        let free = self.line_free.map_or(now, |free| free.max(now));
        let waiting = free.saturating_duration_since(now).as_nanos() * u128::from(rate) / 8_000_000_000;
        if waiting > u128::from(self.config.queue_bytes) {
            return None;
        }
        let takes = len as u128 * 8_000_000_000 / u128::from(rate);
        let leaves = free + Duration::from_nanos(u64::try_from(takes).unwrap_or(u64::MAX));
        self.line_free = Some(leaves);
        Some(leaves)
    }

    fn arrival(&mut self, leaves: Instant) -> Instant {
        let jitter = self.config.jitter.as_nanos() as i64;
        let varied = if jitter > 0 { self.rng.random_range(-jitter..=jitter) } else { 0 };
        let takes = (self.config.delay.as_nanos() as i64).saturating_add(varied).max(0);
        let at = leaves + Duration::from_nanos(takes.unsigned_abs());
        if self.chance(self.config.reorder) {
            self.stats.reordered += 1;
            return at + self.config.reorder_by;
        }
        let at = self.last_arrival.map_or(at, |last| last.max(at));
        self.last_arrival = Some(at);
        at
    }
}

#[derive(Debug)]
struct InFlight<P> {
    at: Instant,
    order: u64,
    packet: P,
}

impl<P> PartialEq for InFlight<P> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<P> Eq for InFlight<P> {}

impl<P> PartialOrd for InFlight<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> Ord for InFlight<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

const MAX_IN_FLIGHT: usize = 65_536;
const MAX_WAITS: usize = 65_536;

#[cfg(test)]
mod tests;
