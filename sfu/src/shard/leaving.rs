//! What leaves together: what was written to several viewers goes to the system in one call.

use std::net::SocketAddr;
use std::slice;

use crate::shard::outbox::{Outbox, Run, Runs};

/// Outboxes on their way out, and memory for the next ones: what was written into last stays in the processor's cache.
#[derive(Default)]
pub(super) struct Leaving {
    full: Vec<(SocketAddr, Outbox)>,
    spare: Vec<Outbox>,
}

/// Datagrams of several destinations that leave together: one destination's after the other's, each in order.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    outboxes: slice::Iter<'a, (SocketAddr, Outbox)>,
    runs: Option<(SocketAddr, Runs<'a>)>,
}

impl<'a> Iterator for Batch<'a> {
    type Item = (SocketAddr, Run<'a>);

    fn next(&mut self) -> Option<(SocketAddr, Run<'a>)> {
        loop {
            if let Some((to, runs)) = &mut self.runs
                && let Some(run) = runs.next()
            {
                return Some((*to, run));
            }
            let (to, outbox) = self.outboxes.next()?;
            self.runs = Some((*to, outbox.runs()));
        }
    }
}

impl Leaving {
    /// Memory to write into, if some is left from before.
    #[inline]
    pub(super) fn lend(&mut self) -> Option<Outbox> {
        self.spare.pop()
    }

    /// Takes back memory in which nothing waits.
    #[inline]
    pub(super) fn take_back(&mut self, mut outbox: Outbox) {
        outbox.clear();
        // The first few are in use all the time, the others when something else comes between packets and their sending.
        let few = self.spare.len() < FEW_SPARE || outbox.memory() <= SPARE_BYTES;
        if outbox.memory() > 0 && few && self.spare.len() < MOST_SPARE {
            self.spare.push(outbox);
        }
    }

    /// Lets leave what was written to one destination; whether that was the last for now, and all is to be [sent](Self::send).
    #[inline]
    pub(super) fn put(&mut self, to: SocketAddr, outbox: Outbox) -> bool {
        self.full.push((to, outbox));
        self.full.len() >= TURNS_AT_ONCE
    }

    /// The same of one datagram.
    pub(super) fn put_datagram(&mut self, to: SocketAddr, datagram: &[u8]) -> bool {
        let mut outbox = self.lend().unwrap_or_default();
        outbox.push(|buffer, _| {
            buffer.extend_from_slice(datagram);
            true
        });
        self.put(to, outbox)
    }

    /// Sends all, and has its memory for what comes next.
    pub(super) fn send(&mut self, send: &mut impl FnMut(Batch<'_>)) {
        if self.full.is_empty() {
            return;
        }
        send(Batch { outboxes: self.full.iter(), runs: None });
        let mut full = std::mem::take(&mut self.full);
        full.drain(..).for_each(|(_, outbox)| self.take_back(outbox));
        self.full = full;
    }
}

/// As many write before what they wrote is sent.
pub(crate) const TURNS_AT_ONCE: usize = 16;
/// As many write before anything leaves, at most times, with some to spare. When something changes in the middle of a picture all of its viewers do:
/// then memory comes and goes.
const MOST_SPARE: usize = 32;
const FEW_SPARE: usize = 16;
/// A picture of 2 Mbit/s.
const SPARE_BYTES: usize = 10 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: usize) -> SocketAddr {
        ([127, 0, 0, 1], port as u16).into()
    }

    #[test]
    fn one_destination_after_the_other_and_each_in_order() {
        let mut leaving = Leaving::default();
        let mut sent = Vec::new();
        let mut send = |batch: Batch<'_>| {
            let runs = batch.map(|(to, run)| (to.port(), run.contents.to_vec(), run.segment_size));
            sent.push(runs.collect::<Vec<_>>());
        };
        let mut outbox = Outbox::default();
        for byte in [1, 2, 3] {
            outbox.push(|buffer, _| {
                buffer.extend(std::iter::repeat_n(byte, usize::from(byte)));
                true
            });
        }
        leaving.put(address(1), outbox);
        leaving.put(address(2), Outbox::default());
        leaving.put_datagram(address(1), &[4, 4]);
        leaving.send(&mut send);
        leaving.send(&mut send);
        leaving.put_datagram(address(3), &[5]);
        leaving.send(&mut send);
        assert_eq!(
            sent,
            [
                vec![(1, vec![1], 1), (1, vec![2, 2], 2), (1, vec![3, 3, 3], 3), (1, vec![4, 4], 2),],
                vec![(3, vec![5], 1)],
            ]
        );
    }

    #[test]
    fn it_says_when_as_many_as_leave_together_have_written() {
        let mut leaving = Leaving::default();
        let full: Vec<bool> =
            (0..TURNS_AT_ONCE).map(|port| leaving.put_datagram(address(port), &[1])).collect();
        assert_eq!(full.iter().position(|&full| full), Some(TURNS_AT_ONCE - 1));
    }

    #[test]
    fn memory_of_a_few_is_kept_and_lent_again() {
        let mut leaving = Leaving::default();
        for port in 0..100 {
            leaving.put_datagram(address(port), &[7; SPARE_BYTES + 1]);
        }
        leaving.send(&mut |_| {});
        let lent: Vec<Outbox> = std::iter::from_fn(|| leaving.lend()).collect();
        assert_eq!(lent.len(), FEW_SPARE);
        assert!(lent.iter().all(|outbox| outbox.is_empty() && outbox.memory() > SPARE_BYTES));
    }
}
