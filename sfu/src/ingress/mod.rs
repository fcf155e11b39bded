//! What is kept of a publisher's streams: what came, what is missing, when it arrived.

mod feedback;
mod nack;
mod rate;
mod round_trip;
mod stream;

#[cfg(test)]
mod tests;

pub use feedback::ArrivalRecorder;
pub use nack::NackGenerator;
pub use rate::RateMeter;
pub use round_trip::RoundTrip;
pub use stream::{Arrival, ReceiveStream};
