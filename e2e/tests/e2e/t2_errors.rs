//! What goes wrong around the commands: each error is clear, has a hint and a code that is not 0,
//! and nothing is lost.

use anyhow::{Context as _, Result, ensure};
use e2e::shell::Said;
use e2e::t2::{Bench, Start, condition, own_copy, text};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A failure as a user needs it.
fn failed(said: Said, parts: &[&str]) -> Result<Said> {
    ensure!(said.code != 0, "it succeeded:\n{}", said.text);
    let mut said = said.containing("error: ")?.containing("hint: ")?;
    for part in parts {
        said = said.containing(part)?;
    }
    Ok(said)
}

/// The 4.3.0 package again, in a folder of its own; files are links until they are changed.
fn copy(bench: &Bench, name: &str) -> Result<PathBuf> {
    own_copy(&bench.packages.new, &bench.folder().join(name))
}

/// Gives a file of a copy other bytes; the original keeps its own.
fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let mut bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    change(&mut bytes);
    let mode = std::fs::metadata(file)?.permissions();
    std::fs::remove_file(file)?;
    std::fs::write(file, bytes)?;
    Ok(std::fs::set_permissions(file, mode)?)
}

/// The largest blob of a package.
fn largest_blob(package: &Path) -> Result<PathBuf> {
    let blobs = std::fs::read_dir(package.join("images/blobs/sha256"))?;
    let sized = blobs.map(|b| b.and_then(|b| Ok((b.metadata()?.len(), b.path()))));
    let sized: Vec<(u64, PathBuf)> = sized.collect::<std::io::Result<_>>()?;
    Ok(sized.into_iter().max().context("a package has blobs")?.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_upgrade_sh() -> Result<()> {
    let bench = Bench::bare().await?;
    access(&bench).await?;
    registry(&bench).await?;
    packages(&bench).await?;
    at_once(&bench).await?;
    let nothing = bench.run("kubectl get productmanifests").await?;
    ensure!(nothing.code != 0, "something was published: {}", nothing.text);
    Ok(())
}

async fn access(bench: &Bench) -> Result<()> {
    let commands = ["bash upgrade.sh --preflight", "bash upgrade.sh --skip-sync-image"];
    let nowhere = bench.shell_with(Path::new("/no/such/kubeconfig"));
    for command in commands {
        failed(nowhere.run(command, LIMIT).await?, &["/no/such/kubeconfig"])?;
    }
    failed(nowhere.run("ac adm upgrade --cluster=global", LIMIT).await?, &["kubeconfig"])?;

    // A token is worth nothing once its account is gone, as after its time.
    bench.kubectl(&["-n", "default", "create", "serviceaccount", "gone"]).await?;
    let token = bench.token("default", "gone").await?;
    bench.kubectl(&["-n", "default", "delete", "serviceaccount", "gone"]).await?;
    let expired = bench.folder().join("expired");
    std::fs::write(&expired, bench.kubeconfig_of(&token)?)?;
    let shell = bench.shell_with(&expired);
    for command in [commands[0], commands[1], "ac adm upgrade --cluster=global"] {
        failed(shell.run(command, LIMIT).await?, &["expired"])?;
    }

    let token = bench.token("default", "default").await?;
    let nobody = bench.folder().join("nobody");
    std::fs::write(&nobody, bench.kubeconfig_of(&token)?)?;
    let shell = bench.shell_with(&nobody);
    for command in [commands[0], commands[1], "ac adm upgrade --cluster=global"] {
        failed(shell.run(command, LIMIT).await?, &["cannot get resource"])?;
    }
    Ok(())
}

async fn registry(bench: &Bench) -> Result<()> {
    let address = bench.registry.address();
    let ca = bench.registry.authority().display();
    let sync = format!(
        "bash upgrade.sh --only-sync-image --registry {address} --registry-ca {ca} --username platform-push --password-stdin"
    );
    let said = bench.run(&format!("echo wr0ng | {sync}")).await?;
    let said = failed(said, &["password"])?;
    ensure!(!said.text.contains("wr0ng"), "the password is shown: {}", said.text);
    // Nothing was sent, and what is missing is listed; nothing is published.
    let said = bench.run("bash upgrade.sh --skip-sync-image").await?;
    let said = failed(said, &["nothing was published", "acp/product-image:v4.3.0"])?;
    for image in ["acp/coredns", "acp/busybox", "acp/node-exporter", "acp/cluster-version-operator"]
    {
        ensure!(said.text.contains(&format!("missing: {image}:")), "{}", said.text);
    }
    // An account that can only pull.
    let pull = &bench.registry.credentials().pull.password;
    let said = bench
        .shell()
        .silent()
        .run(&format!("echo {pull} | {}", sync.replace("platform-push", "platform-pull")), LIMIT)
        .await?;
    failed(said, &["may push"])?;
    Ok(())
}

async fn packages(bench: &Bench) -> Result<()> {
    let sync = "bash upgrade.sh --only-sync-image";
    let cut = copy(bench, "cut")?;
    change(&largest_blob(&cut)?, |bytes| bytes.truncate(bytes.len() / 2))?;
    failed(bench.shell().within(&cut).run(sync, LIMIT).await?, &["extract"])?;
    let flags = format!("{sync} --skip-check-artifacts");
    failed(bench.shell().within(&cut).run(&flags, LIMIT).await?, &["extract"])?;

    let changed = copy(bench, "changed")?;
    change(&largest_blob(&changed)?, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    })?;
    for command in [sync, &flags] {
        let said = bench.shell().within(&changed).run(command, LIMIT).await?;
        failed(said, &["extract"])?;
    }
    // What deploy would apply; no other phase uses it.
    let rights = copy(bench, "rights")?;
    change(&rights.join("deploy/20-rbac.yaml"), |bytes| bytes.extend_from_slice(b"\n# more\n"))?;
    let said = bench.shell().within(&rights).run("bash upgrade.sh", LIMIT).await?;
    failed(said, &["20-rbac.yaml"])?;
    let missing = copy(bench, "missing")?;
    std::fs::remove_file(largest_blob(&missing)?)?;
    failed(bench.shell().within(&missing).run(sync, LIMIT).await?, &["extract"])?;

    let other = copy(bench, "arm64")?;
    change(&other.join("upgrade.sh"), |bytes| {
        let text = String::from_utf8_lossy(bytes)
            .replace("package_architecture=amd64", "package_architecture=arm64");
        *bytes = text.into_bytes();
    })?;
    let said = bench.shell().within(&other).run("bash upgrade.sh", LIMIT).await?;
    failed(said, &["linux/arm64", "amd64"])?;
    Ok(())
}

/// Two runs of one package on one host: the second is told who holds it up. On two hosts both end.
async fn at_once(bench: &Bench) -> Result<()> {
    // A registry that never answers holds the first.
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = silent.local_addr()?;
    let credentials = "--username u --password p";
    let first =
        format!("exec bash upgrade.sh --only-sync-image --registry {address} {credentials}");
    let mut first = bench.shell().start(&first)?;
    let pid = first.id().context("it runs")?.to_string();
    let lock = bench.packages.new.join(".upgrade.lock");
    let held = || async { Ok(std::fs::read_to_string(&lock).is_ok_and(|t| t.trim() == pid)) };
    sandbox::process::wait_until("the first run to hold the lock", LIMIT, held).await?;
    let said = bench.run("bash upgrade.sh --only-sync-image").await?;
    failed(said, &["another upgrade.sh", &pid])?;
    first.kill().await?;
    let (one, two) = (copy(bench, "one")?, copy(bench, "two")?);
    let sync = "bash upgrade.sh --only-sync-image";
    let shells = [bench.shell().within(&one), bench.shell().within(&two)];
    let (one, two) = tokio::join!(shells[0].run(sync, LIMIT), shells[1].run(sync, LIMIT));
    one?.expect(0)?;
    two?.expect(0)?;
    bench.must(sync).await?;
    Ok(())
}

const MANIFESTS: &str = "/apis/product.alauda.io/v1alpha1/productmanifests";

/// Waits until a ProductManifest says why it is not Ready, or that it is.
async fn resolved(bench: &Bench, version: &str, reason: &str) -> Result<()> {
    let path = format!("{MANIFESTS}/v{version}");
    let what = format!("ProductManifest v{version} to say {reason}");
    let is_so = |m: &Value| text(condition(m, "Ready"), "/reason") == reason;
    let manifest = bench.until(&path, &what, LIMIT, is_so).await?;
    let ready = condition(&manifest, "Ready");
    let status = if reason == "Resolved" { "True" } else { "False" };
    ensure!(text(ready, "/status") == status, "{ready}");
    ensure!(status == "True" || !text(ready, "/message").is_empty(), "{ready}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn product_manifests_say_why_they_are_not_ready() -> Result<()> {
    let bench = Bench::adopted().await?;
    let _operator = bench.operator(&Start::default()).await?;
    // There is no such image yet.
    bench.publish("4.3.7").await?;
    resolved(&bench, "4.3.7", "ImageNotFound").await?;
    let said = bench.run("ac adm upgrade --cluster=global --to=4.3.7").await?;
    failed(said, &["4.3.7"])?;
    bench.ask_for("4.3.7").await?;
    bench.check_becomes("ClusterVersionUpgradeable", "Failed", "ManifestFailed").await?;
    bench
        .must("kubectl patch cvsh global -n cpaas-system --type merge -p '{\"spec\":{\"desiredUpdate\":null}}'")
        .await?;
    bench.push_release("v4.3.7", |r| r.version = "4.3.7".parse().unwrap()).await?;
    resolved(&bench, "4.3.7", "Resolved").await?;
    bench.offered("4.3.7").await?;
    // The image is no product image.
    bench.push_other_image("v4.3.6").await?;
    bench.publish("4.3.6").await?;
    resolved(&bench, "4.3.6", "InvalidRelease").await?;
    failed(bench.run("ac adm release import-manifest --version 4.3.6 --wait").await?, &["4.3.6"])?;
    // The image says another version; mended at the registry it is taken.
    bench.push_release("v4.3.5", |r| r.version = "4.3.4".parse().unwrap()).await?;
    bench.publish("4.3.5").await?;
    resolved(&bench, "4.3.5", "VersionMismatch").await?;
    failed(bench.run("ac adm release import-manifest --version 4.3.5 --wait").await?, &["4.3.4"])?;
    bench.push_release("v4.3.5", |r| r.version = "4.3.5".parse().unwrap()).await?;
    resolved(&bench, "4.3.5", "Resolved").await?;
    // The name says another version.
    bench
        .apply("{apiVersion: product.alauda.io/v1alpha1, kind: ProductManifest, metadata: {name: v4.3.3}, spec: {version: 4.3.2}}")
        .await?;
    resolved(&bench, "4.3.3", "NameMismatch").await?;
    // Resolved once is resolved for good: a tag that moves is not followed.
    let path = format!("{MANIFESTS}/v4.3.7");
    let before = text(&bench.get(&path).await?, "/status/image").to_owned();
    let moved = bench
        .push_release("v4.3.7", |r| {
            r.version = "4.3.7".parse().unwrap();
            r.min_cvo = "4.2.0".parse().unwrap();
        })
        .await?;
    ensure!(!before.ends_with(&moved.digest), "the tag did not move");
    tokio::time::sleep(Duration::from_secs(6)).await;
    ensure!(text(&bench.get(&path).await?, "/status/image") == before, "the tag was followed");
    // Whoever makes it be resolved again is told, and it is no longer offered.
    let (repository, _) = before.split_once('@').context("an image with a digest")?;
    let other = json!({ "spec": { "image": format!("{repository}@{}", moved.digest) } });
    bench.merge(&path, &other).await?;
    resolved(&bench, "4.3.7", "ImageMoved").await?;
    ensure!(text(&bench.get(&path).await?, "/status/image") == before, "it was followed");
    let offers = |c: &Value| c["status"]["availableUpdates"].to_string().contains("4.3.7");
    bench.cvsh_until("4.3.7 not to be offered", LIMIT, |c| !offers(c)).await?;
    bench.merge(&path, &json!({ "spec": { "image": before } })).await?;
    resolved(&bench, "4.3.7", "Resolved").await?;
    bench.offered("4.3.7").await?;
    Ok(())
}
