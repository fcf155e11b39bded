//! Fragments of session descriptions: what a client that speaks HTTP sends after its offer (RFC 8840 section 9, RFC 9725 section 4.3).

use super::connection::Sources;
use super::lines::Description;
use super::{IceCredentials, OfferError};
use crate::Limits;

/// A fragment, validated. Its candidates are of no use to a lite agent, which learns addresses from checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fragment {
    ice: Option<IceCredentials>,
}

impl Fragment {
    /// Reads and validates a fragment, in time linear in its length.
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, OfferError> {
        if text.len() > limits.offer_bytes {
            return Err(OfferError::TooLarge { limit: limits.offer_bytes });
        }
        let fragment = Description::fragment(text, limits.media_lines)?;
        let sources = Sources {
            sections: fragment.sections.iter().map(|section| &section.attributes).collect(),
            session: &fragment.attributes,
        };
        let ice = if sources.name_credentials() { Some(sources.ice()?) } else { None };
        Ok(Self { ice })
    }

    /// The client's credentials, if the fragment names any: others than before ask for an ICE restart.
    pub fn ice(&self) -> Option<&IceCredentials> {
        self.ice.as_ref()
    }
}
