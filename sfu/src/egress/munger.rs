//! New sequence numbers and timestamps that run on without a gap, whatever is switched or dropped.

/// Renumbers one slot's packets.
///
/// An output number is the source's number plus an offset. The offset changes where packets are dropped on purpose and where the source changes;
/// a packet lost on its way to us keeps its number free, so that it can still come at its own place.
#[derive(Clone, Debug)]
pub struct RtpMunger {
    /// The highest number given out.
    highest: u64,
    highest_timestamp: u32,
    /// Where the present source begins: earlier numbers belong to nothing that is shown.
    first: u64,
    /// The source's highest number taken into account, forwarded or skipped.
    seen: u64,
    /// Stretches of the source with the same offsets each, the latest last; [`STRETCHES`] at most.
    stretches: Vec<Stretch>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    /// First source number of the stretch.
    from: u64,
    /// Subtracted from source numbers, wrapping.
    offset: u64,
    /// Subtracted from source timestamps, wrapping.
    ticks: u32,
}

/// A packet's numbers as sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Munged {
    /// The sequence number, extended; cycle 1 is the first.
    pub sequence: u64,
    /// The timestamp.
    pub timestamp: u32,
}

impl RtpMunger {
    /// The first packet gets the number after `start`, in cycle 1.
    pub fn new(start: u16) -> Self {
        Self {
            highest: 65_536 + u64::from(start),
            highest_timestamp: 0,
            first: u64::MAX,
            seen: 0,
            stretches: Vec::new(),
        }
    }

    /// Begins another source at this packet, which will be the next number, at `out_timestamp`.
    pub fn switch_to(&mut self, sequence: u64, timestamp: u32, out_timestamp: u32) {
        self.first = sequence;
        self.seen = sequence.saturating_sub(1);
        self.stretches.clear();
        let offset = sequence.wrapping_sub(self.highest + 1);
        self.stretches.push(Stretch { from: sequence, offset, ticks: timestamp.wrapping_sub(out_timestamp) });
        self.highest_timestamp = out_timestamp;
    }

    /// From this packet on timestamps are such that its own becomes `out_timestamp`; numbers run on. No later picture may have been sent, but later packets
    /// may have been skipped.
    pub fn retime(&mut self, sequence: u64, timestamp: u32, out_timestamp: u32) {
        let ticks = timestamp.wrapping_sub(out_timestamp);
        let Some(at) = self.stretches.iter().rposition(|stretch| stretch.from <= sequence) else { return };
        self.stretches[at + 1..].iter_mut().for_each(|later| later.ticks = ticks);
        let stretch = &mut self.stretches[at];
        if stretch.from == sequence {
            stretch.ticks = ticks;
        } else if stretch.ticks != ticks {
            let from = Stretch { from: sequence, ticks, ..*stretch };
            self.begin(from);
        }
    }

    /// The numbers for a packet that is sent; `None` when it has no place: before the source's beginning, or too long ago.
    #[inline]
    pub fn forward(&mut self, sequence: u64, timestamp: u32) -> Option<Munged> {
        if !self.stretches.is_empty() && sequence > self.seen.saturating_add(MAX_JUMP) {
            self.restart(sequence, timestamp);
        }
        let (out, ticks) = self.place(sequence)?;
        self.seen = self.seen.max(sequence);
        let timestamp = timestamp.wrapping_sub(ticks);
        if out > self.highest {
            self.highest = out;
            self.highest_timestamp = timestamp;
        }
        Some(Munged { sequence: out, timestamp })
    }

    /// The source began anew. Its jump must not reach the output, or receivers lose count of the rollovers (RFC 3711 section 3.3.1). A timestamp
    /// out of reach follows the last one by a picture's time.
    fn restart(&mut self, sequence: u64, timestamp: u32) {
        let ticks = self.stretches.last().map_or(0, |last| last.ticks);
        let same_clock = timestamp.wrapping_sub(ticks);
        let near = same_clock.wrapping_sub(self.highest_timestamp) < MAX_TICKS;
        let out = if near { same_clock } else { self.highest_timestamp.wrapping_add(RESTART_TICKS) };
        self.switch_to(sequence, timestamp, out);
    }

    /// A packet is dropped on purpose: what follows closes up. One that comes late, when its successors are sent already, leaves its number empty:
    /// `true`, and the number is what [`forward`](Self::forward) gives.
    pub fn skip(&mut self, sequence: u64) -> bool {
        let only = self.stretches.len() == 1;
        let Some(last) = self.stretches.last_mut() else { return false };
        if sequence <= self.seen {
            return true;
        }
        self.seen = sequence;
        let next = Stretch { from: sequence + 1, offset: last.offset.wrapping_add(1), ticks: last.ticks };
        if last.from == sequence {
            // Nothing was sent under the last offset: replace it, but for the number that the skipped one leaves.
            *last = next;
            if only {
                self.first = next.from;
            }
            return false;
        }
        self.begin(next);
        false
    }

    /// The timestamp sent last.
    pub fn last_timestamp(&self) -> u32 {
        self.highest_timestamp
    }

    fn begin(&mut self, stretch: Stretch) {
        if self.stretches.len() == STRETCHES {
            self.stretches.remove(0);
            self.first = self.stretches[0].from;
        }
        let at =
            self.stretches.iter().rposition(|one| one.from <= stretch.from).map_or(0, |before| before + 1);
        self.stretches.insert(at, stretch);
    }

    /// The number, and what is to be subtracted from the timestamp.
    #[inline]
    fn place(&self, sequence: u64) -> Option<(u64, u32)> {
        if sequence < self.first {
            return None;
        }
        let at = self.stretches.iter().rposition(|stretch| stretch.from <= sequence)?;
        let stretch = self.stretches[at];
        let out = sequence.wrapping_sub(stretch.offset);
        // Numbers that a later stretch has taken over belong to packets dropped on purpose.
        let taken = self
            .stretches
            .get(at + 1)
            .is_some_and(|next| sequence + 1 == next.from && out == next.from.wrapping_sub(next.offset));
        (!taken).then_some((out, stretch.ticks))
    }
}

/// A stream in order never goes further ahead: the ingress takes such a step for a new beginning.
const MAX_JUMP: u64 = 3000;
/// Ten seconds of video.
const MAX_TICKS: u32 = 900_000;
/// A picture at 30 per second.
const RESTART_TICKS: u32 = 3000;
/// How many changes of offset are remembered: late packets from before the oldest are not sent. At a drop for every second picture of 30 per
/// second this reaches back four seconds, further than anything is repaired.
const STRETCHES: usize = 64;
