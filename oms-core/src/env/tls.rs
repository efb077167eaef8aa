//! Whom a connection trusts: the authorities whose signature makes a host's certificate believed.
//!
//! rustls with ring, by TLS 1.2 and 1.3. A handshake that fails is a connection that never stood:
//! nothing of the request has left yet.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

/// Nobody can be trusted by these settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of authorities cannot be read.
    #[error("authorities in {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds something that is no certificate in PEM, or none at all.
    #[error("authorities in {}: {reason}", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no certificates where they are looked for.
    #[error(
        "this system has no certificates of authorities: install `ca-certificates`, or name a file"
    )]
    NoSystemRoots,
    /// The library refuses its own settings.
    #[error("TLS")]
    Library(#[source] rustls::Error),
}

/// Settings that trust the authorities in the PEM file `authorities`, or the system's own.
///
/// The system's are found as OpenSSL finds them: `SSL_CERT_FILE` and `SSL_CERT_DIR` come first.
///
/// # Errors
/// [`Error`] when there is nobody to trust.
pub(super) fn trusting(authorities: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(path) => {
            for certificate in read(path)? {
                roots.add(certificate).map_err(|error| unusable(path, &error.to_string()))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            // A store of hundreds holds one that is odd now and then; the rest is as good as before.
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                return Err(Error::NoSystemRoots);
            }
        }
    }
    with(roots)
}

/// Settings for connections without TLS: nobody is trusted, nobody is asked.
///
/// # Errors
/// [`Error::Library`], if rustls refused its own defaults.
pub fn trusting_nobody() -> Result<ClientConfig, Error> {
    with(RootCertStore::empty())
}

fn with(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let settings =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(Error::Library)?;
    Ok(settings.with_root_certificates(roots).with_no_client_auth())
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text =
        std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let certificates: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(found) if found.is_empty() => Err(unusable(path, "no certificate in PEM")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(path, &error.to_string())),
    }
}

fn unusable(path: &Path, reason: &str) -> Error {
    Error::Unusable { path: path.to_owned(), reason: reason.to_owned() }
}
