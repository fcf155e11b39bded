//! A call: the real transport and a full peer connection, in memory and in virtual time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rtc::data_channel::RTCDataChannelId;
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
    ChannelId, Incoming, RtcContext, RtcTransport, Transport, TransportEvent, TransportParameters,
};

pub(crate) const PUBLISHED: u32 = 0x0bad_cafe;
pub(crate) const SLOT: u32 = 0x5107_0001;
pub(crate) const TICK: Duration = Duration::from_millis(5);

pub(crate) const CM: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80;
pub(crate) const GCM256: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm;
pub(crate) const GCM128: SrtpProtectionProfile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;

/// How a call is set up.
pub(crate) struct Setup {
    pub(crate) profiles: Vec<SrtpProtectionProfile>,
    pub(crate) role: DtlsRole,
    pub(crate) wrong_fingerprint: bool,
    /// Probability that a DTLS datagram is lost, and the seed.
    pub(crate) loss: Option<(f64, u64)>,
    pub(crate) limits: Limits,
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
pub(crate) struct Call {
    pub(crate) now: Instant,
    pub(crate) client: RTCPeerConnection,
    pub(crate) client_address: SocketAddr,
    pub(crate) server_address: SocketAddr,
    pub(crate) sender: RTCRtpSenderId,
    pub(crate) channel: RTCDataChannelId,
    pub(crate) role: DtlsRole,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) transport: RtcTransport,
    pub(crate) loss: Option<(f64, ChaCha8Rng)>,
    pub(crate) payload_type: u8,
    pub(crate) restarts: u32,
    pub(crate) events: Vec<TransportEvent>,
    pub(crate) bound: Vec<Vec<u8>>,
    pub(crate) rtp: Vec<BytesMut>,
    pub(crate) rtcp: Vec<BytesMut>,
    pub(crate) dtls: Vec<BytesMut>,
    pub(crate) client_connected: bool,
    /// The client gave up, as it does after seven repetitions of a flight.
    pub(crate) client_failed: bool,
    pub(crate) client_open: Vec<RTCDataChannelId>,
    pub(crate) client_closed: Vec<RTCDataChannelId>,
    pub(crate) client_data: Vec<(RTCDataChannelId, bool, Vec<u8>)>,
    pub(crate) client_rtp: Vec<rtp::Packet>,
    pub(crate) sent: usize,
}

impl Call {
    pub(crate) fn new(setup: Setup) -> Self {
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

    pub(crate) fn answer(&mut self, offer: &str) {
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
    pub(crate) fn step(&mut self) {
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

    pub(crate) fn deliver_up(&mut self, mut datagram: BytesMut) {
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

    pub(crate) fn drain(&mut self) {
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

    pub(crate) fn deliver_down(&mut self, datagram: &[u8]) {
        let transport = TransportContext {
            local_addr: self.client_address,
            peer_addr: self.server_address,
            ecn: None,
            transport_protocol: TransportProtocol::UDP,
        };
        let message = TaggedBytesMut { now: self.now, transport, message: BytesMut::from(datagram) };
        let _ = self.client.handle_read(message);
    }

    pub(crate) fn run_client(&mut self) {
        if self.client.poll_timeout().is_some_and(|at| at <= self.now) {
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

    pub(crate) fn is_lost(&mut self, datagram: &[u8]) -> bool {
        let Some((probability, rng)) = &mut self.loss else { return false };
        is_dtls(datagram) && rng.random_bool(*probability)
    }

    /// Steps until it is so, at most this long.
    pub(crate) fn until(&mut self, limit: Duration, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.now < end, "not within {limit:?}: {what}; events {:?}", self.events);
            self.step();
        }
    }

    pub(crate) fn connect(&mut self) {
        self.until(Duration::from_secs(5), "connected", |call| {
            call.client_connected && call.events.contains(&TransportEvent::Connected)
        });
    }

    pub(crate) fn connect_with_channel(&mut self) -> ChannelId {
        self.connect();
        self.until(Duration::from_secs(5), "channel open", |call| {
            call.client_open.contains(&call.channel) && call.opened().next().is_some()
        });
        let (channel, _) = self.opened().next().expect("opened");
        channel
    }

    pub(crate) fn opened(&self) -> impl Iterator<Item = (ChannelId, &str)> {
        self.events.iter().filter_map(|event| match event {
            TransportEvent::ChannelOpened { channel, label } => Some((*channel, label.as_str())),
            _ => None,
        })
    }

    pub(crate) fn received(&self) -> impl Iterator<Item = &Data> {
        self.events.iter().filter_map(|event| match event {
            TransportEvent::Data { data, .. } => Some(data),
            _ => None,
        })
    }

    pub(crate) fn closed(&self) -> Option<DisconnectReason> {
        self.events.iter().find_map(|event| match event {
            TransportEvent::Closed(reason) => Some(*reason),
            _ => None,
        })
    }

    /// Sends a message from the client and takes the echo of our side.
    pub(crate) fn echo(&mut self, channel: ChannelId, text: &str) {
        let count = self.received().count();
        self.client.data_channel(self.channel).expect("channel").send_text(self.now, text).expect("sent");
        self.until(Duration::from_secs(5), "message", |call| call.received().count() > count);
        assert_eq!(self.received().last(), Some(&Data::Text(Bytes::copy_from_slice(text.as_bytes()))));
        let data = Data::Text(Bytes::copy_from_slice(text.as_bytes()));
        self.transport.send_data(self.now, channel, &data).expect("queued");
        let expected = (self.channel, true, text.as_bytes().to_vec());
        self.until(Duration::from_secs(5), "echo", |call| call.client_data.contains(&expected));
    }

    pub(crate) fn publish(&mut self, sequence: u16, payload: &[u8]) {
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

pub(crate) fn add_candidate(client: &mut RTCPeerConnection, address: SocketAddr) {
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

pub(crate) fn credentials(generation: u32) -> IceCredentials {
    IceCredentials {
        ufrag: format!("sfuU{generation}"),
        pwd: format!("sfuPasswordsfuPassword{generation:02}"),
    }
}

pub(crate) fn attribute<'a>(sdp: &'a str, name: &str) -> &'a str {
    let prefix = format!("a={name}:");
    sdp.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("{name} in {sdp}"))
}

pub(crate) fn offered_credentials(sdp: &str) -> IceCredentials {
    IceCredentials { ufrag: attribute(sdp, "ice-ufrag").into(), pwd: attribute(sdp, "ice-pwd").into() }
}

pub(crate) fn offered_fingerprint(sdp: &str) -> Fingerprint {
    let (_, digits) = attribute(sdp, "fingerprint").split_once(' ').expect("a fingerprint");
    let bytes: Vec<u8> = digits.split(':').map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
    Fingerprint(bytes.try_into().expect("SHA-256"))
}

pub(crate) fn vp8(sdp: &str) -> u8 {
    let line = sdp.lines().find(|line| line.contains("VP8/90000")).expect("VP8");
    line.trim_start_matches("a=rtpmap:").split(' ').next().expect("a number").parse().expect("a number")
}

pub(crate) fn answer(
    offer: &str,
    ice: &IceCredentials,
    fingerprint: &Fingerprint,
    role: DtlsRole,
    port: u16,
) -> String {
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

pub(crate) fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..64).contains(first))
}
