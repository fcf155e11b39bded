//! Views that change all the time, and one that puts somebody into the light.

use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use simmer_sfu::codec::Codec;
use simmer_sfu::id::PublicationId;
use simmer_sfu::message::Event;
use simmer_sfu::sim::{Line, Mark, Scheme, Shown, Watched, World, freezes, participant};
use simmer_sfu::view::{VideoWish, View};

const HEIGHTS: [u16; 3] = [720, 360, 180];

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn near() -> Line {
    Line { delay: ms(20), ..Line::default() }
}

fn camera(publisher: usize) -> PublicationId {
    PublicationId { participant: participant(publisher), index: 0 }
}

/// How many times anybody was told to offer more slots.
fn slots_wanted(world: &World) -> usize {
    world.events.iter().filter(|event| matches!(event, Event::SlotsWanted { .. })).count()
}

/// A picture's parts come one after the other, and pictures too, unless another begins with a key frame.
fn follows(before: &Mark, after: &Mark) -> bool {
    let same = (before.publisher, before.encoding) == (after.publisher, after.encoding);
    let next = match before.part + 1 < before.parts {
        true => (before.frame, before.part + 1),
        false => (before.frame + 1, 0),
    };
    after.key && after.part == 0 || same && (after.frame, after.part) == next
}

/// By how many milliseconds the timestamps of what comes from a second after `change` on are off a clock that was right before it.
fn clock_errors(slot: &Watched, change: Instant) -> Vec<i64> {
    let from = change - ms(1000);
    let since: Vec<_> = slot.arrivals.iter().filter(|(_, at)| **at >= from).collect();
    let first = slot.timestamps[since[0].0];
    // How far the timestamp is ahead of the arrival: what was delayed least tells the clock.
    let lead = |number: &u64, at: Instant| {
        i64::from(slot.timestamps[number].wrapping_sub(first) as i32) / 90 - (at - from).as_millis() as i64
    };
    let before = since.iter().filter(|(_, at)| **at < change).map(|(number, at)| lead(number, **at)).max();
    let after =
        since.iter().filter(|(_, at)| **at > change + ms(1000)).map(|(number, at)| lead(number, **at));
    after.map(|lead| lead - before.unwrap()).collect()
}

/// The time for which a viewer wishes for a publisher's picture without a break, however large.
struct Stay {
    viewer: usize,
    publisher: usize,
    from: Instant,
    until: Option<Instant>,
}

fn follow_stays(stays: &mut Vec<Stay>, now: Instant, viewer: usize, wished: &[usize]) {
    for stay in stays.iter_mut().filter(|stay| stay.viewer == viewer && stay.until.is_none()) {
        stay.until = (!wished.contains(&stay.publisher)).then_some(now);
    }
    for &publisher in wished {
        let goes_on = |stay: &Stay| (stay.viewer, stay.publisher, stay.until) == (viewer, publisher, None);
        if !stays.iter().any(goes_on) {
            stays.push(Stay { viewer, publisher, from: now, until: None });
        }
    }
}

/// What is wished for is there soon, and moves for as long as it is, whatever else changes.
fn assert_seen(world: &World, stays: &[Stay], context: &str) {
    for stay in stays {
        let context = format!("{context}: {} sees {}", stay.viewer, stay.publisher);
        let until = stay.until.unwrap_or(world.now);
        let theirs = |picture: &Shown| {
            usize::from(picture.mark.publisher) == stay.publisher && (stay.from..until).contains(&picture.at)
        };
        let slots = &world.client(stay.viewer).slots;
        let mut pictures: Vec<Shown> = slots.iter().flat_map(|slot| slot.shown()).filter(theirs).collect();
        pictures.sort_by_key(|picture| picture.at);
        assert_eq!(freezes(&pictures), [], "{context}");
        let first = pictures.first().map_or(until, |picture| picture.at) - stay.from;
        assert!(first <= ms(250), "{context}: after {first:?}");
        let since_last = pictures.last().map_or(Duration::ZERO, |picture| until - picture.at);
        assert!(since_last <= ms(150), "{context}: stands still for {since_last:?} in the end");
    }
}

#[test]
fn three_hundred_changes_a_minute_leave_no_gap_and_ask_for_no_storm_of_key_frames() {
    const PUBLISHERS: usize = 10;
    for seed in 0..3 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut world = World::new(seed);
        for _ in 0..PUBLISHERS {
            world.join_natural(&[360, 180], 0, near());
        }
        let viewers: Vec<_> = (0..3).map(|_| world.join_natural(&[], 10, near())).collect();
        world.run_for(ms(2000));
        let wanted = slots_wanted(&world);
        let mut stays: Vec<Stay> = Vec::new();
        let mut last = Vec::new();
        for change in 0..150 {
            let viewer = viewers[change % viewers.len()];
            let mut all: Vec<usize> = (0..PUBLISHERS).collect();
            all.shuffle(&mut rng);
            last = all.into_iter().take(rng.random_range(1..=PUBLISHERS)).collect();
            let mut wish = |publisher: usize| VideoWish {
                priority: rng.random_bool(0.5).then(|| rng.random_range(0..=10)),
                ..VideoWish::new(camera(publisher), if rng.random_bool(0.5) { 180 } else { 360 })
            };
            let video = last.iter().map(|&publisher| wish(publisher)).collect();
            world.view(viewer, View { video, ..View::default() });
            follow_stays(&mut stays, world.now, viewer, &last);
            world.run_for(ms(rng.random_range(50..350)));
        }
        world.run_for(ms(1000));
        let settled = world.now;
        world.run_for(ms(1000));
        assert_eq!(slots_wanted(&world), wanted, "seed {seed}: nothing is negotiated anew");
        for publisher in 0..PUBLISHERS {
            let asked = &world.client(publisher).keys_asked;
            for encoding in 0..2 {
                let times: Vec<_> =
                    asked.iter().filter(|(_, of)| *of == encoding).map(|(at, _)| *at).collect();
                let soonest = times.windows(2).map(|pair| pair[1] - pair[0]).min();
                assert!(soonest.is_none_or(|gap| gap >= ms(500)), "seed {seed}: {soonest:?}");
            }
        }
        assert_seen(&world, &stays, &format!("seed {seed}"));
        for &viewer in &viewers {
            for slot in &world.client(viewer).slots {
                assert_eq!((slot.contradictions, slot.gaps()), (0, 0), "seed {seed}, viewer {viewer}");
                let marks: Vec<&Mark> = slot.received.values().collect();
                let torn = marks.windows(2).find(|pair| !follows(pair[0], pair[1]));
                assert_eq!(torn, None, "seed {seed}, viewer {viewer}");
            }
        }
        let seen = world.client(viewers[2]).slots.iter().filter_map(|slot| {
            let picture = slot.shown().into_iter().rev().find(|picture| picture.at > settled)?;
            Some(usize::from(picture.mark.publisher))
        });
        let mut seen: Vec<usize> = seen.collect();
        seen.sort_unstable();
        last.sort_unstable();
        assert_eq!(seen, last, "seed {seed}: in the end exactly what was wished last is shown");
    }
}

#[test]
fn who_is_put_into_the_light_is_sharp_in_half_a_second_while_the_others_move_on() {
    const PUBLISHERS: usize = 12;
    let mut waits = Vec::new();
    for seed in 0..4 {
        let mut world = World::new(seed);
        for _ in 0..PUBLISHERS {
            let publisher = world.join_natural(&HEIGHTS, 0, near());
            // As many as Chromium leaves out.
            world.clients[publisher].as_mut().unwrap().plan.stutters = 6;
        }
        world.max_height = 180;
        let host = world.join_natural(&[], PUBLISHERS, near());
        world.run_for(ms(12_000));
        let before: Vec<_> = (0..PUBLISHERS).map(|publisher| world.client(publisher).published[0]).collect();
        world.run_for(ms(3000));
        for chosen in [3, 9, 0, 6, 11] {
            assert_eq!(
                world.client(chosen).published[0],
                before[chosen],
                "nobody needed their larger layers"
            );
            let asked = world.now;
            let keys = world.client(chosen).keys_asked.len();
            let small = (0..PUBLISHERS).filter(|&other| other != chosen);
            let small = small.map(|other| VideoWish::new(camera(other), 180));
            let large = VideoWish { priority: Some(10), ..VideoWish::new(camera(chosen), 720) };
            let video = [large].into_iter().chain(small).collect();
            world.view(host, View { video, ..View::default() });
            world.run_for(ms(3000));
            let wanted = &world.client(chosen).keys_asked[keys..];
            assert_eq!(wanted, [], "seed {seed}: the key frame that it comes back with is enough");
            for slot in &world.client(host).slots {
                let off = clock_errors(slot, asked);
                // Encodings are paced, and without reports their clocks begin with their first packets.
                assert!(off.iter().all(|error| error.abs() <= 50), "seed {seed}: {off:?}");
                let pictures: Vec<_> =
                    slot.shown().into_iter().filter(|picture| picture.at + ms(2000) > asked).collect();
                assert_eq!(freezes(&pictures), [], "seed {seed}");
                let sharp = slot.received.iter().filter(|(number, mark)| {
                    usize::from(mark.publisher) == chosen
                        && mark.encoding == 0
                        && slot.arrivals[number] > asked
                });
                let times: Vec<u32> = sharp.map(|(number, _)| slot.timestamps[number]).collect();
                let next = times.iter().find(|&&time| Some(&time) != times.first());
                let apart = next.map(|next| next.wrapping_sub(times[0]));
                // Else a player that decodes its first picture leaves out the second, which came with it, and what builds upon that.
                assert!(apart.is_none_or(|ticks| ticks >= 90 * 30), "seed {seed}: {apart:?}");
                let theirs = pictures.iter().filter(|picture| usize::from(picture.mark.publisher) == chosen);
                let sharp =
                    theirs.filter(|picture| picture.at > asked).find(|picture| picture.mark.encoding == 0);
                waits.extend(sharp.map(|picture| picture.at - asked));
            }
        }
    }
    waits.sort_unstable();
    assert_eq!(waits.len(), 20);
    assert!(waits[18] <= ms(500), "{waits:?}");
}

#[test]
fn a_picture_that_the_viewer_cannot_decode_is_named_as_long_as_it_is_wished_for() {
    let mut world = World::new(1);
    let vp9 = Scheme { codec: Codec::Vp9, spatial: 1, temporal: 1, key_mode: false, dependency: false };
    world.join_layered(vp9, Some(360), 0, near());
    world.join(&[360], 0, near());
    let viewer = world.join(&[], 1, near());
    world.run_for(ms(1000));
    let told = |world: &mut World, video: &[PublicationId]| {
        let video = video.iter().map(|&of| VideoWish::new(of, 360)).collect();
        world.view(viewer, View { video, ..View::default() });
        world.run_for(ms(1000));
        let last = world.events.iter().rev().find_map(|event| match event {
            Event::Slots { participant: who, slots } if *who == participant(viewer) => Some(slots[0]),
            _ => None,
        });
        last.map(|slot| (slot.publication, slot.undecodable)).expect("the slots are told")
    };
    let (unknown, known) = (camera(0), camera(1));
    assert_eq!(told(&mut world, &[unknown]), (None, Some(unknown)));
    assert_eq!(told(&mut world, &[known]), (Some(known), None));
    assert_eq!(told(&mut world, &[unknown]), (None, Some(unknown)));
    assert_eq!(told(&mut world, &[]), (None, None));
}
