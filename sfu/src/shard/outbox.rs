//! One destination's datagrams between being sealed and being sent.

/// Datagrams for one destination, back to back in one buffer, so that runs of equal size leave as one GSO send.
#[derive(Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    sizes: Vec<u16>,
}

/// Datagrams of one size in one buffer; only the last may be shorter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run<'a> {
    /// All datagrams, back to back.
    pub contents: &'a [u8],
    /// The size of each but the last, in bytes.
    pub segment_size: usize,
}

impl Run<'_> {
    /// How many datagrams it is.
    pub fn datagrams(&self) -> u64 {
        self.contents.len().div_ceil(self.segment_size) as u64
    }
}

impl Outbox {
    /// Appends one datagram. `build` writes it at the end of the buffer it is given, from the position it is given, and says whether it
    /// did: after `false` whatever was written is taken back.
    #[inline]
    pub(crate) fn push(&mut self, build: impl FnOnce(&mut Vec<u8>, usize) -> bool) -> usize {
        let start = self.bytes.len();
        let size = if build(&mut self.bytes, start) { self.bytes.len().saturating_sub(start) } else { 0 };
        match u16::try_from(size) {
            Ok(size @ 1..) => self.sizes.push(size),
            _ => self.bytes.truncate(start),
        }
        self.bytes.len() - start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// So many bytes it takes without asking for memory.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives back memory that only a rare burst needs, such as the packets since a key frame for who has just come.
    pub(crate) fn trim(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
    }

    /// Hands every run to `send`, in order, and is empty after it; the memory is kept.
    pub(crate) fn drain(&mut self, mut send: impl FnMut(Run<'_>)) {
        let mut rest = &self.bytes[..];
        let mut sizes = self.sizes.iter().copied().map(usize::from).peekable();
        while let Some(segment_size) = sizes.next() {
            let mut length = segment_size;
            let mut count = 1;
            while let Some(next) = sizes.next_if(|&next| {
                next <= segment_size && count < MAX_SEGMENTS && length + next <= MAX_RUN_BYTES
            }) {
                length += next;
                count += 1;
                if next < segment_size {
                    break;
                }
            }
            let (contents, after) = rest.split_at(length);
            rest = after;
            send(Run { contents, segment_size });
        }
        self.bytes.clear();
        self.sizes.clear();
    }
}

/// A few packets.
const KEPT_BYTES: usize = 32 * 1024;
/// What Linux takes in one GSO send (`UDP_MAX_SEGMENTS`).
const MAX_SEGMENTS: usize = 64;
/// The largest UDP payload, with room for an IPv6 header.
const MAX_RUN_BYTES: usize = 65_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(sizes: &[usize]) -> Vec<(usize, usize)> {
        let mut outbox = Outbox::default();
        for &size in sizes {
            outbox.push(|buffer, start| {
                buffer.resize(start + size, 7);
                true
            });
        }
        let mut runs = Vec::new();
        outbox.drain(|run| runs.push((run.contents.len(), run.segment_size)));
        assert!(outbox.is_empty());
        runs
    }

    #[test]
    fn a_run_has_one_size_and_only_its_last_datagram_is_shorter() {
        assert_eq!(runs(&[100, 100, 100]), [(300, 100)]);
        assert_eq!(runs(&[100, 100, 60, 100]), [(260, 100), (100, 100)]);
        assert_eq!(runs(&[99, 100, 100]), [(99, 99), (200, 100)]);
        assert_eq!(runs(&[]), []);
    }

    #[test]
    fn a_run_stays_within_what_one_send_takes() {
        assert_eq!(runs(&[10; 65]), [(640, 10), (10, 10)]);
        assert_eq!(runs(&[1200; 60]), [(54 * 1200, 1200), (6 * 1200, 1200)]);
    }

    #[test]
    fn the_memory_of_a_burst_is_given_back_and_that_of_a_few_packets_kept() {
        for (size, kept) in [(10_000, true), (40_000, false)] {
            let mut outbox = Outbox::default();
            outbox.push(|buffer, start| {
                buffer.resize(start + size, 7);
                true
            });
            outbox.trim();
            assert_eq!(outbox.bytes.len(), size, "what is in it stays");
            outbox.drain(|_| {});
            outbox.trim();
            assert_eq!(outbox.bytes.capacity() >= size, kept);
        }
    }

    #[test]
    fn what_was_not_built_leaves_no_trace() {
        let mut outbox = Outbox::default();
        outbox.push(|buffer, _| {
            buffer.extend_from_slice(b"half");
            false
        });
        assert!(outbox.is_empty());
        outbox.push(|buffer, start| {
            assert_eq!(start, 0);
            buffer.push(1);
            true
        });
        outbox.drain(|run| assert_eq!(run.contents, [1]));
    }
}
