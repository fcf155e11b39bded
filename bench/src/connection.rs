//! One client's peer connection on a UDP socket of its own, driven from outside.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use bytes::{Bytes, BytesMut};
use interceptor::{Registry, Slot};
use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8, MediaEngine,
};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::RTCPeerConnectionEvent;
use rtc::peer_connection::message::{RTCMessage, TaggedRTCMessage};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

use crate::sdp::{CandidateRule, MID_URI, TRANSPORT_URI, sections};
use crate::sealed::SealedHeader;
use crate::tap::{Inbound, Inbox, Tap};
use crate::verify::{Seen, SeenWindow};

/// What a client sends and how much it can receive.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionPlan {
    /// Sends one video stream with these SSRCs: media, retransmission.
    pub send_video: Option<(u32, u32)>,
    /// Sends one audio stream with this SSRC.
    pub send_audio: Option<u32>,
    /// Receive-only video m-lines.
    pub receive_video: u32,
    /// Receive-only audio m-lines.
    pub receive_audio: u32,
    /// Transport-wide feedback is offered.
    pub feedback: bool,
    /// Media that comes is not opened: only headers are read.
    pub sealed: bool,
    /// No data channel is offered.
    pub media_only: bool,
}

/// What a connection counted on its socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WireCounts {
    /// RTP packets that came in, still sealed.
    pub rtp: u64,
    /// Of these, packets whose sequence number had been there before.
    pub duplicates: u64,
    /// RTP packets that could be opened.
    pub opened: u64,
    /// Datagrams the socket did not take.
    pub unsent: u64,
}

impl WireCounts {
    /// Adds another connection's counts.
    pub fn add(&mut self, other: &Self) {
        self.rtp += other.rtp;
        self.duplicates += other.duplicates;
        self.opened += other.opened;
        self.unsent += other.unsent;
    }
}

/// A peer connection, its socket and its inbox.
pub struct Connection {
    pc: RTCPeerConnection,
    socket: UdpSocket,
    /// Several datagrams of one length are read at once, as the system's way from a fast sender is: not for each is the reader woken.
    offload: UdpSocketState,
    local: SocketAddr,
    inbox: Inbox,
    deadline: Option<Instant>,
    state: RTCPeerConnectionState,
    wire: BTreeMap<u32, WireSequence>,
    counts: WireCounts,
    transport_extension: Option<u8>,
    transport_number: u16,
    sealed: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("local", &self.local)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// A connection on a free port of `local`, as planned, with the data channel `room` unless it is for media only.
    ///
    /// # Errors
    /// What the socket or the stack says.
    pub fn new(now: Instant, local: IpAddr, plan: &ConnectionPlan) -> Result<Self> {
        let mut connection = Self::build(now, local, plan, false)?;
        if !plan.media_only {
            connection.pc.create_data_channel("room", None)?;
        }
        Ok(connection)
    }

    fn build(now: Instant, local: IpAddr, plan: &ConnectionPlan, lite: bool) -> Result<Self> {
        let socket = bind(SocketAddr::new(local, 0)).context("binding a media socket")?;
        let local = socket.local_addr()?;
        let inbox = Inbox::default();
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_setting_engine(
                SettingEngineBuilder::new()
                    .with_crypto_provider(rtc::crypto::default_provider().context("no crypto provider")?)
                    .with_srtp_protection_profiles(vec![
                        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
                        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                    ])
                    .with_lite(lite)
                    .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(MAX_CHECKS))
                    .with_srtp_replay_protection_window(4096)
                    .build(),
            )
            .with_media_engine(media_engine(plan.feedback)?)
            .with_interceptor_registry(Registry::new().with(Slot::Custom(500), Tap::new(inbox.clone())))
            .build(now)?;
        let candidate = CandidateHostConfig {
            base_config: CandidateConfig {
                network: "udp".into(),
                address: local.ip().to_string(),
                port: local.port(),
                component: 1,
                ..Default::default()
            },
            ..Default::default()
        }
        .new_candidate_host()?;
        pc.add_local_candidate(RTCIceCandidate::from(&candidate).to_json()?)?;
        add_media(&mut pc, plan)?;
        Ok(Self {
            pc,
            offload: UdpSocketState::new(UdpSockRef::from(&socket)).context("a media socket's offload")?,
            socket,
            local,
            inbox,
            deadline: Some(now),
            state: RTCPeerConnectionState::New,
            wire: BTreeMap::new(),
            counts: WireCounts::default(),
            transport_extension: None,
            transport_number: 0,
            sealed: plan.sealed,
        })
    }

    /// The offer to send to the server.
    ///
    /// # Errors
    /// What the stack says.
    pub fn offer(&mut self, now: Instant) -> Result<String> {
        let offer = self.pc.create_offer(None)?;
        self.pc.set_local_description(now, offer)?;
        Ok(self.pc.local_description().context("no local description")?.sdp)
    }

    /// Takes the server's answer; connecting begins with the next [`Connection::handle_timeout`].
    ///
    /// # Errors
    /// An answer without a candidate that `rule` lets through, or one the stack does not take.
    pub fn accept(&mut self, now: Instant, answer: &str, rule: &CandidateRule) -> Result<()> {
        let (allowed, candidates) = rule.apply(answer);
        ensure!(!candidates.is_empty(), rule.complaint(answer));
        let answer = allowed;
        self.transport_extension = sections(&answer).iter().find_map(|section| section.transport_extension);
        self.pc.set_remote_description(now, RTCSessionDescription::answer(answer)?)?;
        self.deadline = Some(now);
        Ok(())
    }

    /// The socket, to register it for polling.
    pub fn socket_mut(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// The state of ICE and DTLS together.
    pub fn state(&self) -> RTCPeerConnectionState {
        self.state
    }

    /// The header extension that carries transport-wide numbers, where the answer agreed on it.
    pub fn transport_extension(&self) -> Option<u8> {
        self.transport_extension
    }

    /// What was counted on the socket.
    pub fn counts(&self) -> WireCounts {
        self.counts
    }

    /// Reads datagrams until there are none, and appends what was in them, with the time at which the system had them. A buffer of 64 KiB takes as many
    /// as it hands over at once.
    pub fn receive(&mut self, buffer: &mut [u8], out: &mut Vec<(Instant, Inbound)>) {
        let mut received = false;
        loop {
            let mut meta = [RecvMeta::default()];
            let socket = UdpSockRef::from(&self.socket);
            match self.offload.recv(socket, &mut [IoSliceMut::new(buffer)], &mut meta) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(_) => break,
            }
            received = true;
            let [RecvMeta { addr: from, len, stride, timestamp, .. }] = meta;
            let arrived = arrival(timestamp);
            for datagram in buffer.get(..len).unwrap_or_default().chunks(stride.max(1)) {
                self.take(datagram, from, arrived, out);
            }
        }
        if received {
            self.flush();
            self.poll_state();
        }
    }

    fn take(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        arrived: Instant,
        out: &mut Vec<(Instant, Inbound)>,
    ) {
        if self.sealed
            && let Some(header) = SealedHeader::read(datagram, self.transport_extension)
        {
            self.counts.rtp += 1;
            self.counts.opened += 1;
            out.push((arrived, Inbound::Sealed(header)));
            return;
        }
        self.count_wire(datagram);
        let refused = self.pc.handle_read(TaggedBytesMut {
            now: Instant::now(),
            transport: TransportContext {
                local_addr: self.local,
                peer_addr: from,
                transport_protocol: TransportProtocol::UDP,
                ecn: None,
            },
            message: BytesMut::from(datagram),
        });
        if let Err(error) = refused {
            tracing::debug!(%error, "a datagram was refused");
        }
        while let Some(packet) = self.inbox.pop() {
            self.counts.opened += u64::from(matches!(packet, Inbound::Rtp(_)));
            out.push((arrived, packet));
        }
    }

    /// Queues a media packet; [`Connection::flush`] sends it.
    pub fn send_rtp(&mut self, now: Instant, mut packet: rtp::Packet) {
        if let Some(id) = self.transport_extension {
            let number = Bytes::copy_from_slice(&self.transport_number.to_be_bytes());
            self.transport_number = self.transport_number.wrapping_add(1);
            let refused = packet.header.set_extension(id, number);
            debug_assert!(refused.is_ok(), "a number fits a header extension");
        }
        self.write(now, RTCMessage::RtpPacket(Default::default(), packet));
    }

    /// Queues a compound packet; [`Connection::flush`] sends it.
    pub fn send_rtcp(&mut self, now: Instant, packets: Vec<Box<dyn rtcp::Packet>>) {
        self.write(now, RTCMessage::RtcpPacket(Default::default(), packets));
    }

    /// Sends everything that waits.
    pub fn flush(&mut self) {
        while let Some(datagram) = self.pc.poll_write() {
            if self.socket.send_to(&datagram.message, datagram.transport.peer_addr).is_err() {
                self.counts.unsent += 1;
            }
        }
    }

    /// When [`Connection::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Lets time pass for ICE, DTLS and SCTP.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Err(error) = self.pc.handle_timeout(now) {
            tracing::debug!(%error, "a timeout was refused");
        }
        self.flush();
        self.poll_state();
    }

    /// Says goodbye to the server.
    pub fn close(&mut self) {
        if let Err(error) = self.pc.close() {
            tracing::debug!(%error, "closing was refused");
        }
        self.flush();
    }

    /// The answering end, as a server would be: ICE-lite, and passive.
    #[cfg(test)]
    pub(crate) fn answering(now: Instant, plan: &ConnectionPlan, offer: &str) -> Result<(Self, String)> {
        let mut connection = Self::build(now, IpAddr::from([127, 0, 0, 1]), plan, true)?;
        connection.pc.set_remote_description(now, RTCSessionDescription::offer(offer.to_owned())?)?;
        let answer = connection.pc.create_answer(None)?;
        connection.pc.set_local_description(now, answer)?;
        let answer = connection.pc.local_description().context("no local description")?.sdp;
        Ok((connection, answer))
    }

    fn write(&mut self, now: Instant, message: RTCMessage) {
        if let Err(error) = self.pc.handle_write(TaggedRTCMessage { now, message }) {
            tracing::debug!(%error, "a packet was refused");
        }
    }

    fn poll_state(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            if let RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) = event {
                self.state = state;
            }
        }
        // Room messages come on the WebSocket as long as it is open; what else is here is not for a client.
        while self.pc.poll_read().is_some() {}
        self.deadline = self.pc.poll_timeout();
    }

    fn count_wire(&mut self, datagram: &[u8]) {
        let [first, second, high, low, _, _, _, _, a, b, c, d, ..] = *datagram else { return };
        // RFC 7983 section 7; RFC 5761 section 4.
        if !(128..=191).contains(&first) || (192..=223).contains(&second) {
            return;
        }
        self.counts.rtp += 1;
        let sequence = self.wire.entry(u32::from_be_bytes([a, b, c, d])).or_default();
        if sequence.insert(u16::from_be_bytes([high, low])) == Seen::Before {
            self.counts.duplicates += 1;
        }
    }
}

/// Sequence numbers of one SSRC, extended to 64 bits.
#[derive(Debug, Default)]
pub(crate) struct WireSequence {
    highest: Option<u64>,
    seen: SeenWindow,
}

impl WireSequence {
    /// Notes the number and says whether it was there before.
    pub(crate) fn insert(&mut self, sequence_number: u16) -> Seen {
        let extended = self.extend(sequence_number);
        self.seen.insert(extended)
    }

    /// The number counted on over wrap-arounds, from 65 536 on.
    pub(crate) fn extend(&mut self, sequence_number: u16) -> u64 {
        let highest = self.highest.unwrap_or(0x1_0000 | u64::from(sequence_number));
        let step = sequence_number.wrapping_sub(highest as u16) as i16;
        let extended = highest.saturating_add_signed(i64::from(step));
        self.highest = Some(highest.max(extended));
        extended
    }

    /// The highest number so far.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.highest
    }
}

impl ConnectionPlan {
    fn tracks(&self) -> impl Iterator<Item = MediaStreamTrack> {
        let track = |kind, label: &str, mime: &str, clock_rate, channels, coding| {
            MediaStreamTrack::new(
                "bench".into(),
                label.into(),
                label.into(),
                kind,
                vec![RTCRtpEncodingParameters {
                    rtp_coding_parameters: coding,
                    codec: RTCRtpCodec { mime_type: mime.into(), clock_rate, channels, ..Default::default() },
                    ..Default::default()
                }],
            )
        };
        let video = self.send_video.map(|(ssrc, rtx)| {
            let rtx = Some(RTCRtpRtxParameters { ssrc: rtx });
            let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), rtx, ..Default::default() };
            track(RtpCodecKind::Video, "camera", MIME_TYPE_VP8, 90_000, 0, coding)
        });
        let audio = self.send_audio.map(|ssrc| {
            let coding = RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() };
            track(RtpCodecKind::Audio, "microphone", MIME_TYPE_OPUS, 48_000, 2, coding)
        });
        video.into_iter().chain(audio)
    }
}

fn add_media(pc: &mut RTCPeerConnection, plan: &ConnectionPlan) -> Result<()> {
    for track in plan.tracks() {
        let init =
            RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Sendonly, ..Default::default() };
        pc.add_transceiver_from_track(track, Some(init))?;
    }
    for (kind, count) in
        [(RtpCodecKind::Video, plan.receive_video), (RtpCodecKind::Audio, plan.receive_audio)]
    {
        for _ in 0..count {
            pc.add_transceiver_from_kind(kind, None)?;
        }
    }
    Ok(())
}

fn media_engine(feedback: bool) -> Result<MediaEngine> {
    let codec = |mime: &str, clock_rate, channels, fmtp: &str, feedback: &[(&str, &str)], payload_type| {
        let rtcp_feedback = feedback
            .iter()
            .map(|(typ, parameter)| RTCPFeedback { typ: (*typ).into(), parameter: (*parameter).into() })
            .collect();
        let rtp_codec = RTCRtpCodec {
            mime_type: mime.into(),
            clock_rate,
            channels,
            sdp_fmtp_line: fmtp.into(),
            rtcp_feedback,
        };
        RTCRtpCodecParameters { rtp_codec, payload_type }
    };
    let mut engine = MediaEngine::default();
    let all = [("transport-cc", ""), ("ccm", "fir"), ("nack", ""), ("nack", "pli")];
    let (transport, others) = all.split_at(1);
    let video = if feedback { &all[..] } else { others };
    engine.register_codec(codec(MIME_TYPE_VP8, 90_000, 0, "", video, 96), RtpCodecKind::Video)?;
    engine.register_codec(codec(MIME_TYPE_RTX, 90_000, 0, "apt=96", &[], 97), RtpCodecKind::Video)?;
    let audio = if feedback { transport } else { &[] };
    let opus = codec(MIME_TYPE_OPUS, 48_000, 2, "minptime=10;useinbandfec=1", audio, 111);
    engine.register_codec(opus, RtpCodecKind::Audio)?;
    for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
        for uri in [MID_URI].into_iter().chain(feedback.then_some(TRANSPORT_URI)) {
            engine.register_header_extension(
                RTCRtpHeaderExtensionCapability { uri: uri.into() },
                kind,
                None,
            )?;
        }
    }
    Ok(engine)
}

/// A socket with room for what arrives while its thread is busy with others.
/// When a datagram was there, from the system's stamp: how long it then waited for this thread is not the server's doing.
fn arrival(stamp: Option<Duration>) -> Instant {
    let now = Instant::now();
    let waited = stamp.and_then(|at| SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(at));
    // A clock that is set in between tells nothing.
    waited.filter(|waited| *waited < LONGEST_WAIT).and_then(|waited| now.checked_sub(waited)).unwrap_or(now)
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// The agent's first check goes out after this, its second step comes after another: browsers take both at once.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// As long as the agent's own seven checks in 200 ms each.
const MAX_CHECKS: u16 = 140;
const RECEIVE_BUFFER: usize = 1 << 20;
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long a connection may take to come up.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
