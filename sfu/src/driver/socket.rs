//! The media port: batched receive and send on one UDP socket.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::ops::AddAssign;

use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::heard::Heard;
use super::together::{Headers, Message, Way, send_together};
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

/// What became of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Sent {
    /// Datagrams that the system took.
    pub(super) datagrams: u64,
    /// In so many sends.
    pub(super) sends: u64,
    /// Datagrams that it did not take.
    pub(super) unsent: u64,
}

impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.datagrams += other.datagrams;
        self.sends += other.sends;
        self.unsent += other.unsent;
    }
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

    /// Sends runs, each to its destination. What the system does not take at once is lost, as it would be on the line.
    pub(super) fn send<'a>(
        &self,
        headers: &mut Headers,
        runs: impl IntoIterator<Item = (SocketAddr, Run<'a>)>,
    ) -> Sent {
        let max_segments = self.state.max_gso_segments();
        let messages = runs.into_iter().flat_map(|(to, run)| {
            let (to, source) = (self.reachable(to), self.heard.source(to));
            run.contents.chunks(run.segment_size * max_segments).map(move |contents| {
                let segment_size = u16::try_from(run.segment_size).ok();
                let segment_size = segment_size.filter(|&size| contents.len() > usize::from(size));
                Message { to, run: Run { contents, ..run }, way: Way { segment_size, source } }
            })
        });
        let mut sent = Sent::default();
        send_together(headers, &self.socket, messages, |message, left| {
            let datagrams = message.run.datagrams();
            if left || self.send_alone(message) {
                sent.sends += 1;
                sent.datagrams += datagrams;
            } else {
                sent.unsent += datagrams;
            }
        });
        sent
    }

    /// Sends what the system did not take with others. Whether it takes it alone, if need be without segments from now on.
    #[cold]
    fn send_alone(&self, message: &Message<'_>) -> bool {
        if message.to.port() == 0 {
            // Nobody can be there, and the system says of it what it says where it has no segments.
            return false;
        }
        let transmit = Transmit {
            destination: message.to,
            ecn: None,
            contents: message.run.contents,
            segment_size: message.way.segment_size.map(usize::from),
            src_ip: message.way.source,
        };
        let sent = self.state.try_send(UdpSockRef::from(&self.socket), &transmit);
        sent.inspect_err(|error| tracing::debug!(%error, "sending from the media port")).is_ok()
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
    use std::time::Duration;

    use super::*;

    const CHECK: &[u8] = &[0, 1, 0, 0];
    const MEDIA: &[u8] = &[128, 96, 0, 0];

    fn any(address: &str) -> MediaSocket {
        MediaSocket::bind(address.parse().unwrap(), 1).unwrap().remove(0)
    }

    fn send_run(ours: &MediaSocket, to: SocketAddr, contents: &[u8], segment_size: usize) -> Sent {
        ours.send(&mut Headers::default(), [(to, Run { contents, segment_size })])
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
                    send_run(ours, path.from, contents, contents.len());
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
        send_run(&ours, to, MEDIA, MEDIA.len());
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
        for (datagrams, sends) in [(1, 1), (at_once, 1), (at_once + 1, 2)] {
            let sent = send_run(
                &ours,
                client.local_addr().unwrap(),
                &vec![128; MEDIA.len() * datagrams - 1],
                MEDIA.len(),
            );
            assert_eq!(sent, Sent { datagrams: datagrams as u64, sends, unsent: 0 });
            let lengths: Vec<_> = (0..datagrams).map(|_| client.recv(&mut [0; 16]).unwrap()).collect();
            assert_eq!(lengths.iter().sum::<usize>(), MEDIA.len() * datagrams - 1);
        }
    }

    /// To whom, what, and the size of each datagram.
    type Parcel = (SocketAddr, Vec<u8>, usize);

    /// So many clients, and for each a picture of four datagrams and a sound.
    fn pictures_and_sounds(clients: usize) -> (Vec<StdSocket>, Vec<Parcel>) {
        let client = |_| {
            let client = StdSocket::bind("127.0.0.1:0").unwrap();
            // What never comes is not waited for.
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            client
        };
        let clients: Vec<_> = (0..clients).map(client).collect();
        let each = clients.iter().zip(1..).flat_map(|(client, number): (_, u8)| {
            let to = client.local_addr().unwrap();
            [(to, vec![number; 350], 100), (to, vec![number + 100; 20], 20)]
        });
        let runs = each.collect();
        (clients, runs)
    }

    fn send_all<'a>(ours: &MediaSocket, runs: impl IntoIterator<Item = &'a Parcel>) -> Sent {
        let runs = runs
            .into_iter()
            .map(|(to, contents, segment_size)| (*to, Run { contents, segment_size: *segment_size }));
        ours.send(&mut Headers::default(), runs)
    }

    fn received(client: &StdSocket, count: usize) -> Vec<Vec<u8>> {
        let take = || {
            let mut buffer = [0; 512];
            let length = client.recv(&mut buffer).unwrap();
            buffer[..length].to_vec()
        };
        (0..count).map(|_| take()).collect()
    }

    #[test]
    fn what_leaves_together_arrives_at_each_client_in_order() {
        let ours = any("127.0.0.1:0");
        let (clients, runs) = pictures_and_sounds(40);
        let picture = |number| [(number, 100), (number, 100), (number, 100), (number, 50)];
        let sound = |number| [(number + 100, 20)];
        let of = |expected: &[(u8, usize)]| -> Vec<_> {
            expected.iter().map(|&(byte, length)| vec![byte; length]).collect()
        };

        // Neighbours go another way.
        assert_eq!(send_all(&ours, &runs), Sent { datagrams: 40 * 5, sends: 80, unsent: 0 });
        for (client, number) in clients.iter().zip(1..) {
            assert_eq!(received(client, 5), of(&[&picture(number)[..], &sound(number)].concat()));
        }
        // Neighbours go the same, until they do not.
        let mut runs = runs;
        runs.sort_by_key(|(_, _, size)| *size);
        assert_eq!(send_all(&ours, &runs), Sent { datagrams: 40 * 5, sends: 80, unsent: 0 });
        for (client, number) in clients.iter().zip(1..) {
            assert_eq!(received(client, 5), of(&[&sound(number)[..], &picture(number)].concat()));
        }
    }

    #[test]
    fn what_the_system_refuses_is_counted_and_holds_nothing_else_up() {
        let ours = any("127.0.0.1:0");
        let (clients, mut runs) = pictures_and_sounds(4);
        let segments = ours.state.max_gso_segments();
        runs.sort_by_key(|(_, _, size)| *size);
        // Of four sounds the second; of four pictures the first and the last.
        for at in [1, 4, 7] {
            runs[at].0.set_port(0);
        }
        assert_eq!(send_all(&ours, &runs), Sent { datagrams: 3 + 2 * 4, sends: 5, unsent: 1 + 2 * 4 });
        let octets = [(1, 20), (4, 350), (5, 370), (1, 20)];
        for (client, (datagrams, octets)) in clients.iter().zip(octets) {
            assert_eq!(received(client, datagrams).concat().len(), octets);
        }
        assert_eq!(ours.state.max_gso_segments(), segments, "it is no reason to do without segments");
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
