//! Decides whether the files of an extracted plugin package are those that its ModuleConfig names:
//! every chart and every image, with its digest, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use api::names::{CVO_REPOSITORY, PRODUCT_IMAGE_REPOSITORY};
use api::{Digest, ModuleConfigSpec};
use serde::Deserialize;

use super::{CHART_SUFFIX, CHARTS, OBJECTS_LIMIT, PLUGIN_FILE, PluginError, RIGHTS_FILE};
use crate::beneath::Found;
use crate::build::layout::{BLOBS, INDEX_FILE, LAYOUT_FILE};
use crate::build::package::{SUMS_FILE, SUMS_SIGNATURE_FILE};
use crate::content::chart::{self, CHART_LIMIT};
use crate::layout::{Layout, LayoutImage};
use crate::oci::{CONFIG_TYPE, DOCUMENT_LIMIT};
use crate::package::{IMAGES, Summed, found, names};

/// Whether a file may stand in a plugin package, by its path below the root folder.
pub(super) fn is_known(path: &str) -> bool {
    let in_layout = |name: &str| {
        let blob = name.strip_prefix(BLOBS).and_then(|rest| rest.strip_prefix('/'));
        name == LAYOUT_FILE
            || name == INDEX_FILE
            || blob.is_some_and(|hex| format!("sha256:{hex}").parse::<Digest>().is_ok())
    };
    match path.split_once('/') {
        None => [PLUGIN_FILE, RIGHTS_FILE, SUMS_FILE, SUMS_SIGNATURE_FILE].contains(&path),
        Some((CHARTS, name)) => {
            let stem = name.strip_suffix(CHART_SUFFIX).unwrap_or_default();
            stem.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
                && stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
        }
        Some((IMAGES, name)) => in_layout(name),
        Some(_) => false,
    }
}

/// The longest that a file may be; none where only the whole package has a limit.
pub(super) fn length_limit(path: &str) -> Option<u64> {
    match path {
        PLUGIN_FILE | RIGHTS_FILE => Some(OBJECTS_LIMIT),
        SUMS_FILE => Some(crate::package::SUMS_LIMIT),
        SUMS_SIGNATURE_FILE => Some(crate::package::SIGNATURES_LIMIT),
        _ if path.starts_with(CHARTS) => Some(CHART_LIMIT),
        _ if path.ends_with(LAYOUT_FILE) || path.ends_with(INDEX_FILE) => Some(DOCUMENT_LIMIT),
        _ => None,
    }
}

/// Checks that a folder holds nothing but what a plugin package may hold.
pub(super) fn check_names(folder: &Path) -> Result<(), PluginError> {
    let mut open = vec![String::new()];
    while let Some(below) = open.pop() {
        for name in names(folder, &below)? {
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            match found(folder, &path)? {
                Some(Found::Folder) if is_folder(&path) => open.push(path),
                Some(Found::File) if is_known(&path) => {}
                None => {}
                Some(Found::Folder | Found::File | Found::Other) => {
                    let shown = api::text::line(&path, 128);
                    let reason = "no plugin package holds such a file or folder".to_owned();
                    return Err(PluginError::rule(&shown, reason));
                }
            }
        }
    }
    Ok(())
}

fn is_folder(path: &str) -> bool {
    let blobs = format!("{IMAGES}/{BLOBS}");
    path == CHARTS || blobs == path || blobs.starts_with(&format!("{path}/"))
}

/// Checks that every file stands under the sums and every sum is that of a file.
pub(super) fn check_listed(summed: &Summed) -> Result<(), PluginError> {
    let mut there = BTreeSet::new();
    for below in ["", CHARTS, IMAGES, &format!("{IMAGES}/{BLOBS}")] {
        if !below.is_empty() && found(&summed.folder, below)? != Some(Found::Folder) {
            continue;
        }
        for name in names(&summed.folder, below)? {
            let path = if below.is_empty() { name } else { format!("{below}/{name}") };
            if found(&summed.folder, &path)? == Some(Found::File) {
                there.insert(path);
            }
        }
    }
    check_sums(there.iter().map(String::as_str), &summed.sums)
}

/// Checks that the paths of files and of sums are the same, the sums and their signature aside.
pub(super) fn check_sums<'a>(
    files: impl Iterator<Item = &'a str>,
    sums: &BTreeMap<String, Digest>,
) -> Result<(), PluginError> {
    let unsummed = [SUMS_FILE, SUMS_SIGNATURE_FILE];
    let files: BTreeSet<&str> = files.filter(|path| !unsummed.contains(path)).collect();
    if let Some(extra) = files.iter().find(|path| !sums.contains_key(**path)) {
        let reason = format!("{SUMS_FILE} does not name it");
        return Err(PluginError::rule(extra, reason));
    }
    match sums.keys().find(|path| !files.contains(path.as_str())) {
        None => Ok(()),
        Some(path) => {
            let reason = format!("{SUMS_FILE} names it, but it is missing");
            Err(PluginError::rule(path, reason))
        }
    }
}

/// The layout, whose index is the one under the sums.
pub(super) fn layout(summed: &Summed) -> Result<Layout, PluginError> {
    let layout = Layout::open(&summed.folder.join(IMAGES))?;
    summed.listed(&format!("{IMAGES}/{INDEX_FILE}"), DOCUMENT_LIMIT)?;
    Ok(layout)
}

/// Checks that the layout holds the charts and images that the ModuleConfig names, whole, and
/// nothing else; and that `charts/` holds the very same charts.
pub(super) fn check_artifacts(
    summed: &Summed,
    layout: &Layout,
    config: &ModuleConfigSpec,
) -> Result<(), PluginError> {
    let mut left: BTreeMap<String, &LayoutImage> =
        layout.images().map(|image| (image.name(), image)).collect();
    let mut take = |repository: &str, tag: &str, digest: &str| {
        let name = format!("{repository}:{tag}");
        let refused = |reason: String| {
            let shown = api::text::line(&name, 256);
            Err(PluginError::rule(PLUGIN_FILE, format!("it names {shown}, {reason}")))
        };
        if [PRODUCT_IMAGE_REPOSITORY, CVO_REPOSITORY].contains(&repository) {
            return refused("which belongs to the platform itself".to_owned());
        }
        match left.remove(&name) {
            None => refused("which the package does not hold, or which stands twice".to_owned()),
            Some(image) if image.digest().as_str() != digest => {
                let (found, said) = (image.digest(), api::text::line(digest, 96));
                refused(format!("whose digest is {found}, not '{said}'"))
            }
            Some(image) => Ok(image),
        }
    };
    let mut charts = BTreeMap::new();
    for chart in config.app_releases.iter().flat_map(|release| &release.chart_versions) {
        let image = take(&chart.name, &chart.version, &chart.digest)?;
        let (file, digest) = check_chart(summed, layout, image)?;
        charts.insert(file, digest);
    }
    for image in config.images.values() {
        let held = take(&image.repository, &image.tag, image.digest.as_str())?;
        check_image(held)?;
    }
    if let Some(name) = left.keys().next() {
        let reason = format!("it holds {}, which nothing names", api::text::line(name, 256));
        return Err(PluginError::rule(&format!("{IMAGES}/{INDEX_FILE}"), reason));
    }
    let mut named = BTreeSet::new();
    for image in layout.images() {
        for blob in image.manifest.blobs().chain([&image.descriptor]) {
            layout.check_blob(blob)?;
            let path = format!("{IMAGES}/{BLOBS}/{}", blob.digest.hex());
            if summed.sums.get(&path) != Some(&blob.digest) {
                let reason = format!("its name is not its sum in {SUMS_FILE}");
                return Err(PluginError::rule(&path, reason));
            }
            named.insert(path);
        }
    }
    named.extend(charts.keys().cloned());
    named.extend([PLUGIN_FILE, RIGHTS_FILE].map(str::to_owned));
    named.extend([LAYOUT_FILE, INDEX_FILE].map(|name| format!("{IMAGES}/{name}")));
    match summed.sums.keys().find(|path| !named.contains(*path)) {
        None => Ok(()),
        Some(path) => Err(PluginError::rule(path, "nothing of the package needs it".to_owned())),
    }
}

/// An image that runs; a signature or another artifact is none.
fn check_image(image: &LayoutImage) -> Result<(), PluginError> {
    let kind = &image.manifest.config.media_type;
    if kind == CONFIG_TYPE && image.manifest.artifact_type.is_none() && !image.is_signature() {
        return Ok(());
    }
    let reason =
        format!("its config is of type '{}', not {CONFIG_TYPE}", api::text::line(kind, 128));
    Err(PluginError::rule(&image.name(), reason))
}

/// Checks a chart, and gives its file and digest below `charts/`.
fn check_chart(
    summed: &Summed,
    layout: &Layout,
    image: &LayoutImage,
) -> Result<(String, Digest), PluginError> {
    #[derive(Deserialize)]
    struct About {
        name: String,
        version: String,
    }
    let refused = |source| PluginError::Chart { file: image.name(), source };
    let layer = chart::layer(&image.manifest).map_err(refused)?;
    let about = layout.blob(&image.manifest.config, DOCUMENT_LIMIT)?;
    let about: About = serde_json::from_slice(&about).map_err(|error| {
        let said = api::text::line(&error.to_string(), 128);
        PluginError::rule(&image.name(), format!("its config is no Chart.yaml: {said}"))
    })?;
    if about.version != image.tag {
        let version = api::text::line(&about.version, 64);
        let reason = format!("its Chart.yaml says version '{version}'");
        return Err(PluginError::rule(&image.name(), reason));
    }
    let file = format!("{CHARTS}/{}-{}{CHART_SUFFIX}", about.name, about.version);
    if summed.sums.get(&file) != Some(&layer.digest) {
        let file = api::text::line(&file, 128);
        let reason = format!("{file} is missing or another chart");
        return Err(PluginError::rule(&image.name(), reason));
    }
    let bytes = summed.listed(&file, CHART_LIMIT)?;
    chart::check_one(&bytes).map_err(|source| PluginError::Chart { file: file.clone(), source })?;
    Ok((file, layer.digest.clone()))
}
