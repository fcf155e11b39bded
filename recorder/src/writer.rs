//! The writer thread.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::queue::{Message, Queue};
use crate::recorder::Notice;
use crate::store::Store;

pub(crate) fn start(
    queue: Arc<Queue>,
    _store: Store,
    notify: Arc<dyn Fn(Notice) + Send + Sync>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("recorder".into()).spawn(move || {
        let mut messages = Vec::new();
        while queue.take(&mut messages, 256, Duration::from_millis(100)).is_none() {
            for message in messages.drain(..) {
                if let Message::Finish { session, .. } = message {
                    notify(Notice::Finished { session });
                }
            }
        }
    })
}
