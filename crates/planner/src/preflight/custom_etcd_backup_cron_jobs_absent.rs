//! CustomEtcdBackupCronJobsAbsent: no CronJob without the label `cpaas.io/platform-component` runs
//! `etcdctl snapshot` or `etcdutl`, or mounts the client keys of etcd.

use super::{Found, Inputs, Verdict};
use crate::snapshot::CronJobFacts;
use api::checks::CheckReason;

/// Folder of the etcd keys on a control-plane node.
const ETCD_KEYS: &str = "/etc/kubernetes/pki/etcd";

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let none = Vec::new();
    let jobs = inputs.snapshot.cron_jobs.or_empty(&none)?;
    let custom: Vec<String> = jobs
        .iter()
        .filter(|j| !j.of_platform && backs_up_etcd(j))
        .map(|j| j.name.clone())
        .collect();
    let Some(first) = custom.first() else {
        return Ok(Verdict::passed());
    };
    let (namespace, name) = first.split_once('/').unwrap_or_default();
    Ok(Verdict::failed(
        CheckReason::CustomBackupFound,
        format!("CronJobs that back up etcd: {}", api::text::names(&custom)),
        format!("keep it elsewhere and delete it: kubectl -n {namespace} delete cronjob {name}"),
    ))
}

fn backs_up_etcd(job: &CronJobFacts) -> bool {
    let text = job.commands.join(" ");
    let runs = text.contains("etcdutl") || (text.contains("etcdctl") && text.contains("snapshot"));
    runs || job.mounts.iter().any(|m| m.trim_end_matches('/').starts_with(ETCD_KEYS))
}
