//! Completes what a crash left unfinished.

use std::io;

use crate::store::{SessionId, Store};

/// A session that was completed at the start.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// Which.
    pub session: SessionId,
    /// Fragments, about a second of one track each, that were damaged and left out.
    pub fragments_dropped: u64,
}

pub(crate) fn all(_store: &Store) -> io::Result<Vec<Recovered>> {
    Ok(Vec::new())
}
