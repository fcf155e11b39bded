//! The real transport against a full peer connection, in memory and in virtual time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rtc::data_channel::{RTCDataChannelId, RTCDataChannelInit};
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::configure_nack;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::RTCRtpSenderId;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use simmer_sfu::Limits;
use simmer_sfu::message::{Data, DisconnectReason};
use simmer_sfu::sdp::{DtlsRole, Fingerprint, IceCredentials};
use simmer_sfu::transport::{
    ChannelId, Incoming, RtcContext, RtcTransport, SendDataError, Transport, TransportEvent,
    TransportParameters,
};

const PUBLISHED: u32 = 0x0bad_cafe;
const SLOT: u32 = 0x5107_0001;
pub(super) const TICK: Duration = Duration::from_millis(5);

const CM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
const GCM256: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm;
const GCM128: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;

/// How a call is set up.
pub(super) struct Setup {
    pub(super) profiles: Vec<SrtpProtectionProfile>,
    pub(super) role: DtlsRole,
    pub(super) wrong_fingerprint: bool,
    /// Probability that a DTLS datagram is lost, and the seed.
    pub(super) loss: Option<(f64, u64)>,
    pub(super) limits: Limits,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            profiles: vec![CM, GCM256, GCM128],
            role: DtlsRole::Server,
            wrong_fingerprint: false,
            loss: None,
            limits: Limits::default(),
        }
    }
}

/// A client, our transport, and the network between them.
pub(super) struct Call {
    pub(super) now: Instant,
    pub(super) client: RTCPeerConnection,
    client_address: SocketAddr,
    server_address: SocketAddr,
    sender: RTCRtpSenderId,
    channel: RTCDataChannelId,
    role: DtlsRole,
    fingerprint: Fingerprint,
    pub(super) transport: RtcTransport,
    pub(super) loss: Option<(f64, ChaCha8Rng)>,
    payload_type: u8,
    restarts: u32,
    pub(super) events: Vec<TransportEvent>,
    bound: Vec<Vec<u8>>,
    rtp: Vec<BytesMut>,
    rtcp: Vec<BytesMut>,
    pub(super) dtls: Vec<BytesMut>,
    pub(super) client_connected: bool,
    pub(super) client_failed: bool,
    pub(super) client_open: Vec<RTCDataChannelId>,
    client_closed: Vec<RTCDataChannelId>,
    pub(super) client_data: Vec<(RTCDataChannelId, bool, Vec<u8>)>,
    client_rtp: Vec<rtp::Packet>,
    pub(super) sent: usize,
}

impl Call {
    pub(super) fn new(setup: Setup) -> Self {
        let now = Instant::now();
        let client_address: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
        let server_address: SocketAddr = "127.0.0.1:4000".parse().expect("an address");
        let mut settings = SettingEngineBuilder::new().with_srtp_protection_profiles(setup.profiles).build();
        settings.set_crypto_provider(rtc_crypto::default_provider().expect("a provider"));
        let mut media = MediaEngine::default();
        media.register_default_codecs().expect("codecs");
        let interceptors = configure_nack(Registry::new(), &mut media);
        let mut client = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_setting_engine(settings)
            .with_media_engine(media)
            .with_interceptor_registry(interceptors)
            .build(now)
            .expect("a client");
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(PUBLISHED), ..Default::default() },
            codec: RTCRtpCodec { mime_type: "video/VP8".into(), clock_rate: 90_000, ..Default::default() },
            ..Default::default()
        };
        let track =
            MediaStreamTrack::new("s".into(), "t".into(), "l".into(), RtpCodecKind::Video, vec![encoding]);
        let sender = client.add_track(track).expect("a sender");
        client.add_transceiver_from_kind(RtpCodecKind::Video, None).expect("a receiver");
        let channel = client.create_data_channel("room", None).expect("a channel").id();
        add_candidate(&mut client, client_address);
        let offer = client.create_offer(None).expect("an offer");
        client.set_local_description(now, offer.clone()).expect("local");

        let context = RtcContext::new(&setup.limits).expect("a context");
        let mut remote_fingerprint = offered_fingerprint(&offer.sdp);
        if setup.wrong_fingerprint {
            remote_fingerprint.0[31] ^= 1;
        }
        let parameters = TransportParameters {
            local: credentials(0),
            remote: offered_credentials(&offer.sdp),
            remote_fingerprint,
            dtls_role: setup.role,
        };
        let transport = RtcTransport::new(&context, now, parameters);
        let payload_type = vp8(&offer.sdp);
        let mut call = Self {
            now,
            client,
            client_address,
            server_address,
            sender,
            channel,
            role: setup.role,
            fingerprint: *RtcTransport::fingerprint(&context),
            transport,
            loss: setup.loss.map(|(probability, seed)| (probability, ChaCha8Rng::seed_from_u64(seed))),
            payload_type,
            restarts: 0,
            events: Vec::new(),
            bound: Vec::new(),
            rtp: Vec::new(),
            rtcp: Vec::new(),
            dtls: Vec::new(),
            client_connected: false,
            client_failed: false,
            client_open: Vec::new(),
            client_closed: Vec::new(),
            client_data: Vec::new(),
            client_rtp: Vec::new(),
            sent: 0,
        };
        call.answer(&offer.sdp);
        call
    }

    fn answer(&mut self, offer: &str) {
        let answer = answer(
            offer,
            &credentials(self.restarts),
            &self.fingerprint,
            self.role,
            self.server_address.port(),
        );
        let answer = RTCSessionDescription::answer(answer).expect("an answer");
        self.client.set_remote_description(self.now, answer).expect("remote");
    }

    /// Five milliseconds: everything under way arrives, every timer that is due runs.
    pub(super) fn step(&mut self) {
        self.now += TICK;
        self.run_client();
        while let Some(message) = self.client.poll_write() {
            self.deliver_up(message.message);
        }
        if self.transport.poll_timeout().is_some_and(|at| at <= self.now) {
            self.transport.handle_timeout(self.now);
        }
        self.drain();
    }

    fn deliver_up(&mut self, mut datagram: BytesMut) {
        if is_dtls(&datagram) {
            self.dtls.push(datagram.clone());
        }
        if self.is_lost(&datagram) {
            return;
        }
        let ufrag = RtcTransport::addressed_ufrag(&datagram).map(<[u8]>::to_vec);
        match self.transport.handle_datagram(self.now, self.client_address, &mut datagram) {
            Incoming::Bound => self.bound.push(ufrag.expect("a check")),
            Incoming::Rtp => self.rtp.push(datagram),
            Incoming::Rtcp => self.rtcp.push(datagram),
            Incoming::Nothing => {}
        }
    }

    fn drain(&mut self) {
        while let Some((address, datagram)) = self.transport.poll_transmit(self.now) {
            self.sent += 1;
            if address != self.client_address {
                continue;
            }
            if !self.is_lost(&datagram) {
                self.deliver_down(&datagram);
            }
        }
        while let Some(event) = self.transport.poll_event() {
            self.events.push(event);
        }
    }

    fn deliver_down(&mut self, datagram: &[u8]) {
        let transport = TransportContext {
            local_addr: self.client_address,
            peer_addr: self.server_address,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        let message = TaggedBytesMut { now: self.now, transport, message: BytesMut::from(datagram) };
        let _ = self.client.handle_read(message);
    }

    fn run_client(&mut self) {
        if self.client.poll_timeout().is_some_and(|at| at <= self.now) {
            // It gives up on a handshake in its own time.
            self.client_failed |= self.client.handle_timeout(self.now).is_err();
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(RTCPeerConnectionState::Connected) => {
                    self.client_connected = true;
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(id)) => {
                    self.client_open.push(id)
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(id)) => {
                    self.client_closed.push(id)
                }
                _ => {}
            }
        }
        while let Some(message) = self.client.poll_read() {
            match message.message {
                RTCMessage::DataChannelMessage(id, data) => {
                    self.client_data.push((id, data.is_string, data.data.to_vec()));
                }
                RTCMessage::RtpPacket(_, packet) => self.client_rtp.push(packet),
                _ => {}
            }
        }
    }

    fn is_lost(&mut self, datagram: &[u8]) -> bool {
        let Some((probability, rng)) = &mut self.loss else { return false };
        is_dtls(datagram) && rng.random_bool(*probability)
    }

    /// Steps until it is so, at most this long.
    pub(super) fn until(&mut self, limit: Duration, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.now < end, "not within {limit:?}: {what}; last {:?}", self.events.last());
            self.step();
        }
    }

    pub(super) fn connect(&mut self) {
        self.until(Duration::from_secs(5), "connected", |call| {
            call.client_connected && call.events.contains(&TransportEvent::Connected)
        });
    }

    pub(super) fn connect_with_channel(&mut self) -> ChannelId {
        self.connect();
        self.until(Duration::from_secs(5), "channel open", |call| {
            call.client_open.contains(&call.channel) && call.opened().next().is_some()
        });
        let (channel, _) = self.opened().next().expect("opened");
        channel
    }

    pub(super) fn opened(&self) -> impl Iterator<Item = (ChannelId, &str)> {
        self.events.iter().filter_map(|event| match event {
            TransportEvent::ChannelOpened { channel, label } => Some((*channel, label.as_str())),
            _ => None,
        })
    }

    pub(super) fn received(&self) -> impl Iterator<Item = &Data> {
        self.events.iter().filter_map(|event| match event {
            TransportEvent::Data { data, .. } => Some(data),
            _ => None,
        })
    }

    pub(super) fn closed(&self) -> Option<DisconnectReason> {
        self.events.iter().find_map(|event| match event {
            TransportEvent::Closed(reason) => Some(*reason),
            _ => None,
        })
    }

    /// Sends a message from the client and takes the echo of our side.
    fn echo(&mut self, channel: ChannelId, text: &str) {
        let count = self.received().count();
        self.client.data_channel(self.channel).expect("channel").send_text(self.now, text).expect("sent");
        self.until(Duration::from_secs(5), "message", |call| call.received().count() > count);
        assert_eq!(self.received().last(), Some(&Data::Text(Bytes::copy_from_slice(text.as_bytes()))));
        let data = Data::Text(Bytes::copy_from_slice(text.as_bytes()));
        self.transport.send_data(self.now, channel, &data).expect("queued");
        let expected = (self.channel, true, text.as_bytes().to_vec());
        self.until(Duration::from_secs(5), "echo", |call| call.client_data.contains(&expected));
    }

    fn publish(&mut self, sequence: u16, payload: &[u8]) {
        let header = rtp::Header {
            version: 2,
            payload_type: self.payload_type,
            sequence_number: sequence,
            timestamp: 1,
            ssrc: PUBLISHED,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload: Bytes::copy_from_slice(payload) };
        let now = self.now;
        self.client.rtp_sender(self.sender).expect("sender").write_rtp(now, packet).expect("written");
    }
}

fn add_candidate(client: &mut RTCPeerConnection, address: SocketAddr) {
    let candidate = CandidateHostConfig {
        base_config: CandidateConfig {
            network: "udp".into(),
            address: address.ip().to_string(),
            port: address.port(),
            component: 1,
            ..Default::default()
        },
        ..Default::default()
    }
    .new_candidate_host()
    .expect("a candidate");
    client.add_local_candidate(RTCIceCandidate::from(&candidate).to_json().expect("json")).expect("added");
}

fn credentials(generation: u32) -> IceCredentials {
    IceCredentials {
        ufrag: format!("sfuU{generation}"),
        pwd: format!("sfuPasswordsfuPassword{generation:02}"),
    }
}

fn attribute<'a>(sdp: &'a str, name: &str) -> &'a str {
    let prefix = format!("a={name}:");
    sdp.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("{name} in {sdp}"))
}

fn offered_credentials(sdp: &str) -> IceCredentials {
    IceCredentials { ufrag: attribute(sdp, "ice-ufrag").into(), pwd: attribute(sdp, "ice-pwd").into() }
}

fn offered_fingerprint(sdp: &str) -> Fingerprint {
    let (_, digits) = attribute(sdp, "fingerprint").split_once(' ').expect("a fingerprint");
    let bytes: Vec<u8> = digits.split(':').map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
    Fingerprint(bytes.try_into().expect("SHA-256"))
}

fn vp8(sdp: &str) -> u8 {
    let line = sdp.lines().find(|line| line.contains("VP8/90000")).expect("VP8");
    line.trim_start_matches("a=rtpmap:").split(' ').next().expect("a number").parse().expect("a number")
}

fn answer(offer: &str, ice: &IceCredentials, fingerprint: &Fingerprint, role: DtlsRole, port: u16) -> String {
    let fingerprint: Vec<String> = fingerprint.0.iter().map(|byte| format!("{byte:02X}")).collect();
    let setup = if role == DtlsRole::Server { "passive" } else { "active" };
    let sections: Vec<&str> = offer.split("\r\nm=").skip(1).collect();
    let mids: Vec<&str> = sections.iter().map(|section| attribute(section, "mid")).collect();
    let mut answer = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE {}\r\na=msid-semantic:WMS *\r\na=fingerprint:sha-256 {}\r\n",
        mids.join(" "),
        fingerprint.join(":")
    );
    for (section, mid) in sections.into_iter().zip(mids) {
        let transport = format!(
            "c=IN IP4 127.0.0.1\r\na=setup:{setup}\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host\r\na=end-of-candidates\r\na=mid:{mid}\r\n",
            ice.ufrag, ice.pwd
        );
        if section.starts_with("application") {
            answer.push_str(&format!(
                "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{transport}a=sctp-port:5000\r\na=max-message-size:262144\r\n"
            ));
            continue;
        }
        let payload_type = vp8(offer);
        let flow = if section.contains("a=recvonly") {
            format!(
                "a=sendonly\r\na=msid:slot slot\r\na=ssrc:{SLOT} cname:sfu\r\na=ssrc:{SLOT} msid:slot slot\r\n"
            )
        } else {
            "a=recvonly\r\n".to_owned()
        };
        answer.push_str(&format!(
            "m=video 9 UDP/TLS/RTP/SAVPF {payload_type}\r\n{transport}{flow}a=rtcp-mux\r\na=rtpmap:{payload_type} VP8/90000\r\na=rtcp-fb:{payload_type} nack\r\n"
        ));
    }
    answer
}

fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..64).contains(first))
}

#[test]
fn media_flows_both_ways_with_whichever_profile_is_best() {
    // The tag and trailer lengths of the profiles differ in RTCP, GCM 20 bytes and AES-CM 14.
    for (profiles, tag, trailer) in
        [(vec![CM, GCM256, GCM128], 16, 20), (vec![CM, GCM256], 16, 20), (vec![CM], 10, 14)]
    {
        let mut call = Call::new(Setup { profiles: profiles.clone(), ..Default::default() });
        assert_eq!(call.transport.destination(), None);
        call.connect();
        assert_eq!(call.transport.destination(), Some(call.client_address));
        let payload: Vec<u8> = (0..1200_u32).map(|at| at as u8).collect();
        for sequence in 0..50 {
            call.publish(sequence, &payload);
            call.step();
        }
        call.until(Duration::from_secs(1), "client's packets", |call| call.rtp.len() == 50);
        assert!(
            call.rtp.iter().all(|packet| packet.ends_with(&payload) && packet.len() < payload.len() + 60)
        );

        for sequence in 0..50_u16 {
            let mut packet = vec![0x80, call.payload_type];
            packet.extend(sequence.to_be_bytes());
            packet.extend(9_u32.to_be_bytes());
            packet.extend(SLOT.to_be_bytes());
            // The VP8 payload descriptor, then a frame header that is enough for a receiver to take it.
            packet.extend(&payload);
            let before = packet.len();
            call.transport.seal_rtp(&mut packet, 0, 12, 0);
            assert_eq!(packet.len(), before + tag);
            call.deliver_down(&packet);
            call.step();
        }
        call.until(Duration::from_secs(1), "our packets", |call| call.client_rtp.len() == 50);
        assert!(call.client_rtp.iter().all(|packet| packet.payload == payload), "{profiles:?}");

        let feedback = rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication {
            sender_ssrc: PUBLISHED,
            media_ssrc: SLOT,
        };
        let (now, sender) = (call.now, call.sender);
        let packets: Vec<Box<dyn rtcp::Packet>> = vec![Box::new(feedback)];
        call.client.rtp_sender(sender).expect("sender").write_rtcp(now, packets).expect("written");
        let expected = [&[0x81, 206, 0, 2][..], &PUBLISHED.to_be_bytes(), &SLOT.to_be_bytes()].concat();
        call.until(Duration::from_secs(1), "client's RTCP", |call| {
            call.rtcp.iter().any(|packet| packet[..] == expected)
        });

        // A NACK of packet 7 that the client understands makes it send that again, which we know already.
        assert_eq!(call.transport.counters(), Default::default());
        let header = [0x81, 205, 0, 3];
        let plain = [&header[..], &SLOT.to_be_bytes(), &PUBLISHED.to_be_bytes(), &[0, 7, 0, 0]].concat();
        let mut packet = plain.clone();
        call.transport.seal_rtcp(&mut packet, 0);
        assert_eq!(packet.len(), plain.len() + trailer);
        call.deliver_down(&packet);
        call.until(Duration::from_secs(1), "a retransmission", |call| {
            call.transport.counters().replayed == 1
        });
    }
}

#[test]
fn connected_is_said_once_and_nothing_is_sealed_before() {
    let mut call = Call::new(Setup::default());
    let mut buffer = vec![7; 40];
    call.transport.seal_rtp(&mut buffer, 20, 12, 0);
    assert_eq!(buffer, [7; 20]);
    call.transport.seal_rtcp(&mut buffer, 5);
    assert_eq!(buffer, [7; 5]);
    call.connect();
    for _ in 0..2000 {
        call.step();
    }
    assert_eq!(call.events.iter().filter(|event| **event == TransportEvent::Connected).count(), 1);
    assert_eq!(call.closed(), None);
}

#[test]
fn either_side_may_start_dtls() {
    let mut call = Call::new(Setup { role: DtlsRole::Client, ..Default::default() });
    let channel = call.connect_with_channel();
    call.echo(channel, "ping");
    call.publish(1, b"0123456789");
    call.until(Duration::from_secs(1), "packet", |call| call.rtp.len() == 1);
}

#[test]
fn messages_of_every_kind_and_size_come_and_go() {
    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    assert_eq!(call.opened().next(), Some((channel, "room")));
    call.echo(channel, "ping");
    let long: Vec<u8> = (0..60 * 1024_u32).map(|at| (at % 251) as u8).collect();
    for (text, bytes) in [(true, vec![]), (false, vec![]), (false, vec![255]), (false, long)] {
        let count = call.received().count();
        let (now, id) = (call.now, call.channel);
        let mut sender = call.client.data_channel(id).expect("channel");
        if text {
            sender.send_text(now, "").expect("sent");
        } else {
            sender.send(now, BytesMut::from(&bytes[..])).expect("sent");
        }
        call.until(Duration::from_secs(5), "message", |call| call.received().count() > count);
        let payload = Bytes::from(bytes.clone());
        let data = if text { Data::Text(payload) } else { Data::Binary(payload) };
        assert_eq!(call.received().last(), Some(&data));
        call.transport.send_data(call.now, channel, &data).expect("queued");
        call.until(Duration::from_secs(5), "echo", |call| {
            call.client_data.contains(&(id, text, bytes.clone()))
        });
    }
}

#[test]
fn a_message_that_is_too_long_closes_its_channel_alone() {
    let limits = Limits { message_bytes: 1000, ..Default::default() };
    let mut call = Call::new(Setup { limits, ..Default::default() });
    let channel = call.connect_with_channel();
    let unordered = RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() };
    let other = call.client.create_data_channel("live", Some(unordered)).expect("a channel").id();
    call.until(Duration::from_secs(5), "second channel", |call| call.opened().count() == 2);
    let now = call.now;
    call.client
        .data_channel(other)
        .expect("channel")
        .send(now, BytesMut::from(&[1; 1001][..]))
        .expect("sent");
    call.until(Duration::from_secs(5), "closed", |call| {
        call.events
            .iter()
            .any(|event| matches!(event, TransportEvent::ChannelClosed(closed) if *closed != channel))
    });
    call.until(Duration::from_secs(5), "closed at the client", |call| call.client_closed.contains(&other));
    assert_eq!(call.received().count(), 0);
    call.echo(channel, "still here");
}

#[test]
fn a_client_closes_a_channel_and_may_open_another() {
    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    let id = call.channel;
    call.client.data_channel(id).expect("channel").close().expect("closing");
    call.until(Duration::from_secs(5), "closed", |call| {
        call.events.contains(&TransportEvent::ChannelClosed(channel))
    });
    assert_eq!(
        call.transport.send_data(call.now, channel, &Data::Binary(Bytes::from_static(b"x"))),
        Err(SendDataError::Closed)
    );
    call.channel = call.client.create_data_channel("again", None).expect("a channel").id();
    call.until(Duration::from_secs(5), "open again", |call| call.opened().any(|(_, label)| label == "again"));
    let (again, _) = call.opened().last().expect("opened");
    call.echo(again, "ping");
}

#[test]
fn channels_and_queues_have_limits() {
    let limits = Limits { channels_per_participant: 3, ..Default::default() };
    let mut call = Call::new(Setup { limits, ..Default::default() });
    let channel = call.connect_with_channel();
    for label in ["a", "b", "c", "d"] {
        call.client.create_data_channel(label, None).expect("a channel");
    }
    call.until(Duration::from_secs(5), "refused", |call| call.client_closed.len() == 2);
    assert_eq!(call.opened().count(), 3);
    let message = Data::Binary(Bytes::from(vec![7; 64 * 1024]));
    let queued =
        (0..100).take_while(|_| call.transport.send_data(call.now, channel, &message).is_ok()).count();
    assert_eq!(queued, 16, "1 MiB");
    assert_eq!(call.transport.send_data(call.now, channel, &message), Err(SendDataError::Full));
    call.until(Duration::from_secs(20), "delivered", |call| call.client_data.len() == 16);
    assert_eq!(call.transport.send_data(call.now, channel, &message), Ok(()));
    assert_eq!(call.transport.send_data(call.now, ChannelId(999), &message), Err(SendDataError::Closed));
}

#[test]
fn ice_restarts_under_a_living_connection() {
    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    call.client.restart_ice();
    let offer = call.client.create_offer(None).expect("an offer");
    call.client.set_local_description(call.now, offer.clone()).expect("local");
    call.restarts = 1;
    let remote = offered_credentials(&offer.sdp);
    assert_ne!(remote.ufrag, "");
    call.transport.restart_ice(call.now, credentials(1), remote);
    call.client_address.set_port(5001);
    let address = call.client_address;
    add_candidate(&mut call.client, address);
    call.answer(&offer.sdp);
    call.bound.clear();
    call.until(Duration::from_secs(10), "checked anew", |call| {
        call.bound.iter().any(|ufrag| ufrag == b"sfuU1")
    });
    call.until(Duration::from_secs(10), "nominated anew", |call| {
        call.transport.destination() == Some(address)
    });
    for _ in 0..8000 {
        call.step();
    }
    assert_eq!(call.closed(), None);
    call.echo(channel, "after the restart");
    call.publish(1, b"0123456789");
    call.until(Duration::from_secs(1), "packet", |call| call.rtp.len() == 1);
}

#[test]
fn a_certificate_that_was_not_announced_is_refused() {
    for role in [DtlsRole::Server, DtlsRole::Client] {
        let mut call = Call::new(Setup { wrong_fingerprint: true, role, ..Default::default() });
        call.until(Duration::from_secs(5), "refused", |call| call.closed().is_some());
        assert_eq!(call.events, [TransportEvent::Closed(DisconnectReason::FingerprintMismatch)]);
        assert_eq!(call.transport.destination(), None);
        assert_eq!(call.transport.poll_timeout(), None);
    }
}

#[test]
fn consent_ends_when_the_checks_do() {
    let mut call = Call::new(Setup::default());
    call.connect();
    let checks = call.bound.len();
    call.until(Duration::from_secs(10), "a check", |call| call.bound.len() > checks);
    let last = call.now;
    while let Some(at) = call.transport.poll_timeout() {
        assert!(at <= last + Limits::default().consent);
        call.now = call.now.max(at);
        call.transport.handle_timeout(call.now);
        while call.transport.poll_transmit(call.now).is_some() {}
    }
    assert_eq!(call.now, last + Limits::default().consent);
    call.drain();
    assert_eq!(call.closed(), Some(DisconnectReason::ConsentExpired));
    assert_eq!(call.transport.destination(), None);
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    let limits = Limits { handshake: Duration::from_secs(8), ..Default::default() };
    let mut call = Call::new(Setup { loss: Some((1.0, 0)), limits, ..Default::default() });
    call.until(Duration::from_secs(10), "given up", |call| call.closed().is_some());
    assert_eq!(call.closed(), Some(DisconnectReason::HandshakeFailed));
}

#[test]
fn the_end_is_told_in_both_directions() {
    let mut call = Call::new(Setup::default());
    call.connect_with_channel();
    call.client.close().expect("closed");
    call.until(Duration::from_secs(2), "told", |call| call.closed().is_some());
    assert_eq!(call.closed(), Some(DisconnectReason::Closed));

    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    call.events.clear();
    call.transport.close(call.now);
    let before = call.sent;
    call.drain();
    assert!(call.sent >= before + 2, "an ABORT and a close_notify");
    assert_eq!(call.events, []);
    assert_eq!(call.transport.poll_timeout(), None);
    assert_eq!(
        call.transport.send_data(call.now, channel, &Data::Text(Bytes::new())),
        Err(SendDataError::Closed)
    );
}

/// How long the handshakes of forty seeds took, in order; those given up on are left out.
fn handshakes(role: DtlsRole, loss: f64) -> Vec<Duration> {
    let mut took: Vec<Duration> = (0..40)
        .filter_map(|seed| {
            let mut call = Call::new(Setup { loss: Some((loss, seed)), role, ..Default::default() });
            let from = call.now;
            call.until(Limits::default().handshake + Duration::from_secs(1), "an end", |call| {
                let connected = call.events.contains(&TransportEvent::Connected) && call.client_connected;
                connected || call.client_failed || call.closed().is_some()
            });
            let took = call.now - from;
            if call.client_failed || call.closed().is_some() {
                let reason = call.closed().unwrap_or(DisconnectReason::HandshakeFailed);
                assert_eq!(reason, DisconnectReason::HandshakeFailed, "{role:?} {loss} {seed}");
                return None;
            }
            call.loss = None;
            let channel = call.connect_with_channel();
            call.echo(channel, "after all");
            Some(took)
        })
        .collect();
    took.sort_unstable();
    took
}

#[test]
fn a_handshake_gets_through_whatever_is_lost_of_it() {
    // The client under test repeats its flights once a second and gives up at the eighth time, so that is where a handshake ends at the
    // latest; our first repetition comes after a quarter of one.
    let bounds = [(0.0, 500), (0.1, 3000), (0.2, 5000), (0.3, 7000)];
    for (loss, longest) in bounds {
        let took = handshakes(DtlsRole::Server, loss);
        let p95 = *took.get(37).expect("38 of 40 get through");
        assert!(p95 <= Duration::from_millis(longest), "{loss}: {p95:?}");
    }
    // With the parts changed the server under test falls silent now and then, and the handshake has its end.
    for (loss, longest) in [(0.0, 1500), (0.1, 4000), (0.2, 8000), (0.3, 12_000)] {
        let took = handshakes(DtlsRole::Client, loss);
        let p90 = *took.get(35).expect("36 of 40 get through");
        assert!(p90 <= Duration::from_millis(longest), "{loss}: {p90:?}");
    }
}

#[test]
fn strangers_get_no_reply() {
    let mut call = Call::new(Setup::default());
    let stranger: SocketAddr = "192.0.2.9:999".parse().expect("an address");
    call.until(Duration::from_secs(2), "a check and a hello", |call| {
        !call.bound.is_empty() && !call.dtls.is_empty()
    });
    let hello = call.dtls.first().expect("a hello").clone();
    assert_eq!(call.transport.handle_datagram(call.now, stranger, &mut hello.clone()), Incoming::Nothing);
    call.connect();

    // Checks and more of another participant.
    let mut other = Call::new(Setup::default());
    let mut checks = 0;
    for _ in 0..20 {
        other.now += TICK;
        other.run_client();
        while let Some(message) = other.client.poll_write() {
            checks += usize::from(RtcTransport::addressed_ufrag(&message.message).is_some());
            let mut datagram = message.message;
            assert_eq!(call.transport.handle_datagram(call.now, stranger, &mut datagram), Incoming::Nothing);
        }
    }
    assert!(checks > 0);
    call.publish(1, b"0123456789");
    while let Some(message) = call.client.poll_write() {
        let mut datagram = message.message;
        if RtcTransport::addressed_ufrag(&datagram).is_none() {
            assert_eq!(call.transport.handle_datagram(call.now, stranger, &mut datagram), Incoming::Nothing);
        }
    }
    assert_eq!(call.transport.poll_transmit(call.now), None);
    assert_eq!(call.transport.destination(), Some(call.client_address));
}

#[test]
fn a_client_that_moves_keeps_its_connection() {
    let mut call = Call::new(Setup::default());
    let channel = call.connect_with_channel();
    call.client_address.set_port(6000);
    call.until(Duration::from_secs(15), "followed", |call| {
        call.transport.destination() == Some(call.client_address)
    });
    call.echo(channel, "from elsewhere");
}

#[test]
fn nonsense_of_every_length_and_first_byte_is_survived() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut connected = Call::new(Setup::default());
    let channel = connected.connect_with_channel();
    let mut handshaking = Call::new(Setup::default());
    handshaking.until(Duration::from_secs(2), "a check", |call| !call.bound.is_empty());
    let stranger: SocketAddr = "192.0.2.9:999".parse().expect("an address");
    for first in 0..=u8::MAX {
        for length in 0..=300_usize {
            if length > 40 && rng.random_bool(0.9) {
                continue;
            }
            let mut datagram: Vec<u8> = (0..length).map(|_| rng.random()).collect();
            if let Some(byte) = datagram.first_mut() {
                *byte = first;
            }
            if rng.random_bool(0.5) && is_dtls(&datagram) && length > 13 {
                // A true record header, so that the body is looked at.
                let body = (length as u16 - 13).to_be_bytes();
                let header = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, body[0], body[1]];
                datagram[..13].copy_from_slice(&header);
            }
            for (call, from) in [(&mut connected, stranger), (&mut handshaking, stranger)] {
                let mut datagram = BytesMut::from(&datagram[..]);
                assert_eq!(call.transport.handle_datagram(call.now, from, &mut datagram), Incoming::Nothing);
                assert_eq!(call.transport.poll_transmit(call.now), None, "{datagram:?}");
            }
            for call in [&mut connected, &mut handshaking] {
                let address = call.client_address;
                let mut datagram = BytesMut::from(&datagram[..]);
                assert_eq!(
                    call.transport.handle_datagram(call.now, address, &mut datagram),
                    Incoming::Nothing
                );
            }
            assert_eq!(connected.transport.poll_transmit(connected.now), None, "{datagram:?}");
        }
    }
    connected.step();
    assert_eq!(connected.closed(), None);
    connected.echo(channel, "still here");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What a client's handshake looks like, with a few bytes changed on the way.
    #[test]
    fn a_mutated_handshake_is_survived(seed in any::<u64>()) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut call = Call::new(Setup::default());
        for _ in 0..200 {
            call.now += TICK;
            call.run_client();
            while let Some(message) = call.client.poll_write() {
                let mut datagram = message.message;
                if is_dtls(&datagram) && rng.random_bool(0.3) {
                    for _ in 0..rng.random_range(1..4) {
                        let at = rng.random_range(0..datagram.len());
                        datagram[at] = rng.random();
                    }
                }
                call.deliver_up(datagram);
            }
            if call.transport.poll_timeout().is_some_and(|at| at <= call.now) {
                call.transport.handle_timeout(call.now);
            }
            call.drain();
        }
    }
}
