//! The media port: batched receive and send on one UDP socket.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::heard::Heard;
use crate::shard::Run;

/// A bound UDP socket with GRO and GSO where the system has them.
pub(super) struct MediaSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    local_addr: SocketAddr,
    buffers: Vec<u8>,
    buffer_bytes: usize,
    metas: [RecvMeta; BATCH_SIZE],
    heard: Heard,
}

/// Where something came from, and where to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Path {
    /// From whom.
    pub(super) from: SocketAddr,
    /// To which of our addresses, when they are several and the system says.
    pub(super) local: Option<IpAddr>,
}

impl MediaSocket {
    /// Binds so many sockets to one port. The system spreads senders over them, always the same to each.
    pub(super) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<Self>> {
        // Without SO_REUSEPORT, so that a port that somebody else has is an error, whether they would share it or not.
        let first = open(address)?;
        first.bind(&address.into())?;
        let first: std::net::UdpSocket = first.into();
        let address = first.local_addr()?;
        let mut sockets = vec![first];
        for _ in 1..count {
            socket2::SockRef::from(&sockets[0]).set_reuse_port(true)?;
            let further = open(address)?;
            further.set_reuse_port(true)?;
            further.bind(&address.into())?;
            sockets.push(further.into());
        }
        sockets.into_iter().map(Self::new).collect()
    }

    fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
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
            heard: Heard::default(),
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

    /// What came at this place of the batch: one datagram, or several of one size but for the last, and that size.
    pub(super) fn look(&self, at: usize) -> Option<(Path, &[u8], usize)> {
        let meta = self.metas.get(at)?;
        // A link-local address is nothing without its scope, so only what is IPv4 is written anew.
        let from = match meta.addr.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::new(ip.into(), meta.addr.port()),
            IpAddr::V6(_) => meta.addr,
        };
        let local = meta.dst_ip.filter(|_| self.local_addr.ip().is_unspecified());
        let start = at * self.buffer_bytes;
        let contents = self.buffers.get(start..start + meta.len)?;
        Some((Path { from, local }, contents, meta.stride.max(1)))
    }

    /// From which of our addresses who is answered; also what another socket of the port has received counts.
    pub(super) fn heard(&mut self) -> &mut Heard {
        &mut self.heard
    }

    /// Sends one run; in how many system calls. What the system does not take at once is lost, as it would be on the line.
    pub(super) fn send(&self, to: SocketAddr, run: Run<'_>) -> io::Result<u64> {
        let max_segments = self.state.max_gso_segments();
        let mut calls = 0;
        let src_ip = self.heard.source(to);
        for contents in run.contents.chunks(run.segment_size * max_segments) {
            let transmit = Transmit {
                destination: self.reachable(to),
                ecn: None,
                contents,
                segment_size: (contents.len() > run.segment_size).then_some(run.segment_size),
                src_ip,
            };
            self.state.try_send(UdpSockRef::from(&self.socket), &transmit)?;
            calls += 1;
        }
        Ok(calls)
    }

    /// An IPv4 address as a dual-stack socket wants it written.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match (self.local_addr, to.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(ip)) => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        }
    }
}

fn open(address: SocketAddr) -> io::Result<socket2::Socket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // What the system grants is what we get: these are wishes.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The largest datagram taken; Ethernet's is 1472.
const DATAGRAM_BYTES: usize = 2048;
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as StdSocket;

    use super::*;

    const CHECK: &[u8] = &[0, 1, 0, 0];
    const MEDIA: &[u8] = &[128, 96, 0, 0];

    fn any(address: &str) -> MediaSocket {
        MediaSocket::bind(address.parse().unwrap(), 1).unwrap().remove(0)
    }

    /// Takes the next so many datagrams and answers each with itself; whether each was heard elsewhere.
    fn echo(ours: &mut MediaSocket, count: usize) -> Vec<bool> {
        let mut elsewhere = Vec::new();
        while elsewhere.len() < count {
            for at in 0..ours.receive().unwrap_or(0) {
                let (path, contents, size) = ours.look(at).unwrap();
                let contents = contents.to_vec();
                let heard_elsewhere = ours.heard().elsewhere(path);
                ours.heard().note(path, contents[0]);
                for contents in contents.chunks(size) {
                    elsewhere.push(heard_elsewhere);
                    ours.send(path.from, Run { contents, segment_size: contents.len() }).unwrap();
                }
                ours.heard().settle();
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
    fn a_run_leaves_in_as_few_calls_as_the_system_has() {
        let mut ours = any("127.0.0.1:0");
        let client = StdSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(CHECK, ours.local_addr()).unwrap();
        echo(&mut ours, 1);
        answered_from(&client);
        let at_once = ours.state.max_gso_segments();
        for (datagrams, calls) in [(1, 1), (at_once, 1), (at_once + 1, 2)] {
            let run = Run { contents: &vec![128; MEDIA.len() * datagrams - 1], segment_size: MEDIA.len() };
            assert_eq!(
                (run.datagrams(), ours.send(client.local_addr().unwrap(), run).unwrap()),
                (datagrams as u64, calls)
            );
            let lengths: Vec<_> = (0..datagrams).map(|_| client.recv(&mut [0; 16]).unwrap()).collect();
            assert_eq!(lengths.iter().sum::<usize>(), MEDIA.len() * datagrams - 1);
        }
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

    #[test]
    fn several_share_a_port_that_nobody_else_can_have() {
        let mut ours = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = ours[0].local_addr();
        assert_eq!(ours[1].local_addr(), address);
        for count in [1, 2] {
            let refused = MediaSocket::bind(address, count).err().map(|error| error.kind());
            assert_eq!(refused, Some(io::ErrorKind::AddrInUse));
        }
        // Each sender is always heard by the same one of them, and with enough senders each of them hears some.
        let mut heard = [0, 0];
        for _ in 0..64 {
            let client = StdSocket::bind("127.0.0.1:0").unwrap();
            client.send_to(MEDIA, address).unwrap();
            client.send_to(MEDIA, address).unwrap();
            let mut by = [0, 0];
            while by.iter().sum::<usize>() < 2 {
                for (ours, by) in ours.iter_mut().zip(&mut by) {
                    let count = ours.receive().unwrap_or(0);
                    *by += (0..count)
                        .map(|at| ours.look(at).unwrap().1.chunks(MEDIA.len()).count())
                        .sum::<usize>();
                }
            }
            assert!(by == [2, 0] || by == [0, 2], "{by:?}");
            heard = [heard[0] + by[0], heard[1] + by[1]];
        }
        assert!(heard[0] > 0 && heard[1] > 0, "{heard:?}");
    }
}
