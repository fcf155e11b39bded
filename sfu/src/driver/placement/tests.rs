use super::*;
use crate::sink::{Sink, SinkEvent};
use crate::view::View;

struct Deaf;

impl Sink for Deaf {
    fn handle(&mut self, _event: SinkEvent) {}
}

/// As the core does.
fn join(placement: &mut Placement, room: u64, participant: u64, load: impl Fn(usize) -> u64) -> Addressee {
    let (room, participant) = (RoomId(room), ParticipantId(participant));
    match placement.admit(room, participant, load) {
        Some(entry) => Addressee::Worker(entry.worker),
        None => placement.place(&Command::Join { room, participant }, idle),
    }
}

fn leave(participant: u64) -> Command {
    Command::Leave { participant: ParticipantId(participant) }
}

fn view(participant: u64) -> Command {
    Command::SetView { participant: ParticipantId(participant), view: View::default() }
}

fn sink(room: u64, is_set: bool) -> Command {
    Command::SetSink { room: RoomId(room), sink: is_set.then(|| Box::new(Deaf) as Box<dyn Sink>) }
}

fn left(participant: u64) -> Handled {
    Handled::Left(ParticipantId(participant))
}

fn idle(_worker: usize) -> u64 {
    0
}

const FIRST: Addressee = Addressee::Worker(0);
const SECOND: Addressee = Addressee::Worker(1);

#[test]
fn a_room_stays_together_and_rooms_are_spread() {
    let mut placement = Placement::new(2, 100);
    assert_eq!(join(&mut placement, 1, 1, idle), FIRST);
    assert_eq!(join(&mut placement, 1, 2, idle), FIRST);
    assert_eq!(join(&mut placement, 2, 3, idle), SECOND);
    // Three are on the first worker, room included, two on the second.
    assert_eq!(join(&mut placement, 3, 4, idle), SECOND);
    assert_eq!(placement.place(&view(2), idle), FIRST);
    assert_eq!(placement.place(&view(3), idle), SECOND);
    assert_eq!(placement.place(&leave(4), idle), SECOND);
    assert_eq!(placement.place(&view(9), idle), Addressee::Nobody);
    assert_eq!(placement.place(&Command::Report { tell: Box::new(drop) }, idle), Addressee::All);
}

#[test]
fn what_a_worker_forwards_counts() {
    let mut placement = Placement::new(3, 100);
    let busy = |worker| [1000, 100, 1000][worker];
    assert_eq!(join(&mut placement, 1, 1, busy), SECOND);
    assert_eq!(join(&mut placement, 2, 2, |_| 7), FIRST);
}

#[test]
fn a_room_is_forgotten_when_its_worker_has_handled_the_last_leave() {
    let mut placement = Placement::new(2, 100);
    join(&mut placement, 1, 1, idle);
    placement.place(&leave(1), idle);
    // Its worker has it still: who comes now goes there, however loaded it is.
    assert_eq!(join(&mut placement, 1, 2, |worker| [1000, 0][worker]), FIRST);
    placement.handled(left(1));
    placement.handled(left(1));
    assert_eq!(placement.place(&view(2), idle), FIRST);
    placement.handled(left(2));
    assert_eq!(join(&mut placement, 1, 3, |worker| [1000, 0][worker]), SECOND);
    placement.handled(left(3));
    assert!(placement.rooms.is_empty() && placement.participants.is_empty());
    assert_eq!(placement.given, [0, 0]);
}

#[test]
fn a_sink_keeps_its_room() {
    let mut placement = Placement::new(2, 100);
    assert_eq!(placement.place(&sink(1, false), idle), Addressee::Nobody);
    assert_eq!(placement.place(&sink(1, true), idle), FIRST);
    join(&mut placement, 1, 1, idle);
    placement.handled(Handled::Sink(RoomId(1), true));
    placement.handled(left(1));
    assert_eq!(placement.place(&sink(1, false), idle), FIRST);
    assert_eq!(placement.place(&sink(1, true), idle), FIRST);
    placement.handled(Handled::Sink(RoomId(1), false));
    assert_eq!(placement.rooms.len(), 1, "one more is under way");
    placement.handled(Handled::Sink(RoomId(1), true));
    assert_eq!(placement.place(&sink(1, false), idle), FIRST);
    placement.handled(Handled::Sink(RoomId(1), false));
    assert!(placement.rooms.is_empty());
    assert_eq!(placement.given, [0, 0]);
}

#[test]
fn what_found_no_place_in_the_inbox_leaves_no_trace() {
    let mut placement = Placement::new(2, 100);
    join(&mut placement, 1, 1, idle);
    placement.take_back(&Command::Join { room: RoomId(1), participant: ParticipantId(1) });
    placement.place(&sink(2, true), idle);
    placement.take_back(&sink(2, true));
    assert!(placement.rooms.is_empty() && placement.participants.is_empty());
    assert_eq!(placement.given, [0, 0]);
}

#[test]
fn a_participant_joins_once() {
    let mut placement = Placement::new(2, 100);
    assert_eq!(join(&mut placement, 1, 1, idle), FIRST);
    assert_eq!(join(&mut placement, 2, 1, idle), FIRST);
    placement.handled(left(1));
    assert!(placement.rooms.is_empty());
}

#[test]
fn a_large_room_is_spread_over_the_least_loaded_and_fills_up_where_it_is() {
    let mut placement = Placement::new(3, 2);
    let load = |worker| [0, 1000, 10][worker];
    let mut enter = |participant| placement.admit(RoomId(7), ParticipantId(participant), load).unwrap();
    let entered: Vec<_> = (1..=9).map(&mut enter).collect();
    let workers: Vec<_> = entered.iter().map(|entry| entry.worker).collect();
    // Two each. Then the third has 10 packets and two members, 110 in all; the first, which has a room, too, 150; so the third, and the first at 150 to 160.
    assert_eq!(workers, [0, 0, 2, 2, 1, 1, 2, 0, 2]);
    let shards: Vec<_> = entered.iter().map(|entry| entry.spread.shards).collect();
    assert_eq!(shards, [1, 1, 5, 5, 7, 7, 7, 7, 7]);
    let numbers: Vec<_> = entered.iter().map(|entry| entry.number).collect();
    assert!(numbers.is_sorted());
    assert!(entered.iter().all(|entry| entry.spread.first.index() == 0 && entry.spread.room == RoomId(7)));
    assert_eq!(placement.place(&view(3), idle), Addressee::Worker(2));
    assert_eq!(placement.place(&sink(7, true), idle), FIRST);

    // Where there is space again, the next one goes.
    for participant in [1, 2, 7] {
        placement.handled(left(participant));
    }
    assert_eq!(join(&mut placement, 7, 10, load), FIRST);
    for participant in [3, 4, 5, 6, 8, 9, 10] {
        placement.handled(left(participant));
    }
    placement.handled(Handled::Sink(RoomId(7), false));
    assert!(placement.rooms.is_empty() && placement.participants.is_empty());
    assert_eq!(placement.given, [0, 0, 0]);
}
