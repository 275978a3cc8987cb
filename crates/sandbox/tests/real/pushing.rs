//! Pushes a small image with a real registry client.

use std::path::Path;

use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, Config, ImageLayer};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use sandbox::image::Image;
use sandbox::registry::Account;

/// A client that trusts the registry's certificate.
pub(crate) fn client(authority: &Path) -> Client {
    // A second test of this process has installed it already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let data = std::fs::read(authority).unwrap();
    let encoding = CertificateEncoding::Pem;
    Client::new(ClientConfig {
        extra_root_certificates: vec![Certificate { encoding, data }],
        ..ClientConfig::default()
    })
}

/// The name as the client wants it.
pub(crate) fn reference(name: &str) -> Reference {
    name.parse().unwrap()
}

/// Pushes as an account.
pub(crate) async fn push(
    client: &Client,
    name: &Reference,
    account: &Account,
    image: &Image,
) -> Result<(), OciDistributionError> {
    let auth = RegistryAuth::Basic(account.name.clone(), account.password.clone());
    let (config_type, layer_type) = Image::media_types();
    let layer = ImageLayer::new(image.layer.clone(), layer_type.to_owned(), None);
    let config = Config::new(image.config.clone(), config_type.to_owned(), None);
    let manifest = serde_json::from_slice(&image.manifest).unwrap();
    client.push(name, &[layer], config, &auth, Some(manifest)).await.map(|_| ())
}
