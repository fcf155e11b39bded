use proptest::prelude::*;
use rtc_crypto::HmacAlgorithm;

use super::*;

fn key(password: &[u8]) -> Box<dyn Mac> {
    let provider = rtc_crypto::default_provider().expect("a provider");
    provider.crypto().new_hmac(HmacAlgorithm::Sha1, password).expect("a key")
}

/// RFC 5769 section 2.1, password `VOkJxbRl1RmTxUk/WvJxBt`.
const REQUEST: &[u8] = &[
    0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa,
    0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20,
    0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00,
    0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a,
    0x3a, 0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf,
    0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28,
    0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf,
];
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

#[test]
fn the_sample_request_of_rfc_5769_is_authentic() {
    let check = Check::parse(REQUEST).expect("a check");
    assert_eq!(check.username(), b"evtj:h6vY");
    assert!(!check.nominates());
    assert!(check.is_authentic(&mut *key(PASSWORD)));
    assert!(!check.is_authentic(&mut *key(b"VOkJxbRl1RmTxUk/WvJxBu")));
    assert_eq!(addressed_ufrag(REQUEST), Some(&b"evtj"[..]));
}

#[test]
fn a_changed_byte_is_never_authentic() {
    for at in 0..REQUEST.len() {
        let mut changed = REQUEST.to_vec();
        changed[at] ^= 1;
        let authentic = Check::parse(&changed).is_some_and(|check| check.is_authentic(&mut *key(PASSWORD)));
        assert!(!authentic, "byte {at}");
    }
}

/// RFC 5769 sections 2.2 and 2.3 print responses to this request; they carry SOFTWARE, so only the address is compared.
#[test]
fn the_response_carries_the_xored_address_and_is_no_longer_than_the_request() {
    let check = Check::parse(REQUEST).expect("a check");
    for (from, address) in [
        ("192.0.2.1:32853", &[0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43][..]),
        (
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
            &[
                0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4,
                0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
            ],
        ),
    ] {
        let response =
            check.success(&mut *key(PASSWORD), from.parse().expect("an address")).expect("a response");
        assert!(response.len() <= REQUEST.len());
        assert_eq!(&response[..2], &[0x01, 0x01]);
        assert_eq!(&response[8..20], &REQUEST[8..20]);
        assert_eq!(&response[24..24 + address.len()], address);
    }
}

#[test]
fn an_independent_parser_accepts_the_response() {
    use rtc_stun::fingerprint::FINGERPRINT;
    use rtc_stun::integrity::MessageIntegrity;
    use rtc_stun::message::{BINDING_SUCCESS, Getter, Message};
    use rtc_stun::xoraddr::XorMappedAddress;

    let from: SocketAddr = "[::ffff:198.51.100.7]:4242".parse().expect("an address");
    let check = Check::parse(REQUEST).expect("a check");
    let response = check.success(&mut *key(PASSWORD), from).expect("a response");
    let mut message = Message::new();
    message.unmarshal_binary(&response).expect("a message");
    assert_eq!(message.typ, BINDING_SUCCESS);
    let provider = rtc_crypto::default_provider().expect("a provider");
    MessageIntegrity::check(&mut message, PASSWORD, provider.crypto()).expect("integrity");
    FINGERPRINT.check(&message).expect("fingerprint");
    let mut address = XorMappedAddress::default();
    address.get_from(&message).expect("an address");
    assert_eq!((address.ip, address.port), (from.ip().to_canonical(), from.port()));
}

proptest! {
    #[test]
    fn anything_is_read_without_a_panic(datagram in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Check::parse(&datagram);
        let _ = addressed_ufrag(&datagram);
    }

    #[test]
    fn mutations_are_read_without_a_panic(
        changes in proptest::collection::vec((0..REQUEST.len(), any::<u8>()), 1..8),
        length in 0..=REQUEST.len(),
    ) {
        let mut datagram = REQUEST.to_vec();
        for (at, byte) in changes {
            datagram[at] = byte;
        }
        datagram.truncate(length);
        let _ = Check::parse(&datagram);
        let _ = addressed_ufrag(&datagram);
    }
}
