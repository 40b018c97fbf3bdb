//! Client side of TLS: 1.2 and 1.3 on ring.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mycelium_outbox::state_dir::read_named_file;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// A bundle of public roots has some 150 certificates in 220 KiB; a file far larger than that is no bundle.
const MAX_CA_FILE_BYTES: usize = 1 << 20;

/// Why the certificates of `ca_file` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaFileError {
    pub path: PathBuf,
    pub cause: String,
}

impl fmt::Display for CaFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, cause } = self;
        write!(f, "cannot use ca_file {}: {cause}: it must hold certificates in PEM", path.display())
    }
}

impl std::error::Error for CaFileError {}

/// Trusts the bundled Mozilla roots and those in `ca_file`.
pub(super) fn verified(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, CaFileError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = ca_file {
        add_roots(&mut roots, path)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A client has one server: the default of 256 sessions would waste memory.
    config.resumption = Resumption::in_memory_sessions(2);
    Ok(Arc::new(config))
}

/// Accepts any certificate whose key the server holds. Only for loopback addresses.
pub(super) fn unverified() -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAnyCert(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), CaFileError> {
    let error = |cause: String| CaFileError { path: path.to_owned(), cause };
    let pem = read_named_file(path, MAX_CA_FILE_BYTES).map_err(|e| error(e.to_string()))?;
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|e| error(format!("it is not PEM ({e:?})")))?;
        roots.add(certificate).map_err(|e| error(e.to_string()))?;
        added += 1;
    }
    if added == 0 { Err(error("it holds no certificate".to_owned())) } else { Ok(()) }
}

#[derive(Debug)]
struct AcceptAnyCert(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCert {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
