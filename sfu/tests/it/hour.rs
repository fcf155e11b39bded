//! An hour of a conference in which something happens every minute: what goes wrong only in the long run shows here. Without optimisation it is six minutes,
//! each sort of event once; `make sim-hour` plays all of it in seconds.

use std::time::{Duration, Instant};

use simmer_sfu::sim::{Line, Shown, World, freezes};

const MINUTES: u32 = if cfg!(debug_assertions) { 6 } else { 60 };

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn good() -> Line {
    Line { delay: ms(12), jitter: ms(3), ..Line::default() }
}

fn narrow(kbps: u64) -> Line {
    Line { rate_bps: Some(kbps * 1000), ..good() }
}

/// The first half of a minute.
fn happen(world: &mut World, minute: u32, [first, second, third]: [usize; 3]) {
    match minute % 6 {
        0 => world.run_for(seconds(30)),
        1 => {
            world.set_lines(second, Line { loss: 1.0, ..good() });
            world.run_for(seconds(3));
            world.set_lines(second, good());
            world.run_for(seconds(27));
        }
        2 => {
            world.set_down(third, narrow(900));
            world.run_for(seconds(25));
            world.set_down(third, narrow(6_000));
            world.run_for(seconds(5));
        }
        3 => {
            world.set_down(first, Line { loss: 0.05, ..good() });
            world.run_for(seconds(25));
            world.set_down(first, good());
            world.run_for(seconds(5));
        }
        4 => {
            let guest = world.join_natural(&[720, 360, 180], 3, good());
            world.run_for(seconds(20));
            world.leave(guest);
            world.run_for(seconds(10));
        }
        _ => {
            world.move_away(second, good());
            world.run_for(seconds(30));
        }
    }
}

#[test]
fn an_hour_of_conference() {
    let mut world = World::new(1);
    let members = [good(), good(), narrow(6_000)].map(|line| world.join_natural(&[720, 360, 180], 2, line));
    world.run_for(seconds(10));
    let began = world.now;
    for minute in 0..MINUTES {
        happen(&mut world, minute, members);
        world.run_for(seconds(30));
    }
    assert_eq!(world.shard.counters().participants, 3);
    for member in members {
        for (at, slot) in world.client(member).slots.iter().enumerate() {
            let shown = slot.shown();
            for minute in 0..MINUTES {
                let what = format!("minute {minute}, member {member}, slot {at}");
                judge(&shown, began + seconds(60) * minute, &what);
            }
        }
    }
}

/// In the second half of a minute nothing reminds of what happened in the first.
fn judge(shown: &[Shown], minute: Instant, what: &str) {
    let between = |from: u64, to: u64| -> Vec<Shown> {
        let (from, to) = (minute + seconds(from), minute + seconds(to));
        shown.iter().copied().filter(|picture| (from..to).contains(&picture.at)).collect()
    };
    let longest = freezes(&between(0, 30)).into_iter().map(|(_, gap)| gap).max();
    assert!(longest.is_none_or(|gap| gap <= seconds(4)), "{what}: {longest:?} without a picture");
    let calm = between(40, 60);
    assert!(calm.len() >= 20 * 30 * 98 / 100, "{what}: {} pictures in 20 s", calm.len());
    assert!(freezes(&calm).is_empty(), "{what}: {:?}", freezes(&calm));
    let sharp = calm.iter().filter(|picture| picture.mark.encoding == 0).count();
    assert!(sharp >= calm.len() * 95 / 100, "{what}: {sharp} of {} sharp", calm.len());
}
