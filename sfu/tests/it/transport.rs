//! The real transport against a full peer connection, in memory and in virtual time.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rtc::sansio::Protocol;
use simmer_sfu::Limits;
use simmer_sfu::message::{Data, DisconnectReason};
use simmer_sfu::sdp::DtlsRole;
use simmer_sfu::transport::{Incoming, RtcTransport, SendDataError, Transport, TransportEvent};
use std::net::SocketAddr;
use std::time::Duration;

use crate::call::*;

#[test]
fn media_flows_both_ways_with_whichever_profile_is_best() {
    // The tag and trailer lengths of the profiles differ in RTCP, GCM 20 bytes and AES-CM 14.
    for (profiles, tag, trailer) in
        [(vec![CM, GCM256, GCM128], 16, 20), (vec![CM, GCM256], 16, 20), (vec![CM], 10, 14)]
    {
        let mut call = Call::new(Setup { profiles: profiles.clone(), ..Default::default() });
        assert_eq!(call.transport.destination(), None);
        call.connect();
        assert_eq!(call.transport.destination(), Some(call.client_address));
        let payload: Vec<u8> = (0..1200_u32).map(|at| at as u8).collect();
        for sequence in 0..50 {
            call.publish(sequence, &payload);
            call.step();
        }
        call.until(Duration::from_secs(1), "client's packets", |call| call.rtp.len() == 50);
        assert!(
            call.rtp.iter().all(|packet| packet.ends_with(&payload) && packet.len() < payload.len() + 60)
        );

        for sequence in 0..50_u16 {
            let mut packet = vec![0x80, call.payload_type];
            packet.extend(sequence.to_be_bytes());
            packet.extend(9_u32.to_be_bytes());
            packet.extend(SLOT.to_be_bytes());
            // The VP8 payload descriptor, then a frame header that is enough for a receiver to take it.
            packet.extend(&payload);
            let before = packet.len();
            call.transport.seal_rtp(&mut packet, 0, 12, 0);
            assert_eq!(packet.len(), before + tag);
            call.deliver_down(&packet);
            call.step();
        }
        call.until(Duration::from_secs(1), "our packets", |call| call.client_rtp.len() == 50);
        assert!(call.client_rtp.iter().all(|packet| packet.payload == payload), "{profiles:?}");

        let feedback = rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication {
            sender_ssrc: PUBLISHED,
            media_ssrc: SLOT,
        };
        let (now, sender) = (call.now, call.sender);
        let packets: Vec<Box<dyn rtcp::Packet>> = vec![Box::new(feedback)];
        call.client.rtp_sender(sender).expect("sender").write_rtcp(now, packets).expect("written");
        let expected = [&[0x81, 206, 0, 2][..], &PUBLISHED.to_be_bytes(), &SLOT.to_be_bytes()].concat();
        call.until(Duration::from_secs(1), "client's RTCP", |call| {
            call.rtcp.iter().any(|packet| packet[..] == expected)
        });

        // A NACK of packet 7 that the client understands makes it send that again, which we know already.
        assert_eq!(call.transport.counters(), Default::default());
        let header = [0x81, 205, 0, 3];
        let plain = [&header[..], &SLOT.to_be_bytes(), &PUBLISHED.to_be_bytes(), &[0, 7, 0, 0]].concat();
        let mut packet = plain.clone();
        call.transport.seal_rtcp(&mut packet, 0);
        assert_eq!(packet.len(), plain.len() + trailer);
        call.deliver_down(&packet);
        call.until(Duration::from_secs(1), "a retransmission", |call| {
            call.transport.counters().replayed == 1
        });
    }
}

#[test]
fn connected_is_said_once_and_nothing_is_sealed_before() {
    let mut call = Call::new(Setup::default());
    let mut buffer = vec![7; 40];
    call.transport.seal_rtp(&mut buffer, 20, 12, 0);
    assert_eq!(buffer, [7; 20]);
    call.transport.seal_rtcp(&mut buffer, 5);
    assert_eq!(buffer, [7; 5]);
    call.connect();
    for _ in 0..2000 {
        call.step();
    }
    assert_eq!(call.events.iter().filter(|event| **event == TransportEvent::Connected).count(), 1);
    assert_eq!(call.closed(), None);
}

#[test]
fn either_side_may_start_dtls() {
    let mut call = Call::new(Setup { role: DtlsRole::Client, ..Default::default() });
    let channel = call.connect_with_channel();
    call.echo(channel, "ping");
    call.publish(1, b"0123456789");
    call.until(Duration::from_secs(1), "packet", |call| call.rtp.len() == 1);
}

#[test]
fn ice_restarts_under_a_living_connection() {
    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    call.client.restart_ice();
    let offer = call.client.create_offer(None).expect("an offer");
    call.client.set_local_description(call.now, offer.clone()).expect("local");
    call.restarts = 1;
    let remote = offered_credentials(&offer.sdp);
    assert_ne!(remote.ufrag, "");
    call.transport.restart_ice(call.now, credentials(1), remote);
    call.client_address.set_port(5001);
    let address = call.client_address;
    add_candidate(&mut call.client, address);
    call.answer(&offer.sdp);
    call.bound.clear();
    call.until(Duration::from_secs(10), "checked anew", |call| {
        call.bound.iter().any(|ufrag| ufrag == b"sfuU1")
    });
    call.until(Duration::from_secs(10), "nominated anew", |call| {
        call.transport.destination() == Some(address)
    });
    for _ in 0..8000 {
        call.step();
    }
    assert_eq!(call.closed(), None);
    call.echo(channel, "after the restart");
    call.publish(1, b"0123456789");
    call.until(Duration::from_secs(1), "packet", |call| call.rtp.len() == 1);
}

#[test]
fn a_certificate_that_was_not_announced_is_refused() {
    for role in [DtlsRole::Server, DtlsRole::Client] {
        let mut call = Call::new(Setup { wrong_fingerprint: true, role, ..Default::default() });
        call.until(Duration::from_secs(5), "refused", |call| call.closed().is_some());
        assert_eq!(call.events, [TransportEvent::Closed(DisconnectReason::FingerprintMismatch)]);
        assert_eq!(call.transport.destination(), None);
        assert_eq!(call.transport.poll_timeout(), None);
    }
}

#[test]
fn consent_ends_when_the_checks_do() {
    let mut call = Call::new(Setup::default());
    call.connect();
    let checks = call.bound.len();
    call.until(Duration::from_secs(10), "a check", |call| call.bound.len() > checks);
    let last = call.now;
    while let Some(at) = call.transport.poll_timeout() {
        assert!(at <= last + Limits::default().consent);
        call.now = call.now.max(at);
        call.transport.handle_timeout(call.now);
        while call.transport.poll_transmit(call.now).is_some() {}
    }
    assert_eq!(call.now, last + Limits::default().consent);
    call.drain();
    assert_eq!(call.closed(), Some(DisconnectReason::ConsentExpired));
    assert_eq!(call.transport.destination(), None);
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let limits = Limits { handshake: Duration::from_secs(8), ..Default::default() };
    let mut call = Call::new(Setup { loss: Some((1.0, 0)), limits, ..Default::default() });
    call.until(Duration::from_secs(10), "given up", |call| call.closed().is_some());
    assert_eq!(call.closed(), Some(DisconnectReason::HandshakeFailed));
}

#[test]
fn the_end_is_told_in_both_directions() {
    let mut call = Call::new(Setup::default());
    call.connect_with_channel();
    call.client.close().expect("closed");
    call.until(Duration::from_secs(2), "told", |call| call.closed().is_some());
    assert_eq!(call.closed(), Some(DisconnectReason::Closed));

    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    call.events.clear();
    call.transport.close(call.now);
    let before = call.sent;
    call.drain();
    assert!(call.sent >= before + 2, "an ABORT and a close_notify");
    assert_eq!(call.events, []);
    assert_eq!(call.transport.poll_timeout(), None);
    assert_eq!(
        call.transport.send_data(call.now, channel, &Data::Text(Bytes::new())),
        Err(SendDataError::Closed)
    );
}

/// How long the handshakes of forty seeds took, in order; those given up on are left out.
fn handshakes(role: DtlsRole, loss: f64) -> Vec<Duration> {
    let mut took: Vec<Duration> = (0..40)
        .filter_map(|seed| {
            let mut call = Call::new(Setup { loss: Some((loss, seed)), role, ..Default::default() });
            let from = call.now;
            call.until(Limits::default().handshake + Duration::from_secs(1), "an end", |call| {
                let connected = call.events.contains(&TransportEvent::Connected) && call.client_connected;
                connected || call.client_failed || call.closed().is_some()
            });
            let took = call.now - from;
            if call.client_failed || call.closed().is_some() {
                let reason = call.closed().unwrap_or(DisconnectReason::HandshakeFailed);
                assert_eq!(reason, DisconnectReason::HandshakeFailed, "{role:?} {loss} {seed}");
                return None;
            }
            call.loss = None;
            let channel = call.connect_with_channel();
            call.echo(channel, "after all");
            Some(took)
        })
        .collect();
    took.sort_unstable();
    took
}

#[test]
fn a_handshake_gets_through_whatever_is_lost_of_it() {
    // The client under test repeats its flights once a second and gives up at the eighth time, so that is where a handshake ends at the
    // latest; our first repetition comes after a quarter of one.
    let bounds = [(0.0, 500), (0.1, 3000), (0.2, 5000), (0.3, 7000)];
    for (loss, longest) in bounds {
        let took = handshakes(DtlsRole::Server, loss);
        let p95 = *took.get(37).expect("38 of 40 get through");
        assert!(p95 <= Duration::from_millis(longest), "{loss}: {p95:?}");
    }
    // With the parts changed the server under test falls silent now and then, and the handshake has its end.
    for (loss, longest) in [(0.0, 1500), (0.1, 4000), (0.2, 8000), (0.3, 12_000)] {
        let took = handshakes(DtlsRole::Client, loss);
        let p90 = *took.get(35).expect("36 of 40 get through");
        assert!(p90 <= Duration::from_millis(longest), "{loss}: {p90:?}");
    }
}

#[test]
fn strangers_get_no_reply() {
    let mut call = Call::new(Setup::default());
    let stranger: SocketAddr = "192.0.2.9:999".parse().expect("an address");
    call.until(Duration::from_secs(2), "a check and a hello", |call| {
        !call.bound.is_empty() && !call.dtls.is_empty()
    });
    let hello = call.dtls.first().expect("a hello").clone();
    assert_eq!(call.transport.handle_datagram(call.now, stranger, &mut hello.clone()), Incoming::Nothing);
    call.connect();

    // Checks and more of another participant.
    let mut other = Call::new(Setup::default());
    let mut checks = 0;
    for _ in 0..20 {
        other.now += TICK;
        other.run_client();
        while let Some(message) = other.client.poll_write() {
            checks += usize::from(RtcTransport::addressed_ufrag(&message.message).is_some());
            let mut datagram = message.message;
            assert_eq!(call.transport.handle_datagram(call.now, stranger, &mut datagram), Incoming::Nothing);
        }
    }
    assert!(checks > 0);
    call.publish(1, b"0123456789");
    while let Some(message) = call.client.poll_write() {
        let mut datagram = message.message;
        if RtcTransport::addressed_ufrag(&datagram).is_none() {
            assert_eq!(call.transport.handle_datagram(call.now, stranger, &mut datagram), Incoming::Nothing);
        }
    }
    assert_eq!(call.transport.poll_transmit(call.now), None);
    assert_eq!(call.transport.destination(), Some(call.client_address));
}

#[test]
fn a_client_that_moves_keeps_its_connection() {
    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    call.client_address.set_port(6000);
    call.until(Duration::from_secs(15), "followed", |call| {
        call.transport.destination() == Some(call.client_address)
    });
    call.echo(channel, "from elsewhere");
}

#[test]
fn nonsense_of_every_length_and_first_byte_is_survived() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut connected = Call::new(Setup::default());
    let channel = connected.connect_with_channel();
    let mut handshaking = Call::new(Setup::default());
    handshaking.until(Duration::from_secs(2), "a check", |call| !call.bound.is_empty());
    let stranger: SocketAddr = "192.0.2.9:999".parse().expect("an address");
    for first in 0..=u8::MAX {
        for length in 0..=300_usize {
            let mut datagram: Vec<u8> = (0..length).map(|_| rng.random()).collect();
            if let Some(byte) = datagram.first_mut() {
                *byte = first;
            }
            if rng.random_bool(0.5) && is_dtls(&datagram) && length > 13 {
                // A true record header, so that the body is looked at.
                let body = (length as u16 - 13).to_be_bytes();
                let header = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, body[0], body[1]];
                datagram[..13].copy_from_slice(&header);
            }
            for (call, from) in [(&mut connected, stranger), (&mut handshaking, stranger)] {
                let mut datagram = BytesMut::from(&datagram[..]);
                assert_eq!(call.transport.handle_datagram(call.now, from, &mut datagram), Incoming::Nothing);
                assert_eq!(call.transport.poll_transmit(call.now), None, "{datagram:?}");
            }
            for call in [&mut connected, &mut handshaking] {
                let address = call.client_address;
                let mut datagram = BytesMut::from(&datagram[..]);
                assert_eq!(
                    call.transport.handle_datagram(call.now, address, &mut datagram),
                    Incoming::Nothing
                );
            }
            assert_eq!(connected.transport.poll_transmit(connected.now), None, "{datagram:?}");
        }
    }
    connected.step();
    assert_eq!(connected.closed(), None);
    connected.echo(channel, "still here");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What a client's handshake looks like, with a few bytes changed on the way.
    #[test]
    fn a_mutated_handshake_is_survived(seed in any::<u64>()) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut call = Call::new(Setup::default());
        for _ in 0..200 {
            call.now += TICK;
            call.run_client();
            while let Some(message) = call.client.poll_write() {
                let mut datagram = message.message;
                if is_dtls(&datagram) && rng.random_bool(0.3) {
                    for _ in 0..rng.random_range(1..4) {
                        let at = rng.random_range(0..datagram.len());
                        datagram[at] = rng.random();
                    }
                }
                call.deliver_up(datagram);
            }
            if call.transport.poll_timeout().is_some_and(|at| at <= call.now) {
                call.transport.handle_timeout(call.now);
            }
            call.drain();
        }
    }
}
