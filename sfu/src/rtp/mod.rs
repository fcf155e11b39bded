//! RTP on the wire: headers read and written, numbers that wrap made to count on.

mod header;
mod sequence;
mod write;

pub use header::{AudioLevel, ExtensionValues, RtpHeader};
pub use sequence::{Extender16, Extender32};
pub use write::{EgressHeader, write_header};
