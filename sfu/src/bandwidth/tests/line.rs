//! A bottleneck: one queue of a rate, a delay, and what goes wrong on it.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// A line that several flows share. Times are in microseconds.
pub(super) struct Line {
    pub(super) rate_bps: u64,
    pub(super) delay_us: i64,
    /// Added to the delay, evenly drawn; order is kept.
    pub(super) jitter_us: i64,
    /// What would wait longer is dropped.
    pub(super) queue_us: i64,
    /// Probability.
    pub(super) loss: f64,
    /// Nothing gets through.
    pub(super) dead: bool,
    /// Sends so much at even pace, heedless of all.
    pub(super) cross_bps: u64,
    rng: ChaCha20Rng,
    free_us: i64,
    last_arrival_us: i64,
    crossed_us: i64,
}

impl Line {
    pub(super) fn new(seed: u64, rate_bps: u64) -> Self {
        Self {
            rate_bps,
            delay_us: 25_000,
            jitter_us: 0,
            queue_us: 300_000,
            loss: 0.0,
            dead: false,
            cross_bps: 0,
            rng: ChaCha20Rng::seed_from_u64(seed),
            free_us: 0,
            last_arrival_us: 0,
            crossed_us: 0,
        }
    }

    /// What waits takes longer or shorter from now on.
    pub(super) fn set_rate(&mut self, now_us: i64, rate_bps: u64) {
        let waiting = self.waiting_us(now_us) as u64;
        self.free_us = now_us + (waiting * self.rate_bps / rate_bps) as i64;
        self.rate_bps = rate_bps;
    }

    pub(super) fn waiting_us(&self, now_us: i64) -> i64 {
        (self.free_us - now_us).max(0)
    }

    /// When it arrives; `None` if it does not.
    pub(super) fn send(&mut self, now_us: i64, bytes: usize) -> Option<i64> {
        self.cross(now_us);
        if self.dead || !self.enqueue(now_us, bytes) || self.rng.random_bool(self.loss) {
            return None;
        }
        let jitter = if self.jitter_us > 0 { self.rng.random_range(0..self.jitter_us) } else { 0 };
        self.last_arrival_us = self.last_arrival_us.max(self.free_us + self.delay_us + jitter);
        Some(self.last_arrival_us)
    }

    fn enqueue(&mut self, now_us: i64, bytes: usize) -> bool {
        if self.waiting_us(now_us) > self.queue_us {
            return false;
        }
        self.free_us = self.free_us.max(now_us) + (bytes as u64 * 8_000_000 / self.rate_bps) as i64;
        true
    }

    fn cross(&mut self, now_us: i64) {
        let Some(gap_us) = (CROSS_BYTES * 8_000_000).checked_div(self.cross_bps) else {
            self.crossed_us = now_us;
            return;
        };
        while self.crossed_us + gap_us as i64 <= now_us {
            self.crossed_us += gap_us as i64;
            self.enqueue(self.crossed_us, CROSS_BYTES as usize);
        }
    }
}

const CROSS_BYTES: u64 = 1000;
