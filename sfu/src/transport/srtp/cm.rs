use rtc_crypto::{
    CryptoError, HmacAlgorithm, Mac, RTCCrypto, StreamCipher, StreamCipherAlgorithm, constant_time_eq,
};

use super::keys::{Label, Master};
use super::{ENCRYPTED, INDEX_LEN, RTCP_HEADER_LEN, word, xor};

/// AES in counter mode with HMAC-SHA1 of one direction (RFC 3711 sections 4.1.1 and 4.2.1).
pub(super) struct Cm {
    rtp: Session,
    rtcp: Session,
}

struct Session {
    cipher: Box<dyn StreamCipher>,
    mac: Box<dyn Mac>,
    salt: [u8; SALT_LEN],
}

impl Cm {
    pub(super) fn new(crypto: &dyn RTCCrypto, master: &Master) -> Result<Self, CryptoError> {
        let session = |key: Label, authentication: Label, salt: Label| {
            let key = master.derive_key(crypto, key)?;
            let authentication: [u8; MAC_LEN] = master.derive(crypto, authentication)?;
            Ok::<_, CryptoError>(Session {
                cipher: crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, &key)?,
                mac: crypto.new_hmac(HmacAlgorithm::Sha1, &authentication)?,
                salt: master.derive(crypto, salt)?,
            })
        };
        Ok(Self {
            rtp: session(Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt)?,
            rtcp: session(Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt)?,
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
        let (packet, tag) = packet.split_at_mut_checked(packet.len().checked_sub(TAG_LEN)?)?;
        self.rtp.apply(packet.get_mut(header_len..)?, ssrc, index)?;
        tag.copy_from_slice(&self.rtp.tag(packet, &rollover(index))?);
        Some(())
    }

    /// Opens `packet` in place and returns the length of what is left without the tag.
    pub(super) fn open_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Option<usize> {
        let (packet, tag) = packet.split_at_mut_checked(packet.len().checked_sub(TAG_LEN)?)?;
        if !constant_time_eq(&self.rtp.tag(packet, &rollover(index))?, tag) {
            return None;
        }
        self.rtp.apply(packet.get_mut(header_len..)?, ssrc, index)?;
        Some(packet.len())
    }

    /// Seals `packet`, whose last [`RTCP_OVERHEAD`] bytes are room for the index and the tag.
    pub(super) fn seal_rtcp(&mut self, packet: &mut [u8], ssrc: u32, index: u32) -> Option<()> {
        let plain_len = packet.len().checked_sub(RTCP_OVERHEAD)?;
        let (signed, tag) = packet.split_at_mut_checked(plain_len.checked_add(INDEX_LEN)?)?;
        let (plain, trailer) = signed.split_at_mut_checked(plain_len)?;
        self.rtcp.apply(plain.get_mut(RTCP_HEADER_LEN..)?, ssrc, u64::from(index))?;
        trailer.copy_from_slice(&(index | ENCRYPTED).to_be_bytes());
        tag.copy_from_slice(&self.rtcp.tag(signed, &[])?);
        Some(())
    }

    /// Opens `packet` in place and returns the length of what is left without index and tag.
    pub(super) fn open_rtcp(&mut self, packet: &mut [u8], ssrc: u32, index: u32) -> Option<usize> {
        let plain_len = packet.len().checked_sub(RTCP_OVERHEAD)?;
        let (signed, tag) = packet.split_at_mut_checked(plain_len.checked_add(INDEX_LEN)?)?;
        if !constant_time_eq(&self.rtcp.tag(signed, &[])?, tag) {
            return None;
        }
        self.rtcp.apply(signed.get_mut(RTCP_HEADER_LEN..plain_len)?, ssrc, u64::from(index))?;
        Some(plain_len)
    }

    /// The index word of an SRTCP packet: the tag follows it.
    pub(super) fn rtcp_index_word(packet: &[u8]) -> Option<u32> {
        word(packet, packet.len().checked_sub(RTCP_OVERHEAD)?)
    }
}

impl Session {
    fn apply(&mut self, data: &mut [u8], ssrc: u32, index: u64) -> Option<()> {
        let mut iv = ((u128::from(ssrc) << 64) | (u128::from(index) << 16)).to_be_bytes();
        xor(&mut iv, &self.salt);
        self.cipher.apply_keystream(&iv, data).ok()
    }

    fn tag(&mut self, packet: &[u8], rollover: &[u8]) -> Option<[u8; TAG_LEN]> {
        let mut tag = [0; MAC_LEN];
        self.mac.sign(&[packet, rollover], &mut tag).ok()?;
        tag.first_chunk::<TAG_LEN>().copied()
    }
}

/// The rollover counter is authenticated although it is not sent.
fn rollover(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

pub(super) const SALT_LEN: usize = 14;
pub(super) const TAG_LEN: usize = 10;
pub(super) const RTCP_OVERHEAD: usize = INDEX_LEN + TAG_LEN;
const MAC_LEN: usize = 20;
