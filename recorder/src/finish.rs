//! Makes a replay of what a session's folder holds: the same for an orderly end and after a crash.
//!
//! Nothing here changes the journal or a fragment, so it can be cut off anywhere and done again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use simmer_sfu::codec::{Codec, Kind};
use simmer_sfu::id::{ParticipantId, PublicationId};

use crate::clock::{self, Map, TrackClock, ntp_micros, ticks_to_micros};
use crate::journal::{self, Fragment, Opened, Record};
use crate::manifest::{Manifest, Track};
use crate::segment::{self, Indexed};
use crate::store::{CHAPTERS, EVENTS, JOURNAL, MANIFEST, TRACKS, read_session_file};
use crate::timeline::{self, Timeline};
use crate::{fmp4, webm};

/// What was found on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) fragments_dropped: u64,
}

/// Completes the session in `dir`. With `recovering`, every fragment is read and checked.
pub(crate) fn complete(dir: &Path, recovering: bool) -> io::Result<Outcome> {
    let session = read_session_file(dir)?;
    let journal = Contents::of(journal::read(&read_if_there(&dir.join(JOURNAL))?));
    let (timeline, events_torn) = read_events(dir, recovering)?;

    let mut outcome = Outcome::default();
    let mut tracks = Vec::new();
    for (number, opened) in &journal.files {
        let fragments = journal.fragments.get(number).map(Vec::as_slice).unwrap_or_default();
        let Some(file) = MediaFile::complete(dir, opened, fragments, recovering, &mut outcome)? else {
            continue;
        };
        tracks.push(journal.track(opened, &file, &timeline));
    }
    tracks.sort_by(|a, b| (a.start_ms, &a.id).cmp(&(b.start_ms, &b.id)));

    let last_media =
        tracks.iter().filter_map(|track| track.clock.last()).map(|knot| knot[1].round() as u64).max();
    let end_ms = journal.ended_us.map(|at| u64::try_from(at / 1000).unwrap_or(0));
    let duration_ms = end_ms.unwrap_or_else(|| last_media.unwrap_or(0).max(timeline.last_ms));
    let manifest = Manifest {
        version: 1,
        session: session.session,
        room: session.room,
        title: session.title,
        started_at: session.started_at,
        duration_ms,
        recovered: recovering && (journal.ended_us.is_none() || outcome != Outcome::default() || events_torn),
        participants: timeline.participants,
        tracks,
        chapters: timeline.chapters,
        events: EVENTS.to_owned(),
    };
    File::open(dir.join(TRACKS))?.sync_all()?;
    write_atomically(dir, CHAPTERS, timeline::chapters(&manifest.chapters, duration_ms).as_bytes())?;
    write_atomically(dir, MANIFEST, &to_json(&manifest)?)?;
    remove_leftovers(dir, &manifest)?;
    Ok(outcome)
}

/// What a journal says, sorted.
#[derive(Default)]
struct Contents {
    files: BTreeMap<u32, Opened>,
    fragments: BTreeMap<u32, Vec<Fragment>>,
    /// RTP time and the session time at which a report was sent, by encoding.
    reports: BTreeMap<(PublicationId, u8), Vec<(i64, i64)>>,
    gaps: BTreeMap<u32, Vec<(i64, i64)>>,
    ended_us: Option<i64>,
}

impl Contents {
    fn of(records: Vec<Record>) -> Self {
        let mut contents = Self::default();
        let mut publishers: BTreeMap<ParticipantId, Vec<Report>> = BTreeMap::new();
        for record in records {
            match record {
                Record::Opened(opened) => {
                    contents.files.insert(opened.file, opened);
                }
                Record::Fragment(fragment) => {
                    contents.fragments.entry(fragment.file).or_default().push(fragment)
                }
                Record::Report { publication, encoding, rtp, ntp, arrival_us } => {
                    let report = Report {
                        encoding: (publication, encoding),
                        rtp,
                        wall: (ntp_micros(ntp), arrival_us),
                    };
                    publishers.entry(publication.participant).or_default().push(report);
                }
                Record::Gap { file, from, to } => contents.gaps.entry(file).or_default().push((from, to)),
                Record::Switch { .. } | Record::Overflow { .. } => {}
                Record::End { at_us } => contents.ended_us = Some(at_us),
            }
        }
        for mut reports in publishers.into_values() {
            reports.sort_by_key(|report| report.wall.1);
            let sent = clock::sent(&reports.iter().map(|report| report.wall).collect::<Vec<_>>());
            for (report, sent) in reports.iter().zip(sent) {
                contents.reports.entry(report.encoding).or_default().push((report.rtp, sent));
            }
        }
        contents
    }

    fn track(&self, opened: &Opened, file: &MediaFile, timeline: &Timeline) -> Track {
        let rate = opened.codec.clock_rate();
        let end = file.fragments.last().map_or(0, |last| last.end);
        let micros = |rtp| ticks_to_micros(rtp, rate);
        let reports = self.reports.get(&(opened.publication, opened.encoding));
        let reported = reports.and_then(|reports| {
            Map::by_least_squares(&reports.iter().map(|&(rtp, sent)| (micros(rtp), sent)).collect::<Vec<_>>())
        });
        let arrived: Vec<(i64, i64)> = file
            .fragments
            .iter()
            .map(|fragment| (micros(opened.origin.saturating_add(fragment.start)), fragment.arrival_us))
            .collect();
        // Reports that put the track far from where it arrived are not about this track.
        let reported = reported.filter(|map| {
            let away = |&(media, arrival): &(i64, i64)| (map.at(media as f64) - arrival as f64).abs();
            arrived.iter().all(|point| away(point) < MAX_TRANSIT_US)
        });
        let provisional = reported.is_none();
        let map = reported.or_else(|| Map::by_least_delay(&arrived)).unwrap_or_default();
        let clock = TrackClock { map: &map, rate, origin: opened.origin };

        let start = file.fragments.first().map_or(0, |first| first.start);
        let journalled = self.gaps.get(&opened.file).map(Vec::as_slice).unwrap_or_default();
        let inside = |&(from, to): &(i64, i64)| from < to && to <= end;
        let mut gaps: Vec<[u64; 2]> = journalled
            .iter()
            .chain(&file.holes)
            .filter(|gap| inside(gap))
            .map(|&(from, to)| {
                [clock.session_ms(from.max(0)).round() as u64, clock.session_ms(to).round() as u64]
            })
            .collect();
        gaps.sort_unstable();
        gaps.dedup();

        let publication = opened.publication.to_string();
        let owner = timeline.owners.get(&publication).cloned().unwrap_or_default();
        let participant = if owner.participant.is_empty() {
            opened.publication.participant.to_string()
        } else {
            owner.participant
        };
        let (kind, mime) = match opened.codec {
            Codec::Opus => ("audio", "audio/mp4; codecs=\"opus\""),
            _ => ("video", "video/webm; codecs=\"vp8\""),
        };
        let video = opened.codec.kind() == Kind::Video;
        Track {
            id: format!("{publication}.{}", opened.part),
            publication,
            participant,
            kind: kind.to_owned(),
            source: owner.source,
            codec: opened.codec.name().to_owned(),
            mime: mime.to_owned(),
            file: file.name.clone(),
            bytes: file.bytes,
            width: video.then_some(opened.picture.0),
            height: video.then_some(opened.picture.1),
            start_ms: clock.session_ms(start).round() as u64,
            duration_ms: u64::try_from(ticks_to_micros(end, rate) / 1000).unwrap_or(0),
            clock: clock.knots(end),
            provisional,
            gaps,
        }
    }
}

/// One sender report.
struct Report {
    encoding: (PublicationId, u8),
    rtp: i64,
    /// The publisher's wall clock and the arrival, in microseconds.
    wall: (i64, i64),
}

/// A media file with its index, as it stays.
struct MediaFile {
    name: String,
    bytes: u64,
    fragments: Vec<Fragment>,
    /// Media times between which fragments were dropped.
    holes: Vec<(i64, i64)>,
}

impl MediaFile {
    /// Writes the index. A file with damage is left as it is, and one without the damage made beside it. `None` when
    /// nothing remains.
    fn complete(
        dir: &Path,
        opened: &Opened,
        journalled: &[Fragment],
        recovering: bool,
        outcome: &mut Outcome,
    ) -> io::Result<Option<Self>> {
        let tracks = dir.join(TRACKS);
        let name = segment::file_name(opened);
        let mut file = match OpenOptions::new().read(true).write(true).open(tracks.join(&name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                outcome.fragments_dropped += journalled.len() as u64;
                return Ok(None);
            }
            // What cannot be opened now may be opened later: it must not look lost.
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let mut kept: Vec<Fragment> = Vec::with_capacity(journalled.len());
        let mut holes = Vec::new();
        let mut hole_from = None;
        for fragment in journalled {
            let whole = fragment.offset.saturating_add(fragment.length.into()) <= length
                && (!recovering || checks(&mut file, fragment)?);
            let starts = opened.codec == Codec::Opus || fragment.key || !kept.is_empty();
            if !whole || !starts {
                outcome.fragments_dropped += 1;
                hole_from.get_or_insert(kept.last().map_or(fragment.start, |last| last.end));
                continue;
            }
            holes.extend(hole_from.take().map(|from| (from, fragment.start)));
            kept.push(*fragment);
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let contiguous = kept.len() == journalled.len() || adjoin(opened, &kept)?;
        if contiguous {
            let bytes = write_index(&file, opened, &kept)?;
            return Ok(Some(Self { name, bytes, fragments: kept, holes }));
        }
        let name = format!("{}.{}.r.{}", opened.publication, opened.part, segment::extension(opened.codec));
        let (copy, moved) = copy_without_holes(&mut file, &tracks.join(&name), opened, &kept)?;
        let bytes = write_index(&copy, opened, &moved)?;
        Ok(Some(Self { name, bytes, fragments: moved, holes }))
    }
}

/// Whether the fragments follow one another from the header on, so that nothing but a tail was lost.
fn adjoin(opened: &Opened, kept: &[Fragment]) -> io::Result<bool> {
    let mut at = segment::header(opened)?.len() as u64;
    Ok(kept.iter().all(|fragment| {
        let here = fragment.offset == at;
        at = fragment.offset.saturating_add(fragment.length.into());
        here
    }))
}

fn checks(file: &mut File, fragment: &Fragment) -> io::Result<bool> {
    Ok(crc32fast::hash(&read_fragment(file, fragment)?) == fragment.crc32)
}

fn read_fragment(file: &mut File, fragment: &Fragment) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(fragment.offset))?;
    let mut bytes = Vec::new();
    file.take(fragment.length.into()).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn copy_without_holes(
    from: &mut File,
    to: &Path,
    opened: &Opened,
    kept: &[Fragment],
) -> io::Result<(File, Vec<Fragment>)> {
    let mut copy =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let mut offset = segment::header(opened)?.len() as u64;
    copy.seek(SeekFrom::Start(offset))?;
    let mut moved = Vec::with_capacity(kept.len());
    for fragment in kept {
        copy.write_all(&read_fragment(from, fragment)?)?;
        moved.push(Fragment { offset, ..*fragment });
        offset += u64::from(fragment.length);
    }
    Ok((copy, moved))
}

/// Cuts what follows the last fragment, then writes the header anew and the index. Returns the file's length.
fn write_index(file: &File, opened: &Opened, fragments: &[Fragment]) -> io::Result<u64> {
    let indexed: Vec<Indexed> = fragments
        .iter()
        .map(|fragment| Indexed {
            offset: fragment.offset,
            length: fragment.length,
            start: fragment.start,
            key: fragment.key,
        })
        .collect();
    let Some(last) = fragments.last() else { return Ok(0) };
    let end = last.offset.saturating_add(last.length.into());
    file.set_len(end)?;
    let (header, bytes) = match opened.codec {
        Codec::Opus => (fmp4::header(Some((&indexed, last.end)))?, end),
        _ => {
            let cues = webm::cues(&indexed);
            file.write_all_at(&cues, end)?;
            let file_length = end + cues.len() as u64;
            let duration_ms =
                u64::try_from(ticks_to_micros(last.end, opened.codec.clock_rate()) / 1000).unwrap_or(0);
            let complete = webm::Complete { file_length, cues_at: end, duration_ms };
            (webm::header(opened.picture, Some(complete)), file_length)
        }
    };
    file.write_all_at(&header, 0)?;
    file.sync_all()?;
    Ok(bytes)
}

/// The room log. When recovering, what is torn is cut away.
fn read_events(dir: &Path, recovering: bool) -> io::Result<(Timeline, bool)> {
    let bytes = read_if_there(&dir.join(EVENTS))?;
    let mut timeline = Timeline::default();
    let mut good = Vec::with_capacity(bytes.len());
    for (line, entry) in timeline::lines(&bytes) {
        timeline.handle(&entry);
        good.extend_from_slice(line);
    }
    let torn = good != bytes;
    if recovering && torn || !dir.join(EVENTS).exists() {
        write_atomically(dir, EVENTS, &good)?;
    }
    Ok((timeline, torn))
}

fn read_if_there(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        result => result,
    }
}

/// Media files that the manifest does not name.
fn remove_leftovers(dir: &Path, manifest: &Manifest) -> io::Result<()> {
    let named: BTreeSet<&str> = manifest.tracks.iter().map(|track| track.file.as_str()).collect();
    for entry in fs::read_dir(dir.join(TRACKS))? {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(|name| !named.contains(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

pub(crate) fn to_json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::other)
}

/// Writes a small file so that either the old or the new one is there, whatever happens.
pub(crate) fn write_atomically(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, dir.join(name))?;
    File::open(dir)?.sync_all()
}

/// A media packet is not on its way for longer.
const MAX_TRANSIT_US: f64 = 20e6;
