//! Why something was refused.

use serde::{Deserialize, Serialize};

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)+) => {
        /// Why something was refused: stable strings, section 6 of the protocol.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
            /// A code this crate does not know. Never sent.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl ErrorCode {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as it is sent.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Unknown => "unknown",
                }
            }
        }
    };
}

error_codes! {
    /// Not JSON, or not an object with a known shape; binary frames.
    BadJson = "bad_json",
    /// No such message type or action kind.
    UnknownType = "unknown_type",
    /// A message over its limit.
    TooLarge = "too_large",
    /// The first message was not `hello`, or came too late.
    HelloExpected = "hello_expected",
    /// Not version 1.
    UnsupportedProtocol = "unsupported_protocol",
    /// The token does not open this room.
    BadToken = "bad_token",
    /// The session's token has expired, and no newer one came.
    TokenExpired = "token_expired",
    /// No place in the room.
    RoomFull = "room_full",
    /// No place on the server.
    ServerFull = "server_full",
    /// The room has ended.
    RoomEnded = "room_ended",
    /// This identity was removed a short time ago.
    Kicked = "kicked",
    /// The name is empty, too long or has control characters.
    BadName = "bad_name",
    /// A field is out of its range.
    Invalid = "invalid",
    /// The token's rights do not cover it.
    NotAllowed = "not_allowed",
    /// No such participant, publication or step.
    NotFound = "not_found",
    /// Too many of this class.
    RateLimited = "rate_limited",
    /// The offer is malformed.
    BadOffer = "bad_offer",
    /// The offer cannot be served.
    UnsupportedOffer = "unsupported_offer",
    /// The offer is too large.
    OfferTooLarge = "offer_too_large",
    /// The room is being recorded already.
    AlreadyRecording = "already_recording",
    /// The room is not being recorded.
    NotRecording = "not_recording",
    /// There is no recorder, or it cannot write.
    RecorderUnavailable = "recorder_unavailable",
    /// The server's own fault.
    Internal = "internal",
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
