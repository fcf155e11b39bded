//! A participant that got in honestly, with its hands on every layer: raw datagrams, sealed RTP and RTCP, raw SCTP packets.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rtc::crypto::{HashAlgorithm, default_provider};
use rtc::dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType};
use rtc::dtls::crypto::Certificate;
use rtc::dtls::endpoint::{Endpoint, EndpointEvent};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::shared::TransportProtocol;
use rtc::srtp::context::Context as Srtp;
use rtc::srtp::protection_profile::ProtectionProfile;

use super::checks::{self, Credentials};
use super::generator::Volley;
use super::offers::{Identity, OfferText};
use crate::sdp::{CandidateRule, MediaSection, sections};

/// What came in on an insider's socket since it was last asked.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// Everything, as it came.
    pub datagrams: Vec<Vec<u8>>,
    /// What was in the DTLS records: SCTP packets.
    pub data: Vec<Bytes>,
}

/// An attacker with an answer to its offer.
pub struct Insider {
    socket: UdpSocket,
    server: SocketAddr,
    credentials: Credentials,
    sections: Vec<MediaSection>,
    endpoint: Endpoint,
    sealer: Option<Srtp>,
    transaction: u64,
    checked: Option<Instant>,
    /// Bytes of RTP that came in, by SSRC, and the last sequence number.
    streams: BTreeMap<u32, (u64, u16)>,
    rng: ChaCha8Rng,
}

/// An attacker that has not offered yet.
pub struct Candidate {
    socket: UdpSocket,
    identity: Identity,
    certificate: Certificate,
    seed: u64,
}

impl std::fmt::Debug for Insider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Insider").field("server", &self.server).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Candidate {
    /// With a socket at `local` and a certificate of its own.
    ///
    /// # Errors
    /// What the socket or the crypto provider says.
    pub fn new(local: IpAddr, seed: u64) -> Result<Self> {
        let socket = UdpSocket::bind((local, 0)).context("an attacker's socket")?;
        socket.set_nonblocking(true)?;
        let provider = default_provider().context("no crypto provider")?;
        let certificate = Certificate::generate_self_signed(vec!["attacker".to_owned()], provider.crypto())?;
        let der = certificate.certificate.first().map(AsRef::as_ref).unwrap_or_default();
        let digest = provider.crypto().hash(HashAlgorithm::Sha256, der)?;
        let fingerprint = digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        let identity = Identity {
            ufrag: format!("a{:07x}", seed & 0xfff_ffff),
            password: format!("{seed:024x}"),
            fingerprint,
        };
        Ok(Self { socket, identity, certificate, seed })
    }

    /// An offer without m-lines of this attacker.
    pub fn offer(&self) -> OfferText {
        OfferText::new(self.identity.clone())
    }

    /// Takes the server's answer.
    ///
    /// # Errors
    /// An answer without credentials or without a candidate that `rule` lets through.
    pub fn accept(self, answer: &str, rule: &CandidateRule) -> Result<Insider> {
        let value = |name: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            line.map(str::to_owned).with_context(|| format!("the answer has no {name}"))
        };
        let credentials = Credentials {
            username: format!("{}:{}", value("a=ice-ufrag:")?, self.identity.ufrag),
            password: value("a=ice-pwd:")?,
        };
        let (_, addresses) = rule.apply(answer);
        let server = *addresses.first().context("the answer has no candidate")?;
        let configuration = ConfigBuilder::default()
            .with_crypto_provider(default_provider().context("no crypto provider")?)
            .with_certificates(vec![self.certificate])
            .with_srtp_protection_profiles(vec![SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // An attacker does not mind whom it attacks.
            .with_insecure_skip_verify(true)
            .with_extended_master_secret(ExtendedMasterSecretType::Require)
            .with_server_name("simmer".to_owned())
            .build(true, None)?;
        let mut endpoint = Endpoint::new(LOCAL, TransportProtocol::UDP, None);
        endpoint.connect(Instant::now(), REMOTE, Arc::new(configuration), None)?;
        Ok(Insider {
            socket: self.socket,
            server,
            credentials,
            sections: sections(answer),
            endpoint,
            sealer: None,
            transaction: 0,
            checked: None,
            streams: BTreeMap::new(),
            rng: ChaCha8Rng::seed_from_u64(self.seed),
        })
    }
}

impl Insider {
    /// Sends a check and waits for its reply, whose length it returns with the check's. Blocks for a second at most.
    ///
    /// # Errors
    /// No reply.
    pub fn bind(&mut self) -> Result<(usize, usize)> {
        for _ in 0..5 {
            let check = self.check()?;
            let deadline = Instant::now() + Duration::from_millis(200);
            while Instant::now() < deadline {
                let arrivals = self.receive();
                let reply = arrivals.datagrams.iter().find(|datagram| datagram.first() == Some(&1));
                if let Some(reply) = reply {
                    return Ok((check, reply.len()));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        bail!("no reply to a check of {}", self.credentials.username)
    }

    /// Goes through the whole handshake. Blocks for five seconds at most.
    ///
    /// # Errors
    /// The server does not let it in.
    pub fn connect(&mut self) -> Result<()> {
        self.bind()?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.sealer.is_none() {
            ensure!(Instant::now() < deadline, "the handshake did not end");
            self.flush();
            self.receive();
            if self.endpoint.poll_timeout(&REMOTE).is_some_and(|at| at <= Instant::now()) {
                self.endpoint.handle_timeout(REMOTE, Instant::now())?;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Whom its checks are addressed to.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The sections of the server's answer.
    pub fn sections(&self) -> &[MediaSection] {
        &self.sections
    }

    /// The server's media port.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Chance of its own.
    pub fn rng(&mut self) -> &mut ChaCha8Rng {
        &mut self.rng
    }

    /// Sends a datagram as it is; returns its length.
    pub fn send(&self, datagram: &[u8]) -> usize {
        // What a full buffer does not take is lost, as it might be on its way.
        let _lost = self.socket.send_to(datagram, self.server);
        datagram.len()
    }

    /// A plain RTP packet, sealed.
    ///
    /// # Errors
    /// Not connected, or no RTP packet.
    pub fn seal_rtp(&mut self, packet: &[u8]) -> Result<BytesMut> {
        Ok(self.sealer.as_mut().context("not connected")?.encrypt_rtp(packet)?)
    }

    /// A plain RTCP packet, sealed.
    ///
    /// # Errors
    /// Not connected, or no RTCP packet.
    pub fn seal_rtcp(&mut self, packet: &[u8]) -> Result<BytesMut> {
        Ok(self.sealer.as_mut().context("not connected")?.encrypt_rtcp(packet)?)
    }

    /// Sends an SCTP packet in a DTLS record; returns its length.
    ///
    /// # Errors
    /// Not connected.
    pub fn send_sctp(&mut self, packet: &[u8]) -> Result<usize> {
        self.endpoint.write(Instant::now(), REMOTE, packet)?;
        self.flush();
        Ok(packet.len())
    }

    /// Sends a check when the last one is a second old, so that consent stays.
    ///
    /// # Errors
    /// No HMAC-SHA1.
    pub fn keep_consent(&mut self) -> Result<()> {
        if self.checked.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            self.check()?;
        }
        Ok(())
    }

    /// Takes what has come in, and lets the handshake see it.
    pub fn receive(&mut self) -> Arrivals {
        let mut arrivals = Arrivals::default();
        let mut buffer = [0; 2048];
        loop {
            let len = match self.socket.recv_from(&mut buffer) {
                Ok((len, _)) => len,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(_) => break,
            };
            let datagram = buffer.get(..len).unwrap_or_default();
            arrivals.datagrams.push(datagram.to_vec());
            if let Some((ssrc, sequence)) = stream_of(datagram) {
                let (bytes, newest) = self.streams.entry(ssrc).or_default();
                *bytes += len as u64;
                *newest = sequence;
            }
            if datagram.first().is_some_and(|first| (20..=63).contains(first)) {
                self.read_dtls(datagram, &mut arrivals.data);
            }
        }
        arrivals
    }

    /// Bytes of RTP that ever came in with an SSRC, and its last sequence number.
    pub fn stream(&self, ssrc: u32) -> (u64, u16) {
        self.streams.get(&ssrc).copied().unwrap_or_default()
    }

    /// As [`Insider::receive`], but only counts.
    pub fn count_arrivals(&mut self, volley: &mut Volley) {
        self.receive().datagrams.iter().for_each(|datagram| volley.count_reply(datagram.len()));
    }

    fn check(&mut self) -> Result<usize> {
        self.transaction += 1;
        self.checked = Some(Instant::now());
        let mut transaction = [0; 12];
        transaction[4..].copy_from_slice(&self.transaction.to_be_bytes());
        let nominates = self.rng.random::<bool>() || self.transaction == 1;
        Ok(self.send(&checks::authentic(&self.credentials, transaction, nominates)?))
    }

    fn flush(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.send(&transmit.message);
        }
    }

    fn read_dtls(&mut self, datagram: &[u8], data: &mut Vec<Bytes>) {
        let read = self.endpoint.read(Instant::now(), REMOTE, None, BytesMut::from(datagram));
        for event in read.into_iter().flatten() {
            match event {
                EndpointEvent::HandshakeComplete => self.sealer = self.make_sealer().ok(),
                EndpointEvent::ApplicationData(packet) => data.push(packet.freeze()),
                _ => {}
            }
        }
        self.flush();
    }

    /// RFC 5764 section 4.2: both keys, then both salts, the client's first.
    fn make_sealer(&self) -> Result<Srtp> {
        let state = self.endpoint.get_connection_state(REMOTE).context("no association")?;
        let exported = state.export_keying_material("EXTRACTOR-dtls_srtp", &[], 2 * (16 + 12))?;
        let material: &[u8] = exported.as_ref();
        let key = material.get(..16).context("keys")?;
        let salt = material.get(32..44).context("salts")?;
        let provider = default_provider().context("no crypto provider")?;
        Ok(Srtp::new(key, salt, ProtectionProfile::AeadAes128Gcm, None, None, provider.crypto())?)
    }
}

/// SSRC and sequence number of an RTP packet (RFC 7983 section 7, RFC 5761 section 4).
fn stream_of(datagram: &[u8]) -> Option<(u32, u16)> {
    let [first, second, high, low, _, _, _, _, a, b, c, d] = *datagram.first_chunk::<12>()?;
    let is_rtp = (128..=191).contains(&first) && !(192..=223).contains(&second);
    is_rtp.then_some((u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([high, low])))
}

/// The machine keys associations by address; this one has one.
const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_told_from_everything_else() {
        let mut packet = [0x80, 96, 1, 2, 0, 0, 0, 0, 0, 0, 0, 7, 9];
        assert_eq!(stream_of(&packet), Some((7, 258)));
        packet[1] = 200;
        assert_eq!(stream_of(&packet), None, "a report");
        assert_eq!(stream_of(&[22; 20]), None, "DTLS");
        assert_eq!(stream_of(&packet[..11]), None);
    }
}
