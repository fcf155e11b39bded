use bytes::Bytes;
use simmer_sfu::id::{Mid, ParticipantId};

use super::*;

/// A track of two VP8 encodings, with a folder to write to.
struct Fixture {
    folder: tempfile::TempDir,
    journal: Journal,
    base: Instant,
    next_file: u32,
    sequence: [u64; 2],
    track: Track,
}

fn fixture(codec: Codec) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(&folder.path().join("journal.bin")).unwrap();
    let id = PublicationId { participant: ParticipantId(1), index: 0 };
    let publication = Publication { id, mid: Mid::new(b"0").unwrap(), codec, encodings: vec![None; 2] };
    let track = Track::new(&publication).unwrap();
    Fixture { folder, journal, base: Instant::now(), next_file: 0, sequence: [1; 2], track }
}

impl Fixture {
    fn at(&self, ms: u64) -> Instant {
        self.base + Duration::from_millis(ms)
    }

    /// A frame of one packet that arrives at `ms` and says it was taken at `media_ms`.
    fn frame(&mut self, ms: u64, encoding: u8, media_ms: u64, payload: &[u8]) {
        let sequence = &mut self.sequence[usize::from(encoding)];
        *sequence += 1;
        let packet = SinkPacket {
            publication: self.track.publication,
            encoding,
            arrival: self.base + Duration::from_millis(ms),
            sequence: *sequence,
            rtp_time: media_ms as u32 * (self.track.codec.clock_rate() / 1000),
            marker: true,
            payload: Bytes::copy_from_slice(payload),
        };
        let now = packet.arrival;
        let mut context = Context {
            dir: self.folder.path(),
            journal: &mut self.journal,
            base: self.base,
            next_file: &mut self.next_file,
        };
        self.track.handle_packet(packet, now, &mut context).unwrap();
    }

    fn wants(&mut self, ms: u64) -> Option<u8> {
        let now = self.at(ms);
        self.track.wants_key(now)
    }
}

fn key(width: u8) -> [u8; 11] {
    [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, width, 0, 8, 0]
}

const INTER: &[u8] = &[0x10, 0x11, 0, 0];

#[test]
fn a_key_frame_is_asked_for_when_it_is_needed_and_once_a_second() {
    let mut fixture = fixture(Codec::Vp8);
    assert_eq!(fixture.wants(0), None, "nothing is sent");
    fixture.frame(0, 0, 0, INTER);
    assert_eq!(fixture.wants(1), Some(0));
    fixture.frame(900, 0, 900, INTER);
    assert_eq!(fixture.wants(1000), None, "not again so soon");
    assert_eq!(fixture.wants(1001), Some(0));
    fixture.frame(1100, 0, 1100, &key(16));
    for ms in (1200..=5000).step_by(100) {
        fixture.frame(ms, 0, ms, INTER);
        assert_eq!(fixture.wants(ms), None, "{ms}");
    }
    fixture.frame(5100, 0, 5100, INTER);
    assert_eq!(fixture.wants(5100), Some(0), "the last one is 4 s old");
}

#[test]
fn a_better_encoding_is_asked_for_and_taken_at_its_key_frame() {
    let mut fixture = fixture(Codec::Vp8);
    let small = key(16);
    // Against the convention, the second is the larger one.
    fixture.frame(0, 0, 0, &key(16));
    fixture.frame(10, 1, 10, &key(32));
    assert_eq!(fixture.track.current, Some(1));
    for ms in (100..=1600).step_by(100) {
        fixture.frame(ms, 0, ms, if ms == 1000 { &small } else { INTER });
        if ms < 1500 {
            assert_eq!(fixture.track.current, Some(1), "{ms}: silent for less than 1.5 s");
        }
    }
    assert_eq!(fixture.wants(1600), Some(0), "the smaller one is all there is");
    fixture.frame(1700, 0, 1700, &key(16));
    assert_eq!(fixture.track.current, Some(0));
    fixture.frame(3000, 1, 3000, INTER);
    assert_eq!(fixture.wants(3000), Some(1), "the larger one is back");
    fixture.frame(3100, 1, 3100, &key(32));
    assert_eq!((fixture.track.current, fixture.track.parts), (Some(1), 4));
}

#[test]
fn a_time_that_cannot_be_starts_few_files() {
    let mut video = fixture(Codec::Vp8);
    let mut audio = fixture(Codec::Opus);
    for at in 0..200u64 {
        // An hour to and fro, every 20 ms.
        let media_ms = (at % 2) * 3_600_000 + at * 20;
        video.frame(at * 20, 0, media_ms, &key(16));
        audio.frame(at * 20, 0, media_ms, &[0xf8, 0xff, 0xfe]);
    }
    assert!((2..=5).contains(&video.track.parts), "{}", video.track.parts);
    assert!((2..=5).contains(&audio.track.parts), "{}", audio.track.parts);
}

#[test]
fn a_time_is_unwrapped_both_ways() {
    let mut unwrapper = Unwrapper::default();
    let times = [u32::MAX - 1, 3, u32::MAX, 1 << 31, 0];
    let unwrapped: Vec<i64> = times.into_iter().map(|time| unwrapper.unwrap(time)).collect();
    let wrap = 1i64 << 32;
    assert_eq!(unwrapped, [wrap - 2, wrap + 3, wrap - 1, 1 << 31, 0]);
}
