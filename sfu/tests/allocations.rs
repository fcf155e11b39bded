//! The packet path asks the allocator for nothing: what it needs it has kept from before.

use std::time::Duration;

use bytes::BytesMut;
use simmer_sfu::sim::{Broadcast, PlainContext};

/// Eight packets of a picture, thirty pictures a second.
const PACKET_EVERY: Duration = Duration::from_millis(4);

#[test]
fn forwarding_a_packet_allocates_nothing() {
    const PACKETS: u64 = 200;
    const VIEWERS: u64 = 30;
    let mut room = Broadcast::new(VIEWERS as u16, PlainContext::default()).settled();
    let before = room.forwarded();
    let datagrams: Vec<BytesMut> = (0..PACKETS).map(|_| room.datagram()).collect();
    let allocations = allocation_counter::measure(|| {
        for datagram in datagrams {
            room.now += PACKET_EVERY;
            room.receive(datagram);
        }
    });
    assert_eq!(room.forwarded() - before, PACKETS * VIEWERS);
    assert_eq!(allocations.count_total, 0, "{allocations:?}");
}

#[test]
fn receiving_with_all_reports_feedback_and_repairs_allocates_once_in_twelve_packets_at_most() {
    const PACKETS: u64 = 10_000;
    let mut room = Broadcast::new(30, PlainContext::default()).telling().settled();
    let before = room.shard.counters();
    let (mut count, mut heard) = (0, 0);
    for _ in 0..PACKETS {
        room.keep_alive();
        // What the simulated ends allocate to make a packet is not ours; where it is put on its way in is.
        let (packet, replies) = (room.packet(), room.replies());
        heard += replies.len();
        count += allocation_counter::measure(|| {
            let datagram = room.arrive(&packet);
            room.receive(datagram);
            replies.into_iter().for_each(|(from, reply)| room.hear(from, reply));
            room.pass(PACKET_EVERY);
        })
        .count_total;
    }
    let after = room.shard.counters();
    assert_eq!(after.packets_forwarded - before.packets_forwarded, PACKETS * 30);
    assert!(after.packets_retransmitted > before.packets_retransmitted + 1000, "repairs were sent");
    assert!(heard > 10_000, "{heard} replies");
    assert!(count <= PACKETS / 12, "{count} for {PACKETS} packets");
}
