//! SRTP and SRTCP (RFC 3711, RFC 7714), in place.

use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

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
