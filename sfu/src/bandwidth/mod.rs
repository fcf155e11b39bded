//! How much a subscriber's line carries, and how what is sent is shared out and paced.

mod bitrate;

pub use bitrate::Bitrate;
