//! The releases of the simulation and what is in them: no registry, no chart, the same bytes for
//! the same digest.

use crate::faults::Refusal;
use crate::plugins;
use crate::server::Server;
use api::objects::{Cluster, ClusterCredential};
use api::release::{RELEASE_FOLDER, Release};
use api::{Digest, license};
use cluster::execute::{ContentError, Contents};
use cluster::observe::{Fleet, Releases};
use cluster::render::{RenderError, RenderRequest, Renderer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

pub(crate) const SEED: [u8; 32] = [7; 32];

struct Content {
    release: Release,
    files: BTreeMap<String, Arc<Vec<u8>>>,
}

/// By product image.
static ALL: LazyLock<BTreeMap<String, Content>> = LazyLock::new(|| {
    let texts = [
        include_str!("releases/4.2.1.yaml"),
        include_str!("releases/4.3.0.yaml"),
        include_str!("releases/4.3.1.yaml"),
    ];
    texts.into_iter().map(read).collect()
});

fn read(text: &str) -> (String, Content) {
    let mut value: Value = serde_saphyr::from_str(text).unwrap();
    value["release"]["licenseKeys"] = serde_json::json!([license::public_key(&SEED)]);
    let release: Release = serde_json::from_value(value["release"].take()).unwrap();
    let files = value["files"].as_object().unwrap().iter();
    let files = files.map(|(path, v)| (path.clone(), Arc::new(v.to_string().into_bytes())));
    (image(&release.version.to_string()), Content { release, files: files.collect() })
}

/// The product image of a version.
pub(crate) fn image(version: &str) -> String {
    format!("registry.test:11443/acp/product-image@{}", Digest::of(version.as_bytes()))
}

pub(crate) fn release(version: &str) -> Release {
    ALL[&image(version)].release.clone()
}

/// The release of a product image, where there is one.
pub(crate) fn release_of(image: &str) -> Option<&'static Release> {
    ALL.get(image).map(|content| &content.release)
}

/// The shelf as a schedule has it for the rounds about a cluster: now and then it gives nothing, or
/// what cannot be believed.
pub(crate) struct Moody<'a>(pub(crate) &'a Server);

impl Moody<'_> {
    /// Why nothing is given this time.
    fn refuses(&self, what: &str) -> Option<ContentError> {
        let mut inner = self.0.lock();
        let refusal = inner.faults.shelf()?;
        inner.log.push(format!("     give {what} <- {refusal:?}"));
        Some(match refusal {
            Refusal::Away => ContentError::Unavailable("no route to the registry".to_owned()),
            Refusal::WrongBytes => ContentError::Invalid(format!("{what} has other bytes")),
            Refusal::Untrusted => ContentError::Invalid(format!("no trusted key signed {what}")),
        })
    }
}

impl Releases for Moody<'_> {
    async fn release(&self, image: &str) -> Result<Release, ContentError> {
        let refused = self.refuses(image);
        self.0.lock().watch(self.0.about()).withheld.read(image, refused.is_none());
        match refused {
            Some(refused) => Err(refused),
            None => Shelf.release(image).await,
        }
    }
}

impl Contents for Moody<'_> {
    async fn content(&self, image: &str, path: &str) -> Result<Arc<Vec<u8>>, ContentError> {
        let Some(refused) = self.refuses(path) else { return Shelf.content(image, path).await };
        let path = path.strip_prefix(&format!("{RELEASE_FOLDER}/")).unwrap_or(path);
        let path = (image.to_owned(), path.to_owned());
        self.0.lock().watch(self.0.about()).withheld.paths.insert(path);
        Err(refused)
    }
}

/// Gives releases and what is in them.
pub(crate) struct Shelf;

impl Releases for Shelf {
    async fn release(&self, image: &str) -> Result<Release, ContentError> {
        let found = ALL.get(image).map(|c| c.release.clone());
        found.ok_or_else(|| ContentError::Unavailable(format!("no image {image}")))
    }
}

impl Contents for Shelf {
    async fn content(&self, image: &str, path: &str) -> Result<Arc<Vec<u8>>, ContentError> {
        if let Some(chart) = plugins::chart(image) {
            return Ok(chart);
        }
        let content = ALL.get(image);
        let path = path.strip_prefix(&format!("{RELEASE_FOLDER}/")).unwrap_or(path);
        content
            .and_then(|c| c.files.get(path).cloned())
            .ok_or_else(|| ContentError::Invalid(format!("{image} has no {path}")))
    }
}

/// Renders by putting the registry, and the setting of a plugin, into their places.
pub(crate) struct Templates;

impl Renderer for Templates {
    async fn render(&self, request: &RenderRequest) -> Result<Vec<Value>, RenderError> {
        let registry = request.values["global"]["registry"]["address"].as_str().unwrap_or_default();
        let text = String::from_utf8(request.content.to_vec())
            .map_err(|e| RenderError::Output(e.to_string()))?;
        let setting = request.values["setting"].as_str().unwrap_or_default();
        serde_json::from_str(&text.replace("$registry", registry).replace("$setting", setting))
            .map_err(|e| RenderError::Output(e.to_string()))
    }
}

/// Other clusters answer at once.
pub(crate) struct Others;

impl Fleet for Others {
    async fn version(&self, _: &Cluster, _: &ClusterCredential) -> Result<String, String> {
        Ok("v1.33.13".to_owned())
    }
}
