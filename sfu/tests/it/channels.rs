//! Data channels: what is promised of each kind, over lines that lose, and what becomes of a queue that is full.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use simmer_sfu::Limits;
use simmer_sfu::message::Data;
use simmer_sfu::transport::{ChannelId, SendDataError, Transport, TransportEvent};

use crate::call::{Call, Setup};

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

/// A channel of this kind, both ends open: the client's handle and ours.
fn open(call: &mut Call, kind: RTCDataChannelInit) -> (RTCDataChannelId, ChannelId) {
    let before = call.opened().count();
    let id = call.client.create_data_channel("plan", Some(kind)).expect("a channel").id();
    call.until(Duration::from_secs(60), "a channel opens", |call| {
        call.opened().count() > before && call.client_open.contains(&id)
    });
    let (channel, _) = call.opened().last().expect("opened");
    (id, channel)
}

/// The numbers of the messages that came on the channel, in both directions.
fn numbers(call: &Call, id: RTCDataChannelId) -> [Vec<u32>; 2] {
    let number = |bytes: &[u8]| u32::from_be_bytes(*bytes.first_chunk().expect("a number"));
    let down = call.client_data.iter().filter(|(of, ..)| *of == id).map(|(_, _, bytes)| number(bytes));
    let up = call.received().map(|data| match data {
        Data::Binary(bytes) | Data::Text(bytes) => number(bytes),
    });
    [down.collect(), up.collect()]
}

/// Sends numbered messages of some hundred bytes both ways, one each in 20 ms.
fn talk(call: &mut Call, (id, channel): (RTCDataChannelId, ChannelId), count: u32) {
    for number in 0..count {
        let message = [&number.to_be_bytes()[..], &[7; 300]].concat();
        let data = Data::Binary(Bytes::from(message.clone()));
        call.transport.send_data(call.now, channel, &data).expect("there is room");
        let now = call.now;
        let mut sender = call.client.data_channel(id).expect("channel");
        sender.send(now, BytesMut::from(&message[..])).expect("sent");
        for _ in 0..4 {
            call.step();
        }
    }
}

#[test]
fn reliable_channels_lose_nothing_and_double_nothing_and_ordered_ones_keep_the_order() {
    const COUNT: u32 = 100;
    for (loss, ordered, seed) in
        [(0.0, true, 1), (0.05, true, 2), (0.2, true, 3), (0.05, false, 4), (0.2, false, 5), (0.2, true, 6)]
    {
        let mut call = Call::new(Setup::default());
        call.connect_with_channel();
        let both = open(&mut call, RTCDataChannelInit { ordered, ..Default::default() });
        call.loss = Some((loss, ChaCha8Rng::seed_from_u64(seed)));
        talk(&mut call, both, COUNT);
        call.until(Duration::from_secs(300), "all of it", |call| {
            numbers(call, both.0).iter().all(|numbers| numbers.len() >= COUNT as usize)
        });
        for mut numbers in numbers(&call, both.0) {
            if !ordered {
                numbers.sort_unstable();
            }
            assert!(numbers.into_iter().eq(0..COUNT), "{loss} lost, ordered {ordered}, seed {seed}");
        }
    }
}

#[test]
fn a_channel_without_retransmissions_drops_what_is_lost_and_queues_nothing() {
    const COUNT: u32 = 200;
    for seed in 0..5 {
        let mut call = Call::new(Setup::default());
        call.connect_with_channel();
        let kind = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() };
        let both = open(&mut call, kind);
        call.loss = Some((0.1, ChaCha8Rng::seed_from_u64(seed)));
        talk(&mut call, both, COUNT);
        call.loss = None;
        // What was lost is given up for, so that the queue is empty and the newest arrives.
        let last = Data::Binary(Bytes::copy_from_slice(&COUNT.to_be_bytes()));
        call.transport.send_data(call.now, both.1, &last).expect("there is room");
        call.until(Duration::from_secs(70), "the newest", |call| numbers(call, both.0)[0].contains(&COUNT));
        let [down, _] = numbers(&call, both.0);
        let once: BTreeSet<u32> = down.iter().copied().collect();
        assert_eq!(once.len(), down.len(), "seed {seed}: none comes twice");
        assert!(down.len() < COUNT as usize, "seed {seed}: nothing was lost");
        assert!(down.len() > COUNT as usize / 2, "seed {seed}: {} of {COUNT} came", down.len());
    }
}

#[test]
fn a_full_channel_refuses_and_tells_when_it_has_room_again() {
    let limits = Limits { channel_queue_bytes: 256 * 1024, ..Default::default() };
    let mut call = Call::new(Setup { limits, ..Default::default() });
    let channel = call.connect_with_channel();
    let message = Data::Binary(Bytes::from(vec![7; 16 * 1024]));
    let writable = |call: &Call| {
        call.events.iter().filter(|event| **event == TransportEvent::ChannelWritable(channel)).count()
    };
    // The client has stalled: nothing is acknowledged.
    let mut taken = 0;
    while call.transport.send_data(call.now, channel, &message).is_ok() {
        taken += 1;
    }
    assert!((15..=16).contains(&taken), "{taken}: the acknowledgement of the channel's opening may wait too");
    for _ in 0..1000 {
        assert_eq!(call.transport.send_data(call.now, channel, &message), Err(SendDataError::Full));
    }
    call.drain();
    assert_eq!(writable(&call), 0);
    call.until(Duration::from_secs(20), "room again", |call| writable(call) == 1);
    assert!(call.client_data.len() >= taken / 2, "{} of {taken} have arrived", call.client_data.len());
    assert_eq!(call.transport.send_data(call.now, channel, &message), Ok(()));
    call.until(Duration::from_secs(20), "all of it", |call| call.client_data.len() == taken + 1);
    assert_eq!(writable(&call), 1, "it is told once, and not to who never met a full queue");
}
