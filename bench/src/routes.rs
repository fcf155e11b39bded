//! Which slot a packet is for: by its SSRC, or by its payload type where the server did not announce the SSRC it sends with.

use std::collections::BTreeMap;

/// Where a stream's packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The slot's index.
    pub slot: usize,
    /// Whether the stream retransmits what the slot's own stream had.
    pub retransmission: bool,
}

/// What is known of the streams that come.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    by_ssrc: BTreeMap<u32, Route>,
    /// Of streams that did not begin yet.
    by_payload_type: BTreeMap<u8, Route>,
}

impl Routes {
    /// The stream with that SSRC goes there.
    pub fn announce(&mut self, ssrc: u32, route: Route) {
        self.by_ssrc.insert(ssrc, route);
    }

    /// A stream with that payload type goes there, whatever its SSRC. Of two with one payload type, neither can be told.
    pub fn expect(&mut self, payload_type: u8, route: Route) {
        if self.by_payload_type.insert(payload_type, route).is_some_and(|other| other != route) {
            self.by_payload_type.remove(&payload_type);
        }
    }

    /// Where a packet goes, and whether its SSRC was learnt from it.
    pub fn of(&mut self, ssrc: u32, payload_type: u8) -> Option<(Route, bool)> {
        if let Some(route) = self.by_ssrc.get(&ssrc).copied() {
            if !self.by_payload_type.is_empty() {
                self.by_payload_type.remove(&payload_type);
            }
            return Some((route, false));
        }
        let route = self.by_payload_type.remove(&payload_type)?;
        self.by_ssrc.insert(ssrc, route);
        Some((route, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: Route = Route { slot: 0, retransmission: false };
    const AGAIN: Route = Route { slot: 0, retransmission: true };
    const AUDIO: Route = Route { slot: 1, retransmission: false };

    #[test]
    fn a_stream_that_was_not_announced_is_told_by_its_payload_type_once() {
        let mut routes = Routes::default();
        for (payload_type, route) in [(96, VIDEO), (97, AGAIN), (111, AUDIO)] {
            routes.expect(payload_type, route);
        }
        assert_eq!(routes.of(7, 96), Some((VIDEO, true)));
        assert_eq!(routes.of(7, 96), Some((VIDEO, false)));
        assert_eq!(routes.of(8, 96), None, "the slot has its stream");
        assert_eq!((routes.of(9, 97), routes.of(10, 111)), (Some((AGAIN, true)), Some((AUDIO, true))));
    }

    #[test]
    fn what_was_announced_and_came_is_not_replaced() {
        let mut routes = Routes::default();
        routes.announce(7, VIDEO);
        routes.expect(96, VIDEO);
        assert_eq!(routes.of(7, 96), Some((VIDEO, false)));
        assert_eq!(routes.of(8, 96), None);
        let mut other = Routes::default();
        other.announce(7, VIDEO);
        other.expect(96, VIDEO);
        assert_eq!(other.of(8, 96), Some((VIDEO, true)), "announced, and never sent with");
    }

    #[test]
    fn two_slots_of_one_payload_type_are_not_guessed_at() {
        let mut routes = Routes::default();
        routes.expect(96, VIDEO);
        routes.expect(96, Route { slot: 1, ..VIDEO });
        assert_eq!(routes.of(7, 96), None);
    }
}
