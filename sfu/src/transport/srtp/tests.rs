use bytes::BytesMut;
use proptest::prelude::*;
use rtc_crypto::RTCCryptoProvider;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

use super::keys::{Label, Master};
use super::*;

fn crypto() -> std::sync::Arc<dyn RTCCryptoProvider> {
    rtc_crypto::default_provider().expect("a provider")
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex"))
        .collect()
}

fn theirs(profile: Profile) -> ProtectionProfile {
    match profile {
        Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Profile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Profile::Aes128CmSha1 => ProtectionProfile::Aes128CmHmacSha1_80,
    }
}

/// Both halves filled with different bytes.
fn material(profile: Profile) -> KeyingMaterial {
    let exported: Vec<u8> = (0..KeyingMaterial::len(profile)).map(|at| (at * 7 + 3) as u8).collect();
    KeyingMaterial::split(profile, &exported).expect("the right length")
}

fn context(master: &Master) -> Context {
    Context::new(&master.key, &master.salt, theirs(master.profile), None, None, crypto().crypto())
        .expect("a context")
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x90, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend(1000_u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 1, 0x10, 0x41, 0, 0]);
    packet.extend(payload);
    packet
}

const RTP_HEADER_LEN: usize = 20;

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x81, 206, 0, 2];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(42_u32.to_be_bytes());
    packet
}

fn pair(profile: Profile, ssrcs: usize) -> (Sealer, Opener) {
    let (provider, material) = (crypto(), material(profile));
    let sealer = Sealer::new(provider.crypto(), &material, true).expect("a sealer");
    let opener = Opener::new(provider.crypto(), &material, false, ssrcs).expect("an opener");
    (sealer, opener)
}

fn sealed(sealer: &mut Sealer, ssrc: u32, index: u64) -> BytesMut {
    let mut buffer = rtp(ssrc, index as u16, b"payload");
    sealer.rtp(&mut buffer, 0, RTP_HEADER_LEN, (index >> 16) as u32).expect("sealed");
    BytesMut::from(&buffer[..])
}

/// RFC 3711 appendix B.3.
#[test]
fn session_keys_are_those_of_rfc_3711() {
    let master = Master {
        profile: Profile::Aes128CmSha1,
        key: hex("E1F97A0D3E018BE0D64FA32C06DE4139"),
        salt: hex("0EC675AD498AFEEBB6960B3AABE6"),
    };
    let provider = crypto();
    let crypto = provider.crypto();
    let derived = |label, length: usize| {
        let mut long: [u8; 94] = master.derive(crypto, label).expect("derived");
        long[length..].fill(0);
        long[..length].to_vec()
    };
    assert_eq!(derived(Label::RtpEncryption, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(Label::RtpSalt, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    assert_eq!(
        derived(Label::RtpAuthentication, 94),
        hex("CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE
             E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25
             6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2")
    );
}

#[test]
fn what_we_seal_another_implementation_opens() {
    for profile in Profile::PREFERENCE {
        let (provider, material) = (crypto(), material(profile));
        let mut sealer = Sealer::new(provider.crypto(), &material, false).expect("a sealer");
        let mut other = context(&material.server);
        for index in 65_500_u64..65_600 {
            let plain = rtp(7, index as u16, &[index as u8; 1200]);
            let mut buffer = b"before".to_vec();
            buffer.extend(&plain);
            sealer.rtp(&mut buffer, 6, RTP_HEADER_LEN, (index >> 16) as u32).expect("sealed");
            assert_eq!(&buffer[..6], b"before");
            assert_ne!(&buffer[6 + RTP_HEADER_LEN..][..1200], &plain[RTP_HEADER_LEN..]);
            assert_eq!(
                &other.decrypt_rtp(&buffer[6..]).expect("opened")[..],
                &plain[..],
                "{profile:?} {index}"
            );
        }
        for _ in 0..3 {
            let mut buffer = b"before".to_vec();
            buffer.extend(rtcp(9));
            sealer.rtcp(&mut buffer, 6).expect("sealed");
            assert_eq!(&other.decrypt_rtcp(&buffer[6..]).expect("opened")[..], &rtcp(9)[..], "{profile:?}");
        }
    }
}

#[test]
fn what_another_implementation_seals_we_open() {
    for profile in Profile::PREFERENCE {
        let (provider, material) = (crypto(), material(profile));
        let mut opener = Opener::new(provider.crypto(), &material, false, 4).expect("an opener");
        let mut other = context(&material.client);
        for index in 65_500_u64..65_600 {
            let plain = rtp(7, index as u16, &[index as u8; 1200]);
            let mut datagram = other.encrypt_rtp(&plain).expect("sealed");
            assert!(opener.rtp(&mut datagram), "{profile:?} {index}");
            assert_eq!(&datagram[..], &plain[..]);
            let mut datagram = other.encrypt_rtcp(&rtcp(9)).expect("sealed");
            assert!(opener.rtcp(&mut datagram), "{profile:?} {index}");
            assert_eq!(&datagram[..], &rtcp(9)[..]);
        }
        assert_eq!(opener.counters(), SrtpCounters::default());
    }
}

#[test]
fn a_packet_is_opened_once() {
    for profile in Profile::PREFERENCE {
        let (mut sealer, mut opener) = pair(profile, 4);
        let packet = sealed(&mut sealer, 7, 100);
        assert!(opener.rtp(&mut packet.clone()));
        assert!(!opener.rtp(&mut packet.clone()));
        let mut report = rtcp(7);
        sealer.rtcp(&mut report, 0).expect("sealed");
        assert!(opener.rtcp(&mut BytesMut::from(&report[..])));
        assert!(!opener.rtcp(&mut BytesMut::from(&report[..])));
        assert_eq!(opener.counters().replayed, 2);
    }
}

#[test]
fn order_does_not_matter_within_the_window_and_across_the_rollover() {
    for profile in Profile::PREFERENCE {
        let (mut sealer, mut opener) = pair(profile, 4);
        for index in [65_530_u64, 65_540, 65_531, 65_535, 65_536, 66_500, 65_537] {
            assert!(opener.rtp(&mut sealed(&mut sealer, 7, index)), "{profile:?} {index}");
        }
        assert!(!opener.rtp(&mut sealed(&mut sealer, 7, 66_500 - 1024)));
    }
}

#[test]
fn a_changed_bit_anywhere_is_noticed_and_leaves_no_trace() {
    for profile in Profile::PREFERENCE {
        let (mut sealer, mut opener) = pair(profile, 1);
        let packet = sealed(&mut sealer, 7, 100);
        for at in 0..packet.len() {
            let mut forged = packet.clone();
            forged[at] ^= 1;
            assert!(!opener.rtp(&mut forged), "{profile:?} byte {at}");
        }
        let mut report = rtcp(7);
        sealer.rtcp(&mut report, 0).expect("sealed");
        for at in 0..report.len() {
            let mut forged = BytesMut::from(&report[..]);
            forged[at] ^= 1;
            assert!(!opener.rtcp(&mut forged), "{profile:?} byte {at}");
        }
        // The one place for an SSRC is still free.
        assert!(opener.rtp(&mut packet.clone()));
        assert!(opener.rtcp(&mut BytesMut::from(&report[..])));
    }
}

#[test]
fn rtcp_in_the_clear_is_refused() {
    for profile in Profile::PREFERENCE {
        let (mut sealer, mut opener) = pair(profile, 4);
        let mut report = rtcp(7);
        sealer.rtcp(&mut report, 0).expect("sealed");
        let flag = report.len() - if profile == Profile::Aes128CmSha1 { 14 } else { 4 };
        assert_eq!(report[flag] & 0x80, 0x80);
        report[flag] &= 0x7f;
        assert!(!opener.rtcp(&mut BytesMut::from(&report[..])));
        assert_eq!(opener.counters().forged, 1);
    }
}

#[test]
fn one_ssrc_too_many_is_refused() {
    let (mut sealer, mut opener) = pair(Profile::AeadAes128Gcm, 2);
    assert!(opener.rtp(&mut sealed(&mut sealer, 1, 1)));
    assert!(opener.rtp(&mut sealed(&mut sealer, 2, 1)));
    assert!(!opener.rtp(&mut sealed(&mut sealer, 3, 1)));
    assert!(opener.rtp(&mut sealed(&mut sealer, 1, 2)));
    assert_eq!(opener.counters().excess_ssrcs, 1);
}

#[test]
fn nonsense_is_not_sealed() {
    for profile in Profile::PREFERENCE {
        let (mut sealer, _) = pair(profile, 2);
        assert_eq!(sealer.rtp(&mut vec![0x80; 11], 0, 12, 0), None);
        assert_eq!(sealer.rtp(&mut vec![0x80; 20], 30, 12, 0), None);
        assert_eq!(sealer.rtp(&mut vec![0x80; 20], 0, 37, 0), None);
        assert_eq!(sealer.rtcp(&mut vec![0x80; 7], 0), None);
    }
}

#[test]
fn header_lengths() {
    assert_eq!(rtp_header_len(&rtp(1, 1, b"")), Some(20));
    assert_eq!(rtp_header_len(&[0x80; 12]), Some(12));
    assert_eq!(rtp_header_len(&[0x82; 20]), Some(20));
    assert_eq!(rtp_header_len(&[0x82; 19]), None);
    assert_eq!(rtp_header_len(&[0x40; 12]), None);
    assert_eq!(rtp_header_len(&[]), None);
}

proptest! {
    #[test]
    fn anything_is_opened_without_a_panic(datagram in proptest::collection::vec(any::<u8>(), 0..300)) {
        for profile in Profile::PREFERENCE {
            let (_, mut opener) = pair(profile, 2);
            prop_assert!(!opener.rtp(&mut BytesMut::from(&datagram[..])));
            prop_assert!(!opener.rtcp(&mut BytesMut::from(&datagram[..])));
        }
    }
}

#[test]
fn sealing_and_opening_allocate_nothing() {
    for profile in Profile::PREFERENCE {
        let (mut sealer, mut opener) = pair(profile, 4);
        let mut buffer = Vec::with_capacity(64 * 1024);
        let mut sequence = 0_u16;
        let mut exchange = |buffer: &mut Vec<u8>, packets: u16| {
            let mut received: Vec<BytesMut> = Vec::new();
            let sealed = allocation_counter::measure(|| {
                for _ in 0..packets {
                    let start = buffer.len();
                    buffer.extend_from_slice(&[0x80, 96]);
                    buffer.extend_from_slice(&sequence.to_be_bytes());
                    buffer.extend_from_slice(&[0; 1000]);
                    sealer.rtp(buffer, start, 12, 0).expect("sealed");
                    sequence += 1;
                }
            });
            let size = buffer.len() / usize::from(packets);
            received.extend(buffer.chunks(size).map(BytesMut::from));
            let opened = allocation_counter::measure(|| {
                for packet in &mut received {
                    assert!(opener.rtp(packet));
                }
            });
            buffer.clear();
            (sealed.count_total, opened.count_total)
        };
        // The first packet makes its stream known.
        exchange(&mut buffer, 1);
        assert_eq!(exchange(&mut buffer, 50), (0, 0), "{profile:?}");
    }
}
