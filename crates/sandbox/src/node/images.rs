//! Decides the images of a node's static Pods: one layer with the multi-call binary, under the
//! names that kubeadm asks for. Knows nothing of how they are loaded.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::configuration::{ETCD_TAG, IMAGE_REPOSITORY, PAUSE_TAG};
use crate::image::{Contents, Image, write_archive};
use crate::toolchain::KubernetesVersion;

const CONTROL_PLANE: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// The archive of these images, written beside the binary once.
pub(crate) async fn archive(
    kube: &Path,
    busybox: &Path,
    version: KubernetesVersion,
) -> Result<PathBuf> {
    let path = kube.with_file_name("images.tar");
    if path.exists() {
        return Ok(path);
    }
    let (kube, busybox, made) = (kube.to_owned(), busybox.to_owned(), path.clone());
    let write = tokio::task::spawn_blocking(move || -> Result<()> {
        let part = tempfile::NamedTempFile::new_in(made.parent().unwrap_or(Path::new("/")))?;
        let link = |name: &str| (format!("usr/local/bin/{name}"), "kube".to_owned());
        let programs = Image::build(&Contents {
            programs: vec![("usr/local/bin/kube".to_owned(), kube)],
            links: CONTROL_PLANE.into_iter().chain(["etcd", "etcdctl"]).map(link).collect(),
            entrypoint: Vec::new(),
        })?;
        let pause = Image::build(&Contents {
            programs: vec![("bin/sleep".to_owned(), busybox)],
            links: Vec::new(),
            entrypoint: vec!["/bin/sleep".to_owned(), "2147483647".to_owned()],
        })?;
        let full = |name: &str, tag: &str| format!("{IMAGE_REPOSITORY}/{name}:{tag}");
        let mut names: Vec<String> =
            CONTROL_PLANE.iter().map(|name| full(name, version.full())).collect();
        names.push(full("etcd", ETCD_TAG));
        let pause_names = vec![full("pause", PAUSE_TAG)];
        write_archive(part.path(), &[(&programs, names), (&pause, pause_names)])?;
        part.persist(&made)?;
        Ok(())
    });
    write.await??;
    Ok(path)
}
