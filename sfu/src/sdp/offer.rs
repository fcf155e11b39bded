//! What a client offered, validated.

use super::{DtlsRole, Fingerprint, IceCredentials, Negotiated, OfferError};
use crate::Limits;

/// A validated offer.
#[derive(Clone, Debug)]
pub struct Offer {
    ice: IceCredentials,
    fingerprint: Fingerprint,
    dtls_role: DtlsRole,
}

impl Offer {
    /// Reads and validates a session description.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, OfferError> {
        if text.len() > limits.offer_bytes {
            return Err(OfferError::TooLarge { limit: limits.offer_bytes });
        }
        Err(OfferError::Unsupported { reason: "no m-line can be accepted" })
    }

    /// The client's ICE credentials.
    pub fn ice(&self) -> &IceCredentials {
        &self.ice
    }

    /// The client's certificate.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Our side of DTLS, if this is the first offer of a connection.
    pub fn dtls_role(&self) -> DtlsRole {
        self.dtls_role
    }

    /// Whether the client has new ICE credentials: the answer then needs new ones of ours.
    pub fn ice_restarted(&self, previous: &Negotiated) -> bool {
        self.ice != previous.ice
    }
}
