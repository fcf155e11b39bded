//! What is kept of a publisher's streams: what came, what is missing, when it arrived.

mod feedback;
mod layer_rates;
mod nack;
mod stream;

#[cfg(test)]
mod tests;

pub use feedback::ArrivalRecorder;
pub use layer_rates::LayerRates;
pub use nack::NackGenerator;
pub use stream::{Arrival, ReceiveStream};
