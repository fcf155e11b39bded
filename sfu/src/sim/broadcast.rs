//! A broadcast without lines and clients: what a packet costs is counted here.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::config::Limits;
use crate::id::{ParticipantId, PublicationId, RoomId};
use crate::message::{Command, Event};
use crate::shard::{Shard, ShardConfig};
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
        let mut room =
            Self { shard, now: Instant::now(), sequence: 0, checks: Vec::new(), pool: BytesMut::new() };
        for number in 0..=viewers {
            room.join(number);
        }
        room
    }

    /// Runs for so long that nothing is done for the first time any more.
    pub fn settled(mut self) -> Self {
        for _ in 0..20_000 {
            self.keep_alive();
            let datagram = self.datagram();
            self.receive(datagram);
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
        if self.pool.capacity() < 1500 {
            self.pool = BytesMut::with_capacity(64 * 1024);
        }
        let marker = if part + 1 == PARTS { 0x80 } else { 0 };
        self.pool.extend_from_slice(&[0x90, 96 | marker]);
        self.pool.extend_from_slice(&number.to_be_bytes());
        self.pool.extend_from_slice(&(frame * 3000).to_be_bytes());
        self.pool.extend_from_slice(&1_u32.to_be_bytes());
        self.pool.extend_from_slice(&[0xbe, 0xde, 0, 2, 0x10, b'0', 0x21, b'r', b'0', 0x41]);
        self.pool.extend_from_slice(&number.to_be_bytes());
        let size = if part < PARTS / 2 { 1099 } else { 1100 };
        self.pool.extend_from_slice(&mark.write(size, 720));
        self.pool.split()
    }

    /// Takes a packet from the publisher, and hands out what goes to the viewers.
    pub fn receive(&mut self, datagram: BytesMut) {
        self.shard.handle_datagram(self.now, address(0), datagram);
        self.shard.poll_transmit(self.now, |_, _| {});
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
        self.shard.poll_transmit(self.now, |_, _| {});
    }

    /// Several that come at once.
    pub fn receive_burst(&mut self, datagrams: impl IntoIterator<Item = BytesMut>) {
        datagrams.into_iter().for_each(|datagram| self.take(datagram));
        self.shard.poll_transmit(self.now, |_, _| {});
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

/// Where the publisher sends from (0), or a viewer.
fn address(number: u16) -> SocketAddr {
    ([127, 0, 0, 1], 10_000 + number).into()
}
