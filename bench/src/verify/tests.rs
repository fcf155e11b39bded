use super::*;
use crate::source::{SourcePacket, VideoConfig, VideoSource};

struct Bed {
    now: Instant,
    flows: Flows,
    verifier: StreamVerifier,
    packets: Vec<SourcePacket>,
}

impl Bed {
    /// Ten seconds of video, all of it measured, and nothing received yet.
    fn new() -> Self {
        let now = Instant::now();
        let config =
            VideoConfig { publisher: 0, bitrate_bps: 1_500_000, fps: 30, width: 640, height: 360, seed: 1 };
        let mut source = VideoSource::new(config, now);
        let mut packets = Vec::new();
        while source.poll_timeout() < now + Duration::from_secs(10) {
            let due = source.poll_timeout();
            packets.extend(source.poll(due));
        }
        let flows = Flows::new(1, false);
        flows.open_window();
        flows.flow(0, MediaKind::Video).unwrap().sent(packets.len() as u64);
        flows.close_window();
        Self { now, flows, verifier: StreamVerifier::new(MediaKind::Video, 30), packets }
    }

    fn receive(&mut self, at: usize) -> Option<Verdict> {
        let sequence_number = (at as u16).wrapping_add(65_000);
        self.receive_as(at, sequence_number, false, |_| {})
    }

    fn receive_as(
        &mut self,
        at: usize,
        sequence_number: u16,
        retransmitted: bool,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Verdict> {
        let packet = &self.packets[at];
        let mut payload = packet.payload.to_vec();
        change(&mut payload);
        let received = Received {
            sequence_number,
            timestamp: packet.timestamp,
            marker: packet.marker,
            retransmitted,
            payload: &payload,
        };
        let at = self.now + (packet.due - self.now);
        self.verifier.receive(at, received, &self.flows)
    }
}

#[test]
fn a_perfect_stream_has_nothing_to_report() {
    let mut bed = Bed::new();
    let total = bed.packets.len();
    let first = (0..total).find_map(|at| bed.receive(at).unwrap().completed);
    assert_eq!(first, Some(true), "the first whole frame is a key frame");
    let at = bed.verifier.counts().packets as usize;
    for at in at..total {
        assert!(bed.receive(at).unwrap().measured);
    }
    let counts = bed.verifier.counts();
    assert_eq!(counts.frames, 300);
    assert!(counts.longest_gap_us < 80_000, "{}", counts.longest_gap_us);
    let expected = StreamCounts {
        packets: total as u64,
        measured: total as u64,
        frames: counts.frames,
        longest_gap_us: counts.longest_gap_us,
        ..StreamCounts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn loss_is_what_was_measured_less_what_came() {
    let mut bed = Bed::new();
    for at in 0..bed.packets.len() {
        if at % 100 != 50 {
            bed.receive(at);
        }
    }
    let counts = bed.verifier.counts();
    let sent = bed.flows.flow(0, MediaKind::Video).unwrap().measured();
    let lost = (0..bed.packets.len()).filter(|at| at % 100 == 50).count() as u64;
    assert_eq!(sent - counts.measured, lost);
    assert_eq!((counts.sequence_breaks, counts.picture_id_breaks, counts.timestamp_breaks), (0, 0, 0));
    assert!(counts.frames < 300);
}

#[test]
fn repetitions_and_changed_order_are_told_apart() {
    let mut bed = Bed::new();
    for at in [0, 1, 3, 2, 4, 4, 5, 1, 6] {
        bed.receive(at);
    }
    let counts = bed.verifier.counts();
    assert_eq!((counts.packets, counts.measured), (9, 7));
    assert_eq!((counts.duplicates, counts.reordered), (2, 1));
    assert_eq!((counts.sequence_breaks, counts.picture_id_breaks, counts.timestamp_breaks), (0, 0, 0));
}

#[test]
fn a_retransmission_is_recovered_not_reordered() {
    let mut bed = Bed::new();
    for at in [0, 1, 3] {
        bed.receive(at);
    }
    bed.receive_as(2, 65_002, true, |_| {});
    let counts = bed.verifier.counts();
    assert_eq!((counts.recovered, counts.reordered, counts.sequence_breaks), (1, 0, 0));
}

#[test]
fn changed_content_is_corrupt() {
    let mut bed = Bed::new();
    bed.receive(0);
    assert!(bed.receive_as(1, 65_001, false, |payload| payload[100] ^= 1).is_none());
    assert!(bed.receive_as(2, 65_002, false, |payload| payload.truncate(20)).is_none());
    assert_eq!(bed.verifier.counts().corrupt, 2);
}

#[test]
fn counts_that_do_not_go_on_are_breaks() {
    let mut bed = Bed::new();
    bed.receive(0);
    bed.receive_as(1, 65_009, false, |_| {});
    assert_eq!(bed.verifier.counts().sequence_breaks, 1);

    let mut bed = Bed::new();
    bed.receive(0);
    bed.receive_as(1, 65_001, false, |payload| payload[3] ^= 1);
    assert_eq!(bed.verifier.counts().picture_id_breaks, 1);

    let mut bed = Bed::new();
    bed.receive(0);
    bed.packets[1].timestamp ^= 1;
    bed.receive(1);
    assert_eq!(bed.verifier.counts().timestamp_breaks, 1);
}

#[test]
fn what_a_server_leaves_out_leaves_no_gap() {
    let mut bed = Bed::new();
    let frame_of = |bed: &Bed, at: usize| bed.packets[at].timestamp;
    let second = (0..).find(|at| frame_of(&bed, *at) != frame_of(&bed, 0)).unwrap();
    let third = (second..).find(|at| frame_of(&bed, *at) != frame_of(&bed, second)).unwrap();
    for at in 0..second {
        bed.receive(at);
    }
    let next = Vp8Descriptor::parse(&bed.packets[second].payload).unwrap();
    let sequence_number = (second as u16).wrapping_add(65_000);
    bed.receive_as(third, sequence_number, false, |payload| {
        payload[2..4].copy_from_slice(&(next.picture_id | 0x8000).to_be_bytes());
        payload[4] = next.tl0_picture_index;
    });
    let counts = bed.verifier.counts();
    assert_eq!(counts.left_out, (third - second) as u64);
    assert_eq!((counts.sequence_breaks, counts.picture_id_breaks, counts.timestamp_breaks), (0, 0, 0));
}

#[test]
fn what_was_kept_comes_in_quick_succession_where_a_slot_is_filled_anew() {
    for (filled_anew, breaks) in [(true, 0), (false, 3)] {
        let mut bed = Bed::new();
        if filled_anew {
            bed.verifier.restart();
        }
        let mut pictures: Vec<u32> = bed.packets.iter().map(|packet| packet.timestamp).collect();
        pictures.dedup();
        let (live, all) = (pictures[3], pictures[10]);
        for at in (0..).take_while(|at| bed.packets[*at].timestamp != all).collect::<Vec<_>>() {
            let timestamp = bed.packets[at].timestamp;
            if let Some(behind) = pictures[..3].iter().rev().position(|&picture| picture == timestamp) {
                bed.packets[at].timestamp = live - 90 * (behind as u32 + 1);
            }
            bed.receive(at);
        }
        assert_eq!(bed.verifier.counts().timestamp_breaks, breaks);
        // Once it has caught up its time is its own.
        let next = (0..).find(|at| bed.packets[*at].timestamp == all).unwrap();
        bed.packets[next].timestamp += 1;
        bed.receive(next);
        assert_eq!(bed.verifier.counts().timestamp_breaks, breaks + 1);
    }
}

#[test]
fn a_new_publication_in_the_slot_starts_over() {
    let mut bed = Bed::new();
    for at in 0..20 {
        bed.receive(at);
    }
    bed.verifier.restart();
    for at in 500..520 {
        bed.receive(at);
    }
    let counts = bed.verifier.counts();
    assert_eq!((counts.left_out, counts.sequence_breaks, counts.duplicates), (0, 0, 0));
}

#[test]
fn the_window_of_seen_numbers_survives_jumps() {
    let mut seen = SeenWindow::default();
    assert_eq!(seen.insert(10), Seen::New);
    assert_eq!(seen.insert(12), Seen::New);
    assert_eq!(seen.insert(11), Seen::Late);
    assert_eq!(seen.insert(11), Seen::Before);
    assert_eq!(seen.insert(12 + 3000), Seen::New);
    assert_eq!(seen.insert(2000), Seen::Late);
    assert_eq!(seen.insert(12 + 10_000), Seen::New);
    assert_eq!(seen.insert(9000), Seen::Late, "a number from the old window's place in the ring");
    assert_eq!(seen.insert(12), Seen::Before, "too old to tell");
}
