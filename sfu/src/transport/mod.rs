//! How one participant's datagrams are authenticated, opened and sealed.
//!
//! [`Transport`] is a seam: `RtcTransport` is what browsers speak (ICE-lite, DTLS-SRTP, SCTP); the simulation has
//! a plain one. Everything above it sees opened RTP, opened RTCP and messages.
//!
//! A datagram's way in: `demux` names its protocol; a check goes to `ice` (with `stun`, its wire format), and only what comes from an address that
//! passed one goes further: to `dtls`, from there to `sctp`, or to `srtp`. `rtc` joins them, `context` is what they share.

mod context;
mod demux;
mod dtls;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod ice;
mod rtc;
mod sctp;
mod srtp;
mod stun;

pub use context::{ContextError, RtcContext};
pub(crate) use demux::Class;
pub use rtc::RtcTransport;
pub use srtp::{KeyingMaterial, Opener, Profile, Sealer, SrtpCounters};

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::message::{Data, DisconnectReason};
use crate::sdp::{DtlsRole, Fingerprint, IceCredentials};

/// A data channel of one participant: its SCTP stream id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChannelId(pub u16);

/// One participant's connection. Told the time, without sockets: `handle_*` in, `poll_*` out, drain between.
pub trait Transport: Sized + Send {
    /// What the transports of one shard share: certificate, crypto provider.
    type Context: Send + Sync;

    /// The certificate's fingerprint that goes into every answer.
    fn fingerprint(context: &Self::Context) -> &Fingerprint;

    /// The local ufrag that a connectivity check is addressed to, or `None` when `datagram` is no such check. Looks, does not
    /// verify: that is [`handle_datagram`](Self::handle_datagram)'s part.
    fn addressed_ufrag(datagram: &[u8]) -> Option<&[u8]>;

    /// Starts a connection that nobody has reached yet.
    fn new(context: &Self::Context, now: Instant, parameters: TransportParameters) -> Self;

    /// New ICE credentials on both sides; the DTLS association and the SRTP keys stay (RFC 8445 section 9).
    fn restart_ice(&mut self, now: Instant, local: IceCredentials, remote: IceCredentials);

    /// Takes one datagram from an address that is bound to this participant, or a check addressed to its ufrag.
    /// For `Rtp` and `Rtcp` the plaintext is in place, `datagram` cut to it.
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut BytesMut) -> Incoming;

    /// Lets timers run.
    fn handle_timeout(&mut self, now: Instant);

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Next datagram that is not media (checks' replies, DTLS, SCTP), with its destination.
    fn poll_transmit(&mut self, now: Instant) -> Option<(SocketAddr, Bytes)>;

    /// Next thing that happened.
    fn poll_event(&mut self) -> Option<TransportEvent>;

    /// Where media goes: `None` until connected and after the end.
    fn destination(&self) -> Option<SocketAddr>;

    /// Seals the RTP packet that occupies `buffer[start..]` in place and appends the tag. `header_len` counts fixed header, CSRCs and
    /// extensions; `roc` is the rollover counter of its sequence number (RFC 3711 section 3.3.1).
    fn seal_rtp(&mut self, buffer: &mut Vec<u8>, start: usize, header_len: usize, roc: u32);

    /// Seals the compound RTCP packet that occupies `buffer[start..]` in place and appends what SRTCP appends.
    fn seal_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize);

    /// Queues one message. Refused when the channel is not open, its queue is full or the message too large; nothing is kept then.
    fn send_data(&mut self, now: Instant, channel: ChannelId, data: &Data) -> Result<(), SendDataError>;

    /// How many packets with data channel messages were dropped unread since this was last asked, because the client sent more than
    /// [`crate::Limits::channel_bytes_per_second`].
    fn take_data_refused(&mut self) -> u64 {
        0
    }

    /// Closes in good order: what is to be sent comes out of [`poll_transmit`](Self::poll_transmit).
    fn close(&mut self, now: Instant);
}

/// What a connection starts with.
#[derive(Clone, Debug)]
pub struct TransportParameters {
    /// Ours, as in the answer.
    pub local: IceCredentials,
    /// Theirs, as in the offer.
    pub remote: IceCredentials,
    /// The certificate the client must present.
    pub remote_fingerprint: Fingerprint,
    /// Our side of the DTLS handshake.
    pub dtls_role: DtlsRole,
}

/// What one datagram turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incoming {
    /// Handled, or dropped: nothing for the layer above.
    Nothing,
    /// An authenticated check: the source address belongs to this participant from now on.
    Bound,
    /// An opened RTP packet.
    Rtp,
    /// An opened compound RTCP packet.
    Rtcp,
}

/// What happened on a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TransportEvent {
    /// ICE has an address and DTLS its keys.
    Connected,
    /// The end.
    Closed(DisconnectReason),
    /// The client opened a data channel.
    ChannelOpened {
        /// Its handle.
        channel: ChannelId,
        /// Its label.
        label: String,
    },
    /// A data channel is gone.
    ChannelClosed(ChannelId),
    /// More waits on a data channel than half of what its queue takes.
    BufferedHigh(ChannelId),
    /// After [`BufferedHigh`](Self::BufferedHigh): no more than an eighth waits.
    BufferedLow(ChannelId),
    /// A message.
    Data {
        /// On which channel.
        channel: ChannelId,
        /// What.
        data: Data,
    },
}

/// Why a message was not queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendDataError {
    /// No such channel is open.
    #[error("the data channel is not open")]
    Closed,
    /// The channel's send queue has no room for it.
    #[error("the data channel's send queue is full")]
    Full,
    /// It is larger than any client takes: 256 KiB.
    #[error("the message is larger than 256 KiB")]
    TooLarge,
}

impl SendDataError {
    /// A word for logs and protocols; it stays the same.
    pub fn code(self) -> &'static str {
        match self {
            Self::Closed => "channel_closed",
            Self::Full => "channel_full",
            Self::TooLarge => "message_too_large",
        }
    }
}

/// The first of what waits. With the last of it goes its memory: in most connections nothing waits here for minutes.
fn take_first<T>(waiting: &mut VecDeque<T>) -> Option<T> {
    let first = waiting.pop_front();
    if waiting.is_empty() && waiting.capacity() > 0 {
        *waiting = VecDeque::new();
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_what_waited_goes_with_the_last_of_it() {
        let mut waiting = VecDeque::from([1, 2]);
        assert_eq!(take_first(&mut waiting), Some(1));
        assert!(waiting.capacity() > 0);
        assert_eq!(take_first(&mut waiting), Some(2));
        assert_eq!(waiting.capacity(), 0);
        assert_eq!(take_first(&mut waiting), None);
    }
}
