//! A core with several workers, and full peer connections on real sockets whose every datagram lands on the wrong one.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rtc::data_channel::RTCDataChannelId;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use simmer_sfu::id::{ParticipantId, RoomId};
use simmer_sfu::message::{Command, Event};
use simmer_sfu::sim::Mark;
use simmer_sfu::view::{VideoWish, View};
use simmer_sfu::{Config, Limits, Sfu, StartError};

use crate::call::{PUBLISHED, add_candidate, vp8};

const PUBLISHER: ParticipantId = ParticipantId(1);
const VIEWER: ParticipantId = ParticipantId(2);
/// The first room goes to the first worker.
const RIGHT: usize = 0;
const WRONG: usize = 1;
/// Longer than anything takes: only a failing test waits for it.
const LIMIT: Duration = Duration::from_secs(30);

fn start(workers: usize, limits: Limits) -> Result<(Sfu, Receiver<Event>), StartError> {
    let (events, told) = channel();
    let listen = ([127, 0, 0, 1], 0).into();
    let config = Config { listen, advertise: vec![[127, 0, 0, 1].into()], workers, limits };
    Ok((Sfu::start(config, Box::new(move |event| drop(events.send(event))))?, told))
}

fn join(sfu: &Sfu, room: u64, participant: u64) {
    let (room, participant) = (RoomId(room), ParticipantId(participant));
    sfu.send(Command::Join { room, participant }).expect("queued");
}

/// Looks again until it is so: totals are shown once a tick.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::yield_now();
    }
}

fn participants(sfu: &Sfu) -> Vec<u64> {
    sfu.workers().iter().map(|worker| worker.participants).collect()
}

#[test]
fn a_call_whose_every_datagram_lands_on_the_wrong_worker_is_a_call() {
    let (sfu, told) = start(2, Limits::default()).expect("a core");
    let mut ears = Ears { sfu: sfu.clone(), probes: [0; 2] };
    let mut call = Call::new(&sfu, told, ears.socket_at(WRONG), ears.socket_at(WRONG));
    call.run();
    sfu.shutdown();
    let workers = sfu.workers();
    assert_eq!(workers[WRONG].datagrams_received, ears.probes[WRONG] + workers[WRONG].datagrams_handed_over);
    assert!(workers[WRONG].datagrams_handed_over > 50);
    assert_eq!(workers[WRONG].datagrams_dropped, 0);
    assert_eq!(workers[WRONG].packets_forwarded, 0);
    assert_eq!(workers[RIGHT].datagrams_received, ears.probes[RIGHT]);
    assert_eq!(workers[RIGHT].datagrams_handed_over, 0);
    assert!(workers[RIGHT].packets_forwarded >= 50);
    let counters = sfu.counters();
    assert_eq!(counters.datagrams_unknown, ears.probes.iter().sum::<u64>());
    assert!(counters.datagrams_sent > counters.packets_forwarded, "checks and feedback are some, too");
    assert!(counters.sends > 0 && counters.sends <= counters.datagrams_sent, "{counters:?}");
}

#[test]
fn a_room_on_two_workers_is_one_room_though_every_datagram_lands_on_the_wrong_one() {
    let (sfu, told) = start(2, Limits { members_together: 1, ..Limits::default() }).expect("a core");
    let mut ears = Ears { sfu: sfu.clone(), probes: [0; 2] };
    // The publisher is on the first worker, and the viewer, for whom there is no space there, on the second.
    let mut call = Call::new(&sfu, told, ears.socket_at(1), ears.socket_at(0));
    call.run();
    sfu.shutdown();
    let workers = sfu.workers();
    for (worker, probes) in workers.iter().zip(ears.probes) {
        assert_eq!(worker.datagrams_received, probes + worker.datagrams_handed_over);
        assert_eq!((worker.datagrams_dropped, worker.packets_dropped), (0, 0));
    }
    assert!(workers[0].packets_mirrored >= 50);
    assert_eq!((workers[0].packets_forwarded, workers[1].packets_mirrored), (0, 0));
    assert!(workers[1].packets_forwarded >= 50);
    let published = call.told.iter().filter(|event| matches!(event, Event::Published { .. })).count();
    assert_eq!(published + call.published, 1, "mirrors are told of to nobody");
}

#[test]
fn rooms_are_spread_over_the_workers_and_their_places_are_free_again() {
    let (sfu, _told) = start(2, Limits::default()).expect("a core");
    for participant in 0..8 {
        join(&sfu, participant % 4, participant);
    }
    until("four on each", || participants(&sfu) == [4, 4]);
    let (tell, reports) = channel();
    sfu.send(Command::Report { tell: Box::new(move |reports| drop(tell.send(reports))) }).expect("queued");
    let reports = reports.recv().expect("one report of all");
    let told: Vec<_> = reports.iter().map(|report| (report.room.0, report.participant.0)).collect();
    assert_eq!(told, [(0, 0), (0, 4), (1, 1), (1, 5), (2, 2), (2, 6), (3, 3), (3, 7)]);

    // The first and the third room end, both of the first worker: the next two are made there.
    for participant in [0, 2, 4, 6] {
        sfu.send(Command::Leave { participant: ParticipantId(participant) }).expect("queued");
    }
    until("those are gone", || participants(&sfu) == [0, 4]);
    for participant in 10..12 {
        join(&sfu, participant, participant);
    }
    until("they are back", || participants(&sfu) == [2, 4]);
    assert_eq!(sfu.counters().participants, 6);
}

#[test]
fn a_core_may_be_ended_by_what_it_tells() {
    for workers in [1, 2] {
        let (handle, given) = channel::<Sfu>();
        let (ended, end) = channel();
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            advertise: vec![[127, 0, 0, 1].into()],
            workers,
            limits: Limits::default(),
        };
        let on_event = move |_| {
            given.recv().expect("a handle").shutdown();
            let _ = ended.send(());
        };
        let sfu = Sfu::start(config, Box::new(on_event)).expect("a core");
        handle.send(sfu.clone()).expect("taken");
        join(&sfu, 1, 1);
        let sdp = "no offer".to_owned();
        sfu.send(Command::Offer { participant: ParticipantId(1), request: 1, sdp }).expect("queued");
        end.recv().expect("it returned");
        sfu.shutdown();
    }
}

#[test]
fn there_are_one_to_sixty_four_workers() {
    for wrong in [0, 65, usize::MAX] {
        assert!(
            matches!(start(wrong, Limits::default()), Err(StartError::Workers(workers)) if workers == wrong)
        );
    }
    let (sfu, _told) = start(64, Limits::default()).expect("a core");
    assert_eq!(sfu.workers().len(), 64);
}

/// Finds out which worker hears whom: the system decides it by addresses, and always the same.
struct Ears {
    sfu: Sfu,
    /// Datagrams each worker was sent to find out.
    probes: [u64; 2],
}

impl Ears {
    /// A socket that this worker hears.
    fn socket_at(&mut self, worker: usize) -> UdpSocket {
        loop {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.send_to(&[0xff], self.sfu.local_addr()).expect("sent");
            let received =
                || self.sfu.workers().iter().map(|worker| worker.datagrams_received).collect::<Vec<_>>();
            until("it is heard", || received() != self.probes);
            let heard = received().iter().zip(self.probes).position(|(now, before)| *now > before);
            let heard = heard.expect("more than before");
            self.probes[heard] += 1;
            if heard == worker {
                return socket;
            }
        }
    }
}

/// A publisher, a viewer, and what signaling would do.
struct Call {
    sfu: Sfu,
    told: Receiver<Event>,
    publisher: Client,
    viewer: Client,
    connected: usize,
    published: usize,
    frame: u32,
}

impl Call {
    fn new(sfu: &Sfu, told: Receiver<Event>, publisher: UdpSocket, viewer: UdpSocket) -> Self {
        for participant in [PUBLISHER, VIEWER] {
            join(sfu, 1, participant.0);
        }
        let call = Self {
            publisher: Client::new(publisher, true, sfu.local_addr()),
            viewer: Client::new(viewer, false, sfu.local_addr()),
            sfu: sfu.clone(),
            told,
            connected: 0,
            published: 0,
            frame: 0,
        };
        for (participant, client) in [(PUBLISHER, &call.publisher), (VIEWER, &call.viewer)] {
            let sdp = client.offer.clone();
            sfu.send(Command::Offer { participant, request: participant.0, sdp }).expect("queued");
        }
        call
    }

    /// Until it has shown that it is a call.
    fn run(&mut self) {
        self.until("both are connected", |call| call.connected == 2);
        self.until("pictures", |call| call.viewer.seen.len() >= 50);
        self.until("a message comes and goes back", |call| {
            call.publisher.heard.contains(&b"there and back".to_vec())
        });
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !done(self) {
            assert!(Instant::now() < end, "not in time: {what}");
            self.step();
        }
    }

    /// A few milliseconds: the sockets wait for so long.
    fn step(&mut self) {
        while let Ok(event) = self.told.try_recv() {
            self.follow(event);
        }
        if self.connected == 2 {
            self.publisher.publish(self.frame);
            self.frame += 1;
        }
        self.publisher.step();
        self.viewer.step();
    }

    fn follow(&mut self, event: Event) {
        match event {
            Event::Answered { participant, answer, .. } => {
                let client = if participant == PUBLISHER { &mut self.publisher } else { &mut self.viewer };
                client.answer(answer.expect("a good offer"));
            }
            Event::Connected { .. } => self.connected += 1,
            Event::Published { publication, .. } => {
                self.published += 1;
                let view = View { video: vec![VideoWish::new(publication.id, 720)], ..View::default() };
                self.sfu.send(Command::SetView { participant: VIEWER, view }).expect("queued");
            }
            Event::ChannelOpened { participant: PUBLISHER, .. } => self.publisher.say("there and back"),
            Event::Data { participant, channel, data } => {
                self.sfu.send(Command::SendData { participant, channel, data }).expect("queued");
            }
            _ => {}
        }
    }
}

/// A full peer connection on a socket.
struct Client {
    socket: UdpSocket,
    server: SocketAddr,
    connection: RTCPeerConnection,
    offer: String,
    sender: Option<RTCRtpSenderId>,
    channel: RTCDataChannelId,
    /// Pictures that came.
    seen: BTreeSet<u32>,
    /// Messages that came.
    heard: Vec<Vec<u8>>,
}

impl Client {
    fn new(socket: UdpSocket, publishes: bool, server: SocketAddr) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(2))).expect("a timeout");
        let now = Instant::now();
        let mut settings = SettingEngineBuilder::new().build();
        settings.set_crypto_provider(rtc_crypto::default_provider().expect("a provider"));
        let mut media = MediaEngine::default();
        media.register_default_codecs().expect("codecs");
        let mut connection = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_setting_engine(settings)
            .with_media_engine(media)
            .with_interceptor_registry(Registry::new())
            .build(now)
            .expect("a client");
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(PUBLISHED), ..Default::default() },
            codec: RTCRtpCodec { mime_type: "video/VP8".into(), clock_rate: 90_000, ..Default::default() },
            ..Default::default()
        };
        let sender = publishes.then(|| {
            let track = MediaStreamTrack::new(
                "s".into(),
                "t".into(),
                "l".into(),
                RtpCodecKind::Video,
                vec![encoding],
            );
            connection.add_track(track).expect("a sender")
        });
        if !publishes {
            connection.add_transceiver_from_kind(RtpCodecKind::Video, None).expect("a receiver");
        }
        let channel = connection.create_data_channel("room", None).expect("a channel").id();
        add_candidate(&mut connection, socket.local_addr().expect("bound"));
        let offer = connection.create_offer(None).expect("an offer");
        connection.set_local_description(now, offer.clone()).expect("local");
        Self {
            socket,
            server,
            connection,
            offer: offer.sdp,
            sender,
            channel,
            seen: BTreeSet::new(),
            heard: Vec::new(),
        }
    }

    fn answer(&mut self, sdp: String) {
        let answer = RTCSessionDescription::answer(sdp).expect("an answer");
        self.connection.set_remote_description(Instant::now(), answer).expect("remote");
    }

    fn publish(&mut self, frame: u32) {
        let mark = Mark {
            publisher: 1,
            encoding: 0,
            frame,
            part: 0,
            parts: 1,
            key: frame.is_multiple_of(30),
            temporal: None,
        };
        let header = rtp::Header {
            version: 2,
            marker: true,
            payload_type: vp8(&self.offer),
            sequence_number: frame as u16,
            timestamp: frame.wrapping_mul(3000),
            ssrc: PUBLISHED,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload: Bytes::from(mark.write(1000, 720)) };
        let mut sender = self.connection.rtp_sender(self.sender.expect("it publishes")).expect("a sender");
        // Before its own side is up nothing is taken, and nothing missed.
        let _ = sender.write_rtp(Instant::now(), packet);
    }

    fn say(&mut self, text: &str) {
        let mut channel = self.connection.data_channel(self.channel).expect("a channel");
        channel.send_text(Instant::now(), text).expect("sent");
    }

    fn step(&mut self) {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => self.receive(from, &buffer[..length]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let now = Instant::now();
        if self.connection.poll_timeout().is_some_and(|at| at <= now) {
            self.connection.handle_timeout(now).expect("it goes on");
        }
        while self.connection.poll_event().is_some() {}
        while let Some(message) = self.connection.poll_read() {
            match message.message {
                RTCMessage::DataChannelMessage(_, data) => self.heard.push(data.data.to_vec()),
                RTCMessage::RtpPacket(_, packet) => {
                    let mark = Mark::read(&packet.payload).filter(|mark| mark.publisher == 1);
                    self.seen.extend(mark.map(|mark| mark.frame));
                }
                _ => {}
            }
        }
        while let Some(message) = self.connection.poll_write() {
            self.socket.send_to(&message.message, self.server).expect("sent");
        }
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        let transport = TransportContext {
            local_addr: self.socket.local_addr().expect("bound"),
            peer_addr: from,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        let message = TaggedBytesMut { now: Instant::now(), transport, message: BytesMut::from(datagram) };
        let _ = self.connection.handle_read(message);
    }
}
