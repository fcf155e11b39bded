use std::sync::Arc;
use std::time::Duration;

use rtc_crypto::{HashAlgorithm, RTCCrypto, RTCCryptoProvider};
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use super::srtp::Profile;
use crate::config::Limits;
use crate::sdp::Fingerprint;

/// What the [`RtcTransport`](super::RtcTransport)s of a process share: the crypto provider, the certificate that was made
/// when it started, and the limits.
pub struct RtcContext {
    provider: Arc<dyn RTCCryptoProvider>,
    fingerprint: Fingerprint,
    client: Arc<HandshakeConfig>,
    servers: [(Option<Profile>, Arc<HandshakeConfig>); 4],
    limits: TransportLimits,
}

/// The part of [`Limits`] that transports keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct TransportLimits {
    pub(super) ssrcs: usize,
    pub(super) channels: usize,
    pub(super) channel_queue_bytes: usize,
    pub(super) channel_bytes_per_second: usize,
    pub(super) message_bytes: usize,
    pub(super) consent: Duration,
    pub(super) handshake: Duration,
}

impl RtcContext {
    /// Makes the certificate: self-signed, ECDSA P-256, named by its fingerprint alone.
    ///
    /// Fails when the crypto provider cannot be set up, which no retry mends.
    pub fn new(limits: &Limits) -> Result<Self, ContextError> {
        let provider = rtc_crypto::default_provider().map_err(ContextError::Provider)?;
        let certificate = Certificate::generate_self_signed(vec!["simmer".to_owned()], provider.crypto())
            .map_err(|error| ContextError::Certificate(error.to_string()))?;
        let der = certificate.certificate.first().map(AsRef::as_ref).unwrap_or_default();
        let fingerprint = digest(provider.crypto(), der).ok_or_else(|| {
            ContextError::Certificate("its SHA-256 fingerprint cannot be computed".to_owned())
        })?;
        let configuration = |is_client: bool, profiles: &[Profile]| {
            ConfigBuilder::default()
                .with_crypto_provider(Arc::clone(&provider))
                .with_certificates(vec![certificate.clone()])
                .with_srtp_protection_profiles(
                    profiles.iter().copied().map(SrtpProtectionProfile::from).collect(),
                )
                .with_client_auth(ClientAuthType::RequireAnyClientCert)
                // Chains mean nothing here: the fingerprint from the offer is what is checked.
                .with_insecure_skip_verify(true)
                .with_extended_master_secret(ExtendedMasterSecretType::Require)
                .with_server_name("simmer".to_owned())
                .with_mtu(DTLS_MTU)
                .build(is_client, None)
                .map(Arc::new)
                .map_err(|error| ContextError::Dtls(error.to_string()))
        };
        let server = |profile: Option<Profile>| {
            configuration(false, profile.as_slice()).map(|configuration| (profile, configuration))
        };
        let [gcm128, gcm256, cm] = Profile::PREFERENCE;
        Ok(Self {
            client: configuration(true, &Profile::PREFERENCE)?,
            servers: [server(Some(gcm128))?, server(Some(gcm256))?, server(Some(cm))?, server(None)?],
            fingerprint,
            limits: TransportLimits {
                ssrcs: limits.ssrcs_per_participant,
                channels: limits.channels_per_participant,
                channel_queue_bytes: limits.channel_queue_bytes,
                channel_bytes_per_second: limits.channel_bytes_per_second,
                message_bytes: limits.message_bytes,
                consent: limits.consent,
                handshake: limits.handshake,
            },
            provider,
        })
    }

    /// The fingerprint of our certificate.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(super) fn provider(&self) -> &Arc<dyn RTCCryptoProvider> {
        &self.provider
    }

    pub(super) fn limits(&self) -> TransportLimits {
        self.limits
    }

    pub(super) fn client(&self) -> &Arc<HandshakeConfig> {
        &self.client
    }

    pub(super) fn servers(&self) -> &[(Option<Profile>, Arc<HandshakeConfig>); 4] {
        &self.servers
    }
}

impl std::fmt::Debug for RtcContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RtcContext")
            .field("provider", &self.provider.name())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Why there is no context.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// No crypto provider is compiled in.
    #[error("no crypto provider: {0}")]
    Provider(#[source] rtc_crypto::CryptoError),
    /// The certificate could not be made.
    #[error("the certificate cannot be made: {0}")]
    Certificate(String),
    /// DTLS does not accept the configuration.
    #[error("DTLS cannot be configured: {0}")]
    Dtls(String),
}

/// The fingerprint of one DER certificate.
pub(super) fn digest(crypto: &dyn RTCCrypto, der: &[u8]) -> Option<Fingerprint> {
    crypto.hash(HashAlgorithm::Sha256, der).ok()?.try_into().ok().map(Fingerprint)
}

/// A handshake datagram then fits 1280 bytes with the IPv6, UDP and record headers that are added to it.
const DTLS_MTU: usize = 1150;
