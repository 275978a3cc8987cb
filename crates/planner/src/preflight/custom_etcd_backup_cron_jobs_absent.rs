//! CustomEtcdBackupCronJobsAbsent: no CronJob without the label `cpaas.io/platform-component` runs
//! `etcdctl` with `snapshot`, or `etcdutl`, or mounts the client keys of etcd: a host path in which
//! they lie (`/etc/kubernetes`, `/etc/kubernetes/pki`, `/etc/kubernetes/pki/etcd` and
//! `/etc/kubernetes/pki/apiserver-etcd-client.*`), or a Secret whose name speaks of etcd and of
//! certificates or keys.

use super::{Found, Inputs, Verdict, delete_all};
use crate::snapshot::CronJobFacts;
use api::checks::CheckReason;

/// Folders of a control-plane node in which client keys of etcd lie.
const KEY_FOLDERS: [&str; 3] = ["/etc/kubernetes", "/etc/kubernetes/pki", ETCD_KEYS];
/// Folder of the etcd keys on a control-plane node.
const ETCD_KEYS: &str = "/etc/kubernetes/pki/etcd";
/// Start of the paths of the API server's client keys of etcd.
const CLIENT_KEYS: &str = "/etc/kubernetes/pki/apiserver-etcd-client.";
/// What the name of a Secret with client keys of etcd holds besides `etcd`.
const KEY_WORDS: [&str; 5] = ["client", "cert", "key", "tls", "pki"];

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let none = Vec::new();
    let jobs = inputs.snapshot.cron_jobs.or_empty(&none)?;
    let custom: Vec<String> = jobs
        .iter()
        .filter(|j| !j.of_platform && backs_up_etcd(j))
        .map(|j| j.name.clone())
        .collect();
    if custom.is_empty() {
        return Ok(Verdict::passed());
    }
    let it = if custom.len() == 1 { "it" } else { "them" };
    Ok(Verdict::failed(
        CheckReason::CustomBackupFound,
        format!("CronJobs that back up etcd: {}", api::text::names(&custom)),
        format!("keep {it} elsewhere and delete {it}: {}", delete_all("cronjob", &custom)),
    ))
}

fn backs_up_etcd(job: &CronJobFacts) -> bool {
    let text = job.commands.join(" ");
    let runs = text.contains("etcdutl") || (text.contains("etcdctl") && text.contains("snapshot"));
    runs || job.mounts.iter().any(|m| holds_client_keys(m))
}

fn holds_client_keys(mount: &str) -> bool {
    if mount.starts_with('/') {
        let path = mount.trim_end_matches('/');
        let below = path.strip_prefix(ETCD_KEYS).is_some_and(|rest| rest.starts_with('/'));
        return KEY_FOLDERS.contains(&path) || below || path.starts_with(CLIENT_KEYS);
    }
    mount.contains("etcd") && KEY_WORDS.iter().any(|word| mount.contains(word))
}
