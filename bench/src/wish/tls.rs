//! What a server must prove before it is asked over TLS: that an authority which is trusted vouches for its name.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use url::{Host, Url};

/// Which authorities are believed when they vouch for a server. There is no way to ask one that proves nothing.
#[derive(Clone, Debug)]
pub struct Trust {
    config: Arc<ClientConfig>,
    named: bool,
}

impl Trust {
    /// In those of the system, which `SSL_CERT_FILE` and `SSL_CERT_DIR` replace; where there are none, in nobody.
    ///
    /// # Errors
    /// None that an operator can cause.
    pub fn of_system() -> Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!("an authority of the system is left out: {error}");
        }
        let mut authorities = RootCertStore::empty();
        // What the system keeps and cannot be read vouches for nobody.
        let (_taken, _left_out) = authorities.add_parsable_certificates(found.certs);
        Self::of(authorities, false)
    }

    /// In those whose certificates stand in that file, as PEM, and in no others.
    ///
    /// # Errors
    /// A file that cannot be read, that has no certificate, or one that is broken.
    pub fn of_file(path: &Path) -> Result<Self> {
        let name = path.display();
        let mut authorities = RootCertStore::empty();
        let found = CertificateDer::pem_file_iter(path).with_context(|| format!("{name} cannot be read"))?;
        for certificate in found {
            let certificate = certificate.with_context(|| format!("{name} is no PEM file"))?;
            authorities.add(certificate).with_context(|| format!("{name} has a broken certificate"))?;
        }
        ensure!(!authorities.is_empty(), "{name} has no certificate, which begins with BEGIN CERTIFICATE");
        Self::of(authorities, true)
    }

    fn of(authorities: RootCertStore, named: bool) -> Result<Self> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(authorities)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Members are strangers to the server, and to each other: each pays for a whole handshake.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), named })
    }

    /// Begins TLS with the server that should be the address's host.
    ///
    /// # Errors
    /// A server that proves nothing or is another, or one that speaks no TLS, each with what can be done about it.
    pub(super) async fn secure(&self, url: &Url, stream: TcpStream) -> Result<TlsStream<TcpStream>> {
        let name = match url.host().context("there is no host")? {
            Host::Domain(name) => ServerName::try_from(name.to_owned())?,
            Host::Ipv4(ip) => ServerName::from(IpAddr::V4(ip)),
            Host::Ipv6(ip) => ServerName::from(IpAddr::V6(ip)),
        };
        let begun = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await;
        begun.map_err(|error| {
            let why = self.why(&error);
            anyhow::Error::new(error).context(why)
        })
    }

    /// What a failed handshake means; the error itself has the names and times.
    fn why(&self, error: &io::Error) -> &'static str {
        match error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(fault)) => self.fault(fault),
            Some(Error::InvalidMessage(_)) => "what answers there speaks no TLS; is it http://?",
            Some(Error::AlertReceived(_)) => "the server refuses the TLS handshake",
            _ => "the TLS handshake ended early",
        }
    }

    fn fault(&self, fault: &CertificateError) -> &'static str {
        match fault {
            // The latter is what comes of an authority that only has the name of one that is trusted.
            CertificateError::UnknownIssuer | CertificateError::BadSignature if self.named => {
                "no authority in the file of --ca vouches for the server's certificate"
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "no authority that this machine trusts vouches for the server's certificate; --ca FILE names another"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is not for the host that was asked"
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid at this time"
            }
            CertificateError::Other(other) if is_authority(other.0.as_ref()) => {
                "the server shows the certificate of an authority, which is for signing others; \
                 it needs one of its own, with basicConstraints CA:FALSE and its host as subjectAltName"
            }
            _ => "the server's certificate cannot be accepted",
        }
    }
}

fn is_authority(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

#[cfg(test)]
mod tests;
