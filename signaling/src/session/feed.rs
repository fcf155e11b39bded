//! What the media core and the recorder tell, on its way from their threads to the rooms.

use simmer_sfu::message::Event;
use tokio::sync::mpsc;

use crate::metrics::Metrics;
use crate::room::RecorderEvent;

/// One thing told.
#[derive(Debug)]
pub(super) enum Told {
    /// By the core.
    Core(Event),
    /// By the recorder, for a room.
    Recorder(String, RecorderEvent),
}

/// Takes what core and recorder tell. Never blocks; clones feed the same rooms.
#[derive(Clone, Debug)]
pub struct Feed {
    queue: mpsc::Sender<Told>,
    metrics: Metrics,
}

/// The other end, for [`super::Rooms::start`].
#[derive(Debug)]
pub struct FeedReceiver {
    pub(super) queue: mpsc::Receiver<Told>,
}

/// A feed.
pub fn feed(metrics: &Metrics) -> (Feed, FeedReceiver) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Feed { queue: sender, metrics: metrics.clone() }, FeedReceiver { queue: receiver })
}

impl Feed {
    /// An event of the core. Called on the core's own thread.
    pub fn core(&self, event: Event) {
        self.push(Told::Core(event));
    }

    /// Something that the recorder tells of a room's recording.
    pub fn recorder(&self, room: &str, event: RecorderEvent) {
        self.push(Told::Recorder(room.to_owned(), event));
    }

    /// Hands over. When too many wait already, what comes is dropped, and `simmer_feed_dropped_total` counts it.
    fn push(&self, told: Told) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(told) {
            self.metrics.feed_dropped.inc();
            tracing::warn!("the feed from the media core is full: an event was dropped");
        }
    }
}

/// Events that may wait: some for every participant of a full server.
const CAPACITY: usize = 65_536;
