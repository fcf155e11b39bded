use std::io;
use std::path::PathBuf;

use crate::recorder::SessionInfo;
use crate::store::{SessionId, TRACKS, create_private_dir};

pub(crate) struct Session {
    pub(crate) id: SessionId,
}

impl Session {
    pub(crate) fn create(id: SessionId, dir: PathBuf, _info: SessionInfo) -> io::Result<Self> {
        create_private_dir(&dir.join(TRACKS))?;
        Ok(Self { id })
    }
}
