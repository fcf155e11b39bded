//! One media file while it is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bytes::Bytes;
use simmer_sfu::codec::Codec;

use crate::journal::{Fragment, Journal, Opened, Record};
use crate::{fmp4, webm};

/// A frame on its file's clock: ticks of the codec's RTP clock since the file's first sample.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) time: i64,
    pub(crate) duration: u32,
    pub(crate) key: bool,
    pub(crate) data: Bytes,
}

/// What an index has to know of a fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Indexed {
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) start: i64,
    pub(crate) key: bool,
}

/// Collects samples into fragments of a second; each is one write, and then one journal record.
pub(crate) struct Segment {
    opened: Opened,
    file: File,
    offset: u64,
    pending: Vec<Sample>,
    pending_bytes: usize,
    pending_arrival_us: i64,
    fragments: u32,
    dirty: bool,
}

impl Segment {
    /// Makes the file, writes its header and journals it.
    pub(crate) fn create(dir: &Path, opened: Opened, journal: &mut Journal) -> io::Result<Self> {
        let header = header(&opened)?;
        let path = dir.join(file_name(&opened));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&header)?;
        journal.append(&Record::Opened(opened))?;
        Ok(Self {
            opened,
            file,
            offset: header.len() as u64,
            pending: Vec::new(),
            pending_bytes: 0,
            pending_arrival_us: 0,
            fragments: 0,
            dirty: true,
        })
    }

    pub(crate) fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Adds a sample, not before those already added. `arrival_us` is session time.
    pub(crate) fn push(&mut self, sample: Sample, arrival_us: i64, journal: &mut Journal) -> io::Result<()> {
        let second = i64::from(self.opened.codec.clock_rate());
        if let Some(first) = self.pending.first() {
            let video_key = sample.key && self.opened.codec != Codec::Opus;
            if video_key || sample.time.saturating_sub(first.time) >= second {
                self.flush(journal)?;
            }
        }
        if self.pending.is_empty() {
            self.pending_arrival_us = arrival_us;
        }
        self.pending_bytes += sample.data.len();
        let end = sample.time.saturating_add(sample.duration.into());
        self.pending.push(sample);
        let start = self.pending.first().map_or(end, |first| first.time);
        if end.saturating_sub(start) >= second || self.pending_bytes >= MAX_FRAGMENT {
            self.flush(journal)?;
        }
        Ok(())
    }

    /// Writes what is pending as a fragment of its own.
    pub(crate) fn flush(&mut self, journal: &mut Journal) -> io::Result<()> {
        let (Some(first), Some(last)) = (self.pending.first(), self.pending.last()) else { return Ok(()) };
        let (start, key) = (first.time, first.key);
        let end = last.time.saturating_add(last.duration.into());
        let bytes = match self.opened.codec {
            Codec::Opus => fmp4::fragment(self.fragments.wrapping_add(1), &self.pending)?,
            _ => webm::cluster(&self.pending),
        };
        self.dirty = true;
        self.file.write_all(&bytes)?;
        let fragment = Fragment {
            file: self.opened.file,
            offset: self.offset,
            length: u32::try_from(bytes.len()).map_err(io::Error::other)?,
            crc32: crc32fast::hash(&bytes),
            start,
            end,
            key,
            arrival_us: self.pending_arrival_us,
        };
        journal.append(&Record::Fragment(fragment))?;
        self.offset += bytes.len() as u64;
        self.fragments = self.fragments.wrapping_add(1);
        self.pending.clear();
        self.pending_bytes = 0;
        // Damage to the first record must not cost the whole file.
        if self.fragments.is_multiple_of(8) {
            journal.append(&Record::Opened(self.opened))?;
        }
        Ok(())
    }

    /// Notes that there is nothing between two media times; the second is where the next sample goes.
    pub(crate) fn gap(&mut self, from: i64, to: i64, journal: &mut Journal) -> io::Result<()> {
        self.flush(journal)?;
        journal.append(&Record::Gap { file: self.opened.file, from, to })
    }

    /// Session time at which the oldest sample not yet written arrived.
    pub(crate) fn pending_since(&self) -> Option<i64> {
        (!self.pending.is_empty()).then_some(self.pending_arrival_us)
    }

    /// Makes the file survive a power loss.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) { self.file.sync_data() } else { Ok(()) }
    }
}

/// The header that a file starts with until it is finished.
pub(crate) fn header(opened: &Opened) -> io::Result<Vec<u8>> {
    match opened.codec {
        Codec::Opus => fmp4::header(None),
        _ => Ok(webm::header(opened.picture, None)),
    }
}

/// `<publication>.<part>.<container>`.
pub(crate) fn file_name(opened: &Opened) -> String {
    format!("{}.{}.{}", opened.publication, opened.part, extension(opened.codec))
}

/// Of the container that a codec is put in.
pub(crate) fn extension(codec: Codec) -> &'static str {
    if codec == Codec::Opus { "mp4" } else { "webm" }
}

/// A fragment is written early when it holds this many bytes.
const MAX_FRAGMENT: usize = 8 << 20;
