//! Test media, made by ffmpeg at test time, and what ffmpeg and ffprobe make of a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use simmer_recorder::{Notice, Recorder, RecorderConfig, Recording, SessionInfo};
use simmer_sfu::codec::Codec;
use simmer_sfu::id::{Mid, ParticipantId, PublicationId};
use simmer_sfu::sink::{Publication, SinkEvent, SinkPacket};

/// One encoded frame and its time in ticks of the codec's clock.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) time: u64,
    pub(crate) data: Vec<u8>,
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-threads", "1"]);
    command
}

/// A moving test picture as VP8 in an IVF file.
pub(crate) fn make_ivf(path: &Path, size: &str, seconds: u32, keys_every: u32) {
    let source = format!("testsrc2=size={size}:rate=30:duration={seconds}");
    run(ffmpeg()
        .args(["-f", "lavfi", "-i", &source, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"])
        .args(["-b:v", "300k", "-g", &keys_every.to_string(), "-auto-alt-ref", "0"])
        .arg(path));
}

/// A tone as Opus in an Ogg file, 20 ms packets.
pub(crate) fn make_ogg(path: &Path, seconds: u32) {
    let source = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    run(ffmpeg().args(["-f", "lavfi", "-i", &source, "-c:a", "libopus", "-b:a", "32k"]).arg(path));
}

pub(crate) fn read_ivf(path: &Path) -> Vec<Encoded> {
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[32..];
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
        let time = u64::from_le_bytes(rest[4..12].try_into().unwrap());
        frames.push(Encoded { time: time * 3000, data: rest[12..12 + length].to_vec() });
        rest = &rest[12 + length..];
    }
    frames
}

/// The packets of an Ogg Opus file (RFC 3533), without its two header packets.
pub(crate) fn read_ogg(path: &Path) -> Vec<Encoded> {
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[..];
    let mut packets: Vec<Vec<u8>> = vec![Vec::new()];
    while !rest.is_empty() {
        assert_eq!(&rest[..4], b"OggS");
        let lacing = rest[27..27 + usize::from(rest[26])].to_vec();
        rest = &rest[27 + lacing.len()..];
        for length in lacing {
            let (part, after) = rest.split_at(length.into());
            packets.last_mut().unwrap().extend_from_slice(part);
            rest = after;
            if length < 255 {
                packets.push(Vec::new());
            }
        }
    }
    packets.pop();
    let packets = packets.into_iter().skip(2).enumerate();
    packets.map(|(at, data)| Encoded { time: at as u64 * 960, data }).collect()
}

/// RTP packets as a sink gets them, sent in time with the media from `start` on.
pub(crate) fn packetize(
    frames: &[Encoded],
    codec: Codec,
    publication: PublicationId,
    encoding: u8,
    start: Instant,
) -> Vec<SinkPacket> {
    let mut packets = Vec::new();
    for frame in frames {
        let arrival = start + Duration::from_micros(frame.time * 1_000_000 / u64::from(codec.clock_rate()));
        let chunks: Vec<&[u8]> = match codec {
            Codec::Vp8 => frame.data.chunks(1100).collect(),
            _ => vec![&frame.data],
        };
        for (at, chunk) in chunks.iter().enumerate() {
            let mut payload = Vec::new();
            if codec == Codec::Vp8 {
                // With a 15-bit picture id, as browsers send it.
                payload.extend_from_slice(&[
                    if at == 0 { 0x90 } else { 0x80 },
                    0x80,
                    0x80,
                    (frame.time / 3000) as u8,
                ]);
            }
            payload.extend_from_slice(chunk);
            packets.push(SinkPacket {
                publication,
                encoding,
                arrival,
                sequence: 65_536 + 65_000 + packets.len() as u64,
                rtp_time: RTP_START.wrapping_add(frame.time as u32),
                marker: at + 1 == chunks.len(),
                payload: Bytes::from(payload),
            });
        }
    }
    packets
}

/// Wraps soon.
pub(crate) const RTP_START: u32 = u32::MAX - 100_000;

pub(crate) fn publication_id(participant: u64, index: u16) -> PublicationId {
    PublicationId { participant: ParticipantId(participant), index }
}

pub(crate) fn published(id: PublicationId, codec: Codec, encodings: usize, now: Instant) -> SinkEvent {
    let publication =
        Publication { id, mid: Mid::new(b"0").unwrap(), codec, encodings: vec![None; encodings] };
    SinkEvent::Published { now, publication }
}

/// A moment that the clock does not reach in a test, so that only the media's own time counts.
pub(crate) fn far_base() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

pub(crate) type Notices = std::sync::mpsc::Receiver<Notice>;

pub(crate) fn open(data: &Path) -> (Recorder, Notices) {
    let (sender, notices) = std::sync::mpsc::channel();
    let mut config = RecorderConfig::new(data);
    config.queue_packets = 1 << 20;
    let (recorder, recovered) =
        Recorder::open(config, Box::new(move |notice| drop(sender.send(notice)))).unwrap();
    assert!(recovered.is_empty());
    (recorder, notices)
}

pub(crate) fn begin(recorder: &Recorder, base: Instant) -> Recording {
    let info = SessionInfo {
        room: "kitchen".into(),
        title: "Pasta".into(),
        base,
        started_at_unix_ms: 1_700_000_000_000,
    };
    recorder.begin(info).unwrap()
}

/// Hands events to the recording in the order of their arrival.
pub(crate) fn feed(recording: &Recording, packets: impl IntoIterator<Item = SinkPacket>) {
    let mut sink = recording.sink();
    packets.into_iter().for_each(|packet| sink.handle(SinkEvent::Packet(packet)));
}

/// Ends the recording and waits for the replay; all other notices on the way are returned.
pub(crate) fn finish(recording: Recording, notices: &Notices, ended_at: Instant) -> Vec<Notice> {
    let session = recording.id();
    recording.finish(ended_at);
    let mut others = Vec::new();
    loop {
        match notices.recv().unwrap() {
            Notice::Finished { session: finished } if finished == session => return others,
            Notice::Failed { reason, .. } => panic!("{reason:?}"),
            other => others.push(other),
        }
    }
}

/// What ffprobe says of a file.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) codec: String,
    pub(crate) duration: f64,
    pub(crate) packets: usize,
}

pub(crate) fn probe(path: &Path) -> Probe {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-show_streams", "-show_format", "-show_packets", "-of", "flat"]).arg(path);
    let out = run(&mut command);
    let fields: BTreeMap<&str, &str> = out
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key, value.trim_matches('"')))
        .collect();
    Probe {
        codec: fields["streams.stream.0.codec_name"].to_owned(),
        duration: fields["format.duration"].parse().unwrap(),
        packets: fields
            .keys()
            .filter(|key| key.starts_with("packets.packet.") && key.ends_with(".size"))
            .count(),
    }
}

/// Digests of the decoded pictures.
pub(crate) fn decoded(path: &Path) -> Vec<String> {
    let out = run(ffmpeg().arg("-i").arg(path).args(["-fps_mode", "passthrough", "-f", "framemd5", "-"]));
    digests(&out)
}

/// Digests of the encoded packets.
pub(crate) fn copied(path: &Path) -> Vec<String> {
    let out = run(ffmpeg().arg("-i").arg(path).args(["-c", "copy", "-f", "framemd5", "-"]));
    digests(&out)
}

fn digests(out: &str) -> Vec<String> {
    let frames = out.lines().filter(|line| !line.starts_with('#'));
    // Stream, dts, pts, duration, size, digest; digests of side data may follow.
    frames.map(|line| line.split(',').nth(5).unwrap().trim().to_owned()).collect()
}
