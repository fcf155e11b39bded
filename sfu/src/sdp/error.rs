//! Why an offer was not answered.

/// Why an offer was not answered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Longer than [`crate::Limits::offer_bytes`].
    #[error("the offer is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// More m-lines than [`crate::Limits::media_lines`].
    #[error("the offer has more than {limit} m-lines")]
    TooManyLines {
        /// The limit.
        limit: usize,
    },
    /// No session description, or one that breaks a rule of RFC 8866 or RFC 9429.
    #[error("the offer is malformed: {reason}")]
    Malformed {
        /// What breaks it, for a developer to read.
        reason: &'static str,
    },
    /// Well-formed, but in need of something that is not there.
    #[error("the offer cannot be served: {reason}")]
    Unsupported {
        /// What is missing, for a developer to read.
        reason: &'static str,
    },
    /// It contradicts what was negotiated before on this connection.
    #[error("the offer does not continue the session: {reason}")]
    Discontinuous {
        /// What changed that may not, for a developer to read.
        reason: &'static str,
    },
}
