//! How every line and every publication is just now: for those who look after a running server.

use std::time::Duration;

use crate::bandwidth::{Bitrate, EstimatorReport};
use crate::egress::Target;
use crate::id::{Mid, ParticipantId, PublicationId, RoomId};

/// One participant's connection.
#[derive(Clone, Debug)]
pub struct ParticipantReport {
    /// Who.
    pub participant: ParticipantId,
    /// Where.
    pub room: RoomId,
    /// What is known of the line down; `None` when the client tells nothing of it.
    pub estimate: Option<EstimatorReport>,
    /// There and back, once it was measured.
    pub round_trip: Option<Duration>,
    /// RTP packets sent, of any kind.
    pub packets_sent: u64,
    /// Their datagrams' size, in bytes.
    pub bytes_sent: u64,
    /// Bytes that the pacer holds back just now.
    pub bytes_waiting: usize,
    /// What the slots show, in the order of m-lines.
    pub slots: Vec<SlotReport>,
    /// What is published.
    pub publications: Vec<PublicationReport>,
}

/// One slot.
#[derive(Clone, Debug)]
pub struct SlotReport {
    /// Its m-line.
    pub mid: Mid,
    /// What it carries.
    pub publication: Option<PublicationId>,
    /// The encoding and the layers that flow.
    pub shown: Option<Target>,
    /// Those that the line has room for; others flow until they come.
    pub allotted: Option<Target>,
    /// The line has no room for it.
    pub paused: bool,
}

/// One publication.
#[derive(Clone, Debug)]
pub struct PublicationReport {
    /// Which.
    pub publication: PublicationId,
    /// Its encodings, in the order offered.
    pub encodings: Vec<EncodingReport>,
}

/// One encoding.
#[derive(Clone, Debug)]
pub struct EncodingReport {
    /// Of the picture, in pixels; `None` before the first key frame, and for sound.
    pub height: Option<u16>,
    /// What it took while it was sent last.
    pub bitrate: Bitrate,
    /// Whether it is being sent.
    pub sends: bool,
    /// Whether the publisher is told to send it.
    pub wanted: bool,
}
