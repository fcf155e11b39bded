//! Data channels on good and bad lines, towards clients that take everything and clients that take nothing.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use simmer_sfu::id::{ParticipantId, RoomId};
use simmer_sfu::message::{Command, Data, Event};
use simmer_sfu::sim::{PlainContext, PlainTransport};
use simmer_sfu::transport::{ChannelId, SendDataError, Transport as _, TransportEvent};
use simmer_sfu::{Limits, Shard, ShardConfig};

use crate::call::{Call, Setup, TICK};

/// What a channel promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Promise {
    InOrder,
    All,
    Nothing,
    /// Within so many milliseconds, or not at all.
    Soon,
}

impl Promise {
    fn init(self) -> RTCDataChannelInit {
        let (max_retransmits, max_packet_life_time) = match self {
            Self::Nothing => (Some(0), None),
            Self::Soon => (None, Some(200)),
            _ => (None, None),
        };
        RTCDataChannelInit {
            ordered: self == Self::InOrder,
            max_retransmits,
            max_packet_life_time,
            ..Default::default()
        }
    }
}

/// A call whose client has one more channel.
fn call_with(promise: Promise) -> (Call, RTCDataChannelId, ChannelId) {
    let mut call = Call::new(Setup::default());
    call.connect_with_channel();
    let id = call.client.create_data_channel("tested", Some(promise.init())).expect("a channel").id();
    call.until(Duration::from_secs(5), "channel open", |call| {
        call.opened().any(|(_, label)| label == "tested")
    });
    let channel = call.opened().find(|(_, label)| *label == "tested").map(|(channel, _)| channel);
    // The opening's own messages are acknowledged by then.
    for _ in 0..100 {
        call.step();
    }
    (call, id, channel.expect("opened"))
}

/// A message that says which one it is. Every tenth is some packets long.
fn message(number: u32) -> Bytes {
    let mut message = number.to_be_bytes().to_vec();
    message.resize(if number.is_multiple_of(10) { 5000 } else { 100 }, number as u8);
    message.into()
}

/// Which one it is, and that it came whole.
fn number(data: &[u8]) -> u32 {
    let number = u32::from_be_bytes(*data.first_chunk().expect("a number"));
    assert_eq!(data, message(number));
    number
}

/// Sends 200 messages each way at 100 a second, with this much lost each way; what came down and what came up.
fn exchange(promise: Promise, loss: f64, seed: u64) -> (Vec<u32>, Vec<u32>) {
    const MESSAGES: u32 = 200;
    let (mut call, id, channel) = call_with(promise);
    call.loss = Some((loss, ChaCha8Rng::seed_from_u64(seed)));
    call.client_data.clear();
    for number in 0..MESSAGES {
        let (now, payload) = (call.now, message(number));
        let sent = call.transport.send_data(now, channel, &Data::Binary(payload.clone()));
        // Behind losses that the association is slow to notice, what need not arrive is dropped here.
        let droppable = matches!(promise, Promise::Nothing | Promise::Soon);
        assert!(sent.is_ok() || droppable && sent == Err(SendDataError::Full), "{promise:?} {sent:?}");
        call.client.data_channel(id).expect("channel").send(now, BytesMut::from(payload)).expect("sent");
        call.step();
        call.step();
    }
    if matches!(promise, Promise::InOrder | Promise::All) {
        // The client under test stops repeating for good after five timeouts in a row.
        let up = if loss < 0.1 { MESSAGES as usize } else { 0 };
        let what = format!("all of them: {promise:?} {loss} {seed}");
        call.until(Duration::from_secs(600), &what, |call| {
            call.client_data.len() == MESSAGES as usize && call.received().count() >= up
        });
    } else {
        call.loss = None;
        for _ in 0..2000 {
            call.step();
        }
    }
    let down = call.client_data.iter().map(|(_, _, data)| number(data)).collect();
    let up = call.received().map(|data| match data {
        Data::Binary(data) => number(data),
        Data::Text(_) => panic!("binary was sent"),
    });
    (down, up.collect())
}

fn sorted(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    numbers
}

#[test]
fn every_message_comes_once_and_in_order_where_that_is_promised() {
    for loss in [0.0, 0.05, 0.2] {
        for seed in 0..3 {
            let (down, up) = exchange(Promise::InOrder, loss, seed);
            assert!(down.iter().copied().eq(0..200), "{loss} {seed}: {down:?}");
            assert!(up.iter().copied().eq(0..up.len() as u32), "{loss} {seed}: {up:?}");
            let (down, up) = exchange(Promise::All, loss, seed);
            assert!(sorted(down).into_iter().eq(0..200), "{loss} {seed}");
            let (count, mut up) = (up.len(), sorted(up));
            up.dedup();
            assert_eq!(up.len(), count, "none twice: {loss} {seed}");
        }
    }
}

#[test]
fn a_lossy_channel_loses_what_the_line_loses_and_no_more() {
    for promise in [Promise::Nothing, Promise::Soon] {
        for (loss, least) in [(0.0, 200), (0.05, 150), (0.2, 40)] {
            for seed in 0..3 {
                let (down, up) = exchange(promise, loss, seed);
                for came in [down, up] {
                    let count = came.len();
                    let mut once = sorted(came);
                    once.dedup();
                    assert_eq!(once.len(), count, "none twice");
                    assert!(count >= least, "{promise:?} {loss} {seed}: {count}");
                    assert!(
                        loss < 0.1 || promise == Promise::Soon || count < 200,
                        "{promise:?} {loss} {seed}"
                    );
                }
            }
        }
    }
}

#[test]
fn who_sends_faster_than_the_client_takes_is_told_before_anything_is_refused() {
    for (promise, limit) in [(Promise::InOrder, 1024 * 1024), (Promise::Nothing, 64 * 1024)] {
        let (mut call, id, channel) = call_with(promise);
        call.client_data.clear();
        call.events.clear();
        call.loss = Some((1.0, ChaCha8Rng::seed_from_u64(0)));
        let payload = Bytes::from(vec![7; 1024]);
        let (mut queued, mut high_at) = (0, None);
        let mut refused = None;
        while refused.is_none() {
            refused = call.transport.send_data(call.now, channel, &Data::Binary(payload.clone())).err();
            queued += usize::from(refused.is_none());
            call.step();
            if high_at.is_none() && call.events.contains(&TransportEvent::BufferedHigh(channel)) {
                high_at = Some(queued * payload.len());
            }
            assert!(queued * payload.len() < 4 * limit, "{promise:?}: it is bounded");
            if promise == Promise::InOrder {
                assert!(queued * payload.len() <= limit);
            }
        }
        assert_eq!(refused, Some(SendDataError::Full));
        assert!(high_at.is_some_and(|at| at > limit / 2 && at < limit), "{promise:?}: {high_at:?}");
        assert_eq!(call.events, [TransportEvent::BufferedHigh(channel)], "once");

        // The line is back.
        call.loss = None;
        call.until(Duration::from_secs(120), "low again", |call| {
            call.events.last() == Some(&TransportEvent::BufferedLow(channel))
        });
        assert_eq!(call.events.len(), 2, "once");
        assert_eq!(call.transport.send_data(call.now, channel, &Data::Text("on".into())), Ok(()));
        let expected = (id, true, b"on".to_vec());
        call.until(Duration::from_secs(60), "the rest", |call| call.client_data.contains(&expected));
        if promise == Promise::InOrder {
            assert_eq!(call.client_data.len(), queued + 1, "what was taken has come");
        }
    }
}

#[test]
fn what_is_not_taken_is_bounded_however_small() {
    let (mut call, _, channel) = call_with(Promise::InOrder);
    call.loss = Some((1.0, ChaCha8Rng::seed_from_u64(0)));
    let queued = (0..100_000)
        .take_while(|_| call.transport.send_data(call.now, channel, &Data::Text("x".into())).is_ok())
        .count();
    assert_eq!(queued, 4096, "one for every 256 bytes of a mebibyte");
}

#[test]
fn a_message_no_client_takes_is_refused_as_too_large() {
    let (mut call, id, channel) = call_with(Promise::InOrder);
    call.client_data.clear();
    let large = |len: usize| Data::Binary(vec![1; len].into());
    let refused = call.transport.send_data(call.now, channel, &large(256 * 1024 + 1)).expect_err("too large");
    assert_eq!((refused, refused.code()), (SendDataError::TooLarge, "message_too_large"));
    assert_eq!(call.transport.send_data(call.now, channel, &large(60 * 1024)), Ok(()));
    call.until(Duration::from_secs(10), "what fits", |call| !call.client_data.is_empty());
    assert_eq!(call.client_data[0].0, id);
}

#[test]
fn a_full_channel_leaves_the_others_of_its_client_open() {
    let (mut call, id, channel) = call_with(Promise::Nothing);
    let room = call.opened().find(|(_, label)| *label == "room").map(|(channel, _)| channel).expect("room");
    call.client_data.clear();
    let payload = Data::Binary(vec![7; 16 * 1024].into());
    let full = (0..1000).find_map(|_| call.transport.send_data(call.now, room, &payload).err());
    assert_eq!(full, Some(SendDataError::Full));
    assert_eq!(call.transport.send_data(call.now, channel, &Data::Text("light".into())), Ok(()));
    let sent = call.now;
    call.until(Duration::from_secs(10), "the light one", |call| {
        call.client_data.iter().any(|(from, ..)| *from == id)
    });
    // It was queued behind a mebibyte and came before most of it.
    assert!(call.client_data.len() < 32 && call.now - sent < 40 * TICK, "{:?}", call.now - sent);
}

#[test]
fn who_sends_where_no_channel_is_learns_why_it_was_dropped() {
    let config = ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
    let mut shard: Shard<PlainTransport> = Shard::new(config, PlainContext::default(), [1; 32]);
    let (now, participant, channel) = (Instant::now(), ParticipantId(1), ChannelId(1));
    shard.handle_message(now, Command::Join { room: RoomId(1), participant });
    shard.handle_message(now, Command::SendData { participant, channel, data: Data::Text("x".into()) });
    let reason = SendDataError::Closed;
    assert_eq!(shard.poll_event(), Some(Event::DataDropped { participant, channel, reason }));
    assert_eq!(shard.counters().messages_dropped, 1);
}

#[test]
fn a_lost_message_is_repeated_within_seconds_however_much_is_lost() {
    // One message every 100 ms. Left to itself the SCTP machine doubles its waiting: 15 s without a message at 20 %.
    for (loss, longest) in [(0.0, 0), (0.1, 3), (0.2, 4), (0.3, 6)] {
        for seed in 0..10 {
            let (mut call, _, channel) = call_with(Promise::InOrder);
            call.client_data.clear();
            call.loss = Some((loss, ChaCha8Rng::seed_from_u64(seed)));
            let (mut sent, mut came, mut last) = (0, 0, call.now);
            let mut gap = Duration::ZERO;
            for step in 0.. {
                if step % 20 == 0 && sent < 200 {
                    let data = Data::Binary(message(sent));
                    call.transport.send_data(call.now, channel, &data).expect("queued");
                    sent += 1;
                }
                call.step();
                if call.client_data.len() > came {
                    came = call.client_data.len();
                    gap = gap.max(call.now - last);
                    last = call.now;
                }
                if came == 200 {
                    break;
                }
            }
            let gap = gap.saturating_sub(20 * TICK);
            assert!(gap <= Duration::from_secs(longest), "{loss} {seed}: {gap:?}");
        }
    }
}

#[test]
fn an_association_that_acknowledges_nothing_ends_and_the_connection_does_not() {
    let (mut call, _, channel) = call_with(Promise::InOrder);
    call.events.clear();
    call.loss = Some((1.0, ChaCha8Rng::seed_from_u64(0)));
    call.transport.send_data(call.now, channel, &Data::Text("anybody?".into())).expect("queued");
    let from = call.now;
    let consent = Limits::default().consent;
    call.until(consent + Duration::from_secs(5), "given up", |call| {
        call.events.contains(&TransportEvent::ChannelClosed(channel))
    });
    assert!(call.now - from >= consent);
    assert_eq!(call.closed(), None, "checks are answered all the while");
    let data = Data::Text("still?".into());
    assert_eq!(call.transport.send_data(call.now, channel, &data), Err(SendDataError::Closed));
}

#[test]
fn channels_open_on_a_line_that_loses_a_fifth() {
    let mut took: Vec<Duration> = (0..40)
        .map(|seed| {
            let mut call = Call::new(Setup::default());
            call.connect();
            let from = call.now;
            call.loss = Some((0.2, ChaCha8Rng::seed_from_u64(seed)));
            call.until(Duration::from_secs(60), "a channel", |call| call.opened().next().is_some());
            call.now - from
        })
        .collect();
    took.sort_unstable();
    // What the client itself has to repeat it does in its own time: up to 15 s. Were all left to that, one in ten would take over 7 s.
    assert!(took[36] <= Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_client_that_sends_too_fast_is_slowed_down_and_loses_nothing() {
    const MESSAGES: usize = 300;
    let limits = Limits { channel_bytes_per_second: 40 * 1024, ..Limits::default() };
    let mut call = Call::new(Setup { limits, ..Default::default() });
    call.connect_with_channel();
    let (id, from) = (call.client_open[0], call.now);
    for number in 0..MESSAGES {
        let payload = BytesMut::from(&[number as u8; 200][..]);
        call.client.data_channel(id).expect("channel").send(from, payload).expect("sent");
    }
    call.until(Duration::from_secs(600), "all of them", |call| call.received().count() == MESSAGES);
    // 300 messages of 1224 bytes each as they are counted, but for a second's worth.
    let took = call.now - from;
    assert!(took >= Duration::from_secs(7), "{took:?}");
    let whole =
        call.received().enumerate().all(|(at, data)| *data == Data::Binary(vec![at as u8; 200].into()));
    assert!(whole, "in order and once");
    assert!(call.transport.take_data_refused() > 0);
    assert_eq!(call.closed(), None);
}

#[test]
fn messages_of_every_kind_and_size_come_and_go() {
    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    assert_eq!(call.opened().next(), Some((channel, "room")));
    call.echo(channel, "ping");
    let long: Vec<u8> = (0..60 * 1024_u32).map(|at| (at % 251) as u8).collect();
    for (text, bytes) in [(true, vec![]), (false, vec![]), (false, vec![255]), (false, long)] {
        let count = call.received().count();
        let (now, id) = (call.now, call.channel);
        let mut sender = call.client.data_channel(id).expect("channel");
        if text {
            sender.send_text(now, "").expect("sent");
        } else {
            sender.send(now, BytesMut::from(&bytes[..])).expect("sent");
        }
        call.until(Duration::from_secs(5), "message", |call| call.received().count() > count);
        let payload = Bytes::from(bytes.clone());
        let data = if text { Data::Text(payload) } else { Data::Binary(payload) };
        assert_eq!(call.received().last(), Some(&data));
        call.transport.send_data(call.now, channel, &data).expect("queued");
        call.until(Duration::from_secs(5), "echo", |call| {
            call.client_data.contains(&(id, text, bytes.clone()))
        });
    }
}

#[test]
fn a_message_that_is_too_long_closes_its_channel_alone() {
    let limits = Limits { message_bytes: 1000, ..Default::default() };
    let mut call = Call::new(Setup { limits, ..Default::default() });
    let channel = call.connect_with_channel();
    let unordered = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() };
    let other = call.client.create_data_channel("live", Some(unordered)).expect("a channel").id();
    call.until(Duration::from_secs(5), "second channel", |call| call.opened().count() == 2);
    let now = call.now;
    call.client
        .data_channel(other)
        .expect("channel")
        .send(now, BytesMut::from(&[1; 1001][..]))
        .expect("sent");
    call.until(Duration::from_secs(5), "closed", |call| {
        call.events
            .iter()
            .any(|event| matches!(event, TransportEvent::ChannelClosed(closed) if *closed != channel))
    });
    call.until(Duration::from_secs(5), "closed at the client", |call| call.client_closed.contains(&other));
    assert_eq!(call.received().count(), 0);
    call.echo(channel, "still here");
}

#[test]
fn a_client_closes_a_channel_and_may_open_another() {
    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    let id = call.channel;
    call.client.data_channel(id).expect("channel").close().expect("closing");
    call.until(Duration::from_secs(5), "closed", |call| {
        call.events.contains(&TransportEvent::ChannelClosed(channel))
    });
    assert_eq!(
        call.transport.send_data(call.now, channel, &Data::Binary(Bytes::from_static(b"x"))),
        Err(SendDataError::Closed)
    );
    call.channel = call.client.create_data_channel("again", None).expect("a channel").id();
    call.until(Duration::from_secs(5), "open again", |call| call.opened().any(|(_, label)| label == "again"));
    let (again, _) = call.opened().last().expect("opened");
    call.echo(again, "ping");
}

#[test]
fn channels_and_queues_have_limits() {
    let limits = Limits { channels_per_participant: 3, ..Default::default() };
    let mut call = Call::new(Setup { limits, ..Default::default() });
    let channel = call.connect_with_channel();
    for label in ["a", "b", "c", "d"] {
        call.client.create_data_channel(label, None).expect("a channel");
    }
    call.until(Duration::from_secs(5), "refused", |call| call.client_closed.len() == 2);
    assert_eq!(call.opened().count(), 3);
    let message = Data::Binary(Bytes::from(vec![7; 64 * 1024]));
    let queued =
        (0..100).take_while(|_| call.transport.send_data(call.now, channel, &message).is_ok()).count();
    assert_eq!(queued, 16, "1 MiB");
    assert_eq!(call.transport.send_data(call.now, channel, &message), Err(SendDataError::Full));
    call.until(Duration::from_secs(20), "delivered", |call| call.client_data.len() == 16);
    assert_eq!(call.transport.send_data(call.now, channel, &message), Ok(()));
    assert_eq!(call.transport.send_data(call.now, ChannelId(999), &message), Err(SendDataError::Closed));
}
