//! The SCTP association inside DTLS and the data channels on it (RFC 8831, RFC 8832).
//!
//! [`intake`] bounds how much comes in, [`guard`] lets only harmless packets through to the SCTP machine; [`channel`] is how a channel's messages look, [`backlog`] what
//! waits on one; [`patience`] keeps the machine from waiting too long, [`answer`] the client.

mod answer;
mod backlog;
mod channel;
mod guard;
mod intake;
mod patience;

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc_sctp::{
    Association, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ReliabilityType, ServerConfig, StreamEvent, TimerConfig, TransportConfig,
};
use rtc_shared::TransportProtocol;

use self::answer::Answer;
use self::backlog::{Backlog, Mark};
use self::channel::Opening;
use self::guard::{ChunkGuard, Verdict};
use self::intake::Intake;
use self::patience::Patience;
use super::context::TransportLimits;
use super::{ChannelId, SendDataError, TransportEvent, take_first};
use crate::message::Data;
use crate::sdp::DtlsRole;

/// The association with one client. The client starts it; only one that has not done so a while after a DTLS handshake that
/// we started is started by us.
pub(super) struct Sctp {
    limits: TransportLimits,
    configuration: TransportConfig,
    endpoint: Endpoint,
    association: Option<Association>,
    established: bool,
    /// The tag of the INIT that made the association.
    init: Option<u32>,
    /// What was said last of the handshake: a repeated INIT gets the same answer.
    answer: Answer,
    connect_at: Option<Instant>,
    guard: ChunkGuard,
    intake: Intake,
    patience: Patience,
    /// Boxed, since nearly all have one or two, and a map has room for eleven.
    channels: BTreeMap<u16, Box<Backlog>>,
    transmits: VecDeque<Bytes>,
    events: VecDeque<TransportEvent>,
}

impl Sctp {
    pub(super) fn new(limits: TransportLimits) -> Self {
        let window = limits.message_bytes.saturating_mul(4).max(MIN_WINDOW);
        let configuration = TransportConfig::default()
            .with_max_receive_buffer_size(u32::try_from(window).unwrap_or(u32::MAX))
            .with_max_num_inbound_streams(guard::MAX_STREAMS)
            .with_max_num_outbound_streams(guard::MAX_STREAMS)
            .with_max_message_size(MAX_OUTGOING_MESSAGE as u32)
            // Whether the client is still there is for ICE to say.
            .with_timer_config(TimerConfig {
                max_t1_init_retrans: HANDSHAKE_REPETITIONS,
                max_t1_cookie_retrans: HANDSHAKE_REPETITIONS,
                max_t3_rtx_retrans: usize::MAX,
                max_reconfig_retrans: usize::MAX,
                ..TimerConfig::default()
            });
        Self {
            limits,
            endpoint: endpoint(&configuration),
            configuration,
            association: None,
            established: false,
            init: None,
            answer: Answer::default(),
            connect_at: None,
            guard: ChunkGuard::new(window),
            intake: Intake::new(limits.channel_bytes_per_second),
            patience: Patience::default(),
            channels: BTreeMap::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// DTLS is up.
    pub(super) fn start(&mut self, now: Instant, role: DtlsRole) {
        if role == DtlsRole::Client {
            self.connect_at = Some(now + CONNECT_DELAY);
        }
    }

    /// Takes one SCTP packet.
    pub(super) fn handle(&mut self, now: Instant, packet: Bytes) {
        let parts = guard::data_chunks(&packet);
        // Before the guard, which counts what the machine has.
        if parts > 0 && !self.intake.admits(now, packet.len(), parts) {
            return;
        }
        match self.guard.inspect(&packet, self.established) {
            Verdict::Drop => {}
            Verdict::Init { tag } => self.accept(now, tag, packet),
            Verdict::Pass => {
                let (established, before) = (self.established, self.transmits.len());
                if let Some((_, DatagramEvent::AssociationEvent(event))) =
                    self.endpoint.handle(now, REMOTE, None, packet)
                    && let Some(association) = &mut self.association
                {
                    association.handle_event(event);
                }
                self.drain(now);
                if established {
                    self.answer = Answer::default();
                } else if self.established {
                    self.answer = Answer::new(now, self.transmits.range(before..));
                }
            }
            Verdict::Abort => {
                if let Some(association) = &mut self.association {
                    let _ = association.abort();
                }
                self.drain(now);
            }
        }
    }

    /// Lets timers run.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.connect_at.is_some_and(|at| at <= now) {
            self.connect_at = None;
            let configuration = ClientConfig::new(self.configuration.clone());
            if self.association.is_none()
                && let Ok((_, association)) = self.endpoint.connect(now, configuration, REMOTE)
            {
                self.association = Some(association);
            }
        }
        if self.answer.due().is_some_and(|at| at <= now) {
            self.transmits.extend(self.answer.repeat(now));
        }
        if let Some(association) = &mut self.association {
            let timer = association.poll_timeout();
            // A timer whose time has come for us: the machine believes that it has for it, too.
            let due = self.patience.due(timer, association.rtt()).is_some_and(|due| due <= now);
            association.handle_timeout(timer.filter(|_| due).map_or(now, |timer| timer.max(now)));
            let mut stats = association.stats();
            let unanswered = self.patience.unanswered(now, stats.get_num_sacks(), stats.get_num_t3timeouts());
            if unanswered.is_some_and(|since| now >= since + self.limits.consent) {
                // The client is there, but its half of the association is not: nothing more is kept for it.
                tracing::debug!("no SCTP acknowledgement: the association ends");
                let _ = association.abort();
            }
        }
        self.drain(now);
    }

    /// When to let timers run.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let association = self.association.as_ref();
        let due = association.and_then(|it| self.patience.due(it.poll_timeout(), it.rtt()));
        due.into_iter().chain(self.connect_at).chain(self.answer.due()).min()
    }

    /// The next packet to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Bytes> {
        take_first(&mut self.transmits)
    }

    /// How many packets were refused since this was last asked: the client sent more than it may.
    pub(super) fn take_refused(&mut self) -> u64 {
        self.intake.take_refused()
    }

    /// What happened next.
    pub(super) fn poll_event(&mut self) -> Option<TransportEvent> {
        take_first(&mut self.events)
    }

    /// Queues one message. Refused, not dropped, when the queue has no room.
    pub(super) fn send(
        &mut self,
        now: Instant,
        channel: ChannelId,
        data: &Data,
    ) -> Result<(), SendDataError> {
        let association = self.association.as_mut().ok_or(SendDataError::Closed)?;
        let backlog = self.channels.get_mut(&channel.0).ok_or(SendDataError::Closed)?;
        let mut stream = association.stream(channel.0).map_err(|_| SendDataError::Closed)?;
        let (identifier, payload) = channel::encode(data);
        if payload.len() > MAX_OUTGOING_MESSAGE {
            return Err(SendDataError::TooLarge);
        }
        if !backlog.admits(payload.len()) {
            return Err(SendDataError::Full);
        }
        stream.write_chunk_with_ppi(now, &payload, identifier).map_err(|_| SendDataError::Closed)?;
        let mark = backlog.add(payload.len());
        self.tell(channel, mark);
        self.drain(now);
        Ok(())
    }

    /// Ends the association by an ABORT, which needs no answer.
    pub(super) fn close(&mut self, now: Instant) {
        self.connect_at = None;
        self.answer = Answer::default();
        if let Some(association) = &mut self.association {
            let _ = association.abort();
        }
        self.drain(now);
    }

    /// Answers an INIT: the first one, or another one from a client that has started over before it was done.
    fn accept(&mut self, now: Instant, tag: u32, packet: Bytes) {
        if self.established {
            return;
        }
        if self.init == Some(tag) {
            self.transmits.extend(self.answer.packets());
            return;
        }
        // The machine would keep an association for every INIT there ever was: it gets a new start with each.
        self.endpoint = endpoint(&self.configuration);
        let Some((_, DatagramEvent::NewAssociation(association))) =
            self.endpoint.handle(now, REMOTE, None, packet)
        else {
            return;
        };
        self.connect_at = None;
        self.association = Some(association);
        let before = self.transmits.len();
        self.drain(now);
        self.init = Some(tag);
        self.answer = Answer::new(now, self.transmits.range(before..));
    }

    /// Takes everything out of the machine that it has for us.
    fn drain(&mut self, now: Instant) {
        let Some(mut association) = self.association.take() else { return };
        loop {
            let mut idle = true;
            while let Some(event) = association.poll() {
                idle = false;
                self.handle_event(now, &mut association, event);
            }
            while let Some(transmit) = association.poll_transmit(now) {
                idle = false;
                // As much as the congestion window lets out; the owner takes it all before the next input.
                if let Payload::RawEncode(packets) = transmit.message {
                    self.transmits.extend(packets);
                }
            }
            if idle {
                break;
            }
        }
        if self.established && association.is_closed() {
            self.established = false;
            self.init = None;
            self.answer = Answer::default();
            self.guard = ChunkGuard::new(self.guard.window());
            self.patience = Patience::default();
            for channel in std::mem::take(&mut self.channels).into_keys() {
                self.events.push_back(TransportEvent::ChannelClosed(ChannelId(channel)));
            }
            return;
        }
        self.patience.observe(now, association.poll_timeout(), association.rtt());
        self.association = Some(association);
    }

    fn handle_event(&mut self, now: Instant, association: &mut Association, event: Event) {
        match event {
            Event::Connected => {
                self.established = true;
                self.connect_at = None;
            }
            Event::Stream(StreamEvent::Readable { id }) => self.read(now, association, ChannelId(id)),
            Event::Stream(StreamEvent::BufferedAmountReleased { id, n_bytes }) => {
                let mark = self.channels.get_mut(&id).and_then(|backlog| backlog.release(n_bytes));
                self.tell(ChannelId(id), mark);
            }
            Event::AssociationLost { id, .. } => self.forget(ChannelId(id)),
            Event::HandshakeFailed { reason } => tracing::debug!(%reason, "no SCTP association"),
            _ => {}
        }
    }

    fn read(&mut self, now: Instant, association: &mut Association, id: ChannelId) {
        loop {
            let Ok(mut stream) = association.stream(id.0) else { return };
            let Ok(Some(message)) = stream.read_sctp() else { return };
            let payload = message.to_payload(self.limits.message_bytes).map(bytes::BytesMut::freeze);
            let known = self.channels.contains_key(&id.0);
            let accepted = match (message.ppi, payload) {
                (PayloadProtocolIdentifier::Dcep, Ok(payload)) if !known => {
                    self.open(now, association, id, &payload)
                }
                // The acknowledgement of a channel that is not ours to open, or a repetition.
                (PayloadProtocolIdentifier::Dcep, Ok(_)) => true,
                (identifier, Ok(payload)) if known => match channel::decode(identifier, payload) {
                    Ok(data) => {
                        let event = data.map(|data| TransportEvent::Data { channel: id, data });
                        // One event at most for each message that came in with this datagram.
                        self.events.extend(event);
                        true
                    }
                    Err(channel::NotUtf8) => false,
                },
                _ => false,
            };
            if !accepted {
                tracing::debug!(channel = id.0, "closing a data channel that breaks the rules");
                self.forget(id);
                if let Ok(mut stream) = association.stream(id.0) {
                    let _ = stream.close(now);
                }
                return;
            }
        }
    }

    /// Whether the first message on a stream opened a channel.
    fn open(&mut self, now: Instant, association: &mut Association, id: ChannelId, payload: &Bytes) -> bool {
        if self.channels.len() >= self.limits.channels {
            return false;
        }
        let Some(opening) = Opening::parse(payload) else { return false };
        let Ok(mut stream) = association.stream(id.0) else { return false };
        let acknowledged = stream
            .write_chunk_with_ppi(
                now,
                &Bytes::from_static(&channel::ACKNOWLEDGEMENT),
                PayloadProtocolIdentifier::Dcep,
            )
            .is_ok();
        let configured =
            stream.set_reliability_params(opening.unordered, opening.reliability, opening.parameter).is_ok();
        if !(acknowledged && configured) {
            return false;
        }
        let limit = match opening.reliability {
            ReliabilityType::Reliable => self.limits.channel_queue_bytes,
            _ => self.limits.channel_queue_bytes / LOSSY_SHARE,
        };
        let mut backlog = Box::new(Backlog::new(limit));
        backlog.add(channel::ACKNOWLEDGEMENT.len());
        self.channels.insert(id.0, backlog);
        self.events.push_back(TransportEvent::ChannelOpened { channel: id, label: opening.label });
        true
    }

    fn tell(&mut self, channel: ChannelId, mark: Option<Mark>) {
        self.events.extend(mark.map(|mark| match mark {
            Mark::High => TransportEvent::BufferedHigh(channel),
            Mark::Low => TransportEvent::BufferedLow(channel),
        }));
    }

    fn forget(&mut self, id: ChannelId) {
        if self.channels.remove(&id.0).is_some() {
            self.events.push_back(TransportEvent::ChannelClosed(id));
        }
    }
}

/// Any packets before the SCTP machine: judged without a panic; any message as the opening of a channel, and as one of its own.
#[cfg(feature = "fuzzing")]
pub fn fuzz(data: &[u8]) {
    let mut guard = ChunkGuard::new(MIN_WINDOW);
    for packet in super::fuzzing::datagrams(data) {
        let established = packet.first().is_some_and(|first| first & 0x80 != 0);
        guard::data_chunks(packet);
        guard.inspect(packet, established);
        Opening::parse(&Bytes::copy_from_slice(packet));
        let Some((&identifier, payload)) = packet.split_first() else { continue };
        let identifier = PayloadProtocolIdentifier::from(u32::from(identifier));
        if let Ok(Some(Data::Text(text))) = channel::decode(identifier, Bytes::copy_from_slice(payload)) {
            assert!(std::str::from_utf8(&text).is_ok());
        }
    }
}

fn endpoint(configuration: &TransportConfig) -> Endpoint {
    let server = Arc::new(ServerConfig::new(configuration.clone()));
    Endpoint::new(LOCAL, TransportProtocol::UDP, Arc::new(EndpointConfig::new()), Some(server))
}

/// The machine wants addresses; inside DTLS there are none.
const REMOTE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2);

/// Browsers start the association at once whichever DTLS role they have.
const CONNECT_DELAY: Duration = Duration::from_secs(1);
/// Of an INIT or a COOKIE ECHO, a second apart: as long as a connection may be without consent.
const HANDSHAKE_REPETITIONS: usize = 30;
const MIN_WINDOW: usize = 256 * 1024;
/// What browsers take when an answer does not say otherwise is 64 KiB, what they announce is 256 KiB.
const MAX_OUTGOING_MESSAGE: usize = 256 * 1024;
/// What need not arrive is worth little when it is late: a channel that may lose messages queues a sixteenth of what another does.
const LOSSY_SHARE: usize = 16;
