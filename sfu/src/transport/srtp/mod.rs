//! SRTP and SRTCP in place (RFC 3711, RFC 7714): one packet, one pass, nothing allocated.
//!
//! [`keys`] splits what DTLS exported and derives the session keys; [`gcm`] and [`cm`] are the two families of ciphers; [`Sealer`]
//! protects what we send, [`Opener`] what the client sends, with a [`replay`] window per SSRC.

mod cm;
mod gcm;
mod keys;
mod open;
mod replay;
mod seal;

use rtc_crypto::RTCCrypto;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

pub use keys::KeyingMaterial;
pub use open::{Opener, SrtpCounters};
pub use seal::Sealer;

/// An SRTP protection profile (RFC 5764 section 4.1.2, RFC 7714 section 14.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// `SRTP_AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`.
    AeadAes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`.
    Aes128CmSha1,
}

impl Profile {
    /// The cheapest first: AES-CM with HMAC-SHA1 costs five times as much per packet.
    pub const PREFERENCE: [Self; 3] = [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::Aes128CmSha1];

    /// The one of this number in `use_srtp`.
    pub(super) fn from_wire(number: u16) -> Option<Self> {
        Self::PREFERENCE.into_iter().find(|profile| SrtpProtectionProfile::from(*profile) as u16 == number)
    }

    fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmSha1 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => gcm::SALT_LEN,
            Self::Aes128CmSha1 => cm::SALT_LEN,
        }
    }
}

impl From<Profile> for SrtpProtectionProfile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::AeadAes128Gcm => Self::Srtp_Aead_Aes_128_Gcm,
            Profile::AeadAes256Gcm => Self::Srtp_Aead_Aes_256_Gcm,
            Profile::Aes128CmSha1 => Self::Srtp_Aes128_Cm_Hmac_Sha1_80,
        }
    }
}

/// Any datagrams to be opened, with each profile; what was sealed is opened in between.
#[cfg(feature = "fuzzing")]
pub fn fuzz(data: &[u8]) {
    let Ok(provider) = rtc_crypto::default_provider() else { return };
    let crypto = provider.crypto();
    for profile in Profile::PREFERENCE {
        let exported: Vec<u8> = (0..KeyingMaterial::len(profile)).map(|at| at as u8).collect();
        let material = KeyingMaterial::split(profile, &exported).expect("the right length");
        let mut opener = Opener::new(crypto, &material, false, 4).expect("an opener");
        let mut sealer = Sealer::new(crypto, &material, true).expect("a sealer");
        for datagram in super::fuzzing::datagrams(data) {
            let mut hostile = bytes::BytesMut::from(datagram);
            opener.rtp(&mut hostile);
            let mut hostile = bytes::BytesMut::from(datagram);
            opener.rtcp(&mut hostile);
            let Some(header_len) = rtp_header_len(datagram) else { continue };
            let mut sealed = datagram.to_vec();
            if sealer.rtp(&mut sealed, 0, header_len, 0).is_some() {
                let mut sealed = bytes::BytesMut::from(&sealed[..]);
                if opener.rtp(&mut sealed) {
                    assert_eq!(sealed, datagram);
                }
            }
        }
    }
}

/// The keys of one direction, ready to use.
enum Cipher {
    Gcm(gcm::Gcm),
    Cm(cm::Cm),
}

impl Cipher {
    fn new(crypto: &dyn RTCCrypto, master: &keys::Master) -> Result<Self, rtc_crypto::CryptoError> {
        match master.profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => gcm::Gcm::new(crypto, master).map(Self::Gcm),
            Profile::Aes128CmSha1 => cm::Cm::new(crypto, master).map(Self::Cm),
        }
    }
}

/// Length of the fixed header, the CSRCs and the extension of an RTP packet (RFC 3550 section 5.1), or `None` when it is
/// none or ends before its payload would begin.
fn rtp_header_len(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    if first >> 6 != 2 {
        return None;
    }
    let fixed = 12 + 4 * usize::from(first & 0x0f);
    let length = if first & 0x10 == 0 {
        fixed
    } else {
        let words = packet.get(fixed.checked_add(2)?..)?.first_chunk::<2>()?;
        fixed + 4 + 4 * usize::from(u16::from_be_bytes(*words))
    };
    (length <= packet.len()).then_some(length)
}

/// The four bytes at `at`, big-endian.
fn word(packet: &[u8], at: usize) -> Option<u32> {
    packet.get(at..)?.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}

/// XORs `pad` into the beginning of `block`.
fn xor(block: &mut [u8], pad: &[u8]) {
    for (byte, pad) in block.iter_mut().zip(pad) {
        *byte ^= pad;
    }
}

/// Header that RTCP keeps in the clear: first word and sender SSRC.
const RTCP_HEADER_LEN: usize = 8;
/// The word with the E flag and the SRTCP index.
const INDEX_LEN: usize = 4;
/// Set when an RTCP packet is encrypted (RFC 3711 section 3.4).
const ENCRYPTED: u32 = 1 << 31;

#[cfg(test)]
mod tests;
