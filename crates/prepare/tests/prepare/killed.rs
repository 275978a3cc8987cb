//! `acp-prepare` killed while it sends, and run again: only what is missing is sent, and nobody
//! ever sees a manifest whose blobs are not there.

use std::path::Path;
use std::time::Duration;

use sandbox::TestRegistry;
use sandbox::process::{command, wait_until};
use sandbox::registry::{Access, read_access_log};

use crate::held::{Held, finished, received};
use crate::link::Link;
use crate::packages::{Contents, package};
use crate::stage::{registry, started, sync_flags, upgrade};

const LIMIT: Duration = Duration::from_secs(60);

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// When so many bytes have gone to the registry.
    Bytes(u64),
    /// When so many blobs are stored.
    Blobs(usize),
    /// When so many manifests are visible.
    Manifests(usize),
}

impl Moment {
    fn has_come(self, carried: u64, log: &Path) -> bool {
        let stored = |kind: &str| {
            let is_it = |r: &&Access| r.status == 201 && r.method == "PUT" && r.path.contains(kind);
            read_access_log(log).unwrap().iter().filter(is_it).count()
        };
        match self {
            Self::Bytes(count) => carried >= count,
            Self::Blobs(count) => stored("/blobs/") >= count,
            Self::Manifests(count) => stored("/manifests/") >= count,
        }
    }
}

/// Waits until a registry that nobody asks any more has ended what it was asked before.
async fn at_rest(registry: &TestRegistry) -> Vec<Access> {
    let mut before = registry.access_log().unwrap();
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = registry.access_log().unwrap();
        if now == before {
            return now;
        }
        before = now;
    }
}

/// Kills a run at a moment, and gives what the registry was asked.
async fn killed(folder: &Path, registry: &TestRegistry, log: &Path, moment: Moment) -> Vec<Access> {
    let log = log.to_owned();
    let link = Link::to(registry.address(), move |carried| moment.has_come(carried, &log));
    let flags = sync_flags(registry, &link.address);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut run = started(command("bash", ["upgrade.sh"]), folder, &flags, &[], "").await;
    let stands = || async { Ok(link.stands()) };
    wait_until(&format!("{moment:?}"), LIMIT, stands).await.unwrap();
    // bash has become the program: what is killed is acp-prepare itself, and it runs.
    let program = std::fs::read_link(format!("/proc/{}/exe", run.id().unwrap())).unwrap();
    assert!(program.ends_with("bin/acp-prepare"), "{}", program.display());
    assert_eq!(run.try_wait().unwrap(), None, "{moment:?}");
    run.kill().await.unwrap();
    drop(link);
    at_rest(registry).await
}

#[tokio::test]
async fn a_sync_that_is_killed_at_any_moment_goes_on_with_what_is_missing() {
    let work = tempfile::tempdir().unwrap();
    // More artifacts than are sent at a time, and one blob that is streamed.
    let contents = Contents { operator_bytes: 3_000_000, more_plugins: 9, ..Contents::default() };
    let folder = package(&work.path().join("package"), &contents);
    for moment in [
        Moment::Bytes(0),
        Moment::Bytes(300_000),
        Moment::Blobs(2),
        Moment::Bytes(3_000_000),
        Moment::Manifests(1),
    ] {
        let place = work.path().join(format!("{moment:?}"));
        let registry = registry(&place).await;
        let held = Held::new(&folder, &registry);
        let first = killed(&folder, &registry, &place.join("access.log"), moment).await;
        let there = finished(&first);
        let missing = held.missing(&there);
        let visible = held.visible().await;
        match moment {
            Moment::Bytes(0) => assert_eq!(first, []),
            Moment::Bytes(_) => assert_eq!(visible, 0),
            Moment::Blobs(count) => assert!(there.len() >= count && missing > 0 && visible == 0),
            Moment::Manifests(count) => {
                assert!(visible >= count && visible < held.artifacts.len(), "{visible}");
                assert_eq!(missing, 0, "manifests go last");
            }
        }

        let before = registry.access_log().unwrap().len();
        let flags = sync_flags(&registry, registry.address());
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let again = upgrade(&folder, &flags, &[], "").await;
        assert_eq!(again.code, 0, "{moment:?}: {again:?}");
        assert!(again.out.contains(", 0 failed in"), "{moment:?}: {again:?}");
        let second = registry.access_log().unwrap().split_off(before);
        assert_eq!(received(&second), missing, "{moment:?}");
        assert_eq!(finished(&second).intersection(&there).count(), 0, "{moment:?}");
        held.is_whole().await;
    }
}
