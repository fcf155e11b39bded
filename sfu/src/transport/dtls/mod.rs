//! DTLS 1.2 with the client (RFC 6347), for the SRTP keys (RFC 5764) and for SCTP.
//!
//! [`records`] lets only sane records through to the handshake machine; [`hello`] reads the client's SRTP profiles before that machine
//! does, so that it is started with the one profile we want.

mod hello;
mod records;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::config::HandshakeConfig;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;

use self::hello::HelloReader;
use self::records::RecordGuard;
use super::context::{RtcContext, digest};
use super::srtp::{KeyingMaterial, Profile};
use super::take_first;
use crate::message::DisconnectReason;
use crate::sdp::{DtlsRole, Fingerprint};

/// One DTLS association. It does not know addresses: the ICE side says where its datagrams go.
pub(super) struct Dtls {
    endpoint: Option<Endpoint>,
    client: Arc<HandshakeConfig>,
    servers: [(Option<Profile>, Arc<HandshakeConfig>); 4],
    provider: Arc<dyn RTCCryptoProvider>,
    role: DtlsRole,
    remote_fingerprint: Fingerprint,
    hello: HelloReader,
    guard: RecordGuard,
    state: State,
    /// Nothing of the handshake is kept any more.
    settled: bool,
    outgoing: VecDeque<BytesMut>,
    /// What was sent last of the handshake, and when to say it again.
    flight: Vec<BytesMut>,
    repeat_at: Option<Instant>,
    /// How often it was said again.
    repeats: u32,
    events: VecDeque<DtlsEvent>,
}

/// Any datagrams before the handshake machine: judged and read without a panic, and what is kept of them is bounded.
#[cfg(feature = "fuzzing")]
pub fn fuzz(data: &[u8]) {
    let (mut guard, mut reader) = (RecordGuard::default(), HelloReader::default());
    for datagram in super::fuzzing::datagrams(data) {
        let established = datagram.first().is_some_and(|first| first & 0x80 != 0);
        let datagram = if established { datagram.get(1..).unwrap_or_default() } else { datagram };
        if guard.inspect(datagram, established).is_ok()
            && let Some(hello) = reader.read(datagram)
        {
            hello.preferred();
            assert!(hello.datagrams.len() <= 16);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Handshaking,
    Established,
    Ended,
}

/// What comes out of an association.
pub(super) enum DtlsEvent {
    /// The handshake is done and the certificate is the announced one; the keys are there if SRTP was negotiated.
    Established(Option<KeyingMaterial>),
    /// Application data: an SCTP packet.
    Data(BytesMut),
    /// The end.
    Closed(DisconnectReason),
}

impl Dtls {
    pub(super) fn new(context: &RtcContext, role: DtlsRole, remote_fingerprint: Fingerprint) -> Self {
        Self {
            endpoint: None,
            client: Arc::clone(context.client()),
            servers: context.servers().clone(),
            provider: Arc::clone(context.provider()),
            role,
            remote_fingerprint,
            hello: HelloReader::default(),
            guard: RecordGuard::default(),
            state: State::Handshaking,
            settled: false,
            outgoing: VecDeque::new(),
            flight: Vec::new(),
            repeat_at: None,
            repeats: 0,
            events: VecDeque::new(),
        }
    }

    /// The client can be reached: sends the ClientHello if that is our part. Says nothing the second time.
    pub(super) fn start(&mut self, now: Instant) {
        if self.role == DtlsRole::Server || self.endpoint.is_some() || self.state != State::Handshaking {
            return;
        }
        let mut endpoint = Endpoint::new(LOCAL, TransportProtocol::UDP, None);
        if endpoint.connect(now, REMOTE, Arc::clone(&self.client), None).is_err() {
            self.end(DisconnectReason::HandshakeFailed);
            return;
        }
        self.endpoint = Some(endpoint);
        self.collect(now);
    }

    /// Takes one datagram from an address that passed a check.
    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8]) {
        if self.state == State::Ended || self.settled && records::of_handshake(datagram) {
            return;
        }
        match self.guard.inspect(datagram, self.state == State::Established) {
            Ok(()) => {}
            Err(records::Refusal::Malformed) => return,
            Err(records::Refusal::TooMuch) if self.state == State::Established => return,
            Err(records::Refusal::TooMuch) => return self.end(DisconnectReason::HandshakeFailed),
        }
        if self.endpoint.is_some() {
            self.read(now, datagram);
        } else if self.role == DtlsRole::Server
            && let Some(hello) = self.hello.read(datagram)
        {
            let chosen = hello.preferred();
            let Some((_, configuration)) = self.servers.iter().find(|(profile, _)| *profile == chosen) else {
                return;
            };
            let configuration = Some(Arc::clone(configuration));
            self.endpoint = Some(Endpoint::new(LOCAL, TransportProtocol::UDP, configuration));
            for datagram in hello.datagrams {
                self.read(now, &datagram);
            }
        }
    }

    /// Repeats what was not answered.
    ///
    /// The machine stops its own timer for good as soon as a repetition of the client's comes in. As a server, which only ever
    /// has to fill gaps at the client, we send the same datagrams again. As a client we let the machine's timer run for as long as there is
    /// one, since a server that is done answers nothing it has seen before; but not so often that the machine gives up.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        let repeats = self.repeats + 1;
        if self.machine_timer().is_some()
            && let Some(endpoint) = &mut self.endpoint
        {
            if endpoint.handle_timeout(REMOTE, now).is_err() {
                return self.end(DisconnectReason::HandshakeFailed);
            }
            self.collect(now);
        } else {
            self.outgoing.extend(self.flight.iter().cloned());
        }
        self.repeats = repeats;
        self.repeat_at = Some(now + repeat_interval(self.role, repeats));
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.state != State::Handshaking {
            return None;
        }
        self.machine_timer().or(self.repeat_at)
    }

    fn machine_timer(&self) -> Option<Instant> {
        let running = self.role == DtlsRole::Client && self.repeats < MACHINE_REPEATS;
        self.endpoint.as_ref().filter(|_| running).and_then(|endpoint| endpoint.poll_timeout(&REMOTE))
    }

    /// The next datagram to send.
    pub(super) fn poll_transmit(&mut self) -> Option<BytesMut> {
        take_first(&mut self.outgoing)
    }

    /// What happened next.
    pub(super) fn poll_event(&mut self) -> Option<DtlsEvent> {
        take_first(&mut self.events)
    }

    /// Whether the handshake is done and the association has not ended.
    pub(super) fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Sends application data, one record. It is lost before the handshake is done and after the end.
    pub(super) fn write(&mut self, now: Instant, data: &[u8]) {
        if self.state == State::Established
            && let Some(endpoint) = &mut self.endpoint
        {
            // The only failure is a connection that is no longer there.
            let _ = endpoint.write(now, REMOTE, data);
            self.collect(now);
        }
    }

    /// Sends close_notify.
    pub(super) fn close(&mut self, now: Instant) {
        if let Some(endpoint) = &mut self.endpoint {
            let _ = endpoint.close(now);
        }
        self.collect(now);
        self.state = State::Ended;
    }

    fn read(&mut self, now: Instant, datagram: &[u8]) {
        let Some(endpoint) = &mut self.endpoint else { return };
        let established = self.state == State::Established;
        let result = endpoint.read(now, REMOTE, None, BytesMut::from(datagram));
        self.collect(now);
        match result {
            Ok(events) => {
                let settles = |event: &EndpointEvent| matches!(event, EndpointEvent::ApplicationData(_));
                if established && events.iter().any(settles) {
                    self.settle(now, datagram);
                }
                for event in events {
                    match event {
                        EndpointEvent::HandshakeComplete => self.establish(now),
                        EndpointEvent::ApplicationData(data) if self.state == State::Established => {
                            self.events.push_back(DtlsEvent::Data(data));
                        }
                        EndpointEvent::PeerClosed => {
                            let reason = match self.state {
                                State::Handshaking => DisconnectReason::HandshakeFailed,
                                _ => DisconnectReason::Closed,
                            };
                            self.end(reason);
                        }
                        _ => {}
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "DTLS record refused");
                match self.state {
                    State::Handshaking => self.end(DisconnectReason::HandshakeFailed),
                    State::Established if error == Error::ErrAlertFatalOrClose => {
                        self.end(DisconnectReason::Closed)
                    }
                    _ => {}
                }
            }
        }
    }

    /// Takes what the machine wants to send. It is taken from us before the next input.
    fn collect(&mut self, now: Instant) {
        let Some(endpoint) = &mut self.endpoint else { return };
        let before = self.outgoing.len();
        while let Some(transmit) = endpoint.poll_transmit() {
            self.outgoing.push_back(transmit.message);
        }
        if self.state == State::Handshaking && self.outgoing.len() > before {
            self.flight = self.outgoing.range(before..).cloned().collect();
            self.repeats = 0;
            self.repeat_at = Some(now + repeat_interval(self.role, 0));
        }
    }

    fn establish(&mut self, now: Instant) {
        let Some(state) = self.endpoint.as_ref().and_then(|endpoint| endpoint.get_connection_state(REMOTE))
        else {
            return self.end(DisconnectReason::HandshakeFailed);
        };
        let certificate = state.peer_certificates.first();
        if certificate.and_then(|der| digest(self.provider.crypto(), der)) != Some(self.remote_fingerprint) {
            self.close(now);
            return self.end(DisconnectReason::FingerprintMismatch);
        }
        let keys = Profile::from_wire(state.srtp_protection_profile() as u16).map(|profile| {
            let exported = state
                .export_keying_material(KeyingMaterial::LABEL, &[], KeyingMaterial::len(profile))
                .ok()?;
            KeyingMaterial::split(profile, exported.as_ref())
        });
        match keys {
            Some(None) => self.end(DisconnectReason::HandshakeFailed),
            keys => {
                self.state = State::Established;
                self.flight = Vec::new();
                self.events.push_back(DtlsEvent::Established(keys.flatten()));
            }
        }
    }

    /// Whether nothing of the handshake is kept any more.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// The other side has shown that it is done too, by this datagram or by media: what would say our part of the handshake once more goes, more than
    /// half of what an association takes. The machine does not let go of it, so another one goes on where it is, with the same keys and numbers.
    pub(super) fn settle(&mut self, now: Instant, datagram: &[u8]) {
        if self.settled || self.state != State::Established {
            return;
        }
        let former = self.endpoint.as_ref().and_then(|endpoint| endpoint.get_connection_state(REMOTE));
        let state = former.and_then(|former| {
            let mut state = rtc_dtls::state::State::new(Arc::clone(&self.provider), former.is_client());
            state.unmarshal_binary(&former.marshal_binary().ok()?).ok()?;
            Some(state)
        });
        let Some(mut state) = state else { return };
        // It was judged when the keys were made.
        state.peer_certificates = Vec::new();
        let mut endpoint = Endpoint::new(LOCAL, TransportProtocol::UDP, None);
        if endpoint.connect(now, REMOTE, Arc::clone(&self.client), Some(state)).is_err() {
            return;
        }
        // So that it is known there: what it says was taken already, and would be again.
        let _ = endpoint.read(now, REMOTE, None, BytesMut::from(datagram));
        self.endpoint = Some(endpoint);
        self.settled = true;
    }

    fn end(&mut self, reason: DisconnectReason) {
        self.state = State::Ended;
        self.events.push_back(DtlsEvent::Closed(reason));
    }
}

/// How long a flight waits for its answer, after so many repetitions. RFC 6347 section 4.2.4.1 has a second, and less where the
/// round trip is known to be short: a check has just come from there, and what is sent too early is two datagrams. A server of
/// this crate's kind goes silent when it is asked twice too early, so as a client we take the second.
fn repeat_interval(role: DtlsRole, repeats: u32) -> Duration {
    match role {
        DtlsRole::Client => LONGEST_REPEAT,
        DtlsRole::Server => (FIRST_REPEAT * 2_u32.saturating_pow(repeats.min(8))).min(LONGEST_REPEAT),
    }
}

const FIRST_REPEAT: Duration = Duration::from_millis(250);
const LONGEST_REPEAT: Duration = Duration::from_secs(1);
/// The machine fails at its eighth repetition of a flight.
const MACHINE_REPEATS: u32 = 7;
/// The machine keys associations by address; ours has one, whose client may move.
const REMOTE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 2);

#[cfg(test)]
mod tests;
