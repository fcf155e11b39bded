//! Who is sent to, each with a socket and keys of its own, and the socket that sends to them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use anyhow::{Context as _, Result};
use quinn_udp::{Transmit, UdpSockRef, UdpSocketState};
use rtc_crypto::{AeadAlgorithm, AeadCipher};
use socket2::SockRef;

use super::burst::{Burst, HEADER, TAG};

/// Everybody who is sent to.
pub(super) struct Viewers {
    socket: UdpSocket,
    state: UdpSocketState,
    viewers: Vec<Viewer>,
    /// As long as the longest burst so far.
    buffer: Vec<u8>,
    /// Packets; each has a nonce of its own.
    sealed: u64,
}

struct Viewer {
    address: SocketAddr,
    cipher: Box<dyn AeadCipher>,
}

/// So many sockets on this machine, each with so many octets of room, or the least that the system gives. A picture arrives there as one, as at
/// the bench's clients.
pub(super) fn sockets(count: usize, room: usize) -> io::Result<Vec<UdpSocket>> {
    let open = |_| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        SockRef::from(&socket).set_recv_buffer_size(room)?;
        UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(socket)
    };
    (0..count).map(open).collect()
}

impl Viewers {
    /// One at each of these sockets.
    pub(super) fn at(sockets: &[UdpSocket]) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let provider = rtc_crypto::default_provider()?;
        let viewer = |at: &UdpSocket| {
            let address = at.local_addr()?;
            let key = u128::from(address.port()).to_be_bytes();
            anyhow::Ok(Viewer {
                address,
                cipher: provider.crypto().new_aead(AeadAlgorithm::Aes128Gcm, &key)?,
            })
        };
        let viewers = sockets.iter().map(viewer).collect::<Result<_>>()?;
        Ok(Self { socket, state, viewers, buffer: Vec::new(), sealed: 0 })
    }

    pub(super) fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// How many sends a burst is.
    pub(super) fn sends(&self, burst: Burst) -> usize {
        burst.packets.div_ceil(self.max_segments())
    }

    /// Sends that burst to each; how many packets that were.
    pub(super) fn send(&mut self, burst: Burst) -> Result<usize> {
        let at_once = burst.octets * self.max_segments();
        let mut sent = 0;
        for viewer in &self.viewers {
            for contents in packets(&mut self.buffer, burst).chunks(at_once) {
                let segment_size = (contents.len() > burst.octets).then_some(burst.octets);
                let transmit =
                    Transmit { destination: viewer.address, ecn: None, contents, segment_size, src_ip: None };
                self.state
                    .try_send(UdpSockRef::from(&self.socket), &transmit)
                    .context("a send on loopback")?;
                sent += contents.len() / burst.octets;
            }
        }
        Ok(sent)
    }

    /// Seals that burst for each; how many packets that were.
    pub(super) fn seal(&mut self, burst: Burst) -> Result<usize> {
        let mut sealed = 0;
        for viewer in &mut self.viewers {
            for packet in packets(&mut self.buffer, burst).chunks_exact_mut(burst.octets) {
                sealed += 1;
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&(self.sealed + sealed).to_be_bytes());
                let (header, rest) = packet.split_at_mut(HEADER);
                let (payload, tag) = rest.split_at_mut(rest.len() - TAG);
                viewer.cipher.seal_in_place(&nonce, header, payload, tag)?;
            }
        }
        self.sealed += sealed;
        Ok(sealed as usize)
    }
}

fn packets(buffer: &mut Vec<u8>, burst: Burst) -> &mut [u8] {
    let octets = burst.packets * burst.octets;
    if buffer.len() < octets {
        buffer.resize(octets, 0x55);
    }
    &mut buffer[..octets]
}
