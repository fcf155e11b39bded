//! A UDP relay in front of a media port, with an emulated [`Link`] each way for each client.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use crate::link::{Link, LinkConfig, LinkStats};

/// Passes datagrams between clients and one target. Each client has an upstream socket of its own, so that the
/// target can tell clients apart.
#[derive(Debug)]
pub struct Relay {
    poll: Poll,
    socket: UdpSocket,
    local: SocketAddr,
    target: SocketAddr,
    up: LinkConfig,
    down: LinkConfig,
    clients: Vec<Client>,
    refused: u64,
}

/// What a relay has done, both ways.
#[derive(Clone, Copy, Debug, Default)]
pub struct RelayStats {
    /// Clients that were seen.
    pub clients: usize,
    /// Datagrams of clients beyond the limit.
    pub refused: u64,
    /// From clients to the target.
    pub up: LinkStats,
    /// From the target to clients.
    pub down: LinkStats,
}

impl Relay {
    /// Binds `listen`. Each client's links get seeds of their own, drawn from those given.
    ///
    /// # Errors
    /// What the socket says.
    pub fn bind(
        listen: SocketAddr,
        target: SocketAddr,
        up: LinkConfig,
        down: LinkConfig,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut socket = UdpSocket::bind(listen)?;
        poll.registry().register(&mut socket, LISTEN, Interest::READABLE)?;
        let local = socket.local_addr()?;
        Ok(Self { poll, socket, local, target, up, down, clients: Vec::new(), refused: 0 })
    }

    /// Where clients send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Relays until `stop` is set, which is looked at ten times a second at least.
    ///
    /// # Errors
    /// What polling or receiving says; a datagram that cannot be sent is lost.
    pub fn run(mut self, stop: &AtomicBool) -> io::Result<RelayStats> {
        let mut events = Events::with_capacity(256);
        let mut buffer = vec![0; 65_535];
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let next = self.clients.iter().flat_map(|client| [&client.up, &client.down]);
            let next = next.filter_map(Link::poll_timeout).min();
            let wait = next.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now).min(LONGEST_WAIT));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                match event.token() {
                    LISTEN => self.receive_from_clients(&mut buffer)?,
                    Token(index) => self.receive_from_target(index, &mut buffer),
                }
            }
            self.deliver();
        }
        Ok(self.stats())
    }

    fn receive_from_clients(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let (len, from) = match self.socket.recv_from(buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            let known = self.clients.iter().position(|client| client.address == from);
            let index = match known {
                Some(index) => index,
                None if self.clients.len() < MAX_CLIENTS => self.add_client(from)?,
                None => {
                    self.refused += 1;
                    continue;
                }
            };
            if let Some(client) = self.clients.get_mut(index) {
                client
                    .up
                    .handle(Instant::now(), Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default()));
            }
        }
    }

    fn add_client(&mut self, address: SocketAddr) -> io::Result<usize> {
        let index = self.clients.len();
        let mut upstream = UdpSocket::bind(SocketAddr::new(self.local.ip(), 0))?;
        upstream.connect(self.target)?;
        self.poll.registry().register(&mut upstream, Token(index), Interest::READABLE)?;
        let seeded = |config: LinkConfig, way: u64| LinkConfig {
            seed: config.seed.wrapping_add(way).wrapping_add((index as u64).wrapping_mul(2)),
            ..config
        };
        let (up, down) = (Link::new(seeded(self.up, 0)), Link::new(seeded(self.down, 1)));
        self.clients.push(Client { address, upstream, up, down });
        Ok(index)
    }

    fn receive_from_target(&mut self, index: usize, buffer: &mut [u8]) {
        let Some(client) = self.clients.get_mut(index) else { return };
        loop {
            match client.upstream.recv(buffer) {
                Ok(len) => {
                    let packet = Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
                    client.down.handle(Instant::now(), packet);
                }
                // The target is gone for now: as lost as on a wire.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    }

    fn deliver(&mut self) {
        let now = Instant::now();
        for client in &mut self.clients {
            while let Some(packet) = client.up.poll(now) {
                let _lost_if_refused = client.upstream.send(&packet);
            }
            while let Some(packet) = client.down.poll(now) {
                let _lost_if_refused = self.socket.send_to(&packet, client.address);
            }
        }
    }

    fn stats(&self) -> RelayStats {
        let sum = |links: &mut dyn Iterator<Item = LinkStats>| {
            links.fold(LinkStats::default(), |sum, link| LinkStats {
                entered: sum.entered + link.entered,
                lost: sum.lost + link.lost,
                lost_in_bursts: sum.lost_in_bursts + link.lost_in_bursts,
                dropped: sum.dropped + link.dropped,
                duplicated: sum.duplicated + link.duplicated,
                reordered: sum.reordered + link.reordered,
                delivered: sum.delivered + link.delivered,
            })
        };
        RelayStats {
            clients: self.clients.len(),
            refused: self.refused,
            up: sum(&mut self.clients.iter().map(|client| client.up.stats())),
            down: sum(&mut self.clients.iter().map(|client| client.down.stats())),
        }
    }
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    upstream: UdpSocket,
    up: Link<Bytes>,
    down: Link<Bytes>,
}

const LISTEN: Token = Token(usize::MAX - 1);
const MAX_CLIENTS: usize = 1024;
const LONGEST_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn clients_keep_their_own_way_to_the_target_and_back() {
        let target = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = LinkConfig { delay: Duration::from_millis(2), ..LinkConfig::default() };
        let relay = Relay::bind(any, target.local_addr().expect("bound"), config, config).expect("a port");
        let address = relay.local_addr();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || relay.run(&stopped));

        let clients: Vec<_> =
            (0..2).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").expect("a port")).collect();
        let mut buffer = [0; 16];
        let mut seen = Vec::new();
        for (index, client) in clients.iter().enumerate() {
            client.send_to(&[index as u8], address).expect("sent");
            let (len, from) = target.recv_from(&mut buffer).expect("relayed");
            assert_eq!(buffer[..len], [index as u8]);
            assert!(!seen.contains(&from), "every client has its own upstream port");
            seen.push(from);
        }
        for (index, from) in seen.iter().enumerate() {
            target.send_to(&[index as u8 + 100], from).expect("sent");
        }
        for (index, client) in clients.iter().enumerate() {
            let (len, from) = client.recv_from(&mut buffer).expect("relayed back");
            assert_eq!((&buffer[..len], from), (&[index as u8 + 100][..], address));
        }
        stop.store(true, Ordering::Relaxed);
        let stats = thread.join().expect("no panic").expect("no error");
        assert_eq!((stats.clients, stats.up.delivered, stats.down.delivered), (2, 2, 2));
    }
}
