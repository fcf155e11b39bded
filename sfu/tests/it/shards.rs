//! Several shards are as good as one.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use simmer_sfu::id::{Mid, ParticipantId, RoomId};
use simmer_sfu::message::Command;
use simmer_sfu::sim::{ClientPlan, Line, Mark, Shards, World};
use simmer_sfu::sink::{Sink, SinkEvent};
use simmer_sfu::view::{Role, VideoWish, View};

use crate::talk::{Person, Room};

fn line() -> Line {
    Line { delay: Duration::from_millis(20), jitter: Duration::from_millis(8), loss: 0.02, ..Line::default() }
}

fn plan(publishes: &[u16], slots: usize) -> ClientPlan {
    ClientPlan {
        publishes: publishes.to_vec(),
        slots,
        natural: true,
        feedback: true,
        clocks: true,
        ..ClientPlan::default()
    }
}

/// What every slot of every client received, in order.
fn marks(world: &World) -> Vec<Vec<Mark>> {
    let slots = world.clients.iter().flatten().flat_map(|client| &client.slots);
    slots.map(|slot| slot.received.values().copied().collect()).collect()
}

/// When media came to a client, repairs and probes among it, and how large each packet was.
type Came = Vec<(Duration, usize)>;

fn came(world: &World, began: Instant) -> Vec<Came> {
    let all = world.clients.iter().flatten().map(|client| &client.came);
    all.map(|came| came.iter().map(|&(at, size)| (at - began, size)).collect()).collect()
}

/// What every slot of every client received, in order, in half a minute of two rooms with simulcast, bad lines, and people who come, move and leave.
fn received(seed: u64, shards: usize) -> Vec<Vec<Mark>> {
    let mut world = World::sharded(seed, shards, usize::MAX);
    let (hall, foyer) = (RoomId(1), RoomId(2));
    world.join_room(hall, plan(&[720, 360, 180], 0), line());
    world.join_room(foyer, plan(&[360], 1), line());
    for _ in 0..3 {
        world.join_room(hall, plan(&[], 2), line());
        world.join_room(foyer, plan(&[180], 2), Line { rate_bps: Some(900_000), ..line() });
        world.run_for(Duration::from_millis(900));
    }
    world.run_for(Duration::from_secs(8));
    world.move_away(2, line());
    world.run_for(Duration::from_secs(4));
    world.leave(1);
    world.join_room(hall, plan(&[360], 1), line());
    world.run_for(Duration::from_secs(8));
    if shards > 1 {
        let each: Vec<_> = world.shard.each().iter().map(|shard| shard.participants).collect();
        assert_eq!(each, [5, 3]);
    }
    marks(&world)
}

/// The same of one room, half of it on each of two shards: who is there from the beginning, publishers on both among them, who comes late, and who leaves.
fn received_in_one_room(seed: u64, shards: usize) -> (Vec<Vec<Mark>>, Vec<Came>) {
    let mut world = World::sharded(seed, shards, 3);
    let (hall, began) = (RoomId(1), world.now);
    world.join_room(hall, plan(&[720, 360, 180], 2), line());
    for _ in 0..2 {
        world.join_room(hall, plan(&[], 2), line());
    }
    world.join_room(hall, plan(&[360, 180], 2), line());
    world.join_room(hall, plan(&[], 2), Line { rate_bps: Some(900_000), ..line() });
    world.run_for(Duration::from_secs(6));
    world.join_room(hall, plan(&[], 2), line());
    world.run_for(Duration::from_secs(5));
    world.leave(1);
    world.join_room(hall, plan(&[180], 3), line());
    world.run_for(Duration::from_secs(5));
    world.move_away(5, line());
    world.leave(3);
    world.run_for(Duration::from_secs(8));
    if shards > 1 {
        let each: Vec<_> = world.shard.each().iter().map(|shard| shard.participants).collect();
        assert_eq!(each, [3, 2]);
    }
    (marks(&world), came(&world, began))
}

fn assert_same(seed: u64, one: &[Vec<Mark>], two: &[Vec<Mark>]) {
    assert_eq!(one.len(), two.len());
    for (number, (one, two)) in one.iter().zip(two).enumerate() {
        let differs = one.iter().zip(two).position(|(one, two)| one != two);
        assert_eq!((one.len(), differs), (two.len(), None), "seed {seed}, slot {number}");
    }
}

#[test]
fn a_room_on_two_shards_shows_everybody_what_it_shows_on_one() {
    for seed in [1, 2, 5] {
        let ((one, one_came), (two, two_came)) =
            (received_in_one_room(seed, 1), received_in_one_room(seed, 2));
        let lengths: Vec<_> = one.iter().map(Vec::len).collect();
        assert!(lengths.iter().filter(|&&length| length > 300).count() >= 6, "{lengths:?}");
        assert_same(seed, &one, &two);
        for (number, (one, two)) in one_came.iter().zip(&two_came).enumerate() {
            let differs = one.iter().zip(two).position(|(one, two)| one != two);
            assert_eq!((one.len(), differs), (two.len(), None), "seed {seed}, client {number}");
        }
    }
}

#[test]
fn two_shards_show_everybody_what_one_shows() {
    for seed in [1, 2] {
        let (one, two) = (received(seed, 1), received(seed, 2));
        assert!(
            one.iter().all(|slot| slot.len() > 300),
            "{:?}",
            one.iter().map(Vec::len).collect::<Vec<_>>()
        );
        assert_same(seed, &one, &two);
    }
}

/// Six people with pictures and screens talk, four sounds to hear for each: who was said to speak and when, who hears whom until when, and what everybody sees
/// at each turn.
fn talked(seed: u64, shards: usize) -> Vec<String> {
    let people = [Person { videos: 2, ..Person::default() }; 6];
    let mut room = Room::on(Shards::new(seed, shards, 3), seed, &people);
    let began = room.now;
    let mut tale = Vec::new();
    let tell = |room: &mut Room, tale: &mut Vec<String>, what: &str| {
        let heard: Vec<_> = room.voices.iter().map(|voice| &voice.heard).collect();
        tale.push(format!(
            "{what}: {:?} {heard:?} {} {}",
            room.pictures, room.slots_changed, room.slots_wanted
        ));
    };
    let who = |number: usize| ParticipantId(number as u64);
    for number in 0..people.len() {
        let video =
            [Role::Speaker, Role::Speaker, Role::Screen].map(|role| VideoWish::new(role, 360)).to_vec();
        let view = View { video, ..View::default() };
        room.shard.handle_message(room.now, Command::SetView { participant: who(number), view });
    }
    for (turn, speaking) in
        [&[0][..], &[1, 4], &[5], &[2, 3, 5], &[0, 1, 2, 3, 4, 5], &[4]].iter().enumerate()
    {
        room.speak(speaking);
        room.pass_for(Duration::from_millis(2600));
        tell(&mut room, &mut tale, &format!("turn {turn}"));
        let (participant, mids) = (who((turn * 2 + 1) % 6), vec![Mid::new(b"1").expect("a mid")]);
        let mids = if turn == 3 { Vec::new() } else { mids };
        room.shard.handle_message(room.now, Command::SetScreens { participant, mids });
        room.pass_for(Duration::from_millis(500));
        tell(&mut room, &mut tale, &format!("screen {turn}"));
    }
    let told = room.told.iter().map(|(at, who)| format!("{:?} {who:?}", *at - began));
    tale.extend(told);
    if shards > 1 {
        assert_eq!(room.shard.each().iter().map(|shard| shard.participants).collect::<Vec<_>>(), [3, 3]);
    }
    tale
}

#[test]
fn who_speaks_and_who_is_seen_is_the_same_on_both_shards_and_told_once() {
    for seed in 1..=3 {
        let (one, two) = (talked(seed, 1), talked(seed, 2));
        assert!(one.len() > 16, "somebody spoke: {one:?}");
        for (one, two) in one.iter().zip(&two) {
            assert_eq!(one, two, "seed {seed}");
        }
        assert_eq!(one.len(), two.len());
    }
}

#[test]
fn a_room_that_grows_beyond_a_shard_goes_on_there() {
    let plan = |publishes: &[u16], slots| ClientPlan { clocks: false, ..plan(publishes, slots) };
    let mut world = World::sharded(1, 2, 2);
    world.join_as(plan(&[360, 180], 1), Line::default());
    let viewer = world.join_as(plan(&[], 2), Line::default());
    world.run_for(Duration::from_secs(4));
    let began = world.now;
    let late = world.join_as(plan(&[], 1), Line::default());
    world.run_for(Duration::from_secs(2));
    let first = world.client(late).slots[0].first_key.expect("a picture");
    // Connecting, a key frame asked for and sent, each there and back.
    assert!(first - began < Duration::from_millis(400), "{:?}", first - began);
    let second = world.join_as(plan(&[180], 1), Line::default());
    world.run_for(Duration::from_secs(3));
    for number in [viewer, late, second] {
        assert!(world.client(number).slots.iter().all(|slot| slot.contradictions == 0 && slot.gaps() == 0));
    }
    assert!(world.client(viewer).slots[1].received.len() > 60, "it sees who publishes on the other shard");
    assert_eq!(world.shard.each().iter().map(|shard| shard.publications).collect::<Vec<_>>(), [1, 1]);

    for number in 0..4 {
        world.leave(number);
    }
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.shard.counters().participants, 0);
    assert_eq!(world.shard.poll_timeout(), None, "nothing is left of anybody, mirrors included");
}

#[test]
fn who_comes_first_on_another_shard_begins_with_what_was_kept() {
    let plan = |publishes: &[u16], slots| ClientPlan { clocks: false, ..plan(publishes, slots) };
    for seed in 0..20 {
        let mut world = World::sharded(seed, 2, 2);
        let publisher = world.join_as(plan(&[360], 0), Line::default());
        world.run_for(Duration::from_secs(2));
        let viewer = world.join_as(plan(&[], 1), Line::default());
        world.run_for(Duration::from_millis(400));
        assert!(world.client(viewer).slots[0].first_key.is_some(), "seed {seed}: a key frame was asked for");
        let (began, asked) = (world.now, world.client(publisher).keys_asked.len());
        let late = world.join_as(plan(&[], 1), Line::default());
        world.run_for(Duration::from_secs(1));
        let slot = &world.client(late).slots[0];
        assert!(slot.first_key.is_some_and(|at| at - began < Duration::from_millis(200)), "seed {seed}");
        assert_eq!((slot.contradictions, slot.gaps()), (0, 0), "seed {seed}");
        assert_eq!(world.client(publisher).keys_asked.len(), asked, "seed {seed}: nobody needs another one");
        assert!(world.shard.each().iter().all(|shard| shard.participants > 0), "both have the room");
    }
}

/// Hands on what it is told.
struct Tap(Sender<SinkEvent>);

impl Sink for Tap {
    fn handle(&mut self, event: SinkEvent) {
        let _ = self.0.send(event);
    }
}

#[test]
fn a_sink_gets_everything_from_all_shards() {
    let mut world = World::sharded(1, 2, 1);
    world.join(&[], 1, Line::default());
    let publisher = world.join(&[180], 0, Line::default());
    world.run_for(Duration::from_secs(1));
    let (events, told) = channel();
    let sink = Some(Box::new(Tap(events)) as Box<dyn Sink>);
    world.shard.handle_message(world.now, Command::SetSink { room: RoomId(1), sink });
    let before = world.client(publisher).published[0];
    world.run_for(Duration::from_secs(2));
    let from = world.client(publisher).address;
    // A sender report (RFC 3550 section 6.4.1) of the client's first stream, without blocks.
    let report = [&[0x80, 200, 0, 6][..], &101_u32.to_be_bytes(), &[9; 8], &[7; 4], &[0; 8]].concat();
    world.shard.handle_datagram(world.now, from, BytesMut::from(&report[..]));
    let published = world.client(publisher).published[0] - before;
    world.leave(publisher);

    let told: Vec<_> = told.try_iter().collect();
    assert!(
        matches!(told.first(), Some(SinkEvent::Published { publication, .. }) if publication.id.participant.0 == 2)
    );
    let packets = told.iter().filter(|event| matches!(event, SinkEvent::Packet(_))).count() as u64;
    assert!(packets >= published - 10 && packets <= published + 10, "{packets} of {published}");
    let report = |event: &SinkEvent| {
        matches!(event, SinkEvent::SenderReport { ntp: 0x0909_0909_0909_0909, rtp_time: 0x0707_0707, .. })
    };
    assert_eq!(told.iter().filter(|event| report(event)).count(), 1);
    assert!(matches!(told.last(), Some(SinkEvent::Unpublished { .. })));
}
