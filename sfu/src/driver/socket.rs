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
    metas: [RecvMeta; BATCH_SIZE],
    /// Which of our addresses each remote one is answered from: the one it was last heard on with anything but a check. Left to itself the
    /// system would choose by route. Empty when bound to one address.
    heard_on: HashMap<SocketAddr, IpAddr>,
    /// Who is being heard on another address than that. A check is answered from where it came, for ICE takes the answer from nowhere
    /// else (RFC 8445 section 7.2.5.2.1); clients try all of our addresses, and use one.
    elsewhere: Option<(SocketAddr, IpAddr)>,
}

/// One datagram as it came, or several of one length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// From whom.
    pub(super) from: SocketAddr,
    /// Whether what is to be sent to them just now leaves from elsewhere: it has to be sent before this is handled, and what this brings
    /// about, after it.
    pub(super) elsewhere: bool,
    /// Where it came to, when that is to be remembered.
    news: Option<IpAddr>,
    len: usize,
    stride: usize,
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
            metas: [RecvMeta::default(); BATCH_SIZE],
            heard_on: HashMap::new(),
            elsewhere: None,
        })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub(super) fn source(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// Receives one batch; how many there are to [`look`](Self::look) at. `WouldBlock` when there is nothing.
    pub(super) fn receive(&mut self) -> io::Result<usize> {
        let mut chunks = self.buffers.chunks_mut(self.buffer_bytes);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut self.metas)
    }

    /// What came at this place of the batch.
    pub(super) fn look(&self, at: usize) -> Option<Received> {
        let meta = self.metas.get(at)?;
        // A link-local address is nothing without its scope, so only what is IPv4 is written anew.
        let from = match meta.addr.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::new(ip.into(), meta.addr.port()),
            IpAddr::V6(_) => meta.addr,
        };
        let local = meta.dst_ip.filter(|_| self.local_addr.ip().is_unspecified());
        let known = local.and_then(|_| self.heard_on.get(&from).copied());
        let news = local.filter(|local| known != Some(*local));
        let elsewhere = news.is_some() && known.is_some();
        Some(Received { from, elsewhere, news, len: meta.len, stride: meta.stride.max(1) })
    }

    /// Hands its datagrams to `handle`. What is sent to where they came from leaves from the address they came to, until
    /// [`settle`](Self::settle).
    pub(super) fn hear(&mut self, at: usize, received: Received, mut handle: impl FnMut(SocketAddr, &[u8])) {
        let start = at * self.buffer_bytes;
        let contents = self.buffers.get(start..start + received.len).unwrap_or_default();
        if let Some(local) = received.news {
            if received.elsewhere && contents.first().is_some_and(|first| *first < 4) {
                self.elsewhere = Some((received.from, local));
            } else {
                // A flood from forged addresses makes us forget; who is alive is heard again with the next check.
                if self.heard_on.len() >= HEARD_ADDRESSES {
                    self.heard_on.clear();
                }
                self.heard_on.insert(received.from, local);
            }
        }
        for datagram in contents.chunks(received.stride) {
            handle(received.from, datagram);
        }
    }

    /// What was brought about has been sent.
    pub(super) fn settle(&mut self) {
        self.elsewhere = None;
    }

    /// Sends one run. What the system does not take at once is lost, as it would be on the line.
    pub(super) fn send(&self, to: SocketAddr, run: Run<'_>) -> io::Result<()> {
        let max_segments = self.state.max_gso_segments();
        let elsewhere = self.elsewhere.filter(|(from, _)| *from == to).map(|(_, local)| local);
        let src_ip = elsewhere.or_else(|| self.heard_on.get(&to).copied());
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

    const CHECK: &[u8] = &[0, 1, 0, 0];
    const MEDIA: &[u8] = &[128, 96, 0, 0];

    fn any(address: &str) -> MediaSocket {
        MediaSocket::bind(address.parse().unwrap()).unwrap()
    }

    /// Takes the next so many datagrams and answers each with itself; whether each was heard elsewhere.
    fn echo(ours: &mut MediaSocket, count: usize) -> Vec<bool> {
        let mut elsewhere = Vec::new();
        while elsewhere.len() < count {
            for at in 0..ours.receive().unwrap_or(0) {
                let received = ours.look(at).unwrap();
                let mut answers = Vec::new();
                ours.hear(at, received, |from, datagram| answers.push((from, datagram.to_vec())));
                for (to, contents) in answers {
                    elsewhere.push(received.elsewhere);
                    ours.send(to, Run { contents: &contents, segment_size: contents.len() }).unwrap();
                }
                ours.settle();
            }
        }
        elsewhere
    }

    fn answered_from(client: &StdSocket) -> String {
        let (_, from) = client.recv_from(&mut [0; 16]).unwrap();
        from.ip().to_string()
    }

    #[test]
    fn what_is_heard_on_an_address_is_answered_from_it() {
        let mut ours = any("0.0.0.0:0");
        let port = ours.local_addr().port();
        // All of 127/8 is loopback; left to itself the system would answer from 127.0.0.1, or from the client's own address.
        for client in ["127.0.0.1:0", "127.0.0.9:0"] {
            for address in ["127.0.0.1", "127.0.0.2"] {
                let client = StdSocket::bind(client).unwrap();
                client.send_to(CHECK, (address, port)).unwrap();
                echo(&mut ours, 1);
                assert_eq!(answered_from(&client), address);
            }
        }
    }

    #[test]
    fn checks_to_several_addresses_are_answered_from_each_and_media_from_the_one_in_use() {
        let mut ours = any("0.0.0.0:0");
        let port = ours.local_addr().port();
        let client = StdSocket::bind("127.0.0.1:0").unwrap();
        let send = |contents: &[u8], to: &str| client.send_to(contents, (to, port)).unwrap();
        send(CHECK, "127.0.0.2");
        send(CHECK, "127.0.0.3");
        send(CHECK, "127.0.0.2");
        assert_eq!(echo(&mut ours, 3), [false, true, false]);
        assert_eq!([(); 3].map(|()| answered_from(&client)), ["127.0.0.2", "127.0.0.3", "127.0.0.2"]);

        send(MEDIA, "127.0.0.3");
        send(CHECK, "127.0.0.2");
        echo(&mut ours, 2);
        assert_eq!([(); 2].map(|()| answered_from(&client)), ["127.0.0.3", "127.0.0.2"]);
        let to = client.local_addr().unwrap();
        ours.send(to, Run { contents: MEDIA, segment_size: MEDIA.len() }).unwrap();
        assert_eq!(answered_from(&client), "127.0.0.3");
    }

    #[test]
    fn one_port_serves_both_families() {
        let mut ours = any("[::]:0");
        let port = ours.local_addr().port();
        for (client, address) in [("[::1]:0", "::1"), ("127.0.0.1:0", "127.0.0.2")] {
            let client = StdSocket::bind(client).unwrap();
            client.send_to(CHECK, (address, port)).unwrap();
            echo(&mut ours, 1);
            assert_eq!(answered_from(&client), address);
        }
    }
}
