//! What can be read of a sealed RTP packet: its header, which SRTP leaves in the clear (RFC 3711 section 3.1).

/// A sealed packet's header, as far as a member needs it that does not open packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedHeader {
    /// The stream.
    pub ssrc: u32,
    /// The payload type.
    pub payload_type: u8,
    /// The RTP sequence number.
    pub sequence_number: u16,
    /// The transport-wide number, if it has one.
    pub transport_number: Option<u16>,
}

impl SealedHeader {
    /// Reads the header of a datagram; none when it is no RTP. `extension` is the id of the transport-wide number.
    pub fn read(datagram: &[u8], extension: Option<u8>) -> Option<Self> {
        let [first, second, high, low, _, _, _, _, a, b, c, d, rest @ ..] = datagram else { return None };
        // RFC 7983 section 7; RFC 5761 section 4.
        if !(128..=191).contains(first) || (192..=223).contains(second) {
            return None;
        }
        let rest = rest.get(usize::from(first & 0x0f) * 4..)?;
        let transport_number = extension.filter(|_| first & 0x10 != 0).and_then(|id| number_in(rest, id));
        Some(Self {
            ssrc: u32::from_be_bytes([*a, *b, *c, *d]),
            payload_type: second & 0x7f,
            sequence_number: u16::from_be_bytes([*high, *low]),
            transport_number,
        })
    }
}

/// The two bytes of the one-byte extension with that id (RFC 8285 section 4.2).
fn number_in(extensions: &[u8], wanted: u8) -> Option<u16> {
    let ([0xbe, 0xde, high, low], rest) = extensions.split_first_chunk::<4>()? else { return None };
    let mut rest = rest.get(..usize::from(u16::from_be_bytes([*high, *low])) * 4)?;
    while let Some((head, behind)) = rest.split_first() {
        if *head == 0 {
            rest = behind;
            continue;
        }
        let (value, behind) = behind.split_at_checked(usize::from(head & 0x0f) + 1)?;
        if head >> 4 == wanted {
            return Some(u16::from_be_bytes(*value.first_chunk()?));
        }
        rest = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rtc::shared::marshal::Marshal as _;

    use super::*;

    #[test]
    fn the_number_is_found_among_other_extensions() {
        let mut header = rtp::Header {
            version: 2,
            ssrc: 77,
            payload_type: 96,
            sequence_number: 65_535,
            ..rtp::Header::default()
        };
        header.set_extension(4, Bytes::from_static(b"mid")).expect("it fits");
        header.set_extension(3, Bytes::from_static(&[0x12, 0x34])).expect("it fits");
        let packet =
            rtp::Packet { header, payload: Bytes::from_static(b"sealed") }.marshal().expect("a packet");
        let read = |id| SealedHeader::read(&packet, id).expect("it is RTP");
        assert_eq!(
            read(Some(3)),
            SealedHeader {
                ssrc: 77,
                payload_type: 96,
                sequence_number: 65_535,
                transport_number: Some(0x1234)
            }
        );
        assert_eq!((read(Some(5)).transport_number, read(None).transport_number), (None, None));
    }

    #[test]
    fn what_is_no_rtp_or_cut_off_is_left_alone() {
        assert_eq!(SealedHeader::read(&[0x80, 200, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1], Some(3)), None, "RTCP");
        assert_eq!(SealedHeader::read(&[0x16; 40], Some(3)), None, "DTLS");
        let cut = [0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 9, 0x31];
        assert_eq!(SealedHeader::read(&cut, Some(3)).and_then(|header| header.transport_number), None);
    }
}
