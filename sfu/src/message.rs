//! What is said to a shard and what it says back.

use std::time::Instant;

use bytes::Bytes;

use crate::audio::Speaker;
use crate::id::{Mid, ParticipantId, PublicationId, RoomId};
use crate::report::ParticipantReport;
use crate::sdp::OfferError;
use crate::sink::{Publication, Sink};
use crate::transport::{ChannelId, SendDataError};
use crate::view::{SlotAssignment, View};

/// What the embedder tells the core. Commands about an unknown participant or room are ignored: it has just left.
#[non_exhaustive]
pub enum Command {
    /// A participant enters a room; the room exists while it has somebody in it, or a sink.
    Join {
        /// Which room.
        room: RoomId,
        /// Who. An id that was used before is ignored.
        participant: ParticipantId,
    },
    /// A session description offer of this participant, first or later; answered by [`Event::Answered`].
    Offer {
        /// Who.
        participant: ParticipantId,
        /// Comes back with the answer.
        request: u64,
        /// The offer, at most [`crate::Limits::offer_bytes`] long.
        sdp: String,
    },
    /// New ICE credentials of this participant's client, without an offer (RFC 9725 section 4.3.3); answered by [`Event::Answered`] with
    /// a fragment that has ours.
    RestartIce {
        /// Who.
        participant: ParticipantId,
        /// Comes back with the answer.
        request: u64,
        /// The fragment, at most [`crate::Limits::offer_bytes`] long.
        fragment: String,
    },
    /// Says which m-lines of this participant carry a screen, all of them each time; the others carry a camera. Of use before the offer that has them.
    SetScreens {
        /// Who.
        participant: ParticipantId,
        /// The m-lines.
        mids: Vec<Mid>,
    },
    /// Replaces the participant's view.
    SetView {
        /// Who.
        participant: ParticipantId,
        /// What they want to see.
        view: View,
    },
    /// Sends one message on a data channel. What does not fit the send queue is dropped, counted, and told by
    /// [`Event::DataDropped`]; before it comes to that, [`Event::BufferedHigh`] says to wait.
    ///
    /// A reliable channel's queue takes [`crate::Limits::channel_queue_bytes`], a lossy one's a sixteenth.
    SendData {
        /// To whom.
        participant: ParticipantId,
        /// On which channel.
        channel: ChannelId,
        /// What.
        data: Data,
    },
    /// Asks the publisher for a key frame of one encoding, at most once per throttle interval.
    RequestKeyframe {
        /// Of what.
        publication: PublicationId,
        /// Index into [`Publication::encodings`].
        encoding: u8,
    },
    /// Sets the room's sink, or takes it away. The former one is dropped.
    SetSink {
        /// Which room; made if it does not exist.
        room: RoomId,
        /// Who listens from now on.
        sink: Option<Box<dyn Sink>>,
    },
    /// Tells how every line and every publication is just now.
    Report {
        /// Called on the core's own thread: it hands over and returns.
        tell: Box<dyn FnOnce(Vec<ParticipantReport>) + Send>,
    },
    /// The participant leaves: publications end, the transport closes.
    Leave {
        /// Who.
        participant: ParticipantId,
    },
}

/// One message of a data channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// UTF-8 text, checked by the transport.
    Text(Bytes),
    /// Anything.
    Binary(Bytes),
}

/// What the core tells the embedder.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The answer to [`Command::Offer`] or [`Command::RestartIce`], or why there is none. After an error the session is as it was before.
    Answered {
        /// Who offered.
        participant: ParticipantId,
        /// As in the offer.
        request: u64,
        /// The answer's SDP, or fragment.
        answer: Result<String, OfferError>,
    },
    /// ICE and DTLS are up: media flows from here on.
    Connected {
        /// Whose transport.
        participant: ParticipantId,
        /// When.
        now: Instant,
    },
    /// The transport is gone for good (consent expired, DTLS closed or failed). The participant stays until
    /// [`Command::Leave`]; an ICE restart or a new offer can bring the transport back only by a new participant id.
    Disconnected {
        /// Whose transport.
        participant: ParticipantId,
        /// Why.
        reason: DisconnectReason,
    },
    /// A publication exists: its m-line was negotiated for sending.
    Published {
        /// In which room.
        room: RoomId,
        /// What.
        publication: Publication,
    },
    /// A publication ended.
    Unpublished {
        /// In which room.
        room: RoomId,
        /// What.
        publication: PublicationId,
    },
    /// Who speaks in a room has changed. At most one in 300 ms.
    Speakers {
        /// In which room.
        room: RoomId,
        /// Those who speak, who leads first; at most [`Speakers::MOST`](crate::audio::Speakers::MOST).
        speakers: Vec<Speaker>,
    },
    /// Which encodings of a publication are worth sending has changed: the publisher may pause the others.
    EncodingsWanted {
        /// The publisher.
        participant: ParticipantId,
        /// What.
        publication: PublicationId,
        /// Its m-line.
        mid: Mid,
        /// For each encoding, in the order of [`Publication::encodings`], whether anybody needs it.
        wanted: Vec<bool>,
    },
    /// Something changed in the slots: all of them, as they are now.
    Slots {
        /// Whose.
        participant: ParticipantId,
        /// Every slot in the order of m-lines.
        slots: Vec<SlotAssignment>,
    },
    /// The view needs more slots than were offered. Said once per change of the numbers.
    SlotsWanted {
        /// Who should offer more.
        participant: ParticipantId,
        /// Audio slots needed in all.
        audio: u16,
        /// Video slots needed in all.
        video: u16,
    },
    /// The client opened a data channel.
    ChannelOpened {
        /// Who.
        participant: ParticipantId,
        /// Its handle.
        channel: ChannelId,
        /// Its label.
        label: String,
    },
    /// The client closed a data channel, or it was lost.
    ChannelClosed {
        /// Who.
        participant: ParticipantId,
        /// Its handle.
        channel: ChannelId,
    },
    /// A message came on a data channel.
    Data {
        /// From whom.
        participant: ParticipantId,
        /// On which channel.
        channel: ChannelId,
        /// What.
        data: Data,
    },
    /// A [`Command::SendData`] found the queue full, or the channel gone: the message was dropped.
    DataDropped {
        /// For whom it was.
        participant: ParticipantId,
        /// On which channel.
        channel: ChannelId,
        /// Why; [`SendDataError::code`] is a word for it.
        reason: SendDataError,
    },
    /// The client takes less than is sent on a data channel: half of its queue is used. Who sends should keep back what can wait until
    /// [`Event::BufferedLow`], or until the channel is closed.
    BufferedHigh {
        /// Who.
        participant: ParticipantId,
        /// On which channel.
        channel: ChannelId,
    },
    /// After [`Event::BufferedHigh`]: the queue has emptied to an eighth. Said once each time.
    BufferedLow {
        /// Who.
        participant: ParticipantId,
        /// On which channel.
        channel: ChannelId,
    },
}

/// Why a transport ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// No authenticated STUN check for the consent time (RFC 7675).
    ConsentExpired,
    /// The client closed DTLS.
    Closed,
    /// The DTLS handshake failed or took too long.
    HandshakeFailed,
    /// The client's certificate is not the one its offer announced.
    FingerprintMismatch,
    /// Our own fault: handling this participant panicked. They are gone without [`Command::Leave`].
    Fault,
}
