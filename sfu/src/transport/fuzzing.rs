//! What fuzz targets reach of the transport. Not part of the interface: it exists with the feature `fuzzing` only.
//!
//! Where a target takes several datagrams, each is a length of two bytes and as many bytes.

pub use super::dtls::fuzz as dtls;
pub use super::sctp::fuzz as sctp;
pub use super::srtp::fuzz as srtp;
pub use super::stun::fuzz as stun;

/// Cuts an input into datagrams.
pub(super) fn datagrams(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (datagram, rest) = rest.split_at_checked(length)?;
        data = rest;
        Some(datagram)
    })
}
