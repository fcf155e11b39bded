//! SCTP packets by hand (RFC 9260): an association, and what it may not do.

use rand::{Rng, RngCore as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::generator::Generator;

/// Opens an association as a client.
#[derive(Clone, Debug)]
pub struct Association {
    /// The server's tag, once it has told it.
    tag: u32,
    tsn: u32,
    /// The server's last number before which none is missing.
    received: u32,
}

impl Association {
    /// Before the first packet.
    pub fn new() -> Self {
        Self { tag: 0, tsn: 1000, received: 0 }
    }

    /// The INIT, which asks for 65 535 streams both ways.
    pub fn init(&self) -> Vec<u8> {
        let value: Vec<u8> =
            [OWN_TAG, 1 << 20, u32::MAX, self.tsn].into_iter().flat_map(u32::to_be_bytes).collect();
        packet(0, &[chunk(INIT, 0, &value)])
    }

    /// The COOKIE-ECHO to an INIT-ACK; none to anything else.
    pub fn echo(&mut self, answer: &[u8]) -> Option<Vec<u8>> {
        let (kind, value) = first_chunk(answer)?;
        if kind != INIT_ACK {
            return None;
        }
        self.tag = u32::from_be_bytes(*value.first_chunk()?);
        self.received = u32::from_be_bytes(*value.get(12..)?.first_chunk()?).wrapping_sub(1);
        let mut parameters = value.get(16..)?;
        while let Some((head, _)) = parameters.split_first_chunk::<4>() {
            let [a, b, c, d] = *head;
            let length = usize::from(u16::from_be_bytes([c, d]));
            if u16::from_be_bytes([a, b]) == STATE_COOKIE {
                return Some(packet(self.tag, &[chunk(COOKIE_ECHO, 0, parameters.get(4..length)?)]));
            }
            parameters = parameters.get(length.max(4).next_multiple_of(4)..)?;
        }
        None
    }

    /// Whether that is the end of the handshake.
    pub fn is_acknowledged(answer: &[u8]) -> bool {
        first_chunk(answer).is_some_and(|(kind, _)| kind == COOKIE_ACK)
    }

    /// One packet that opens a data channel on each of these streams (RFC 8832 section 5.1).
    pub fn open(&mut self, streams: impl Iterator<Item = u16>) -> Vec<u8> {
        let open = [3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, b'x'];
        let chunks: Vec<_> = streams.map(|stream| self.data(stream, BEGINS | ENDS, CONTROL, &open)).collect();
        packet(self.tag, &chunks)
    }

    /// One packet that opens the room's own channel on stream 0.
    pub fn open_room(&mut self) -> Vec<u8> {
        let open = [&[3, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0], &b"room"[..]].concat();
        let chunk = self.data(0, BEGINS | ENDS, CONTROL, &open);
        packet(self.tag, &[chunk])
    }

    /// One packet with one message of text.
    pub fn message(&mut self, stream: u16, text: &[u8]) -> Vec<u8> {
        let chunk = self.data(stream, BEGINS | ENDS, TEXT, text);
        packet(self.tag, &[chunk])
    }

    /// The contents of what came in its turn, and a packet that acknowledges it if there was any data (RFC 9260 section 3.3.4).
    pub fn acknowledge(&mut self, from_server: &[u8]) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let mut contents = Vec::new();
        let mut any = false;
        let mut rest = from_server.get(12..).unwrap_or_default();
        while let Some([kind, _, a, b]) = rest.first_chunk::<4>().copied() {
            let length = usize::from(u16::from_be_bytes([a, b])).max(4);
            if let (DATA, Some((head, payload))) =
                (kind, rest.get(4..length).and_then(|value| value.split_first_chunk::<12>()))
            {
                any = true;
                let [a, b, c, d, ..] = *head;
                if u32::from_be_bytes([a, b, c, d]) == self.received.wrapping_add(1) {
                    self.received = self.received.wrapping_add(1);
                    contents.push(payload.to_vec());
                }
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        let value: Vec<u8> = [self.received, 1 << 20, 0].into_iter().flat_map(u32::to_be_bytes).collect();
        (contents, any.then(|| packet(self.tag, &[chunk(SACK, 0, &value)])))
    }

    /// One packet with one part of a message.
    pub fn part(&mut self, stream: u16, flags: u8, payload: &[u8]) -> Vec<u8> {
        let chunk = self.data(stream, flags, BINARY, payload);
        packet(self.tag, &[chunk])
    }

    fn data(&mut self, stream: u16, flags: u8, protocol: u32, payload: &[u8]) -> Vec<u8> {
        let mut value = self.tsn.to_be_bytes().to_vec();
        self.tsn = self.tsn.wrapping_add(1);
        value.extend(stream.to_be_bytes());
        value.extend([0, 0]);
        value.extend(protocol.to_be_bytes());
        value.extend(payload);
        // Unordered, so that the stream's own numbers do not matter.
        chunk(DATA, flags | UNORDERED, &value)
    }
}

impl Default for Association {
    fn default() -> Self {
        Self::new()
    }
}

/// Chunks of every kind with anything in them, to a server's tag and to others.
#[derive(Debug)]
pub struct StrangeChunks {
    rng: ChaCha8Rng,
    tag: u32,
}

impl StrangeChunks {
    /// In this association.
    pub fn new(seed: u64, association: &Association) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), tag: association.tag }
    }
}

impl Generator for StrangeChunks {
    fn next(&mut self, out: &mut Vec<u8>) {
        let kinds = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 64, 128, 130, 192, 193, 255];
        let count = self.rng.random_range(1..8);
        let mut chunks = Vec::new();
        for _ in 0..count {
            let kind = kinds.get(self.rng.random_range(0..kinds.len())).copied().unwrap_or_default();
            // An ABORT or a SHUTDOWN would be the end of it.
            let kind = if matches!(kind, 6 | 7 | 14) { 0 } else { kind };
            let mut value = vec![0; self.rng.random_range(0..120)];
            self.rng.fill_bytes(&mut value);
            chunks.push(chunk(kind, self.rng.random(), &value));
        }
        let tag = if self.rng.random_ratio(1, 8) { self.rng.random() } else { self.tag };
        out.extend(packet(tag, &chunks));
    }
}

fn first_chunk(packet: &[u8]) -> Option<(u8, &[u8])> {
    let [kind, _, a, b] = *packet.get(12..)?.first_chunk::<4>()?;
    Some((kind, packet.get(16..12 + usize::from(u16::from_be_bytes([a, b])))?))
}

fn chunk(kind: u8, flags: u8, value: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend((value.len() as u16 + 4).to_be_bytes());
    chunk.extend(value);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

fn packet(tag: u32, chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = [[19, 136, 19, 136], tag.to_be_bytes(), [0; 4]].concat();
    packet.extend(chunks.iter().flatten());
    let checksum = crc32c(&packet).to_le_bytes();
    packet.splice(8..12, checksum);
    packet
}

/// CRC32c (RFC 9260 appendix A), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// The first part of a message.
pub const BEGINS: u8 = 2;
/// The last part of a message.
pub const ENDS: u8 = 1;
const UNORDERED: u8 = 4;
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const STATE_COOKIE: u16 = 7;
const OWN_TAG: u32 = 0x0a77_ac4e;
const CONTROL: u32 = 50;
const TEXT: u32 = 51;
const BINARY: u32 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_standards() {
        // RFC 3720 appendix B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn the_cookie_is_found_and_given_back() {
        let mut association = Association::new();
        assert_eq!(first_chunk(&association.init()).map(|(kind, value)| (kind, value.len())), Some((1, 16)));
        let mut value = 77_u32.to_be_bytes().to_vec();
        value.extend([0; 12]);
        // A parameter of another kind, padded, stands before it.
        value.extend([0x80, 8, 0, 5, 1, 0, 0, 0, 0, 7, 0, 7, b'a', b'b', b'c', 0]);
        let echo = association.echo(&packet(1, &[chunk(INIT_ACK, 0, &value)])).expect("a cookie");
        assert_eq!(first_chunk(&echo), Some((COOKIE_ECHO, &b"abc"[..])));
        assert_eq!(echo[4..8], 77_u32.to_be_bytes());
        assert_eq!(association.received, u32::MAX, "its first number is that of the INIT-ACK: 0");
        assert!(association.echo(&echo).is_none());
    }

    #[test]
    fn what_comes_in_its_turn_is_read_and_acknowledged() {
        let mut server = Association { tag: 5, tsn: 7, received: 0 };
        let mut client = Association { tag: 6, tsn: 0, received: 6 };
        let first = server.message(0, b"one");
        let second = server.message(0, b"three");
        let third = server.message(0, b"late");
        let (read, acknowledgment) = client.acknowledge(&first);
        assert_eq!(read, [b"one"]);
        let sack = acknowledgment.expect("there was data");
        assert_eq!(first_chunk(&sack), Some((SACK, &[0, 0, 0, 7, 0, 16, 0, 0, 0, 0, 0, 0][..])));
        // Of what comes out of its turn only the want is told.
        let (read, acknowledgment) = client.acknowledge(&third);
        assert_eq!((read.len(), acknowledgment), (0, Some(sack.clone())));
        let both = [&second[..], &third[12..]].concat();
        assert_eq!(client.acknowledge(&both).0, [b"three".to_vec(), b"late".to_vec()]);
        assert_eq!(client.acknowledge(&sack), (vec![], None));
    }

    #[test]
    fn every_stream_is_asked_for_once_with_numbers_that_go_on() {
        let mut association = Association { tag: 1, tsn: u32::MAX, received: 0 };
        let packet = association.open(5..8);
        let chunks: Vec<&[u8]> = packet[12..].chunks(32).collect();
        let numbers = chunks.iter().map(|chunk| (chunk[4..8].to_vec(), chunk[9])).collect::<Vec<_>>();
        assert_eq!(numbers, [(vec![255; 4], 5), (vec![0; 4], 6), (vec![0, 0, 0, 1], 7)]);
    }

    #[test]
    fn strange_chunks_follow_from_the_seed() {
        let draw = |seed| {
            let mut chunks = StrangeChunks::new(seed, &Association { tag: 9, tsn: 0, received: 0 });
            (0..50)
                .map(|_| {
                    let mut out = Vec::new();
                    chunks.next(&mut out);
                    out
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).iter().all(|packet| first_chunk(packet).is_some() && packet.len() < 1200));
    }
}
