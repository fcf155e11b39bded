//! The packet path asks the allocator for nothing: what it needs it has kept from before.
#![expect(
    clippy::disallowed_methods,
    reason = "virtual time starts at any instant; only differences are seen"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use simmer_sfu::id::{ParticipantId, RoomId};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::sim::{Client, ClientPlan, Mark, PlainContext, PlainTransport, check};
use simmer_sfu::view::{VideoWish, View};
use simmer_sfu::{Limits, Shard, ShardConfig};

const TRANSPORT_CC: &str = "a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
     a=rtcp-fb:96 transport-cc\r\n";
/// Chromium sends 720p in about so many packets of a picture.
const PARTS: u8 = 8;
const PACKET_EVERY: Duration = Duration::from_millis(4);

struct Room {
    shard: Shard<PlainTransport>,
    now: Instant,
    sequence: u16,
    checks: Vec<Bytes>,
    /// As the driver's: one buffer for many datagrams.
    pool: BytesMut,
}

impl Room {
    /// One publisher and its viewers, running for so long that nothing is done for the first time any more.
    fn new(viewers: u16) -> Self {
        let config =
            ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
        let shard = Shard::new(config, PlainContext::default(), [1; 32]);
        let mut room =
            Self { shard, now: Instant::now(), sequence: 0, checks: Vec::new(), pool: BytesMut::new() };
        for number in 0..=viewers {
            room.join(number);
        }
        for _ in 0..20_000 {
            room.keep_alive();
            let datagram = room.datagram();
            room.receive(datagram);
            room.pass(PACKET_EVERY);
        }
        room
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
        let publication = simmer_sfu::id::PublicationId { participant: ParticipantId(0), index: 0 };
        let view = View { video: vec![VideoWish::new(publication, 720)], ..View::default() };
        self.shard.handle_message(self.now, Command::SetView { participant, view });
        self.drain();
    }

    /// Every four seconds a check by everybody, as browsers do.
    fn keep_alive(&mut self) {
        if self.sequence.is_multiple_of(1000) {
            for (number, check) in self.checks.iter().enumerate() {
                self.shard.handle_datagram(self.now, address(number as u16), BytesMut::from(&check[..]));
            }
            self.drain();
        }
    }

    /// The publisher's next packet, with everything that a browser puts into its header.
    fn datagram(&mut self) -> BytesMut {
        let number = self.sequence;
        self.sequence = number.wrapping_add(1);
        let frame = u32::from(number) / u32::from(PARTS);
        let part = (number % u16::from(PARTS)) as u8;
        let mark = Mark { publisher: 0, encoding: 0, frame, part, parts: PARTS, key: number == 0 };
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
        self.pool.extend_from_slice(&mark.write(1100, 720));
        self.pool.split()
    }

    fn receive(&mut self, datagram: BytesMut) {
        self.shard.handle_datagram(self.now, address(0), datagram);
        self.shard.poll_transmit(self.now, |_, _| {});
    }

    /// Lets time pass, with all that is due in it: reports and feedback.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
            self.shard.handle_timeout(self.now);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while self.shard.poll_event().is_some() {}
        self.shard.poll_transmit(self.now, |_, _| {});
    }

    fn forwarded(&self) -> u64 {
        self.shard.counters().packets_forwarded
    }
}

fn address(number: u16) -> SocketAddr {
    ([127, 0, 0, 1], 10_000 + number).into()
}

#[test]
fn forwarding_a_packet_allocates_nothing() {
    const PACKETS: u64 = 200;
    const VIEWERS: u64 = 30;
    let mut room = Room::new(VIEWERS as u16);
    let before = room.forwarded();
    let datagrams: Vec<BytesMut> = (0..PACKETS).map(|_| room.datagram()).collect();
    let allocations = allocation_counter::measure(|| {
        for datagram in datagrams {
            room.receive(datagram);
        }
    });
    assert_eq!(room.forwarded() - before, PACKETS * VIEWERS);
    assert_eq!(allocations.count_total, 0, "{allocations:?}");
}

#[test]
fn receiving_with_all_its_reports_allocates_once_in_twenty_packets_at_most() {
    const PACKETS: u64 = 10_000;
    let mut room = Room::new(30);
    let before = room.forwarded();
    let mut count = 0;
    for _ in 0..PACKETS {
        room.keep_alive();
        // What the simulated publisher allocates to make a packet is not ours.
        let datagram = room.datagram();
        count += allocation_counter::measure(|| {
            room.receive(datagram);
            room.pass(PACKET_EVERY);
        })
        .count_total;
    }
    assert_eq!(room.forwarded() - before, PACKETS * 30);
    assert!(count <= PACKETS / 20, "{count} for {PACKETS} packets");
}
