//! TLS by rustls: a certificate chain and its key, from files in PEM.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, Result};

/// What makes TLS of a connection: versions 1.2 and 1.3, for clients that speak `protocol`.
pub(crate) fn acceptor(cert: &Path, key: &Path, protocol: &[u8]) -> Result<TlsAcceptor> {
    let refuse = |path: &Path, reason: String| Error::Tls { path: path.to_owned(), reason };
    let bytes = |path: &Path| fs::read(path).map_err(|error| refuse(path, error.to_string()));
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(cert)?).collect();
    let chain = chain.map_err(|error| refuse(cert, format!("it is no certificate in PEM: {error}")))?;
    if chain.is_empty() {
        let reason =
            "it holds no certificate; give a file in PEM, the server's certificate first, then those that sign it";
        return Err(refuse(cert, reason.to_owned()));
    }
    let own = PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(|error| {
        refuse(key, format!("it holds no private key in PEM ({error}); give a key without a password"))
    })?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(cert, error.to_string()))?;
    let config = config.with_no_client_auth().with_single_cert(chain, own);
    let mut config = config.map_err(|error| {
        refuse(key, format!("the key and the certificates of {} cannot be used: {error}", cert.display()))
    })?;
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
