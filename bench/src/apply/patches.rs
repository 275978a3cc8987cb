//! The least that any program must do: one patch an object, so many in flight, nothing looked at.

use anyhow::{Context as _, Result, ensure};
use e2e::t2::{Bench, text};
use futures::{StreamExt as _, TryStreamExt as _};
use std::time::Duration;

/// Requests at a time.
const IN_FLIGHT: usize = 16;

/// Patches that are ready to be sent.
pub(crate) struct Patches {
    client: reqwest::Client,
    token: String,
    all: Vec<(String, String)>,
}

impl Patches {
    /// Those of rendered ConfigMaps and Deployments.
    ///
    /// # Errors
    /// When the text is not YAML or has other objects.
    pub(crate) fn of(rendered: &str, bench: &Bench) -> Result<Self> {
        let objects = cluster::render::objects(rendered)?;
        let mut all = Vec::new();
        for object in objects {
            let path = match text(&object, "/kind") {
                "ConfigMap" => ("api/v1", "configmaps"),
                "Deployment" => ("apis/apps/v1", "deployments"),
                other => anyhow::bail!("{other} has no place here"),
            };
            let (namespace, name) =
                (text(&object, "/metadata/namespace"), text(&object, "/metadata/name"));
            let url = format!(
                "{}/{}/namespaces/{namespace}/{}/{name}?fieldManager=loop&force=true",
                bench.plane.url(),
                path.0,
                path.1
            );
            all.push((url, object.to_string()));
        }
        let authority = reqwest::Certificate::from_pem(&std::fs::read(bench.plane.authority())?)?;
        let client = reqwest::Client::builder().tls_certs_only([authority]).build()?;
        Ok(Self { client, token: bench.plane.token().to_owned(), all })
    }

    /// Sends them; gives how many were taken.
    ///
    /// # Errors
    /// When one is refused.
    pub(crate) async fn send(self) -> Result<usize> {
        let Self { client, token, all } = self;
        futures::stream::iter(all)
            .map(|(url, body)| {
                let request = client
                    .patch(&url)
                    .bearer_auth(&token)
                    .header("content-type", "application/apply-patch+yaml")
                    .timeout(Duration::from_secs(30))
                    .body(body);
                async move {
                    let answer = request.send().await.context("the loop")?;
                    ensure!(answer.status().is_success(), "the loop: {}", answer.status());
                    answer.bytes().await?;
                    Ok::<_, anyhow::Error>(())
                }
            })
            .buffer_unordered(IN_FLIGHT)
            .try_fold(0, async |count, ()| Ok(count + 1))
            .await
    }
}
