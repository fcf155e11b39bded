//! One destination's datagrams between being sealed and being sent.

/// Datagrams for one destination, back to back in one buffer, so that runs of equal size leave as one GSO send.
#[derive(Default, Debug)]
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

    /// All of it, in order, in runs of one size.
    pub(crate) fn runs(&self) -> Runs<'_> {
        Runs { bytes: &self.bytes, sizes: &self.sizes }
    }

    /// Empties it. The memory is kept, but for what only a rare burst needs, such as the packets since a key frame for who has just come.
    pub(crate) fn clear(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES {
            *self = Self::default();
        }
        self.bytes.clear();
        self.sizes.clear();
    }
}

/// The runs of an outbox.
#[derive(Clone, Debug)]
pub(crate) struct Runs<'a> {
    bytes: &'a [u8],
    sizes: &'a [u16],
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    #[inline]
    fn next(&mut self) -> Option<Run<'a>> {
        let segment_size = usize::from(*self.sizes.first()?);
        let (mut length, mut count) = (segment_size, 1);
        while let Some(&next) = self.sizes.get(count) {
            let next = usize::from(next);
            if next > segment_size || count == MAX_SEGMENTS || length + next > MAX_RUN_BYTES {
                break;
            }
            length += next;
            count += 1;
            if next < segment_size {
                break;
            }
        }
        let (contents, bytes) = self.bytes.split_at(length);
        (self.bytes, self.sizes) = (bytes, &self.sizes[count..]);
        Some(Run { contents, segment_size })
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
        outbox.runs().map(|run| (run.contents.len(), run.segment_size)).collect()
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
            outbox.clear();
            assert!(outbox.is_empty());
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
        assert_eq!(outbox.runs().map(|run| run.contents).collect::<Vec<_>>(), [[1]]);
    }
}
