#![no_main]
//! A shard among hostile clients: any order of commands, offers, media, feedback, bytes and waiting.
//!
//! No panic, one event or datagram never makes more than its share of others, timers move on, and when all have left nothing is left.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use simmer_sfu::id::{Mid, ParticipantId, PublicationId, RoomId, Ssrc};
use simmer_sfu::message::{Command, Data, Event};
use simmer_sfu::sim::{Client, ClientPlan, Mark, PlainContext, PlainTransport, check};
use simmer_sfu::transport::ChannelId;
use simmer_sfu::view::{AudioWish, Role, VideoWish, View};
use simmer_sfu::{Limits, Shard, ShardConfig, rtcp};

const CLIENTS: usize = 4;

fuzz_target!(|data: &[u8]| {
    let mut world = World::new();
    let mut input = Input(data);
    // Two who are there from the beginning, so that there is something to attack.
    for client in 0..2 {
        world.join(client);
        world.offer(client, 2, 2, 0);
        world.bind(client);
    }
    while let Some(operation) = input.byte() {
        world.step(operation, &mut input);
    }
    world.end();
});

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte().unwrap_or(0), self.byte().unwrap_or(0)])
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}

struct World {
    shard: Shard<PlainTransport>,
    now: Instant,
    /// How many participants each client has been: an id is used once.
    lives: [u64; CLIENTS],
    ufrags: [Option<String>; CLIENTS],
    slots: [Vec<u32>; CLIENTS],
    sequence: [[u16; 4]; CLIENTS],
    /// What comes now comes with what comes next: nothing is asked for in between.
    at_once: bool,
    /// Bytes taken since the shard was asked last.
    taken: usize,
}

impl World {
    fn new() -> Self {
        let limits = Limits { history_bytes: 64 * 1024, ..Limits::default() };
        let config = ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits };
        Self {
            shard: Shard::new(config, PlainContext::default(), [7; 32]),
            now: Instant::now(),
            lives: [0; CLIENTS],
            ufrags: Default::default(),
            slots: Default::default(),
            sequence: [[65_000; 4]; CLIENTS],
            at_once: false,
            taken: 0,
        }
    }

    fn id(&self, client: usize) -> ParticipantId {
        ParticipantId(client as u64 + self.lives[client] * CLIENTS as u64)
    }

    fn step(&mut self, operation: u8, input: &mut Input<'_>) {
        let client = usize::from(operation >> 6);
        self.at_once = operation & 0x30 == 0x30;
        match operation & 0x0f {
            0 => self.join(client),
            1 => {
                self.command(Command::Leave { participant: self.id(client) });
                self.lives[client] += 1;
            }
            2 => {
                let shape = input.byte().unwrap_or(0);
                self.offer(client, shape & 3, shape >> 2 & 7, input.byte().unwrap_or(0));
            }
            3 => self.bind(client),
            4 => {
                let bytes = input.bytes().to_vec();
                self.receive(client, &bytes);
            }
            5..=8 => self.media(client, input),
            9 => self.feedback(client, input),
            10 => self.view(client, input),
            11 => {
                let publication = self.publication(input.byte().unwrap_or(0));
                let encoding = input.byte().unwrap_or(0);
                self.command(Command::RequestKeyframe { publication, encoding });
            }
            12 => {
                let data = Data::Binary(Bytes::copy_from_slice(input.bytes()));
                let channel = ChannelId(input.number());
                self.command(Command::SendData { participant: self.id(client), channel, data });
            }
            13 => {
                let text = String::from_utf8_lossy(input.bytes()).into_owned();
                self.command(Command::Offer { participant: self.id(client), request: 9, sdp: text });
            }
            _ => self.wait(Duration::from_millis(u64::from(input.byte().unwrap_or(0)).pow(2))),
        }
    }

    fn join(&mut self, client: usize) {
        self.command(Command::Join { room: RoomId(1), participant: self.id(client) });
    }

    fn offer(&mut self, client: usize, encodings: u8, slots: u8, edit: u8) {
        let heights = [720, 360, 180];
        let plan = ClientPlan {
            number: client as u16,
            publishes: heights[..usize::from(encodings)].to_vec(),
            slots: slots.into(),
            parts: 2,
            natural: edit & 16 != 0,
            feedback: edit & 32 != 0,
            ..ClientPlan::default()
        };
        let mut sdp = Client::new(plan, address(client)).offer();
        match edit & 7 {
            1 => sdp = sdp.replace("a=sendonly", "a=sendrecv"),
            2 => sdp = sdp.replace("VP8", "H264"),
            3 => sdp = sdp.replace("a=recvonly", "a=inactive"),
            4 => sdp = sdp.replace("a=ice-ufrag:sim", "a=ice-ufrag:new"),
            5 => sdp = sdp.replace("r0", "r9"),
            6 => sdp = sdp.replace("a=rtpmap:97 rtx/90000\r\n", ""),
            _ => {}
        }
        let participant = self.id(client);
        self.command(Command::Offer { participant, request: client as u64, sdp });
    }

    fn bind(&mut self, client: usize) {
        if let Some(ufrag) = self.ufrags[client].clone() {
            self.receive(client, &check(&ufrag));
        }
    }

    fn media(&mut self, client: usize, input: &mut Input<'_>) {
        let (shape, step) = (input.byte().unwrap_or(0), input.byte().unwrap_or(0));
        let encoding = usize::from(shape & 3);
        let sequence = &mut self.sequence[client][encoding];
        *sequence = match step {
            0..=199 => sequence.wrapping_add(1),
            200..=230 => sequence.wrapping_add(u16::from(step) - 200),
            231..=250 => sequence.wrapping_sub(u16::from(step) - 230),
            _ => sequence.wrapping_add(u16::from(step) * 200),
        };
        let sequence = *sequence;
        let mark = Mark {
            publisher: client as u16,
            encoding: encoding as u8,
            frame: u32::from(sequence),
            part: shape >> 3 & 1,
            parts: 2,
            key: shape & 4 != 0,
            temporal: None,
        };
        let mut payload = mark.write(60, 180 << (shape >> 6));
        let repair = shape & 0x10 != 0;
        if repair {
            let lost = sequence.wrapping_sub(u16::from(step & 15));
            payload.splice(0..0, lost.to_be_bytes());
        }
        if shape & 0x20 != 0 {
            payload = input.bytes().to_vec();
        }
        let ssrc = client as u32 * 100 + encoding as u32 + 1 + if repair { 50 } else { 0 };
        let mut packet = vec![0x90, if repair { 97 } else { 96 } | (shape & 8) << 4];
        packet.extend(sequence.to_be_bytes());
        packet.extend((u32::from(sequence) * 1500).to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0xbe, 0xde, 0, 2, 0x10, b'0', 0x21, b'r', b'0' + encoding as u8, 0, 0, 0]);
        packet.extend(payload);
        self.receive(client, &packet);
    }

    fn feedback(&mut self, client: usize, input: &mut Input<'_>) {
        let shape = input.byte().unwrap_or(0);
        let slots = &self.slots[client];
        let media = slots.get(usize::from(shape >> 3) % slots.len().max(1)).copied().unwrap_or(1);
        let mut out = Vec::new();
        match shape & 7 {
            0 => rtcp::write_pli(&mut out, Ssrc(9), Ssrc(media)),
            1..=3 => {
                let first = u64::from(input.number());
                let missing: Vec<u64> = (first..first + u64::from(input.byte().unwrap_or(0))).collect();
                rtcp::write_nack(&mut out, Ssrc(9), Ssrc(media), &missing);
            }
            4 => {
                let words = [input.number(), input.number(), input.number(), input.number()];
                let wide = |at: usize| u32::from(words[at]) << 16 | u32::from(words[at + 1]);
                let report = rtcp::SenderInfo {
                    ssrc: Ssrc(client as u32 * 100 + 1 + u32::from(shape >> 3)),
                    ntp: u64::from(wide(0)) << 24,
                    rtp_time: wide(2),
                    packets: 1,
                    octets: 1,
                };
                rtcp::write_sender_report(&mut out, &report);
            }
            _ => {
                let block = rtcp::ReportBlock {
                    ssrc: Ssrc(media),
                    fraction_lost: shape,
                    cumulative_lost: -1,
                    highest_sequence: input.number().into(),
                    jitter: 0,
                    last_sender_report: u32::from(input.number()) << 8,
                    delay_since_last: input.number().into(),
                };
                rtcp::write_receiver_report(&mut out, Ssrc(9), &[block]);
            }
        }
        self.receive(client, &out);
    }

    fn view(&mut self, client: usize, input: &mut Input<'_>) {
        let wishes = input.bytes();
        let video = wishes.iter().map(|&wish| VideoWish {
            max_fps: (wish & 8 != 0).then_some(wish),
            priority: (wish & 4 != 0).then_some(wish),
            ..match wish & 3 {
                0 => VideoWish::new(Role::Speaker, 720),
                1 => VideoWish::new(Role::Screen, 720),
                _ => VideoWish::new(self.publication(wish), u16::from(wish) * 8),
            }
        });
        let video = video.collect();
        // Any of its m-lines may carry a screen.
        let mids = wishes
            .iter()
            .take(2)
            .filter_map(|wish| Mid::new((wish % 8).to_string().as_bytes()).ok())
            .collect();
        self.command(Command::SetScreens { participant: self.id(client), mids });
        let audio = match wishes.first() {
            Some(&wish) if wish & 1 != 0 => AudioWish::Only(vec![self.publication(wish)]),
            _ => AudioWish::All,
        };
        self.command(Command::SetView { participant: self.id(client), view: View { video, audio } });
    }

    fn publication(&self, choice: u8) -> PublicationId {
        let participant = self.id(usize::from(choice) % CLIENTS);
        PublicationId { participant, index: u16::from(choice >> 4) }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut turns = 0;
        while let Some(at) = self.shard.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            // It may leave something due, but not for ever.
            let mut calls = 0;
            while self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
                self.shard.handle_timeout(self.now);
                calls += 1;
                assert!(calls < 50, "a timer that does not move on");
            }
            self.drain();
            turns += 1;
            assert!(turns < 200_000, "timers spin");
        }
        self.now = end;
    }

    fn receive(&mut self, client: usize, bytes: &[u8]) {
        self.shard.handle_datagram(self.now, address(client), BytesMut::from(bytes));
        self.taken += bytes.len() + 100;
        if !self.at_once {
            let (taken, sent) = (std::mem::take(&mut self.taken), self.drain());
            assert!(sent <= 40 * taken + 200_000, "{taken} bytes made {sent}");
        }
    }

    fn command(&mut self, command: Command) {
        self.shard.handle_message(self.now, command);
        self.drain();
    }

    fn drain(&mut self) -> usize {
        while let Some(event) = self.shard.poll_event() {
            if let Event::Answered { participant, answer: Ok(answer), .. } = event {
                let client = participant.0 as usize % CLIENTS;
                let values =
                    |prefix: &'static str| answer.lines().filter_map(move |line| line.strip_prefix(prefix));
                self.ufrags[client] = values("a=ice-ufrag:").next().map(str::to_owned);
                self.slots[client] = values("a=ssrc-group:FID ")
                    .filter_map(|group| group.split(' ').next()?.parse().ok())
                    .collect();
            }
        }
        let mut sent = 0;
        self.shard.poll_transmit(self.now, |batch| {
            for (_, run) in batch {
                assert!(run.segment_size > 0 && run.contents.len() <= 65_507);
                sent += run.contents.len();
            }
        });
        sent
    }

    fn end(&mut self) {
        for client in 0..CLIENTS {
            self.command(Command::Leave { participant: self.id(client) });
        }
        self.wait(Duration::from_secs(40));
        let counters = self.shard.counters();
        assert_eq!((counters.participants, counters.publications), (0, 0));
        assert_eq!(self.shard.poll_timeout(), None, "a timer of nobody");
    }
}

fn address(client: usize) -> SocketAddr {
    ([127, 0, 0, 1], 10_000 + client as u16).into()
}
