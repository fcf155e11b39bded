//! Session descriptions: the client offers, we answer.
//!
//! [`Offer::parse`] turns text into what was offered, all of it validated; [`answer`] decides and writes the reply,
//! and returns the decision as [`Negotiated`], the only thing the rest of the core sees.
//!
//! ```text
//! text -- lines --> sections -- connection, formats, extensions, streams --> Offer
//! Offer + previous Negotiated + Local -- answer --> Negotiated -- write --> text
//! ```
//!
//! What a client that speaks HTTP sends after its offer is a [`Fragment`].

mod answer;
mod connection;
mod error;
mod extensions;
mod formats;
mod fragment;
mod lines;
mod negotiated;
mod offer;
mod profile;
mod streams;
mod write;

#[cfg(test)]
mod tests;

pub use answer::{Local, answer};
pub use error::OfferError;
pub use fragment::Fragment;
pub use negotiated::{
    DtlsRole, Extensions, Fingerprint, Flow, IceCredentials, MediaLine, Negotiated, PayloadFormat,
    SlotIdentity,
};
pub use offer::Offer;
pub(crate) use write::write_fragment;
