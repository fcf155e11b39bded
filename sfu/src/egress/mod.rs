//! What makes a subscriber's stream out of a publisher's: choice of encoding and layers, running numbers, one clock, and what can be sent again.

mod clock;
mod frame_munger;
mod history;
mod kept;
mod munger;
mod picture_munger;
mod playout_delay;
mod selector;
mod source_history;

#[cfg(test)]
mod tests;

pub use clock::{SlotClock, SourceClock, WallClock};
pub use frame_munger::FrameMunger;
pub use history::{Copies, Marks, NotAgain, Sent, SentHistory, SourcePacket, Worth};
pub use munger::{Munged, RtpMunger};
pub use picture_munger::PictureMunger;
pub use playout_delay::{Leg, PlayoutDelay, time_to_repair};
pub use selector::{LayerSelector, Selection, Target};
pub use source_history::SourceHistory;
