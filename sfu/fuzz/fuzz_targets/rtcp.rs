#![no_main]
//! Any bytes as a compound: reading ends, within bounds; what is cut for sending is what was there.

use libfuzzer_sys::fuzz_target;
use simmer_sfu::id::Ssrc;
use simmer_sfu::rtcp::{self, RtcpPacket};

fuzz_target!(|data: &[u8]| {
    for packet in rtcp::parse(data) {
        match packet {
            RtcpPacket::SenderReport { blocks, .. } | RtcpPacket::ReceiverReport { blocks } => {
                let blocks: Vec<_> = blocks.collect();
                assert!(blocks.len() <= 31);
                let mut written = Vec::new();
                rtcp::write_receiver_report(&mut written, Ssrc(1), &blocks);
                let read: Vec<_> = rtcp::parse(&written)
                    .flat_map(|packet| match packet {
                        RtcpPacket::ReceiverReport { blocks } => blocks.collect::<Vec<_>>(),
                        _ => Vec::new(),
                    })
                    .collect();
                assert_eq!(read, blocks);
            }
            RtcpPacket::Nack { lost, .. } => assert!(lost.count() <= data.len() / 4 * 17),
            RtcpPacket::Fir { entries } => assert!(entries.count() <= data.len() / 8),
            RtcpPacket::TransportFeedback(feedback) => {
                // All it promises is there.
                assert_eq!(feedback.arrivals().count(), usize::from(feedback.statuses()));
            }
            _ => {}
        }
    }
    let sent: usize = rtcp::datagrams(data, 100).map(<[u8]>::len).sum();
    assert!(sent <= data.len());
});
