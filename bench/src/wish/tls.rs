//! What a server must prove before it is asked over TLS: that an authority which is trusted vouches for its name.

mod named;

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
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, ConfigBuilder, Error, RootCertStore, WantsVerifier,
};
use url::{Host, Url};

use crate::wish::tls::named::{Named, is_authority};

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
        let config = provided()?.with_root_certificates(authorities).with_no_client_auth();
        Ok(Self::of(config, false))
    }

    /// In those whose certificates stand in that file, as PEM, and in no others. A server's own may stand there, too.
    ///
    /// # Errors
    /// A file that cannot be read, that has no certificate, or one that is broken.
    pub fn of_file(path: &Path) -> Result<Self> {
        let name = path.display();
        let (mut authorities, mut certificates) = (RootCertStore::empty(), Vec::new());
        let found = CertificateDer::pem_file_iter(path).with_context(|| format!("{name} cannot be read"))?;
        for certificate in found {
            let certificate = certificate.with_context(|| format!("{name} is no PEM file"))?;
            certificates.push(certificate.clone());
            authorities.add(certificate).with_context(|| format!("{name} has a broken certificate"))?;
        }
        ensure!(!authorities.is_empty(), "{name} has no certificate, which begins with BEGIN CERTIFICATE");
        let builder = provided()?;
        let verifier = Named::new(authorities, certificates, Arc::clone(builder.crypto_provider()))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Self::of(builder.with_no_client_auth(), true))
    }

    fn of(mut config: ClientConfig, named: bool) -> Self {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Members are strangers to the server, and to each other: each pays for a whole handshake.
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config), named }
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
        let unvouched = match fault {
            // The latter is what comes of an authority that only has the name of one that is trusted.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => true,
            fault => is_authority(fault),
        };
        match fault {
            _ if unvouched && self.named => {
                "nothing in the file of --ca vouches for the server's certificate"
            }
            _ if unvouched => {
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
            _ => "the server's certificate cannot be accepted",
        }
    }
}

fn provided() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?)
}

#[cfg(test)]
mod tests;
