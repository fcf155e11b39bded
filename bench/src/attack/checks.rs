//! Connectivity checks (RFC 8489, RFC 8445 section 7.1), right ones and every sort of wrong one.

use anyhow::{Context as _, Result};
use rand::{Rng, RngCore as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rtc::crypto::{HmacAlgorithm, default_provider};

use super::generator::Generator;

/// Whom checks are addressed to, and what signs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The server's ufrag, a colon, the client's.
    pub username: String,
    /// The server's password.
    pub password: String,
}

/// Writes one STUN message.
#[derive(Clone, Debug)]
pub struct Message(Vec<u8>);

impl Message {
    /// A Binding request without attributes.
    pub fn request(transaction: [u8; 12]) -> Self {
        Self::new(BINDING_REQUEST, transaction)
    }

    fn new(kind: u16, transaction: [u8; 12]) -> Self {
        let mut message = Vec::with_capacity(128);
        message.extend(kind.to_be_bytes());
        message.extend([0, 0]);
        message.extend(MAGIC_COOKIE.to_be_bytes());
        message.extend(transaction);
        Self(message)
    }

    /// Adds an attribute.
    #[must_use]
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(kind.to_be_bytes());
        self.0.extend((value.len() as u16).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.set_length(0);
        self
    }

    /// Adds USERNAME, PRIORITY, ICE-CONTROLLING and, if so, USE-CANDIDATE.
    #[must_use]
    pub fn check(self, username: &str, nominates: bool) -> Self {
        let check = self
            .attribute(USERNAME, username.as_bytes())
            .attribute(PRIORITY, &[0x6e, 0, 1, 0xff])
            .attribute(ICE_CONTROLLING, &[7; 8]);
        if nominates { check.attribute(USE_CANDIDATE, &[]) } else { check }
    }

    /// Adds MESSAGE-INTEGRITY by that password.
    ///
    /// # Errors
    /// No HMAC-SHA1.
    pub fn signed(mut self, password: &str) -> Result<Self> {
        self.set_length(24);
        let provider = default_provider().context("no crypto provider")?;
        let mut tag = [0; 20];
        provider.crypto().new_hmac(HmacAlgorithm::Sha1, password.as_bytes())?.sign(&[&self.0], &mut tag)?;
        Ok(self.attribute(MESSAGE_INTEGRITY, &tag))
    }

    /// Adds FINGERPRINT and ends.
    pub fn finish(mut self) -> Vec<u8> {
        self.set_length(8);
        let fingerprint = crc32fast::hash(&self.0) ^ FINGERPRINT_XOR;
        self.attribute(FINGERPRINT, &fingerprint.to_be_bytes()).0
    }

    fn set_length(&mut self, more: usize) {
        let length = (self.0.len() - HEADER_LEN + more) as u16;
        if let Some(field) = self.0.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// An authentic check.
///
/// # Errors
/// No HMAC-SHA1.
pub fn authentic(credentials: &Credentials, transaction: [u8; 12], nominates: bool) -> Result<Vec<u8>> {
    let check = Message::request(transaction).check(&credentials.username, nominates);
    Ok(check.signed(&credentials.password)?.finish())
}

/// Checks to which no reply is due: addressed to nobody, badly signed, malformed, of other kinds, and huge.
#[derive(Debug)]
pub struct StrangeChecks {
    rng: ChaCha8Rng,
    /// The username of a participant who is there.
    known: Option<String>,
    turn: u64,
}

impl StrangeChecks {
    /// With the username of a participant who is there, some checks are addressed to it.
    pub fn new(seed: u64, known: Option<String>) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), known, turn: 0 }
    }

    fn stranger(&mut self) -> String {
        format!("{:08x}:{:08x}", self.rng.random::<u32>(), self.rng.random::<u32>())
    }

    fn username(&mut self) -> String {
        self.known.clone().unwrap_or_else(|| self.stranger())
    }
}

impl Generator for StrangeChecks {
    fn next(&mut self, out: &mut Vec<u8>) {
        self.turn += 1;
        let transaction: [u8; 12] = self.rng.random();
        let request = Message::request(transaction);
        let mut tag = [0; 20];
        self.rng.fill_bytes(&mut tag);
        let datagram = match self.turn % 8 {
            // Nobody's.
            0 => request.check(&self.stranger(), true).attribute(MESSAGE_INTEGRITY, &tag).finish(),
            // Somebody's, with a guessed signature, and with none.
            1 => request.check(&self.username(), true).attribute(MESSAGE_INTEGRITY, &tag).finish(),
            2 => request.check(&self.username(), true).finish(),
            // An attribute that leads out of the message, at a place left to chance.
            3 => {
                let mut datagram = request.check(&self.username(), false).finish();
                let at = self.rng.random_range(HEADER_LEN..datagram.len());
                if let Some(byte) = datagram.get_mut(at) {
                    *byte = 0xff;
                }
                datagram
            }
            // As long as a datagram may be on most lines, and as UDP lets it.
            4 => {
                let length = if self.turn.is_multiple_of(256) { 60_000 } else { 1200 };
                request.check(&self.username(), true).attribute(SOFTWARE, &vec![b'x'; length]).finish()
            }
            // Thousands of empty attributes.
            5 => {
                let check = request.check(&self.username(), true);
                (0..250).fold(check, |check, _| check.attribute(SOFTWARE, &[])).finish()
            }
            // Responses, indications and other methods.
            6 => {
                let kind = self.rng.random::<u16>() & 0x3fff | 0x0010;
                Message::new(kind, transaction).check(&self.username(), true).finish()
            }
            // Cut off.
            _ => {
                let mut datagram = request.check(&self.username(), true).finish();
                datagram.truncate(self.rng.random_range(1..datagram.len()));
                datagram
            }
        };
        out.extend(datagram);
    }
}

const BINDING_REQUEST: u16 = 0x0001;
const MAGIC_COOKIE: u32 = 0x2112_a442;
const FINGERPRINT_XOR: u32 = 0x5354_554e;
const HEADER_LEN: usize = 20;
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const SOFTWARE: u16 = 0x8022;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLING: u16 = 0x802a;

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::stun::fingerprint::FINGERPRINT as FINGERPRINT_CHECK;
    use rtc::stun::message::Message as Reference;

    fn read(datagram: &[u8]) -> Result<Reference> {
        let mut message = Reference::new();
        message.unmarshal_binary(datagram)?;
        Ok(message)
    }

    #[test]
    fn an_authentic_check_is_one_to_another_reader() {
        let credentials = Credentials { username: "abcd:efgh".into(), password: "secret".into() };
        let datagram = authentic(&credentials, [9; 12], true).expect("a crypto provider");
        let message = read(&datagram).expect("well-formed");
        FINGERPRINT_CHECK.check(&message).expect("the checksum fits");
        assert!(message.contains(rtc::stun::attributes::ATTR_MESSAGE_INTEGRITY));
        assert!(message.contains(rtc::stun::attributes::ATTR_USE_CANDIDATE));
    }

    #[test]
    fn strange_checks_look_like_checks_and_follow_from_the_seed() {
        let draw = |seed| {
            let mut generator = StrangeChecks::new(seed, Some("abcd:efgh".into()));
            (0..80)
                .map(|_| {
                    let mut out = Vec::new();
                    generator.next(&mut out);
                    out
                })
                .collect::<Vec<_>>()
        };
        let drawn = draw(1);
        assert_eq!(drawn, draw(1));
        assert_ne!(drawn, draw(2));
        assert!(drawn.iter().all(|datagram| datagram.first().is_some_and(|first| *first < 64)));
        let whole = drawn.iter().filter(|datagram| read(datagram).is_ok()).count();
        assert!((40..80).contains(&whole), "most are well-formed, not all: {whole}");
    }
}
