//! Orderly sessions.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;
use simmer_recorder::{FailReason, Notice, Recorder, RecorderConfig, SessionInfo, TimelineEvent};
use simmer_sfu::codec::Codec;
use simmer_sfu::sink::{SinkEvent, SinkPacket};

use crate::media::*;

/// Late repairs and disorder, but nothing lost for good.
fn disturb(packets: &mut [SinkPacket]) {
    for at in (7..packets.len().saturating_sub(40)).step_by(23) {
        // A retransmission 12 packets later: 240 ms of sound.
        let arrival = packets[at + 12].arrival;
        packets[at].arrival = arrival;
        packets[at..=at + 12].rotate_left(1);
    }
    for at in (3..packets.len() - 1).step_by(17) {
        packets.swap(at, at + 1);
    }
}

#[test]
fn a_session_decodes_to_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (ivf, ogg) = (folder.path().join("a.ivf"), folder.path().join("a.ogg"));
    make_ivf(&ivf, "320x240", 6, 60);
    make_ogg(&ogg, 6);
    let (recorder, notices) = open(&folder.path().join("data"));
    let base = far_base();
    let recording = begin(&recorder, base);
    let id = recording.id();
    let (video, audio) = (publication_id(1, 0), publication_id(1, 1));
    let body = json!({"kind":"published","publication":
        {"id": video.to_string(), "participant":"p1", "kind":"video", "source":"camera"}});
    for (seq, at, body) in [
        (1, 0, json!({"kind":"joined","participant":{"id":"p1","name":"Ana","role":"host"}})),
        (2, 100, body),
        (3, 200, json!({"kind":"steps_set","steps":[{"title":"Chop"}]})),
        (4, 2500, json!({"kind":"step_started","step":0})),
        (5, 3000, json!({"kind":"chat","text":"hi"})),
    ] {
        let at = base + Duration::from_millis(at);
        recording.event(TimelineEvent { seq, at, by: Some("p1".into()), body });
    }
    let start = base + Duration::from_millis(500);
    let mut sink = recording.sink();
    sink.handle(published(video, Codec::Vp8, 1, start));
    sink.handle(published(audio, Codec::Opus, 1, start));
    let mut packets = packetize(&read_ivf(&ivf), Codec::Vp8, video, 0, start);
    disturb(&mut packets);
    let mut sound = packetize(&read_ogg(&ogg), Codec::Opus, audio, 0, start);
    disturb(&mut sound);
    packets.extend(sound);
    packets.sort_by_key(|packet| packet.arrival);
    let mut second = 0u64;
    for packet in packets {
        let now = start + Duration::from_secs(second) + Duration::from_millis(40);
        if packet.arrival >= now {
            let ntp = ((3_900_000_000 + second) << 32) | (1 << 31);
            for (publication, rate) in [(video, 90_000), (audio, 48_000)] {
                let rtp_time = RTP_START.wrapping_add(second as u32 * rate);
                sink.handle(SinkEvent::SenderReport { publication, encoding: 0, now, ntp, rtp_time });
            }
            second += 1;
        }
        sink.handle(SinkEvent::Packet(packet));
    }
    let wanted = finish(recording, &notices, base + Duration::from_millis(6700));
    assert!(!wanted.iter().any(|notice| !matches!(notice, Notice::KeyframeWanted { .. })), "{wanted:?}");

    let manifest = recorder.store().manifest(&id).unwrap().unwrap();
    assert_eq!((manifest.duration_ms, manifest.recovered), (6700, false));
    assert_eq!(manifest.chapters.len(), 1);
    assert_eq!(manifest.participants[0].name, "Ana");
    assert_eq!(manifest.tracks.len(), 2);
    let dir = recorder.store().session_dir(&id);
    for track in &manifest.tracks {
        let path = dir.join("tracks").join(&track.file);
        let probe = probe(&path);
        assert!((probe.duration - 6.0).abs() < 0.2, "{probe:?}");
        assert!(track.gaps.is_empty(), "{track:?}");
        assert!(!track.provisional);
        assert_eq!(track.start_ms, 540, "the transit of the reports counts as time");
        assert_eq!(track.bytes, path.metadata().unwrap().len());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        if track.kind == "video" {
            assert_eq!(probe.codec, "vp8");
            assert_eq!((track.width, track.height), (Some(320), Some(240)));
            assert_eq!((track.participant.as_str(), track.source.as_deref()), ("p1", Some("camera")));
            assert_eq!(decoded(&path), decoded(&ivf));
        } else {
            assert_eq!(probe.codec, "opus");
            assert_eq!(copied(&path), copied(&ogg));
        }
    }
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let events = std::fs::read_to_string(dir.join("events.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(last, json!({"seq":5,"t_ms":3000,"by":"p1","kind":"chat","text":"hi"}));
    recorder.shutdown();
}

#[test]
fn what_is_lost_is_a_gap_and_a_wish_for_a_key_frame() {
    let folder = tempfile::tempdir().unwrap();
    let ivf = folder.path().join("a.ivf");
    make_ivf(&ivf, "160x120", 6, 60);
    let (recorder, notices) = open(&folder.path().join("data"));
    let base = far_base();
    let recording = begin(&recorder, base);
    let id = recording.id();
    let video = publication_id(1, 0);
    recording.sink().handle(published(video, Codec::Vp8, 1, base));
    let mut packets = packetize(&read_ivf(&ivf), Codec::Vp8, video, 0, base);
    // Frame 90 of 180: nothing decodes from there up to the key frame 120.
    let lost = RTP_START.wrapping_add(90 * 3000);
    packets.retain(|packet| packet.rtp_time != lost);
    feed(&recording, packets);
    let wanted = finish(recording, &notices, base + Duration::from_secs(6));
    assert!(
        wanted.iter().all(|notice| *notice == Notice::KeyframeWanted { publication: video, encoding: 0 })
    );

    let manifest = recorder.store().manifest(&id).unwrap().unwrap();
    let [track] = &manifest.tracks[..] else { panic!("{manifest:?}") };
    let path = recorder.store().session_dir(&id).join("tracks").join(&track.file);
    assert!(track.provisional);
    assert_eq!(track.gaps, [[3000, 4000]]);
    let expected: Vec<String> = decoded(&ivf)
        .into_iter()
        .enumerate()
        .filter(|(at, _)| !(90..120).contains(at))
        .map(|(_, one)| one)
        .collect();
    assert_eq!(decoded(&path), expected);
    assert!((probe(&path).duration - 6.0).abs() < 0.2);
}

#[test]
fn silence_fills_a_short_hole_and_a_long_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let ogg = folder.path().join("a.ogg");
    make_ogg(&ogg, 8);
    let (recorder, notices) = open(&folder.path().join("data"));
    let base = far_base();
    let recording = begin(&recorder, base);
    let id = recording.id();
    let audio = publication_id(1, 0);
    recording.sink().handle(published(audio, Codec::Opus, 1, base));
    let frames = read_ogg(&ogg);
    let count = frames.len();
    let mut packets = packetize(&frames, Codec::Opus, audio, 0, base);
    // 10 packets, 200 ms, and 100 packets, 2 s.
    packets.drain(200..300);
    packets.drain(100..110);
    feed(&recording, packets);
    finish(recording, &notices, base + Duration::from_secs(8));
    let manifest = recorder.store().manifest(&id).unwrap().unwrap();
    let [track] = &manifest.tracks[..] else { panic!("{manifest:?}") };
    assert_eq!(track.gaps, [[4000, 6000]]);
    let path = recorder.store().session_dir(&id).join("tracks").join(&track.file);
    let probe = probe(&path);
    assert_eq!(probe.packets, count - 100);
    assert!((probe.duration - 8.0).abs() < 0.2, "{probe:?}");
}

#[test]
fn the_largest_picture_that_is_sent_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (large, small) = (folder.path().join("l.ivf"), folder.path().join("s.ivf"));
    make_ivf(&large, "320x240", 3, 30);
    make_ivf(&small, "160x120", 8, 30);
    let (recorder, notices) = open(&folder.path().join("data"));
    let base = far_base();
    let recording = begin(&recorder, base);
    let id = recording.id();
    let video = publication_id(1, 0);
    recording.sink().handle(published(video, Codec::Vp8, 2, base));
    let mut packets = packetize(&read_ivf(&small), Codec::Vp8, video, 1, base);
    // The large one is there from 1 s to 4 s.
    packets.extend(packetize(&read_ivf(&large), Codec::Vp8, video, 0, base + Duration::from_secs(1)));
    packets.sort_by_key(|packet| packet.arrival);
    feed(&recording, packets);
    finish(recording, &notices, base + Duration::from_secs(8));
    let manifest = recorder.store().manifest(&id).unwrap().unwrap();
    let parts: Vec<_> = manifest.tracks.iter().map(|track| (track.width, track.start_ms)).collect();
    assert_eq!(parts, [(Some(160), 0), (Some(320), 1000), (Some(160), 6000)]);
    for track in &manifest.tracks {
        let path = recorder.store().session_dir(&id).join("tracks").join(&track.file);
        assert_eq!(probe(&path).codec, "vp8");
        assert!(!decoded(&path).is_empty());
    }
}

#[test]
fn a_full_queue_drops_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, notices) = std::sync::mpsc::channel();
    // The writer thread stands still in its first notice until it may go on.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let mut config = RecorderConfig::new(folder.path());
    config.queue_packets = 100;
    let notify = move |notice: Notice| {
        let first = matches!(notice, Notice::Failed { .. });
        sender.send(notice).unwrap();
        if first {
            wait.lock().unwrap().recv().unwrap();
        }
    };
    let (recorder, _) = Recorder::open(config, Box::new(notify)).unwrap();
    let base = far_base();
    let broken = begin(&recorder, base);
    let recording = begin(&recorder, base);
    let (id, audio) = (recording.id(), publication_id(1, 0));
    break_tracks(&recorder, &broken);
    let frames: Vec<Encoded> =
        (0..400).map(|at| Encoded { time: at * 960, data: vec![0xf8, 0xff, 0xfe] }).collect();
    let packets = packetize(&frames, Codec::Opus, audio, 0, base);
    broken.sink().handle(published(audio, Codec::Opus, 1, base));
    feed(&broken, packets[..1].to_vec());
    let failed = notices.recv().unwrap();
    assert_eq!(failed, Notice::Failed { session: broken.id(), reason: FailReason::DiskFull });

    let mut sink = recording.sink();
    sink.handle(published(audio, Codec::Opus, 1, base));
    feed(&recording, packets);
    go.send(()).unwrap();
    recording.finish(base + Duration::from_secs(8));
    let overflow = notices.recv().unwrap();
    // What fits beside the announcement.
    assert_eq!(overflow, Notice::Overflow { session: id, packets: 301, events: 0 });
    assert_eq!(notices.recv().unwrap(), Notice::Finished { session: id });
    let manifest = recorder.store().manifest(&id).unwrap().unwrap();
    assert_eq!(manifest.tracks[0].duration_ms, 99 * 20);
}

/// Lets the first media file of a session be a device that is always full.
fn break_tracks(recorder: &Recorder, recording: &simmer_recorder::Recording) {
    let tracks = recorder.store().session_dir(&recording.id()).join("tracks");
    let name = format!("{}.0.mp4", publication_id(1, 0));
    std::os::unix::fs::symlink("/dev/full", tracks.join(name)).unwrap();
}

#[test]
fn a_disk_error_stops_one_recording_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, notices) = open(folder.path());
    let base = far_base();
    let (broken, sound) = (begin(&recorder, base), begin(&recorder, base));
    break_tracks(&recorder, &broken);
    let audio = publication_id(1, 0);
    let frames: Vec<Encoded> =
        (0..200).map(|at| Encoded { time: at * 960, data: vec![0xf8, 0xff, 0xfe] }).collect();
    for recording in [&broken, &sound] {
        recording.sink().handle(published(audio, Codec::Opus, 1, base));
        feed(recording, packetize(&frames, Codec::Opus, audio, 0, base));
    }
    let failed = notices.recv().unwrap();
    assert_eq!(failed, Notice::Failed { session: broken.id(), reason: FailReason::DiskFull });
    let id = sound.id();
    finish(sound, &notices, base + Duration::from_secs(4));
    assert_eq!(recorder.store().manifest(&id).unwrap().unwrap().tracks[0].duration_ms, 4000);
}

#[test]
fn a_folder_that_cannot_be_used_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    // No right is needed to fail here, and none helps.
    for data in [file.join("data"), "/proc/simmer".into()] {
        assert!(Recorder::open(RecorderConfig::new(data), Box::new(|_| {})).is_err());
    }
    let (recorder, _) = open(folder.path());
    assert!(Recorder::open(RecorderConfig::new(folder.path()), Box::new(|_| {})).is_err(), "two at once");
    let base = far_base();
    recorder.clone().shutdown();
    let info = SessionInfo { room: String::new(), title: String::new(), base, started_at_unix_ms: 0 };
    assert!(recorder.begin(info).is_err());
    assert!(recorder.store().list().unwrap().is_empty());
    drop(recorder);
    let (again, _) = open(folder.path());
    let sessions = folder.path().join("sessions");
    std::fs::remove_dir(&sessions).unwrap();
    std::fs::write(&sessions, "").unwrap();
    let info = SessionInfo { room: String::new(), title: String::new(), base, started_at_unix_ms: 0 };
    assert!(again.begin(info).is_err());
}
