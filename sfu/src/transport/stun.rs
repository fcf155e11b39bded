//! The part of STUN (RFC 8489) that an ICE-lite agent speaks: it reads Binding requests and writes their responses.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use rtc_crypto::{Mac, constant_time_eq};

/// A well-formed connectivity check (RFC 8445 section 7.1) with a correct FINGERPRINT, not yet authenticated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check<'a> {
    signed: &'a [u8],
    integrity: &'a [u8],
    transaction: &'a [u8],
    username: &'a [u8],
    nominates: bool,
}

impl<'a> Check<'a> {
    /// Reads a Binding request that has what every check must have: USERNAME, PRIORITY, MESSAGE-INTEGRITY and, as the last attribute,
    /// FINGERPRINT. `None` for anything else, also for attributes that must be understood but are unknown.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let header = Header::parse(datagram)?;
        let (mut username, mut integrity, mut priority, mut nominates) = (None, None, false, false);
        for attribute in header.attributes {
            let attribute = attribute?;
            match attribute.kind {
                FINGERPRINT => {
                    let covered = datagram.get(..attribute.at)?;
                    let expected = crc32fast::hash(covered) ^ FINGERPRINT_XOR;
                    let is_last = attribute.end == datagram.len();
                    if !is_last || attribute.value != expected.to_be_bytes() || !priority {
                        return None;
                    }
                    let (signed, integrity) = integrity?;
                    return Some(Self {
                        signed,
                        integrity,
                        transaction: header.transaction,
                        username: username?,
                        nominates,
                    });
                }
                // What follows the integrity is not covered by it (RFC 8489 section 14.5).
                _ if integrity.is_some() => {}
                MESSAGE_INTEGRITY if attribute.value.len() == INTEGRITY_LEN => {
                    integrity = Some((datagram.get(..attribute.at)?, attribute.value));
                }
                USERNAME if username.is_none() => username = Some(attribute.value),
                PRIORITY => priority = true,
                USE_CANDIDATE => nominates = true,
                0..=0x7fff => return None,
                _ => {}
            }
        }
        None
    }

    /// Whose check it claims to be: `local:remote`, seen from us (RFC 8445 section 7.2.2).
    pub(super) fn username(&self) -> &'a [u8] {
        self.username
    }

    /// Whether it carries USE-CANDIDATE.
    pub(super) fn nominates(&self) -> bool {
        self.nominates
    }

    /// Whether its MESSAGE-INTEGRITY was made with the password of `key`.
    pub(super) fn is_authentic(&self, key: &mut dyn Mac) -> bool {
        integrity(key, self.signed).is_some_and(|tag| constant_time_eq(&tag, self.integrity))
    }

    /// The success response: XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY, FINGERPRINT. Never longer than the check was.
    pub(super) fn success(&self, key: &mut dyn Mac, from: SocketAddr) -> Option<Bytes> {
        let mut response = BytesMut::with_capacity(MAX_RESPONSE);
        response.put_u16(BINDING_SUCCESS);
        response.put_u16(0);
        response.put_u32(MAGIC_COOKIE);
        response.put_slice(self.transaction);
        let port = from.port() ^ (MAGIC_COOKIE >> 16) as u16;
        match from.ip().to_canonical() {
            IpAddr::V4(ip) => {
                put_address_header(&mut response, 8, 1, port);
                response.put_u32(u32::from(ip) ^ MAGIC_COOKIE);
            }
            IpAddr::V6(ip) => {
                put_address_header(&mut response, 20, 2, port);
                let mut mask = [0; 16];
                let (cookie, transaction) = mask.split_at_mut(4);
                cookie.copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
                transaction.copy_from_slice(self.transaction);
                response.put_u128(u128::from(ip) ^ u128::from_be_bytes(mask));
            }
        }
        let tag = integrity(key, &response)?;
        response.put_u16(MESSAGE_INTEGRITY);
        response.put_u16(INTEGRITY_LEN as u16);
        response.put_slice(&tag);
        let length = response.len().checked_sub(HEADER_LEN)?.checked_add(FINGERPRINT_ATTRIBUTE_LEN)?;
        response.get_mut(2..4)?.copy_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
        let fingerprint = crc32fast::hash(&response) ^ FINGERPRINT_XOR;
        response.put_u16(FINGERPRINT);
        response.put_u16(4);
        response.put_u32(fingerprint);
        Some(response.freeze())
    }
}

/// The local part of the USERNAME of a Binding request, without any verification.
pub(super) fn addressed_ufrag(datagram: &[u8]) -> Option<&[u8]> {
    for attribute in Header::parse(datagram)?.attributes {
        let attribute = attribute?;
        if attribute.kind == USERNAME {
            return attribute.value.split(|byte| *byte == b':').next();
        }
    }
    None
}

/// Any bytes as a check: what is read of it lies inside, and a reply is never longer than what it answers.
#[cfg(feature = "fuzzing")]
pub fn fuzz(data: &[u8]) {
    let addressed = addressed_ufrag(data);
    let Some(check) = Check::parse(data) else { return };
    assert_eq!(addressed, check.username().split(|byte| *byte == b':').next());
    let Ok(provider) = rtc_crypto::default_provider() else { return };
    let Ok(mut key) = provider.crypto().new_hmac(rtc_crypto::HmacAlgorithm::Sha1, b"password") else {
        return;
    };
    check.is_authentic(key.as_mut());
    for from in [([192, 0, 2, 1], 9).into(), ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9).into()] {
        let reply = check.success(key.as_mut(), from).expect("a reply can be made");
        assert!(reply.len() <= MAX_RESPONSE);
    }
}

fn put_address_header(response: &mut BytesMut, length: u16, family: u8, port: u16) {
    response.put_u16(XOR_MAPPED_ADDRESS);
    response.put_u16(length);
    response.put_u8(0);
    response.put_u8(family);
    response.put_u16(port);
}

/// HMAC-SHA1 over `message`, its length field read as if MESSAGE-INTEGRITY were the last attribute (RFC 8489 section 14.5).
fn integrity(key: &mut dyn Mac, message: &[u8]) -> Option<[u8; INTEGRITY_LEN]> {
    let length = message.len().checked_sub(HEADER_LEN)?.checked_add(INTEGRITY_ATTRIBUTE_LEN)?;
    let length = u16::try_from(length).ok()?.to_be_bytes();
    let mut tag = [0; INTEGRITY_LEN];
    key.sign(&[message.get(..2)?, &length, message.get(4..)?], &mut tag).ok()?;
    Some(tag)
}

struct Header<'a> {
    transaction: &'a [u8],
    attributes: Attributes<'a>,
}

impl<'a> Header<'a> {
    /// Takes a Binding request whose length field is true.
    fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (kind, rest) = datagram.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (cookie, rest) = rest.split_first_chunk::<4>()?;
        let (transaction, body) = rest.split_first_chunk::<12>()?;
        let is_request =
            u16::from_be_bytes(*kind) == BINDING_REQUEST && u32::from_be_bytes(*cookie) == MAGIC_COOKIE;
        let is_whole = usize::from(u16::from_be_bytes(*length)) == body.len() && body.len().is_multiple_of(4);
        (is_request && is_whole)
            .then_some(Self { transaction, attributes: Attributes { datagram, at: HEADER_LEN } })
    }
}

struct Attribute<'a> {
    kind: u16,
    value: &'a [u8],
    at: usize,
    end: usize,
}

/// Yields `None` once, and then ends, where an attribute is cut off.
struct Attributes<'a> {
    datagram: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<Attribute<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let rest = self.datagram.get(at..).filter(|rest| !rest.is_empty())?;
        let attribute = (|| {
            let (kind, rest) = rest.split_first_chunk::<2>()?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length));
            let value = rest.get(..length)?;
            let end = at.checked_add(4)?.checked_add(length.checked_next_multiple_of(4)?)?;
            (end <= self.datagram.len()).then_some(Attribute {
                kind: u16::from_be_bytes(*kind),
                value,
                at,
                end,
            })
        })();
        self.at = attribute.as_ref().map_or(usize::MAX, |attribute| attribute.end);
        Some(attribute)
    }
}

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const MAGIC_COOKIE: u32 = 0x2112_a442;
const FINGERPRINT_XOR: u32 = 0x5354_554e;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;

const HEADER_LEN: usize = 20;
const INTEGRITY_LEN: usize = 20;
const INTEGRITY_ATTRIBUTE_LEN: usize = 24;
const FINGERPRINT_ATTRIBUTE_LEN: usize = 8;
const MAX_RESPONSE: usize = 76;

#[cfg(test)]
mod tests;
