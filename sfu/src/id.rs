//! The names things go by: opaque ids that the caller chooses, and RTP's own identifiers.

use std::fmt;
use std::str::FromStr;

/// A room. Chosen by the caller, unique in the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RoomId(pub u64);

/// One connection of somebody to a room. Chosen by the caller, unique in the process and never used again:
/// who comes back after leaving gets a new one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ParticipantId(pub u64);

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One of the shards of a core, 0 to 63: as many as one character of an ICE user fragment can name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct ShardIndex(u8);

impl ShardIndex {
    /// How many shards there can be.
    pub const MOST: usize = 64;

    /// The shard with this number; `None` from [`MOST`](Self::MOST) on.
    pub fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|_| index < Self::MOST).map(Self)
    }

    /// Its number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// What this shard's user fragments begin with: an `ice-char` (RFC 8839 section 5.4).
    pub fn letter(self) -> char {
        char::from(ICE_CHARS[self.index() % Self::MOST])
    }

    /// The shard that made a local user fragment. A claim: the fragment may be anybody's.
    pub fn of_ufrag(ufrag: &[u8]) -> Option<Self> {
        let letter = ufrag.first()?;
        ICE_CHARS.iter().position(|known| known == letter).and_then(Self::new)
    }
}

/// The characters of ICE credentials (RFC 8839 section 5.4); each is worth 6 bits.
pub(crate) const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A published track: whose it is, and the how-manieth of theirs. Never used again once unpublished.
///
/// Written as `<participant, 16 hex digits>-<index>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PublicationId {
    /// The publisher.
    pub participant: ParticipantId,
    /// Counts this participant's publications from 0.
    pub index: u16,
}

impl fmt::Display for PublicationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.participant, self.index)
    }
}

impl FromStr for PublicationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (participant, index) = text.split_once('-').ok_or(InvalidId)?;
        if participant.len() != 16 {
            return Err(InvalidId);
        }
        let participant = u64::from_str_radix(participant, 16).map_err(|_| InvalidId)?;
        let index = index.parse().map_err(|_| InvalidId)?;
        Ok(Self { participant: ParticipantId(participant), index })
    }
}

/// A text that is no id of ours, or longer than an identifier may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a valid identifier")]
pub struct InvalidId;

/// An RTP synchronisation source (RFC 3550 section 8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ssrc(pub u32);

/// The identification tag of an m-line (RFC 5888), at most 16 bytes so that it fits a one-byte header extension.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mid(Token);

/// The id of one RTP stream of a simulcast (RFC 8851, RFC 8852), at most 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rid(Token);

macro_rules! token {
    ($name:ident) => {
        impl $name {
            /// Takes 1 to 16 visible ASCII characters; anything else is [`InvalidId`].
            pub fn new(bytes: &[u8]) -> Result<Self, InvalidId> {
                Token::new(bytes).map(Self)
            }

            /// The characters as sent on the wire.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.as_str())
            }
        }
    };
}

token!(Mid);
token!(Rid);

/// Up to 16 bytes kept inline, so that ids are copied and compared without touching the heap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Token {
    bytes: [u8; 16],
    len: u8,
}

impl Token {
    fn new(text: &[u8]) -> Result<Self, InvalidId> {
        let mut bytes = [0; 16];
        let len = u8::try_from(text.len()).map_err(|_| InvalidId)?;
        let room = bytes.get_mut(..text.len()).ok_or(InvalidId)?;
        if text.is_empty() || !text.iter().all(u8::is_ascii_graphic) {
            return Err(InvalidId);
        }
        room.copy_from_slice(text);
        Ok(Self { bytes, len })
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_id_survives_being_written() {
        let id = PublicationId { participant: ParticipantId(0xab), index: 3 };
        assert_eq!(id.to_string(), "00000000000000ab-3");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "-", "ab-3", "00000000000000ab", "00000000000000ab-", "00000000000000ab-65536"] {
            assert_eq!(bad.parse::<PublicationId>(), Err(InvalidId), "{bad}");
        }
    }

    #[test]
    fn a_user_fragment_names_its_shard() {
        for index in 0..ShardIndex::MOST {
            let shard = ShardIndex::new(index).expect("one of 64");
            let ufrag = format!("{}abc", shard.letter());
            assert_eq!(ShardIndex::of_ufrag(ufrag.as_bytes()), Some(shard));
            assert_eq!(shard.index(), index);
        }
        assert_eq!(ShardIndex::new(ShardIndex::MOST), None);
        for nobodys in [&b""[..], b":", b"-x", &[0xff]] {
            assert_eq!(ShardIndex::of_ufrag(nobodys), None);
        }
    }

    #[test]
    fn a_token_takes_one_to_sixteen_visible_characters() {
        assert_eq!(Mid::new(b"0").map(|m| m.to_string()), Ok("0".to_owned()));
        assert!(Mid::new(&[b'x'; 16]).is_ok());
        assert_eq!(Mid::new(&[b'x'; 17]), Err(InvalidId));
        assert_eq!(Mid::new(b""), Err(InvalidId));
        assert_eq!(Mid::new(b"a b"), Err(InvalidId));
    }
}
