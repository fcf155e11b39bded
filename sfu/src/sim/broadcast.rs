//! A broadcast without lines and clients: what a packet costs is counted here.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::config::Limits;
use crate::id::{ParticipantId, PublicationId, RoomId, Ssrc};
use crate::ingress::{ArrivalRecorder, ReceiveStream};
use crate::message::{Command, Event};
use crate::rtcp::{self, datagrams};
use crate::rtp::{Extender16, ExtensionValues, RtpHeader};
use crate::sdp::Extensions;
use crate::shard::{Run, Shard, ShardConfig};
use crate::sim::{Client, ClientPlan, Mark, PlainContext, PlainTransport, check};
use crate::view::{VideoWish, View};

const TRANSPORT_CC: &str = "a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
     a=rtcp-fb:96 transport-cc\r\n";
/// Chromium sends 720p in about so many packets of a picture.
const PARTS: u8 = 8;
/// Pictures.
const KEY_FRAME_EVERY: u32 = 30;
/// At 1.5 Mbit/s about seven of them; eight come in a thirtieth of a second.
const PACKET_EVERY: Duration = Duration::from_millis(4);

/// One publisher and viewers who all see it, packet by packet: for those who count what a packet costs.
pub struct Broadcast {
    /// What is counted.
    pub shard: Shard<PlainTransport>,
    /// Virtual now.
    pub now: Instant,
    sequence: u16,
    checks: Vec<Bytes>,
    /// As the driver's: one buffer for many datagrams.
    pool: BytesMut,
    /// None, unless they tell what comes.
    viewers: Vec<Viewer>,
}

/// A viewer who tells what comes.
struct Viewer {
    arrivals: ArrivalRecorder,
    stream: ReceiveStream,
    extender: Extender16,
    /// SSRC and number of what came last.
    last: Option<(Ssrc, u64)>,
    turns: u32,
}

impl Broadcast {
    /// So many viewers.
    #[expect(
        clippy::disallowed_methods,
        reason = "virtual time starts at any instant; only differences are seen"
    )]
    pub fn new(viewers: u16, context: PlainContext) -> Self {
        let config =
            ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
        let shard = Shard::new(config, context, [1; 32]);
        let mut room = Self {
            shard,
            now: Instant::now(),
            sequence: 0,
            checks: Vec::new(),
            pool: BytesMut::new(),
            viewers: Vec::new(),
        };
        for number in 0..=viewers {
            room.join(number);
        }
        room
    }

    /// From now on its viewers send what browsers do: see [`replies`](Self::replies).
    pub fn telling(mut self) -> Self {
        let viewer = |_| Viewer {
            arrivals: ArrivalRecorder::default(),
            stream: ReceiveStream::new(90_000),
            extender: Extender16::default(),
            last: None,
            turns: 0,
        };
        self.viewers = (1..self.checks.len()).map(viewer).collect();
        self
    }

    /// What viewers have to say now: feedback of when packets came, once a second a report, and now and then a request for the last packet.
    pub fn replies(&mut self) -> Vec<(SocketAddr, BytesMut)> {
        let mut replies = Vec::new();
        for (number, viewer) in (1..).zip(&mut self.viewers) {
            let mut out = Vec::new();
            let own = Ssrc(u32::from(number));
            viewer.arrivals.poll(self.now, own, &mut out);
            if out.is_empty() {
                continue;
            }
            viewer.turns += 1;
            if let Some((ssrc, last)) = viewer.last {
                if viewer.turns.is_multiple_of(10) {
                    let block = viewer.stream.reception_report(self.now, ssrc);
                    rtcp::write_receiver_report(&mut out, own, block.as_slice());
                }
                if viewer.turns.is_multiple_of(7) {
                    rtcp::write_nack(&mut out, own, ssrc, &[last]);
                }
            }
            replies.extend(datagrams(&out, 1180).map(|datagram| (address(number), BytesMut::from(datagram))));
        }
        replies
    }

    /// Takes what a viewer says, and hands out what follows.
    pub fn hear(&mut self, from: SocketAddr, datagram: BytesMut) {
        self.shard.handle_datagram(self.now, from, datagram);
        self.drain();
    }

    /// Runs for so long that nothing is done for the first time any more.
    pub fn settled(mut self) -> Self {
        for _ in 0..20_000 {
            self.keep_alive();
            let datagram = self.datagram();
            self.receive(datagram);
            for (from, reply) in self.replies() {
                self.hear(from, reply);
            }
            self.pass(PACKET_EVERY);
        }
        self
    }

    fn join(&mut self, number: u16) {
        let participant = ParticipantId(number.into());
        let publishes = if number == 0 { vec![720] } else { Vec::new() };
        let plan = ClientPlan {
            number,
            publishes,
            slots: usize::from(number > 0),
            parts: PARTS,
            ..ClientPlan::default()
        };
        let sdp = Client::new(plan, address(number))
            .offer()
            .replace("a=extmap:3", &format!("{TRANSPORT_CC}a=extmap:3"));
        self.shard.handle_message(self.now, Command::Join { room: RoomId(1), participant });
        self.shard.handle_message(self.now, Command::Offer { participant, request: 0, sdp });
        let mut ufrag = None;
        while let Some(event) = self.shard.poll_event() {
            if let Event::Answered { answer: Ok(answer), .. } = event {
                ufrag = answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).map(str::to_owned);
            }
        }
        let check = check(&ufrag.expect("an answer"));
        self.shard.handle_datagram(self.now, address(number), BytesMut::from(&check[..]));
        self.checks.push(check);
        let publication = PublicationId { participant: ParticipantId(0), index: 0 };
        let view = View { video: vec![VideoWish::new(publication, 720)], ..View::default() };
        self.shard.handle_message(self.now, Command::SetView { participant, view });
        self.drain();
    }

    /// Every four seconds a check by everybody, as browsers do.
    pub fn keep_alive(&mut self) {
        if self.sequence.is_multiple_of(1000) {
            for (number, check) in self.checks.iter().enumerate() {
                self.shard.handle_datagram(self.now, address(number as u16), BytesMut::from(&check[..]));
            }
            self.drain();
        }
    }

    /// The publisher's next packet, with everything that a browser puts into its header. Those of a picture differ by a byte, the smaller ones first.
    pub fn datagram(&mut self) -> BytesMut {
        let packet = self.packet();
        self.arrive(&packet)
    }

    /// As the driver takes a packet from the socket.
    pub fn arrive(&mut self, packet: &[u8]) -> BytesMut {
        if self.pool.capacity() < packet.len() {
            self.pool = BytesMut::with_capacity(POOL_BYTES);
        }
        self.pool.extend_from_slice(packet);
        self.pool.split()
    }

    /// The same, before it is sent.
    pub fn packet(&mut self) -> Vec<u8> {
        let number = self.sequence;
        self.sequence = number.wrapping_add(1);
        let frame = u32::from(number) / u32::from(PARTS);
        let part = (number % u16::from(PARTS)) as u8;
        let mark = Mark {
            publisher: 0,
            encoding: 0,
            frame,
            part,
            parts: PARTS,
            key: part == 0 && frame.is_multiple_of(KEY_FRAME_EVERY),
            temporal: None,
        };
        let marker = if part + 1 == PARTS { 0x80 } else { 0 };
        let mut packet = vec![0x90, 96 | marker];
        packet.extend(number.to_be_bytes());
        packet.extend((frame * 3000).to_be_bytes());
        packet.extend(1_u32.to_be_bytes());
        packet.extend([0xbe, 0xde, 0, 2, 0x10, b'0', 0x21, b'r', b'0', TRANSPORT_CC_ID << 4 | 1]);
        packet.extend(number.to_be_bytes());
        let size = if part < PARTS / 2 { 1099 } else { 1100 };
        packet.extend(mark.write(size, 720));
        packet
    }

    /// Takes a packet from the publisher, and hands out what goes to the viewers.
    pub fn receive(&mut self, datagram: BytesMut) {
        self.shard.handle_datagram(self.now, address(0), datagram);
        self.send();
    }

    /// Lets time pass, with all that is due in it: reports and feedback.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        while self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
            self.shard.handle_timeout(self.now);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while self.shard.poll_event().is_some() {}
        self.send();
    }

    fn send(&mut self) {
        let (now, viewers) = (self.now, &mut self.viewers);
        self.shard.poll_transmit(now, |batch| {
            for (to, run) in batch {
                let viewer = usize::from(to.port()).checked_sub(FIRST_PORT + 1);
                if let Some(viewer) = viewer.and_then(|viewer| viewers.get_mut(viewer)) {
                    viewer.receive(now, &run);
                }
            }
        });
    }

    /// Several that come at once.
    pub fn receive_burst(&mut self, datagrams: impl IntoIterator<Item = BytesMut>) {
        datagrams.into_iter().for_each(|datagram| self.take(datagram));
        self.send();
    }

    /// Takes a packet from the publisher, and hands nothing out.
    pub fn take(&mut self, datagram: BytesMut) {
        self.shard.handle_datagram(self.now, address(0), datagram);
    }

    /// How many packets went to viewers.
    pub fn forwarded(&self) -> u64 {
        self.shard.counters().packets_forwarded
    }
}

impl Viewer {
    fn receive(&mut self, now: Instant, run: &Run<'_>) {
        let ids = Extensions { transport_cc: Some(TRANSPORT_CC_ID), ..Extensions::default() };
        for datagram in run.contents.chunks(run.segment_size) {
            let media = matches!(datagram, [128..=191, 0..=191 | 224.., ..]);
            let Some(header) = RtpHeader::parse(datagram).filter(|_| media) else { continue };
            if let Some(number) = ExtensionValues::read(datagram, &header, &ids).transport_cc {
                self.arrivals.on_packet(now, number, header.ssrc);
            }
            let (ssrc, _) = *self.last.get_or_insert((header.ssrc, 0));
            // The other one is that of repairs.
            if ssrc == header.ssrc {
                self.stream.on_packet(now, header.sequence, header.timestamp);
                self.last = Some((ssrc, self.extender.extend(header.sequence)));
            }
        }
    }
}

/// Where the publisher sends from (0), or a viewer.
fn address(number: u16) -> SocketAddr {
    ([127, 0, 0, 1], FIRST_PORT as u16 + number).into()
}

const FIRST_PORT: usize = 10_000;
const TRANSPORT_CC_ID: u8 = 4;
/// As the driver's.
const POOL_BYTES: usize = 64 * 1024;
