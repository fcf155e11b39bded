//! Completes what a crash left unfinished.

use std::fs;
use std::io;

use crate::finish;
use crate::store::{MANIFEST, SESSION, SessionId, Store};

/// A session that was completed at the start.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Recovered {
    /// Which.
    pub session: SessionId,
    /// Fragments, about a second of one track each, that were damaged and left out.
    pub fragments_dropped: u64,
}

/// Completes every session without a manifest, oldest first. One that cannot be completed is logged and left.
pub(crate) fn all(store: &Store) -> io::Result<Vec<Recovered>> {
    let mut recovered = Vec::new();
    for session in store.ids()?.into_iter().rev() {
        let dir = store.session_dir(&session);
        if dir.join(MANIFEST).exists() {
            continue;
        }
        if !dir.join(SESSION).exists() {
            // The crash came before there was anything to keep.
            fs::remove_dir_all(&dir)?;
            continue;
        }
        match finish::complete(&dir, true) {
            Ok(outcome) => {
                recovered.push(Recovered { session, fragments_dropped: outcome.fragments_dropped })
            }
            Err(error) => tracing::warn!(%session, %error, "a session cannot be recovered"),
        }
    }
    Ok(recovered)
}
