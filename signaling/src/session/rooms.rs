//! All rooms of the server.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use simmer_sfu::id::ParticipantId;
use simmer_sfu::message::Event;
use tokio::sync::{mpsc, watch};
use tracing::Instrument;

use super::feed::{FeedReceiver, Told};
use super::task::{Input, RoomTask};
use crate::limits::Limits;
use crate::media_core::MediaCore;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::room::{MemoryLog, Room, RoomConfig};

/// What the rooms stand on.
pub struct RoomsConfig {
    /// The limits.
    pub limits: Arc<Limits>,
    /// The media core.
    pub core: Arc<dyn MediaCore>,
    /// The recorder, if there is one.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// What is counted.
    pub metrics: Metrics,
}

/// All rooms. Clones are handles to the same ones.
#[derive(Clone)]
pub struct Rooms {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) config: RoomsConfig,
    registry: Mutex<Registry>,
    draining: AtomicBool,
    open_sockets: watch::Sender<usize>,
}

/// An open WebSocket, counted as long as this lives.
pub(crate) struct OpenSocket {
    shared: Arc<Shared>,
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.shared.open_sockets.send_modify(|open| *open = open.saturating_sub(1));
        self.shared.config.metrics.websockets.dec();
    }
}

#[derive(Default)]
struct Registry {
    by_id: HashMap<String, RoomHandle>,
    by_number: HashMap<u32, RoomHandle>,
    next_number: u32,
}

/// A room's inbox.
#[derive(Clone, Debug)]
pub(crate) struct RoomHandle {
    pub(super) number: u32,
    inbox: mpsc::Sender<Input>,
}

/// Why there is no such room now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OpenError {
    /// There are too many rooms.
    ServerFull,
    /// The server is ending.
    Draining,
}

/// The room has just ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RoomGone;

impl RoomHandle {
    /// A place in the inbox, waited for while it is full: that slows one client. Cancel-safe.
    pub(crate) async fn place(&self) -> Result<mpsc::Permit<'_, Input>, RoomGone> {
        self.inbox.reserve().await.map_err(|_| RoomGone)
    }

    /// Hands over, waiting while the inbox is full: that slows one client. Cancel-safe: what was not taken is lost.
    pub(crate) async fn send(&self, input: Input) -> Result<(), RoomGone> {
        self.inbox.send(input).await.map_err(|_| RoomGone)
    }
}

impl Rooms {
    /// No rooms yet. Within a tokio runtime.
    pub fn start(config: RoomsConfig, feed: FeedReceiver) -> Self {
        let registry = Registry { next_number: rand::random(), ..Registry::default() };
        let shared = Arc::new(Shared {
            config,
            registry: Mutex::new(registry),
            draining: AtomicBool::new(false),
            open_sockets: watch::Sender::new(0),
        });
        let rooms = Self { shared };
        tokio::spawn(rooms.clone().distribute(feed));
        rooms
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.shared.config.limits
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.config.metrics
    }

    /// Whether the server is ending.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }

    /// Counts a WebSocket as open.
    pub(crate) fn opened(&self) -> OpenSocket {
        self.shared.open_sockets.send_modify(|open| *open += 1);
        self.metrics().websockets.inc();
        self.metrics().websockets_opened.inc();
        OpenSocket { shared: Arc::clone(&self.shared) }
    }

    /// Ends every session and every recording, and lets nobody in any more. Returns when all rooms have ended and all WebSockets are closed.
    pub async fn shut_down(&self) {
        self.shared.draining.store(true, Ordering::Release);
        let rooms: Vec<RoomHandle> = self.registry().by_number.values().cloned().collect();
        for room in &rooms {
            let _ = room.send(Input::ShutDown).await;
        }
        for room in rooms {
            room.inbox.closed().await;
        }
        let _ = self.shared.open_sockets.subscribe().wait_for(|open| *open == 0).await;
    }

    /// The room of this id, new if there is none.
    pub(crate) fn open(&self, id: &str) -> Result<RoomHandle, OpenError> {
        let mut registry = self.registry();
        // Looked at under the lock that the end takes too: no room comes to be behind its back.
        if self.is_draining() {
            return Err(OpenError::Draining);
        }
        if let Some(handle) = registry.by_id.get(id) {
            return Ok(handle.clone());
        }
        if registry.by_id.len() >= self.limits().rooms {
            return Err(OpenError::ServerFull);
        }
        let mut number = registry.next_number;
        while registry.by_number.contains_key(&number) {
            number = number.wrapping_add(1);
        }
        registry.next_number = number.wrapping_add(1);
        let (sender, receiver) = mpsc::channel(INBOX);
        let handle = RoomHandle { number, inbox: sender.clone() };
        registry.by_id.insert(id.to_owned(), handle.clone());
        registry.by_number.insert(number, handle.clone());
        self.metrics().rooms.set(i64::try_from(registry.by_id.len()).unwrap_or(i64::MAX));
        drop(registry);

        let limits = Arc::clone(&self.shared.config.limits);
        let config = RoomConfig {
            id: id.to_owned(),
            number,
            base: Instant::now(),
            started_at: unix_millis(),
            seed: rand::random(),
            recorder: self.shared.config.recorder.is_some(),
            limits,
        };
        let log = MemoryLog::new(self.limits().held_events);
        let task =
            RoomTask::new(Room::new(config, Box::new(log)), Arc::clone(&self.shared), sender, receiver);
        let span = tracing::info_span!("room", id = %id);
        tokio::spawn(self.clone().supervise(id.to_owned(), number, task).instrument(span));
        Ok(handle)
    }

    /// The room of this id, if it is there.
    pub(crate) fn find(&self, id: &str) -> Option<RoomHandle> {
        self.registry().by_id.get(id).cloned()
    }

    async fn supervise(self, id: String, number: u32, task: RoomTask) {
        tracing::debug!("begins");
        let ran = tokio::spawn(task.run(self.clone(), id.clone()).in_current_span()).await;
        if ran.is_err() {
            self.metrics().panics.inc();
            tracing::error!("the room panicked; its sessions are closed");
        }
        self.forget(&id, number);
        tracing::debug!("is forgotten");
    }

    /// Takes the room out of the registry, so that nobody finds it any more.
    pub(super) fn forget(&self, id: &str, number: u32) {
        let mut registry = self.registry();
        registry.by_number.remove(&number);
        if registry.by_id.get(id).is_some_and(|handle| handle.number == number) {
            registry.by_id.remove(id);
        }
        self.metrics().rooms.set(i64::try_from(registry.by_id.len()).unwrap_or(i64::MAX));
    }

    /// Brings what core and recorder tell to the rooms it is for, in order.
    async fn distribute(self, mut feed: FeedReceiver) {
        while let Some(told) = feed.queue.recv().await {
            let (handle, input) = match told {
                Told::Core(event) => {
                    let Some(number) = room_number(&event) else { continue };
                    (self.registry().by_number.get(&number).cloned(), Input::Core(event))
                }
                Told::Recorder(room, event) => {
                    (self.registry().by_id.get(&room).cloned(), Input::Recorder(event))
                }
            };
            if let Some(handle) = handle {
                let _ = handle.send(input).await;
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which room an event is for: a room goes by its number in the core, and a participant's id carries that in its upper half.
fn room_number(event: &Event) -> Option<u32> {
    let of = |participant: &ParticipantId| u32::try_from(participant.0 >> 32).ok();
    match event {
        Event::Answered { participant, .. }
        | Event::Connected { participant, .. }
        | Event::Disconnected { participant, .. }
        | Event::Slots { participant, .. }
        | Event::SlotsWanted { participant, .. }
        | Event::EncodingsWanted { participant, .. }
        | Event::ChannelOpened { participant, .. }
        | Event::ChannelClosed { participant, .. }
        | Event::Data { participant, .. }
        | Event::DataDropped { participant, .. }
        | Event::BufferedHigh { participant, .. }
        | Event::BufferedLow { participant, .. } => of(participant),
        Event::Published { publication, .. } => of(&publication.id.participant),
        Event::Unpublished { publication, .. } => of(&publication.participant),
        Event::Speakers { room, .. } => u32::try_from(room.0).ok(),
        _ => None,
    }
}

pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Messages that may wait for a room; whoever sends more waits.
const INBOX: usize = 1024;
