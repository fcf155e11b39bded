//! RTCP: read without trust, written packet by packet.

mod feedback;
mod parse;
mod write;

#[cfg(test)]
mod tests;

pub use feedback::{Arrivals, TransportFeedback};
pub use parse::{FirEntries, LostSequences, ReportBlock, ReportBlocks, RtcpPacket, datagrams, parse};
pub use write::{SenderInfo, write_cname, write_nack, write_pli, write_receiver_report, write_sender_report};
pub(crate) use write::{begin, end};
