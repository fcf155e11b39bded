//! The decision about an offer, and its continuity with what was agreed before.

use std::net::SocketAddr;

use super::{Fingerprint, IceCredentials, Negotiated, Offer, OfferError, SlotIdentity};
use crate::codec::Kind;
use crate::id::Mid;

/// What is ours in an answer.
pub struct Local<'a> {
    /// Our ICE credentials.
    pub ice: &'a IceCredentials,
    /// Our certificate.
    pub fingerprint: &'a Fingerprint,
    /// Where media is received: host candidates.
    pub candidates: &'a [SocketAddr],
    /// The `o=` line's session id, the same for every answer of a connection.
    pub session_id: u64,
    /// The `o=` line's version, one more with each answer.
    pub session_version: u64,
    /// The identities of the slots, by their position among the slots of their kind. Called once for each slot in the offer.
    pub slot: &'a mut dyn FnMut(Mid, Kind) -> SlotIdentity,
}

/// Decides about `offer` and writes the answer; also returns the decision.
///
/// `previous` is what the last answer on this connection returned.
pub fn answer(
    _offer: &Offer,
    _previous: Option<&Negotiated>,
    _local: Local<'_>,
) -> Result<(String, Negotiated), OfferError> {
    Err(OfferError::Unsupported { reason: "no m-line can be accepted" })
}
