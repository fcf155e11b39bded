//! What the host of a virtual machine takes: time in which the machine had work for a processor and others were given it.

use std::time::Instant;

use crate::measure::{TICK_US, count_processors};

/// What was taken from this machine since it was started, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stolen {
    at: Instant,
    /// Of all processors together.
    us: u64,
    processors: usize,
}

impl Stolen {
    /// By now, in steps of 10 ms; none where the system does not tell.
    pub fn now() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/stat").ok()?, Instant::now())
    }

    /// The share of all processors' time since then that was taken, in percent, 0 to 100.
    fn percent_since(&self, before: &Self) -> f64 {
        let length_us = self.at.saturating_duration_since(before.at).as_micros().max(1) as f64;
        let taken_us = self.us.saturating_sub(before.us) as f64;
        (taken_us * 100.0 / (length_us * self.processors as f64)).min(100.0)
    }

    /// The eighth number, `steal`, of the line of all processors (proc_stat(5)).
    fn parse(stat: &str, at: Instant) -> Option<Self> {
        let all = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: u64 = all.split_whitespace().nth(7)?.parse().ok()?;
        Some(Self { at, us: ticks * TICK_US, processors: count_processors(stat).max(1) })
    }
}

/// The share of all processors' time that was taken between two moments, in percent; none where the system does not tell.
pub fn percent_between(before: Option<Stolen>, after: Option<Stolen>) -> Option<f64> {
    Some(after?.percent_since(&before?))
}

/// Why figures are doubtful that were taken while so many percent of the processors' time were stolen; none where that is little or not known.
pub fn doubt(stolen_percent: Option<f64>) -> Option<String> {
    let percent = stolen_percent.filter(|percent| *percent > DOUBTFUL_PERCENT)?;
    Some(format!(
        "the host of this virtual machine gave {percent:.1} % of its processors' time to others meanwhile: measured times and processor costs are partly its doing"
    ))
}

/// A packet was seen to cost a server a tenth more at 0.9 %, and a quarter more at 1.2 %.
const DOUBTFUL_PERCENT: f64 = 1.0;

#[cfg(test)]
mod tests;
