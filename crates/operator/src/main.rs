//! The cluster version operator: wiring only.

use operator::settings::Settings;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("another TLS provider is installed already");
    }
    let settings = <Settings as clap::Parser>::parse();
    operator::logs(&settings.log)?;
    operator::run(settings).await
}
