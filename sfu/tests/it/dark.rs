//! Lines that go dark: once they are back so is the picture, and nobody else has noticed.

use std::time::{Duration, Instant};

use simmer_sfu::message::{Command, DisconnectReason, Event};
use simmer_sfu::sim::{Line, Shown, World, freezes, participant};

const SEEDS: std::ops::Range<u64> = 0..5;
const HOST: usize = 0;
const GUEST: usize = 1;
const VIEWER: usize = 2;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn good(seed: u64) -> Line {
    Line { delay: ms(12 + seed), jitter: ms(3), ..Line::default() }
}

fn dark() -> Line {
    Line { loss: 1.0, ..Line::default() }
}

/// A host and a guest who see each other, and one who sees both. The guest's line goes dark both ways for so long; then they come back as told.
fn darkness(
    seed: u64,
    time: Duration,
    come_back: impl FnOnce(&mut World, Line),
) -> (World, Instant, Instant) {
    let mut world = World::new(seed);
    world.join_natural(&[720, 360, 180], 1, good(seed));
    world.join_natural(&[360, 180], 1, good(seed));
    world.join_natural(&[], 2, good(seed));
    world.run_for(seconds(8));
    let began = world.now;
    world.set_lines(GUEST, dark());
    world.run_for(time);
    let healed = world.now;
    come_back(&mut world, good(seed));
    world.run_for(seconds(8));
    (world, began, healed)
}

/// What a client saw of another from an instant on.
fn seen(world: &World, by: usize, of: usize, from: Instant) -> Vec<Shown> {
    let shown = world.client(by).slots.iter().map(|slot| slot.shown());
    let theirs = |shown: Vec<Shown>| {
        let all = shown.into_iter().filter(|picture| picture.at >= from);
        all.filter(|picture| usize::from(picture.mark.publisher) == of).collect::<Vec<_>>()
    };
    shown.map(theirs).max_by_key(Vec::len).unwrap_or_default()
}

/// The guest sees and is seen again within so long, and from then on all the time; the host was seen as if nothing had been.
fn assert_back(world: &World, (began, healed): (Instant, Instant), within: Duration, context: &str) {
    for (by, of) in [(GUEST, HOST), (HOST, GUEST), (VIEWER, GUEST)] {
        let pictures = seen(world, by, of, healed);
        let first = pictures.first().map(|picture| picture.at - healed);
        assert!(first.is_some_and(|first| first <= within), "{context}: {by} sees {of} after {first:?}");
        assert_eq!(freezes(&pictures), [], "{context}: {by} sees {of}");
    }
    let meanwhile = seen(world, VIEWER, HOST, began);
    assert_eq!(freezes(&meanwhile), [], "{context}");
    assert!(meanwhile.iter().all(|picture| picture.mark.encoding == 0), "{context}");
}

fn assert_session_kept(world: &World, context: &str) {
    let ended = |event: &&Event| matches!(event, Event::Disconnected { .. } | Event::Unpublished { .. });
    assert_eq!(world.events.iter().find(ended), None, "{context}");
}

fn on_the_same_address(world: &mut World, line: Line) {
    world.set_lines(GUEST, line);
}

fn from_elsewhere(world: &mut World, line: Line) {
    world.move_away(GUEST, line);
}

/// As a browser does whose network changed: new credentials over signaling first.
fn with_a_restart(world: &mut World, line: Line) {
    let fragment = "a=ice-ufrag:anew\r\na=ice-pwd:anewanewanewanewanewanew\r\n".to_owned();
    let restart = Command::RestartIce { participant: participant(GUEST), request: GUEST as u64, fragment };
    world.shard.handle_message(world.now, restart);
    world.run_for(ms(50));
    world.move_away(GUEST, line);
}

#[test]
fn after_three_seconds_of_darkness_the_picture_is_back_within_a_second() {
    for seed in SEEDS {
        let (world, began, healed) = darkness(seed, seconds(3), on_the_same_address);
        let context = format!("seed {seed}");
        assert_session_kept(&world, &context);
        assert_back(&world, (began, healed), seconds(1), &context);
    }
}

#[test]
fn a_line_that_was_dark_one_way_is_back_within_a_second() {
    for seed in SEEDS {
        let mut world = World::new(seed);
        world.join_natural(&[720, 360, 180], 0, Line::default());
        let viewer = world.join_natural(&[], 1, Line::default());
        world.run_for(seconds(10));
        world.set_down(viewer, dark());
        world.run_for(seconds(3));
        world.set_down(viewer, Line::default());
        let healed = world.now;
        world.run_for(seconds(3));
        let back = seen(&world, viewer, HOST, healed).first().map(|picture| picture.at - healed);
        assert!(back.is_some_and(|after| after <= seconds(1)), "seed {seed}: {back:?}");
    }
}

/// Consent ends 30 s after the last check (RFC 7675), and checks are 2 s apart: this is less.
#[test]
fn after_twenty_seconds_of_darkness_too_wherever_the_client_comes_back_from() {
    type ComeBack = fn(&mut World, Line);
    let ways: [(&str, ComeBack); 3] = [
        ("the same address", on_the_same_address),
        ("another address", from_elsewhere),
        ("a restart", with_a_restart),
    ];
    for (way, come_back) in ways {
        for seed in SEEDS {
            let (world, began, healed) = darkness(seed, seconds(20), come_back);
            let context = format!("{way}, seed {seed}");
            assert_session_kept(&world, &context);
            assert_back(&world, (began, healed), seconds(1), &context);
        }
    }
}

/// It ends between 28 and 30 s after the line went dark. The core keeps the session, which is signaling's to end, and the client's next check begins the
/// connection anew.
#[test]
fn beyond_consent_the_connection_is_told_to_be_gone_and_the_next_check_brings_it_back() {
    let gone =
        Event::Disconnected { participant: participant(GUEST), reason: DisconnectReason::ConsentExpired };
    for seed in SEEDS {
        let (world, began, healed) = darkness(seed, ms(27_500), |world, line| {
            assert!(!world.events.contains(&gone), "seed {seed}");
            world.run_for(seconds(3));
            assert!(world.events.contains(&gone), "seed {seed}");
            world.set_lines(GUEST, line);
        });
        let next_check = seconds(2);
        assert_back(&world, (began, healed + seconds(3)), next_check + ms(500), &format!("seed {seed}"));
    }
}
