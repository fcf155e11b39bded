use rtc_crypto::{BlockCipherAlgorithm, CryptoError, RTCCrypto};

use super::Profile;

/// What a DTLS handshake exports for SRTP (RFC 5764 section 4.2), split in two.
pub struct KeyingMaterial {
    pub(super) client: Master,
    pub(super) server: Master,
}

impl KeyingMaterial {
    /// The exporter's label.
    pub const LABEL: &'static str = "EXTRACTOR-dtls_srtp";

    /// How many bytes to export.
    pub fn len(profile: Profile) -> usize {
        2 * (profile.key_len() + profile.salt_len())
    }

    /// Splits what was exported: both keys, then both salts, the DTLS client's first. `None` when the length is wrong.
    pub fn split(profile: Profile, exported: &[u8]) -> Option<Self> {
        let (client_key, rest) = exported.split_at_checked(profile.key_len())?;
        let (server_key, rest) = rest.split_at_checked(profile.key_len())?;
        let (client_salt, server_salt) = rest.split_at_checked(profile.salt_len())?;
        if server_salt.len() != profile.salt_len() {
            return None;
        }
        let master = |key: &[u8], salt: &[u8]| Master { profile, key: key.to_vec(), salt: salt.to_vec() };
        Some(Self { client: master(client_key, client_salt), server: master(server_key, server_salt) })
    }
}

/// The master key and salt of one direction.
pub(super) struct Master {
    pub(super) profile: Profile,
    pub(super) key: Vec<u8>,
    pub(super) salt: Vec<u8>,
}

impl Master {
    /// Derives a session key, with a key derivation rate of zero (RFC 3711 section 4.3.1, RFC 7714 section 11).
    pub(super) fn derive<const N: usize>(
        &self,
        crypto: &dyn RTCCrypto,
        label: Label,
    ) -> Result<[u8; N], CryptoError> {
        let mut derived = [0; N];
        self.derive_into(crypto, label, &mut derived)?;
        Ok(derived)
    }

    /// A session key as long as the master key.
    pub(super) fn derive_key(&self, crypto: &dyn RTCCrypto, label: Label) -> Result<Vec<u8>, CryptoError> {
        let mut derived = vec![0; self.key.len()];
        self.derive_into(crypto, label, &mut derived)?;
        Ok(derived)
    }

    fn derive_into(
        &self,
        crypto: &dyn RTCCrypto,
        label: Label,
        derived: &mut [u8],
    ) -> Result<(), CryptoError> {
        let algorithm =
            if self.key.len() == 32 { BlockCipherAlgorithm::Aes256 } else { BlockCipherAlgorithm::Aes128 };
        let mut salted = [0; 14];
        super::xor(&mut salted, &self.salt);
        super::xor(&mut salted, &[0, 0, 0, 0, 0, 0, 0, label as u8]);
        for (counter, part) in (0_u16..).zip(derived.chunks_mut(16)) {
            let mut block = [0; 16];
            super::xor(&mut block, &salted);
            if let Some(tail) = block.last_chunk_mut::<2>() {
                *tail = counter.to_be_bytes();
            }
            crypto.block_encrypt(algorithm, &self.key, &mut block)?;
            for (to, from) in part.iter_mut().zip(block) {
                *to = from;
            }
        }
        Ok(())
    }
}

/// What a session key is for (RFC 3711 section 4.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}
