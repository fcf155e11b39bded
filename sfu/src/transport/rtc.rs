use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rtc_crypto::RTCCryptoProvider;

use super::context::{RtcContext, TransportLimits};
use super::demux::Class;
use super::dtls::{Dtls, DtlsEvent};
use super::ice::IceLite;
use super::sctp::Sctp;
use super::srtp::{KeyingMaterial, Opener, Sealer, SrtpCounters};
use super::stun;
use super::{ChannelId, Incoming, SendDataError, Transport, TransportEvent, TransportParameters, take_first};
use crate::message::{Data, DisconnectReason};
use crate::sdp::{DtlsRole, Fingerprint, IceCredentials};

/// What browsers speak: ICE-lite, DTLS-SRTP, and data channels over SCTP, all on one address pair.
///
/// Nothing is ever sent to an address from which no authentic check came. A connection that nobody reaches ends when the time
/// for consent is over.
pub struct RtcTransport {
    provider: Arc<dyn RTCCryptoProvider>,
    limits: TransportLimits,
    role: DtlsRole,
    ice: IceLite,
    dtls: Dtls,
    /// Apart: it is nearly half of a participant, and no packet of media touches it.
    sctp: Box<Sctp>,
    media: Option<(Sealer, Opener)>,
    phase: Phase,
    transmits: VecDeque<(SocketAddr, Bytes)>,
    events: VecDeque<TransportEvent>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Connecting,
    Connected,
    Ended,
}

impl RtcTransport {
    /// Media datagrams that were dropped since the keys are there.
    pub fn counters(&self) -> SrtpCounters {
        self.media.as_ref().map(|(_, opener)| opener.counters()).unwrap_or_default()
    }

    /// Calls what rests on the protocol crates. If one of them panics, this connection ends and no other notices.
    fn contained(&mut self, now: Instant, part: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| part(self))).is_err() {
            tracing::warn!("a protocol machine panicked: the connection is closed");
            let reason = match self.phase {
                Phase::Connecting => DisconnectReason::HandshakeFailed,
                _ => DisconnectReason::Closed,
            };
            self.phase = Phase::Ended;
            self.events.push_back(TransportEvent::Closed(reason));
        } else {
            self.connect_when_ready(now);
        }
    }

    fn connect_when_ready(&mut self, now: Instant) {
        if self.phase == Phase::Connecting && self.dtls.is_established() && self.ice.reachable().is_some() {
            self.phase = Phase::Connected;
            // Before what came with the same datagram: nothing is told of a connection that is not there yet.
            self.events.push_front(TransportEvent::Connected);
            self.sctp.start(now, self.role);
        }
    }

    /// Moves between the layers until nothing moves.
    fn pump(&mut self, now: Instant) {
        loop {
            let mut idle = true;
            while let Some(event) = self.dtls.poll_event() {
                idle = false;
                match event {
                    DtlsEvent::Established(keys) => self.take_keys(now, keys),
                    DtlsEvent::Data(packet) => self.sctp.handle(now, packet.freeze()),
                    DtlsEvent::Closed(reason) => self.end(reason),
                }
            }
            while let Some(packet) = self.sctp.poll_transmit() {
                idle = false;
                self.dtls.write(now, &packet);
            }
            while let Some(datagram) = self.dtls.poll_transmit() {
                idle = false;
                if let Some(address) = self.ice.reachable() {
                    self.queue(address, datagram.freeze());
                }
            }
            if idle {
                break;
            }
        }
        while let Some(event) = self.sctp.poll_event() {
            self.events.push_back(event);
        }
    }

    fn take_keys(&mut self, now: Instant, keys: Option<KeyingMaterial>) {
        let Some(keys) = keys else { return };
        let (crypto, is_client) = (self.provider.crypto(), self.role == DtlsRole::Client);
        // A publisher that replaces its tracks uses new SSRCs; the old ones stay known, against replays.
        let ssrcs = self.limits.ssrcs.saturating_mul(SSRC_HEADROOM);
        let sealer = Sealer::new(crypto, &keys, is_client);
        let opener = Opener::new(crypto, &keys, is_client, ssrcs);
        match (sealer, opener) {
            (Ok(sealer), Ok(opener)) => self.media = Some((sealer, opener)),
            _ => {
                self.dtls.close(now);
                self.end(DisconnectReason::HandshakeFailed);
            }
        }
    }

    fn end(&mut self, reason: DisconnectReason) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            self.events.push_back(TransportEvent::Closed(reason));
        }
    }

    /// Queues a datagram. When the owner has not taken the last [`MAX_TRANSMITS`], this one is lost, as it might be on its way;
    /// every protocol here repeats itself.
    fn queue(&mut self, address: SocketAddr, datagram: Bytes) {
        if self.transmits.len() < MAX_TRANSMITS {
            self.transmits.push_back((address, datagram));
        }
    }

    fn handle_check(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Incoming {
        let Some(response) = self.ice.handle(now, from, datagram) else { return Incoming::Nothing };
        self.queue(from, response);
        self.contained(now, |this| {
            this.dtls.start(now);
            this.pump(now);
        });
        Incoming::Bound
    }
}

impl Transport for RtcTransport {
    type Context = RtcContext;

    fn fingerprint(context: &RtcContext) -> &Fingerprint {
        context.fingerprint()
    }

    fn addressed_ufrag(datagram: &[u8]) -> Option<&[u8]> {
        stun::addressed_ufrag(datagram)
    }

    fn new(context: &RtcContext, now: Instant, parameters: TransportParameters) -> Self {
        let TransportParameters { local, remote, remote_fingerprint, dtls_role } = parameters;
        Self {
            provider: Arc::clone(context.provider()),
            limits: context.limits(),
            role: dtls_role,
            ice: IceLite::new(context.provider().crypto(), now, &local, &remote),
            dtls: Dtls::new(context, dtls_role, remote_fingerprint),
            sctp: Box::new(Sctp::new(context.limits())),
            media: None,
            phase: Phase::Connecting,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    fn restart_ice(&mut self, now: Instant, local: IceCredentials, remote: IceCredentials) {
        self.ice.restart(self.provider.crypto(), now, &local, &remote);
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut BytesMut) -> Incoming {
        if self.phase == Phase::Ended {
            return Incoming::Nothing;
        }
        let class = Class::of(datagram);
        if class == Some(Class::Stun) {
            return self.handle_check(now, from, datagram);
        }
        if !self.ice.is_authenticated(from) {
            return Incoming::Nothing;
        }
        if class == Some(Class::Dtls) {
            self.contained(now, |this| {
                this.dtls.handle(now, datagram);
                this.pump(now);
            });
            return Incoming::Nothing;
        }
        let Some((_, opener)) = &mut self.media else { return Incoming::Nothing };
        let opened = match class {
            Some(Class::Rtp) => opener.rtp(datagram).then_some(Incoming::Rtp),
            Some(Class::Rtcp) => opener.rtcp(datagram).then_some(Incoming::Rtcp),
            _ => None,
        };
        if opened == Some(Incoming::Rtcp) && !self.dtls.is_settled() {
            self.contained(now, |this| this.dtls.settle(now, &[]));
        }
        opened.unwrap_or(Incoming::Nothing)
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Ended {
            return;
        }
        if now >= self.ice.consent_ends(self.limits.consent) {
            return self.end(DisconnectReason::ConsentExpired);
        }
        let handshake_ends = self.ice.first_check().map(|first| first + self.limits.handshake);
        if self.phase == Phase::Connecting && handshake_ends.is_some_and(|end| now >= end) {
            return self.end(DisconnectReason::HandshakeFailed);
        }
        self.contained(now, |this| {
            this.dtls.handle_timeout(now);
            this.sctp.handle_timeout(now);
            this.pump(now);
        });
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Ended {
            return None;
        }
        let consent_ends = self.ice.consent_ends(self.limits.consent);
        let connecting = self.phase == Phase::Connecting;
        let handshake_ends =
            self.ice.first_check().filter(|_| connecting).map(|first| first + self.limits.handshake);
        [Some(consent_ends), handshake_ends, self.dtls.poll_timeout(), self.sctp.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<(SocketAddr, Bytes)> {
        take_first(&mut self.transmits)
    }

    fn poll_event(&mut self) -> Option<TransportEvent> {
        take_first(&mut self.events)
    }

    fn destination(&self) -> Option<SocketAddr> {
        self.ice.reachable().filter(|_| self.phase == Phase::Connected)
    }

    /// See [`Transport::seal_rtp`]. Without keys, or when there is no RTP packet at `start`, the buffer is cut to `start`:
    /// nothing leaves in the clear.
    fn seal_rtp(&mut self, buffer: &mut Vec<u8>, start: usize, header_len: usize, roc: u32) {
        let sealed = self.media.as_mut().and_then(|(sealer, _)| sealer.rtp(buffer, start, header_len, roc));
        if sealed.is_none() {
            buffer.truncate(start);
        }
    }

    /// See [`Transport::seal_rtcp`]. Without keys, or when there is no RTCP packet at `start`, the buffer is cut to `start`:
    /// nothing leaves in the clear.
    fn seal_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) {
        let sealed = self.media.as_mut().and_then(|(sealer, _)| sealer.rtcp(buffer, start));
        if sealed.is_none() {
            buffer.truncate(start);
        }
    }

    fn send_data(&mut self, now: Instant, channel: ChannelId, data: &Data) -> Result<(), SendDataError> {
        if self.phase != Phase::Connected {
            return Err(SendDataError::Closed);
        }
        let mut result = Err(SendDataError::Closed);
        self.contained(now, |this| {
            result = this.sctp.send(now, channel, data);
            this.pump(now);
        });
        result
    }

    fn take_data_refused(&mut self) -> u64 {
        self.sctp.take_refused()
    }

    fn close(&mut self, now: Instant) {
        if self.phase == Phase::Ended {
            return;
        }
        self.contained(now, |this| {
            this.sctp.close(now);
            this.pump(now);
            this.dtls.close(now);
            this.pump(now);
        });
        self.phase = Phase::Ended;
        self.media = None;
        self.events.clear();
    }
}

impl std::fmt::Debug for RtcTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcTransport")
            .field("role", &self.role)
            .field("phase", &self.phase)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// How many times [`Limits::ssrcs_per_participant`](crate::Limits::ssrcs_per_participant) SSRCs a connection may see in its life.
const SSRC_HEADROOM: usize = 4;
/// A full congestion window of SCTP fits many times.
const MAX_TRANSMITS: usize = 4096;
