//! The writer thread: takes the queue's messages to their sessions, and lets no session's disk trouble touch another.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::finish;
use crate::queue::{End, Gate, Message, Queue};
use crate::recorder::{FailReason, Notice};
use crate::session::Session;
use crate::store::{SessionId, Store};

type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// Starts the thread. It ends when the queue does.
pub(crate) fn start(queue: Arc<Queue>, store: Store, notify: Notify) -> io::Result<JoinHandle<()>> {
    let writer = Writer { store, notify, open: BTreeMap::new(), finishing: Vec::new() };
    thread::Builder::new().name("recorder".into()).spawn(move || writer.run(&queue))
}

struct Writer {
    store: Store,
    notify: Notify,
    open: BTreeMap<SessionId, Open>,
    finishing: Vec<JoinHandle<()>>,
}

struct Open {
    /// `None` once the disk failed.
    session: Option<Box<Session>>,
    gate: Arc<Gate>,
}

impl Writer {
    fn run(mut self, queue: &Queue) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut ticked = Instant::now();
        let mut synced = ticked;
        let end = loop {
            let end = queue.take(&mut messages, BATCH, TICK);
            messages.drain(..).for_each(|message| self.handle(message));
            if let Some(end) = end {
                break end;
            }
            let now = Instant::now();
            if now.duration_since(ticked) >= TICK {
                ticked = now;
                self.tick(now);
            }
            if now.duration_since(synced) >= SYNC {
                synced = now;
                self.each(Session::sync);
                self.finishing.retain(|thread| !thread.is_finished());
            }
        };
        if end == End::Close {
            let now = Instant::now();
            let ids: Vec<SessionId> = self.open.keys().copied().collect();
            ids.into_iter().for_each(|id| self.finish(id, now));
        }
        for thread in self.finishing {
            if thread.join().is_err() {
                tracing::error!("a finishing thread panicked");
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Begin(session, gate) => {
                self.open.insert(session.id(), Open { session: Some(session), gate });
            }
            Message::Media(id, event) => self.with(id, |session| session.handle_media(event)),
            Message::Event(id, event) => self.with(id, |session| session.handle_event(*event)),
            Message::Finish { session, ended_at } => self.finish(session, ended_at),
        }
    }

    fn tick(&mut self, now: Instant) {
        let ids: Vec<SessionId> = self.open.keys().copied().collect();
        for id in ids {
            self.report_overflow(id);
            let mut wanted = Vec::new();
            self.with(id, |session| {
                session.handle_timeout(now)?;
                wanted = session.keys_wanted();
                Ok(())
            });
            for (publication, encoding) in wanted {
                (self.notify)(Notice::KeyframeWanted { publication, encoding });
            }
        }
    }

    fn report_overflow(&mut self, id: SessionId) {
        let Some(open) = self.open.get(&id) else { return };
        let (packets, events) = open.gate.take_dropped();
        if packets > 0 || events > 0 {
            self.with(id, |session| session.overflowed(packets, events));
            (self.notify)(Notice::Overflow { session: id, packets, events });
        }
    }

    fn each(&mut self, act: impl Fn(&mut Session) -> io::Result<()>) {
        let ids: Vec<SessionId> = self.open.keys().copied().collect();
        ids.into_iter().for_each(|id| self.with(id, &act));
    }

    /// Acts on an open session; the first error stops its recording.
    fn with(&mut self, id: SessionId, act: impl FnOnce(&mut Session) -> io::Result<()>) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let Some(session) = open.session.as_mut() else { return };
        if let Err(error) = act(session) {
            open.gate.close();
            open.session = None;
            tracing::warn!(session = %id, %error, "recording stopped");
            (self.notify)(Notice::Failed { session: id, reason: FailReason::from(&error) });
        }
    }

    /// Closes the session's files, and has the replay made beside this thread. What was written before a failure is
    /// completed too.
    fn finish(&mut self, id: SessionId, ended_at: Instant) {
        self.report_overflow(id);
        self.with(id, |session| session.end(ended_at));
        let Some(open) = self.open.remove(&id) else { return };
        open.gate.close();
        let dir = match open.session {
            Some(session) => session.dir().to_owned(),
            None => self.store.session_dir(&id),
        };
        let notify = Arc::clone(&self.notify);
        let finish = move || match finish::complete(&dir, false) {
            Ok(_) => notify(Notice::Finished { session: id }),
            Err(error) => {
                tracing::warn!(session = %id, %error, "a session cannot be finished");
                notify(Notice::Failed { session: id, reason: FailReason::from(&error) });
            }
        };
        match thread::Builder::new().name("recorder-finish".into()).spawn(finish) {
            Ok(thread) => self.finishing.push(thread),
            Err(error) => tracing::warn!(session = %id, %error, "left to the next start's recovery"),
        }
    }
}

/// Messages taken at once.
const BATCH: usize = 256;
/// How often timeouts are looked at.
const TICK: Duration = Duration::from_millis(50);
const SYNC: Duration = Duration::from_secs(1);
