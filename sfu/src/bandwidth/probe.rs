//! Short bursts above the estimate, to see whether the line carries more.

use crate::bandwidth::Bitrate;

/// Which probe a datagram is part of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProbeId(pub u32);

/// A burst to send now, evenly paced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// Given back with each datagram of it.
    pub id: ProbeId,
    /// At which rate.
    pub bitrate: Bitrate,
    /// At least so many bytes of UDP payload.
    pub bytes: usize,
    /// In at least so many datagrams.
    pub packets: usize,
}
