//! The least that any program must do: every blob once, so many in flight, and the manifests.

use super::images::Images;
use anyhow::{Context as _, Result, ensure};
use artifacts::digest::CHUNK;
use artifacts::layout::Layout;
use artifacts::sync::PARALLEL;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::{Body, Client, Method, RequestBuilder};
use sandbox::TestRegistry;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// Sends every blob of a layout in one PUT each, then the manifests; nothing is asked or hashed.
///
/// # Errors
/// When something is refused.
pub(super) async fn put(images: &Images, registry: &TestRegistry) -> Result<()> {
    let authority = reqwest::Certificate::from_pem(&std::fs::read(registry.authority())?)?;
    let client = Client::builder().tls_certs_only([authority]).build()?;
    let site = Bare { client, registry };
    let layout = Layout::open(&images.all.join("images"))?;
    let blobs: Vec<_> = layout
        .images()
        .flat_map(|image| {
            let parts = image.manifest.layers.iter().chain([&image.manifest.config]);
            parts.map(|part| (image.repository.as_str(), part, layout.blob_path(&part.digest)))
        })
        .collect();
    let site = &site;
    futures::stream::iter(blobs)
        .map(|(repository, blob, path)| async move {
            site.blob(repository, &blob.digest.to_string(), &path, blob.size).await
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<()>>()
        .await?;
    for image in layout.images() {
        let path = format!("{}/manifests/{}", image.repository, image.tag);
        let request = site.request(Method::PUT, &site.url(&path));
        let request = request.header("content-type", &image.descriptor.media_type);
        accepted(request.body(image.bytes.clone())).await?;
    }
    Ok(())
}

struct Bare<'a> {
    client: Client,
    registry: &'a TestRegistry,
}

impl Bare<'_> {
    fn url(&self, path: &str) -> String {
        format!("https://{}/v2/{path}", self.registry.address())
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let push = &self.registry.credentials().push;
        let request = self.client.request(method, url).timeout(Duration::from_secs(120));
        request.basic_auth(&push.name, Some(&push.password))
    }

    async fn blob(&self, repository: &str, digest: &str, file: &Path, size: u64) -> Result<()> {
        let begin = self.request(Method::POST, &self.url(&format!("{repository}/blobs/uploads/")));
        let begun = accepted(begin.header("content-length", 0)).await?;
        let place = begun.headers().get("location").context("no place to send to")?.to_str()?;
        let base = reqwest::Url::parse(&self.url(""))?;
        let mut place = base.join(place)?;
        place.query_pairs_mut().append_pair("digest", digest);
        let file = tokio::fs::File::open(file).await?;
        let chunks = futures::stream::try_unfold(file, async |mut file| {
            let mut chunk = vec![0; CHUNK];
            let read = file.read(&mut chunk).await?;
            chunk.truncate(read);
            Ok::<_, std::io::Error>((read > 0).then_some((chunk, file)))
        });
        let body = Body::wrap_stream(chunks);
        let send = self.request(Method::PUT, place.as_str());
        let send = send.header("content-type", "application/octet-stream");
        accepted(send.header("content-length", size).body(body)).await?;
        Ok(())
    }
}

async fn accepted(request: RequestBuilder) -> Result<reqwest::Response> {
    let answer = request.send().await?;
    ensure!(answer.status().is_success(), "the registry answers {}", answer.status());
    Ok(answer)
}
