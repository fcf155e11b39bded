//! The media port: batched receive and send on one UDP socket.

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use crate::shard::Run;

/// A bound UDP socket with GRO and GSO where the system has them.
pub(super) struct MediaSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    local_addr: SocketAddr,
    buffers: Vec<u8>,
    buffer_bytes: usize,
    /// Which of our addresses each remote one was last heard on. Checks are answered, and media is sent, from there: ICE takes nothing from
    /// another (RFC 8445 section 7.2.5.2.1), and left to itself the system would choose by route. Empty when bound to one address.
    heard_on: HashMap<SocketAddr, IpAddr>,
}

impl MediaSocket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // What the system grants is what we get: these are wishes.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket: std::net::UdpSocket = socket.into();
        let local_addr = socket.local_addr()?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let buffer_bytes = DATAGRAM_BYTES * state.gro_segments();
        Ok(Self {
            socket: UdpSocket::from_std(socket),
            state,
            local_addr,
            buffers: vec![0; buffer_bytes * BATCH_SIZE],
            buffer_bytes,
            heard_on: HashMap::new(),
        })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub(super) fn source(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// Receives one batch and hands every datagram to `handle`. `WouldBlock` when there is nothing.
    pub(super) fn receive(&mut self, mut handle: impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let count = {
            let mut chunks = self.buffers.chunks_mut(self.buffer_bytes);
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)?
        };
        for (meta, buffer) in metas.iter().zip(self.buffers.chunks(self.buffer_bytes)).take(count) {
            let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            if self.local_addr.ip().is_unspecified()
                && let Some(local) = meta.dst_ip
                && self.heard_on.get(&from) != Some(&local)
            {
                // A flood from forged addresses makes us forget; who is alive is heard again with the next check.
                if self.heard_on.len() >= HEARD_ADDRESSES {
                    self.heard_on.clear();
                }
                self.heard_on.insert(from, local);
            }
            let received = buffer.get(..meta.len).unwrap_or_default();
            for datagram in received.chunks(meta.stride.max(1)) {
                handle(from, datagram);
            }
        }
        Ok(())
    }

    /// Sends one run. What the system does not take at once is lost, as it would be on the line.
    pub(super) fn send(&self, to: SocketAddr, run: Run<'_>) -> io::Result<()> {
        let max_segments = self.state.max_gso_segments();
        let src_ip = self.heard_on.get(&to).copied();
        for contents in run.contents.chunks(run.segment_size * max_segments) {
            let transmit = Transmit {
                destination: self.reachable(to),
                ecn: None,
                contents,
                segment_size: (contents.len() > run.segment_size).then_some(run.segment_size),
                src_ip,
            };
            self.state.try_send(UdpSockRef::from(&self.socket), &transmit)?;
        }
        Ok(())
    }

    /// An IPv4 address as a dual-stack socket wants it written.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match (self.local_addr, to.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(ip)) => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }
}

/// The largest datagram taken; Ethernet's is 1472.
const DATAGRAM_BYTES: usize = 2048;
/// Remote addresses remembered with the one they were heard on.
const HEARD_ADDRESSES: usize = 65_536;
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;

    use super::*;

    #[test]
    fn what_is_heard_on_an_address_is_answered_from_it() {
        let mut ours = MediaSocket::bind(SocketAddr::from(([0, 0, 0, 0], 0))).unwrap();
        let port = ours.local_addr().port();
        let client = StdSocket::bind("127.0.0.1:0").unwrap();
        // All of 127/8 is loopback; left to itself the system would answer from 127.0.0.1.
        client.send_to(b"check", ("127.0.0.2", port)).unwrap();
        let mut heard = None;
        while heard.is_none() {
            let _ = ours.receive(|from, datagram| heard = Some((from, datagram.to_vec())));
        }
        let (from, contents) = heard.unwrap();
        assert_eq!(from, client.local_addr().unwrap());
        ours.send(from, Run { contents: &contents, segment_size: contents.len() }).unwrap();
        let mut buffer = [0; 16];
        let (_, answered_from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(answered_from, SocketAddr::from(([127, 0, 0, 2], port)));
    }
}
