//! Many sounds and few slots: whoever speaks is heard by everybody, and the room is told who speaks.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use simmer_sfu::audio::Speakers;

use crate::talk::{Person, Room, SLOTS};

/// Turns of a second or more, of two people at once at most.
#[test]
fn whoever_speaks_is_heard_by_everybody_within_a_fifth_of_a_second() {
    const PEOPLE: usize = 60;
    for seed in 0..4 {
        let mut room = Room::new(seed, &[Person::default(); PEOPLE]);
        room.pass_for(Duration::from_secs(1));
        let (mut former, mut turns) = (None, 0);
        let mut chooser = ChaCha20Rng::seed_from_u64(seed + 100);
        let start = room.now;
        while room.now < start + Duration::from_secs(30) {
            let next = chooser.random_range(0..PEOPLE);
            if Some(next) == former {
                continue;
            }
            let interrupts = chooser.random_bool(0.3);
            let both: Vec<usize> = former.filter(|_| interrupts).into_iter().chain([next]).collect();
            room.speak(&both);
            room.pass_for(Duration::from_millis(200));
            for (listener, voice) in room.voices.iter().enumerate().filter(|(listener, _)| *listener != next)
            {
                let behind = room.voices[next].frame - voice.heard.get(&next).copied().unwrap_or(0);
                assert_eq!(behind, 0, "seed {seed}: {listener} hears {next} at {:?}", room.now - start);
            }
            room.pass_for(Duration::from_millis(chooser.random_range(800..3000)));
            (former, turns) = (Some(next), turns + 1);
        }
        // One slot of each who hears changes hands at a turn, and not always.
        assert!(room.handovers <= turns * PEOPLE, "seed {seed}: {} at {turns} turns", room.handovers);
    }
}

#[test]
fn the_room_is_told_who_leads() {
    for seed in 0..10 {
        let mut room = Room::new(seed, &[Person::default(); 6]);
        room.pass_for(Duration::from_secs(2));
        assert_eq!(room.told, [], "nobody speaks");
        for turn in [4, 1, 5] {
            room.speak(&[turn]);
            room.pass_for(Duration::from_secs(4));
            assert_eq!(room.told.last().map(|(_, who)| who[0]), Some(turn), "seed {seed}");
        }
        room.speak(&[]);
        room.pass_for(Duration::from_secs(4));
        assert_eq!(room.told.last().map(|(_, who)| &who[..]), Some(&[][..]), "silence is told");
        let soonest = room.told.windows(2).map(|pair| pair[1].0 - pair[0].0).min();
        assert!(soonest >= Some(Speakers::INTERVAL), "seed {seed}: {soonest:?}");
        let at_rest = room.told.len();
        room.pass_for(Duration::from_secs(5));
        assert_eq!(room.told.len(), at_rest);
    }
}

/// Who is silent sends a packet every 400 ms. Who leads is told after a word of half a second: a cough is none.
#[test]
fn the_first_word_after_silence_is_heard_at_once_and_told_within_a_second() {
    const PEOPLE: usize = SLOTS + 1;
    for seed in 0..10 {
        let mut room = Room::new(seed, &[Person::default(); PEOPLE]);
        room.pass_for(Duration::from_secs(3));
        for turn in [4, 1, 3, 4, 0] {
            let (begins, told) = (room.now, room.told.len());
            room.speak(&[turn]);
            for _ in 0..50 {
                room.pass();
                let said = room.voices[turn].frame;
                let listeners = room.voices.iter().enumerate().filter(|(listener, _)| *listener != turn);
                for (listener, voice) in listeners {
                    assert_eq!(voice.heard.get(&turn), Some(&said), "seed {seed}: {listener} hears {turn}");
                }
            }
            let names = |(_, who): &&(_, Vec<usize>)| who.first() == Some(&turn);
            let took = room.told[told..].iter().find(names).map(|(at, _)| *at - begins);
            assert!(
                took.is_some_and(|took| took <= Duration::from_millis(900)),
                "seed {seed}: {turn} {took:?}"
            );
            room.speak(&[]);
            room.pass_for(Duration::from_secs(4));
        }
    }
}

#[test]
fn a_sound_that_tells_no_level_keeps_its_slot() {
    const PEOPLE: usize = 12;
    const UNMEASURED: usize = 9;
    for seed in 0..5 {
        let mut people = [Person::default(); PEOPLE];
        people[UNMEASURED].tells_level = false;
        let mut room = Room::new(seed, &people);
        for turn in 0..20 {
            room.speak(&[turn % PEOPLE, UNMEASURED]);
            room.pass_for(Duration::from_secs(1));
            let heard = room.voices.iter().enumerate().filter(|(listener, _)| *listener != UNMEASURED);
            for (listener, voice) in heard {
                let last = voice.heard.get(&UNMEASURED);
                assert_eq!(
                    last,
                    Some(&room.voices[UNMEASURED].frame),
                    "seed {seed}: {listener} in turn {turn}"
                );
            }
        }
    }
}

#[test]
fn where_there_are_slots_enough_nothing_changes_hands() {
    let mut room = Room::new(3, &[Person::default(); SLOTS + 1]);
    for turn in 0..15 {
        room.speak(&[turn % (SLOTS + 1)]);
        room.pass_for(Duration::from_secs(1));
    }
    assert_eq!(room.handovers, 0);
}
