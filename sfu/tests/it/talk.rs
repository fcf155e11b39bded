//! A room of people who talk: each with a sound, some with pictures, all with a few slots.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use simmer_sfu::id::{ParticipantId, PublicationId, RoomId, Ssrc};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::rtp::RtpHeader;
use simmer_sfu::sim::{Shards, check};
use simmer_sfu::view::Role;

pub(crate) const FRAME: Duration = Duration::from_millis(20);
pub(crate) const SLOTS: usize = 4;

/// A room of people who all publish a sound, and hear all through a few slots.
pub(crate) struct Room {
    pub(crate) shard: Shards,
    rng: ChaCha20Rng,
    pub(crate) now: Instant,
    pub(crate) voices: Vec<Voice>,
    /// When it was told who speaks, and who led.
    pub(crate) told: Vec<(Instant, Vec<usize>)>,
    pub(crate) handovers: usize,
    /// Whose pictures are in whose slots, and for which roles, as told last.
    pub(crate) pictures: BTreeMap<usize, Vec<Shown>>,
    /// How often anybody was told to offer more slots, and that their slots changed.
    pub(crate) slots_wanted: usize,
    pub(crate) slots_changed: usize,
}

/// A picture in a slot, and the role it is there for.
type Shown = (PublicationId, Option<(Role, u16)>);

/// What somebody brings.
#[derive(Clone, Copy)]
pub(crate) struct Person {
    /// Their packets say how loud they are.
    pub(crate) tells_level: bool,
    /// Video m-lines they send on, named `0`, `1` and so on; nothing is sent.
    pub(crate) videos: usize,
}

impl Default for Person {
    fn default() -> Self {
        Self { tells_level: true, videos: 0 }
    }
}

/// One person: what they say, and what they hear.
pub(crate) struct Voice {
    ufrag: String,
    speaks: bool,
    /// Frames left of a syllable or of the gap between two, and how loud it is.
    left: u32,
    level: u8,
    sequence: u16,
    pub(crate) frame: u32,
    slots: BTreeMap<Ssrc, Heard>,
    /// By who spoke: the number of the last of their packets that came.
    pub(crate) heard: BTreeMap<usize, u32>,
}

/// What one slot received.
#[derive(Default)]
pub(crate) struct Heard {
    last: Option<(u16, u32)>,
    from: Option<usize>,
}

impl Room {
    pub(crate) fn new(seed: u64, people: &[Person]) -> Self {
        Self::on(Shards::new(seed, 1, usize::MAX), seed, people)
    }

    /// The same on shards of one's own.
    pub(crate) fn on(shard: Shards, seed: u64, people: &[Person]) -> Self {
        let mut room = Self {
            shard,
            rng: ChaCha20Rng::seed_from_u64(seed),
            now: Instant::now(),
            voices: Vec::new(),
            told: Vec::new(),
            handovers: 0,
            pictures: BTreeMap::new(),
            slots_wanted: 0,
            slots_changed: 0,
        };
        for (number, &person) in people.iter().enumerate() {
            room.join(number, person);
        }
        room
    }

    fn join(&mut self, number: usize, person: Person) {
        let participant = ParticipantId(number as u64);
        self.shard.handle_message(self.now, Command::Join { room: RoomId(1), participant });
        self.shard
            .handle_message(self.now, Command::Offer { participant, request: 0, sdp: offer(number, person) });
        let (mut own, mut slots) = (String::new(), BTreeMap::new());
        while let Some(event) = self.shard.poll_event() {
            self.follow(&event);
            let Event::Answered { answer, .. } = event else { continue };
            let answer = answer.expect("an answer");
            let ufrag = answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).expect("a ufrag");
            ufrag.clone_into(&mut own);
            let sections = answer.split("m=").filter(|section| section.starts_with("audio"));
            let ssrcs = sections.flat_map(str::lines);
            let ssrcs = ssrcs.filter_map(|line| line.strip_prefix("a=ssrc:")?.split(' ').next());
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

    pub(crate) fn speak(&mut self, who: &[usize]) {
        for (number, voice) in self.voices.iter_mut().enumerate() {
            voice.speaks = who.contains(&number);
        }
    }

    /// A frame's time passes, of those who speak and of those who do not.
    pub(crate) fn pass(&mut self) {
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

    pub(crate) fn pass_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.pass();
        }
    }

    fn follow(&mut self, event: &Event) {
        match event {
            Event::Speakers { speakers, .. } => {
                let who = speakers.iter().map(|speaker| speaker.publication.participant.0 as usize);
                self.told.push((self.now, who.collect()));
            }
            Event::Slots { participant, slots } => {
                let pictures = slots.iter().filter(|slot| slot.mid.as_str().starts_with('v'));
                let pictures = pictures.filter_map(|slot| Some((slot.publication?, slot.role))).collect();
                self.pictures.insert(participant.0 as usize, pictures);
                self.slots_changed += 1;
            }
            Event::SlotsWanted { .. } => self.slots_wanted += 1,
            _ => {}
        }
    }

    /// Carries what waits to where it goes.
    pub(crate) fn take(&mut self) {
        while let Some(event) = self.shard.poll_event() {
            self.follow(&event);
        }
        let (voices, handovers) = (&mut self.voices, &mut self.handovers);
        self.shard.poll_transmit(self.now, |batch| {
            for (to, run) in batch {
                let media = |bytes: &&[u8]| bytes[0] >= 128 && !(192..224).contains(&bytes[1]);
                for datagram in run.contents.chunks(run.segment_size).filter(media) {
                    let listener = usize::from(to.port()) - 10_001;
                    *handovers += usize::from(voices[listener].hear(listener, datagram));
                }
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

/// A sound, pictures, slots for both: pictures only for who has some.
fn offer(number: usize, person: Person) -> String {
    let fingerprint = ["5A"; 32].join(":");
    let level = match person.tells_level {
        true => "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n",
        false => "",
    };
    let sound = format!("{level}a=rtpmap:111 opus/48000/2\r\n");
    let picture = "a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\n".to_owned();
    let mut lines = vec![(
        "audio",
        111,
        "a".to_owned(),
        "sendonly",
        format!("{sound}a=ssrc:{} cname:c\r\n", 1000 + number),
    )];
    lines.extend((0..SLOTS).map(|slot| ("audio", 111, format!("s{slot}"), "recvonly", sound.clone())));
    lines.extend((0..person.videos).map(|video| {
        let ssrc = format!("a=ssrc:{} cname:c\r\n", 2000 + 10 * number + video);
        ("video", 96, video.to_string(), "sendonly", format!("{picture}{ssrc}"))
    }));
    let slots = if person.videos > 0 { SLOTS } else { 0 };
    lines.extend((0..slots).map(|slot| ("video", 96, format!("v{slot}"), "recvonly", picture.clone())));
    let mids: Vec<&str> = lines.iter().map(|(_, _, mid, ..)| mid.as_str()).collect();
    let mut sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=ice-ufrag:sim{number:05}\r\n\
         a=ice-pwd:simulatedPasswordOf24chars\r\na=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\n",
        mids.join(" ")
    );
    for (kind, payload_type, mid, direction, rest) in lines {
        sdp.push_str(&format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=rtcp-mux\r\n\
             a={direction}\r\n{rest}"
        ));
    }
    sdp
}

fn address(number: usize) -> SocketAddr {
    ([127, 0, 0, 1], 10_001 + number as u16).into()
}
