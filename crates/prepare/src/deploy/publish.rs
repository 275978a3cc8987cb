//! Publishes the release: one ProductManifest with the digest of its product image. What is
//! published already is left as it is.

use super::guard::{Published, manifest};
use super::{Arriving, guard};
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::printer::Printer;
use api::names::product_manifest;
use api::objects::{ProductManifest, ProductManifestSpec};
use cluster::{ApiServer as _, ApplyOptions, CallError};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a kind that was just defined may be unknown to some API server.
const SERVED_LIMIT: Duration = Duration::from_secs(30);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Publishes.
///
/// # Errors
/// When it is published with another image, or the cluster refuses it.
pub(super) async fn publish(
    connection: &Connection,
    arriving: &Arriving,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let name = product_manifest(&arriving.version);
    let server = &connection.server;
    let reference = manifest(&arriving.version);
    let found = patiently(|| server.get(&reference)).await;
    let found = found.map_err(connection.failed(format!("read ProductManifest {name}")))?;
    if let Some(found) = found {
        let image = arriving.product_image();
        let names_it = found.pointer("/spec/image").and_then(Value::as_str) == Some(&image);
        let parsed: Result<ProductManifest, _> = serde_json::from_value(found);
        let parsed =
            parsed.map_err(|e| CallError::Unexpected(api::text::line(&e.to_string(), 256)));
        let parsed = parsed.map_err(connection.failed(format!("read ProductManifest {name}")))?;
        let published = vec![Published::of(parsed)];
        guard::judge(&guard::Present { published, ..guard::Present::default() }, arriving)?;
        if names_it {
            return printer.say(&format!("{name} is published already: {image}"));
        }
    }
    let spec = ProductManifestSpec {
        version: arriving.version.to_string(),
        image: Some(arriving.product_image()),
    };
    let object = api::objects::served::<ProductManifest>(false);
    let body = json!({
        "apiVersion": object.api_version,
        "kind": object.kind,
        "metadata": { "name": name },
        "spec": spec,
    });
    let applied = patiently(|| server.apply(&body, ApplyOptions { force: true, dry_run: false }));
    applied.await.map_err(connection.failed(format!("publish ProductManifest {name}")))?;
    printer.say(&format!("Published {name}: {}", arriving.product_image()))
}

/// Tries again while an API server does not know the kind yet or cannot answer for it.
async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let began = Instant::now();
    loop {
        match call().await {
            Err(CallError::KindAbsent(_) | CallError::Unavailable(_))
                if began.elapsed() < SERVED_LIMIT =>
            {
                tokio::time::sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}
