//! Repairs that nobody asked for: the transport-wide feedback says what was lost, requests or repairs included.

use std::time::Instant;

use crate::rtcp::TransportFeedback;
use crate::shard::Shard;
use crate::transport::Transport;

impl<T: Transport> Shard<T> {
    /// Takes note of what feedback reports missing.
    pub(super) fn miss(&mut self, now: Instant, index: usize, feedback: &TransportFeedback<'_>) {
        let participant = &mut self.participants[index];
        if usize::from(feedback.statuses()) > MAX_STATUSES {
            return;
        }
        for (number, _) in feedback.arrivals().filter(|(_, arrived)| arrived.is_none()) {
            let Some(packet) = participant.downlink.carried.take(number) else { continue };
            let Some(at) = participant.slot_of(packet.ssrc) else { continue };
            if !packet.again || participant.slots[at].lost_again(packet.sequence) {
                participant.downlink.carried.miss(now, packet);
            }
        }
    }

    /// Sends again what is still missing and was not asked for in time.
    pub(super) fn repair_unasked(&mut self, now: Instant, index: usize) {
        while let Some(packet) = self.participants[index].downlink.carried.poll(now) {
            self.retransmit(now, index, packet.ssrc, packet.sequence, false);
        }
    }
}

/// More than is kept of a line.
const MAX_STATUSES: usize = 8192;
