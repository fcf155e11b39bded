//! Redundant audio (RFC 2198): a packet carries earlier ones once more, so that a loss is healed without a round trip.

use std::ops::Range;

use bytes::Bytes;

/// Where the blocks of a redundant payload are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedPayload {
    /// Of the packet itself.
    pub primary: RedBlock,
    /// The first `repeated` of them count, the earliest first.
    earlier: [RedBlock; MAX_REPEATED],
    repeated: usize,
}

/// One block: what a packet carries, or carried, without the redundancy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RedBlock {
    /// Of the codec, 0 to 127.
    pub payload_type: u8,
    /// How much earlier than the packet's own timestamp, in ticks of the RTP clock: 0 to 16383, 0 for the primary block.
    pub ticks: u16,
    /// Where in the payload its bytes are.
    pub at: Range<usize>,
}

/// An earlier packet's payload, shared, and how much earlier it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EarlierPayload {
    ticks: u16,
    payload: Bytes,
}

impl RedPayload {
    /// Reads the blocks' headers (RFC 2198 section 3); `None` when the payload is shorter than they say, or has more blocks than anybody sends.
    #[inline]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut earlier: [RedBlock; MAX_REPEATED] = Default::default();
        let mut repeated = 0;
        let (mut rest, mut repeated_len) = (payload, 0);
        let payload_type = loop {
            let (&first, after) = rest.split_first()?;
            if first & FOLLOWED == 0 {
                rest = after;
                break first;
            }
            let (&[_, b1, b2, b3], after) = rest.split_first_chunk::<4>()?;
            let (ticks, len) = (u16::from_be_bytes([b1, b2]) >> 2, u16::from_be_bytes([b2 & 0x03, b3]));
            let end = repeated_len + usize::from(len);
            // Counted from the end of the headers until that is known.
            *earlier.get_mut(repeated)? =
                RedBlock { payload_type: first & 0x7f, ticks, at: repeated_len..end };
            repeated += 1;
            repeated_len = end;
            rest = after;
        };
        let contents = payload.len() - rest.len();
        let begin = contents + repeated_len;
        for block in earlier.iter_mut().take(repeated) {
            block.at = contents + block.at.start..contents + block.at.end;
        }
        let primary = RedBlock { payload_type, ticks: 0, at: begin..payload.len() };
        (begin <= payload.len()).then_some(Self { primary, earlier, repeated })
    }

    /// What is sent once more, the earliest first.
    #[inline]
    pub fn earlier(&self) -> impl DoubleEndedIterator<Item = &RedBlock> + ExactSizeIterator {
        self.earlier.iter().take(self.repeated)
    }
}

impl EarlierPayload {
    /// A payload from `ticks` before the one that it may be sent along with, which has `primary_len` bytes. `None` when it cannot be: it is empty, the
    /// header has no room for its age or its length, or the two together do not fit into a datagram.
    #[inline]
    pub fn new(ticks: u32, payload: &Bytes, primary_len: usize) -> Option<Self> {
        let fits = (1..=MAX_TICKS).contains(&ticks)
            && (1..=MAX_BLOCK_BYTES).contains(&payload.len())
            && payload.len() + primary_len <= MAX_BYTES;
        fits.then(|| Self { ticks: ticks as u16, payload: payload.clone() })
    }

    /// Appends the redundant payload of this one and `primary`, both of the same payload type.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, payload_type: u8, primary: &[u8]) {
        let payload_type = payload_type & 0x7f;
        let len = self.payload.len() as u32;
        let header = u32::from(FOLLOWED | payload_type) << 24 | u32::from(self.ticks) << 10 | len;
        out.extend_from_slice(&header.to_be_bytes());
        out.push(payload_type);
        out.extend_from_slice(&self.payload);
        out.extend_from_slice(primary);
    }
}

/// The F bit: another block's header follows.
const FOLLOWED: u8 = 0x80;
/// Earlier packets in one payload. Browsers send one or two; their own limit is nine.
const MAX_REPEATED: usize = 9;
/// 14 bits: 341 ms at 48 kHz.
const MAX_TICKS: u32 = (1 << 14) - 1;
/// 10 bits.
const MAX_BLOCK_BYTES: usize = (1 << 10) - 1;
/// With all headers it stays below the smallest MTU of IPv6.
const MAX_BYTES: usize = 1100;

#[cfg(test)]
mod tests;
