//! Core packages: the same files give the same bytes, what cannot be applied is refused, and
//! upgrade.sh hands on what it is given.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use artifacts::build::Compression;
use sandbox::Narrator;
use xtask::package::{Form, Package, PackageBuilder, Programs};

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

const RELEASE: &str = "
formatVersion: 1
version: 4.3.7
upgradeFrom: {range: '>=4.0.0 <4.3.7'}
kubernetes: {creates: '1.34', compatible: '>=1.31 <1.35'}
minCVO: 4.3.7
images:
  busybox: {repository: acp/busybox, tag: v4.3.7, content: {host: busybox}}
stages:
- name: only
  priority: 10
  components:
  - {name: page, version: 1.0.0, chart: page, namespace: cpaas-system}
";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Programs that only have to be there.
fn programs(folder: &Path) -> Programs {
    for name in ["cluster-version-operator", "acp-prepare", "ac", "violet"] {
        program(&folder.join(name), "#!/bin/sh\n");
    }
    Programs::built(folder).unwrap()
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

async fn builder(work: &Path) -> PackageBuilder {
    let variable = |name: &str| std::env::var_os(name);
    let home = variable("HOME");
    let cache = sandbox::default_cache(variable("XDG_CACHE_HOME").as_deref(), home.as_deref());
    PackageBuilder::new(&project(), &cache.unwrap(), programs(work), Narrator::stderr())
        .await
        .unwrap()
        .layers(Compression::None)
}

/// A release of one chart with one template.
fn release(work: &Path, name: &str, text: &str, template: &str) -> PathBuf {
    let folder = work.join(name);
    let chart = folder.join("charts/page");
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::write(folder.join("release.yaml"), text).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: page\nversion: 0.0.0\n").unwrap();
    fs::write(chart.join("templates/page.yaml"), template).unwrap();
    folder
}

fn config_map(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: page}}\ndata: {{a: {data}}}\n")
}

async fn build(builder: &PackageBuilder, release: &Path, out: &Path) -> anyhow::Result<Package> {
    builder.build(release, out, Form { archive: true, folder: true }).await
}

async fn refused(builder: &PackageBuilder, work: &Path, name: &str, template: &str) -> String {
    let folder = release(work, name, RELEASE, template);
    let error = build(builder, &folder, &work.join("out")).await.unwrap_err();
    format!("{error:#}")
}

#[tokio::test]
async fn the_same_files_give_the_same_package() {
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    let builder = builder(work).await;
    let folder = release(work, "release", RELEASE, &config_map("b"));
    let first = build(&builder, &folder, &work.join("one")).await.unwrap();
    let second = build(&builder, &folder, &work.join("two")).await.unwrap();
    let read = |package: &Package| fs::read(package.archive.as_ref().unwrap()).unwrap();
    assert!(read(&first) == read(&second), "two builds of one release differ");
    assert_eq!(
        first.archive.as_ref().unwrap().file_name().unwrap(),
        "acp-core-4.3.7-linux-amd64.tgz"
    );

    let again = build(&builder, &folder, &work.join("one")).await.unwrap();
    assert_eq!(again.product_image, first.product_image);
    fs::write(folder.join("charts/page/templates/page.yaml"), config_map("c")).unwrap();
    let changed = build(&builder, &folder, &work.join("one")).await.unwrap();
    assert_ne!(changed.product_image, first.product_image, "a changed chart was not noticed");
}

#[tokio::test]
async fn a_package_is_what_its_layout_says() {
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    let folder = release(work, "release", RELEASE, &config_map("b"));
    let package = build(&builder(work).await, &folder, &work.join("out")).await.unwrap();
    let left = package.folder.unwrap();
    let mut sums = Command::new("sha256sum");
    sums.args(["--check", "--quiet", "SHA256SUMS"]).current_dir(&left);
    assert!(sums.status().unwrap().success());
    let index = fs::read_to_string(left.join("images/index.json")).unwrap();
    for name in ["product-image:v4.3.7", "cluster-version-operator:v4.3.7", "busybox:v4.3.7"] {
        assert!(index.contains(&format!("\"acp/{name}\"")), "{name} is not in {index}");
    }
    let mut deploy: Vec<_> = fs::read_dir(left.join("deploy"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    deploy.sort();
    assert_eq!(
        deploy,
        [
            "00-namespace.yaml",
            "10-crd-appreleases.yaml",
            "10-crd-clusterversionshadows.yaml",
            "10-crd-productmanifests.yaml",
            "10-crd-resourcepatches.yaml",
            "20-rbac.yaml",
            "21-release-rbac.yaml",
            "40-operator.yaml",
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_applied_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    let builder = builder(work).await;
    let error = refused(&builder, work, "time", &config_map("{{ now | quote }}")).await;
    assert!(error.contains("templates/page.yaml calls 'now'"), "{error}");
    // What a value hides from the reader of the template is seen when it is rendered again.
    let hidden = "{{ tpl (printf \"{{ %s 9 }}\" (list \"rand\" \"Alpha\" | join \"\")) . }}";
    let error = refused(&builder, work, "hidden", &config_map(hidden)).await;
    assert!(error.contains("other objects when it is rendered again"), "{error}");
    let error = refused(&builder, work, "broken", "{{ .Values.a.b.c }}").await;
    assert!(error.contains("component 'page'") && error.contains("nil pointer"), "{error}");
    let many = "{{ range until 1001 }}\n---\napiVersion: v1\nkind: ConfigMap\n\
                metadata: {name: \"m{{ . }}\"}\n{{ end }}";
    let error = refused(&builder, work, "many", many).await;
    assert!(error.contains("1001 objects, more than the 1000"), "{error}");
    let image = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n\
                 spec: {containers: [{name: c, image: \"busybox:latest\"}]}\n";
    let error = refused(&builder, work, "image", image).await;
    assert!(error.contains("'busybox:latest' is not one of its images"), "{error}");
}

#[tokio::test]
async fn an_image_may_be_left_out_of_the_package() {
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    let text = RELEASE.replace("{host: busybox}", &format!("{{digest: '{DIGEST}'}}"));
    let folder = release(work, "release", &text, &config_map("b"));
    let package = build(&builder(work).await, &folder, &work.join("out")).await.unwrap();
    let index = package.folder.unwrap().join("images/index.json");
    assert!(!fs::read_to_string(index).unwrap().contains("busybox"));
}

/// The demo releases without the Go programs, which take minutes to build.
#[tokio::test]
async fn the_demo_releases_pass_every_check() {
    let work = tempfile::tempdir().unwrap();
    let work = work.path();
    let builder = builder(work).await;
    for (version, rights, not) in [
        ("4.2.1", &["acp:coredns"][..], "platformnotices"),
        ("4.3.0", &["acp:coredns", "platformnotices"], "legacy"),
    ] {
        let source = project().join("release").join(version);
        let folder = work.join(version);
        fs::create_dir_all(folder.join("manifests")).unwrap();
        for entry in fs::read_dir(source.join("manifests")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.join("manifests").join(entry.file_name())).unwrap();
        }
        let mut text = fs::read_to_string(source.join("release.yaml")).unwrap();
        for content in ["go: coredns", "go: node-exporter"] {
            assert!(text.contains(content));
            text = text.replace(content, &format!("digest: {DIGEST}"));
        }
        ranges(&serde_saphyr::from_str(&text).unwrap());
        fs::write(folder.join("release.yaml"), text).unwrap();
        let package = build(&builder, &folder, &work.join("out")).await.unwrap();
        assert_eq!(package.version.to_string(), version);
        let rbac = package.folder.unwrap().join("deploy/21-release-rbac.yaml");
        let rbac = fs::read_to_string(rbac).unwrap();
        assert!(rights.iter().all(|right| rbac.contains(right)) && !rbac.contains(not), "{rbac}");
    }
}

/// What a release says of the way to it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Way {
    version: api::Version,
    upgrade_from: api::release::UpgradeFrom,
    kubernetes: api::release::KubernetesSupport,
}

/// What a release is upgraded from, and the Kubernetes versions that it is for, at their bounds.
fn ranges(release: &Way) {
    let (creates, from, not_from, on, not_on) = match release.version.to_string().as_str() {
        "4.2.1" => ("1.33", "4.0.0 4.1.9 4.2.0", "3.9.9 4.2.1", "1.30.0 1.33.13", "1.29.9 1.34.0"),
        "4.3.0" => ("1.34", "4.0.0 4.1.9 4.2.1", "3.9.9 4.3.0", "1.31.0 1.34.2", "1.30.9 1.35.0"),
        other => panic!("nothing is known of {other}"),
    };
    assert_eq!(release.kubernetes.creates, creates);
    for (versions, is_in) in [(from, true), (not_from, false)] {
        for version in versions.split(' ') {
            let found = release.upgrade_from.range.contains(&version.parse().unwrap());
            assert_eq!(found, is_in, "{} from {version}", release.version);
        }
    }
    for (versions, is_in) in [(on, true), (not_on, false)] {
        for version in versions.split(' ') {
            let range = &release.kubernetes.compatible;
            let found = range.contains_kubernetes(&version.parse().unwrap());
            assert_eq!(found, is_in, "{} on Kubernetes {version}", release.version);
        }
    }
}

/// Runs upgrade.sh beside an acp-prepare of our own.
fn upgrade(work: &Path, prepare: &str, arguments: &[&str], path: Option<&Path>) -> Output {
    fs::create_dir_all(work.join("bin")).unwrap();
    fs::copy(project().join("package/upgrade.sh"), work.join("upgrade.sh")).unwrap();
    program(&work.join("bin/acp-prepare"), prepare);
    let mut bash = Command::new("bash");
    bash.arg("-x").arg(work.join("upgrade.sh")).args(arguments);
    if let Some(path) = path {
        let usual = std::env::var("PATH").unwrap();
        bash.env("PATH", format!("{}:{usual}", path.display()));
    }
    bash.current_dir("/").env("SKIP_SYNC_IMAGE", "true").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn upgrade_sh_hands_everything_on_and_shows_no_password() {
    let work = tempfile::tempdir().unwrap();
    let prepare = "#!/bin/sh\nprintf '<%s>' \"$@\" \"$SKIP_SYNC_IMAGE\" \"$ACP_PACKAGE\"\nexit 2\n";
    let arguments = ["--preflight", "--cluster=global", "--password", "se cret", "--x=true", ""];
    let output = upgrade(work.path(), prepare, &arguments, None);
    let package = work.path().canonicalize().unwrap();
    assert_eq!(
        text(&output.stdout),
        format!(
            "<--preflight><--cluster=global><--password><se cret><--x=true><><true><{}>",
            package.display()
        )
    );
    assert_eq!(output.status.code(), Some(2), "the exit code is acp-prepare's");
    assert!(!text(&output.stderr).contains("se cret"), "{}", text(&output.stderr));
}

#[test]
fn upgrade_sh_says_what_is_wrong_with_the_machine_or_the_package() {
    let work = tempfile::tempdir().unwrap();
    let stubs = work.path().join("stubs");
    fs::create_dir(&stubs).unwrap();
    program(&stubs.join("uname"), "#!/bin/sh\necho aarch64\n");
    let output = upgrade(work.path(), "#!/bin/sh\n", &[], Some(&stubs));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(69));
    assert!(said.contains("error: this package is for linux/amd64, but this machine is arm64"));
    assert!(said.contains("hint: "), "{said}");

    fs::remove_file(work.path().join("bin/acp-prepare")).unwrap();
    let script = work.path().join("upgrade.sh");
    let output = Command::new("bash").arg(script).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(69));
    assert!(said.contains("error: bin/acp-prepare is missing beside upgrade.sh"), "{said}");
}

#[test]
fn upgrade_sh_is_thin_and_clean() {
    let path = project().join("package/upgrade.sh");
    assert!(fs::read_to_string(&path).unwrap().lines().count() < 80);
    let checked = Command::new("shellcheck").arg(&path).output();
    let checked = checked.expect("shellcheck is installed: apt-get install shellcheck");
    assert!(checked.status.success(), "{}", text(&checked.stdout));
}
