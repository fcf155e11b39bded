//! What is kept of a publisher's streams: what came, what is missing, when it arrived.

mod feedback;
mod layer_rates;
mod line_quality;
mod nack;
mod rate;
mod stream;

#[cfg(test)]
mod tests;

pub use feedback::ArrivalRecorder;
pub use layer_rates::LayerRates;
pub use line_quality::LineQuality;
pub use nack::NackGenerator;
pub use rate::RateMeter;
pub use stream::{Arrival, ReceiveStream};
