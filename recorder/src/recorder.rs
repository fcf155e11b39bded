//! The recorder's handles: what an embedder holds.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::Value;
use simmer_sfu::id::PublicationId;
use simmer_sfu::sink::Sink;

use crate::queue::{Gate, Message, Queue};
use crate::recover::{self, Recovered};
use crate::session::Session;
use crate::sink::QueueSink;
use crate::store::{SessionId, Store, create_private_dir};
use crate::writer;

/// Writes sessions under one folder. A handle: clones share the folder and its writer thread.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
    lock: File,
}

/// How to record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecorderConfig {
    /// The folder; made when it is not there. One process at a time.
    pub data: PathBuf,
    /// RTP packets that may wait for the writer thread, over all sessions; further ones are dropped and counted.
    pub queue_packets: usize,
    /// Room events that may wait for the writer thread, over all sessions; further ones are dropped and counted.
    pub queue_events: usize,
}

impl RecorderConfig {
    /// Records under `data`, with the queues' default lengths.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), queue_packets: 8192, queue_events: 16_384 }
    }
}

/// What a session is about.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// The room's name.
    pub room: String,
    /// What people call it.
    pub title: String,
    /// Session time zero.
    pub base: Instant,
    /// Wall clock at `base`, milliseconds since 1970.
    pub started_at_unix_ms: u64,
}

/// One entry of the room log.
#[derive(Clone, Debug)]
pub struct TimelineEvent {
    /// Its place in the log.
    pub seq: u64,
    /// When it happened.
    pub at: Instant,
    /// Who caused it.
    pub by: Option<String>,
    /// The event as the room protocol has it: an object with a `kind`.
    pub body: Value,
}

/// What the recorder has to tell. Called on its own threads: hand over and return.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A picture is missing: ask the publisher for a key frame. At most one a second per encoding.
    KeyframeWanted {
        /// Of which publication.
        publication: PublicationId,
        /// Index into its encodings.
        encoding: u8,
    },
    /// The queue to the disk was full.
    Overflow {
        /// Whose recording has holes now.
        session: SessionId,
        /// Packets dropped since the last such notice.
        packets: u64,
        /// Room events dropped since the last such notice.
        events: u64,
    },
    /// The session is not recorded any more; other sessions are.
    Failed {
        /// Which.
        session: SessionId,
        /// Why.
        reason: FailReason,
    },
    /// The session's replay is there.
    Finished {
        /// Which.
        session: SessionId,
    },
}

/// Why a recording stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FailReason {
    /// No space, or no quota, is left.
    DiskFull,
    /// The folder may not be written.
    ReadOnly,
    /// Anything else that the disk reports.
    Io,
}

impl From<&io::Error> for FailReason {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly,
            _ => Self::Io,
        }
    }
}

/// Why [`Recorder::open`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process records there.
    #[error("another recorder uses {0}")]
    InUse(PathBuf),
    /// The folder cannot be made, read or written.
    #[error("cannot use {path}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Why [`Recorder::begin`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// [`Recorder::shutdown`] was called.
    #[error("the recorder is shut down")]
    ShutDown,
    /// The session's folder cannot be written.
    #[error("cannot write the session's folder")]
    Io(#[from] io::Error),
}

impl Recorder {
    /// Opens the folder, completes every session that a crash left unfinished, starts the writer thread.
    ///
    /// Blocks until recovery is done. A session that cannot be recovered is logged and tried again at the next
    /// opening. `notify` is called on the recorder's threads.
    pub fn open(
        config: RecorderConfig,
        notify: Box<dyn Fn(Notice) + Send + Sync>,
    ) -> Result<(Self, Vec<Recovered>), OpenError> {
        let failed = |source| OpenError::Io { path: config.data.clone(), source };
        let store = Store::new(&config.data);
        create_private_dir(&store.sessions_dir()).map_err(failed)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(config.data.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(config.data)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let recovered = recover::all(&store).map_err(failed)?;
        let queue = Arc::new(Queue::new(config.queue_packets, config.queue_events));
        let thread = writer::start(Arc::clone(&queue), store.clone(), Arc::from(notify)).map_err(failed)?;
        let shared = Shared { store, queue, thread: Mutex::new(Some(thread)), lock };
        Ok((Self { shared: Arc::new(shared) }, recovered))
    }

    /// Begins a session: makes its folder and `session.json`, so it blocks for a moment.
    pub fn begin(&self, session: SessionInfo) -> Result<Recording, BeginError> {
        let id = SessionId::starting_at(session.started_at_unix_ms);
        let dir = self.shared.store.session_dir(&id);
        let base = session.base;
        let opened = Session::create(id, dir.clone(), session).inspect_err(|_| {
            let _ = fs::remove_dir_all(&dir);
        })?;
        let gate = Arc::new(Gate::default());
        if !self.shared.queue.push(Message::Begin(Box::new(opened), Arc::clone(&gate))) {
            let _ = fs::remove_dir_all(&dir);
            return Err(BeginError::ShutDown);
        }
        Ok(Recording { id, base, gate, queue: Arc::clone(&self.shared.queue) })
    }

    /// What has been recorded.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Finishes every open session as of now and joins the writer thread. Later calls of any clone do nothing.
    pub fn shutdown(self) {
        self.shared.queue.close();
        self.shared.join();
    }
}

impl Shared {
    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        // The last handle may go in a notice's callback, on that very thread.
        let thread = thread.filter(|thread| thread.thread().id() != thread::current().id());
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer thread panicked");
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.abandon();
        self.join();
        // Closing is not enough: a child process between its fork and its exec holds the lock too.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the folder's lock is left to the end of the process");
        }
    }
}

/// A session that is being recorded. Dropping it without [`Recording::finish`] leaves the session to
/// [`Recorder::shutdown`] or to the next start's recovery.
pub struct Recording {
    id: SessionId,
    base: Instant,
    gate: Arc<Gate>,
    queue: Arc<Queue>,
}

impl Recording {
    /// The session's name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Session time zero.
    pub fn base(&self) -> Instant {
        self.base
    }

    /// An ear for the media core. It never blocks: what the queue cannot take is dropped and counted.
    pub fn sink(&self) -> Box<dyn Sink> {
        Box::new(QueueSink::new(self.id, Arc::clone(&self.gate), Arc::clone(&self.queue)))
    }

    /// Writes one entry of the room log; entries are kept in the order of the calls.
    pub fn event(&self, event: TimelineEvent) {
        self.queue.offer_event(self.id, &self.gate, event);
    }

    /// Ends the session. Returns at once; [`Notice::Finished`] follows when the replay is there.
    pub fn finish(self, ended_at: Instant) {
        self.gate.close();
        self.queue.push(Message::Finish { session: self.id, ended_at });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_error_is_named_by_what_the_operator_can_do() {
        for (code, reason) in [
            (28, FailReason::DiskFull),
            (122, FailReason::DiskFull),
            (30, FailReason::ReadOnly),
            (13, FailReason::ReadOnly),
            (5, FailReason::Io),
        ] {
            assert_eq!(FailReason::from(&io::Error::from_raw_os_error(code)), reason, "{code}");
        }
    }
}
