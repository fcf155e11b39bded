use std::collections::BTreeMap;

/// Stands before the SCTP machine: refuses what would make it keep or do more than a client may ask for.
///
/// The machine counts FORWARD-TSN up one by one, makes a stream for every number it hears, keeps stream resets that wait for
/// data that never comes, and takes fragments of an endless message for as long as nothing else can be read.
pub(super) struct ChunkGuard {
    /// Bytes a message may have while it comes in.
    window: usize,
    /// The highest TSN that the client may be believed to have reached.
    highest: Option<u32>,
    /// Bytes so far of the message that is coming in, by stream.
    partial: BTreeMap<u16, usize>,
    reset_bytes: usize,
}

/// What is to be done with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// The machine may have it.
    Pass,
    /// Nobody may.
    Drop,
    /// It asks for an association (RFC 9260 section 3.3.2).
    Init {
        /// The client's tag.
        tag: u32,
    },
    /// It carries more of a message than can ever be taken: the association must end.
    Abort,
}

impl ChunkGuard {
    pub(super) fn new(window: usize) -> Self {
        Self { window, highest: None, partial: BTreeMap::new(), reset_bytes: 0 }
    }

    /// What it was made with.
    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Judges a whole packet: one bad chunk spoils it.
    pub(super) fn inspect(&mut self, packet: &[u8], established: bool) -> Verdict {
        self.judge(packet, established).unwrap_or(Verdict::Drop)
    }

    fn judge(&mut self, packet: &[u8], established: bool) -> Option<Verdict> {
        let (header, body) = packet.split_first_chunk::<12>()?;
        let addressed = word(header, 4)? != 0;
        let mut chunks = Chunks(body);
        let first = chunks.next()??;
        if first.kind == INIT || !addressed {
            if first.kind != INIT || addressed || chunks.next().is_some() || first.value.len() < 16 {
                return None;
            }
            if !established {
                self.highest = Some(word(first.value, 12)?.wrapping_sub(1));
                self.partial.clear();
            }
            return Some(Verdict::Init { tag: word(first.value, 0)? });
        }
        let mut verdict = Verdict::Pass;
        for chunk in Chunks(body) {
            let chunk = chunk?;
            match chunk.kind {
                DATA => {
                    self.advance(word(chunk.value, 0)?)?;
                    if self.count(&chunk)? > self.window {
                        verdict = Verdict::Abort;
                    }
                }
                INIT => return None,
                INIT_ACK if established || chunk.value.len() < 16 => return None,
                INIT_ACK => self.highest = Some(word(chunk.value, 12)?.wrapping_sub(1)),
                FORWARD_TSN => self.advance(word(chunk.value, 0)?)?,
                RE_CONFIG => {
                    self.reset_bytes = self.reset_bytes.saturating_add(chunk.value.len());
                    if self.reset_bytes > MAX_RESET_BYTES {
                        return None;
                    }
                }
                _ => {}
            }
        }
        Some(verdict)
    }

    /// `None` for a TSN that no sender within our window can have reached.
    fn advance(&mut self, tsn: u32) -> Option<()> {
        let ahead = tsn.wrapping_sub(self.highest?) as i32;
        if ahead > MAX_TSN_STEP {
            return None;
        }
        if ahead > 0 {
            self.highest = Some(tsn);
        }
        Some(())
    }

    /// How much of its message has come with this chunk; `None` for a chunk that no honest sender makes.
    fn count(&mut self, chunk: &Chunk<'_>) -> Option<usize> {
        let stream = word(chunk.value, 4)? >> 16;
        let stream = u16::try_from(stream).ok().filter(|stream| *stream < MAX_STREAMS)?;
        let length = chunk.value.len().checked_sub(DATA_HEADER_LEN)?;
        let (begins, ends) = (chunk.flags & BEGINS != 0, chunk.flags & ENDS != 0);
        if length == 0 || (!ends && length < MIN_FRAGMENT) {
            return None;
        }
        let before = if begins { 0 } else { self.partial.get(&stream).copied().unwrap_or_default() };
        let total = before.saturating_add(length);
        if ends {
            self.partial.remove(&stream);
        } else {
            self.partial.insert(stream, total);
        }
        Some(total)
    }
}

/// How many messages, or parts of one, a packet carries.
pub(super) fn data_chunks(packet: &[u8]) -> usize {
    let body = packet.get(12..).unwrap_or_default();
    Chunks(body).filter(|chunk| chunk.as_ref().is_some_and(|chunk| chunk.kind == DATA)).count()
}

struct Chunk<'a> {
    kind: u8,
    flags: u8,
    value: &'a [u8],
}

/// The chunks of a packet; `None` once, and then no more, where one is cut off.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Option<Chunk<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let body = std::mem::take(&mut self.0);
        let chunk = (|| {
            let ([kind, flags, length @ ..], rest) = body.split_first_chunk::<4>()?;
            let length = usize::from(u16::from_be_bytes(*length)).checked_sub(4)?;
            let value = rest.get(..length)?;
            self.0 = rest.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
            Some(Chunk { kind: *kind, flags: *flags, value })
        })();
        Some(chunk)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk::<4>().map(|word| u32::from_be_bytes(*word))
}

/// Stream numbers in each direction. Browsers take the lowest free one of their parity.
pub(super) const MAX_STREAMS: u16 = 256;

const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const RE_CONFIG: u8 = 130;
const FORWARD_TSN: u8 = 192;
const ENDS: u8 = 1;
const BEGINS: u8 = 2;
const DATA_HEADER_LEN: usize = 12;
/// Senders fill packets; smaller parts would make joining them dear.
const MIN_FRAGMENT: usize = 8;
/// More chunks than a sender has under way.
const MAX_TSN_STEP: i32 = 16 * 1024;
/// Thousands of channels opened and closed.
const MAX_RESET_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
        let mut chunk = vec![kind, flags];
        chunk.extend((value.len() as u16 + 4).to_be_bytes());
        chunk.extend(value);
        chunk.resize(chunk.len().next_multiple_of(4), 0);
        chunk
    }

    fn packet(tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
        [vec![19, 136, 19, 136], tag.to_be_bytes().to_vec(), vec![0; 4], chunks.concat()].concat()
    }

    fn init(tsn: u32) -> Vec<u8> {
        let value = [9_u32.to_be_bytes(), 1000_u32.to_be_bytes(), [1, 0, 1, 0], tsn.to_be_bytes()].concat();
        packet(0, &[chunk(INIT, 0, &value)])
    }

    fn data(tsn: u32, stream: u16, flags: u8, length: usize) -> Vec<u8> {
        let value =
            [&tsn.to_be_bytes()[..], &stream.to_be_bytes(), &[0, 0, 0, 0, 0, 53], &vec![7; length]].concat();
        packet(1, &[chunk(DATA, flags, &value)])
    }

    fn started(tsn: u32) -> ChunkGuard {
        let mut guard = ChunkGuard::new(1000);
        assert_eq!(guard.inspect(&init(tsn), false), Verdict::Init { tag: 9 });
        guard
    }

    #[test]
    fn an_honest_conversation_passes() {
        let mut guard = started(u32::MAX);
        for (at, flags) in [(u32::MAX, BEGINS | ENDS), (0, BEGINS), (1, 0), (2, ENDS), (2, ENDS)] {
            assert_eq!(guard.inspect(&data(at, 2, flags, 100), true), Verdict::Pass);
        }
        assert_eq!(
            guard.inspect(&packet(1, &[chunk(FORWARD_TSN, 0, &50_u32.to_be_bytes())]), true),
            Verdict::Pass
        );
        assert_eq!(guard.inspect(&packet(1, &[chunk(3, 0, &[0; 12])]), true), Verdict::Pass);
    }

    #[test]
    fn a_leap_in_the_sequence_does_not() {
        let mut guard = started(1);
        for tsn in [1 << 30, 20_000, 0x7fff_ffff] {
            assert_eq!(guard.inspect(&data(tsn, 2, 3, 100), true), Verdict::Drop);
            let forward = packet(1, &[chunk(FORWARD_TSN, 0, &tsn.to_be_bytes())]);
            assert_eq!(guard.inspect(&forward, true), Verdict::Drop);
        }
    }

    #[test]
    fn an_endless_message_ends_the_association() {
        let mut guard = started(1);
        assert_eq!(guard.inspect(&data(1, 2, BEGINS, 600), true), Verdict::Pass);
        assert_eq!(guard.inspect(&data(2, 4, BEGINS, 600), true), Verdict::Pass);
        assert_eq!(guard.inspect(&data(3, 2, 0, 300), true), Verdict::Pass);
        assert_eq!(guard.inspect(&data(4, 2, 0, 300), true), Verdict::Abort);
    }

    #[test]
    fn what_no_honest_sender_makes_is_dropped() {
        let mut guard = started(1);
        for bad in [
            data(1, MAX_STREAMS, 3, 100),
            data(1, 2, 3, 0),
            data(1, 2, BEGINS, 3),
            packet(0, &[chunk(DATA, 3, &[0; 20])]),
            packet(0, &[]),
            packet(1, &[vec![0, 3, 0, 3]]),
            packet(1, &[vec![0, 3, 255, 255]]),
            packet(1, &[chunk(3, 0, &[0; 12]), init(5).split_off(12)]),
            vec![0; 11],
        ] {
            assert_eq!(guard.inspect(&bad, true), Verdict::Drop, "{bad:?}");
        }
        let resets = packet(1, &[chunk(RE_CONFIG, 0, &[0; 1000])]);
        assert!((0..300).any(|_| guard.inspect(&resets, true) == Verdict::Drop));
    }

    proptest! {
        #[test]
        fn anything_is_judged_without_a_panic(
            kinds in proptest::collection::vec((any::<u8>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..30)), 0..4),
            tag in 0_u32..2,
            cut in 0_usize..120,
            established in any::<bool>(),
        ) {
            let chunks: Vec<_> = kinds.iter().map(|(kind, flags, value)| chunk(kind % 20, *flags, value)).collect();
            let mut packet = packet(tag, &chunks);
            packet.truncate(cut);
            assert!(data_chunks(&packet) <= chunks.len());
            let _ = started(1).inspect(&packet, established);
        }
    }
}
