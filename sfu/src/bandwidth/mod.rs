//! How much a subscriber's line carries, and how what is sent is shared out and paced. `docs/allocation.md` explains it.

mod bitrate;
mod estimator;
mod pacer;
mod probe;

pub use bitrate::Bitrate;
pub use estimator::{BandwidthEstimator, EstimatorReport, Usage};
pub use pacer::Pacer;
pub use probe::{Probe, ProbeId};
