//! Plans in virtual time: what `docs/allocation.md` promises, over several seeds.

mod flow;
mod hostile;
mod line;
mod plans;
mod reports;

use std::time::Instant;

use flow::{Flow, Second};
use line::Line;

use crate::bandwidth::Bitrate;

/// Flows that share a line.
struct World {
    origin: Instant,
    now_us: i64,
    seed: u64,
    line: Line,
    flows: Vec<Flow>,
}

impl World {
    /// One flow on a line of this rate.
    fn new(seed: u64, rate_kbps: u64, demand_kbps: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
        let origin = Instant::now();
        let line = Line::new(seed, rate_kbps * 1000);
        let mut world = Self { origin, now_us: 0, seed, line, flows: Vec::new() };
        world.join(demand_kbps);
        world
    }

    fn join(&mut self, demand_kbps: u64) {
        self.seed += 1000;
        self.flows.push(Flow::new(self.seed, self.origin, self.now_us, Bitrate::kbps(demand_kbps)));
    }

    fn set_rate(&mut self, rate_kbps: u64) {
        self.line.set_rate(self.now_us, rate_kbps * 1000);
    }

    fn tick(&mut self) {
        for flow in &mut self.flows {
            flow.tick(self.origin, self.now_us, &mut self.line);
        }
        self.now_us += 1000;
    }

    fn run_ms(&mut self, ms: i64) {
        for _ in 0..ms {
            self.tick();
        }
    }

    /// Runs until the first flow may send so much; the milliseconds it took, at most `limit_ms`.
    fn run_until(&mut self, limit_ms: i64, reached: impl Fn(u64) -> bool) -> i64 {
        (0..limit_ms)
            .find(|_| {
                self.tick();
                reached(self.flows[0].estimator.estimate().as_bps() / 1000)
            })
            .unwrap_or(limit_ms)
    }

    /// What the first flow may send, in kbit/s.
    fn estimate(&self) -> u64 {
        self.flows[0].estimator.estimate().as_bps() / 1000
    }

    /// The part of a flow's bytes that did not arrive in its last seconds.
    fn lost(&self, flow: usize, seconds: usize) -> f64 {
        let last = self.last(flow, seconds);
        1.0 - arrived_kbps(last) as f64 / sent_kbps(last) as f64
    }

    /// The last seconds of a flow.
    fn last(&self, flow: usize, seconds: usize) -> &[Second] {
        let all = &self.flows[flow].seconds;
        &all[all.len() - seconds..]
    }
}

fn arrived_kbps(seconds: &[Second]) -> u64 {
    seconds.iter().map(|second| second.arrived_bytes as u64).sum::<u64>() * 8 / 1000 / seconds.len() as u64
}

fn sent_kbps(seconds: &[Second]) -> u64 {
    seconds.iter().map(|second| second.sent_bytes as u64).sum::<u64>() * 8 / 1000 / seconds.len() as u64
}

/// The wait on the line that 95 of 100 datagrams did not exceed, in milliseconds.
fn queue_p95_ms(seconds: &[Second]) -> i64 {
    queue_ms(seconds, 95)
}

fn queue_ms(seconds: &[Second], percentile: usize) -> i64 {
    let mut waits: Vec<i64> = seconds.iter().flat_map(|second| second.queue_us.iter().copied()).collect();
    waits.sort_unstable();
    waits[waits.len() * percentile / 100] / 1000
}
