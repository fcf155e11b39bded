//! Kills: a session is cut off anywhere, and the next start makes the best of it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mp4_atom::{Any, DecodeMaybe};
use simmer_recorder::journal::{self, Fragment, Record};
use simmer_recorder::manifest::{Manifest, Track};
use simmer_recorder::{Recorder, RecorderConfig, Recovered, SessionId, Store};
use simmer_sfu::codec::Codec;
use webm_iterable::WebmIterator;
use webm_iterable::matroska_spec::{Master, MatroskaSpec, SimpleBlock};

use crate::media::*;

const SECONDS: u64 = 8;

/// A session's folder as a crash leaves it when everything but the last second is on disk, and what was in it.
struct Unfinished {
    folder: tempfile::TempDir,
    id: SessionId,
}

/// Two tracks of eight seconds, cut off by dropping the recorder.
fn unfinished() -> Unfinished {
    let folder = tempfile::tempdir().unwrap();
    let (ivf, ogg) = (folder.path().join("a.ivf"), folder.path().join("a.ogg"));
    make_ivf(&ivf, "160x120", SECONDS as u32, 60);
    make_ogg(&ogg, SECONDS as u32);
    let (recorder, _notices) = open(&folder.path().join("data"));
    let base = far_base();
    let recording = begin(&recorder, base);
    let (video, audio) = (publication_id(1, 0), publication_id(1, 1));
    let mut sink = recording.sink();
    sink.handle(published(video, Codec::Vp8, 1, base));
    sink.handle(published(audio, Codec::Opus, 1, base));
    let mut packets = packetize(&read_ivf(&ivf), Codec::Vp8, video, 0, base);
    packets.extend(packetize(&read_ogg(&ogg), Codec::Opus, audio, 0, base));
    packets.sort_by_key(|packet| packet.arrival);
    for (seq, second) in (0..SECONDS).enumerate() {
        let body = serde_json::json!({"kind":"chat","text":"x"});
        let at = base + Duration::from_secs(second);
        recording.event(simmer_recorder::TimelineEvent { seq: seq as u64, at, by: None, body });
    }
    feed(&recording, packets);
    let id = recording.id();
    drop(recording);
    drop(sink);
    drop(recorder);
    Unfinished { folder, id }
}

impl Unfinished {
    fn store(&self) -> Store {
        Store::new(&self.folder.path().join("data"))
    }

    fn dir(&self) -> PathBuf {
        self.store().session_dir(&self.id)
    }

    /// A copy that a test may damage.
    fn copy(&self) -> Unfinished {
        let folder = tempfile::tempdir().unwrap();
        let copy = Unfinished { folder, id: self.id };
        fs::create_dir_all(copy.dir().join("tracks")).unwrap();
        for from in [self.dir(), self.dir().join("tracks")] {
            for entry in fs::read_dir(&from).unwrap().map(Result::unwrap) {
                if entry.path().is_file() {
                    let to = copy.dir().join(entry.path().strip_prefix(self.dir()).unwrap());
                    fs::copy(entry.path(), to).unwrap();
                }
            }
        }
        copy
    }

    fn journal(&self) -> Vec<u8> {
        fs::read(self.dir().join("journal.bin")).unwrap()
    }

    fn media(&self, name: &str) -> PathBuf {
        self.dir().join("tracks").join(name)
    }

    fn recover(&self) -> (Manifest, Recovered) {
        let config = RecorderConfig::new(self.store().data());
        let (recorder, mut recovered) = Recorder::open(config, Box::new(|_| {})).unwrap();
        assert_eq!(recovered.len(), 1);
        (recorder.store().manifest(&self.id).unwrap().unwrap(), recovered.remove(0))
    }
}

const VIDEO: &str = "0000000000000001-0.0.webm";
const AUDIO: &str = "0000000000000001-1.0.mp4";

fn fragments(journal: &[u8], file: u32) -> Vec<Fragment> {
    let of_file = |record| match record {
        Record::Fragment(fragment) if fragment.file == file => Some(fragment),
        _ => None,
    };
    journal::read(journal).into_iter().filter_map(of_file).collect()
}

fn files(journal: &[u8]) -> Vec<(u32, &'static str)> {
    let mut files: Vec<_> = journal::read(journal)
        .into_iter()
        .filter_map(|record| match record {
            Record::Opened(opened) if opened.codec == Codec::Vp8 => Some((opened.file, VIDEO)),
            Record::Opened(opened) => Some((opened.file, AUDIO)),
            _ => None,
        })
        .collect();
    files.dedup();
    files.sort_unstable();
    files.dedup();
    files
}

/// Reads a media file with other people's parsers to its very end; returns the times of its samples in milliseconds.
fn demux(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "webm") {
        demux_webm(&bytes)
    } else {
        demux_mp4(&bytes)
    }
}

fn demux_webm(bytes: &[u8]) -> Vec<u64> {
    let mut times = Vec::new();
    let mut cluster = 0;
    let (mut cues, mut ended) = (0, false);
    for tag in WebmIterator::new(&mut &bytes[..], &[]) {
        match tag.unwrap() {
            MatroskaSpec::Timestamp(time) => cluster = time,
            MatroskaSpec::CueTime(_) => cues += 1,
            MatroskaSpec::Segment(Master::End) => ended = true,
            block @ MatroskaSpec::SimpleBlock(_) => {
                let block = SimpleBlock::try_from(&block).unwrap();
                assert!(!times.is_empty() || block.keyframe, "it starts with a key frame");
                times.push(cluster + u64::try_from(block.timestamp).unwrap());
            }
            _ => {}
        }
    }
    assert!(cues > 0 && ended);
    times
}

fn demux_mp4(bytes: &[u8]) -> Vec<u64> {
    let mut times = Vec::new();
    let mut rest = bytes;
    let mut sizes = Vec::new();
    let mut indexed = None;
    while !rest.is_empty() {
        let before = rest.len();
        match Any::decode_maybe(&mut rest).unwrap().expect("a whole box") {
            Any::Sidx(sidx) => {
                let total: u64 = sidx.references.iter().map(|one| u64::from(one.referenced_size)).sum();
                indexed = Some(sidx.first_offset + total);
                assert_eq!(rest.len() as u64, sidx.first_offset + total, "the index covers the file");
            }
            Any::Moof(moof) => {
                let traf = &moof.traf[0];
                let mut time = traf.tfdt.as_ref().unwrap().base_media_decode_time;
                let trun = &traf.trun[0];
                assert_eq!(trun.data_offset, Some((before - rest.len() + 8) as i32));
                sizes = trun.entries.iter().map(|entry| entry.size.unwrap() as usize).collect();
                for entry in &trun.entries {
                    times.push(time / 48);
                    time += u64::from(entry.duration.or(traf.tfhd.default_sample_duration).unwrap());
                }
            }
            Any::Mdat(mdat) => assert_eq!(mdat.data.len(), sizes.iter().sum::<usize>()),
            _ => {}
        }
    }
    assert!(indexed.is_some());
    times
}

fn check(unfinished: &Unfinished, track: &Track) -> Vec<u64> {
    let path = unfinished.media(&track.file);
    assert_eq!(path.metadata().unwrap().len(), track.bytes);
    let times = demux(&path);
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(track.clock.len() >= 2);
    times
}

fn find<'a>(manifest: &'a Manifest, kind: &str) -> Option<&'a Track> {
    manifest.tracks.iter().find(|track| track.kind == kind)
}

#[test]
fn a_dropped_recorder_loses_less_than_a_second() {
    let session = unfinished();
    assert!(session.store().manifest(&session.id).unwrap().is_none());
    let (manifest, recovered) = session.recover();
    assert!(manifest.recovered);
    assert_eq!(recovered.fragments_dropped, 0);
    assert_eq!(manifest.tracks.len(), 2);
    for track in &manifest.tracks {
        let times = check(&session, track);
        assert!(*times.last().unwrap() >= (SECONDS - 1) * 1000 - 40, "{times:?}");
        let probe = probe(&session.media(&track.file));
        assert_eq!(probe.packets, times.len());
    }
    let before = fs::read(session.dir().join("manifest.json")).unwrap();
    let config = RecorderConfig::new(session.store().data());
    let (_recorder, again) = Recorder::open(config, Box::new(|_| {})).unwrap();
    assert!(again.is_empty(), "a recovered session is left alone");
    assert_eq!(fs::read(session.dir().join("manifest.json")).unwrap(), before);
}

/// The writes of a session happened in one order: a fragment, then its record. A kill leaves a prefix of it.
#[test]
fn a_kill_at_any_byte_leaves_what_was_written() {
    let whole = unfinished();
    let journal = whole.journal();
    let media: Vec<(u32, &str, Vec<u8>)> = files(&journal)
        .into_iter()
        .map(|(file, name)| (file, name, fs::read(whole.media(name)).unwrap()))
        .collect();
    let copy = whole.copy();
    let mut cuts = 0;
    for cut in 0..=journal.len() {
        let prefix = &journal[..cut];
        // The next fragment of each file may be there, whole or torn, before its record is.
        for torn in [0, 1, 40, usize::MAX] {
            fs::write(copy.dir().join("journal.bin"), prefix).unwrap();
            let _ = fs::remove_file(copy.dir().join("manifest.json"));
            for (file, name, bytes) in &media {
                let next = fragments(&journal, *file).get(fragments(prefix, *file).len()).copied();
                let length = match next {
                    Some(next) => next.offset as usize + torn.min(next.length as usize),
                    None => bytes.len(),
                };
                fs::write(copy.media(name), &bytes[..length]).unwrap();
            }
            let (manifest, recovered) = copy.recover();
            assert_eq!(recovered.fragments_dropped, 0);
            for (file, name, _) in &media {
                let expected = fragments(prefix, *file);
                let track = manifest.tracks.iter().find(|track| track.file == *name);
                assert_eq!(track.is_some(), !expected.is_empty(), "{cut}");
                let Some(track) = track else { continue };
                check(&copy, track);
                let rate = if track.kind == "video" { 90 } else { 48 };
                assert_eq!(track.duration_ms, expected.last().unwrap().end as u64 / rate, "{cut}");
                if cut % 211 == 0 && torn == 1 {
                    probe(&copy.media(name));
                }
            }
            cuts += 1;
        }
    }
    assert!(cuts > 2000, "{cuts}");
}

#[test]
fn a_hole_of_zeros_costs_the_fragments_it_touches() {
    let whole = unfinished();
    let journal = whole.journal();
    for (file, name) in files(&journal) {
        let all = fragments(&journal, file);
        let intact = fs::read(whole.media(name)).unwrap();
        let length = intact.len() as u64;
        let step = (length / 60).max(1);
        for (round, from) in (0..length).step_by(step as usize).enumerate() {
            let copy = whole.copy();
            let hole = vec![0; 700.min((length - from) as usize)];
            let damaged = OpenOptions::new().write(true).open(copy.media(name)).unwrap();
            damaged.write_all_at(&hole, from).unwrap();
            // Zeros over zeros are no damage.
            let changed =
                |at: u64| intact[at as usize] != 0 && (from..from + hole.len() as u64).contains(&at);
            let hit = |fragment: &Fragment| {
                (fragment.offset..fragment.offset + u64::from(fragment.length)).any(changed)
            };
            let (manifest, recovered) = copy.recover();
            let kind = if name == VIDEO { "video" } else { "audio" };
            let track = find(&manifest, kind).unwrap();
            let times = check(&copy, track);
            let rate = if kind == "video" { 90 } else { 48 };
            let first_key =
                all.iter().position(|fragment| !hit(fragment) && (rate == 48 || fragment.key)).unwrap();
            let kept: Vec<&Fragment> = all.iter().skip(first_key).filter(|fragment| !hit(fragment)).collect();
            assert_eq!(recovered.fragments_dropped as usize, all.len() - kept.len(), "{from}");
            // Only what was cut off at the end can go without a copy.
            let moved = kept.iter().zip(&all).any(|(kept, original)| *kept != original);
            assert_eq!(track.file != name, moved, "{from}");
            for fragment in &kept {
                assert!(times.contains(&(fragment.start as u64 / rate)), "{from}");
            }
            if round % 12 == 0 {
                probe(&copy.media(&track.file));
            }
            assert_eq!(fs::read_dir(copy.dir().join("tracks")).unwrap().count(), 2, "no leftovers");
        }
    }
}

#[test]
fn recovery_can_be_cut_off_and_done_again() {
    let whole = unfinished();
    let name = VIDEO;
    let damage = |copy: &Unfinished| {
        let file = OpenOptions::new().write(true).open(copy.media(name)).unwrap();
        let second = fragments(
            &whole.journal(),
            files(&whole.journal()).iter().find(|file| file.1 == name).unwrap().0,
        )[1];
        file.write_all_at(&[0; 50], second.offset + 20).unwrap();
    };
    let reference = whole.copy();
    damage(&reference);
    let (expected, _) = reference.recover();

    let copy = whole.copy();
    damage(&copy);
    let (first, _) = copy.recover();
    assert_eq!(first, expected);
    // As if the manifest had not been written, with the rest of the work half done.
    let original = whole.copy();
    damage(&original);
    for half_done in 0..20u64 {
        let _ = fs::remove_file(copy.dir().join("manifest.json"));
        let rewritten = copy.media(&find(&expected, "video").unwrap().file);
        let length = rewritten.metadata().map_or(0, |found| found.len());
        File::options().write(true).open(&rewritten).unwrap().set_len(length * half_done / 20).unwrap();
        fs::copy(original.media(name), copy.media(name)).unwrap();
        fs::write(copy.dir().join("manifest.json.tmp"), "{\"ver").unwrap();
        assert_eq!(copy.recover().0, expected);
    }
}

#[test]
fn torn_events_are_cut_away() {
    let session = unfinished();
    let path = session.dir().join("events.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    session.recover();
    let kept = fs::read_to_string(&path).unwrap();
    assert_eq!(kept.lines().count() as u64, SECONDS - 1);
    assert!(kept.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn what_cannot_be_recovered_stops_nothing() {
    let session = unfinished();
    let sessions = session.dir().parent().unwrap().to_owned();
    // Cut off before anything was written, and one whose own description is gone.
    fs::create_dir_all(sessions.join("01HF7YAT00AAAAAAAAAAAAAAAA").join("tracks")).unwrap();
    let broken = sessions.join("01HF7YAT00BBBBBBBBBBBBBBBB");
    fs::create_dir_all(&broken).unwrap();
    fs::write(broken.join("session.json"), "{").unwrap();
    fs::write(sessions.join("something else"), "").unwrap();
    session.recover();
    let mut left: Vec<String> = fs::read_dir(sessions)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    let mut expected =
        vec![session.id.to_string(), "01HF7YAT00BBBBBBBBBBBBBBBB".into(), "something else".into()];
    expected.sort();
    assert_eq!(left, expected);
}
