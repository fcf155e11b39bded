//! What a core is started with, and every limit it keeps.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How the core is reached and what it allows.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the media socket is bound. With a wildcard address every local address must be listed in `advertise`.
    pub listen: SocketAddr,
    /// The addresses told to clients, as host candidates on the media port, the preferred one first. Never empty.
    pub advertise: Vec<IpAddr>,
    /// Threads that forward, each with a socket on the one media port: 1 to 64, best one for each processor that media may use. A room of up to
    /// [`Limits::members_together`] is on one of them.
    pub workers: usize,
    /// The limits.
    pub limits: Limits,
}

/// Bounds on what a client can make the core hold or do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Size of an SDP offer, bytes.
    pub offer_bytes: usize,
    /// Number of m-lines in an offer.
    pub media_lines: usize,
    /// SSRCs a publisher may use, retransmission streams included.
    pub ssrcs_per_participant: usize,
    /// Simulcast streams per publication.
    pub encodings_per_publication: usize,
    /// Open data channels per participant.
    pub channels_per_participant: usize,
    /// Bytes waiting on one data channel, and one message for every 256 of them; a message beyond is dropped. A sixteenth on
    /// a channel that may lose messages.
    pub channel_queue_bytes: usize,
    /// Bytes a client may send on its data channels in a second, each message (or packet of one) counted as 1 KiB more. What is beyond is
    /// lost unread; SCTP repeats it and slows the client down.
    pub channel_bytes_per_second: usize,
    /// Largest message on a data channel, bytes.
    pub message_bytes: usize,
    /// A connection without an authenticated check for so long has lost the client's consent (RFC 7675).
    pub consent: Duration,
    /// Time from the first check to the end of the DTLS handshake.
    pub handshake: Duration,
    /// Requests for key frames that go upstream: at most one per encoding in this time.
    pub keyframe_interval: Duration,
    /// Members of a room that one worker is to have before others are given some of it. Each other worker takes every packet of the room once.
    pub members_together: usize,
    /// Source packets kept for retransmission, per encoding: those of the last two seconds, as far as they carry no more bytes than this together, and
    /// are no more than one for each KiB of it. A power of two, 64 KiB or more.
    pub history_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            offer_bytes: 512 * 1024,
            media_lines: 128,
            ssrcs_per_participant: 32,
            encodings_per_publication: 4,
            channels_per_participant: 16,
            channel_queue_bytes: 1024 * 1024,
            channel_bytes_per_second: 8 * 1024 * 1024,
            message_bytes: 64 * 1024,
            consent: Duration::from_secs(30),
            handshake: Duration::from_secs(30),
            keyframe_interval: Duration::from_millis(500),
            members_together: 100,
            // Two seconds of 50 Mbit/s, with room for their growth.
            history_bytes: 16 * 1024 * 1024,
        }
    }
}
