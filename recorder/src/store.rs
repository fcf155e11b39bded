//! The folder that sessions are kept in, and what can be read of it at any time.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simmer_sfu::id::InvalidId;
use ulid::Ulid;

use crate::manifest::Manifest;

/// A recorded session's name, a ULID: made by the recorder, sortable by start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SessionId(Ulid);

impl SessionId {
    /// A new id whose time part is `started_at_unix_ms`.
    pub(crate) fn starting_at(started_at_unix_ms: u64) -> Self {
        Self(Ulid::from_parts(started_at_unix_ms, Ulid::new().random()))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SessionId {
    type Err = InvalidId;

    /// Takes the 26 characters as [`fmt::Display`] writes them, nothing else.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let id = Ulid::from_string(text).map_err(|_| InvalidId)?;
        if id.to_string() == text { Ok(Self(id)) } else { Err(InvalidId) }
    }
}

/// Read access to the recorded sessions. Cheap to clone; every method reads the disk and blocks for that long.
#[derive(Clone, Debug)]
pub struct Store {
    data: Arc<Path>,
}

/// How far a session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// There is no manifest yet: it is being recorded, being finished, or waits for the next start's recovery.
    Recording,
    /// The replay is there.
    Finished,
}

/// One line of [`Store::list`].
#[derive(Clone, Debug, Serialize)]
pub struct SessionSummary {
    /// The session's name.
    pub id: String,
    /// The room's name.
    pub room: String,
    /// What people call it.
    pub title: String,
    /// Start, milliseconds since 1970.
    pub started_at: u64,
    /// Length; `None` while it is being recorded.
    pub duration_ms: Option<u64>,
    /// Whether a crash came before its end.
    pub recovered: bool,
    /// How far it is.
    pub state: State,
}

/// What `session.json` keeps from the first moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SessionFile {
    pub(crate) version: u32,
    pub(crate) session: String,
    pub(crate) room: String,
    pub(crate) title: String,
    pub(crate) started_at: u64,
}

impl Store {
    /// Looks at the store under `data`, which need not exist yet. Only a [`crate::Recorder`] writes there.
    pub fn new(data: &Path) -> Self {
        Self { data: data.into() }
    }

    /// The folder given to [`Store::new`].
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// `<data>/sessions`.
    pub(crate) fn sessions_dir(&self) -> PathBuf {
        self.data.join("sessions")
    }

    /// The folder of one session, whether it exists or not.
    pub fn session_dir(&self, id: &SessionId) -> PathBuf {
        self.sessions_dir().join(id.to_string())
    }

    /// Ids of all sessions, newest first.
    pub(crate) fn ids(&self) -> io::Result<Vec<SessionId>> {
        let mut ids: Vec<SessionId> = Vec::new();
        for entry in fs::read_dir(self.sessions_dir())? {
            if let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                ids.push(id);
            }
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids)
    }

    /// All sessions, newest first. One whose files cannot be read is left out.
    pub fn list(&self) -> io::Result<Vec<SessionSummary>> {
        Ok(self.ids()?.iter().filter_map(|id| self.summary(id)).collect())
    }

    /// One session as [`Store::list`] shows it.
    pub fn summary(&self, id: &SessionId) -> Option<SessionSummary> {
        if let Ok(Some(manifest)) = self.manifest(id) {
            return Some(SessionSummary {
                id: id.to_string(),
                room: manifest.room,
                title: manifest.title,
                started_at: manifest.started_at,
                duration_ms: Some(manifest.duration_ms),
                recovered: manifest.recovered,
                state: State::Finished,
            });
        }
        let session = read_session_file(&self.session_dir(id)).ok()?;
        Some(SessionSummary {
            id: id.to_string(),
            room: session.room,
            title: session.title,
            started_at: session.started_at,
            duration_ms: None,
            recovered: false,
            state: State::Recording,
        })
    }

    /// The manifest, `None` while the session has none.
    pub fn manifest(&self, id: &SessionId) -> io::Result<Option<Manifest>> {
        match fs::read(self.session_dir(id).join(MANIFEST)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Makes a folder, and those above it, that only its owner may enter.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

pub(crate) fn read_session_file(dir: &Path) -> io::Result<SessionFile> {
    Ok(serde_json::from_slice(&fs::read(dir.join(SESSION))?)?)
}

pub(crate) const SESSION: &str = "session.json";
pub(crate) const JOURNAL: &str = "journal.bin";
pub(crate) const EVENTS: &str = "events.jsonl";
pub(crate) const TRACKS: &str = "tracks";
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const CHAPTERS: &str = "chapters.vtt";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_written_in_one_way_only() {
        let id = SessionId::starting_at(1_700_000_000_000);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 26);
        for bad in ["", "..", "../../etc/passwd", &id.to_string().to_lowercase(), &format!("{id}0")] {
            assert_eq!(bad.parse::<SessionId>(), Err(InvalidId), "{bad}");
        }
        assert!(SessionId::starting_at(2) > SessionId::starting_at(1));
    }
}
