//! RTCP on the wire: compound packets read and written.

mod parse;
mod write;

#[cfg(test)]
mod tests;

pub use parse::{
    Blocks, FirEntries, FirEntry, LostSequences, Packets, ReportBlock, RtcpPacket, Ssrcs, parse,
};
pub(crate) use write::{FEEDBACK_TRANSPORT, begin, finish};
pub use write::{
    SenderInfo, datagrams, write_bye, write_cname, write_nack, write_pli, write_receiver_report,
    write_sender_report,
};
