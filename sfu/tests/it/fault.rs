//! A panic costs the one participant it was about.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use simmer_sfu::id::{ParticipantId, PublicationId, RoomId};
use simmer_sfu::message::{Command, Data, DisconnectReason, Event};
use simmer_sfu::sdp::{Fingerprint, IceCredentials};
use simmer_sfu::sim::{Client, ClientPlan, Mark, PlainContext, PlainTransport, check};
use simmer_sfu::sink::{Sink, SinkEvent};
use simmer_sfu::transport::{
    ChannelId, Incoming, SendDataError, Transport, TransportEvent, TransportParameters,
};
use simmer_sfu::view::{VideoWish, View};
use simmer_sfu::{Limits, Shard, ShardConfig};

/// A plain transport that breaks when told to.
struct Fragile(PlainTransport);

const BREAKS: u8 = 0x66;

thread_local! {
    /// Whose sealing breaks, by their port.
    static SEALING_BREAKS: Cell<Option<u16>> = const { Cell::new(None) };
    /// Whose timers break.
    static TIMERS_BREAK: Cell<Option<u16>> = const { Cell::new(None) };
}

impl Fragile {
    fn is(&self, port: Option<u16>) -> bool {
        port.is_some() && self.0.destination().map(|to| to.port()) == port
    }
}

impl Transport for Fragile {
    type Context = PlainContext;

    fn fingerprint(context: &PlainContext) -> &Fingerprint {
        PlainTransport::fingerprint(context)
    }

    fn addressed_ufrag(datagram: &[u8]) -> Option<&[u8]> {
        PlainTransport::addressed_ufrag(datagram)
    }

    fn new(context: &PlainContext, now: Instant, parameters: TransportParameters) -> Self {
        Self(PlainTransport::new(context, now, parameters))
    }

    fn restart_ice(&mut self, now: Instant, local: IceCredentials, remote: IceCredentials) {
        self.0.restart_ice(now, local, remote);
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut BytesMut) -> Incoming {
        assert_ne!(datagram.first(), Some(&BREAKS), "a datagram that breaks its handling");
        self.0.handle_datagram(now, from, datagram)
    }

    fn handle_timeout(&mut self, now: Instant) {
        assert!(!self.is(TIMERS_BREAK.get()), "a timer that breaks");
        self.0.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.poll_timeout()
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<(SocketAddr, Bytes)> {
        self.0.poll_transmit(now)
    }

    fn poll_event(&mut self) -> Option<TransportEvent> {
        self.0.poll_event()
    }

    fn destination(&self) -> Option<SocketAddr> {
        self.0.destination()
    }

    fn seal_rtp(&mut self, buffer: &mut Vec<u8>, start: usize, header_len: usize, roc: u32) {
        assert!(!self.is(SEALING_BREAKS.get()), "sealing breaks");
        self.0.seal_rtp(buffer, start, header_len, roc);
    }

    fn seal_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) {
        self.0.seal_rtcp(buffer, start);
    }

    fn send_data(&mut self, now: Instant, channel: ChannelId, data: &Data) -> Result<(), SendDataError> {
        self.0.send_data(now, channel, data)
    }

    fn close(&mut self, now: Instant) {
        self.0.close(now);
    }
}

/// Four in a room: each publishes and watches the three others.
struct Call {
    shard: Shard<Fragile>,
    now: Instant,
    sequence: u16,
    faults: Vec<u64>,
    /// Packets that came to each port since asked last.
    received: BTreeMap<u16, usize>,
}

const PEOPLE: u16 = 4;

impl Call {
    fn new() -> Self {
        let config =
            ShardConfig { candidates: vec![([127, 0, 0, 1], 7443).into()], limits: Limits::default() };
        let shard = Shard::new(config, PlainContext::default(), [1; 32]);
        let mut call =
            Self { shard, now: Instant::now(), sequence: 0, faults: Vec::new(), received: BTreeMap::new() };
        for number in 0..PEOPLE {
            call.join(number);
        }
        for number in 0..PEOPLE {
            call.watch(number);
        }
        call
    }

    fn join(&mut self, number: u16) {
        let participant = ParticipantId(number.into());
        let plan = ClientPlan { number, publishes: vec![720], slots: 3, parts: 1, ..ClientPlan::default() };
        let sdp = Client::new(plan, address(number)).offer();
        self.command(Command::Join { room: RoomId(1), participant });
        self.shard.handle_message(self.now, Command::Offer { participant, request: 0, sdp });
        let mut ufrag = None;
        while let Some(event) = self.shard.poll_event() {
            if let Event::Answered { answer: Ok(answer), .. } = event {
                ufrag = answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).map(str::to_owned);
            }
        }
        self.receive(number, &check(&ufrag.expect("an answer")));
    }

    fn watch(&mut self, number: u16) {
        let others = (0..PEOPLE + 1).filter(|&other| other != number);
        let wish = |other: u16| {
            VideoWish::new(PublicationId { participant: ParticipantId(other.into()), index: 0 }, 720)
        };
        let view = View { video: others.map(wish).collect(), ..View::default() };
        self.command(Command::SetView { participant: ParticipantId(number.into()), view });
    }

    fn command(&mut self, command: Command) {
        self.shard.guarded(self.now, |shard, now| shard.handle_message(now, command));
        self.drain();
    }

    fn receive(&mut self, number: u16, datagram: &[u8]) {
        let datagram = BytesMut::from(datagram);
        self.shard.guarded(self.now, |shard, now| shard.handle_datagram(now, address(number), datagram));
        self.drain();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        while self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
            self.shard.guarded(self.now, |shard, now| shard.handle_timeout(now));
            self.drain();
        }
    }

    /// Everybody sends a key frame; how many packets came to each.
    fn round(&mut self) -> Vec<usize> {
        self.pass(Duration::from_millis(40));
        self.received.clear();
        let sequence = self.sequence;
        self.sequence += 1;
        for number in 0..PEOPLE + 1 {
            self.receive(number, &key_frame(number, sequence));
        }
        (0..PEOPLE + 1)
            .map(|number| self.received.get(&address(number).port()).copied().unwrap_or(0))
            .collect()
    }

    fn drain(&mut self) {
        while let Some(event) = self.shard.poll_event() {
            if let Event::Disconnected { participant, reason: DisconnectReason::Fault } = event {
                self.faults.push(participant.0);
            }
        }
        let received = &mut self.received;
        self.shard.poll_transmit(self.now, |batch| {
            for (to, run) in batch {
                let media = run.contents.chunks(run.segment_size).filter(|packet| {
                    packet.first().is_some_and(|first| first >> 6 == 2)
                        && packet.get(1).is_some_and(|kind| kind & 0x7f == 96)
                });
                *received.entry(to.port()).or_default() += media.count();
            }
        });
    }
}

fn key_frame(publisher: u16, sequence: u16) -> Vec<u8> {
    let mark =
        Mark { publisher, encoding: 0, frame: sequence.into(), part: 0, parts: 1, key: true, temporal: None };
    let mut packet = vec![0x90, 0xe0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 3000).to_be_bytes());
    packet.extend((u32::from(publisher) * 100 + 1).to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 2, 0x10, b'0', 0x21, b'r', b'0', 0, 0, 0]);
    packet.extend(mark.write(300, 720));
    packet
}

fn address(number: u16) -> SocketAddr {
    ([127, 0, 0, 1], 10_000 + number).into()
}

#[test]
fn a_datagram_that_breaks_its_handling_costs_its_sender_only() {
    let mut call = Call::new();
    call.round();
    assert_eq!(call.round(), [3, 3, 3, 3, 0]);
    call.receive(1, &[BREAKS]);
    assert_eq!(call.faults, [1]);
    for _ in 0..3 {
        assert_eq!(call.round(), [2, 0, 2, 2, 0], "the others go on");
    }
    call.join(PEOPLE);
    call.watch(PEOPLE);
    call.round();
    assert_eq!(call.round(), [3, 0, 3, 3, 3], "and another one may come");
    assert_eq!(call.faults, [1]);
}

#[test]
fn what_is_on_its_way_from_others_when_something_breaks_still_comes() {
    let mut call = Call::new();
    call.round();
    call.round();
    call.received.clear();
    let picture = BytesMut::from(&key_frame(0, call.sequence)[..]);
    call.shard.guarded(call.now, |shard, now| shard.handle_datagram(now, address(0), picture));
    call.receive(1, &[BREAKS]);
    assert_eq!(call.faults, [1]);
    let came = |number: u16| call.received.get(&address(number).port()).copied();
    assert_eq!([0, 1, 2, 3].map(came), [None, None, Some(1), Some(1)]);
}

#[test]
fn a_viewer_whose_sealing_breaks_does_not_cost_the_publisher() {
    let mut call = Call::new();
    call.round();
    SEALING_BREAKS.set(Some(address(2).port()));
    call.round();
    assert_eq!(call.faults, [2]);
    assert_eq!(call.round(), [2, 2, 0, 2, 0]);
}

#[test]
fn a_timer_that_breaks_costs_its_owner_only() {
    let mut call = Call::new();
    call.round();
    TIMERS_BREAK.set(Some(address(3).port()));
    call.pass(Duration::from_secs(2));
    assert_eq!(call.faults, [3]);
    assert_eq!(call.round(), [2, 2, 2, 0, 0]);
}

/// Takes so many events and then breaks.
struct Brittle(usize);

impl Sink for Brittle {
    fn handle(&mut self, _event: SinkEvent) {
        self.0 = self.0.checked_sub(1).expect("no more events");
    }
}

#[test]
fn a_sink_that_breaks_is_gone_and_the_room_goes_on() {
    for events in 0..20 {
        let mut call = Call::new();
        call.command(Command::SetSink { room: RoomId(1), sink: Some(Box::new(Brittle(events))) });
        for _ in 0..4 {
            call.round();
        }
        assert_eq!(call.faults, [] as [u64; 0], "after {events} events");
        assert_eq!(call.round(), [3, 3, 3, 3, 0]);
        call.command(Command::Leave { participant: ParticipantId(0) });
        assert_eq!(call.round(), [0, 2, 2, 2, 0]);
    }
}
