//! A transport without cryptography: the simulation's end of the seam.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use rtc_crypto::{CryptoError, RTCCryptoProvider};

use crate::message::{Data, DisconnectReason};
use crate::sdp::{Fingerprint, IceCredentials};
use crate::transport::{
    ChannelId, Incoming, KeyingMaterial, Profile, Sealer, SendDataError, Transport, TransportEvent,
    TransportParameters,
};

/// What plain transports share: a fingerprint to answer with.
pub struct PlainContext {
    fingerprint: Fingerprint,
    sealing: Option<(Arc<dyn RTCCryptoProvider>, Profile)>,
}

impl Default for PlainContext {
    fn default() -> Self {
        Self { fingerprint: Fingerprint([0x5a; 32]), sealing: None }
    }
}

impl PlainContext {
    /// What goes out is sealed, with a key that everybody knows: it costs what it costs with a handshake. What comes in is plain.
    ///
    /// # Errors
    /// There is no crypto provider.
    pub fn sealing(profile: Profile) -> Result<Self, CryptoError> {
        Ok(Self { sealing: Some((rtc_crypto::default_provider()?, profile)), ..Self::default() })
    }

    fn sealer(&self) -> Option<Sealer> {
        let (provider, profile) = self.sealing.as_ref()?;
        let material = KeyingMaterial::split(*profile, &vec![7; KeyingMaterial::len(*profile)])?;
        Sealer::new(provider.crypto(), &material, false).ok()
    }
}

/// RTP and RTCP as they are; checks and messages in frames of two and four bytes ([`check`], [`message`]).
pub struct PlainTransport {
    local: IceCredentials,
    destination: Option<SocketAddr>,
    last_check: Instant,
    out: VecDeque<(SocketAddr, Bytes)>,
    events: VecDeque<TransportEvent>,
    channels: Vec<ChannelId>,
    sealer: Option<Sealer>,
}

/// A connectivity check addressed to `ufrag`.
pub fn check(ufrag: &str) -> Bytes {
    [&CHECK, ufrag.as_bytes()].concat().into()
}

/// A frame of the data channel `channel`: its opening with a label, or a message.
pub fn message(channel: ChannelId, frame: &Frame) -> Bytes {
    let (tag, payload) = match frame {
        Frame::Open(label) => (0, label.as_bytes()),
        Frame::Message(Data::Text(text)) => (1, &text[..]),
        Frame::Message(Data::Binary(bytes)) => (2, &bytes[..]),
    };
    [&[MESSAGE], &channel.0.to_be_bytes()[..], &[tag], payload].concat().into()
}

/// Reads what [`message`] wrote.
pub fn read_message(mut datagram: Bytes) -> Option<(ChannelId, Frame)> {
    if datagram.remaining() < 4 || datagram.get_u8() != MESSAGE {
        return None;
    }
    let channel = ChannelId(datagram.get_u16());
    let frame = match datagram.get_u8() {
        0 => Frame::Open(String::from_utf8(datagram.to_vec()).ok()?),
        1 => Frame::Message(Data::Text(datagram)),
        2 => Frame::Message(Data::Binary(datagram)),
        _ => return None,
    };
    Some((channel, frame))
}

/// What goes over a plain data channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// The channel opens, with this label.
    Open(String),
    /// A message.
    Message(Data),
}

impl Transport for PlainTransport {
    type Context = PlainContext;

    fn fingerprint(context: &PlainContext) -> &Fingerprint {
        &context.fingerprint
    }

    fn addressed_ufrag(datagram: &[u8]) -> Option<&[u8]> {
        datagram.strip_prefix(&CHECK)
    }

    fn new(context: &PlainContext, now: Instant, parameters: TransportParameters) -> Self {
        Self {
            local: parameters.local,
            destination: None,
            last_check: now,
            out: VecDeque::new(),
            events: VecDeque::new(),
            channels: Vec::new(),
            sealer: context.sealer(),
        }
    }

    fn restart_ice(&mut self, _now: Instant, local: IceCredentials, _remote: IceCredentials) {
        self.local = local;
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut BytesMut) -> Incoming {
        match *datagram.as_ref() {
            [CHECK_0, CHECK_1, ref ufrag @ ..] if *ufrag == *self.local.ufrag.as_bytes() => {
                self.last_check = now;
                if self.destination.replace(from).is_none() {
                    self.events.push_back(TransportEvent::Connected);
                }
                self.out.push_back((from, check("")));
                Incoming::Bound
            }
            [MESSAGE, ..] => {
                match read_message(datagram.split().freeze()) {
                    Some((channel, Frame::Open(label))) => {
                        self.channels.push(channel);
                        self.events.push_back(TransportEvent::ChannelOpened { channel, label });
                    }
                    Some((channel, Frame::Message(data))) => {
                        self.events.push_back(TransportEvent::Data { channel, data });
                    }
                    None => {}
                }
                Incoming::Nothing
            }
            [128..=191, 192..=223, ..] => Incoming::Rtcp,
            [128..=191, ..] => Incoming::Rtp,
            _ => Incoming::Nothing,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.destination.is_some() && now >= self.last_check + CONSENT {
            self.destination = None;
            self.events.push_back(TransportEvent::Closed(DisconnectReason::ConsentExpired));
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.destination.map(|_| self.last_check + CONSENT)
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<(SocketAddr, Bytes)> {
        self.out.pop_front()
    }

    fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    fn destination(&self) -> Option<SocketAddr> {
        self.destination
    }

    fn seal_rtp(&mut self, buffer: &mut Vec<u8>, start: usize, header_len: usize, roc: u32) {
        if let Some(sealer) = &mut self.sealer
            && sealer.rtp(buffer, start, header_len, roc).is_none()
        {
            buffer.truncate(start);
        }
    }

    fn seal_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) {
        if let Some(sealer) = &mut self.sealer
            && sealer.rtcp(buffer, start).is_none()
        {
            buffer.truncate(start);
        }
    }

    fn send_data(&mut self, _now: Instant, channel: ChannelId, data: &Data) -> Result<(), SendDataError> {
        let to =
            self.destination.filter(|_| self.channels.contains(&channel)).ok_or(SendDataError::Closed)?;
        self.out.push_back((to, message(channel, &Frame::Message(data.clone()))));
        Ok(())
    }

    fn close(&mut self, _now: Instant) {
        self.destination = None;
    }
}

const CHECK_0: u8 = 0;
const CHECK_1: u8 = 1;
const CHECK: [u8; 2] = [CHECK_0, CHECK_1];
const MESSAGE: u8 = 23;
const CONSENT: Duration = Duration::from_secs(30);
