//! New ICE credentials by a fragment, without an offer.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;
use simmer_sfu::id::{ParticipantId, RoomId};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::sdp::OfferError;
use simmer_sfu::sim::{Client, ClientPlan, PlainContext, PlainTransport, check};
use simmer_sfu::{Limits, Shard, ShardConfig};

const WHO: ParticipantId = ParticipantId(1);
const RESTART: &str = "a=ice-ufrag:anew\r\na=ice-pwd:anewanewanewanewanewanew\r\n";

fn joined() -> (Shard<PlainTransport>, Instant) {
    let config = ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
    let mut shard = Shard::new(config, PlainContext::default(), [1; 32]);
    let now = Instant::now();
    shard.handle_message(now, Command::Join { room: RoomId(1), participant: WHO });
    (shard, now)
}

fn answer(shard: &mut Shard<PlainTransport>, wanted: u64) -> Result<String, OfferError> {
    while let Some(event) = shard.poll_event() {
        if let Event::Answered { participant: WHO, request, answer } = event {
            assert_eq!(request, wanted);
            return answer;
        }
    }
    panic!("no answer")
}

fn ufrag(text: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("an ufrag").to_owned()
}

/// Whether a check to `ufrag` from `port` is answered.
fn reaches(shard: &mut Shard<PlainTransport>, now: Instant, ufrag: &str, port: u16) -> bool {
    let from: SocketAddr = ([127, 0, 0, 1], port).into();
    shard.handle_datagram(now, from, BytesMut::from(&check(ufrag)[..]));
    let mut replies = 0;
    shard.poll_transmit(now, |batch| replies += batch.filter(|(to, _)| *to == from).count());
    replies > 0
}

#[test]
fn a_fragment_with_new_credentials_restarts_ice_and_nothing_else() {
    let (mut shard, now) = joined();
    let restart = |request, fragment: &str| Command::RestartIce {
        participant: WHO,
        request,
        fragment: fragment.to_owned(),
    };
    shard.handle_message(now, restart(1, RESTART));
    assert!(matches!(answer(&mut shard, 1), Err(OfferError::Discontinuous { .. })), "there is nothing yet");

    let plan = ClientPlan { number: 0, publishes: vec![720], slots: 1, parts: 1, ..ClientPlan::default() };
    let sdp = Client::new(plan, ([127, 0, 0, 1], 10_000).into()).offer();
    shard.handle_message(now, Command::Offer { participant: WHO, request: 2, sdp: sdp.clone() });
    let before = ufrag(&answer(&mut shard, 2).expect("an answer"));
    assert!(reaches(&mut shard, now, &before, 10_000));
    while shard.poll_event().is_some() {}

    shard.handle_message(now, restart(3, RESTART));
    let fragment = answer(&mut shard, 3).expect("a fragment");
    let after = ufrag(&fragment);
    assert_ne!(before, after);
    assert!(fragment.contains(" 127.0.0.1 7443 typ host\r\n"));
    assert!(reaches(&mut shard, now, &after, 10_001));
    assert_eq!(shard.counters().publications, 1);
    assert!(shard.poll_event().is_none(), "what is published goes on, unsaid");

    shard.handle_message(now, restart(4, RESTART));
    assert_eq!(answer(&mut shard, 4), Ok(fragment), "the same credentials again change nothing");
    for broken in ["a=ice-ufrag:anew\r\n", "a=end-of-candidates\r\n", "hello"] {
        shard.handle_message(now, restart(5, broken));
        assert!(matches!(answer(&mut shard, 5), Err(OfferError::Malformed { .. })), "{broken}");
    }
    assert!(reaches(&mut shard, now, &after, 10_001), "as it was before");

    // An offer that still has the credentials before the restart is one more restart.
    shard.handle_message(now, Command::Offer { participant: WHO, request: 6, sdp });
    assert_ne!(ufrag(&answer(&mut shard, 6).expect("an answer")), after);
}
