//! `journal.bin`: what was written where, so that a crash at any byte leaves something to complete.
//!
//! After the magic bytes come records `{length: u32, type: u8, crc32: u32, payload}`, little-endian; the CRC covers
//! type and payload. A record that does not check is skipped, and reading goes on at the next that does.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use simmer_sfu::codec::Codec;
use simmer_sfu::id::{ParticipantId, PublicationId};

/// One entry. Media times are ticks of the codec's RTP clock counted from the file's first sample; `rtp` is a
/// timestamp unwrapped to 64 bits; `_us` is microseconds of session time.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Record {
    /// A media file was opened. May be repeated.
    Opened(Opened),
    /// A fragment is in its file.
    Fragment(Fragment),
    /// A sender report came.
    Report {
        /// Whose.
        publication: PublicationId,
        /// Index into its encodings.
        encoding: u8,
        /// On the encoding's clock.
        rtp: i64,
        /// The same instant on the publisher's clock, 64-bit NTP format.
        ntp: u64,
        /// When it arrived.
        arrival_us: i64,
    },
    /// Nothing could be recorded between two media times of a file.
    Gap {
        /// Number of the file.
        file: u32,
        /// End of what is there before.
        from: i64,
        /// Start of what is there after.
        to: i64,
    },
    /// From here on another encoding of the publication is recorded.
    Switch {
        /// Whose.
        publication: PublicationId,
        /// Recorded until now.
        from: u8,
        /// Recorded from now on.
        to: u8,
        /// When.
        at_us: i64,
    },
    /// The queue was full.
    Overflow {
        /// When this was noticed.
        at_us: i64,
        /// Packets dropped.
        packets: u64,
        /// Room events dropped.
        events: u64,
    },
    /// The session ended.
    End {
        /// When.
        at_us: i64,
    },
}

/// What there is to know of a media file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Its number, unique in the session.
    pub file: u32,
    /// The publication.
    pub publication: PublicationId,
    /// Counts the publication's files from 0.
    pub part: u32,
    /// Index into the publication's encodings.
    pub encoding: u8,
    /// The codec.
    pub codec: Codec,
    /// Width and height in pixels; 0 for sound.
    pub picture: (u16, u16),
    /// Unwrapped RTP timestamp of the first sample.
    pub origin: i64,
}

/// Where a fragment is, and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Number of the file.
    pub file: u32,
    /// Of its first byte.
    pub offset: u64,
    /// In bytes.
    pub length: u32,
    /// Of its bytes.
    pub crc32: u32,
    /// Media time of the first sample.
    pub start: i64,
    /// Media time after the last sample.
    pub end: i64,
    /// Whether decoding can start here.
    pub key: bool,
    /// When its first sample arrived.
    pub arrival_us: i64,
}

/// Appends records.
pub(crate) struct Journal {
    file: File,
    dirty: bool,
}

impl Journal {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(MAGIC)?;
        Ok(Self { file, dirty: true })
    }

    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        self.dirty = true;
        self.file.write_all(&record.encode())
    }

    /// Makes what was appended survive a power loss.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dirty) { self.file.sync_data() } else { Ok(()) }
    }
}

/// Reads a whole journal. Damage costs the records that it touches, no more.
pub fn read(journal: &[u8]) -> Vec<Record> {
    let mut rest = journal.strip_prefix(MAGIC).unwrap_or(journal);
    let mut records = Vec::new();
    while !rest.is_empty() {
        match Record::decode(rest) {
            Some((record, after)) => {
                records.extend(record);
                rest = after;
            }
            None => rest = rest.get(1..).unwrap_or_default(),
        }
    }
    records
}

impl Record {
    /// The record as it stands in the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(64);
        let kind = self.write_payload(&mut payload);
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&checksum(kind, &payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// The record at the start of `bytes` and what follows it; the inner `None` is a type of a later version.
    fn decode(bytes: &[u8]) -> Option<(Option<Self>, &[u8])> {
        let mut fields = Fields(bytes);
        let length = usize::try_from(fields.u32()?).ok()?;
        let kind = fields.u8()?;
        let crc32 = fields.u32()?;
        if length > MAX_PAYLOAD {
            return None;
        }
        let (payload, after) = fields.0.split_at_checked(length)?;
        if checksum(kind, payload) != crc32 {
            return None;
        }
        Some((Self::read_payload(kind, Fields(payload)), after))
    }

    fn write_payload(&self, out: &mut Vec<u8>) -> u8 {
        match self {
            Self::Opened(opened) => {
                out.extend_from_slice(&opened.file.to_le_bytes());
                write_publication(out, opened.publication);
                out.extend_from_slice(&opened.part.to_le_bytes());
                out.push(opened.encoding);
                out.push(codec_number(opened.codec));
                out.extend_from_slice(&opened.picture.0.to_le_bytes());
                out.extend_from_slice(&opened.picture.1.to_le_bytes());
                out.extend_from_slice(&opened.origin.to_le_bytes());
                1
            }
            Self::Fragment(fragment) => {
                out.extend_from_slice(&fragment.file.to_le_bytes());
                out.extend_from_slice(&fragment.offset.to_le_bytes());
                out.extend_from_slice(&fragment.length.to_le_bytes());
                out.extend_from_slice(&fragment.crc32.to_le_bytes());
                out.extend_from_slice(&fragment.start.to_le_bytes());
                out.extend_from_slice(&fragment.end.to_le_bytes());
                out.push(u8::from(fragment.key));
                out.extend_from_slice(&fragment.arrival_us.to_le_bytes());
                2
            }
            Self::Report { publication, encoding, rtp, ntp, arrival_us } => {
                write_publication(out, *publication);
                out.push(*encoding);
                out.extend_from_slice(&rtp.to_le_bytes());
                out.extend_from_slice(&ntp.to_le_bytes());
                out.extend_from_slice(&arrival_us.to_le_bytes());
                3
            }
            Self::Gap { file, from, to } => {
                out.extend_from_slice(&file.to_le_bytes());
                out.extend_from_slice(&from.to_le_bytes());
                out.extend_from_slice(&to.to_le_bytes());
                4
            }
            Self::Switch { publication, from, to, at_us } => {
                write_publication(out, *publication);
                out.extend_from_slice(&[*from, *to]);
                out.extend_from_slice(&at_us.to_le_bytes());
                5
            }
            Self::Overflow { at_us, packets, events } => {
                out.extend_from_slice(&at_us.to_le_bytes());
                out.extend_from_slice(&packets.to_le_bytes());
                out.extend_from_slice(&events.to_le_bytes());
                6
            }
            Self::End { at_us } => {
                out.extend_from_slice(&at_us.to_le_bytes());
                7
            }
        }
    }

    fn read_payload(kind: u8, mut fields: Fields<'_>) -> Option<Self> {
        Some(match kind {
            1 => Self::Opened(Opened {
                file: fields.u32()?,
                publication: fields.publication()?,
                part: fields.u32()?,
                encoding: fields.u8()?,
                codec: codec_of(fields.u8()?)?,
                picture: (fields.u16()?, fields.u16()?),
                origin: fields.i64()?,
            }),
            2 => Self::Fragment(Fragment {
                file: fields.u32()?,
                offset: fields.u64()?,
                length: fields.u32()?,
                crc32: fields.u32()?,
                start: fields.i64()?,
                end: fields.i64()?,
                key: fields.u8()? != 0,
                arrival_us: fields.i64()?,
            }),
            3 => Self::Report {
                publication: fields.publication()?,
                encoding: fields.u8()?,
                rtp: fields.i64()?,
                ntp: fields.u64()?,
                arrival_us: fields.i64()?,
            },
            4 => Self::Gap { file: fields.u32()?, from: fields.i64()?, to: fields.i64()? },
            5 => Self::Switch {
                publication: fields.publication()?,
                from: fields.u8()?,
                to: fields.u8()?,
                at_us: fields.i64()?,
            },
            6 => Self::Overflow { at_us: fields.i64()?, packets: fields.u64()?, events: fields.u64()? },
            7 => Self::End { at_us: fields.i64()? },
            _ => return None,
        })
    }
}

fn write_publication(out: &mut Vec<u8>, publication: PublicationId) {
    out.extend_from_slice(&publication.participant.0.to_le_bytes());
    out.extend_from_slice(&publication.index.to_le_bytes());
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

/// A codec's number in the file, for ever.
fn codec_number(codec: Codec) -> u8 {
    CODECS.iter().find(|&&(_, known)| known == codec).map_or(0, |&(number, _)| number)
}

fn codec_of(number: u8) -> Option<Codec> {
    CODECS.iter().find(|&&(known, _)| known == number).map(|&(_, codec)| codec)
}

/// Reads little-endian fields.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn publication(&mut self) -> Option<PublicationId> {
        Some(PublicationId { participant: ParticipantId(self.u64()?), index: self.u16()? })
    }
}

const MAGIC: &[u8] = b"simmer1\n";
const HEADER: usize = 9;
/// Longer than any record; a bound for what a damaged length can make the reader look at.
const MAX_PAYLOAD: usize = 256;
const CODECS: [(u8, Codec); 5] =
    [(1, Codec::Opus), (2, Codec::Vp8), (3, Codec::Vp9), (4, Codec::H264), (5, Codec::Av1)];

#[cfg(test)]
mod tests;
