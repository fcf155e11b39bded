//! One session on the writer thread.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use simmer_sfu::id::PublicationId;
use simmer_sfu::sink::SinkEvent;

use crate::finish::{to_json, write_atomically};
use crate::journal::{Journal, Record};
use crate::recorder::{SessionInfo, TimelineEvent};
use crate::store::{EVENTS, JOURNAL, SESSION, SessionFile, SessionId, TRACKS, create_private_dir};
use crate::timeline;
use crate::track::{Context, Track, session_micros};

/// Everything open of a session that is being recorded.
pub(crate) struct Session {
    id: SessionId,
    dir: PathBuf,
    tracks_dir: PathBuf,
    base: Instant,
    journal: Journal,
    events: File,
    events_dirty: bool,
    tracks: BTreeMap<PublicationId, Track>,
    next_file: u32,
    /// The latest moment seen; timeouts count on it.
    clock: Instant,
    /// The publication whose file was made safe last.
    synced: Option<PublicationId>,
}

impl Session {
    /// Makes the folder and what is written at the start.
    pub(crate) fn create(id: SessionId, dir: PathBuf, info: SessionInfo) -> io::Result<Self> {
        let tracks_dir = dir.join(TRACKS);
        create_private_dir(&tracks_dir)?;
        let file = SessionFile {
            version: 1,
            session: id.to_string(),
            room: info.room,
            title: info.title,
            started_at: info.started_at_unix_ms,
        };
        write_atomically(&dir, SESSION, &to_json(&file)?)?;
        let journal = Journal::create(&dir.join(JOURNAL))?;
        let events = OpenOptions::new().append(true).create_new(true).mode(0o600).open(dir.join(EVENTS))?;
        if let Some(parent) = dir.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self {
            id,
            dir,
            tracks_dir,
            base: info.base,
            journal,
            events,
            events_dirty: false,
            tracks: BTreeMap::new(),
            next_file: 0,
            clock: info.base,
            synced: None,
        })
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes what the media core tells.
    pub(crate) fn handle_media(&mut self, event: SinkEvent) -> io::Result<()> {
        match event {
            SinkEvent::Published { now, publication } => {
                self.see(now);
                if self.tracks.len() >= MAX_TRACKS || self.tracks.contains_key(&publication.id) {
                    return Ok(());
                }
                match Track::new(&publication) {
                    Some(track) => {
                        self.tracks.insert(publication.id, track);
                    }
                    None => tracing::warn!(
                        session = %self.id, publication = %publication.id, codec = publication.codec.name(),
                        "a codec that is not recorded"
                    ),
                }
                Ok(())
            }
            SinkEvent::Packet(packet) => {
                let now = self.see(packet.arrival);
                self.with_track(packet.publication, |track, context| {
                    track.handle_packet(packet, now, context)
                })
            }
            SinkEvent::SenderReport { publication, encoding, now, ntp, rtp_time } => {
                self.see(now);
                self.with_track(publication, |track, context| {
                    track.handle_report(encoding, rtp_time, ntp, now, context)
                })
            }
            SinkEvent::Unpublished { now, publication } => {
                let late = self.see(now) + PATIENCE;
                self.with_track(publication, |track, context| {
                    track.handle_timeout(late, context)?;
                    track.close(context)
                })?;
                self.tracks.remove(&publication);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes one entry of the room log.
    pub(crate) fn handle_event(&mut self, event: TimelineEvent) -> io::Result<()> {
        let t_ms = u64::try_from(session_micros(self.base, event.at) / 1000).unwrap_or(0);
        self.events_dirty = true;
        self.events.write_all(&timeline::line(event, t_ms))
    }

    /// Does what is due at `now`, or at the latest moment seen when that is later.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> io::Result<()> {
        let now = self.see(now);
        let ids: Vec<PublicationId> = self.tracks.keys().copied().collect();
        ids.into_iter()
            .try_for_each(|id| self.with_track(id, |track, context| track.handle_timeout(now, context)))
    }

    /// Encodings that should send a key frame.
    pub(crate) fn keys_wanted(&mut self) -> Vec<(PublicationId, u8)> {
        let now = self.clock;
        self.tracks.iter_mut().filter_map(|(id, track)| Some((*id, track.wants_key(now)?))).collect()
    }

    /// Journals that the queue overflowed.
    pub(crate) fn overflowed(&mut self, packets: u64, events: u64) -> io::Result<()> {
        let at_us = session_micros(self.base, self.clock);
        self.journal.append(&Record::Overflow { at_us, packets, events })
    }

    /// Once a second: makes the journal, the room log and a fifth of the media files safe from a power loss.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let count = self.tracks.len().div_ceil(SYNC_ROUND);
        let after = self.tracks.keys().copied().filter(|id| self.synced.is_none_or(|synced| *id > synced));
        let ids: Vec<PublicationId> = after.chain(self.tracks.keys().copied()).take(count).collect();
        for id in ids {
            self.tracks.get_mut(&id).map_or(Ok(()), Track::sync)?;
            self.synced = Some(id);
        }
        self.journal.sync()?;
        if std::mem::take(&mut self.events_dirty) { self.events.sync_data() } else { Ok(()) }
    }

    /// Writes all that is left, and that this is the end.
    pub(crate) fn end(&mut self, ended_at: Instant) -> io::Result<()> {
        self.handle_timeout(self.clock.max(ended_at) + PATIENCE)?;
        let ids: Vec<PublicationId> = self.tracks.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.with_track(id, |track, context| track.close(context)))?;
        self.journal.append(&Record::End { at_us: session_micros(self.base, ended_at) })?;
        self.journal.sync()
    }

    fn with_track(
        &mut self,
        id: PublicationId,
        act: impl FnOnce(&mut Track, &mut Context<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(track) = self.tracks.get_mut(&id) else { return Ok(()) };
        let mut context = Context {
            dir: &self.tracks_dir,
            journal: &mut self.journal,
            base: self.base,
            next_file: &mut self.next_file,
        };
        act(track, &mut context)
    }

    fn see(&mut self, now: Instant) -> Instant {
        self.clock = self.clock.max(now);
        self.clock
    }
}

/// No packet is worth waiting for longer than this.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
/// Publications at the same time.
const MAX_TRACKS: usize = 4096;
/// Seconds in which every media file has its turn.
const SYNC_ROUND: usize = 5;
