//! Whose a datagram is that lands on a worker: the system chooses the worker by addresses, and knows nothing of rooms.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::id::ShardIndex;

/// Where datagrams go that land on one worker and are another's.
///
/// A check names its shard. Everything else goes where an authenticated check from the same address went; from an address without one
/// it stays here, where it is unknown and dropped.
pub(crate) struct Routes {
    own: ShardIndex,
    shards: usize,
    elsewhere: HashMap<SocketAddr, Route>,
    swept: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Route {
    shard: ShardIndex,
    /// When that shard authenticated a check from there last.
    confirmed: Instant,
}

impl Routes {
    /// Those of one shard's worker, of so many.
    pub(crate) fn new(own: ShardIndex, shards: usize) -> Self {
        Self { own, shards, elsewhere: HashMap::new(), swept: None }
    }

    /// Whose a check for this user fragment is.
    pub(crate) fn of_check(&self, ufrag: &[u8]) -> ShardIndex {
        ShardIndex::of_ufrag(ufrag).filter(|shard| shard.index() < self.shards).unwrap_or(self.own)
    }

    /// Whose anything else from an address is.
    pub(crate) fn of_address(&self, now: Instant, from: SocketAddr) -> ShardIndex {
        let route = self.elsewhere.get(&from).filter(|route| !route.is_stale(now));
        route.map_or(self.own, |route| route.shard)
    }

    /// A shard has authenticated a check that came from this address to this worker.
    pub(crate) fn learn(&mut self, now: Instant, from: SocketAddr, shard: ShardIndex) {
        if shard == self.own {
            self.elsewhere.remove(&from);
            return;
        }
        if self.elsewhere.len() >= ADDRESSES && !self.elsewhere.contains_key(&from) {
            // Those of clients that are gone. If none is, this one has to wait: its checks come again.
            if self.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_EVERY) {
                self.swept = Some(now);
                self.elsewhere.retain(|_, route| !route.is_stale(now));
            }
            if self.elsewhere.len() >= ADDRESSES {
                return;
            }
        }
        self.elsewhere.insert(from, Route { shard, confirmed: now });
    }
}

impl Route {
    fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.confirmed) > STALE
    }
}

/// Clients of other workers whose datagrams land here; beyond it the next one's media is dropped as unknown.
const ADDRESSES: usize = 65_536;
/// Browsers check the pair in use every 2 to 5 seconds, and consent ends after 30 (RFC 7675 section 5.1).
const STALE: Duration = Duration::from_secs(60);
const SWEEP_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(index: usize) -> ShardIndex {
        ShardIndex::new(index).unwrap()
    }

    fn address(number: usize) -> SocketAddr {
        ([10, (number >> 16) as u8, (number >> 8) as u8, number as u8], 5000).into()
    }

    #[test]
    fn a_check_names_its_shard_and_what_names_none_stays() {
        let routes = Routes::new(shard(1), 3);
        for of in 0..3 {
            assert_eq!(routes.of_check(format!("{}xyz", shard(of).letter()).as_bytes()), shard(of));
        }
        for nobodys in
            [shard(3).letter().to_string(), shard(63).letter().to_string(), "!".to_owned(), String::new()]
        {
            assert_eq!(routes.of_check(nobodys.as_bytes()), shard(1), "{nobodys}");
        }
    }

    #[test]
    fn an_address_belongs_to_who_authenticated_its_last_check() {
        let now = Instant::now();
        let mut routes = Routes::new(shard(1), 3);
        assert_eq!(routes.of_address(now, address(1)), shard(1));
        for owner in [0, 2, 1, 2] {
            routes.learn(now, address(1), shard(owner));
            assert_eq!(routes.of_address(now, address(1)), shard(owner));
            assert_eq!(routes.of_address(now, address(2)), shard(1));
        }
    }

    #[test]
    fn an_address_without_checks_is_forgotten() {
        let start = Instant::now();
        let mut routes = Routes::new(shard(0), 2);
        routes.learn(start, address(1), shard(1));
        assert_eq!(routes.of_address(start + STALE, address(1)), shard(1));
        let later = start + STALE + Duration::from_secs(1);
        assert_eq!(routes.of_address(later, address(1)), shard(0));
        routes.learn(later, address(1), shard(1));
        assert_eq!(routes.of_address(later, address(1)), shard(1));
    }

    #[test]
    fn addresses_are_bounded_and_those_that_are_gone_make_room() {
        let start = Instant::now();
        let mut routes = Routes::new(shard(0), 2);
        for number in 0..ADDRESSES + 10 {
            routes.learn(start, address(number), shard(1));
        }
        assert_eq!(routes.elsewhere.len(), ADDRESSES);
        assert_eq!(routes.of_address(start, address(ADDRESSES)), shard(0));
        // Who is known stays known when it is full.
        let later = start + STALE;
        routes.learn(later, address(1), shard(1));
        routes.learn(later + SWEEP_EVERY, address(ADDRESSES), shard(1));
        assert_eq!(routes.elsewhere.len(), 2);
        assert_eq!(routes.of_address(later + SWEEP_EVERY, address(1)), shard(1));
        assert_eq!(routes.of_address(later + SWEEP_EVERY, address(ADDRESSES)), shard(1));
    }
}
