//! Who may enter a room as what: JWTs (RFC 7519), signed with HS256 and nothing else.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::protocol::{Rights, Role};

/// What a valid token says: the bearer may enter this room as this identity, with these rights.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The room's id: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub room: String,
    /// Who it is to the app that issued the token: 1 to 64 visible ASCII characters.
    pub identity: String,
    /// The name shown to others, if the app decides it.
    pub name: Option<String>,
    /// Host or participant.
    pub role: Role,
    /// What they may do.
    pub rights: Rights,
    /// When the token ends, in seconds since 1970.
    pub expires_at: u64,
}

/// Decides about tokens. The server has [`TokenKey`]; an embedder may bring its own.
pub trait Authenticate: Send + Sync {
    /// The grant of a token that is good at `now`, in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`BadToken`] for every reason alike: who holds a bad token learns nothing from it.
    fn authenticate(&self, token: &str, now: u64) -> Result<Grant, BadToken>;
}

/// A token that opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the token is not valid for this room")]
pub struct BadToken;

/// The key that signs and checks tokens.
#[derive(Clone)]
pub struct TokenKey {
    signing: EncodingKey,
    checking: DecodingKey,
}

/// A key too short to be one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a key has at least {MIN_KEY_BYTES} bytes")]
pub struct WeakKey;

impl TokenKey {
    /// Takes a secret of at least 32 bytes, as RFC 7518 section 3.2 asks for HS256.
    ///
    /// # Errors
    ///
    /// [`WeakKey`] when it is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, WeakKey> {
        if secret.len() < MIN_KEY_BYTES {
            return Err(WeakKey);
        }
        Ok(Self { signing: EncodingKey::from_secret(secret), checking: DecodingKey::from_secret(secret) })
    }

    /// Writes the token of a grant.
    ///
    /// # Errors
    ///
    /// [`BadToken`] when the grant breaks a rule of its fields, so that no token could be read back.
    pub fn sign(&self, grant: &Grant) -> Result<String, BadToken> {
        if !grant.is_sound() {
            return Err(BadToken);
        }
        let claims = Claims {
            room: grant.room.clone(),
            sub: grant.identity.clone(),
            name: grant.name.clone(),
            role: grant.role,
            may: Some(grant.rights.into()),
            exp: grant.expires_at,
            nbf: None,
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.signing).map_err(|_| BadToken)
    }
}

impl Authenticate for TokenKey {
    fn authenticate(&self, token: &str, now: u64) -> Result<Grant, BadToken> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(BadToken);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        // The times are compared below with the time we are told.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims = decode::<Claims>(token, &self.checking, &validation).map_err(|_| BadToken)?.claims;
        let latest = now + MAX_LIFE.as_secs() + CLOCK_SKEW.as_secs();
        let in_time = claims.exp > now
            && claims.exp <= latest
            && claims.nbf.is_none_or(|from| from <= now + CLOCK_SKEW.as_secs());
        let grant = Grant {
            rights: claims.may.unwrap_or_default().over(Rights::of(claims.role)),
            room: claims.room,
            identity: claims.sub,
            name: claims.name,
            role: claims.role,
            expires_at: claims.exp,
        };
        (in_time && grant.is_sound()).then_some(grant).ok_or(BadToken)
    }
}

impl Grant {
    /// A grant with the role's usual rights.
    pub fn new(room: &str, identity: &str, role: Role, expires_at: u64) -> Self {
        Self {
            room: room.to_owned(),
            identity: identity.to_owned(),
            name: None,
            role,
            rights: Rights::of(role),
            expires_at,
        }
    }

    fn is_sound(&self) -> bool {
        let length = |text: &str| (1..=MAX_ID_CHARS).contains(&text.len());
        let room = self.room.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        let identity = self.identity.bytes().all(|byte| byte.is_ascii_graphic());
        length(&self.room) && room && length(&self.identity) && identity
    }
}

/// The claims on the wire.
#[derive(Serialize, Deserialize)]
struct Claims {
    room: String,
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default)]
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    may: Option<SomeRights>,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
}

/// Rights where each may be left to the role.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
struct SomeRights {
    publish: Option<bool>,
    subscribe: Option<bool>,
    send: Option<bool>,
    record: Option<bool>,
    administer: Option<bool>,
}

impl From<Rights> for SomeRights {
    fn from(rights: Rights) -> Self {
        Self {
            publish: Some(rights.publish),
            subscribe: Some(rights.subscribe),
            send: Some(rights.send),
            record: Some(rights.record),
            administer: Some(rights.administer),
        }
    }
}

impl SomeRights {
    fn over(self, role: Rights) -> Rights {
        Rights {
            publish: self.publish.unwrap_or(role.publish),
            subscribe: self.subscribe.unwrap_or(role.subscribe),
            send: self.send.unwrap_or(role.send),
            record: self.record.unwrap_or(role.record),
            administer: self.administer.unwrap_or(role.administer),
        }
    }
}

/// The key of development: everybody has it, so nothing it signs is secret. `--production` refuses it.
pub const SAMPLE_KEY: &str = "simmer-sample-key-for-development-only";

const MIN_KEY_BYTES: usize = 32;
const MAX_TOKEN_BYTES: usize = 8 * 1024;
const MAX_ID_CHARS: usize = 64;
const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Issuers' clocks differ a little from ours.
const CLOCK_SKEW: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key() -> TokenKey {
        TokenKey::new(SAMPLE_KEY.as_bytes()).expect("long enough")
    }

    fn signed(header: &Header, claims: &serde_json::Value, secret: &[u8]) -> String {
        encode(header, claims, &EncodingKey::from_secret(secret)).expect("a token")
    }

    fn claims() -> serde_json::Value {
        json!({"room": "kitchen", "sub": "ana", "exp": NOW + 600})
    }

    fn read(claims: &serde_json::Value) -> Result<Grant, BadToken> {
        let token = signed(&Header::new(Algorithm::HS256), claims, SAMPLE_KEY.as_bytes());
        key().authenticate(&token, NOW)
    }

    #[test]
    fn a_grant_survives_being_signed() {
        let mut grant = Grant::new("kitchen", "ana", Role::Host, NOW + 600);
        grant.name = Some("Ana".to_owned());
        grant.rights.record = false;
        let token = key().sign(&grant).expect("a sound grant");
        assert_eq!(key().authenticate(&token, NOW), Ok(grant));
        assert_eq!(key().sign(&Grant::new("a room", "ana", Role::Host, NOW)), Err(BadToken));
    }

    #[test]
    fn rights_not_named_are_the_roles() {
        assert_eq!(read(&claims()).map(|grant| grant.rights), Ok(Rights::of(Role::Participant)));
        let mut some = claims();
        some["role"] = json!("host");
        some["may"] = json!({"publish": false});
        let expected = Rights { publish: false, ..Rights::of(Role::Host) };
        assert_eq!(read(&some).map(|grant| grant.rights), Ok(expected));
    }

    #[test]
    fn times_are_those_of_the_one_who_asks() {
        let at = |exp: u64, nbf: u64| {
            let mut claims = claims();
            claims["exp"] = json!(exp);
            claims["nbf"] = json!(nbf);
            read(&claims).is_ok()
        };
        assert!(at(NOW + 1, NOW));
        assert!(!at(NOW, NOW), "ended");
        assert!(!at(NOW + 25 * 3600, NOW), "too long a life");
        assert!(!at(NOW + 600, NOW + 60), "not yet");
        assert!(at(NOW + 600, NOW + 10), "a clock a little ahead");
    }

    #[test]
    fn every_bad_token_is_bad_alike() {
        let good = signed(&Header::new(Algorithm::HS256), &claims(), SAMPLE_KEY.as_bytes());
        let (signed_part, _) = good.rsplit_once('.').expect("three parts");
        let (_, payload) = signed_part.split_once('.').expect("three parts");
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        let without = |field: &str| {
            let mut claims = claims();
            claims.as_object_mut().expect("an object").remove(field);
            signed(&Header::new(Algorithm::HS256), &claims, SAMPLE_KEY.as_bytes())
        };
        let bad = [
            String::new(),
            "a.b.c".to_owned(),
            format!("{none}.{payload}."),
            format!("{signed_part}."),
            signed(&Header::new(Algorithm::HS384), &claims(), SAMPLE_KEY.as_bytes()),
            signed(&Header::new(Algorithm::HS256), &claims(), &[7; 32]),
            without("exp"),
            without("room"),
            without("sub"),
            format!("{good}{}", "A".repeat(MAX_TOKEN_BYTES)),
        ];
        for token in &bad {
            assert_eq!(key().authenticate(token, NOW), Err(BadToken), "{token}");
        }
        for (field, value) in [("room", "../etc"), ("room", ""), ("sub", "a b"), ("sub", ""), ("role", "king")] {
            let mut claims = claims();
            claims[field] = json!(value);
            assert_eq!(read(&claims), Err(BadToken), "{field}: {value}");
        }
    }

    #[test]
    fn a_short_key_is_none() {
        assert!(TokenKey::new(&[1; 31]).is_err());
        assert!(TokenKey::new(&[1; 32]).is_ok());
    }
}
