//! What the steps of a packet's way cost, each on its own. `make bench-steps` runs them; `docs/performance.md` tells how to read them.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use divan::Bencher;
use divan::counter::ItemsCount;
use simmer_sfu::egress::{Copies, Marks, RtpMunger, Sent, SentHistory, Worth};
use simmer_sfu::id::Ssrc;
use simmer_sfu::ingress::ArrivalRecorder;
use simmer_sfu::rtcp;
use simmer_sfu::sim::{Broadcast, PlainContext};
use simmer_sfu::transport::{KeyingMaterial, Opener, Profile, Sealer};

fn main() {
    divan::main();
}

const PROFILES: [Profile; 2] = [Profile::AeadAes128Gcm, Profile::Aes128CmSha1];
/// Of a packet's payload.
const BYTES: usize = 1100;

/// A packet of the stream 7 with this number.
fn packet(sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    let mut packet = vec![0x80, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 7];
    packet.resize(12 + BYTES, 0x55);
    packet
}

fn keys(profile: Profile) -> KeyingMaterial {
    KeyingMaterial::split(profile, &vec![7; KeyingMaterial::len(profile)]).expect("the right length")
}

/// Seals one packet.
#[divan::bench(args = PROFILES)]
fn seal(bencher: Bencher<'_, '_>, profile: Profile) {
    let provider = rtc_crypto::default_provider().expect("a provider");
    let mut sealer = Sealer::new(provider.crypto(), &keys(profile), false).expect("a cipher");
    let plain = packet(1);
    let mut buffer = Vec::with_capacity(2048);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        buffer.clear();
        buffer.extend_from_slice(&plain);
        sealer.rtp(&mut buffer, 0, 12, 0)
    });
}

/// Opens one packet; each is new, or it would be a repetition.
#[divan::bench(args = PROFILES)]
fn open(bencher: Bencher<'_, '_>, profile: Profile) {
    let provider = rtc_crypto::default_provider().expect("a provider");
    let mut sealer = Sealer::new(provider.crypto(), &keys(profile), true).expect("a cipher");
    let mut opener = Opener::new(provider.crypto(), &keys(profile), false, 4).expect("a cipher");
    let mut sequence: u64 = 0;
    bencher
        .counter(ItemsCount::new(1_u32))
        .with_inputs(|| {
            sequence += 1;
            let mut sealed = packet(sequence as u16);
            sealer.rtp(&mut sealed, 0, 12, (sequence >> 16) as u32);
            BytesMut::from(&sealed[..])
        })
        .bench_local_values(|mut datagram| assert!(opener.rtp(&mut datagram)));
}

/// A picture of eight packets from one publisher to so many viewers, routed, renumbered, written and sealed: all but the system's part. Counted by
/// packets that leave.
#[divan::bench(args = [10, 100, 200], sample_count = 50, sample_size = 20)]
fn forward(bencher: Bencher<'_, '_>, viewers: u16) {
    broadcast(bencher, viewers, PlainContext::sealing(Profile::AeadAes128Gcm).expect("a provider"));
}

/// The same without sealing.
#[divan::bench(args = [10, 100, 200], sample_count = 50, sample_size = 20)]
fn route_and_write(bencher: Bencher<'_, '_>, viewers: u16) {
    broadcast(bencher, viewers, PlainContext::default());
}

fn broadcast(bencher: Bencher<'_, '_>, viewers: u16, context: PlainContext) {
    let mut room = Broadcast::new(viewers, context).settled();
    bencher.counter(ItemsCount::new(8 * u32::from(viewers))).bench_local(|| {
        room.keep_alive();
        let picture = [(); 8].map(|()| room.datagram());
        room.receive_burst(picture);
        room.pass(Duration::from_millis(33));
    });
}

/// Reads a report about so many packets, of which one in eight is missing.
#[divan::bench(args = [10, 100])]
fn read_transport_feedback(bencher: Bencher<'_, '_>, packets: u16) {
    let report = transport_feedback(packets);
    bencher.counter(ItemsCount::new(packets)).bench_local(|| {
        rtcp::parse(black_box(&report))
            .map(|packet| match packet {
                rtcp::RtcpPacket::TransportFeedback(feedback) => feedback.arrivals().count(),
                _ => 0,
            })
            .sum::<usize>()
    });
}

fn transport_feedback(packets: u16) -> Vec<u8> {
    let mut recorder = ArrivalRecorder::default();
    let mut now = Instant::now();
    let mut report = Vec::new();
    recorder.on_packet(now, 0, Ssrc(7));
    recorder.poll(now + Duration::from_secs(1), Ssrc(1), &mut report);
    for number in (1..=packets).filter(|number| number % 8 != 0) {
        now += Duration::from_millis(1);
        recorder.on_packet(now, number, Ssrc(7));
    }
    report.clear();
    recorder.poll(now + Duration::from_secs(1), Ssrc(1), &mut report);
    report
}

/// Reads a request for eight packets.
#[divan::bench]
fn read_nack(bencher: Bencher<'_, '_>) {
    let mut request = Vec::new();
    rtcp::write_nack(&mut request, Ssrc(1), Ssrc(7), &[10, 11, 12, 20, 30, 40, 50, 60]);
    bencher.counter(ItemsCount::new(8_u32)).bench_local(|| {
        rtcp::parse(black_box(&request))
            .map(|packet| match packet {
                rtcp::RtcpPacket::Nack { lost, .. } => lost.count(),
                _ => 0,
            })
            .sum::<usize>()
    });
}

/// Finds eight packets that a viewer lacks among those sent in the last second.
#[divan::bench]
fn look_up_for_repair(bencher: Bencher<'_, '_>) {
    let began = Instant::now();
    let copies = Copies { first: 1, later: 1 };
    let filled = || {
        let mut history = SentHistory::default();
        (0..256).for_each(|number| history.on_sent(began, sent(FIRST_CYCLE + number), BYTES));
        history
    };
    bencher.counter(ItemsCount::new(8_u32)).with_inputs(filled).bench_local_values(|mut history| {
        let now = began + Duration::from_millis(50);
        let mut find = |number: u16| history.resend(now, number, Duration::ZERO, copies, true).is_ok();
        let found = (1..=8).filter(|place| find(black_box(place * 30))).count();
        assert_eq!(found, 8);
        history
    });
}

fn sent(sequence: u64) -> Sent {
    Sent {
        encoding: 0,
        source_sequence: sequence,
        sequence,
        timestamp: 0,
        marker: false,
        picture: None,
        frame_number: None,
        empty: false,
        redundant: false,
        worth: Worth::Link,
        marks: Marks::default(),
    }
}

/// Gives a packet its viewer's sequence number and timestamp.
#[divan::bench]
fn munge(bencher: Bencher<'_, '_>) {
    let mut munger = RtpMunger::new(1000);
    let mut sequence = FIRST_CYCLE;
    munger.switch_to(sequence, 0, 90_000);
    bencher.bench_local(|| {
        sequence += 1;
        munger.forward(black_box(sequence), black_box(sequence as u32))
    });
}

/// Extended sequence numbers begin in cycle 1.
const FIRST_CYCLE: u64 = 65_536;
