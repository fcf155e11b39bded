#![expect(
    clippy::disallowed_methods,
    reason = "virtual time starts at any instant; only differences are seen"
)]

use std::sync::Arc;

use rtc_crypto::RTCCryptoProvider;

use super::*;

fn provider() -> Arc<dyn RTCCryptoProvider> {
    rtc_crypto::default_provider().expect("a provider")
}

fn credentials(ufrag: &str) -> IceCredentials {
    IceCredentials { ufrag: ufrag.into(), pwd: format!("the password of {ufrag}") }
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn agent(now: Instant) -> IceLite {
    IceLite::new(provider().crypto(), now, &credentials("ours"), &credentials("theirs"))
}

fn check(username: &str, password: &str, nominates: bool) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend([9; 12]);
    let mut put = |kind: u16, value: &[u8]| {
        message.extend(kind.to_be_bytes());
        message.extend((value.len() as u16).to_be_bytes());
        message.extend(value);
        message.resize(message.len().next_multiple_of(4), 0);
    };
    put(0x0006, username.as_bytes());
    put(0x0024, &[1, 2, 3, 4]);
    if nominates {
        put(0x0025, &[]);
    }
    let length = message.len() as u16 - 20 + 24;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let mut tag = [0; 20];
    let mut key = provider().crypto().new_hmac(HmacAlgorithm::Sha1, password.as_bytes()).expect("a key");
    key.sign(&[&message], &mut tag).expect("signed");
    message.extend([0, 8, 0, 20]);
    message.extend(tag);
    message[2..4].copy_from_slice(&(length + 8).to_be_bytes());
    let fingerprint = crc32fast::hash(&message) ^ 0x5354_554e;
    message.extend([0x80, 0x28, 0, 4]);
    message.extend(fingerprint.to_be_bytes());
    message
}

fn honest(nominates: bool) -> Vec<u8> {
    check("ours:theirs", "the password of ours", nominates)
}

#[test]
fn only_the_right_name_with_the_right_password_is_answered() {
    let now = Instant::now();
    let mut agent = agent(now);
    for (username, password) in [
        ("ours:theirs", "the password of theirs"),
        ("ours:theirs", ""),
        ("ours:other", "the password of ours"),
        ("ours:", "the password of ours"),
        ("ours", "the password of ours"),
        ("theirs:ours", "the password of ours"),
        ("ours:theirs2", "the password of ours"),
    ] {
        assert_eq!(agent.handle(now, address(1), &check(username, password, true)), None, "{username}");
    }
    assert!(!agent.is_authenticated(address(1)));
    assert_eq!((agent.reachable(), agent.first_check()), (None, None));
    let request = honest(false);
    let response = agent.handle(now, address(1), &request).expect("an answer");
    assert!(response.len() <= request.len());
    assert!(agent.is_authenticated(address(1)));
    assert!(!agent.is_authenticated(address(2)));
}

#[test]
fn the_latest_nomination_wins_and_several_addresses_may_stand() {
    let now = Instant::now();
    let mut agent = agent(now);
    for (port, nominates, expected) in
        [(1, false, 1), (2, false, 2), (1, true, 1), (2, false, 1), (2, true, 2)]
    {
        agent.handle(now, address(port), &honest(nominates)).expect("an answer");
        assert_eq!(agent.reachable(), Some(address(expected)));
    }
    assert!(agent.is_authenticated(address(1)) && agent.is_authenticated(address(2)));
}

#[test]
fn a_nominated_address_that_fell_silent_gives_way() {
    let now = Instant::now();
    let mut agent = agent(now);
    agent.handle(now, address(1), &honest(true)).expect("an answer");
    agent.handle(now + STALE, address(2), &honest(false)).expect("an answer");
    assert_eq!(agent.reachable(), Some(address(1)));
    agent.handle(now + STALE + Duration::from_millis(1), address(2), &honest(false)).expect("an answer");
    assert_eq!(agent.reachable(), Some(address(2)));
}

#[test]
fn addresses_are_bounded_and_the_nominated_one_stays() {
    let now = Instant::now();
    let mut agent = agent(now);
    agent.handle(now, address(1), &honest(true)).expect("an answer");
    for port in 2..100 {
        agent.handle(now, address(port), &honest(false)).expect("an answer");
    }
    assert_eq!(agent.authenticated.len(), MAX_ADDRESSES);
    assert_eq!(agent.reachable(), Some(address(1)));
    assert!(agent.is_authenticated(address(1)) && agent.is_authenticated(address(99)));
    assert!(!agent.is_authenticated(address(2)));
}

#[test]
fn old_credentials_are_good_until_the_new_ones_are_used() {
    let now = Instant::now();
    let mut agent = agent(now);
    agent.handle(now, address(1), &honest(true)).expect("an answer");
    let later = now + Duration::from_secs(5);
    agent.restart(provider().crypto(), later, &credentials("ours2"), &credentials("theirs2"));
    assert_eq!(agent.consent_ends(Duration::from_secs(30)), later + Duration::from_secs(30));
    assert!(agent.handle(later, address(1), &honest(false)).is_some());
    let fresh = check("ours2:theirs2", "the password of ours2", true);
    assert!(agent.handle(later, address(2), &fresh).is_some());
    assert_eq!(agent.reachable(), Some(address(2)));
    assert_eq!(agent.handle(later, address(1), &honest(false)), None);
    assert_eq!(agent.handle(later, address(1), &check("ours2:theirs", "the password of ours2", true)), None);
}
