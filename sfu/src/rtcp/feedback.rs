//! Transport-wide feedback, read without trust (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

/// A feedback packet whose statuses and deltas are all there.
#[derive(Clone, Copy, Debug)]
pub struct TransportFeedback<'a> {
    base: u16,
    statuses: u16,
    reference: u32,
    count: u8,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    /// Reads what follows the two SSRCs. `None` where the statuses or deltas it promises are not all there, or a status is the reserved one.
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        let (&[b0, b1, s0, s1, r0, r1, r2, count], rest) = body.split_first_chunk::<8>()?;
        let statuses = u16::from_be_bytes([s0, s1]);
        let (mut left, mut chunks_len, mut deltas_len) = (usize::from(statuses), 0usize, 0usize);
        while left > 0 {
            let mut chunk = Chunk::read(rest.get(chunks_len..)?)?;
            chunks_len = chunks_len.checked_add(2)?;
            let covered = chunk.left.min(left);
            left = left.saturating_sub(covered);
            if let Chunk { run: Some(status), .. } = chunk {
                deltas_len = deltas_len.checked_add(delta_len(status)?.checked_mul(covered)?)?;
                continue;
            }
            for _ in 0..covered {
                deltas_len = deltas_len.checked_add(delta_len(chunk.take())?)?;
            }
        }
        let (chunks, rest) = rest.split_at_checked(chunks_len)?;
        Some(Self {
            base: u16::from_be_bytes([b0, b1]),
            statuses,
            reference: u32::from_be_bytes([0, r0, r1, r2]),
            count,
            chunks,
            deltas: rest.get(..deltas_len)?,
        })
    }

    /// The first transport-wide number it is about.
    pub fn base(&self) -> u16 {
        self.base
    }

    /// How many numbers it is about.
    pub fn statuses(&self) -> u16 {
        self.statuses
    }

    /// The receiver's clock at the reference that arrivals are told from: 24 bits, in units of 64 ms, of any origin.
    pub fn reference(&self) -> u32 {
        self.reference
    }

    /// Which feedback packet it is; one more each, 8 bits.
    pub fn count(&self) -> u8 {
        self.count
    }

    /// Whether any of them arrived. If not, the reference means nothing.
    pub fn has_arrivals(&self) -> bool {
        !self.deltas.is_empty()
    }

    /// The numbers in ascending order, each with its arrival in microseconds since the reference (possibly before it), `None` where it has not
    /// arrived.
    pub fn arrivals(&self) -> Arrivals<'a> {
        Arrivals {
            next: self.base,
            left: self.statuses,
            chunk: Chunk::default(),
            chunks: self.chunks,
            deltas: self.deltas,
            time: 0,
        }
    }
}

/// Iterates over a feedback packet's numbers.
#[derive(Clone, Debug)]
pub struct Arrivals<'a> {
    next: u16,
    left: u16,
    chunk: Chunk,
    chunks: &'a [u8],
    deltas: &'a [u8],
    time: i64,
}

impl Iterator for Arrivals<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.chunk.left == 0 {
            self.chunk = Chunk::read(self.chunks)?;
            self.chunks = self.chunks.get(2..)?;
        }
        let sequence = self.next;
        self.next = sequence.wrapping_add(1);
        let ticks = match self.chunk.take() {
            SMALL_DELTA => {
                let (&delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                i64::from(delta)
            }
            LARGE_DELTA => {
                let (&delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                i64::from(i16::from_be_bytes(delta))
            }
            _ => return Some((sequence, None)),
        };
        // At most 65 535 deltas of 16 bits: far from overflow.
        self.time = self.time.saturating_add(ticks.saturating_mul(TICK_US));
        Some((sequence, Some(self.time)))
    }
}

/// What is left of a status chunk (sections 3.1.3 and 3.1.4).
#[derive(Clone, Copy, Default, Debug)]
struct Chunk {
    /// Statuses left.
    left: usize,
    /// The status of all of them, in a run.
    run: Option<u16>,
    /// The next ones from the top, in a vector.
    bits: u16,
    /// Of each in a vector.
    width: u32,
}

impl Chunk {
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = u16::from_be_bytes(*bytes.first_chunk()?);
        let chunk = match word >> 14 {
            0b10 => Self { left: 14, run: None, bits: word << 2, width: 1 },
            0b11 => Self { left: 7, run: None, bits: word << 2, width: 2 },
            _ => Self { left: usize::from(word & 0x1fff), run: Some(word >> 13 & 3), bits: 0, width: 0 },
        };
        // An empty run would let a packet without end be read.
        (chunk.left > 0).then_some(chunk)
    }

    fn take(&mut self) -> u16 {
        self.left = self.left.saturating_sub(1);
        let Some(status) = self.run else {
            let status = self.bits.checked_shr(16u32.saturating_sub(self.width)).unwrap_or(NOT_RECEIVED);
            self.bits = self.bits.checked_shl(self.width).unwrap_or(0);
            return status;
        };
        status
    }
}

/// `None` for the reserved status, whose delta nobody knows.
fn delta_len(status: u16) -> Option<usize> {
    match status {
        NOT_RECEIVED => Some(0),
        SMALL_DELTA => Some(1),
        LARGE_DELTA => Some(2),
        _ => None,
    }
}

const NOT_RECEIVED: u16 = 0;
const SMALL_DELTA: u16 = 1;
const LARGE_DELTA: u16 = 2;
const TICK_US: i64 = 250;
