//! Checks one received stream packet by packet against what its publisher says it sent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::flow::Flows;
use crate::mark::Mark;
use crate::source::{AUDIO_CLOCK, MediaKind, VIDEO_CLOCK, Vp8Descriptor};

/// A received packet, after retransmissions were put back into their stream.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The RTP sequence number.
    pub sequence_number: u16,
    /// The RTP timestamp.
    pub timestamp: u32,
    /// The RTP marker bit.
    pub marker: bool,
    /// Whether it came as a retransmission.
    pub retransmitted: bool,
    /// The RTP payload.
    pub payload: &'a [u8],
}

/// What a packet turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The packet's mark.
    pub mark: Mark,
    /// Whether the packet counts for the measuring window; false for repetitions.
    pub measured: bool,
    /// Whether it completed a frame, and a key frame at that.
    pub completed: Option<bool>,
}

/// Counts of one stream, or sums of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Packets that arrived, repetitions included, since the stream began.
    pub packets: u64,
    /// Different packets of the measuring window that arrived.
    pub measured: u64,
    /// Of these, the ones that came as retransmissions.
    pub recovered: u64,
    /// Packets without a valid mark.
    pub corrupt: u64,
    /// Packets that had been there before.
    pub duplicates: u64,
    /// Packets that came after one sent later, retransmissions not counted.
    pub reordered: u64,
    /// Packets the server left out without a gap in its sequence numbers.
    pub left_out: u64,
    /// Sequence numbers that do not go on as the content does.
    pub sequence_breaks: u64,
    /// Picture ids or layer indices that do not go on as the frames do, or differ within a frame.
    pub picture_id_breaks: u64,
    /// Timestamps that do not go on as the frames do, or differ within a frame.
    pub timestamp_breaks: u64,
    /// Marker bits that are not on the last packet of a frame.
    pub marker_errors: u64,
    /// Frames that arrived whole.
    pub frames: u64,
    /// Frames of which something never came.
    pub frames_incomplete: u64,
    /// The longest time between two whole frames within the measuring window, in microseconds.
    pub longest_gap_us: u64,
    /// Gaps between whole frames in the window that are longer than three intervals, and than one and 150 ms.
    pub freezes: u64,
}

impl StreamCounts {
    /// Adds another stream's counts; of gaps, the longest stays.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.measured += other.measured;
        self.recovered += other.recovered;
        self.corrupt += other.corrupt;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.left_out += other.left_out;
        self.sequence_breaks += other.sequence_breaks;
        self.picture_id_breaks += other.picture_id_breaks;
        self.timestamp_breaks += other.timestamp_breaks;
        self.marker_errors += other.marker_errors;
        self.frames += other.frames;
        self.frames_incomplete += other.frames_incomplete;
        self.longest_gap_us = self.longest_gap_us.max(other.longest_gap_us);
        self.freezes += other.freezes;
    }
}

/// Verifies one stream from one publisher.
///
/// The offsets between what the content counts (packets, frames) and what the server counts (sequence numbers,
/// picture ids, timestamps) stay the same as long as the server leaves nothing out. Where it does leave packets
/// out, its own counts must go on without a gap.
#[derive(Debug)]
pub struct StreamVerifier {
    kind: MediaKind,
    ticks_per_frame: u32,
    counts: StreamCounts,
    publisher: Option<u32>,
    seen: SeenWindow,
    last: Option<Last>,
    frames: BTreeMap<u32, FrameProgress>,
    last_whole: Option<Instant>,
    /// Pictures that may still come in quick succession: a slot that is filled anew may begin with what was kept.
    catching_up: u32,
}

impl StreamVerifier {
    /// For a stream of `kind`; `fps` is the publisher's frame rate, which audio ignores.
    pub fn new(kind: MediaKind, fps: u32) -> Self {
        let ticks_per_frame = match kind {
            MediaKind::Video => (VIDEO_CLOCK / u64::from(fps.max(1))) as u32,
            MediaKind::Audio => 960,
        };
        Self {
            kind,
            ticks_per_frame,
            counts: StreamCounts::default(),
            publisher: None,
            seen: SeenWindow::default(),
            last: None,
            frames: BTreeMap::new(),
            last_whole: None,
            catching_up: 0,
        }
    }

    /// Checks a packet; none when it carries no valid mark of this kind.
    pub fn receive(&mut self, now: Instant, packet: Received<'_>, flows: &Flows) -> Option<Verdict> {
        self.counts.packets += 1;
        let descriptor = match self.kind {
            MediaKind::Video => Vp8Descriptor::parse(packet.payload),
            MediaKind::Audio => Some(Vp8Descriptor { picture_id: 0, tl0_picture_index: 0, len: 0 }),
        };
        let mark = descriptor
            .and_then(|descriptor| packet.payload.get(descriptor.len..))
            .and_then(|media| Mark::open(media).ok());
        let (Some(descriptor), Some(mark)) = (descriptor, mark.filter(|mark| mark.kind == self.kind)) else {
            self.counts.corrupt += 1;
            return None;
        };
        if packet.marker != (self.kind == MediaKind::Video && mark.index + 1 == mark.count) {
            self.counts.marker_errors += 1;
        }
        if self.publisher.replace(mark.publisher).is_some_and(|before| before != mark.publisher) {
            self.restart();
        }
        let mut verdict = Verdict { mark, measured: false, completed: None };
        match self.seen.insert(mark.number) {
            Seen::Before => {
                self.counts.duplicates += 1;
                return Some(verdict);
            }
            Seen::Late => self.counts.reordered += u64::from(!packet.retransmitted),
            Seen::New => {}
        }
        self.check_continuity(&packet, descriptor, &mark);
        verdict.measured =
            flows.flow(mark.publisher, self.kind).is_some_and(|flow| flow.measures(mark.number));
        if verdict.measured {
            self.counts.measured += 1;
            self.counts.recovered += u64::from(packet.retransmitted);
        }
        verdict.completed = self.progress(now, &mark, verdict.measured);
        Some(verdict)
    }

    /// What was counted so far.
    pub fn counts(&self) -> StreamCounts {
        self.counts
    }

    /// Forgets where the stream stood: it carries another publisher's content now, or will.
    pub fn restart(&mut self) {
        self.counts.frames_incomplete += self.frames.len() as u64;
        self.seen = SeenWindow::default();
        self.last = None;
        self.frames.clear();
        self.last_whole = None;
        self.catching_up = CATCH_UP;
    }

    fn check_continuity(&mut self, packet: &Received<'_>, descriptor: Vp8Descriptor, mark: &Mark) {
        let this = Last {
            number: mark.number,
            frame: mark.frame,
            sequence_number: packet.sequence_number,
            timestamp: packet.timestamp,
            picture_id: descriptor.picture_id,
            tl0: descriptor.tl0_picture_index,
        };
        let Some(last) = self.last else {
            self.last = Some(this);
            return;
        };
        let numbers = this.number.wrapping_sub(last.number);
        let frames = this.frame.wrapping_sub(last.frame);
        let sequence = this.sequence_number.wrapping_sub(last.sequence_number);
        let picture_ids = this.picture_id.wrapping_sub(last.picture_id) & 0x7fff;
        let layer_indices = this.tl0.wrapping_sub(last.tl0);
        let ticks = this.timestamp.wrapping_sub(last.timestamp);
        let left_out = this.number > last.number && numbers > 1 && sequence == 1;
        if left_out {
            self.counts.left_out += numbers - 1;
        } else if sequence != numbers as u16 {
            self.counts.sequence_breaks += 1;
        }
        if self.kind == MediaKind::Video {
            let same = picture_ids == frames as u16 & 0x7fff && layer_indices == frames as u8;
            let closed_up = left_out && picture_ids <= 1 && layer_indices <= 1;
            if !same && !closed_up {
                self.counts.picture_id_breaks += 1;
            }
        }
        if ticks == frames.wrapping_mul(self.ticks_per_frame) {
            self.catching_up = if frames == 1 { 0 } else { self.catching_up };
        } else if self.catching_up > 0 && frames < 1 << 31 && ticks < 1 << 31 {
            self.catching_up -= 1;
        } else {
            self.counts.timestamp_breaks += 1;
        }
        if this.number > last.number {
            self.last = Some(this);
        }
    }

    /// Counts the packet for its frame; whether that completed it, and a key frame.
    fn progress(&mut self, now: Instant, mark: &Mark, measured: bool) -> Option<bool> {
        let frame = self
            .frames
            .entry(mark.frame)
            .or_insert(FrameProgress { missing: mark.count.max(1), key: mark.key });
        frame.missing = frame.missing.saturating_sub(1);
        if frame.missing > 0 {
            while self.frames.len() > FRAMES_IN_PROGRESS {
                self.frames.pop_first();
                self.counts.frames_incomplete += 1;
            }
            return None;
        }
        let key = frame.key;
        self.frames.remove(&mark.frame);
        self.counts.frames += 1;
        if let (Some(last), true) = (self.last_whole, measured) {
            let gap = now.saturating_duration_since(last).min(Duration::from_secs(3600));
            self.counts.longest_gap_us = self.counts.longest_gap_us.max(gap.as_micros() as u64);
            let clock = if self.kind == MediaKind::Video { VIDEO_CLOCK } else { AUDIO_CLOCK };
            let interval = Duration::from_secs_f64(f64::from(self.ticks_per_frame) / clock as f64);
            self.counts.freezes += u64::from(gap > (interval * 3).max(interval + FREEZE));
        }
        self.last_whole = Some(now);
        Some(key)
    }
}

/// Which of the last numbers were seen, to tell new, late and repeated ones apart.
#[derive(Debug)]
pub struct SeenWindow {
    highest: Option<u64>,
    bits: [u64; SEEN / 64],
}

/// What [`SeenWindow::insert`] says of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Higher than all before.
    New,
    /// Not seen before, but a higher one was.
    Late,
    /// Seen before, or too old to tell.
    Before,
}

impl Default for SeenWindow {
    fn default() -> Self {
        Self { highest: None, bits: [0; SEEN / 64] }
    }
}

impl SeenWindow {
    /// Notes `number` and says what it is.
    pub fn insert(&mut self, number: u64) -> Seen {
        let verdict = match self.highest {
            None => Seen::New,
            Some(highest) if number > highest => {
                if number - highest >= SEEN as u64 {
                    self.bits = [0; SEEN / 64];
                } else {
                    for passed in highest + 1..number {
                        self.set(passed, false);
                    }
                }
                Seen::New
            }
            Some(highest) if highest - number >= SEEN as u64 || self.is_set(number) => return Seen::Before,
            Some(_) => Seen::Late,
        };
        if verdict == Seen::New {
            self.highest = Some(number);
        }
        self.set(number, true);
        verdict
    }

    fn set(&mut self, number: u64, seen: bool) {
        let at = (number % SEEN as u64) as usize;
        let bit = 1 << (at % 64);
        if let Some(word) = self.bits.get_mut(at / 64) {
            if seen {
                *word |= bit;
            } else {
                *word &= !bit;
            }
        }
    }

    fn is_set(&self, number: u64) -> bool {
        let at = (number % SEEN as u64) as usize;
        self.bits.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }
}

#[derive(Clone, Copy, Debug)]
struct Last {
    number: u64,
    frame: u32,
    sequence_number: u16,
    timestamp: u32,
    picture_id: u16,
    tl0: u8,
}

#[derive(Debug)]
struct FrameProgress {
    missing: u16,
    key: bool,
}

/// What a gap between frames may be longer than their interval before eyes and ears notice.
const FREEZE: Duration = Duration::from_millis(150);
const SEEN: usize = 4096;
/// A second of them.
const CATCH_UP: u32 = 30;
const FRAMES_IN_PROGRESS: usize = 64;

#[cfg(test)]
mod tests;
