//! Decides the certificates of the sandbox's own servers: one authority each, made when the server
//! is first set up. Knows nothing of what is served.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// The files of one server's identity.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate that clients trust.
    pub authority: PathBuf,
    /// The certificate that the server shows.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Identity {
    /// The identity in `folder`, made there for the DNS names and addresses if it is absent.
    pub fn in_folder(folder: &Path, authority: &str, names: &[&str]) -> Result<Self> {
        Self::made(folder, authority, names, false)
    }

    /// The same, with a certificate that has run out.
    pub fn expired_in_folder(folder: &Path, authority: &str, names: &[&str]) -> Result<Self> {
        Self::made(folder, authority, names, true)
    }

    fn made(folder: &Path, authority: &str, names: &[&str], is_expired: bool) -> Result<Self> {
        let identity = Self {
            authority: folder.join("ca.crt"),
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
        };
        // The server's certificate is written last, so its presence means that all are there.
        if !identity.certificate.exists() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            identity.issue(authority, names, is_expired)?;
        }
        Ok(identity)
    }

    fn issue(&self, authority: &str, names: &[&str], is_expired: bool) -> Result<()> {
        let mut root = CertificateParams::new(Vec::new())?;
        root.distinguished_name.push(DnType::CommonName, authority);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root_key = KeyPair::generate()?;
        let root_certificate = root.self_signed(&root_key)?;
        let issuer = Issuer::new(root, root_key);

        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut leaf = CertificateParams::new(names.clone())?;
        leaf.distinguished_name.push(DnType::CommonName, names.first().map_or("", |name| name));
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if is_expired {
            leaf.not_before = date_time_ymd(2020, 1, 1);
            leaf.not_after = date_time_ymd(2021, 1, 1);
        }
        let leaf_key = KeyPair::generate()?;
        let leaf_certificate = leaf.signed_by(&leaf_key, &issuer)?;

        fs::write(&self.authority, root_certificate.pem())?;
        write_secret(&self.key, leaf_key.serialize_pem().as_bytes())?;
        fs::write(&self.certificate, leaf_certificate.pem())?;
        Ok(())
    }
}

/// Writes a file that only its owner may read.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600);
    let mut file =
        options.open(path).with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(bytes)?;
    Ok(())
}

/// A key pair that signs service account tokens: the private key, then the public one.
pub fn signing_key() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}
