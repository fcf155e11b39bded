//! Many sounds and few slots: whoever speaks is heard by everybody, and the room is told who speaks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use simmer_sfu::audio::Speakers;
use simmer_sfu::id::{ParticipantId, RoomId, Ssrc};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::rtp::RtpHeader;
use simmer_sfu::sim::{PlainContext, PlainTransport, check};
use simmer_sfu::{Limits, Shard, ShardConfig};

const FRAME: Duration = Duration::from_millis(20);
const SLOTS: usize = 4;

/// A room of people who all publish a sound, and hear all through a few slots.
struct Room {
    shard: Shard<PlainTransport>,
    rng: ChaCha20Rng,
    now: Instant,
    voices: Vec<Voice>,
    /// When it was told who speaks, and who led.
    told: Vec<(Instant, Vec<usize>)>,
    handovers: usize,
}

/// One person: what they say, and what they hear.
struct Voice {
    ufrag: String,
    speaks: bool,
    /// Frames left of a syllable or of the gap between two, and how loud it is.
    left: u32,
    level: u8,
    sequence: u16,
    frame: u32,
    slots: BTreeMap<Ssrc, Heard>,
    /// By who spoke: the number of the last of their packets that came.
    heard: BTreeMap<usize, u32>,
}

/// What one slot received.
#[derive(Default)]
struct Heard {
    last: Option<(u16, u32)>,
    from: Option<usize>,
}

impl Room {
    fn new(seed: u64, people: usize, tells_level: impl Fn(usize) -> bool) -> Self {
        let config =
            ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut room = Self {
            shard: Shard::new(config, PlainContext::default(), bytes),
            rng: ChaCha20Rng::seed_from_u64(seed),
            now: Instant::now(),
            voices: Vec::new(),
            told: Vec::new(),
            handovers: 0,
        };
        for number in 0..people {
            room.join(number, tells_level(number));
        }
        room
    }

    fn join(&mut self, number: usize, tells_level: bool) {
        let participant = ParticipantId(number as u64);
        let fingerprint = ["5A"; 32].join(":");
        let level =
            if tells_level { "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n" } else { "" };
        let mids: Vec<String> = (0..=SLOTS).map(|mid| mid.to_string()).collect();
        let mut sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=ice-ufrag:sim{number:05}\r\n\
             a=ice-pwd:simulatedPasswordOf24chars\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n",
            mids.join(" ")
        );
        for mid in 0..=SLOTS {
            let (direction, ssrc) = match mid {
                0 => ("sendonly", format!("a=ssrc:{} cname:c\r\n", 1000 + number)),
                _ => ("recvonly", String::new()),
            };
            sdp.push_str(&format!(
                "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=rtcp-mux\r\na={direction}\r\n\
                 {level}a=rtpmap:111 opus/48000/2\r\n{ssrc}"
            ));
        }
        self.shard.handle_message(self.now, Command::Join { room: RoomId(1), participant });
        self.shard.handle_message(self.now, Command::Offer { participant, request: 0, sdp });
        let (mut own, mut slots) = (String::new(), BTreeMap::new());
        while let Some(event) = self.shard.poll_event() {
            let Event::Answered { answer, .. } = event else { continue };
            let answer = answer.expect("an answer");
            let ufrag = answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("a ufrag");
            ufrag.clone_into(&mut own);
            let ssrcs = answer.lines().filter_map(|line| line.strip_prefix("a=ssrc:")?.split(' ').next());
            slots = ssrcs.map(|ssrc| (Ssrc(ssrc.parse().expect("a number")), Heard::default())).collect();
        }
        assert_eq!(slots.len(), SLOTS);
        let (sequence, heard) = (self.rng.random(), BTreeMap::new());
        let ufrag = own;
        self.voices.push(Voice {
            ufrag,
            speaks: false,
            left: 0,
            level: 127,
            sequence,
            frame: 0,
            slots,
            heard,
        });
    }

    fn speak(&mut self, who: &[usize]) {
        for (number, voice) in self.voices.iter_mut().enumerate() {
            voice.speaks = who.contains(&number);
        }
    }

    /// A frame's time passes, of those who speak and of those who do not.
    fn pass(&mut self) {
        for number in 0..self.voices.len() {
            // Consent lasts half a minute.
            if self.voices[number].frame.is_multiple_of(500) {
                let check = check(&self.voices[number].ufrag);
                self.shard.handle_datagram(self.now, address(number), BytesMut::from(&check[..]));
            }
            if let Some(packet) = self.voices[number].say(number, &mut self.rng) {
                self.shard.handle_datagram(self.now, address(number), packet);
                self.take();
            }
        }
        self.now += FRAME;
        while self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
            self.shard.handle_timeout(self.now);
        }
        self.take();
    }

    fn pass_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.pass();
        }
    }

    fn take(&mut self) {
        while let Some(event) = self.shard.poll_event() {
            if let Event::Speakers { speakers, .. } = event {
                let who = speakers.iter().map(|speaker| speaker.publication.participant.0 as usize);
                self.told.push((self.now, who.collect()));
            }
        }
        let (voices, handovers) = (&mut self.voices, &mut self.handovers);
        self.shard.poll_transmit(self.now, |to, run| {
            let media = |bytes: &&[u8]| bytes[0] >= 128 && !(192..224).contains(&bytes[1]);
            for datagram in run.contents.chunks(run.segment_size).filter(media) {
                let listener = usize::from(to.port()) - 10_001;
                *handovers += usize::from(voices[listener].hear(listener, datagram));
            }
        });
    }
}

impl Voice {
    /// The next packet, if one is due: while silent, one in 400 ms, as Opus has it.
    fn say(&mut self, number: usize, rng: &mut ChaCha20Rng) -> Option<BytesMut> {
        self.frame += 1;
        if !self.speaks {
            (self.level, self.left) = (127, 0);
        } else if self.left == 0 {
            let sounded = self.level < 50;
            let (frames, levels) = if sounded { (1..6, 55..75) } else { (6..15, 20..40) };
            (self.left, self.level) = (rng.random_range(frames), rng.random_range(levels));
        }
        self.left = self.left.saturating_sub(1);
        if !self.speaks && !(self.frame as usize + number).is_multiple_of(20) {
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let header = [&[0x90, 111], &self.sequence.to_be_bytes()[..], &(self.frame * 960).to_be_bytes()];
        let rest = [&(1000 + number as u32).to_be_bytes()[..], &[0xbe, 0xde, 0, 1, 0x10, self.level, 0, 0]];
        let payload = [&(number as u16).to_be_bytes()[..], &self.frame.to_be_bytes()];
        Some(BytesMut::from(&[header.concat(), rest.concat(), payload.concat()].concat()[..]))
    }

    /// Takes a packet; whether its slot was somebody else's before.
    fn hear(&mut self, listener: usize, datagram: &[u8]) -> bool {
        let header = RtpHeader::parse(datagram).expect("a packet");
        let payload = &datagram[header.header_len..header.payload_end];
        let from = usize::from(u16::from_be_bytes([payload[0], payload[1]]));
        assert_ne!(from, listener, "they hear themselves");
        let slot = self.slots.get_mut(&header.ssrc).expect("a slot of theirs");
        if let Some((sequence, timestamp)) = slot.last {
            assert_eq!(header.sequence, sequence.wrapping_add(1), "a gap");
            assert!(header.timestamp.wrapping_sub(timestamp) < 1 << 31, "time goes back");
        }
        slot.last = Some((header.sequence, header.timestamp));
        self.heard.insert(from, u32::from_be_bytes([payload[2], payload[3], payload[4], payload[5]]));
        slot.from.replace(from).is_some_and(|before| before != from)
    }
}

fn address(number: usize) -> SocketAddr {
    ([127, 0, 0, 1], 10_001 + number as u16).into()
}

/// Turns of a second or more, of two people at once at most.
#[test]
fn whoever_speaks_is_heard_by_everybody_within_a_fifth_of_a_second() {
    const PEOPLE: usize = 60;
    for seed in 0..4 {
        let mut room = Room::new(seed, PEOPLE, |_| true);
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
        let mut room = Room::new(seed, 6, |_| true);
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

#[test]
fn a_sound_that_tells_no_level_keeps_its_slot() {
    const PEOPLE: usize = 12;
    const UNMEASURED: usize = 9;
    for seed in 0..5 {
        let mut room = Room::new(seed, PEOPLE, |number| number != UNMEASURED);
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
    let mut room = Room::new(3, SLOTS + 1, |_| true);
    for turn in 0..15 {
        room.speak(&[turn % (SLOTS + 1)]);
        room.pass_for(Duration::from_secs(1));
    }
    assert_eq!(room.handovers, 0);
}
