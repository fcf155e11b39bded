use super::*;
use crate::sink::{Sink, SinkEvent};
use crate::view::View;

struct Deaf;

impl Sink for Deaf {
    fn handle(&mut self, _event: SinkEvent) {}
}

fn join(room: u64, participant: u64) -> Command {
    Command::Join { room: RoomId(room), participant: ParticipantId(participant) }
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
    let mut placement = Placement::new(2);
    assert_eq!(placement.place(&join(1, 1), idle), FIRST);
    assert_eq!(placement.place(&join(1, 2), idle), FIRST);
    assert_eq!(placement.place(&join(2, 3), idle), SECOND);
    // Three are on the first worker, room included, two on the second.
    assert_eq!(placement.place(&join(3, 4), idle), SECOND);
    assert_eq!(placement.place(&view(2), idle), FIRST);
    assert_eq!(placement.place(&view(3), idle), SECOND);
    assert_eq!(placement.place(&leave(4), idle), SECOND);
    assert_eq!(placement.place(&view(9), idle), Addressee::Nobody);
    assert_eq!(placement.place(&Command::Report { tell: Box::new(drop) }, idle), Addressee::All);
}

#[test]
fn what_a_worker_forwards_counts() {
    let mut placement = Placement::new(3);
    let busy = |worker| [1000, 100, 1000][worker];
    assert_eq!(placement.place(&join(1, 1), busy), SECOND);
    assert_eq!(placement.place(&join(2, 2), |_| 7), FIRST);
}

#[test]
fn a_room_is_forgotten_when_its_worker_has_handled_the_last_leave() {
    let mut placement = Placement::new(2);
    placement.place(&join(1, 1), idle);
    placement.place(&leave(1), idle);
    // Its worker has it still: who comes now goes there, however loaded it is.
    assert_eq!(placement.place(&join(1, 2), |worker| [1000, 0][worker]), FIRST);
    placement.handled(left(1));
    placement.handled(left(1));
    assert_eq!(placement.place(&view(2), idle), FIRST);
    placement.handled(left(2));
    assert_eq!(placement.place(&join(1, 3), |worker| [1000, 0][worker]), SECOND);
    placement.handled(left(3));
    assert!(placement.rooms.is_empty() && placement.participants.is_empty());
    assert_eq!(placement.given, [0, 0]);
}

#[test]
fn a_sink_keeps_its_room() {
    let mut placement = Placement::new(2);
    assert_eq!(placement.place(&sink(1, false), idle), Addressee::Nobody);
    assert_eq!(placement.place(&sink(1, true), idle), FIRST);
    placement.place(&join(1, 1), idle);
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
    let mut placement = Placement::new(2);
    for command in [join(1, 1), sink(2, true)] {
        placement.place(&command, idle);
        placement.take_back(&command);
    }
    assert!(placement.rooms.is_empty() && placement.participants.is_empty());
    assert_eq!(placement.given, [0, 0]);
}

#[test]
fn a_participant_joins_once() {
    let mut placement = Placement::new(2);
    assert_eq!(placement.place(&join(1, 1), idle), FIRST);
    assert_eq!(placement.place(&join(2, 1), idle), FIRST);
    placement.handled(left(1));
    assert!(placement.rooms.is_empty());
}
