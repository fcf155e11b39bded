//! Views that name roles: the speaker, the screen, whoever that is just now.

use std::time::Duration;

use simmer_sfu::id::{Mid, ParticipantId, PublicationId};
use simmer_sfu::message::Command;
use simmer_sfu::view::{Role, VideoSource, VideoWish, View};

use crate::talk::{Person, Room};

/// Everybody has a sound, publication 0, and pictures, publications 1 and on.
fn room(people: usize, videos: usize) -> Room {
    let mut room = Room::new(7, &vec![Person { videos, ..Person::default() }; people]);
    room.pass_for(Duration::from_secs(2));
    room
}

fn video(owner: usize, index: u16) -> PublicationId {
    PublicationId { participant: ParticipantId(owner as u64), index }
}

fn watch(room: &mut Room, viewer: usize, wishes: &[VideoSource]) {
    let video = wishes.iter().map(|&source| VideoWish::new(source, 360)).collect();
    let participant = ParticipantId(viewer as u64);
    room.shard
        .handle_message(room.now, Command::SetView { participant, view: View { video, ..View::default() } });
    room.take();
}

fn set_screens(room: &mut Room, owner: usize, mids: &[&str]) {
    let mids = mids.iter().map(|mid| Mid::new(mid.as_bytes()).expect("a mid")).collect();
    room.shard
        .handle_message(room.now, Command::SetScreens { participant: ParticipantId(owner as u64), mids });
    room.take();
}

fn seen(room: &Room, viewer: usize) -> Vec<PublicationId> {
    room.pictures.get(&viewer).into_iter().flatten().map(|(publication, _)| *publication).collect()
}

#[test]
fn the_speakers_picture_follows_who_leads_and_stays_in_silence() {
    let mut room = room(5, 1);
    for viewer in 0..5 {
        watch(&mut room, viewer, &[Role::Speaker.into()]);
    }
    for viewer in 0..5 {
        let first = usize::from(viewer == 0);
        assert_eq!(
            seen(&room, viewer),
            [video(first, 1)],
            "before anybody speaks: who joined first, but oneself"
        );
    }
    let mut last = None;
    for turn in [3, 1, 4] {
        room.speak(&[turn]);
        room.pass_for(Duration::from_secs(4));
        for viewer in (0..5).filter(|&viewer| viewer != turn) {
            assert_eq!(seen(&room, viewer), [video(turn, 1)], "viewer {viewer}");
        }
        let former = last.unwrap_or(0);
        assert_eq!(seen(&room, turn), [video(former, 1)], "who speaks sees who spoke before");
        last = Some(turn);
    }
    room.speak(&[]);
    room.pass_for(Duration::from_secs(10));
    assert_eq!(seen(&room, 0), [video(4, 1)]);
    room.shard.handle_message(room.now, Command::Leave { participant: ParticipantId(4) });
    room.take();
    assert_eq!(seen(&room, 0), [video(1, 1)], "who spoke before them");
}

#[test]
fn several_wishes_for_speakers_get_several_and_none_that_is_named() {
    let mut room = room(5, 1);
    room.speak(&[2]);
    room.pass_for(Duration::from_secs(4));
    room.speak(&[3]);
    room.pass_for(Duration::from_secs(4));
    let speaker = || Role::Speaker.into();
    watch(&mut room, 0, &[speaker(), speaker()]);
    assert_eq!(seen(&room, 0), [video(3, 1), video(2, 1)]);
    watch(&mut room, 0, &[speaker(), video(3, 1).into()]);
    let mut both = seen(&room, 0);
    both.sort();
    assert_eq!(both, [video(2, 1), video(3, 1)]);
    assert!(room.pictures[&0].contains(&(video(3, 1), None)), "it is named");
    // Who speaks takes the place of who spoke longest ago; the other's picture stays in its slot.
    watch(&mut room, 0, &[speaker(), speaker()]);
    let before = seen(&room, 0);
    room.speak(&[4]);
    room.pass_for(Duration::from_secs(4));
    let after = seen(&room, 0);
    let at = |all: &[PublicationId], owner| all.iter().position(|&id| id == video(owner, 1));
    assert_eq!(at(&before, 3), at(&after, 3));
    assert_eq!(at(&after, 4), at(&before, 2));
    let mut roles = room.pictures[&0].clone();
    roles.sort();
    assert_eq!(roles, [(video(3, 1), Some((Role::Speaker, 1))), (video(4, 1), Some((Role::Speaker, 0)))]);
}

#[test]
fn screens_come_the_newest_first_and_are_no_speakers() {
    let mut room = room(3, 2);
    watch(&mut room, 0, &[Role::Screen.into(), Role::Speaker.into()]);
    assert_eq!(seen(&room, 0), [video(1, 1)], "there is no screen");
    set_screens(&mut room, 1, &["0"]);
    assert_eq!(seen(&room, 0).len(), 2);
    assert!(
        seen(&room, 0).contains(&video(1, 1)) && seen(&room, 0).contains(&video(1, 2)),
        "{:?}",
        seen(&room, 0)
    );
    set_screens(&mut room, 2, &["1"]);
    assert!(seen(&room, 0).contains(&video(2, 2)), "the newest");
    watch(&mut room, 0, &[Role::Screen.into(), Role::Screen.into(), Role::Screen.into()]);
    assert_eq!(seen(&room, 0).len(), 2, "there are two");
    watch(&mut room, 2, &[Role::Screen.into()]);
    assert_eq!(seen(&room, 2), [video(1, 1)], "never one's own");
    set_screens(&mut room, 1, &[]);
    assert_eq!(seen(&room, 2), []);
    room.shard.handle_message(room.now, Command::Leave { participant: ParticipantId(2) });
    room.take();
    assert_eq!(seen(&room, 0), []);
}

#[test]
fn roles_cost_no_negotiation() {
    let mut room = room(6, 2);
    set_screens(&mut room, 1, &["0"]);
    for viewer in 0..6 {
        watch(&mut room, viewer, &[Role::Screen.into(), Role::Speaker.into(), Role::Speaker.into()]);
    }
    let (wanted, changed) = (room.slots_wanted, room.slots_changed);
    for turn in 0..30 {
        room.speak(&[turn % 6]);
        set_screens(&mut room, turn % 6, if turn % 4 == 0 { &["1"] } else { &[] });
        room.pass_for(Duration::from_secs(2));
    }
    assert_eq!(room.slots_wanted, wanted);
    assert!(room.slots_changed > changed + 100, "{} changes", room.slots_changed - changed);
}
