//! Certificates and keys on disk, in PEM.

use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use super::settings::{Identity, TlsSettings};

/// Where systems keep the authorities that they trust: Debian and its kin, Red Hat and its kin, Alpine, macOS.
const OF_THE_HOST: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The certificate with its chain, and the key.
pub(super) fn identity(
    files: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates("certificate", &files.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        let cause = match error {
            PemError::NoItemsFound if is_encrypted(&files.key) => {
                "the key is protected by a password; write it without one (openssl pkey)".to_owned()
            }
            PemError::NoItemsFound => "there is no key in it (PEM)".to_owned(),
            other => reason(&other),
        };
        TlsError::File { what: "key", path: files.key.clone(), cause }
    })?;
    Ok((chain, key))
}

/// The authorities that are trusted.
pub(super) fn authorities(settings: &TlsSettings) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let mut found = Vec::new();
    if let Some(file) = &settings.ca_file {
        found.extend(certificates("CA", file)?);
    }
    if let Some(directory) = &settings.ca_dir {
        found.extend(in_directory(directory)?);
    }
    if settings.ca_file.is_none() && settings.ca_dir.is_none() {
        let file = OF_THE_HOST.iter().map(Path::new).find(|path| path.exists());
        let file = file.ok_or(TlsError::NoAuthorities)?;
        found = certificates("CA", file)?;
    }
    Ok(found)
}

/// All certificates of a file; at least one.
fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |cause: String| TlsError::File { what, path: path.to_owned(), cause };
    let items = CertificateDer::pem_file_iter(path).map_err(|error| wrong(reason(&error)))?;
    let found: Result<Vec<_>, PemError> = items.collect();
    let found = found.map_err(|error| wrong(reason(&error)))?;
    if found.is_empty() { Err(wrong("there is no certificate in it (PEM)".to_owned())) } else { Ok(found) }
}

/// The certificates in the files of a directory. Files without any are passed over; of the links that OpenSSL's
/// `c_rehash` makes, some lead to the same file.
fn in_directory(directory: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |cause: String| TlsError::File { what: "CA", path: directory.to_owned(), cause };
    let entries = std::fs::read_dir(directory).map_err(|error| wrong(error.to_string()))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<PathBuf>, _>>()
        .map_err(|error| wrong(error.to_string()))?;
    paths.sort();
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.is_file()) {
        for certificate in certificates("CA", path).unwrap_or_default() {
            if !found.contains(&certificate) {
                found.push(certificate);
            }
        }
    }
    if found.is_empty() {
        Err(wrong("there is no certificate in any of its files".to_owned()))
    } else {
        Ok(found)
    }
}

fn is_encrypted(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("ENCRYPTED"))
}

/// What is wrong with a file, without the words that say that something is.
fn reason(error: &PemError) -> String {
    match error {
        PemError::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
