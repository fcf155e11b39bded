/// What a datagram on the media port is, by its first bytes (RFC 7983 section 7, RFC 5761 section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    Stun,
    Dtls,
    Rtp,
    Rtcp,
}

impl Class {
    /// Looks at no more than two bytes. `None` for what no protocol of ours begins with.
    pub(crate) fn of(datagram: &[u8]) -> Option<Self> {
        match (datagram.first()?, datagram.get(1)) {
            (0..=3, _) => Some(Self::Stun),
            (20..=63, _) => Some(Self::Dtls),
            (128..=191, Some(192..=223)) => Some(Self::Rtcp),
            (128..=191, Some(_)) => Some(Self::Rtp),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_first_byte_has_one_class_or_none() {
        for first in 0..=u8::MAX {
            let expected = match first {
                0..=3 => Some(Class::Stun),
                20..=63 => Some(Class::Dtls),
                128..=191 => Some(Class::Rtp),
                _ => None,
            };
            assert_eq!(Class::of(&[first, 96]), expected, "{first}");
        }
        assert_eq!(Class::of(&[]), None);
    }

    #[test]
    fn rtcp_is_told_from_rtp_by_its_packet_type() {
        assert_eq!(Class::of(&[0x80, 191]), Some(Class::Rtp));
        assert_eq!(Class::of(&[0x80, 192]), Some(Class::Rtcp));
        assert_eq!(Class::of(&[0x81, 206]), Some(Class::Rtcp));
        assert_eq!(Class::of(&[0x80, 223]), Some(Class::Rtcp));
        assert_eq!(Class::of(&[0x80, 224]), Some(Class::Rtp));
    }
}
