//! From which of our addresses each client is answered.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::socket::Path;

/// What was heard from whom on which of our addresses. Left to itself the system would choose by route what it sends from. Empty when
/// bound to one address.
#[derive(Default)]
pub(super) struct Heard {
    /// By remote address the one of ours that it was last heard on with anything but a check.
    on: HashMap<SocketAddr, IpAddr>,
    /// Who is being heard on another address than that. A check is answered from where it came, for ICE takes the answer from nowhere
    /// else (RFC 8445 section 7.2.5.2.1); clients try all of our addresses, and use one.
    elsewhere: Option<(SocketAddr, IpAddr)>,
}

impl Heard {
    /// Whether what is to be sent to who wrote just now leaves from another address: it has to be sent before what they wrote is handled, and
    /// what that brings about, after it.
    pub(super) fn elsewhere(&self, path: Path) -> bool {
        self.on.get(&path.from).is_some_and(|known| path.local.is_some_and(|local| local != *known))
    }

    /// Something that begins with this octet was heard. What is sent to its sender leaves from the address it came to, until
    /// [`settle`](Self::settle).
    pub(super) fn note(&mut self, path: Path, first: u8) {
        let Some(local) = path.local else { return };
        let known = self.on.get(&path.from).copied();
        if known == Some(local) {
            return;
        }
        if known.is_some() && is_check(first) {
            self.elsewhere = Some((path.from, local));
            return;
        }
        // A flood from forged addresses makes us forget; who is alive is heard again with the next check.
        if self.on.len() >= HEARD_ADDRESSES {
            self.on.clear();
        }
        self.on.insert(path.from, local);
    }

    /// What was brought about has been sent.
    pub(super) fn settle(&mut self) {
        self.elsewhere = None;
    }

    /// Which of our addresses something leaves from; `None` for as the system likes.
    pub(super) fn source(&self, to: SocketAddr) -> Option<IpAddr> {
        let elsewhere = self.elsewhere.filter(|(from, _)| *from == to).map(|(_, local)| local);
        elsewhere.or_else(|| self.on.get(&to).copied())
    }
}

/// Whether a datagram that begins with this octet may be a check (RFC 7983 section 7).
pub(super) fn is_check(first: u8) -> bool {
    first < 4
}

/// Remote addresses remembered with the one they were heard on.
const HEARD_ADDRESSES: usize = 65_536;
