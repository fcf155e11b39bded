//! Sound and pictures of somebody who tells what their clocks show: what a viewer makes of it stays true whatever layers they are shown.

use std::time::{Duration, Instant};

use simmer_sfu::id::PublicationId;
use simmer_sfu::sim::{ClientPlan, Line, Report, World, participant, switches};
use simmer_sfu::view::{VideoWish, View};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A second of a clock, in microseconds.
const SECOND_US: i64 = 1_000_000;

/// When a packet was taken by the clock that reports tell, in microseconds of it, as the last report before `at` has it.
fn taken_us(reports: &[Report], rate: i64, timestamp: u32, at: Instant) -> Option<i64> {
    let report = reports.iter().rev().find(|report| report.at <= at)?;
    let wall = ((i128::from(report.ntp) * i128::from(SECOND_US)) >> 32) as i64;
    Some(wall + i64::from(timestamp.wrapping_sub(report.rtp_time) as i32) * SECOND_US / rate)
}

/// What a viewer's player knows of each packet: when it came, how far its slot's RTP clock is from the time at which it was taken, and how far the clock
/// that the reports tell is.
#[derive(Clone, Copy, Debug)]
struct Known {
    at: Instant,
    rtp_us: i64,
    wall_us: i64,
    /// It is a picture that others are not needed for.
    key: bool,
}

struct Seen {
    pictures: Vec<Known>,
    sounds: Vec<Known>,
    switches: usize,
}

/// A viewer of somebody who speaks and is seen, whose picture is wished at another height all the time.
fn watch(seed: u64, line: &Line) -> Seen {
    let mut world = World::new(seed);
    let publisher = ClientPlan {
        publishes: vec![720, 360, 180],
        speaks: true,
        clocks: true,
        natural: true,
        feedback: true,
        ..ClientPlan::default()
    };
    let publisher = world.join_as(publisher, line.clone());
    let viewer = ClientPlan { slots: 1, sounds: 1, feedback: true, ..ClientPlan::default() };
    let viewer = world.join_as(viewer, line.clone());
    // The sound's clock is told every five seconds.
    world.run_for(ms(7000));
    let settled = world.now;
    let camera = PublicationId { participant: participant(publisher), index: 0 };
    for height in [180, 720, 360].into_iter().cycle().take(24) {
        world.view(viewer, View { video: vec![VideoWish::new(camera, height)], ..View::default() });
        world.run_for(ms(900));
    }
    let (source, client) = (world.client(publisher), world.client(viewer));
    let slot = &client.slots[0];
    let origin = source.spoken[0];
    let known = |at: Instant, taken: Instant, reports: &[Report], rate: i64, timestamp: u32, first: u32| {
        let taken = (taken - origin).as_micros() as i64;
        Some(Known {
            at,
            rtp_us: i64::from(timestamp.wrapping_sub(first) as i32) * SECOND_US / rate - taken,
            wall_us: taken_us(reports, rate, timestamp, at)? - taken,
            key: false,
        })
    };
    let (first, spoken) = (*slot.timestamps.values().next().unwrap(), client.sounds[0].sounds[0].timestamp);
    let pictures = slot.received.iter().filter_map(|(number, mark)| {
        let (at, taken) = (slot.arrivals[number], source.taken[&(mark.encoding, mark.frame)]);
        // What is shown late, because it came before, is shown in quick succession.
        let live = at >= settled && at - taken < ms(150);
        let known = known(at, taken, &slot.reports, 90_000, slot.timestamps[number], first);
        known.filter(|_| live).map(|known| Known { key: mark.key, ..known })
    });
    let sounds = client.sounds[0].sounds.iter().filter(|sound| sound.at >= settled);
    let sounds = sounds.filter_map(|sound| {
        let taken = source.spoken[sound.frame as usize];
        known(sound.at, taken, &client.sounds[0].reports, 48_000, sound.timestamp, spoken)
    });
    Seen { pictures: pictures.collect(), sounds: sounds.collect(), switches: switches(&slot.shown()) }
}

fn spread<'a>(of: impl IntoIterator<Item = &'a Known>) -> i64 {
    let values: Vec<i64> = of.into_iter().map(|known| known.rtp_us).collect();
    values.iter().max().unwrap() - values.iter().min().unwrap()
}

/// By how much sound and picture are apart, as the reports known by then tell, for each packet of a picture.
fn apart(seen: &Seen) -> Vec<(i64, bool)> {
    let mut sounds = seen.sounds.iter().peekable();
    let mut sound = seen.sounds[0];
    let apart = seen.pictures.iter().map(|picture| {
        while let Some(next) = sounds.next_if(|next| next.at <= picture.at) {
            sound = *next;
        }
        ((picture.wall_us - sound.wall_us).abs(), picture.key)
    });
    apart.collect()
}

#[test]
fn timestamps_follow_the_camera_and_the_voice_through_every_change_of_layers() {
    let seen = watch(1, &Line { delay: ms(20), ..Line::default() });
    assert!(seen.switches >= 16, "{}", seen.switches);
    assert!(seen.pictures.len() > 1000 && seen.sounds.len() > 1000);
    // Nothing but the rounding of ticks.
    let steady = spread(seen.pictures.iter().filter(|picture| !picture.key));
    assert!(steady <= 500 && spread(&seen.sounds) <= 500, "{steady} us");
    // One may be of the same time as what was shown before it.
    let all = spread(&seen.pictures);
    assert!(all <= 10_500, "{all} us");
    for (apart, key) in apart(&seen) {
        assert!(apart <= if key { 10_500 } else { 500 }, "{apart} us between sound and picture");
    }
}

#[test]
fn lips_move_with_the_voice_on_a_line_whose_delay_jumps() {
    let line = Line { delay: ms(15), jitter: ms(20), loss: 0.01, reorder: 0.01, ..Line::default() };
    for seed in 0..4 {
        let seen = watch(seed, &line);
        assert!(seen.switches >= 16, "seed {seed}: {}", seen.switches);
        let apart = apart(&seen);
        // What a key frame that was repaired let wait is shown in quick succession.
        let far: Vec<i64> =
            apart.iter().filter(|&&(apart, key)| apart > 10_000 && !key).map(|(apart, _)| *apart).collect();
        assert!(far.len() * 50 <= apart.len(), "seed {seed}: {} of {}", far.len(), apart.len());
        assert!(far.iter().all(|&apart| apart <= 100_000), "seed {seed}: {far:?} us");
    }
}
