//! RTP headers: read on the way in, written on the way out.

mod header;
mod sequence;
mod write;

#[cfg(test)]
mod tests;

pub use header::{AudioLevel, ExtensionValues, Place, RtpHeader};
pub use sequence::Extender16;
pub use write::{EgressHeader, LONGEST_DELAY, write_header};
