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
fn receiving_with_all_its_reports_allocates_once_in_twenty_packets_at_most() {
    const PACKETS: u64 = 10_000;
    let mut room = Broadcast::new(30, PlainContext::default()).settled();
    let before = room.forwarded();
    let mut count = 0;
    for _ in 0..PACKETS {
        room.keep_alive();
        // What the simulated publisher allocates to make a packet is not ours.
        let datagram = room.datagram();
        count += allocation_counter::measure(|| {
            room.receive(datagram);
            room.pass(PACKET_EVERY);
        })
        .count_total;
    }
    assert_eq!(room.forwarded() - before, PACKETS * 30);
    assert!(count <= PACKETS / 20, "{count} for {PACKETS} packets");
}
