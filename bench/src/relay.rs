//! A UDP relay in front of a media port, with an emulated [`Link`] each way for each client.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use serde::Serialize;

use crate::link::change::{Change, Setting};
use crate::link::window::{Window, WindowSummary};
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
    shared_down: Option<Link<Datagram>>,
    pauses: (Option<Instant>, Option<Instant>),
    refused: u64,
    changes: mpsc::Receiver<Change>,
    control: Control,
}

/// Changes a relay while it runs.
#[derive(Clone, Debug)]
pub struct Control {
    changes: mpsc::Sender<Change>,
    waker: Arc<Waker>,
}

impl Control {
    /// Makes a change at once; it is lost when the relay has stopped.
    pub fn change(&self, change: Change) {
        let _relay_is_gone = self.changes.send(change);
        let _relay_is_gone = self.waker.wake();
    }
}

/// What a relay did in a stretch of time, all clients together.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RelayReport {
    /// When it ended, in milliseconds of Unix time.
    pub at_ms: u64,
    /// Clients seen so far.
    pub clients: usize,
    /// From clients to the target.
    pub up: WindowSummary,
    /// From the target to clients.
    pub down: WindowSummary,
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
        let (sender, changes) = mpsc::channel();
        let control = Control { changes: sender, waker: Arc::new(Waker::new(poll.registry(), WAKE)?) };
        Ok(Self {
            poll,
            socket,
            local,
            target,
            up,
            down,
            clients: Vec::new(),
            shared_down: None,
            pauses: (None, None),
            refused: 0,
            changes,
            control,
        })
    }

    /// Gives all clients one link down, which they share.
    #[must_use]
    pub fn sharing_down(mut self) -> Self {
        self.shared_down = Some(Link::new(self.down));
        self
    }

    /// Where clients send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// What changes this relay while it runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Relays until `stop` is set, which is looked at ten times a second at least.
    ///
    /// # Errors
    /// What polling or receiving says; a datagram that cannot be sent is lost.
    pub fn run(self, stop: &AtomicBool) -> io::Result<RelayStats> {
        self.run_reporting(stop, Duration::MAX, &mut |_| {})
    }

    /// As [`Relay::run`], and reports each time `every` has passed.
    ///
    /// # Errors
    /// As [`Relay::run`].
    pub fn run_reporting(
        mut self,
        stop: &AtomicBool,
        every: Duration,
        report: &mut dyn FnMut(RelayReport),
    ) -> io::Result<RelayStats> {
        let mut events = Events::with_capacity(256);
        let mut buffer = vec![0; 65_535];
        let mut report_at = Instant::now().checked_add(every);
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            let next = self.links().filter_map(Link::poll_timeout).chain(report_at).min();
            let wait = next.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(now).min(LONGEST_WAIT));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            while let Ok(change) = self.changes.try_recv() {
                self.apply(change)?;
            }
            for event in &events {
                match event.token() {
                    WAKE => {}
                    LISTEN => self.receive_from_clients(&mut buffer)?,
                    Token(index) => self.receive_from_target(index, &mut buffer),
                }
            }
            self.deliver();
            if report_at.is_some_and(|at| at <= Instant::now()) {
                report(self.take_report());
                report_at = report_at.and_then(|at| at.checked_add(every));
            }
        }
        Ok(self.stats())
    }

    fn apply(&mut self, change: Change) -> io::Result<()> {
        let set = |config: &mut LinkConfig, settings: &[Setting]| {
            settings.iter().for_each(|setting| setting.apply(config));
        };
        match change {
            Change::Impair(way, settings) => {
                if way.up() {
                    set(&mut self.up, &settings);
                }
                if way.down() {
                    set(&mut self.down, &settings);
                }
                let (up, down) = (self.up, self.down);
                for client in &mut self.clients {
                    client.up.reconfigure(up);
                    client.down.reconfigure(down);
                }
                if let Some(shared) = &mut self.shared_down {
                    shared.reconfigure(down);
                }
            }
            Change::Pause(way, time) => {
                let until = Instant::now() + time;
                if way.up() {
                    self.pauses.0 = Some(until);
                    self.clients.iter_mut().for_each(|client| client.up.pause(until));
                }
                if way.down() {
                    self.pauses.1 = Some(until);
                    self.downs_mut().for_each(|down| down.pause(until));
                }
            }
            Change::Rebind => {
                for index in 0..self.clients.len() {
                    let upstream = self.open_upstream(index)?;
                    if let Some(client) = self.clients.get_mut(index) {
                        self.poll.registry().deregister(&mut client.upstream)?;
                        client.upstream = upstream;
                    }
                }
            }
        }
        Ok(())
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
                client.up.handle(Instant::now(), Datagram::copied(index, buffer.get(..len)));
            }
        }
    }

    fn add_client(&mut self, address: SocketAddr) -> io::Result<usize> {
        let index = self.clients.len();
        let upstream = self.open_upstream(index)?;
        let linked = |config: LinkConfig, way: u64, paused: Option<Instant>| {
            let seed = config.seed.wrapping_add(way).wrapping_add((index as u64).wrapping_mul(2));
            let mut link = Link::new(LinkConfig { seed, ..config });
            if let Some(until) = paused {
                link.pause(until);
            }
            link
        };
        let (up, down) = (linked(self.up, 0, self.pauses.0), linked(self.down, 1, self.pauses.1));
        self.clients.push(Client { address, upstream, up, down });
        Ok(index)
    }

    fn open_upstream(&self, index: usize) -> io::Result<UdpSocket> {
        let mut upstream = UdpSocket::bind(SocketAddr::new(self.local.ip(), 0))?;
        upstream.connect(self.target)?;
        self.poll.registry().register(&mut upstream, Token(index), Interest::READABLE)?;
        Ok(upstream)
    }

    fn receive_from_target(&mut self, index: usize, buffer: &mut [u8]) {
        let Some(client) = self.clients.get_mut(index) else { return };
        loop {
            match client.upstream.recv(buffer) {
                Ok(len) => {
                    let down = self.shared_down.as_mut().unwrap_or(&mut client.down);
                    down.handle(Instant::now(), Datagram::copied(index, buffer.get(..len)));
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
            while let Some(datagram) = client.up.poll(now) {
                let _lost_if_refused = client.upstream.send(&datagram.payload);
            }
            while let Some(datagram) = client.down.poll(now) {
                let _lost_if_refused = self.socket.send_to(&datagram.payload, client.address);
            }
        }
        while let Some(datagram) = self.shared_down.as_mut().and_then(|shared| shared.poll(now)) {
            if let Some(client) = self.clients.get(datagram.client) {
                let _lost_if_refused = self.socket.send_to(&datagram.payload, client.address);
            }
        }
    }

    fn links(&self) -> impl Iterator<Item = &Link<Datagram>> {
        self.clients.iter().flat_map(|client| [&client.up, &client.down]).chain(&self.shared_down)
    }

    fn downs_mut(&mut self) -> impl Iterator<Item = &mut Link<Datagram>> {
        self.clients.iter_mut().map(|client| &mut client.down).chain(&mut self.shared_down)
    }

    fn take_report(&mut self) -> RelayReport {
        let up = self.clients.iter_mut().map(|client| client.up.take_window());
        let up = up.fold(Window::default(), Window::and);
        let down = self.downs_mut().map(Link::take_window).fold(Window::default(), Window::and);
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        RelayReport {
            at_ms: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            clients: self.clients.len(),
            up: up.summary(),
            down: down.summary(),
        }
    }

    fn stats(&self) -> RelayStats {
        let sum = |links: &mut dyn Iterator<Item = LinkStats>| {
            links.fold(LinkStats::default(), |sum, link| LinkStats {
                entered: sum.entered + link.entered,
                lost: sum.lost + link.lost,
                lost_in_bursts: sum.lost_in_bursts + link.lost_in_bursts,
                lost_in_pauses: sum.lost_in_pauses + link.lost_in_pauses,
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
            down: sum(&mut self
                .clients
                .iter()
                .map(|client| &client.down)
                .chain(&self.shared_down)
                .map(Link::stats)),
        }
    }
}

#[derive(Debug)]
struct Client {
    address: SocketAddr,
    upstream: UdpSocket,
    up: Link<Datagram>,
    down: Link<Datagram>,
}

/// On its way from or to a client.
#[derive(Clone, Debug)]
struct Datagram {
    client: usize,
    payload: Bytes,
}

impl Datagram {
    fn copied(client: usize, payload: Option<&[u8]>) -> Self {
        Self { client, payload: Bytes::copy_from_slice(payload.unwrap_or_default()) }
    }
}

impl AsRef<[u8]> for Datagram {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

const LISTEN: Token = Token(usize::MAX - 1);
const WAKE: Token = Token(usize::MAX - 2);
const MAX_CLIENTS: usize = 1024;
const LONGEST_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
