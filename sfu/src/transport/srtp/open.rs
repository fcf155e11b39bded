use bytes::BytesMut;
use rtc_crypto::{CryptoError, RTCCrypto};

use super::keys::KeyingMaterial;
use super::replay::ReplayWindow;
use super::{Cipher, ENCRYPTED, RTCP_HEADER_LEN, cm, gcm, rtp_header_len, word};

/// Opens what the client sends.
pub struct Opener {
    cipher: Cipher,
    rtp: Streams,
    rtcp: Streams,
    counters: SrtpCounters,
}

/// Media datagrams that were dropped, by cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SrtpCounters {
    /// Too short, or with a header that leads out of the datagram.
    pub malformed: u64,
    /// Of a packet that came before, or too old to tell.
    pub replayed: u64,
    /// With a tag that does not fit.
    pub forged: u64,
    /// Of one SSRC more than a client may use.
    pub excess_ssrcs: u64,
}

impl Opener {
    /// Takes the half of the keys that is the client's. At most `ssrcs` streams are told apart, and as many senders of RTCP.
    ///
    /// # Errors
    /// The provider does not have the cipher.
    pub fn new(
        crypto: &dyn RTCCrypto,
        material: &KeyingMaterial,
        is_client: bool,
        ssrcs: usize,
    ) -> Result<Self, CryptoError> {
        let master = if is_client { &material.server } else { &material.client };
        Ok(Self {
            cipher: Cipher::new(crypto, master)?,
            rtp: Streams::new(ssrcs),
            rtcp: Streams::new(ssrcs),
            counters: SrtpCounters::default(),
        })
    }

    /// Opens an SRTP packet in place. `false` when it is to be dropped; it is counted then.
    pub fn rtp(&mut self, datagram: &mut BytesMut) -> bool {
        let outcome = self.try_rtp(datagram);
        self.counters.note(outcome)
    }

    /// Opens an SRTCP packet in place. `false` when it is to be dropped; it is counted then.
    pub fn rtcp(&mut self, datagram: &mut BytesMut) -> bool {
        let outcome = self.try_rtcp(datagram);
        self.counters.note(outcome)
    }

    /// What was dropped so far.
    pub fn counters(&self) -> SrtpCounters {
        self.counters
    }

    fn try_rtp(&mut self, datagram: &mut BytesMut) -> Result<(), Drop> {
        let header_len = rtp_header_len(datagram).ok_or(Drop::Malformed)?;
        let ssrc = word(datagram, 8).ok_or(Drop::Malformed)?;
        let sequence = word(datagram, 0).ok_or(Drop::Malformed)? as u16;
        let stream = self.rtp.find(ssrc);
        let index = match stream {
            Some(at) => self.rtp.window(at).and_then(|window| extend(window.highest(), sequence)),
            None => Some(u64::from(sequence)),
        };
        let index = index.ok_or(Drop::Replayed)?;
        self.rtp.admit(stream, index)?;
        let length = match &mut self.cipher {
            Cipher::Gcm(gcm) => gcm.open_rtp(datagram, header_len, ssrc, index),
            Cipher::Cm(cm) => cm.open_rtp(datagram, header_len, ssrc, index),
        };
        datagram.truncate(length.ok_or(Drop::Forged)?);
        self.rtp.accept(stream, ssrc, index);
        Ok(())
    }

    fn try_rtcp(&mut self, datagram: &mut BytesMut) -> Result<(), Drop> {
        let ssrc = word(datagram, 4).filter(|_| datagram.len() >= RTCP_HEADER_LEN).ok_or(Drop::Malformed)?;
        let flagged = match self.cipher {
            Cipher::Gcm(_) => gcm::Gcm::rtcp_index_word(datagram),
            Cipher::Cm(_) => cm::Cm::rtcp_index_word(datagram),
        };
        let flagged = flagged.ok_or(Drop::Malformed)?;
        if flagged & ENCRYPTED == 0 {
            return Err(Drop::Forged);
        }
        let index = flagged & !ENCRYPTED;
        let stream = self.rtcp.find(ssrc);
        self.rtcp.admit(stream, u64::from(index))?;
        let length = match &mut self.cipher {
            Cipher::Gcm(gcm) => gcm.open_rtcp(datagram, ssrc, index),
            Cipher::Cm(cm) => cm.open_rtcp(datagram, ssrc, index),
        };
        datagram.truncate(length.ok_or(Drop::Forged)?);
        self.rtcp.accept(stream, ssrc, u64::from(index));
        Ok(())
    }
}

enum Drop {
    Malformed,
    Replayed,
    Forged,
    ExcessSsrc,
}

impl SrtpCounters {
    fn note(&mut self, outcome: Result<(), Drop>) -> bool {
        let counter = match outcome {
            Ok(()) => return true,
            Err(Drop::Malformed) => &mut self.malformed,
            Err(Drop::Replayed) => &mut self.replayed,
            Err(Drop::Forged) => &mut self.forged,
            Err(Drop::ExcessSsrc) => &mut self.excess_ssrcs,
        };
        *counter = counter.saturating_add(1);
        false
    }
}

/// The replay windows by SSRC. A client has a few, so the list is searched, the one that came last first.
struct Streams {
    entries: Vec<(u32, ReplayWindow)>,
    last: usize,
    limit: usize,
}

impl Streams {
    fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), last: 0, limit }
    }

    fn find(&mut self, ssrc: u32) -> Option<usize> {
        if self.entries.get(self.last).is_some_and(|(last, _)| *last == ssrc) {
            return Some(self.last);
        }
        self.last = self.entries.iter().position(|(entry, _)| *entry == ssrc)?;
        Some(self.last)
    }

    fn window(&self, at: usize) -> Option<&ReplayWindow> {
        self.entries.get(at).map(|(_, window)| window)
    }

    /// What can be refused before any cryptography is.
    fn admit(&self, at: Option<usize>, index: u64) -> Result<(), Drop> {
        match at.and_then(|at| self.window(at)) {
            Some(window) if window.admits(index) => Ok(()),
            Some(_) => Err(Drop::Replayed),
            None if self.entries.len() < self.limit => Ok(()),
            None => Err(Drop::ExcessSsrc),
        }
    }

    /// Notes an authentic packet; only such a one makes a new stream known.
    fn accept(&mut self, at: Option<usize>, ssrc: u32, index: u64) {
        match at.and_then(|at| self.entries.get_mut(at)) {
            Some((_, window)) => window.accept(index),
            None => {
                self.last = self.entries.len();
                // Of RTCP there is one, and so there is of most that only watch.
                self.entries.reserve_exact(1);
                self.entries.push((ssrc, ReplayWindow::new(index)));
            }
        }
    }
}

/// The index nearest to `highest` that ends in `sequence` (RFC 3711 section 3.3.1), or `None` when it would lie before the first
/// or after the last.
fn extend(highest: u64, sequence: u16) -> Option<u64> {
    let ahead = sequence.wrapping_sub(highest as u16) as i16;
    let index = highest.checked_add_signed(i64::from(ahead))?;
    (index < 1 << 48).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_nearest_one() {
        assert_eq!(extend(10, 11), Some(11));
        assert_eq!(extend(10, 9), Some(9));
        assert_eq!(extend(0xffff, 0), Some(0x1_0000));
        assert_eq!(extend(0x1_0000, 0xffff), Some(0xffff));
        assert_eq!(extend(0x1_0000 + 0x7fff, 0), Some(0x1_0000));
        assert_eq!(extend(5, 0xfffe), None, "there is no cycle before the first");
        assert_eq!(extend((1 << 48) - 1, 0), None, "nor one after the last");
    }
}
