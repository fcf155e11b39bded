//! A publisher's streams on their way in: which packets are new, which are missing, when each arrived.

mod nack;
mod stream;
mod twcc;

pub use nack::NackGenerator;
pub use stream::{Arrival, ReceiveStream};
pub use twcc::ArrivalRecorder;
