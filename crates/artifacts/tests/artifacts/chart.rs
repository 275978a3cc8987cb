//! The chart of a plugin comes from a registry by its digest, and only as the chart that it is.

use std::sync::Arc;

use artifacts::build::LayoutWriter;
use artifacts::layout::Layout;
use artifacts::oci::{
    Descriptor, EMPTY, EMPTY_TYPE, HELM_CHART_TYPE, HELM_CONFIG_TYPE, MANIFEST_TYPE, Manifest,
};
use artifacts::registry::RegistryError;
use artifacts::sync::{Plan, Silent, sync};
use serde_json::json;

use crate::corpus::charts;
use crate::fixture::{Platform, chain};
use crate::plugin::packed_chart;
use crate::server::{Answer, Server};

const REPOSITORY: &str = "acp/chart-podinfo";

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_goes_to_a_registry_and_comes_back() {
    let platform = Platform::start().await;
    let registry = platform.client();
    let work = tempfile::tempdir().unwrap();
    let mut layout = LayoutWriter::create(&work.path().join("images")).unwrap();
    let about = json!({ "name": "chart-podinfo", "version": "1.0.0" });
    let written = layout.chart(REPOSITORY, "1.0.0", &about, &packed_chart()).unwrap();
    let image = crate::fixture::image(3, 1000).write(&mut layout, "acp/web", "v1").unwrap();
    layout.finish().unwrap();
    assert!(!registry.has_chart(REPOSITORY, &written.digest).await.unwrap());
    let missing = registry.pull_chart(REPOSITORY, &written.digest).await.unwrap_err();
    assert!(matches!(missing, RegistryError::NotFound { .. }), "{missing}");
    let layout = Layout::open(&work.path().join("images")).unwrap();
    let report = sync(Plan::of_layout(&layout), &registry, 2, Arc::new(Silent)).await.unwrap();
    assert_eq!(report.failed.len(), 0, "{report:?}");
    let pulled = registry.pull_chart(REPOSITORY, &written.digest).await.unwrap();
    assert_eq!(pulled, packed_chart());
    assert!(registry.has_chart(REPOSITORY, &written.digest).await.unwrap());
    let error = chain(&registry.pull_chart("acp/web", &image.digest).await.unwrap_err());
    assert!(error.contains("is no chart: its config is of type"), "{error}");
    registry.has_chart("acp/web", &image.digest).await.unwrap_err();
}

/// A server that has a manifest and blobs under their digests, whatever their bytes are.
fn serving(parts: Vec<(api::Digest, Vec<u8>)>) -> Server {
    Server::start(move |request| -> Answer {
        let part = parts.iter().find(|(digest, _)| request.target.ends_with(digest.as_str()));
        let kind = vec![("Content-Type".to_owned(), MANIFEST_TYPE.to_owned())];
        match part {
            Some((_, bytes)) => (200, kind, bytes.clone()),
            None => (404, Vec::new(), Vec::new()),
        }
    })
}

/// Asks a server for a chart whose manifest was changed, or whose bytes are others.
async fn refused(chart: &[u8], change: impl Fn(&mut Manifest), bytes: &[u8]) -> String {
    let config = Descriptor::of(HELM_CONFIG_TYPE, b"{}");
    let layer = Descriptor::of(HELM_CHART_TYPE, chart);
    let mut manifest = Manifest::new(config, vec![layer.clone()]);
    change(&mut manifest);
    let manifest = serde_json::to_vec(&manifest).unwrap();
    let digest = api::Digest::of(&manifest);
    let server = serving(vec![(digest.clone(), manifest), (layer.digest, bytes.to_vec())]);
    let error = server.client(&[]).pull_chart(REPOSITORY, &digest).await.unwrap_err();
    assert!(error.is_invalid(), "{error:?}");
    chain(&error)
}

#[tokio::test]
async fn what_is_no_chart_or_other_bytes_is_refused() {
    let chart = packed_chart();
    let kind = |m: &mut Manifest| m.layers[0].media_type = "text/plain".to_owned();
    let error = refused(&chart, kind, &chart).await;
    assert!(error.contains("its layer is of type 'text/plain'"), "{error}");
    let config = |m: &mut Manifest| m.config = Descriptor::of(EMPTY_TYPE, EMPTY);
    let error = refused(&chart, config, &chart).await;
    assert!(error.contains("its config is of type"), "{error}");
    let two = |m: &mut Manifest| m.layers.push(m.layers[0].clone());
    let error = refused(&chart, two, &chart).await;
    assert!(error.contains("it has 2 layers instead of one"), "{error}");
    let large = |m: &mut Manifest| m.layers[0].size = 16 * 1024 * 1024 + 1;
    let error = refused(&chart, large, &chart).await;
    assert!(error.contains("larger than the 16777216 bytes"), "{error}");
    let mut other = chart.clone();
    other[20] ^= 1;
    let error = refused(&chart, |_| {}, &other).await;
    assert!(error.contains("the registry gave other bytes"), "{error}");
    for (name, bytes, says) in charts::all() {
        let error = refused(&bytes, |_| {}, &bytes).await;
        assert!(error.contains(says), "{name}: {error}");
    }
}
