use bytes::Bytes;
use rtc_datachannel::data_channel::DataChannel;
use rtc_datachannel::message::Message;
use rtc_sctp::{PayloadProtocolIdentifier, ReliabilityType};
use rtc_shared::marshal::Unmarshal;

use crate::message::Data;

/// What a DATA_CHANNEL_OPEN asks for (RFC 8832 section 5.1). It holds for both directions.
pub(super) struct Opening {
    pub(super) label: String,
    pub(super) unordered: bool,
    pub(super) reliability: ReliabilityType,
    pub(super) parameter: u32,
}

impl Opening {
    /// `None` for any other message, and for a label that is not UTF-8.
    pub(super) fn parse(payload: &Bytes) -> Option<Self> {
        // The parser knows further kinds for its own use, and believes that nobody else sends them.
        if payload.first() != Some(&OPEN) {
            return None;
        }
        let Ok(Message::DataChannelOpen(open)) = Message::unmarshal(&mut payload.clone()) else {
            return None;
        };
        let (unordered, reliability) = DataChannel::get_reliability_params(open.channel_type);
        let label = String::from_utf8(open.label).ok()?;
        Some(Self { label, unordered, reliability, parameter: open.reliability_parameter })
    }
}

/// Text that is not UTF-8.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct NotUtf8;

/// Reads a message (RFC 8831 section 6.6). `Ok(None)` for kinds that nobody sends any more.
pub(super) fn decode(identifier: PayloadProtocolIdentifier, payload: Bytes) -> Result<Option<Data>, NotUtf8> {
    Ok(Some(match identifier {
        PayloadProtocolIdentifier::String => {
            std::str::from_utf8(&payload).map_err(|_| NotUtf8)?;
            Data::Text(payload)
        }
        PayloadProtocolIdentifier::StringEmpty => Data::Text(Bytes::new()),
        PayloadProtocolIdentifier::Binary => Data::Binary(payload),
        PayloadProtocolIdentifier::BinaryEmpty => Data::Binary(Bytes::new()),
        _ => return Ok(None),
    }))
}

/// Writes a message: an empty one is a byte that its identifier says to ignore.
pub(super) fn encode(data: &Data) -> (PayloadProtocolIdentifier, Bytes) {
    match data {
        Data::Text(text) if text.is_empty() => {
            (PayloadProtocolIdentifier::StringEmpty, Bytes::from_static(&[0]))
        }
        Data::Text(text) => (PayloadProtocolIdentifier::String, text.clone()),
        Data::Binary(bytes) if bytes.is_empty() => {
            (PayloadProtocolIdentifier::BinaryEmpty, Bytes::from_static(&[0]))
        }
        Data::Binary(bytes) => (PayloadProtocolIdentifier::Binary, bytes.clone()),
    }
}

/// DATA_CHANNEL_OPEN (RFC 8832 section 5.1).
const OPEN: u8 = 3;
/// DATA_CHANNEL_ACK (RFC 8832 section 5.2).
pub(super) const ACKNOWLEDGEMENT: [u8; 1] = [2];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_opening_is_read() {
        let message = b"\x03\x82\x01\x00\x00\x00\x00\x96\x00\x04\x00\x01livex";
        let opening = Opening::parse(&Bytes::from_static(message)).expect("an opening");
        assert_eq!((opening.label.as_str(), opening.unordered, opening.parameter), ("live", true, 150));
        assert_eq!(opening.reliability, ReliabilityType::Timed);
        assert!(Opening::parse(&Bytes::from_static(b"\x02")).is_none());
        assert!(
            Opening::parse(&Bytes::from_static(b"\x00\x00")).is_none(),
            "no such message goes over a line"
        );
        assert!(
            Opening::parse(&Bytes::from_static(b"\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\xff"))
                .is_none()
        );
    }

    #[test]
    fn messages_come_back_as_they_went() {
        for data in [Data::Text("é".into()), Data::Text(Bytes::new()), Data::Binary(vec![255].into())] {
            let (identifier, payload) = encode(&data);
            assert!(!payload.is_empty());
            assert_eq!(decode(identifier, payload), Ok(Some(data)));
        }
        assert_eq!(decode(PayloadProtocolIdentifier::String, vec![255].into()), Err(NotUtf8));
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(mut message in proptest::collection::vec(any::<u8>(), 0..60), open in any::<bool>()) {
            if open && let Some(first) = message.first_mut() {
                *first = 3;
            }
            let _ = Opening::parse(&Bytes::from(message));
        }
    }
}
