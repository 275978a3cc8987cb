//! Decides how an image is made from files without a daemon: one uncompressed layer, always the
//! same bytes for the same files. Knows nothing of registries and of what the programs do.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// What an image holds and how it starts.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Path in the image (no leading slash) and the file whose bytes it gets; all are executable.
    pub programs: Vec<(String, PathBuf)>,
    /// Path in the image and what it links to.
    pub links: Vec<(String, String)>,
    /// What runs when the Pod names no command.
    pub entrypoint: Vec<String>,
}

/// An image as its three blobs.
#[derive(Clone, Debug)]
pub struct Image {
    /// The layer, a tar.
    pub layer: Vec<u8>,
    /// The configuration, JSON.
    pub config: Vec<u8>,
    /// The manifest, JSON.
    pub manifest: Vec<u8>,
}

impl Image {
    /// Makes the image of some contents.
    pub fn build(contents: &Contents) -> Result<Self> {
        let layer = layer(contents)?;
        let config = serde_json::to_vec(&json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/bin:/bin"],
                "Entrypoint": contents.entrypoint,
            },
            "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        }))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(CONFIG_TYPE, &config),
            "layers": [descriptor(LAYER_TYPE, &layer)],
        }))?;
        Ok(Self { layer, config, manifest })
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// The media types of configuration and layer, for a client that pushes the blobs.
    pub fn media_types() -> (&'static str, &'static str) {
        (CONFIG_TYPE, LAYER_TYPE)
    }
}

/// The digest of some bytes as registries write it.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

fn layer(contents: &Contents) -> Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::new());
    for folder in ["tmp/", "var/", "var/run/"] {
        let mut header = header(tar::EntryType::Directory, 0, 0o1777);
        layer.append_data(&mut header, folder, std::io::empty())?;
    }
    for (path, source) in &contents.programs {
        let file = File::open(source).with_context(|| source.display().to_string())?;
        let mut header = header(tar::EntryType::Regular, file.metadata()?.len(), 0o755);
        layer.append_data(&mut header, path, file)?;
    }
    for (path, target) in &contents.links {
        let mut header = header(tar::EntryType::Symlink, 0, 0o777);
        layer.append_link(&mut header, path, target)?;
    }
    Ok(layer.into_inner()?)
}

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}

/// Writes images and their full names as one archive that `ctr images import` reads.
pub fn write_archive(path: &Path, images: &[(&Image, Vec<String>)]) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = tar::Builder::new(std::io::BufWriter::new(file));
    let mut manifests = Vec::new();
    for (image, names) in images {
        for name in names {
            let mut entry = descriptor(MANIFEST_TYPE, &image.manifest);
            entry["annotations"] = json!({ "io.containerd.image.name": name });
            manifests.push(entry);
        }
        for blob in [&image.layer, &image.config, &image.manifest] {
            let name = format!("blobs/sha256/{}", hex::encode(Sha256::digest(blob)));
            append(&mut archive, &name, blob)?;
        }
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests });
    append(&mut archive, "index.json", &serde_json::to_vec(&index)?)?;
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.into_inner()?.flush()?;
    Ok(())
}

fn append<W: Write>(archive: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> Result<()> {
    let mut header = header(tar::EntryType::Regular, bytes.len() as u64, 0o644);
    Ok(archive.append_data(&mut header, name, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_image() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, "#!/bin/true\n").unwrap();
        let contents = Contents {
            programs: vec![("bin/program".to_owned(), program.clone())],
            links: vec![("bin/other".to_owned(), "program".to_owned())],
            entrypoint: vec!["/bin/program".to_owned()],
        };
        let first = Image::build(&contents).unwrap().digest();
        assert_eq!(first, Image::build(&contents).unwrap().digest());
        std::fs::write(&program, "#!/bin/false\n").unwrap();
        assert_ne!(first, Image::build(&contents).unwrap().digest());
    }
}
