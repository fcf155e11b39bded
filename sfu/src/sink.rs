//! A sink hears everything a room publishes: the recorder, or an embedder's own tap.

use std::time::Instant;

use bytes::Bytes;

use crate::codec::Codec;
use crate::id::{Mid, PublicationId, Rid};

/// Receives a room's opened packets on the shard's own thread.
///
/// Every method is called between two packets of live media: an implementation hands over and returns.
/// It must not block, and a full queue is its own to count and drop.
pub trait Sink: Send {
    /// Takes one event. Events of one publication come in order.
    fn handle(&mut self, event: SinkEvent);
}

/// What a [`Sink`] is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SinkEvent {
    /// A publication exists from now on. Those that existed before the sink are announced when it is set.
    Published {
        /// When.
        now: Instant,
        /// What is published.
        publication: Publication,
    },
    /// One RTP packet, decrypted, original order of arrival; repaired packets come late, none comes twice.
    Packet(SinkPacket),
    /// An RTCP sender report (RFC 3550 section 6.4.1) of one encoding.
    SenderReport {
        /// Whose.
        publication: PublicationId,
        /// Index into [`Publication::encodings`].
        encoding: u8,
        /// When it arrived.
        now: Instant,
        /// The publisher's wall clock, 64-bit NTP format.
        ntp: u64,
        /// The same instant on the encoding's RTP clock.
        rtp_time: u32,
    },
    /// The publication ended; no packet of it follows.
    Unpublished {
        /// When.
        now: Instant,
        /// Which.
        publication: PublicationId,
    },
}

/// A published track.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication {
    /// Its name.
    pub id: PublicationId,
    /// The publisher's m-line.
    pub mid: Mid,
    /// The codec of all its encodings.
    pub codec: Codec,
    /// Its simulcast streams, as offered, by convention the largest picture first. One without a rid when it is no simulcast.
    pub encodings: Vec<Option<Rid>>,
}

/// One RTP packet as a publisher sent it, opened.
#[derive(Clone, Debug)]
pub struct SinkPacket {
    /// Of which publication.
    pub publication: PublicationId,
    /// Index into [`Publication::encodings`].
    pub encoding: u8,
    /// When the datagram arrived.
    pub arrival: Instant,
    /// The RTP sequence number, extended to 64 bits; the first packet of an encoding starts in the cycle 1.
    pub sequence: u64,
    /// The RTP timestamp, as received.
    pub rtp_time: u32,
    /// The RTP marker bit.
    pub marker: bool,
    /// The payload, without header, extensions and padding. Shared, not copied.
    pub payload: Bytes,
}
