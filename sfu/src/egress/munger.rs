//! Continuous sequence numbers and timestamps, whatever is dropped, late or switched.

use std::collections::VecDeque;

/// Renumbers the packets of one source after another into one stream.
///
/// A packet's number is its source number plus an offset that an intended drop lowers for all later packets. What is lost on the
/// way to us stays a gap and finds its own place when it is repaired.
#[derive(Clone, Debug)]
pub struct RtpMunger {
    /// One above the highest number given out.
    next: u64,
    source: Option<Source>,
    /// Source numbers dropped on purpose, ascending, at most [`MAX_SKIPS`].
    skips: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    /// Numbers below belong to before the switch, or are too old to be placed.
    first: u64,
    highest: Option<u64>,
    /// Output number = source number - `from` + `to` - skips below it.
    from: u64,
    to: u64,
    timestamp_offset: u32,
    /// The last one given out.
    last_timestamp: u32,
}

/// A packet's place in the output.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Munged {
    /// The extended sequence number.
    pub sequence: u64,
    /// The timestamp.
    pub timestamp: u32,
}

impl RtpMunger {
    /// The first packet gets the number 65536 + `start`.
    pub fn new(start: u16) -> Self {
        Self { next: FIRST_CYCLE + u64::from(start), source: None, skips: VecDeque::with_capacity(MAX_SKIPS) }
    }

    /// Starts a new source at this packet: its number follows the highest given out, its timestamp becomes `out_timestamp`.
    pub fn switch_to(&mut self, sequence: u64, timestamp: u32, out_timestamp: u32) {
        self.skips.clear();
        self.source = Some(Source {
            first: sequence,
            highest: None,
            from: sequence,
            to: self.next,
            timestamp_offset: out_timestamp.wrapping_sub(timestamp),
            last_timestamp: out_timestamp,
        });
    }

    /// The place of a source packet; `None` when it belongs to before the switch, was dropped on purpose, or is too old. The caller gives each
    /// source number once.
    #[inline]
    pub fn forward(&mut self, sequence: u64, timestamp: u32) -> Option<Munged> {
        let source = self.source.as_mut()?;
        if sequence < source.first {
            return None;
        }
        if source.highest.is_some_and(|highest| sequence.saturating_sub(highest) > MAX_JUMP) {
            self.restart(sequence, timestamp);
            return self.forward(sequence, timestamp);
        }
        let skipped = self.skips.partition_point(|&skip| skip < sequence);
        if self.skips.get(skipped) == Some(&sequence) {
            return None;
        }
        let out = sequence.wrapping_sub(source.from).wrapping_add(source.to).wrapping_sub(skipped as u64);
        source.highest = source.highest.max(Some(sequence));
        self.next = self.next.max(out.wrapping_add(1));
        let timestamp = timestamp.wrapping_add(source.timestamp_offset);
        source.last_timestamp = timestamp;
        Some(Munged { sequence: out, timestamp })
    }

    /// The source began anew. Its jump must not reach the output: a receiver would lose count of the rollovers (RFC 3711 section 3.3.1). A
    /// timestamp out of reach follows the last one by a few hundredths of a second.
    fn restart(&mut self, sequence: u64, timestamp: u32) {
        let Some(source) = self.source else { return };
        let same_clock = timestamp.wrapping_add(source.timestamp_offset);
        let near = same_clock.wrapping_sub(source.last_timestamp) < MAX_TICKS;
        let out = if near { same_clock } else { source.last_timestamp.wrapping_add(RESTART_TICKS) };
        self.switch_to(sequence, timestamp, out);
    }

    /// Drops a source packet on purpose. Its gap is closed only while nothing after it has been sent: later, the numbers behind it
    /// stand already and it stays a gap, as if lost.
    #[inline]
    pub fn skip(&mut self, sequence: u64) {
        let Some(source) = &mut self.source else { return };
        if sequence < source.first || source.highest.is_some_and(|highest| sequence < highest) {
            return;
        }
        let at = self.skips.partition_point(|&skip| skip < sequence);
        if self.skips.get(at) == Some(&sequence) {
            return;
        }
        // Full: the oldest is folded into the offset, and what comes late from before it has no place any more.
        if self.skips.len() >= MAX_SKIPS
            && let Some(oldest) = self.skips.pop_front()
        {
            source.from += 1;
            source.first = oldest + 1;
            let at = self.skips.partition_point(|&skip| skip < sequence);
            self.skips.insert(at, sequence);
        } else {
            self.skips.insert(at, sequence);
        }
    }
}

const FIRST_CYCLE: u64 = 1 << 16;
/// More than the source's numbers ever go ahead without having begun anew.
const MAX_JUMP: u64 = 1 << 15;
/// Ten seconds of video.
const MAX_TICKS: u32 = 900_000;
/// A picture at 30 per second; three packets of sound.
const RESTART_TICKS: u32 = 3_000;
/// Intended drops remembered.
const MAX_SKIPS: usize = 128;
