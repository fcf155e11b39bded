//! Viewers with bad lines beside viewers with good ones, who see what they would see without them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use simmer_sfu::id::{PublicationId, Ssrc};
use simmer_sfu::message::Event;
use simmer_sfu::rtcp::{write_nack, write_pli};
use simmer_sfu::sim::{Line, Mark, Shown, World, freezes, participant};
use simmer_sfu::view::{VideoWish, View};

const SEEDS: std::ops::Range<u64> = 0..5;
const PUBLISHER: usize = 0;
const WATCHED: Duration = Duration::from_secs(15);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn line(milliseconds: u64) -> Line {
    Line { delay: ms(milliseconds), ..Line::default() }
}

/// Who else watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Beside {
    Nobody,
    /// The same as the bad ones, on good lines and with good manners.
    Good,
    /// One on a line for the smallest picture only, one who loses a fifth each way, and one on a good line who asks for repairs and key frames all the time.
    Bad,
}

/// What there was, from when the others came.
struct Outcome {
    /// Of each good viewer.
    seen: Vec<Seen>,
    /// When key frames were asked for, and of which encoding.
    asked: Vec<(Instant, usize)>,
}

struct Seen {
    /// When each picture was shown, and which.
    pictures: Vec<(Duration, Mark)>,
    /// When each packet came.
    packets: Vec<(Duration, Mark)>,
    /// Pictures that were not whole when due.
    late: usize,
    freezes: Vec<(Instant, Duration)>,
}

/// Three good viewers are there before the others, and a fourth comes after them.
fn watch(seed: u64, beside: Beside) -> Outcome {
    let mut world = World::sharded(seed, 1, usize::MAX);
    world.join_natural(&[720, 360, 180], 0, line(10 + seed));
    let mut good: Vec<usize> = [5, 20, 60].map(|delay| world.join_natural(&[], 1, line(delay))).to_vec();
    look(&mut world, good[2], 360);
    world.run_for(ms(8_000 + 7 * seed));
    let began = world.now;
    let bad = beside == Beside::Bad;
    let mut pest = None;
    if beside != Beside::Nobody {
        let narrow = Line { rate_bps: bad.then_some(300_000), ..line(30) };
        let lossy = Line { loss: if bad { 0.2 } else { 0.0 }, jitter: ms(20), ..line(15) };
        let [.., last] = [narrow, lossy, line(10)].map(|line| world.join_natural(&[], 1, line));
        pest = bad.then_some(last);
    }
    good.push(world.join_natural(&[], 1, line(30)));
    while world.now < began + WATCHED {
        world.run_for(ms(50));
        pest.iter().for_each(|&pest| pester(&mut world, pest));
    }
    let seen = |(number, &viewer): (usize, &usize)| {
        // The fourth needs a while to come to the largest picture.
        let from = if number < 3 { began } else { began + ms(4_000) };
        let slot = &world.client(viewer).slots[0];
        let shown: Vec<Shown> = slot.shown().into_iter().filter(|picture| picture.at >= from).collect();
        let packets = slot.received.iter().map(|(number, mark)| (slot.arrivals[number] - began, *mark));
        Seen {
            pictures: shown.iter().map(|picture| (picture.at - began, picture.mark)).collect(),
            packets: packets.filter(|(at, _)| *at >= from - began).collect(),
            late: slot.pictures_late(from).1,
            freezes: freezes(&shown),
        }
    };
    let asked = world.client(PUBLISHER).keys_asked.iter().copied().filter(|(at, _)| *at >= began);
    Outcome { seen: good.iter().enumerate().map(seen).collect(), asked: asked.collect() }
}

fn look(world: &mut World, viewer: usize, height: u16) {
    let publication = PublicationId { participant: participant(PUBLISHER), index: 0 };
    let video = vec![VideoWish::new(publication, height)];
    world.view(viewer, View { video, ..View::default() });
}

/// Asks for a key frame, and for the last hundred packets again.
fn pester(world: &mut World, pest: usize) {
    let ssrc = world.events.iter().find_map(|event| match event {
        Event::Answered { participant: who, answer: Ok(answer), .. } if *who == participant(pest) => {
            let group = answer.lines().find_map(|line| line.strip_prefix("a=ssrc-group:FID "))?;
            group.split(' ').next()?.parse().ok().map(Ssrc)
        }
        _ => None,
    });
    let ssrc = ssrc.expect("a slot");
    let client = world.client(pest);
    let Some(&last) = client.slots[0].received.keys().last() else { return };
    let mut datagram = Vec::new();
    write_pli(&mut datagram, Ssrc(1), ssrc);
    write_nack(&mut datagram, Ssrc(1), ssrc, &(last.saturating_sub(100)..last).collect::<Vec<_>>());
    let from = client.address;
    world.shard.handle_datagram(world.now, from, BytesMut::from(&datagram[..]));
}

impl Outcome {
    /// The pictures of which any encoding was a key frame: the camera's other encodings leave behind it, and all the later.
    fn key_frames(&self) -> BTreeSet<u32> {
        let marks = self.seen.iter().flat_map(|seen| &seen.packets).map(|(_, mark)| mark);
        marks.filter(|mark| mark.key).map(|mark| mark.frame).collect()
    }
}

impl Seen {
    /// When the packets came of all pictures but these.
    fn packets_but(&self, left_out: &BTreeSet<u32>) -> impl Iterator<Item = (Duration, Mark)> {
        self.packets.iter().copied().filter(|(_, mark)| !left_out.contains(&mark.frame))
    }
}

/// To the microsecond, even of what a player's patience would hide.
#[test]
fn viewers_with_bad_lines_change_nothing_for_the_others() {
    for seed in SEEDS {
        let bad = watch(seed, Beside::Bad);
        for beside in [Beside::Nobody, Beside::Good] {
            let other = watch(seed, beside);
            let keys = &bad.key_frames() | &other.key_frames();
            for (viewer, (with, without)) in bad.seen.iter().zip(&other.seen).enumerate() {
                let context = format!("seed {seed}, viewer {viewer}, otherwise {beside:?}");
                assert!(with.pictures.len() >= 300, "{context}: {} pictures", with.pictures.len());
                // The fourth's pacer follows an estimate that its first pictures made, which are key frames or not.
                let exact = if viewer < 3 { Duration::ZERO } else { ms(10) };
                let differs = |with: Duration, without: Duration| with.abs_diff(without) > exact;
                let mut pictures = with.pictures.iter().zip(&without.pictures);
                let odd = pictures.find(|(with, without)| {
                    let which = |mark: &Mark| (mark.encoding, mark.frame);
                    which(&with.1) != which(&without.1) || differs(with.0, without.0)
                });
                assert_eq!(odd, None, "{context}");
                assert_eq!(with.pictures.len(), without.pictures.len(), "{context}");
                assert_eq!((&with.freezes[..], with.late), (&[][..], without.late), "{context}");
                let mut packets = with.packets_but(&keys).zip(without.packets_but(&keys));
                let odd = packets.find(|(with, without)| with.1 != without.1 || differs(with.0, without.0));
                assert_eq!(odd, None, "{context}");
            }
        }
        // Whoever asks, and however often.
        for encoding in 0..3 {
            let asked = bad.asked.iter().filter(|(_, of)| *of == encoding).map(|(at, _)| *at);
            let asked: Vec<Instant> = asked.collect();
            let soonest = asked.windows(2).map(|pair| pair[1] - pair[0]).min();
            assert!(
                soonest.is_none_or(|gap| gap >= ms(500)),
                "seed {seed}, encoding {encoding}: {soonest:?}"
            );
        }
        assert!(bad.asked.len() >= 20, "seed {seed}: the bad ones do ask: {:?}", bad.asked.len());
    }
}
