//! The one interceptor of a bench client: it takes every decrypted packet out of the peer connection.
//!
//! The stack's own interceptors cost more than everything else a client here does, and hide what a verifier wants
//! to see.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;

use crate::sealed::SealedHeader;

/// What came out of the network, decrypted.
#[derive(Debug)]
pub enum Inbound {
    /// A media or retransmission packet.
    Rtp(rtp::Packet),
    /// Of a media packet that is not opened, its header.
    Sealed(SealedHeader),
    /// One compound packet's parts.
    Rtcp(Vec<Box<dyn rtcp::Packet>>),
}

/// Where a [`Tap`] leaves what it takes; emptied by its client after every datagram.
#[derive(Clone, Debug, Default)]
pub struct Inbox(Arc<Mutex<VecDeque<Inbound>>>);

impl Inbox {
    /// The oldest packet.
    pub fn pop(&self) -> Option<Inbound> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn push(&self, packet: Inbound) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(packet);
    }
}

/// Takes all packets that come in, passes all that go out.
pub struct Tap {
    inbox: Inbox,
    outgoing: VecDeque<TaggedPacket>,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("outgoing", &self.outgoing.len()).finish_non_exhaustive()
    }
}

impl Tap {
    /// A tap that fills `inbox`.
    pub fn new(inbox: Inbox) -> Self {
        Self { inbox, outgoing: VecDeque::new() }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Tap {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = rtc::shared::error::Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        match packet.message.packet {
            Packet::Rtp(packet) => self.inbox.push(Inbound::Rtp(packet)),
            Packet::Rtcp(packets) => self.inbox.push(Inbound::Rtcp(packets)),
            _ => {}
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<Self::Rout> {
        None
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Self::Error> {
        self.outgoing.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<Self::Wout> {
        self.outgoing.pop_front()
    }
}

impl Interceptor for Tap {
    fn bind_local_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}
