use rtc_crypto::{CryptoError, RTCCrypto};

use super::keys::KeyingMaterial;
use super::{Cipher, ENCRYPTED, cm, gcm, word};

/// Protects what we send.
pub struct Sealer {
    cipher: Cipher,
    /// One count for all SSRCs: it never repeats for any of them, which is all that is asked (RFC 3711 section 3.4).
    rtcp_index: u32,
}

impl Sealer {
    /// Takes the half of the keys that is ours.
    ///
    /// # Errors
    /// The provider does not have the cipher.
    pub fn new(
        crypto: &dyn RTCCrypto,
        material: &KeyingMaterial,
        is_client: bool,
    ) -> Result<Self, CryptoError> {
        let master = if is_client { &material.client } else { &material.server };
        Ok(Self { cipher: Cipher::new(crypto, master)?, rtcp_index: 0 })
    }

    /// Seals the RTP packet in `buffer[start..]` and appends its tag. `None`, with `buffer` in any state, when that is no packet.
    #[inline]
    pub fn rtp(&mut self, buffer: &mut Vec<u8>, start: usize, header_len: usize, roc: u32) -> Option<()> {
        let fixed = buffer.get(start..)?.first_chunk::<12>()?;
        let [_, _, sequence @ .., _, _, _, _, _, _, _, _] = fixed;
        let index = (u64::from(roc) << 16) | u64::from(u16::from_be_bytes(*sequence));
        let ssrc = word(fixed, 8)?;
        match &mut self.cipher {
            Cipher::Gcm(gcm) => {
                buffer.extend_from_slice(&[0; gcm::TAG_LEN]);
                gcm.seal_rtp(buffer.get_mut(start..)?, header_len, ssrc, index)
            }
            Cipher::Cm(cm) => {
                buffer.extend_from_slice(&[0; cm::TAG_LEN]);
                cm.seal_rtp(buffer.get_mut(start..)?, header_len, ssrc, index)
            }
        }
    }

    /// Seals the RTCP packet in `buffer[start..]` and appends tag and index. `None`, with `buffer` in any state, when that is
    /// no packet or the indices are used up.
    pub fn rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) -> Option<()> {
        let ssrc = word(buffer.get(start..)?, 4)?;
        let index = self.rtcp_index;
        if index >= ENCRYPTED {
            return None;
        }
        self.rtcp_index = index.checked_add(1)?;
        match &mut self.cipher {
            Cipher::Gcm(gcm) => {
                buffer.extend_from_slice(&[0; gcm::RTCP_OVERHEAD]);
                gcm.seal_rtcp(buffer.get_mut(start..)?, ssrc, index)
            }
            Cipher::Cm(cm) => {
                buffer.extend_from_slice(&[0; cm::RTCP_OVERHEAD]);
                cm.seal_rtcp(buffer.get_mut(start..)?, ssrc, index)
            }
        }
    }
}
