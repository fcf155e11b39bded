//! Who may come in: tokens, section 8 of the protocol.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::protocol::{Rights, Role};

/// The key that development servers use when none is given. Public, so it protects nothing.
pub const SAMPLE_KEY: &str = "simmer-sample-key-for-development-only";

/// The shortest key that is taken, in bytes.
pub const KEY_BYTES: usize = 32;

/// How far ahead a token may expire.
pub const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What a token says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The room's id: 1 to 64 characters of `A-Z a-z 0-9 _ -`.
    pub room: String,
    /// The identity, 1 to 64 visible ASCII characters.
    pub sub: String,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Host or participant.
    #[serde(default)]
    pub role: Role,
    /// Rights that differ from the role's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may: Option<May>,
    /// When it expires, seconds since 1970.
    pub exp: u64,
    /// Before when it is not valid, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
}

/// Rights that a token grants or withholds; what it leaves out is as the role has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct May {
    /// Send media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<bool>,
    /// Receive media.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<bool>,
    /// Chat, raise a hand, tick steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<bool>,
    /// Record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<bool>,
    /// Lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administer: Option<bool>,
}

impl Claims {
    /// Claims for `life` from now on, with the role's own rights.
    pub fn new(room: &str, identity: &str, role: Role, life: Duration) -> Self {
        Self {
            room: room.to_owned(),
            sub: identity.to_owned(),
            name: None,
            role,
            may: None,
            exp: unix_seconds().saturating_add(life.as_secs()),
            nbf: None,
        }
    }

    /// How long they are still good.
    pub fn life_left(&self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(self.exp).saturating_sub(now)
    }

    /// What the bearer may do.
    pub fn rights(&self) -> Rights {
        let host = self.role == Role::Host;
        let may = self.may.unwrap_or_default();
        Rights {
            publish: may.publish.unwrap_or(true),
            subscribe: may.subscribe.unwrap_or(true),
            send: may.send.unwrap_or(true),
            record: may.record.unwrap_or(host),
            administer: may.administer.unwrap_or(host),
        }
    }
}

/// The token is not one of ours, or not now: which, is nobody's business but the log's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the token is not valid")]
pub struct BadToken;

/// The key is too short.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the key has {length} bytes; it needs at least {KEY_BYTES}")]
pub struct ShortKey {
    /// Its length in bytes.
    pub length: usize,
}

/// Makes and checks tokens with one key.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    /// Takes the key, at least [`KEY_BYTES`] long.
    pub fn new(key: &str) -> Result<Self, ShortKey> {
        if key.len() < KEY_BYTES {
            return Err(ShortKey { length: key.len() });
        }
        Ok(Self {
            encoding: EncodingKey::from_secret(key.as_bytes()),
            decoding: DecodingKey::from_secret(key.as_bytes()),
        })
    }

    /// Signs claims as they are; whether they are valid is seen by [`verify`](Self::verify).
    pub fn sign(&self, claims: &Claims) -> String {
        // HMAC takes any key and any claims.
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding).unwrap_or_default()
    }

    /// Checks a token: HS256 by our key, valid now, expiring within [`LONGEST_LIFE`], for a well-formed room and identity.
    pub fn verify(&self, token: &str) -> Result<Claims, BadToken> {
        self.read(token, true)
    }

    /// Checks a token as [`verify`](Self::verify) does, but for its end: what it opened it may also close.
    pub fn verify_expired(&self, token: &str) -> Result<Claims, BadToken> {
        self.read(token, false)
    }

    fn read(&self, token: &str, expires: bool) -> Result<Claims, BadToken> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_exp = expires;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        let claims = match jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation) {
            Ok(token) => token.claims,
            Err(error) => {
                tracing::debug!(%error, "a token was refused");
                return Err(BadToken);
            }
        };
        // A clock that is a minute behind ours may still ask for the full day.
        let latest = unix_seconds().saturating_add(LONGEST_LIFE.as_secs()).saturating_add(60);
        if claims.exp > latest || !is_room(&claims.room) || !is_identity(&claims.sub) {
            tracing::debug!("a token was refused: its claims are out of range");
            return Err(BadToken);
        }
        Ok(claims)
    }

    /// A secret that belongs to `purpose`, the same as long as the key is.
    pub fn secret_for(&self, purpose: &str) -> String {
        jsonwebtoken::crypto::sign(purpose.as_bytes(), &self.encoding, Algorithm::HS256).unwrap_or_default()
    }
}

/// Whether two secrets are the same, in a time that depends on their lengths alone.
pub fn same(a: &str, b: &str) -> bool {
    a.len() == b.len()
        && std::hint::black_box(a.bytes().zip(b.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b))) == 0
}

/// Whether a text can be a room's id.
pub fn is_room(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Whether a text can be an identity.
pub fn is_identity(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(SAMPLE_KEY).expect("a long key")
    }

    fn claims() -> Claims {
        Claims::new("class-7", "ana", Role::Host, Duration::from_secs(60))
    }

    #[test]
    fn a_token_says_what_was_signed() {
        assert_eq!(tokens().verify(&tokens().sign(&claims())), Ok(claims()));
    }

    #[test]
    fn a_role_has_its_rights_unless_the_token_says_otherwise() {
        let mut claims = claims();
        assert!(claims.rights().administer && claims.rights().record);
        claims.role = Role::Participant;
        assert!(!claims.rights().administer && !claims.rights().record && claims.rights().send);
        claims.may = Some(May { record: Some(true), publish: Some(false), ..May::default() });
        assert!(claims.rights().record && !claims.rights().publish && claims.rights().subscribe);
    }

    #[test]
    fn what_is_not_ours_now_is_refused() {
        let tokens = tokens();
        let now = unix_seconds();
        let sign = |change: fn(&mut Claims, u64)| {
            let mut claims = claims();
            change(&mut claims, now);
            tokens.sign(&claims)
        };
        let refused = [
            sign(|claims, now| claims.exp = now - 1),
            sign(|claims, now| claims.exp = now + 25 * 3600),
            sign(|claims, now| claims.nbf = Some(now + 60)),
            sign(|claims, _| claims.room = "a b".to_owned()),
            sign(|claims, _| claims.room = "x".repeat(65)),
            sign(|claims, _| claims.sub = String::new()),
            sign(|claims, _| claims.sub = "a\u{e9}".to_owned()),
            Tokens::new(&"k".repeat(32)).expect("a long key").sign(&claims()),
            String::new(),
            "a.b.c".to_owned(),
        ];
        for (i, token) in refused.iter().enumerate() {
            assert_eq!(tokens.verify(token), Err(BadToken), "{i}");
        }
    }

    #[test]
    fn an_expired_token_is_still_known_for_its_own() {
        let tokens = tokens();
        let mut claims = claims();
        claims.exp = unix_seconds() - 3600;
        let expired = tokens.sign(&claims);
        assert_eq!(tokens.verify(&expired), Err(BadToken));
        assert_eq!(tokens.verify_expired(&expired), Ok(claims.clone()));
        let forged = Tokens::new(&"k".repeat(32)).expect("a long key").sign(&claims);
        assert_eq!(tokens.verify_expired(&forged), Err(BadToken));
    }

    #[test]
    fn the_algorithm_is_ours_to_choose() {
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims()).expect("claims"));
        for header in
            [r#"{"alg":"none","typ":"JWT"}"#, r#"{"alg":"HS384","typ":"JWT"}"#, r#"{"alg":"RS256"}"#]
        {
            let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header));
            let forged = format!("{signed}.{}", tokens().secret_for(&signed));
            assert_eq!(tokens().verify(&forged), Err(BadToken), "{header}");
            assert_eq!(tokens().verify(&format!("{signed}.")), Err(BadToken), "{header}");
        }
        // The same by the right algorithm is taken: the signature itself was good.
        let signed = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
        assert!(tokens().verify(&format!("{signed}.{}", tokens().secret_for(&signed))).is_ok());
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(Tokens::new(&"k".repeat(31)).is_err());
    }
}
