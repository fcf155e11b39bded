//! Session descriptions: the client offers, we answer.
//!
//! [`Offer::parse`] turns text into what was offered, all of it validated; [`answer`] decides and writes the reply,
//! and returns the decision as [`Negotiated`], the only thing the rest of the core sees.

mod answer;
mod error;
mod negotiated;
mod offer;

pub use answer::{Local, answer};
pub use error::OfferError;
pub use negotiated::{
    DtlsRole, Extensions, Fingerprint, Flow, IceCredentials, MediaLine, Negotiated, PayloadFormat,
    SlotIdentity,
};
pub use offer::Offer;
