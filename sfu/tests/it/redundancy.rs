//! Redundant audio: who wants it gets every sound twice, and what a publisher's line lost is healed for everybody.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;
use simmer_sfu::codec::red::RedPayload;
use simmer_sfu::id::{ParticipantId, RoomId, Ssrc};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::rtcp::{self, RtcpPacket};
use simmer_sfu::rtp::RtpHeader;
use simmer_sfu::sim::{PlainContext, PlainTransport, check};
use simmer_sfu::{Limits, Shard, ShardConfig};

const OPUS: u8 = 111;
const RED: u8 = 63;
/// 20 ms at 48 kHz.
const FRAME_TICKS: u32 = 960;
const FRAME: Duration = Duration::from_millis(20);
const FIRST_SEQUENCE: u16 = 65_500;

/// The payload types of an m-line: with redundancy before Opus, or after it, as browsers offer unasked.
const WANTED: [u8; 2] = [RED, OPUS];
const UNASKED: [u8; 2] = [OPUS, RED];

/// A publisher, 0, and listeners with one slot each.
struct Room {
    shard: Shard<PlainTransport>,
    now: Instant,
    /// Of each listener's slot.
    ssrcs: Vec<Ssrc>,
    publishes: [u8; 2],
    said: Vec<Vec<u8>>,
    /// The sender reports that listeners got: when, and the two clocks.
    reports: Vec<(Instant, u64, u32)>,
}

/// An RTP packet as a listener got it.
#[derive(Clone, PartialEq, Debug)]
struct Heard {
    datagram: Vec<u8>,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    /// Each sound in it by its timestamp.
    sounds: BTreeMap<u32, Vec<u8>>,
}

impl Heard {
    fn read(datagram: &[u8]) -> Self {
        let header = RtpHeader::parse(datagram).expect("a packet");
        let payload = &datagram[header.header_len..header.payload_end];
        let mut sounds = BTreeMap::new();
        if header.payload_type == RED {
            let red = RedPayload::parse(payload).expect("redundant audio");
            for block in red.earlier().chain([&red.primary]) {
                assert_eq!(block.payload_type, OPUS);
                let timestamp = header.timestamp.wrapping_sub(block.ticks.into());
                assert_eq!(sounds.insert(timestamp, payload[block.at.clone()].to_vec()), None);
            }
        } else {
            sounds.insert(header.timestamp, payload.to_vec());
        }
        Self {
            datagram: datagram.to_vec(),
            payload_type: header.payload_type,
            sequence: header.sequence,
            timestamp: header.timestamp,
            sounds,
        }
    }
}

impl Room {
    fn new(publishes: [u8; 2], listeners: &[[u8; 2]]) -> Self {
        let config =
            ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
        let shard = Shard::new(config, PlainContext::default(), [1; 32]);
        let mut room = Self {
            shard,
            now: Instant::now(),
            ssrcs: Vec::new(),
            publishes,
            said: Vec::new(),
            reports: Vec::new(),
        };
        room.join(0, publishes, "sendonly");
        for (number, &types) in (1..).zip(listeners) {
            room.join(number, types, "recvonly");
        }
        room.now += FRAME;
        room.shard.handle_timeout(room.now);
        room.take();
        room
    }

    fn join(&mut self, number: u64, [first, second]: [u8; 2], direction: &str) {
        let participant = ParticipantId(number);
        let fingerprint = ["5A"; 32].join(":");
        let sdp = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF {first} {second}\r\n\
             c=IN IP4 0.0.0.0\r\na=ice-ufrag:sim{number:05}\r\na=ice-pwd:simulatedPasswordOf24chars\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\na={direction}\r\n\
             a=rtpmap:{OPUS} opus/48000/2\r\na=rtcp-fb:{OPUS} nack\r\na=rtpmap:{RED} red/48000/2\r\n\
             a=fmtp:{RED} {OPUS}/{OPUS}\r\n"
        );
        self.shard.handle_message(self.now, Command::Join { room: RoomId(1), participant });
        self.shard.handle_message(self.now, Command::Offer { participant, request: 0, sdp });
        while let Some(event) = self.shard.poll_event() {
            let Event::Answered { answer, .. } = event else { continue };
            let answer = answer.expect("an answer");
            let value = |prefix: &str| answer.lines().find_map(|line| line.strip_prefix(prefix));
            let check = check(value("a=ice-ufrag:").expect("a ufrag"));
            if let Some(ssrc) = value("a=ssrc:").and_then(|line| line.split(' ').next()?.parse().ok()) {
                self.ssrcs.push(Ssrc(ssrc));
            }
            self.shard.handle_datagram(self.now, address(number), BytesMut::from(&check[..]));
        }
    }

    /// The publisher's next packet, `ticks` after the one before it: what it says now, and as its m-line has it what it said before. Not handed on.
    fn say(&mut self, sound: Vec<u8>, timestamp: u32, ticks: u32) -> BytesMut {
        let sequence = FIRST_SEQUENCE.wrapping_add(self.said.len() as u16);
        let before = self.said.last().filter(|_| self.publishes == WANTED);
        let (payload_type, payload) = match before {
            Some(before) => {
                let header = 1 << 31 | u32::from(OPUS) << 24 | ticks << 10 | before.len() as u32;
                (RED, [&header.to_be_bytes()[..], &[OPUS], before, &sound].concat())
            }
            None if self.publishes == WANTED => (RED, [&[OPUS], &sound[..]].concat()),
            None => (OPUS, sound.clone()),
        };
        let header = [&[0x80, payload_type], &sequence.to_be_bytes()[..], &timestamp.to_be_bytes()].concat();
        let packet = [&header[..], &77_u32.to_be_bytes(), &payload].concat();
        self.said.push(sound);
        BytesMut::from(&packet[..])
    }

    /// The sound of frame `number`: no two are alike.
    fn frame(&mut self, number: u32) -> BytesMut {
        let sound = [&number.to_be_bytes()[..], &vec![number as u8; (number % 90) as usize]].concat();
        self.say(sound, number.wrapping_mul(FRAME_TICKS), FRAME_TICKS)
    }

    fn deliver(&mut self, packet: BytesMut) {
        self.shard.handle_datagram(self.now, address(0), packet);
    }

    /// A frame's time passes; what each listener hears meanwhile, after the first one's number.
    fn pass(&mut self) -> Vec<Vec<Heard>> {
        let heard = self.take();
        self.now += FRAME;
        if self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
            self.shard.handle_timeout(self.now);
        }
        heard
    }

    fn take(&mut self) -> Vec<Vec<Heard>> {
        let mut heard = vec![Vec::new(); self.ssrcs.len()];
        while self.shard.poll_event().is_some() {}
        let (now, reports) = (self.now, &mut self.reports);
        self.shard.poll_transmit(now, |batch| {
            for (to, run) in batch {
                for datagram in run.contents.chunks(run.segment_size) {
                    reports.extend(rtcp::parse(datagram).filter_map(|packet| match packet {
                        RtcpPacket::SenderReport { ntp, rtp_time, .. } => Some((now, ntp, rtp_time)),
                        _ => None,
                    }));
                }
                let media = |bytes: &&[u8]| bytes[0] >= 128 && !(192..224).contains(&bytes[1]);
                for datagram in run.contents.chunks(run.segment_size).filter(media) {
                    heard[usize::from(to.port()) - 10_001].push(Heard::read(datagram));
                }
            }
        });
        heard
    }

    /// Says so many frames over a line that loses those that `lost` picks; what each listener hears.
    fn talk(&mut self, frames: u32, mut lost: impl FnMut(u32) -> bool) -> Vec<Vec<Heard>> {
        let mut heard = vec![Vec::new(); self.ssrcs.len()];
        for number in 0..frames {
            let packet = self.frame(number);
            if !lost(number) {
                self.deliver(packet);
            }
            heard.iter_mut().zip(self.pass()).for_each(|(all, now)| all.extend(now));
        }
        heard
    }

    /// What was said, by its time since the first.
    fn said(&self) -> BTreeMap<u32, Vec<u8>> {
        (0..).map(|number| number * FRAME_TICKS).zip(self.said.clone()).collect()
    }
}

/// Every sound that came in any packet, by its time since the first.
fn sounds<'a>(heard: impl IntoIterator<Item = &'a Heard>, first: u32) -> BTreeMap<u32, Vec<u8>> {
    let mut sounds = BTreeMap::new();
    for (&timestamp, sound) in heard.into_iter().flat_map(|packet| &packet.sounds) {
        let known = sounds.insert(timestamp.wrapping_sub(first), sound.clone());
        assert!(known.is_none_or(|known| known == *sound), "two sounds of one time");
    }
    sounds
}

/// Single losses at random, never the first.
fn single_losses(seed: u64) -> impl FnMut(u32) -> bool {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut before = true;
    move |number| {
        before = number > 0 && !before && rng.random_bool(0.3);
        before
    }
}

fn address(number: u64) -> SocketAddr {
    ([127, 0, 0, 1], 10_000 + number as u16).into()
}

#[test]
fn single_losses_of_a_publisher_are_healed_for_all() {
    for seed in 0..20 {
        let mut room = Room::new(WANTED, &[UNASKED, WANTED]);
        let mut lost = 0;
        let mut line = single_losses(seed);
        let heard = room.talk(200, |number| {
            let loses = number < 199 && line(number);
            lost += u32::from(loses);
            loses
        });
        assert!(lost > 20, "{lost}");
        for packets in &heard {
            assert_eq!(packets.len(), 200, "seed {seed}");
            assert_eq!(sounds(packets, packets[0].timestamp), room.said(), "seed {seed}");
            let in_order = |pair: &[Heard]| pair[1].sequence == pair[0].sequence.wrapping_add(1);
            assert!(packets.windows(2).all(in_order), "seed {seed}");
        }
        // Who did not ask for redundancy hears none.
        assert!(heard[0].iter().all(|packet| packet.payload_type == OPUS && packet.sounds.len() == 1));
        assert_eq!(heard[1][0].payload_type, OPUS, "nothing came before the first");
        assert!(heard[1][1..].iter().all(|packet| packet.payload_type == RED && packet.sounds.len() == 2));
    }
}

#[test]
fn a_listener_with_losses_misses_nothing_of_a_plain_publisher() {
    for seed in 0..20 {
        let mut room = Room::new(UNASKED, &[UNASKED, WANTED]);
        let heard = room.talk(200, |_| false);
        let mut lost = single_losses(seed);
        let came: Vec<_> = heard[1].iter().zip(0..).filter(|(_, at)| *at == 199 || !lost(*at)).collect();
        assert!(came.len() < 180, "seed {seed}");
        let first = heard[1][0].timestamp;
        assert_eq!(sounds(came.into_iter().map(|(packet, _)| packet), first), room.said(), "seed {seed}");
        assert!(heard[0].iter().all(|packet| packet.payload_type == OPUS));
    }
}

#[test]
fn two_losses_in_a_row_leave_a_gap_of_one() {
    let mut room = Room::new(WANTED, &[UNASKED]);
    let heard = room.talk(40, |number| number == 20 || number == 21);
    let mut expected = room.said();
    expected.remove(&(20 * FRAME_TICKS));
    assert_eq!(sounds(&heard[0], heard[0][0].timestamp), expected);
    let steps: Vec<u16> =
        heard[0].windows(2).map(|pair| pair[1].sequence.wrapping_sub(pair[0].sequence)).collect();
    assert_eq!(steps.iter().filter(|&&step| step == 2).count(), 1, "its number stays free");
    assert_eq!(steps.iter().filter(|&&step| step == 1).count(), 37);
}

#[test]
fn what_was_healed_and_comes_late_is_not_heard_twice() {
    let mut room = Room::new(WANTED, &[UNASKED, WANTED]);
    room.talk(10, |_| false);
    let (late, next) = (room.frame(10), room.frame(11));
    room.deliver(next);
    let heard = room.pass();
    assert!(heard.iter().all(|packets| packets.len() == 2), "{heard:?}");
    room.deliver(late);
    assert!(room.pass().iter().all(Vec::is_empty));
}

#[test]
fn silence_is_not_said_twice() {
    let mut room = Room::new(UNASKED, &[WANTED]);
    room.talk(10, |_| false);
    // Discontinuous transmission: one packet every 400 ms, further apart than a header can say.
    for silence in 1..4 {
        let packet = room.say(vec![0xf8], 9 * FRAME_TICKS + silence * 20 * FRAME_TICKS, 0);
        room.deliver(packet);
        let heard = room.pass();
        assert_eq!((heard[0].len(), heard[0][0].payload_type), (1, OPUS));
    }
    let packet = room.say(b"speech".to_vec(), 9 * FRAME_TICKS + 61 * FRAME_TICKS, 0);
    room.deliver(packet);
    let heard = room.pass();
    assert_eq!((heard[0][0].payload_type, heard[0][0].sounds.len()), (RED, 2));
}

/// Words with silence between them, in which a packet is sent every 400 ms, or none for seconds.
#[test]
fn silence_is_as_long_as_it_was_and_what_is_said_after_it_is_heard_at_once() {
    const FRAMES: u32 = 1500;
    let mut room = Room::new(UNASKED, &[UNASKED, WANTED]);
    let (mut sent, mut heard) = (Vec::new(), vec![Vec::new(); 2]);
    for number in 0..FRAMES {
        // A second of speech, two of noise, one of speech, three of nothing.
        let (second, frame) = (number / 50 % 7, number % 50);
        let speaks = second == 0 || second == 3;
        if speaks || second < 3 && number.is_multiple_of(20) {
            let mut packet = room.frame(number);
            let begins = speaks && frame == 0;
            packet[1] |= if begins { 0x80 } else { 0 };
            sent.push((number, begins));
            room.deliver(packet);
        }
        for (all, now) in heard.iter_mut().zip(room.pass()) {
            let expected = usize::from(sent.last().is_some_and(|(last, _)| *last == number));
            assert_eq!(now.len(), expected, "frame {number}");
            all.extend(now);
        }
    }
    let said: BTreeMap<u32, Vec<u8>> =
        sent.iter().map(|(number, _)| number * FRAME_TICKS).zip(room.said.clone()).collect();
    for packets in &heard {
        let first = packets[0].timestamp;
        for (packet, (number, begins)) in packets.iter().zip(&sent) {
            assert_eq!(packet.timestamp.wrapping_sub(first), number * FRAME_TICKS);
            assert_eq!(packet.datagram[1] >= 0x80, *begins, "frame {number}");
        }
        assert!(packets.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
        assert_eq!(sounds(packets, first), said, "each at its own time");
    }
    assert_eq!(room.shard.counters().nacks_sent, 0, "nothing is asked for that was not sent");
    // One in each second for each of two, whether anything was said or not; their clocks keep step.
    assert!(room.reports.len() >= 50, "{}", room.reports.len());
    let mut apart: Vec<u32> = (room.reports.iter())
        .map(|&(_, ntp, rtp_time)| {
            let ticks = (u128::from(ntp) * 48_000) >> 32;
            rtp_time.wrapping_sub(ticks as u32)
        })
        .collect();
    apart.sort_unstable();
    let of_each = apart.chunk_by(|a, b| b - a <= 2).count();
    assert_eq!(of_each, 2, "{apart:?}");
}

#[test]
fn what_is_asked_for_again_comes_as_it_was() {
    let mut room = Room::new(UNASKED, &[WANTED]);
    let heard = room.talk(20, |_| false).remove(0);
    for packet in &heard[5..15] {
        let mut report = Vec::new();
        rtcp::write_nack(&mut report, Ssrc(1), room.ssrcs[0], &[65_536 + u64::from(packet.sequence)]);
        room.shard.handle_datagram(room.now, address(1), BytesMut::from(&report[..]));
        let again = room.pass().remove(0);
        assert_eq!(again.iter().map(|packet| &packet.datagram).collect::<Vec<_>>(), [&packet.datagram]);
    }
}

#[test]
fn malformed_redundancy_harms_nobody() {
    let mut room = Room::new(WANTED, &[UNASKED, WANTED]);
    room.talk(10, |_| false);
    for payload in [&[][..], &[0x80 | OPUS], &[0x80 | OPUS, 0xff, 0xff, 0xff, OPUS], &[OPUS + 1, 1, 2]] {
        let mut packet = room.frame(10);
        room.said.pop();
        packet.truncate(12);
        packet.extend_from_slice(payload);
        room.deliver(packet);
        assert!(room.pass().iter().all(Vec::is_empty), "{payload:?}");
    }
    let packet = room.frame(10);
    room.deliver(packet);
    assert!(room.pass().iter().all(|packets| packets.len() == 1));
}

#[test]
fn what_was_said_before_somebody_came_is_not_said_to_them() {
    let mut room = Room::new(WANTED, &[]);
    room.talk(10, |_| false);
    room.join(1, WANTED, "recvonly");
    room.take();
    let mut packets = Vec::new();
    for number in 10..13 {
        let packet = room.frame(number);
        room.deliver(packet);
        packets.extend(room.pass().remove(0));
    }
    let blocks: Vec<_> = packets.iter().map(|packet| (packet.payload_type, packet.sounds.len())).collect();
    assert_eq!(blocks, [(OPUS, 1), (RED, 2), (RED, 2)]);
}

#[test]
fn a_block_of_another_time_does_not_stand_in_for_what_was_lost() {
    let mut room = Room::new(WANTED, &[UNASKED]);
    room.talk(10, |_| false);
    room.frame(10);
    // It repeats the frame before the lost one, which was heard.
    let lost = room.said.pop().expect("the lost frame");
    let before = room.said[9].clone();
    room.said.push(before);
    let packet = room.say(b"on".to_vec(), 11 * FRAME_TICKS, 2 * FRAME_TICKS);
    room.said[10] = lost;
    room.deliver(packet);
    let heard = room.pass().remove(0);
    assert_eq!(heard.iter().map(|packet| packet.sounds.len()).collect::<Vec<_>>(), [1]);
    assert!(heard[0].sounds.values().eq([b"on"]));
}

#[test]
fn a_publisher_that_repeats_two_heals_two_losses_in_a_row() {
    let mut room = Room::new(WANTED, &[UNASKED]);
    room.talk(10, |_| false);
    let lost = [room.frame(10), room.frame(11)];
    drop(lost);
    let mut packet = room.frame(12);
    packet.truncate(12);
    for back in [2, 1] {
        let header = 1 << 31 | u32::from(OPUS) << 24 | (back * FRAME_TICKS) << 10;
        packet.extend_from_slice(&(header | room.said[12 - back as usize].len() as u32).to_be_bytes());
    }
    packet.extend_from_slice(&[OPUS]);
    room.said[10..].iter().for_each(|sound| packet.extend_from_slice(sound));
    room.deliver(packet);
    let heard = room.pass().remove(0);
    let sounds: Vec<_> = heard.iter().flat_map(|packet| packet.sounds.values()).collect();
    assert_eq!(sounds, room.said[10..].iter().collect::<Vec<_>>());
    assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
}
