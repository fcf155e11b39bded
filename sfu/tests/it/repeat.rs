//! A client without a retransmission stream: what it asks for comes again as it was, to the byte.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use simmer_sfu::id::{ParticipantId, RoomId, Ssrc};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::rtcp;
use simmer_sfu::sim::{Client, ClientPlan, Mark, PlainContext, PlainTransport, check};
use simmer_sfu::view::{VideoWish, View};
use simmer_sfu::{Limits, Shard, ShardConfig};

#[test]
#[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
fn what_is_sent_again_under_the_same_number_is_the_same_packet() {
    let mut now = Instant::now();
    let config = ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
    let mut shard: Shard<PlainTransport> = Shard::new(config, PlainContext::default(), [1; 32]);
    let mut slot = None;
    for number in 0..2_u16 {
        let participant = ParticipantId(number.into());
        let publishes = if number == 0 { vec![720] } else { Vec::new() };
        let plan =
            ClientPlan { number, publishes, slots: number.into(), feedback: true, ..ClientPlan::default() };
        let sdp = Client::new(plan, address(number)).offer().replace("96 97\r\n", "96\r\n");
        shard.handle_message(now, Command::Join { room: RoomId(1), participant });
        shard.handle_message(now, Command::Offer { participant, request: 0, sdp });
        while let Some(event) = shard.poll_event() {
            let Event::Answered { answer: Ok(answer), .. } = event else { continue };
            assert!(!answer.contains("rtx"));
            let value = |prefix: &str| answer.lines().find_map(|line| line.strip_prefix(prefix));
            slot = value("a=ssrc:").and_then(|line| line.split(' ').next()?.parse().ok()).map(Ssrc);
            let check = check(value("a=ice-ufrag:").expect("a ufrag"));
            shard.handle_datagram(now, address(number), BytesMut::from(&check[..]));
        }
    }
    let publication = simmer_sfu::id::PublicationId { participant: ParticipantId(0), index: 0 };
    let video = vec![VideoWish::new(publication, 720)];
    shard.handle_message(
        now,
        Command::SetView { participant: ParticipantId(1), view: View { video, ..View::default() } },
    );
    now += Duration::from_millis(30);
    shard.handle_timeout(now);
    let mut sent = Vec::new();
    let take =
        |shard: &mut Shard<PlainTransport>, now| {
            let mut media = Vec::new();
            shard.poll_transmit(now, |batch| {
                for (to, run) in batch {
                    let datagrams = run.contents.chunks(run.segment_size).map(<[u8]>::to_vec);
                    media.extend(datagrams.filter(|bytes| {
                        to == address(1) && bytes[0] >= 128 && !(192..224).contains(&bytes[1])
                    }));
                }
            });
            media
        };
    for sequence in 0..10_u16 {
        now += Duration::from_millis(5);
        let mark = Mark {
            publisher: 0,
            encoding: 0,
            frame: 0,
            part: sequence as u8,
            parts: 10,
            key: true,
            temporal: None,
        };
        let header = [[0x80, 96], sequence.to_be_bytes()].concat();
        let packet = [&header[..], &[0; 4], &1_u32.to_be_bytes(), &mark.write(500, 720)].concat();
        shard.handle_datagram(now, address(0), BytesMut::from(&packet[..]));
        sent.extend(take(&mut shard, now));
    }
    assert_eq!(sent.len(), 10);
    // Its report says that the client knows the slot by now: first sendings name it no more.
    let ssrc = slot.expect("a slot");
    now += Duration::from_millis(100);
    let mut report = Vec::new();
    let number = |packet: &[u8]| u64::from(u16::from_be_bytes([packet[2], packet[3]]));
    let block = rtcp::ReportBlock {
        ssrc,
        fraction_lost: 0,
        cumulative_lost: 0,
        highest_sequence: 0,
        jitter: 0,
        last_sender_report: 0,
        delay_since_last: 0,
    };
    rtcp::write_receiver_report(&mut report, Ssrc(9), &[block]);
    rtcp::write_nack(&mut report, Ssrc(9), ssrc, &[number(&sent[3])]);
    shard.handle_datagram(now, address(1), BytesMut::from(&report[..]));
    // More than once, as long as the player waits for nothing.
    let again = take(&mut shard, now);
    assert!(!again.is_empty() && again.iter().all(|packet| *packet == sent[3]), "{again:?}");
}

fn address(number: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], 10_000 + number).into()
}
