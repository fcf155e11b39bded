use rtc_crypto::{AeadAlgorithm, AeadCipher, CryptoError, RTCCrypto};

use super::keys::{Label, Master};
use super::{ENCRYPTED, INDEX_LEN, Profile, RTCP_HEADER_LEN, word, xor};

/// AES-GCM of one direction (RFC 7714).
pub(super) struct Gcm {
    rtp: Session,
    rtcp: Session,
}

struct Session {
    cipher: Box<dyn AeadCipher>,
    salt: [u8; SALT_LEN],
}

impl Gcm {
    pub(super) fn new(crypto: &dyn RTCCrypto, master: &Master) -> Result<Self, CryptoError> {
        let algorithm = match master.profile {
            Profile::AeadAes256Gcm => AeadAlgorithm::Aes256Gcm,
            _ => AeadAlgorithm::Aes128Gcm,
        };
        let session = |key: Label, salt: Label| {
            let cipher = crypto.new_aead(algorithm, &master.derive_key(crypto, key)?)?;
            Ok::<_, CryptoError>(Session { cipher, salt: master.derive(crypto, salt)? })
        };
        Ok(Self {
            rtp: session(Label::RtpEncryption, Label::RtpSalt)?,
            rtcp: session(Label::RtcpEncryption, Label::RtcpSalt)?,
        })
    }

    /// Seals `packet`, whose last [`TAG_LEN`] bytes are room for the tag.
    pub(super) fn seal_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Option<()> {
        let nonce = self.rtp.rtp_nonce(ssrc, index);
        let (header, rest) = packet.split_at_mut_checked(header_len)?;
        let (payload, tag) = rest.split_at_mut_checked(rest.len().checked_sub(TAG_LEN)?)?;
        self.rtp.cipher.seal_in_place(&nonce, header, payload, tag).ok()
    }

    /// Opens `packet` in place and returns the length of what is left without the tag.
    pub(super) fn open_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Option<usize> {
        let nonce = self.rtp.rtp_nonce(ssrc, index);
        let plain_len = packet.len().checked_sub(TAG_LEN)?;
        let (header, rest) = packet.split_at_mut_checked(header_len)?;
        let (payload, tag) = rest.split_at_mut_checked(plain_len.checked_sub(header_len)?)?;
        self.rtp.cipher.open_in_place(&nonce, header, payload, tag).ok()?;
        Some(plain_len)
    }

    /// Seals `packet`, whose last [`RTCP_OVERHEAD`] bytes are room for the tag and the index.
    pub(super) fn seal_rtcp(&mut self, packet: &mut [u8], ssrc: u32, index: u32) -> Option<()> {
        let (packet, trailer) = packet.split_at_mut_checked(packet.len().checked_sub(INDEX_LEN)?)?;
        let (header, rest) = packet.split_at_mut_checked(RTCP_HEADER_LEN)?;
        let (payload, tag) = rest.split_at_mut_checked(rest.len().checked_sub(TAG_LEN)?)?;
        let flagged = (index | ENCRYPTED).to_be_bytes();
        let aad = rtcp_aad(header, flagged);
        trailer.copy_from_slice(&flagged);
        let nonce = self.rtcp.rtcp_nonce(ssrc, index);
        self.rtcp.cipher.seal_in_place(&nonce, &aad, payload, tag).ok()
    }

    /// Opens `packet` in place and returns the length of what is left without tag and index.
    pub(super) fn open_rtcp(&mut self, packet: &mut [u8], ssrc: u32, index: u32) -> Option<usize> {
        let plain_len = packet.len().checked_sub(RTCP_OVERHEAD)?;
        let (packet, _) = packet.split_at_mut_checked(plain_len.checked_add(TAG_LEN)?)?;
        let (header, rest) = packet.split_at_mut_checked(RTCP_HEADER_LEN)?;
        let (payload, tag) = rest.split_at_mut_checked(plain_len.checked_sub(RTCP_HEADER_LEN)?)?;
        let aad = rtcp_aad(header, (index | ENCRYPTED).to_be_bytes());
        let nonce = self.rtcp.rtcp_nonce(ssrc, index);
        self.rtcp.cipher.open_in_place(&nonce, &aad, payload, tag).ok()?;
        Some(plain_len)
    }

    /// The index word of an SRTCP packet: it comes last.
    pub(super) fn rtcp_index_word(packet: &[u8]) -> Option<u32> {
        word(packet, packet.len().checked_sub(INDEX_LEN)?)
    }
}

impl Session {
    /// RFC 7714 section 8.1: the 48-bit index is rollover counter and sequence number.
    fn rtp_nonce(&self, ssrc: u32, index: u64) -> [u8; SALT_LEN] {
        self.nonce((u128::from(ssrc) << 48) | u128::from(index & 0xffff_ffff_ffff))
    }

    /// RFC 7714 section 9.1.
    fn rtcp_nonce(&self, ssrc: u32, index: u32) -> [u8; SALT_LEN] {
        self.nonce((u128::from(ssrc) << 48) | u128::from(index))
    }

    fn nonce(&self, value: u128) -> [u8; SALT_LEN] {
        let mut nonce = self.salt;
        let bytes = value.to_be_bytes();
        if let Some(value) = bytes.last_chunk::<SALT_LEN>() {
            xor(&mut nonce, value);
        }
        nonce
    }
}

/// RFC 7714 section 9.2.
fn rtcp_aad(header: &[u8], index: [u8; INDEX_LEN]) -> [u8; RTCP_HEADER_LEN + INDEX_LEN] {
    let mut aad = [0; RTCP_HEADER_LEN + INDEX_LEN];
    let (first, last) = aad.split_at_mut(RTCP_HEADER_LEN);
    xor(first, header);
    xor(last, &index);
    aad
}

pub(super) const SALT_LEN: usize = 12;
pub(super) const TAG_LEN: usize = 16;
pub(super) const RTCP_OVERHEAD: usize = TAG_LEN + INDEX_LEN;
