//! Datagrams sent together, and how the delay changes from one such group to the next (draft-ietf-rmcat-gcc-02 section 5.2).

/// Takes datagrams in the order they arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Grouping {
    former: Option<Group>,
    current: Option<Group>,
}

/// Between two successive groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Change {
    /// How much later the second left, in microseconds.
    pub(super) sent_us: i64,
    /// How much later it arrived.
    pub(super) arrived_us: i64,
    /// When it arrived, by the receiver's clock.
    pub(super) at_us: i64,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent_us: i64,
    last_sent_us: i64,
    first_arrival_us: i64,
    last_arrival_us: i64,
}

impl Grouping {
    /// The next datagram. When it begins a group, the one before is complete.
    pub(super) fn on_packet(&mut self, sent_us: i64, arrival_us: i64) -> Option<Change> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::of(sent_us, arrival_us));
            return None;
        };
        if sent_us < current.first_sent_us {
            // Of a group that is over.
            return None;
        }
        if current.takes(sent_us, arrival_us) {
            current.last_sent_us = current.last_sent_us.max(sent_us);
            current.last_arrival_us = current.last_arrival_us.max(arrival_us);
            return None;
        }
        let complete = self.current.replace(Group::of(sent_us, arrival_us))?;
        let former = self.former.replace(complete)?;
        Some(Change {
            sent_us: complete.last_sent_us.saturating_sub(former.last_sent_us),
            arrived_us: complete.last_arrival_us.saturating_sub(former.last_arrival_us),
            at_us: complete.last_arrival_us,
        })
    }
}

impl Group {
    fn of(sent_us: i64, arrival_us: i64) -> Self {
        Self {
            first_sent_us: sent_us,
            last_sent_us: sent_us,
            first_arrival_us: arrival_us,
            last_arrival_us: arrival_us,
        }
    }

    fn takes(&self, sent_us: i64, arrival_us: i64) -> bool {
        if sent_us.saturating_sub(self.first_sent_us) <= BURST_US {
            return true;
        }
        // It was held up on the way and let go together with the last one.
        let after = arrival_us.saturating_sub(self.last_arrival_us);
        after <= BURST_US
            && after < sent_us.saturating_sub(self.last_sent_us)
            && arrival_us.saturating_sub(self.first_arrival_us) < MAX_BURST_US
    }
}

const BURST_US: i64 = 5000;
const MAX_BURST_US: i64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_left_together_is_one_group() {
        let mut grouping = Grouping::default();
        let packets = [(0, 50), (2, 51), (5, 52), (33, 90), (34, 91), (66, 120)];
        let changes: Vec<_> = packets
            .iter()
            .filter_map(|&(sent, arrived)| grouping.on_packet(sent * 1000, arrived * 1000))
            .collect();
        assert_eq!(changes, [Change { sent_us: 29_000, arrived_us: 39_000, at_us: 91_000 }]);
    }

    #[test]
    fn what_was_held_up_together_is_one_group() {
        let mut grouping = Grouping::default();
        // Three were stuck and came at once.
        let packets = [(0, 50), (20, 100), (40, 101), (60, 102), (80, 130), (100, 150)];
        let changes: Vec<_> = packets
            .iter()
            .filter_map(|&(sent, arrived)| grouping.on_packet(sent * 1000, arrived * 1000))
            .map(|change| (change.sent_us / 1000, change.arrived_us / 1000))
            .collect();
        assert_eq!(changes, [(60, 52), (20, 28)]);
    }

    #[test]
    fn what_comes_from_an_earlier_group_is_passed_over() {
        let mut grouping = Grouping::default();
        assert_eq!(grouping.on_packet(50_000, 100_000), None);
        assert_eq!(grouping.on_packet(10_000, 101_000), None);
        assert_eq!(grouping.on_packet(100_000, 150_000), None);
        let change = grouping.on_packet(150_000, 200_000).unwrap();
        assert_eq!((change.sent_us, change.arrived_us), (50_000, 50_000));
    }
}
