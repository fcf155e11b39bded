//! How much a subscriber's line carries, and how what is sent is shared out and paced. `docs/allocation.md` explains it.
//!
//! [`BandwidthEstimator`] puts together: `history` and `arrival_clock` make samples of what feedback tells; `throughput` says what arrives,
//! `grouping` and `trendline` whether a queue grows, `queue` how long it is, `rate_control` what follows from it, `loss` whether loss says
//! otherwise; `probe` and `cluster` try for more; `trains` says what may leave at once. [`share`] splits the estimate among pictures, [`Restraint`] keeps them from changing all the
//! time, [`Pacer`] spreads what is sent.

mod allocator;
mod arrival_clock;
mod bitrate;
mod cluster;
mod estimator;
mod grouping;
mod history;
mod loss;
mod pacer;
mod probe;
mod queue;
mod rate_control;
mod restraint;
mod throughput;
mod trains;
mod trendline;

#[cfg(test)]
mod tests;

pub use allocator::{Claim, Rung, share};
pub use bitrate::Bitrate;
pub use estimator::{Arrivals, BandwidthEstimator, EstimatorReport, Usage};
pub use pacer::Pacer;
pub use probe::{Probe, ProbeId};
pub use restraint::Restraint;

const MICROS_PER_SECOND: i64 = 1_000_000;
