//! The lite side of ICE (RFC 8445 section 2.5): it answers checks, learns addresses from them, and never sends one.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rtc_crypto::{HmacAlgorithm, Mac, RTCCrypto};

use super::stun::Check;
use crate::sdp::IceCredentials;

/// Which addresses belong to the client, and which of them it wants to be reached at.
pub(super) struct IceLite {
    current: Option<Credentials>,
    /// Valid until a check comes with the current ones: the client may not have the answer to its restart yet.
    previous: Option<Credentials>,
    /// With the time of the last check, the least recently checked first, at most [`MAX_ADDRESSES`].
    authenticated: Vec<(SocketAddr, Instant)>,
    nominated: Option<SocketAddr>,
    last_check: Instant,
    first_check: Option<Instant>,
}

struct Credentials {
    /// `ours:theirs`.
    username: Vec<u8>,
    key: Box<dyn Mac>,
}

impl IceLite {
    pub(super) fn new(
        crypto: &dyn RTCCrypto,
        now: Instant,
        local: &IceCredentials,
        remote: &IceCredentials,
    ) -> Self {
        Self {
            current: Credentials::new(crypto, local, remote),
            previous: None,
            authenticated: Vec::new(),
            nominated: None,
            last_check: now,
            first_check: None,
        }
    }

    /// Takes new credentials (RFC 8445 section 9). Media goes on to the old address until a new one is nominated, and the
    /// time for consent starts anew.
    pub(super) fn restart(
        &mut self,
        crypto: &dyn RTCCrypto,
        now: Instant,
        local: &IceCredentials,
        remote: &IceCredentials,
    ) {
        let former = std::mem::replace(&mut self.current, Credentials::new(crypto, local, remote));
        self.previous = former;
        self.last_check = now;
    }

    /// Answers an authentic check, which then belongs to this client, and says nothing to any other.
    pub(super) fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<Bytes> {
        let check = Check::parse(datagram)?;
        let response = if let Some(current) = self.current.as_mut().filter(|c| c.username == check.username())
        {
            let response = current.answer(&check, from)?;
            self.previous = None;
            response
        } else {
            self.previous.as_mut().filter(|c| c.username == check.username())?.answer(&check, from)?
        };
        self.last_check = now;
        self.first_check.get_or_insert(now);
        self.authenticated.retain(|(address, _)| *address != from);
        if self.authenticated.len() >= MAX_ADDRESSES {
            // The one that was checked longest ago is forgotten; its next check brings it back.
            let nominated = self.nominated;
            if let Some(at) = self.authenticated.iter().position(|(address, _)| Some(*address) != nominated) {
                self.authenticated.remove(at);
            }
        }
        self.authenticated.push((from, now));
        if check.nominates() || self.nominated.is_some_and(|nominated| self.is_stale(nominated, now)) {
            self.nominated = Some(from);
        }
        Some(response)
    }

    /// Whether an authentic check came from this address.
    pub(super) fn is_authenticated(&self, address: SocketAddr) -> bool {
        // The address in use is checked most often, so it stands near the end.
        self.authenticated.iter().rev().any(|(authenticated, _)| *authenticated == address)
    }

    /// Whether checks from this address have stopped: then one from elsewhere is of a client that a new network address was
    /// given to on the way, and knows nothing of it.
    fn is_stale(&self, address: SocketAddr, now: Instant) -> bool {
        let last = self.authenticated.iter().find(|(authenticated, _)| *authenticated == address);
        last.is_none_or(|(_, last)| now.saturating_duration_since(*last) > STALE)
    }

    /// The address the client nominated last; until it does, the one that was checked last.
    pub(super) fn reachable(&self) -> Option<SocketAddr> {
        self.nominated.or_else(|| self.authenticated.last().map(|(address, _)| *address))
    }

    /// When the first authentic check came.
    pub(super) fn first_check(&self) -> Option<Instant> {
        self.first_check
    }

    /// When consent is lost unless another check comes (RFC 7675 section 5.1).
    pub(super) fn consent_ends(&self, consent: Duration) -> Instant {
        self.last_check + consent
    }
}

impl Credentials {
    /// `None`, with which no check is ever authentic, when the provider has no HMAC-SHA1.
    fn new(crypto: &dyn RTCCrypto, local: &IceCredentials, remote: &IceCredentials) -> Option<Self> {
        let key = crypto.new_hmac(HmacAlgorithm::Sha1, local.pwd.as_bytes()).ok()?;
        Some(Self { username: format!("{}:{}", local.ufrag, remote.ufrag).into_bytes(), key })
    }

    fn answer(&mut self, check: &Check<'_>, from: SocketAddr) -> Option<Bytes> {
        if !check.is_authentic(&mut *self.key) {
            return None;
        }
        check.success(&mut *self.key, from)
    }
}

/// Candidate pairs of one client that are in use at a time; browsers have a handful.
const MAX_ADDRESSES: usize = 16;
/// Browsers check the pair in use every 2 to 5 seconds (RFC 7675 section 5.1).
const STALE: Duration = Duration::from_secs(7);

#[cfg(test)]
mod tests;
