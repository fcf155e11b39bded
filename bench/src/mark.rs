//! The content mark: what a packet says about itself, so that whoever receives it can tell exactly what arrived.
//!
//! The mark stands at the end of a packet's media payload, behind whatever the codec wants to see first, and its
//! checksum covers the media payload from its first byte. The RTP header and the VP8 payload descriptor are left
//! out: a server may rewrite both.

use crate::source::MediaKind;

/// One packet's place in its publisher's stream, and when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which of the run's publishers sent it, from 0.
    pub publisher: u32,
    /// Video or audio.
    pub kind: MediaKind,
    /// Whether the packet belongs to a key frame; always true for audio.
    pub key: bool,
    /// The frame's number in its stream, from 0.
    pub frame: u32,
    /// The packet's place in its frame, from 0.
    pub index: u16,
    /// How many packets the frame has.
    pub count: u16,
    /// The packet's number in its stream, from 1 and without gaps.
    pub number: u64,
    /// When it was handed to the network, in nanoseconds of [`crate::clock::Clock`].
    pub sent_ns: u64,
}

/// Why a payload carries no valid mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MarkError {
    /// The payload is shorter than a mark.
    #[error("the payload of {0} bytes is shorter than a mark")]
    TooShort(usize),
    /// The bytes where a mark should stand are something else.
    #[error("there is no mark at the payload's end")]
    NoMark,
    /// The mark or the bytes it covers were changed.
    #[error("the checksum does not match the payload")]
    Checksum,
}

impl Mark {
    /// Bytes a mark takes at the end of a payload.
    pub const LEN: usize = 44;

    /// Writes the mark over the last [`Mark::LEN`] bytes of `payload` and seals the whole payload.
    ///
    /// # Errors
    /// [`MarkError::TooShort`] when there is no room; the payload is then unchanged.
    pub fn seal(&self, payload: &mut [u8]) -> Result<(), MarkError> {
        let len = payload.len();
        let Some((_, tail)) = payload.split_last_chunk_mut::<{ Self::LEN }>() else {
            return Err(MarkError::TooShort(len));
        };
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            tail[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&MAGIC);
        put(&self.publisher.to_be_bytes());
        put(&[self.kind.code(), u8::from(self.key), 0, 0]);
        put(&self.frame.to_be_bytes());
        put(&self.index.to_be_bytes());
        put(&self.count.to_be_bytes());
        put(&0u32.to_be_bytes());
        put(&self.number.to_be_bytes());
        put(&self.sent_ns.to_be_bytes());
        let covered = len - CHECKSUM_LEN;
        let checksum = crc32fast::hash(&payload[..covered]);
        payload[covered..].copy_from_slice(&checksum.to_be_bytes());
        Ok(())
    }

    /// Reads and checks the mark at the end of `payload`.
    ///
    /// # Errors
    /// A payload without a mark, or one that is not byte for byte what was sealed.
    pub fn open(payload: &[u8]) -> Result<Self, MarkError> {
        let Some((_, tail)) = payload.split_last_chunk::<{ Self::LEN }>() else {
            return Err(MarkError::TooShort(payload.len()));
        };
        if tail[..4] != MAGIC {
            return Err(MarkError::NoMark);
        }
        let (covered, checksum) = payload.split_at(payload.len() - CHECKSUM_LEN);
        if crc32fast::hash(covered).to_be_bytes() != checksum {
            return Err(MarkError::Checksum);
        }
        let u16_at = |at: usize| u16::from_be_bytes([tail[at], tail[at + 1]]);
        let u32_at = |at: usize| u32::from_be_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
        let u64_at = |at: usize| (u64::from(u32_at(at)) << 32) | u64::from(u32_at(at + 4));
        Ok(Self {
            publisher: u32_at(4),
            kind: MediaKind::of_code(tail[8]).ok_or(MarkError::NoMark)?,
            key: tail[9] != 0,
            frame: u32_at(12),
            index: u16_at(16),
            count: u16_at(18),
            number: u64_at(24),
            sent_ns: u64_at(32),
        })
    }
}

const MAGIC: [u8; 4] = *b"SimM";
const CHECKSUM_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        Mark {
            publisher: 3,
            kind: MediaKind::Video,
            key: true,
            frame: 77,
            index: 2,
            count: 6,
            number: 0x0102_0304_0506_0708,
            sent_ns: u64::MAX - 5,
        }
    }

    #[test]
    fn what_was_sealed_is_read_back() {
        for len in [Mark::LEN, Mark::LEN + 1, 1100] {
            let mut payload = vec![0x5a; len];
            mark().seal(&mut payload).expect("there is room");
            assert_eq!(Mark::open(&payload), Ok(mark()));
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let mut payload = vec![0x5a; 120];
        mark().seal(&mut payload).expect("there is room");
        for bit in 0..payload.len() * 8 {
            let mut changed = payload.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Mark::open(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_payload_without_a_mark_is_refused() {
        assert_eq!(Mark::open(&[0; 10]), Err(MarkError::TooShort(10)));
        assert_eq!(Mark::open(&[0; 100]), Err(MarkError::NoMark));
        assert_eq!(mark().seal(&mut [0; 10]), Err(MarkError::TooShort(10)));
    }
}
