use super::records::{HANDSHAKE, Records};
use crate::transport::srtp::Profile;

/// Part of a handshake message (RFC 6347 section 4.2.3), its bounds already checked.
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    pub(super) sequence: u16,
    pub(super) length: usize,
    pub(super) offset: usize,
    pub(super) body: &'a [u8],
}

/// Collects the first ClientHello, which may come in several fragments and datagrams in any order.
#[derive(Default)]
pub(super) struct HelloReader {
    message: Vec<u8>,
    /// Which bytes of the message have come: disjoint, in order.
    covered: Vec<(usize, usize)>,
    datagrams: Vec<Vec<u8>>,
}

/// A complete ClientHello.
pub(super) struct Hello {
    message: Vec<u8>,
    /// What it came in, to be given to the handshake machine now.
    pub(super) datagrams: Vec<Vec<u8>>,
}

impl HelloReader {
    /// Takes one datagram, and keeps it if a part of the ClientHello is in it. Returns the hello when it is complete.
    pub(super) fn read(&mut self, datagram: &[u8]) -> Option<Hello> {
        let mut belongs = false;
        for record in
            Records(datagram).flatten().filter(|record| record.kind == HANDSHAKE && record.epoch == 0)
        {
            for fragment in record.fragments().flatten() {
                belongs |= fragment.kind == CLIENT_HELLO && fragment.sequence == 0 && self.insert(&fragment);
            }
        }
        if !belongs {
            return None;
        }
        if self.datagrams.len() >= MAX_DATAGRAMS {
            // Nobody needs so many: start over with the next repetition.
            *self = Self::default();
            return None;
        }
        self.datagrams.push(datagram.to_vec());
        if self.covered.first() != Some(&(0, self.message.len())) {
            return None;
        }
        let Self { message, datagrams, .. } = std::mem::take(self);
        Some(Hello { message, datagrams })
    }

    /// Whether the fragment is of this message.
    fn insert(&mut self, fragment: &Fragment<'_>) -> bool {
        if fragment.length > MAX_HELLO {
            return false;
        }
        if self.covered.is_empty() {
            self.message = vec![0; fragment.length];
        }
        let end = fragment.offset.saturating_add(fragment.body.len());
        let length = self.message.len();
        let Some(place) = self.message.get_mut(fragment.offset..end).filter(|_| fragment.length == length)
        else {
            return false;
        };
        place.copy_from_slice(fragment.body);
        self.covered.push((fragment.offset, end));
        self.covered.sort_unstable();
        self.covered.dedup_by(|next, previous| {
            let touches = next.0 <= previous.1;
            if touches {
                previous.1 = previous.1.max(next.1);
            }
            touches
        });
        true
    }
}

impl Hello {
    /// The profile we like best among those offered; `None` when SRTP is not offered, or nothing of it that we have.
    pub(super) fn preferred(&self) -> Option<Profile> {
        let offered = srtp_profiles(&self.message)?;
        Profile::PREFERENCE.into_iter().find(|ours| {
            offered.chunks_exact(2).any(|pair| {
                pair.first_chunk::<2>().and_then(|n| Profile::from_wire(u16::from_be_bytes(*n)))
                    == Some(*ours)
            })
        })
    }
}

/// The profile numbers in the `use_srtp` extension of a ClientHello (RFC 5246 section 7.4.1.2, RFC 5764 section 4.1.1).
fn srtp_profiles(message: &[u8]) -> Option<&[u8]> {
    let rest = message.get(2 + 32..)?;
    let (_session, rest) = vector8(rest)?;
    let (_cookie, rest) = vector8(rest)?;
    let (_suites, rest) = vector16(rest)?;
    let (_compression, rest) = vector8(rest)?;
    let (mut extensions, _) = vector16(rest)?;
    while let Some((kind, rest)) = extensions.split_first_chunk::<2>() {
        let (body, rest) = vector16(rest)?;
        if u16::from_be_bytes(*kind) == USE_SRTP {
            return Some(vector16(body)?.0);
        }
        extensions = rest;
    }
    None
}

fn vector8(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

fn vector16(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

const CLIENT_HELLO: u8 = 1;
const USE_SRTP: u16 = 14;
/// With post-quantum key shares a browser's has 1.4 kB.
const MAX_HELLO: usize = 8 * 1024;
const MAX_DATAGRAMS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A ClientHello of the given length, roughly, that offers these profiles.
    fn hello(profiles: &[u16], padding: u16) -> Vec<u8> {
        let mut message = vec![0xfe, 0xfd];
        message.extend([7; 32]);
        message.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
        let mut extensions = vec![0, 21];
        extensions.extend(padding.to_be_bytes());
        extensions.extend(vec![0; usize::from(padding)]);
        let list: Vec<u8> = profiles.iter().flat_map(|profile| profile.to_be_bytes()).collect();
        extensions.extend([0, 14]);
        extensions.extend((list.len() as u16 + 3).to_be_bytes());
        extensions.extend((list.len() as u16).to_be_bytes());
        extensions.extend(list);
        extensions.push(0);
        message.extend((extensions.len() as u16).to_be_bytes());
        message.extend(extensions);
        message
    }

    fn datagram(message: &[u8], offset: usize, end: usize) -> Vec<u8> {
        let wide = |n: usize| (n as u32).to_be_bytes()[1..].to_vec();
        let body = [vec![1], wide(message.len()), vec![0, 0], wide(offset), wide(end - offset)].concat();
        let body = [body, message[offset..end].to_vec()].concat();
        let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0];
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    }

    #[test]
    fn our_preference_wins_over_the_clients_order() {
        for (offered, expected) in [
            (&[1, 8, 7][..], Some(Profile::AeadAes128Gcm)),
            (&[1, 8], Some(Profile::AeadAes256Gcm)),
            (&[2, 1], Some(Profile::Aes128CmSha1)),
            (&[2], None),
            (&[], None),
        ] {
            let message = hello(offered, 0);
            let read = HelloReader::default().read(&datagram(&message, 0, message.len())).expect("complete");
            assert_eq!(read.preferred(), expected, "{offered:?}");
        }
    }

    #[test]
    fn fragments_are_joined_in_any_order() {
        let message = hello(&[1, 7], 1300);
        let parts = [
            datagram(&message, 0, 600),
            datagram(&message, 500, 1100),
            datagram(&message, 1100, message.len()),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let mut reader = HelloReader::default();
            assert!(reader.read(&parts[order[0]]).is_none());
            assert!(reader.read(&parts[order[0]]).is_none());
            assert!(reader.read(&parts[order[1]]).is_none());
            let read = reader.read(&parts[order[2]]).expect("complete");
            assert_eq!(read.preferred(), Some(Profile::AeadAes128Gcm));
            assert_eq!(read.datagrams.len(), 4);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let message = hello(&[7], 1300);
        let mut reader = HelloReader::default();
        for _ in 0..100 {
            assert!(reader.read(&datagram(&message, 0, 600)).is_none());
            assert!(reader.datagrams.len() <= MAX_DATAGRAMS);
        }
        let long = hello(&[7], 9000);
        assert!(HelloReader::default().read(&datagram(&long, 0, 600)).is_none());
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(
            mut message in Just(hello(&[1, 7], 20)),
            changes in proptest::collection::vec((0..70_usize, any::<u8>()), 0..6),
            cut in 0..90_usize,
        ) {
            for (at, byte) in changes {
                message[at] = byte;
            }
            message.truncate(cut);
            let _ = Hello { message, datagrams: Vec::new() }.preferred();
        }
    }
}
