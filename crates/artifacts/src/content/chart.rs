//! Decides whether a chart is an archive that is safe to hand on: what it would unpack is small,
//! stays in one folder and consists of files; and which manifest is that of a chart. Knows nothing
//! of what a chart says.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use tar::EntryType;

use super::ContentError;
use crate::archive::{Broken, Entries, is_plain};
use crate::oci::{DOCUMENT_LIMIT, Descriptor, HELM_CHART_TYPE, HELM_CONFIG_TYPE, Manifest};

/// Most bytes that the charts of a release unpack to, together.
const UNPACKED_LIMIT: u64 = 256 * 1024 * 1024;
/// Largest chart that travels as an artifact of its own, in bytes.
pub(crate) const CHART_LIMIT: u64 = 16 * 1024 * 1024;
/// Most entries of one chart.
const ENTRY_LIMIT: usize = 16 * 1024;
/// Where the charts are, below the release's folder.
const FOLDER: &str = "charts/";

/// Why a chart is refused.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// It is cut, or no packed tar.
    #[error("it cannot be read {place}")]
    Broken {
        /// `at its begin`, `after 'coredns/Chart.yaml'`.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// It holds what no chart holds.
    #[error("it holds '{path}'{reason}")]
    Entry {
        /// In the chart.
        path: String,
        /// Why that is refused, where the path does not say it.
        reason: &'static str,
    },
    /// It holds a file whose header could be taken in two ways, or would give rights.
    #[error("it holds '{path}', but {oddity}")]
    Odd {
        /// In the chart.
        path: String,
        /// What is odd.
        oddity: &'static str,
    },
    /// It would fill the memory or the disk.
    #[error("the charts unpack to more than {UNPACKED_LIMIT} bytes")]
    TooLarge,
    /// A rule is broken.
    #[error("{0}")]
    Rule(&'static str),
    /// Its manifest is that of something else.
    #[error("{0}")]
    Manifest(String),
}

/// The layer of a manifest that is a chart, before a byte of it is asked for.
pub(crate) fn layer(manifest: &Manifest) -> Result<&Descriptor, ChartError> {
    let refused = |text: String| Err(ChartError::Manifest(text));
    let [layer] = &manifest.layers[..] else {
        return refused(format!("it has {} layers instead of one", manifest.layers.len()));
    };
    let parts = [("config", &manifest.config, HELM_CONFIG_TYPE), ("layer", layer, HELM_CHART_TYPE)];
    for (part, descriptor, expected) in parts {
        if descriptor.media_type != expected {
            let kind = api::text::line(&descriptor.media_type, 128);
            return refused(format!("its {part} is of type '{kind}'"));
        }
    }
    if layer.size > CHART_LIMIT || manifest.config.size > DOCUMENT_LIMIT {
        return refused(format!("it is larger than the {CHART_LIMIT} bytes of a chart"));
    }
    Ok(layer)
}

/// Checks one chart that stands for itself.
pub(crate) fn check_one(bytes: &[u8]) -> Result<(), ChartError> {
    check(bytes, UNPACKED_LIMIT).map(|_| ())
}

/// Checks every chart of a release.
pub(crate) fn check_all(files: &BTreeMap<String, Vec<u8>>) -> Result<(), ContentError> {
    let mut left = UNPACKED_LIMIT;
    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with(FOLDER)) {
        left = check(bytes, left)
            .map_err(|source| ContentError::Chart { path: path.clone(), source })?;
    }
    Ok(())
}

/// Checks one chart that may unpack to `limit` bytes; gives what is left of them.
fn check(bytes: &[u8], limit: u64) -> Result<u64, ChartError> {
    let mut packed = GzDecoder::new(bytes);
    let mut limited = (&mut packed).take(limit.saturating_add(1));
    let result = check_entries(&mut limited);
    // What ends where the limit is does not end there by itself.
    let left = limited.limit().checked_sub(1).ok_or(ChartError::TooLarge)?;
    result?;
    if !packed.into_inner().is_empty() {
        return Err(ChartError::Rule("bytes follow its packed archive"));
    }
    Ok(left)
}

fn check_entries(reader: impl Read) -> Result<(), ChartError> {
    let mut entries = Entries::new(reader);
    let (mut folder, mut is_renamed) = (None::<String>, false);
    while let Some(found) = entries.next()? {
        if found.number >= ENTRY_LIMIT {
            return Err(ChartError::Rule("it holds more than 16384 entries"));
        }
        let refused = |path: &str, reason| {
            Err(ChartError::Entry { path: api::text::line(path, 128), reason })
        };
        if let Some(oddity) = found.oddity {
            return Err(ChartError::Odd { path: api::text::line(&found.path, 128), oddity });
        }
        let path = match found.kind {
            // Its own name is the begin of that which the extension gave.
            EntryType::Regular | EntryType::Directory if is_renamed && is_plain(&found.path) => {
                is_renamed = false;
                continue;
            }
            EntryType::Regular | EntryType::Directory => found.path.clone(),
            EntryType::XHeader | EntryType::GNULongName | EntryType::XGlobalHeader => {
                match entries.renamed(&found)? {
                    Err(reason) => return refused(&found.path, reason),
                    Ok(Some(_)) if found.kind == EntryType::XGlobalHeader => {
                        return refused(&found.path, ": a path for every entry");
                    }
                    Ok(None) => continue,
                    Ok(Some(path)) => {
                        is_renamed = true;
                        path
                    }
                }
            }
            _ => return refused(&found.path, ": neither a file nor a folder"),
        };
        let Some((first, _)) = is_plain(&path).then(|| path.split_once('/')).flatten() else {
            return refused(&path, ": a path that leaves its folder");
        };
        match &folder {
            None => folder = Some(first.to_owned()),
            Some(folder) if folder == first => {}
            Some(_) => return refused(&path, ", which is not in its folder"),
        }
    }
    match folder {
        Some(_) => Ok(()),
        None => Err(ChartError::Rule("it holds no file")),
    }
}

impl From<Broken> for ChartError {
    fn from(broken: Broken) -> Self {
        Self::Broken { place: broken.place, source: broken.source }
    }
}
