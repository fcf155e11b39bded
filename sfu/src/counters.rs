//! What a core has done since it started, in totals.

/// Totals since the start. They only grow, but for the gauges named so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Gauge: participants now.
    pub participants: u64,
    /// Gauge: publications now.
    pub publications: u64,
    /// Datagrams received on the media port, of any kind.
    pub datagrams_received: u64,
    /// Datagrams from an address that no check has bound, or with no class of RFC 7983: dropped without a reply.
    pub datagrams_unknown: u64,
    /// RTP packets received and authenticated, retransmissions included.
    pub packets_received: u64,
    /// Their payload, in bytes.
    pub payload_bytes_received: u64,
    /// RTP packets received that belong to no publication, or twice, or too late.
    pub packets_discarded: u64,
    /// RTP packets sent to subscribers for the first time.
    pub packets_forwarded: u64,
    /// Their datagrams' size, in bytes.
    pub bytes_forwarded: u64,
    /// RTP packets sent again on request.
    pub packets_retransmitted: u64,
    /// Retransmissions asked for and not given: too old, too often, or over the budget.
    pub retransmissions_refused: u64,
    /// Publishers' packets asked for again.
    pub nacks_sent: u64,
    /// Publishers' packets that came by retransmission.
    pub packets_repaired: u64,
    /// Key frames asked of publishers.
    pub keyframes_requested: u64,
    /// Pictures that began with packets kept from before, without a key frame of their own.
    pub pictures_from_history: u64,
    /// RTP packets sent to see whether a line carries more.
    pub packets_probing: u64,
    /// Data channel messages received.
    pub messages_received: u64,
    /// Data channel messages sent.
    pub messages_sent: u64,
    /// Data channel messages dropped because a queue was full or the channel was gone.
    pub messages_dropped: u64,
    /// Datagrams with data channel messages that were dropped unread: their client sent more than it may.
    pub data_refused: u64,
    /// Datagrams given to the operating system, of any kind: media, feedback, checks, data channels.
    pub datagrams_sent: u64,
    /// Sends that they took: what is of one size and for one client is one. Several go to the system in one call.
    pub sends: u64,
    /// Datagrams that the operating system did not take: its buffer was full, or the address unreachable.
    pub datagrams_unsent: u64,
    /// Commands dropped because the core's inbox was full.
    pub commands_dropped: u64,
}

impl Counters {
    /// Those of two shards together.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            participants: self.participants + other.participants,
            publications: self.publications + other.publications,
            datagrams_received: self.datagrams_received + other.datagrams_received,
            datagrams_unknown: self.datagrams_unknown + other.datagrams_unknown,
            packets_received: self.packets_received + other.packets_received,
            payload_bytes_received: self.payload_bytes_received + other.payload_bytes_received,
            packets_discarded: self.packets_discarded + other.packets_discarded,
            packets_forwarded: self.packets_forwarded + other.packets_forwarded,
            bytes_forwarded: self.bytes_forwarded + other.bytes_forwarded,
            packets_retransmitted: self.packets_retransmitted + other.packets_retransmitted,
            retransmissions_refused: self.retransmissions_refused + other.retransmissions_refused,
            nacks_sent: self.nacks_sent + other.nacks_sent,
            packets_repaired: self.packets_repaired + other.packets_repaired,
            keyframes_requested: self.keyframes_requested + other.keyframes_requested,
            pictures_from_history: self.pictures_from_history + other.pictures_from_history,
            packets_probing: self.packets_probing + other.packets_probing,
            messages_received: self.messages_received + other.messages_received,
            messages_sent: self.messages_sent + other.messages_sent,
            messages_dropped: self.messages_dropped + other.messages_dropped,
            data_refused: self.data_refused + other.data_refused,
            datagrams_sent: self.datagrams_sent + other.datagrams_sent,
            sends: self.sends + other.sends,
            datagrams_unsent: self.datagrams_unsent + other.datagrams_unsent,
            commands_dropped: self.commands_dropped + other.commands_dropped,
        }
    }
}

/// What one worker has done since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct WorkerCounters {
    /// Gauge: participants it has now.
    pub participants: u64,
    /// Datagrams received on its socket, whosever they were.
    pub datagrams_received: u64,
    /// Datagrams that were for another worker's participants and were handed over to it.
    pub datagrams_handed_over: u64,
    /// Datagrams for another worker that were dropped, since that one has too many waiting.
    pub datagrams_dropped: u64,
    /// RTP packets of its publishers that were handed to other workers with the same room, once for each.
    pub packets_mirrored: u64,
    /// Of those, what was dropped since the other one has too many waiting: its viewers miss it.
    pub packets_dropped: u64,
    /// RTP packets sent to subscribers for the first time.
    pub packets_forwarded: u64,
}
