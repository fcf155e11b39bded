//! ClientHellos (RFC 6347 section 4.2) in one piece, in pieces, in empty pieces, in pieces that overlap.

use rand::{Rng, RngCore as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::generator::Generator;

/// Hellos of all shapes in turn.
#[derive(Debug)]
pub struct Hellos {
    rng: ChaCha8Rng,
    turn: u64,
    sequence: u64,
    hello: Vec<u8>,
    at: usize,
}

impl Hellos {
    /// Hellos of all shapes.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let hello = hello(&mut rng);
        Self { rng, turn: 0, sequence: 0, hello, at: 0 }
    }

    /// One whole hello in one datagram, as an honest client begins.
    pub fn whole(&mut self) -> Vec<u8> {
        self.hello = hello(&mut self.rng);
        let end = self.hello.len();
        self.record(&[(0, end)])
    }

    /// One record with these parts of the hello.
    fn record(&mut self, parts: &[(usize, usize)]) -> Vec<u8> {
        let body: Vec<u8> = parts.iter().flat_map(|&(from, to)| self.fragment(from, to)).collect();
        self.sequence += 1;
        record(HANDSHAKE, self.sequence, &body)
    }

    fn fragment(&self, from: usize, to: usize) -> Vec<u8> {
        let part = self.hello.get(from..to).unwrap_or_default();
        let number = |number: usize| (number as u32).to_be_bytes().into_iter().skip(1);
        let mut fragment = vec![CLIENT_HELLO];
        fragment.extend(number(self.hello.len()));
        fragment.extend([0, 0]);
        fragment.extend(number(from));
        fragment.extend(number(part.len()));
        fragment.extend(part);
        fragment
    }
}

impl Generator for Hellos {
    fn next(&mut self, out: &mut Vec<u8>) {
        self.turn += 1;
        let datagram = match self.turn % 5 {
            0 => self.whole(),
            // The next piece of a hello that is complete after some datagrams.
            1 => {
                let from = if self.at < self.hello.len() { self.at } else { 0 };
                self.at = (from + 20).min(self.hello.len());
                self.record(&[(from, self.at)])
            }
            // Nothing, very often.
            2 => self.record(&[(0, 0); 80]),
            // The same bytes again and again, each time some more of them.
            3 => {
                let parts: Vec<_> = (1..12).map(|part| (part, part * 9)).collect();
                self.record(&parts)
            }
            // Records of all kinds and epochs with anything in them.
            _ => {
                let mut body = vec![0; self.rng.random_range(0..1200)];
                self.rng.fill_bytes(&mut body);
                self.sequence += u64::from(self.rng.random::<bool>()) << 48;
                record(self.rng.random_range(20..=25), self.sequence, &body)
            }
        };
        out.extend(datagram);
    }
}

fn record(kind: u8, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 0xfe, 0xfd];
    record.extend(sequence.to_be_bytes());
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

/// The body of a hello that offers what a browser's does, shortened.
fn hello(rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut hello = vec![0xfe, 0xfd];
    hello.extend(rng.random::<[u8; 32]>());
    // No session, no cookie, one cipher suite: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256; no compression.
    hello.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let extensions: [(u16, &[u8]); 6] = [
        (0x000a, &[0, 4, 0, 0x1d, 0, 0x17]),
        (0x000b, &[1, 0]),
        (0x000d, &[0, 4, 4, 3, 8, 4]),
        (0x000e, &[0, 4, 0, 7, 0, 1, 0]),
        (0x0017, &[]),
        (0xff01, &[0]),
    ];
    let mut written = Vec::new();
    for (kind, value) in extensions {
        written.extend(kind.to_be_bytes());
        written.extend((value.len() as u16).to_be_bytes());
        written.extend(value);
    }
    hello.extend((written.len() as u16).to_be_bytes());
    hello.extend(written);
    hello
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::dtls::handshake::handshake_header::HandshakeHeader;
    use rtc::dtls::handshake::handshake_message_client_hello::HandshakeMessageClientHello;

    /// The bodies of a datagram's records, which must be whole.
    fn records(mut datagram: &[u8]) -> Vec<&[u8]> {
        let mut bodies = Vec::new();
        while !datagram.is_empty() {
            let length = usize::from(u16::from_be_bytes([datagram[11], datagram[12]]));
            bodies.push(&datagram[13..13 + length]);
            datagram = &datagram[13 + length..];
        }
        bodies
    }

    #[test]
    fn a_whole_hello_is_one_to_another_reader() {
        let datagram = Hellos::new(1).whole();
        let records = records(&datagram);
        assert_eq!(records.len(), 1);
        let mut message = records[0];
        HandshakeHeader::unmarshal(&mut message).expect("a header");
        let body = message.to_vec();
        let hello = HandshakeMessageClientHello::unmarshal(&mut message).expect("a hello");
        let mut again = Vec::new();
        hello.marshal(&mut again).expect("written");
        assert_eq!(again.len(), body.len(), "everything in it is understood");
    }

    #[test]
    fn every_datagram_is_whole_records_and_follows_from_the_seed() {
        let draw = |seed| {
            let mut generator = Hellos::new(seed);
            (0..200)
                .map(|_| {
                    let mut out = Vec::new();
                    generator.next(&mut out);
                    out
                })
                .collect::<Vec<_>>()
        };
        let drawn = draw(3);
        assert_eq!(drawn, draw(3));
        assert_ne!(drawn, draw(4));
        for datagram in drawn {
            assert!((20..=63).contains(&datagram[0]), "DTLS by its first byte");
            assert!(!records(&datagram).is_empty());
        }
    }
}
