//! What makes a subscriber's stream out of a publisher's: choice of encoding, running numbers, one clock, and what can be sent again.

mod clock;
mod history;
mod munger;
mod selector;
mod vp8_munger;

#[cfg(test)]
mod tests;

pub use clock::{SlotClock, SourceClock};
pub use history::{Marks, NotAgain, Sent, SentHistory, SourceHistory, SourcePacket};
pub use munger::{Munged, RtpMunger};
pub use selector::{LayerSelector, Selection};
pub use vp8_munger::Vp8Munger;
