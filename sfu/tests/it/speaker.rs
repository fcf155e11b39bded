//! A slot that shows whoever speaks: its picture changes every few seconds, and is there at once.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use simmer_sfu::message::{Command, Event};
use simmer_sfu::sim::{Line, Shown, World, freezes, participant};
use simmer_sfu::view::{Role, VideoWish, View};

const PEOPLE: usize = 6;
const FRAME: Duration = Duration::from_millis(20);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// People with cameras and sounds, and viewers with one slot for who speaks.
struct Panel {
    world: World,
    viewers: Vec<usize>,
    dice: ChaCha20Rng,
    frame: u32,
    /// Of who speaks: how loud they are and for how many frames more.
    syllable: (u8, u32),
}

/// Somebody's turn to speak.
struct Turn {
    who: usize,
    /// When each viewer was told that their slot shows them.
    told: Vec<Option<Instant>>,
    ended: Instant,
}

impl Panel {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        let near = || Line { delay: ms(20), jitter: ms(3), ..Line::default() };
        for number in 0..PEOPLE {
            world.join_natural(&[720, 360, 180], 0, near());
            let sdp = with_sound(&world.client(number).offer(), number);
            let (participant, request) = (participant(number), number as u64);
            world.shard.handle_message(world.now, Command::Offer { participant, request, sdp });
        }
        let viewers: Vec<usize> = (0..3).map(|_| world.join_natural(&[], 1, near())).collect();
        world.run_for(ms(1000));
        for &viewer in &viewers {
            world.view(viewer, View { video: vec![VideoWish::new(Role::Speaker, 720)], ..View::default() });
        }
        let dice = ChaCha20Rng::seed_from_u64(seed);
        Self { world, viewers, dice, frame: 0, syllable: (127, 0) }
    }

    fn turn(&mut self, who: usize, time: Duration) -> Turn {
        let (mut told, mut known) = (vec![None; self.viewers.len()], self.world.events.len());
        let ended = self.world.now + time;
        while self.world.now < ended {
            self.sound(who);
            for _ in 0..4 {
                self.world.run_for(FRAME / 4);
                for event in &self.world.events[known..] {
                    let Event::Slots { participant: whose, slots } = event else { continue };
                    let viewer = self.viewers.iter().position(|&viewer| *whose == participant(viewer));
                    let Some(at) = viewer else { continue };
                    let shows = slots[0].publication.is_some_and(|of| of.participant == participant(who));
                    told[at] = told[at].or(shows.then_some(self.world.now));
                }
                known = self.world.events.len();
            }
        }
        Turn { who, told, ended }
    }

    /// A frame's time of everybody's sound: syllables of who speaks, now and then a frame of silence from the others.
    fn sound(&mut self, speaker: usize) {
        self.frame += 1;
        let (level, left) = self.syllable;
        self.syllable = match (left, level < 50) {
            (0, true) => (self.dice.random_range(55..75), self.dice.random_range(1..6)),
            (0, false) => (self.dice.random_range(20..40), self.dice.random_range(6..15)),
            _ => (level, left - 1),
        };
        for number in 0..PEOPLE {
            let speaks = number == speaker;
            if !speaks && !(self.frame as usize + number).is_multiple_of(20) {
                continue;
            }
            let level = if speaks { self.syllable.0 } else { 127 };
            let parts: [&[u8]; 6] = [
                &[0x90, 111],
                &(self.frame as u16).to_be_bytes(),
                &(self.frame * 960).to_be_bytes(),
                &sound_ssrc(number).to_be_bytes(),
                &[0xbe, 0xde, 0, 1, LEVEL << 4, level, 0, 0],
                b"sound",
            ];
            let packet = BytesMut::from(&parts.concat()[..]);
            self.world.shard.handle_datagram(self.world.now, self.world.client(number).address, packet);
        }
    }
}

fn sound_ssrc(number: usize) -> u32 {
    90_000 + number as u32
}

/// A publisher's offer with a sound beside the picture.
fn with_sound(offer: &str, number: usize) -> String {
    let line = |key: &str| offer.lines().find(|line| line.starts_with(key)).expect("it is in every offer");
    let transport = ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:"].map(line);
    format!(
        "{}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\n{}\r\na=mid:a\r\na=rtcp-mux\r\na=sendonly\r\n\
         a=rtpmap:111 opus/48000/2\r\na=extmap:{LEVEL} urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=ssrc:{} cname:c\r\n",
        offer.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 a"),
        transport.join("\r\n"),
        sound_ssrc(number),
    )
}

const LEVEL: u8 = 8;

#[test]
fn whoever_begins_to_speak_is_seen_at_once_and_without_a_freeze() {
    for seed in 0..5 {
        let mut panel = Panel::new(seed);
        let (mut turns, mut who) = (Vec::new(), 0);
        for _ in 0..12 {
            who = (who + panel.dice.random_range(1..PEOPLE)) % PEOPLE;
            let time = ms(panel.dice.random_range(2_500..5_000));
            turns.push(panel.turn(who, time));
        }
        for turn in &turns[1..] {
            for (&viewer, told) in panel.viewers.iter().zip(&turn.told) {
                let context = format!("seed {seed}: {viewer} sees {}", turn.who);
                let told = told.unwrap_or_else(|| panic!("{context}: never told"));
                let theirs = |picture: &Shown| {
                    usize::from(picture.mark.publisher) == turn.who
                        && (told..turn.ended).contains(&picture.at)
                };
                let shown = panel.world.client(viewer).slots[0].shown().into_iter();
                let pictures: Vec<Shown> = shown.filter(theirs).collect();
                assert_eq!(freezes(&pictures), [], "{context}");
                let sharp = pictures.iter().find(|picture| picture.mark.encoding == 0);
                let sharp = sharp.map(|picture| picture.at - told);
                assert!(sharp.is_some_and(|after| after <= ms(250)), "{context}: after {sharp:?}");
            }
        }
        for number in 0..PEOPLE {
            for encoding in 0..3 {
                let asked = panel.world.client(number).keys_asked.iter();
                let times: Vec<_> = asked.filter(|(_, of)| *of == encoding).map(|(at, _)| *at).collect();
                let soonest = times.windows(2).map(|pair| pair[1] - pair[0]).min();
                assert!(soonest.is_none_or(|gap| gap >= ms(500)), "seed {seed}: {soonest:?}");
            }
        }
    }
}
