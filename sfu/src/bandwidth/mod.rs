//! How much a subscriber's line carries, and how what is sent is shared out and paced. `docs/allocation.md` explains it.

mod allocator;
mod bitrate;
mod estimator;
mod pacer;
mod probe;
mod restraint;

pub use allocator::{Claim, Rung, share};
pub use bitrate::Bitrate;
pub use estimator::{BandwidthEstimator, EstimatorReport, Usage};
pub use pacer::Pacer;
pub use probe::{Probe, ProbeId};
pub use restraint::Restraint;
