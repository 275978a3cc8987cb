//! A package, or what else `upgrade.sh` writes to, that cannot be written: read-only, or full. The
//! mounts of a run are seen by nobody else and end with it, also when it is killed.

use crate::held::Held;
use crate::packages::{Contents, package};
use crate::stage::{registry, sync_flags, upgrade_by};

/// The package as it is on a read-only medium; what is locked elsewhere is gone with the run.
const READ_ONLY: &str = r#"
mount --bind "$PWD" "$PWD"
mount -o remount,bind,ro "$PWD"
cd "$PWD"
if touch probe 2> /dev/null; then exit 99; fi
"#;

/// Changes of the package go to a disk that is full.
const FULL: &str = r#"
mount -t tmpfs -o size=64k tmpfs /run/lock
mkdir /run/lock/upper /run/lock/work
mount -t overlay overlay -o "lowerdir=$PWD,upperdir=/run/lock/upper,workdir=/run/lock/work" "$PWD"
cd "$PWD"
cat /dev/zero > /run/lock/rest 2> /dev/null || true
"#;

const RUN: &str = r#"exec bash upgrade.sh "$@""#;

#[tokio::test]
async fn a_package_on_a_read_only_medium_is_sent_and_locked_elsewhere() {
    let work = tempfile::tempdir().unwrap();
    let registry = registry(&work.path().join("registry")).await;
    let folder = package(&work.path().join("package"), &Contents::default());
    let flags = sync_flags(&registry, registry.address());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let apart = "mount -t tmpfs tmpfs /run/lock\n";
    let locked = r#"bash upgrade.sh "$@"
        grep -q '^[0-9][0-9]*$' /run/lock/acp-upgrade-*.lock"#;
    let sent = upgrade_by(&format!("{READ_ONLY}{apart}{locked}"), &folder, &flags).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(sent.out.contains("5 uploaded") && sent.out.contains(", 0 failed in"), "{sent:?}");
    Held::new(&folder, &registry).is_whole().await;
    assert!(!folder.join(".upgrade.lock").exists());

    // It is locked all the same: who comes while the lock is held is told.
    let held = r#"bash upgrade.sh "$@" > /dev/null
        exec 9< /run/lock/acp-upgrade-*.lock; flock -x 9
        exec bash upgrade.sh "$@""#;
    let second = upgrade_by(&format!("{READ_ONLY}{apart}{held}"), &folder, &flags).await;
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.err.contains("another upgrade.sh of this package runs"), "{second:?}");
}

#[tokio::test]
async fn where_nothing_can_be_written_one_line_says_what_is_full_or_read_only() {
    let work = tempfile::tempdir().unwrap();
    let registry = registry(&work.path().join("registry")).await;
    let folder = package(&work.path().join("package"), &Contents::default());
    let flags = sync_flags(&registry, registry.address());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let nowhere =
        |options: &str| format!("{READ_ONLY}mount -t tmpfs -o {options} tmpfs /run/lock\n{RUN}");
    let lock_is_full = format!("{FULL}{RUN}");
    for (script, error, cause, hint) in [
        (
            lock_is_full.clone(),
            "/package/.upgrade.lock",
            "No space left on device",
            "hint: the disk of ",
        ),
        (
            nowhere("nr_inodes=1"),
            "with /run/lock/acp-upgrade-",
            "No space left on device",
            "hint: the disk of /run/lock is full: free some space",
        ),
        (
            nowhere("ro"),
            "with /run/lock/acp-upgrade-",
            "Read-only file system",
            "hint: copy the package to a folder that can be written to",
        ),
        (
            r#"exec bash upgrade.sh "$@" > /dev/full"#.to_owned(),
            "output",
            "No space left",
            "hint: free some space where the output goes",
        ),
    ] {
        let ended = upgrade_by(&script, &folder, &flags).await;
        assert_eq!(ended.code, 1, "{ended:?}");
        let errors: Vec<&str> = ended.err.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{ended:?}");
        assert!(errors[0].contains(error) && errors[0].contains(cause), "{ended:?}");
        assert!(ended.err.contains(hint), "{hint}: {ended:?}");
    }
    assert!(registry.access_log().unwrap().iter().all(|r| !r.writes()), "nothing was sent");
}
