//! Layers that nobody sees: they are not sent, and are there again when somebody wants them.

use std::time::{Duration, Instant};

use simmer_sfu::id::PublicationId;
use simmer_sfu::sim::{Line, World, freezes, participant};
use simmer_sfu::view::{VideoWish, View};

const ROUND_TRIPS: [u64; 6] = [20, 50, 80, 120, 160, 200];

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Two publishers and a viewer who sees them at these heights.
struct Call {
    world: World,
    viewer: usize,
    round_trip: Duration,
}

impl Call {
    fn new(seed: u64, round_trip: Duration, heights: [Option<u16>; 2]) -> Self {
        let line = Line { delay: round_trip / 2, jitter: ms(3), ..Line::default() };
        let mut world = World::new(seed);
        for _ in heights {
            world.join_natural(&[720, 360, 180], 0, line.clone());
        }
        let viewer = world.join_natural(&[], 2, line);
        let mut call = Self { world, viewer, round_trip };
        call.look(heights);
        // Another moment between two pictures for every seed.
        call.world.run_for(ms(8_000 + 7 * seed));
        call
    }

    fn look(&mut self, heights: [Option<u16>; 2]) {
        let wish = |(publisher, height): (usize, Option<u16>)| {
            let publication = PublicationId { participant: participant(publisher), index: 0 };
            Some(VideoWish::new(publication, height?))
        };
        let video = heights.into_iter().enumerate().filter_map(wish).collect();
        self.world.view(self.viewer, View { video, ..View::default() });
    }

    /// The first publisher's larger layers are paused, and the largest is wanted: how long after the wish its first packet comes. What is shown meanwhile does
    /// not freeze.
    fn becomes_large(&mut self, heights: [Option<u16>; 2]) -> Duration {
        let before = self.world.client(0).published.clone();
        self.world.run_for(ms(1000));
        let published = &self.world.client(0).published;
        assert_eq!(published[..2], before[..2], "the larger ones pause");
        assert!(published[2] > before[2] + 25);
        let asked = self.world.now;
        self.look(heights);
        self.world.run_for(ms(5000));
        let slots = &self.world.client(self.viewer).slots;
        let firsts = slots.iter().filter_map(|slot| {
            let large = slot.received.iter().filter(|(_, mark)| (mark.publisher, mark.encoding) == (0, 0));
            large.map(|(number, _)| slot.arrivals[number]).filter(|&at| at > asked).min()
        });
        let first: Option<Instant> = firsts.min();
        for slot in slots {
            let pictures = slot.shown();
            let from = pictures.iter().position(|picture| picture.at + ms(1000) > asked).unwrap_or_default();
            assert_eq!(freezes(&pictures[from..]), [], "the smaller one is shown meanwhile");
        }
        // Signaling takes no time in the simulation: what its way up from the viewer and down to the publisher takes is added.
        first.expect("it comes") - asked + self.round_trip
    }
}

fn p95(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 95).div_ceil(100) - 1]
}

#[test]
fn what_nobody_sees_is_not_sent_and_is_back_when_wanted() {
    const BEYOND: Duration = ms(300);
    // On a line that carries a large picture already: the two change places, or the second grows as well.
    for after in [Some(180), Some(720)] {
        let mut beyond = Vec::new();
        for round_trip in ROUND_TRIPS.map(ms) {
            for seed in 0..5 {
                let mut call = Call::new(seed, round_trip, [Some(180), Some(720)]);
                beyond.push(call.becomes_large([Some(720), after]).saturating_sub(round_trip));
            }
        }
        assert!(beyond.len() >= 20 && p95(beyond.clone()) <= BEYOND, "{beyond:?}");
    }
}

/// Nothing but the smallest picture has been seen to arrive: a probe for the next, and one for the largest, take a round trip each and the time of a
/// feedback.
#[test]
fn on_a_line_not_known_to_carry_it_what_is_wanted_is_back_after_probes() {
    let mut beyond = Vec::new();
    for round_trip in ROUND_TRIPS.map(ms) {
        for seed in 0..5 {
            let mut call = Call::new(seed, round_trip, [Some(180), None]);
            let took = call.becomes_large([Some(720), None]);
            assert!(took <= ms(4000), "seed {seed}, {round_trip:?}: {took:?}");
            beyond.push(took.saturating_sub(round_trip * 5));
        }
    }
    assert!(p95(beyond.clone()) <= ms(300), "{beyond:?}");
}
