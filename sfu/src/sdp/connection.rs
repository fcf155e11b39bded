//! What an offer says of the one transport below its m-lines: ICE credentials, certificate, DTLS role.

use super::lines::{Attributes, malformed};
use super::{Fingerprint, IceCredentials, OfferError};

/// The attributes that hold for the transport: those of the first m-line of the bundle that gives them, else the session's
/// (RFC 9143 section 7.1.3).
pub(super) struct Sources<'a, 'b> {
    /// The bundled m-lines' attributes, the tagged one's first.
    pub(super) sections: Vec<&'b Attributes<'a>>,
    /// The session's attributes.
    pub(super) session: &'b Attributes<'a>,
}

impl<'a> Sources<'a, '_> {
    fn first(&self, name: &str) -> Option<&'a str> {
        self.levels().find_map(|attributes| attributes.values(name).next())
    }

    fn levels(&self) -> impl Iterator<Item = &Attributes<'a>> {
        self.sections.iter().copied().chain([self.session])
    }

    /// Whether any credentials are named.
    pub(super) fn name_credentials(&self) -> bool {
        self.first("ice-ufrag").is_some() || self.first("ice-pwd").is_some()
    }

    /// The credentials of RFC 8839 section 5.4.
    pub(super) fn ice(&self) -> Result<IceCredentials, OfferError> {
        if self.session.has("ice-lite") {
            return Err(OfferError::Unsupported { reason: "both sides are ICE-lite" });
        }
        let ufrag = self.first("ice-ufrag").ok_or(malformed("there is no a=ice-ufrag line"))?;
        let pwd = self.first("ice-pwd").ok_or(malformed("there is no a=ice-pwd line"))?;
        if !(4..=256).contains(&ufrag.len()) || !ufrag.bytes().all(is_ice_char) {
            return Err(malformed("the a=ice-ufrag line has no 4 to 256 valid characters"));
        }
        if !(22..=256).contains(&pwd.len()) || !pwd.bytes().all(is_ice_char) {
            return Err(malformed("the a=ice-pwd line has no 22 to 256 valid characters"));
        }
        Ok(IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
    }

    /// The first SHA-256 fingerprint.
    pub(super) fn fingerprint(&self) -> Result<Fingerprint, OfferError> {
        let offered = self.levels().find(|attributes| attributes.has("fingerprint"));
        let offered = offered.ok_or(OfferError::Unsupported { reason: "there is no a=fingerprint line" })?;
        let sha256 = offered.values("fingerprint").find_map(|value| {
            let (hash, digest) = value.split_once(' ')?;
            hash.eq_ignore_ascii_case("sha-256").then_some(digest)
        });
        let digest =
            sha256.ok_or(OfferError::Unsupported { reason: "no fingerprint is of the hash sha-256" })?;
        parse_digest(digest).ok_or(malformed("the fingerprint is not 32 bytes in hexadecimal"))
    }

    /// Which side of DTLS the client takes. Without a line it is the active one (RFC 4145 section 4.1).
    pub(super) fn setup(&self) -> Result<Setup, OfferError> {
        match self.first("setup") {
            Some("actpass") => Ok(Setup::Either),
            Some("active") | None => Ok(Setup::Active),
            Some("passive") => Ok(Setup::Passive),
            Some("holdconn") => Err(OfferError::Unsupported { reason: "setup:holdconn is not for DTLS" }),
            Some(_) => Err(malformed("the a=setup line has no valid role")),
        }
    }
}

/// The client's side of DTLS (RFC 8842 section 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Setup {
    /// `actpass`: ours to choose.
    Either,
    /// `active`: it starts the handshake.
    Active,
    /// `passive`: it waits.
    Passive,
}

/// `ice-char` of RFC 8839 section 5.1.
fn is_ice_char(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

fn parse_digest(text: &str) -> Option<Fingerprint> {
    let mut bytes = [0; 32];
    let mut words = text.trim().split(':');
    for byte in &mut bytes {
        let word = words.next()?;
        if word.len() != 2 || !word.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(word, 16).ok()?;
    }
    if words.next().is_none() { Some(Fingerprint(bytes)) } else { None }
}
