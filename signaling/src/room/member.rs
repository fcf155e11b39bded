//! Somebody in a room: identity, session, media connection.

use std::collections::BTreeMap;
use std::time::Instant;

use simmer_sfu::id::ParticipantId;
use simmer_sfu::transport::ChannelId;
use simmer_sfu::view::View;

use super::expiry::Expiry;
use super::http::HttpSession;
use super::keys::KeyRing;
use super::rate::Buckets;
use super::{Carrier, ConnectionId};
use crate::protocol::{Participant, Rights, ServerMessage, Source};

/// An identity, present or remembered.
pub(super) struct Member {
    pub(super) identity: String,
    pub(super) info: Participant,
    pub(super) rights: Rights,
    pub(super) keys: KeyRing,
    pub(super) buckets: Buckets,
    /// `None` when they have left. Apart, since it is most of a member, and members stand in blocks that are not full.
    pub(super) session: Option<Box<Session>>,
    pub(super) left_at: Option<Instant>,
}

/// One client's conversation with the room.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) secret: String,
    /// The secret before: good until the client has shown that the newer one arrived.
    pub(super) former_secret: Option<String>,
    pub(super) connection: Option<ConnectionId>,
    /// When it ends, while it has no WebSocket.
    pub(super) ends_at: Option<Instant>,
    /// Its token's end; a session opened over HTTP has none.
    pub(super) expiry: Option<Expiry>,
    /// Something that was sent on the data channel was dropped: the next resumption brings a snapshot.
    pub(super) missed: bool,
    /// Bad frames in a row on the WebSocket.
    pub(super) bad_frames: u8,
    pub(super) view: Option<View>,
    /// When it was opened over HTTP; it has no WebSocket then, and needs none.
    pub(super) http: Option<HttpSession>,
    pub(super) media: Option<Media>,
}

/// A media connection: the core's participant.
pub(super) struct Media {
    pub(super) core: ParticipantId,
    pub(super) channel: Option<ChannelId>,
    /// Too much waits on the channel: it gets nothing after this event until it has drained.
    pub(super) held_after: Option<u64>,
    /// The m-lines' sources, as the last offer named them.
    pub(super) sources: BTreeMap<String, Source>,
    /// The core was told of screens among them.
    pub(super) has_screens: bool,
    /// An answer that found no WebSocket.
    pub(super) answer: Option<ServerMessage>,
    /// What was last told of the transport, the slots and their number: told again on resuming.
    pub(super) transport: Option<ServerMessage>,
    pub(super) slots: Option<ServerMessage>,
    pub(super) slots_wanted: Option<ServerMessage>,
    /// What was last told of the encodings worth sending, by m-line.
    pub(super) encodings: BTreeMap<String, Option<ServerMessage>>,
}

impl Media {
    pub(super) fn new(core: ParticipantId) -> Self {
        Self {
            core,
            channel: None,
            held_after: None,
            sources: BTreeMap::new(),
            has_screens: false,
            answer: None,
            transport: None,
            slots: None,
            slots_wanted: None,
            encodings: BTreeMap::new(),
        }
    }
}

impl Member {
    /// Where room messages go: the WebSocket, or else the data channel, as long as it keeps up.
    pub(super) fn carrier(&self) -> Option<Carrier> {
        self.web_socket().or_else(|| {
            let media = self.session.as_ref()?.media.as_ref()?;
            let channel = media.channel.filter(|_| media.held_after.is_none())?;
            Some(Carrier::Channel(media.core, channel))
        })
    }

    /// Where everything else goes.
    pub(super) fn web_socket(&self) -> Option<Carrier> {
        Some(Carrier::WebSocket(self.session.as_ref()?.connection?))
    }

    pub(super) fn media(&mut self) -> Option<&mut Media> {
        self.session.as_mut()?.media.as_mut()
    }
}
