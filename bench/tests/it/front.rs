//! What ends TLS in front of a server on this machine, and whose certificate it shows.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{ALL_VERSIONS, HandshakeKind, ServerConfig, SupportedProtocolVersion};

/// What a server proves itself by.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// As who has the certificate, which everybody is shown, and not its key.
    pub(crate) fn without_its_key(self) -> Self {
        Self { key: key().into(), ..self }
    }
}

/// A certificate authority, and the file that names it.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = authority(&[]);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("it signs itself");
        let file = file(&issuer.pem());
        Self { issuer, file }
    }

    /// For `--ca`.
    pub(crate) fn file(&self) -> &Path {
        self.file.path()
    }

    /// Of a server with those names.
    pub(crate) fn vouches_for(&self, names: &[&str]) -> Identity {
        self.signs(&params(names))
    }

    /// The same, in a time long ago.
    pub(crate) fn vouched_for(&self, names: &[&str]) -> Identity {
        self.signs(&expired(params(names)))
    }

    fn signs(&self, params: &CertificateParams) -> Identity {
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("it is signed").der().clone();
        Identity { certificate, key: key.into() }
    }
}

/// A server that vouches for itself, and the file that says so.
pub(crate) fn own(params: &CertificateParams) -> (Identity, NamedTempFile) {
    let key = key();
    let certificate = params.self_signed(&key).expect("it signs itself");
    let file = file(&certificate.pem());
    (Identity { certificate: certificate.der().clone(), key: key.into() }, file)
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// What a server says of itself.
pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).expect("names of hosts")
}

/// What a server says of itself that calls itself an authority.
pub(crate) fn authority(names: &[&str]) -> CertificateParams {
    let mut params = params(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// The same, in a time long ago.
pub(crate) fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = rcgen::date_time_ymd(2019, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    params
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("it is written");
    file
}

/// Ends TLS and hands everything on; it ends with its runtime.
pub(crate) struct Front {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    whole: Arc<AtomicU64>,
}

impl Front {
    pub(crate) async fn start(identity: Identity, behind: SocketAddr) -> Self {
        Self::speaking(ALL_VERSIONS, identity, behind).await
    }

    /// Speaks these versions of TLS only.
    pub(crate) async fn speaking(
        versions: &[&'static SupportedProtocolVersion],
        identity: Identity,
        behind: SocketAddr,
    ) -> Self {
        // Not with what would check that certificate and key belong together.
        let key = ring::sign::any_supported_type(&identity.key).expect("a key");
        let shown = SingleCertAndKey::from(CertifiedKey::new(vec![identity.certificate], key));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let whole = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&whole);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    // Who does not come through is refused, or refuses.
                    let Ok(mut secured) = acceptor.accept(stream).await else { return };
                    if secured.get_ref().1.handshake_kind() != Some(HandshakeKind::Resumed) {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                    let mut plain = TcpStream::connect(behind).await.expect("the server is there");
                    // Either may end it.
                    let _ended = tokio::io::copy_bidirectional(&mut secured, &mut plain).await;
                });
            }
        });
        Self { address, whole }
    }

    /// Connections that came through, each by a handshake of its own that took nothing from an earlier one.
    pub(crate) fn whole_handshakes(&self) -> u64 {
        self.whole.load(Ordering::Relaxed)
    }
}
