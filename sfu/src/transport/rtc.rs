use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::context::RtcContext;
use super::{ChannelId, Incoming, SendDataError, Transport, TransportEvent, TransportParameters};
use crate::message::Data;
use crate::sdp::{Fingerprint, IceCredentials};

/// What browsers speak: ICE-lite, DTLS-SRTP, data channels over SCTP, all on one address pair.
pub struct RtcTransport {
    parameters: TransportParameters,
}

impl Transport for RtcTransport {
    type Context = RtcContext;

    fn fingerprint(context: &RtcContext) -> &Fingerprint {
        context.fingerprint()
    }

    fn addressed_ufrag(_datagram: &[u8]) -> Option<&[u8]> {
        None
    }

    fn new(_context: &RtcContext, _now: Instant, parameters: TransportParameters) -> Self {
        Self { parameters }
    }

    fn restart_ice(&mut self, _now: Instant, local: IceCredentials, remote: IceCredentials) {
        self.parameters.local = local;
        self.parameters.remote = remote;
    }

    fn handle_datagram(&mut self, _now: Instant, _from: SocketAddr, _datagram: &mut BytesMut) -> Incoming {
        Incoming::Nothing
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<(SocketAddr, Bytes)> {
        None
    }

    fn poll_event(&mut self) -> Option<TransportEvent> {
        None
    }

    fn destination(&self) -> Option<SocketAddr> {
        None
    }

    fn seal_rtp(&mut self, buffer: &mut Vec<u8>, start: usize, _header_len: usize, _roc: u32) {
        buffer.truncate(start);
    }

    fn seal_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) {
        buffer.truncate(start);
    }

    fn send_data(&mut self, _now: Instant, _channel: ChannelId, _data: &Data) -> Result<(), SendDataError> {
        Err(SendDataError::Closed)
    }

    fn close(&mut self, _now: Instant) {}
}
