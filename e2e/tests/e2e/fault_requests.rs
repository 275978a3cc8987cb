//! What happens around an upgrade that runs: the API server is away, rights are taken, somebody
//! wishes for something else at each stage, two administrators ask at once. Each has its end.

use crate::fault_writes::asked;
use anyhow::{Result, ensure};
use api::release::Release;
use e2e::faultd::{Faultd, Passage, Rule};
use e2e::t2::{Bench, Start, condition, is_completed_at, text};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What the operator does with the objects of a release.
const VERBS: [&str; 5] = ["create", "delete", "get", "list", "patch"];
const LIMIT: Duration = Duration::from_secs(60);
/// How long the API server is away: first nothing is answered, at another time it is refused.
const AWAY: [(Passage, Duration); 2] =
    [(Passage::Away, Duration::from_secs(30)), (Passage::Refused, Duration::from_secs(10))];
/// How long the operator is without its own rights.
const WITHOUT_RIGHTS: Duration = Duration::from_secs(8);
/// The bindings of the operator's own rights.
const OWN_RIGHTS: [&str; 2] = [
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/acp:cluster-version-operator",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/cpaas-system/rolebindings/cluster-version-operator",
];
/// The binding whose rights only the components of a release need.
const RELEASE_RIGHTS: &str = "acp:cluster-version-operator:v4.3.0";
/// What is written in each stage; refused, it holds the stage.
const STAGES: [(&str, &str); 3] = [
    ("foundation", "/customresourcedefinitions/platformnotices.console.cpaas.io"),
    ("console", "/configmaps/release-notes"),
    ("verification", "/configmaps/platform-health"),
];
/// Withdraws whatever is asked for.
const NO_WISH: &str = "kubectl patch cvsh global -n cpaas-system --type merge -p '{\"spec\":{\"desiredUpdate\":null}}'";

fn stage<'a>(cvsh: &'a Value, name: &str) -> &'a Value {
    let all = cvsh.pointer("/status/stages").and_then(Value::as_array);
    all.and_then(|all| all.iter().find(|s| text(s, "/name") == name)).unwrap_or(&Value::Null)
}

fn entries(cvsh: &Value) -> usize {
    cvsh.pointer("/status/history").and_then(Value::as_array).map_or(0, Vec::len)
}

/// Somebody changes their mind at each stage: nothing of it reaches the upgrade that runs.
#[tokio::test(flavor = "multi_thread")]
async fn wishes_in_flight_the_api_server_away_and_rights_taken() -> Result<()> {
    let (bench, faultd, start) = asked().await?;
    for (_, path) in STAGES {
        faultd.rule(Rule::every(path, 503));
    }
    let _operator = bench.operator(&start).await?;
    let mut image = String::new();
    for (number, (name, _)) in STAGES.into_iter().enumerate() {
        let what = format!("stage {name} to run");
        let running = |c: &Value| text(stage(c, name), "/phase") == "Running";
        let cvsh = faultd.explain(bench.cvsh_until(&what, LIMIT, running).await)?;
        if number == 0 {
            text(&cvsh, "/status/desired/image").clone_into(&mut image);
            higher(&bench, "4.3.9").await?;
        }
        faultd.explain(wishes(&bench, &image).await)?;
        if number == 0 {
            // The tag names another image from here on; the upgrade stays with its digest.
            let moved = bench.push_release("v4.3.0", |r| r.min_cvo = "4.2.0".parse().unwrap());
            ensure!(!image.ends_with(&moved.await?.digest), "the tag did not move");
        }
        match number {
            0 => away(&bench, &faultd, AWAY[0]).await?,
            1 => {
                rights(&bench).await?;
                own_rights(&bench).await?;
            }
            _ => away(&bench, &faultd, AWAY[1]).await?,
        }
        faultd.clear();
        for (_, path) in &STAGES[number + 1..] {
            faultd.rule(Rule::every(path, 503));
        }
    }
    let done = faultd.explain(bench.completed("4.3.0").await)?;
    ensure!(entries(&done) == 2, "one entry for one request: {done:#}");
    ensure!(text(&done, "/status/current/image") == image, "the digest that was accepted");
    bench.condition_becomes("Stalled", "False", "NotStalled").await?;
    Ok(())
}

/// A higher version is published that may follow any before it.
async fn higher(bench: &Bench, version: &str) -> Result<()> {
    let (at, range) = (version.parse()?, format!(">=4.0.0 <{version}").parse()?);
    let change = |release: &mut Release| {
        release.version = at;
        release.upgrade_from.range = range;
    };
    bench.push_release(&format!("v{version}"), change).await?;
    bench.publish(version).await
}

/// Changed, lowered, removed: refused or ignored, and said so; the wish of before is quiet again.
async fn wishes(bench: &Bench, image: &str) -> Result<()> {
    for (version, why) in [("4.3.9", "is under way and ends first"), ("4.1.0", "is lower than")] {
        bench.ask_for(version).await?;
        let what = format!("{version} to be refused in flight");
        let refused = |c: &Value| {
            let message = text(condition(c, "Reconciling"), "/message");
            message.contains(version) && message.contains("refused") && message.contains(why)
        };
        let cvsh = bench.cvsh_until(&what, LIMIT, refused).await?;
        ensure!(text(&cvsh, "/status/desired/version") == "4.3.0", "{cvsh:#}");
        ensure!(text(&cvsh, "/status/desired/image") == image, "{cvsh:#}");
        ensure!(entries(&cvsh) == 2, "{cvsh:#}");
    }
    bench.must(NO_WISH).await?;
    quiet(bench, "no wish").await?;
    bench.ask_for("4.3.0").await?;
    quiet(bench, "the wish of before").await
}

async fn quiet(bench: &Bench, what: &str) -> Result<()> {
    let what = format!("{what} to be no reason for a word");
    let quiet = |c: &Value| {
        let reconciling = condition(c, "Reconciling");
        text(reconciling, "/reason") == "Upgrading"
            && !text(reconciling, "/message").contains("refused")
    };
    bench.cvsh_until(&what, LIMIT, quiet).await?;
    Ok(())
}

/// While the API server is away nothing can be said; afterwards it goes on by itself.
async fn away(bench: &Bench, faultd: &Faultd, how: (Passage, Duration)) -> Result<()> {
    let (passage, time) = how;
    let before = bench.cvsh().await?;
    faultd.set_passage(passage);
    tokio::time::sleep(time).await;
    let after = bench.cvsh().await?;
    ensure!(before["status"] == after["status"], "written while nothing passes: {after:#}");
    faultd.set_passage(Passage::Open);
    leads_again(bench, &format!("{passage:?} for {time:?}")).await
}

/// The upgrade is where it was, and a leader is at it.
async fn leads_again(bench: &Bench, after: &str) -> Result<()> {
    let began = Instant::now();
    let leads = || bench.lease_is_fresh();
    sandbox::process::wait_until("the operator to lead again", LIMIT, leads).await?;
    eprintln!("{after}: leads again after {:?}", began.elapsed());
    let cvsh = bench.cvsh().await?;
    ensure!(entries(&cvsh) == 2 && !is_completed_at(&cvsh, "4.3.0"), "{cvsh:#}");
    Ok(())
}

/// What the operator itself may do is taken: where it cannot say so it says nothing, and it goes on
/// once it may again.
async fn own_rights(bench: &Bench) -> Result<()> {
    for path in OWN_RIGHTS {
        let mut binding = bench.get(path).await?;
        let before = bench.cvsh().await?;
        bench.kubectl(&["delete", "--raw", path]).await?;
        tokio::time::sleep(WITHOUT_RIGHTS).await;
        let after = bench.cvsh().await?;
        let same = ["history", "current", "desired"].map(|field| &after["status"][field]);
        let was = ["history", "current", "desired"].map(|field| &before["status"][field]);
        ensure!(same == was, "{path} was taken: {after:#}");
        bare(&mut binding);
        bench.apply(&binding.to_string()).await?;
        leads_again(bench, path).await?;
    }
    let what = "the upgrade to be at it again";
    let at_it = |c: &Value| {
        text(condition(c, "Reconciling"), "/reason") == "Upgrading"
            && text(condition(c, "Stalled"), "/reason") != "Forbidden"
    };
    bench.cvsh_until(what, LIMIT, at_it).await?;
    Ok(())
}

/// An object as it is made again.
fn bare(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|key, _| ["name", "namespace", "labels"].contains(&key.as_str()));
    }
}

/// A right that is missing is named; the upgrade waits for it and goes on once it is there.
async fn rights(bench: &Bench) -> Result<()> {
    let path = format!("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{RELEASE_RIGHTS}");
    let mut binding = bench.get(&path).await?;
    bench.kubectl(&["delete", "clusterrolebinding", RELEASE_RIGHTS]).await?;
    let old = RELEASE_RIGHTS.replace("4.3.0", "4.2.1");
    let mut other = bench.get(&path.replace(RELEASE_RIGHTS, &old)).await?;
    bench.kubectl(&["delete", "clusterrolebinding", &old, "--ignore-not-found"]).await?;
    let message = bench.condition_becomes("Stalled", "True", "Forbidden").await?;
    // Which right is missed first depends on the moment.
    let refused = ["may not ", "cannot "].iter().find_map(|mark| message.split_once(mark));
    let verb = refused.and_then(|(_, what)| what.split(' ').next()).unwrap_or_default();
    ensure!(VERBS.contains(&verb), "no verb: {message}");
    for binding in [&mut binding, &mut other] {
        bare(binding);
        bench.apply(&binding.to_string()).await?;
    }
    let what = "what was forbidden to be forgotten";
    let allowed = |c: &Value| text(condition(c, "Stalled"), "/reason") != "Forbidden";
    bench.cvsh_until(what, LIMIT, allowed).await?;
    Ok(())
}

/// Two administrators ask at once, for two versions: one of them is served, the other told.
#[tokio::test(flavor = "multi_thread")]
async fn two_administrators_ask_at_once() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    for version in ["4.3.0", "4.3.1"] {
        match version {
            "4.3.1" => higher(&bench, version).await?,
            _ => bench.publish(version).await?,
        }
        bench.offered(version).await?;
    }
    let wish = |version: &str| json!({ "spec": { "desiredUpdate": { "version": version } } });
    let path =
        "/apis/product.alauda.io/v1alpha1/namespaces/cpaas-system/clusterversionshadows/global";
    let (one, two) = (wish("4.3.0"), wish("4.3.1"));
    // Ten times in turn, so that both meet every moment of a round.
    for _ in 0..5 {
        let (one, two) = tokio::join!(bench.merge(path, &one), bench.merge(path, &two));
        one?;
        two?;
    }
    let what = "one of both wishes to be fulfilled";
    let served = |c: &Value| is_completed_at(c, "4.3.0") || is_completed_at(c, "4.3.1");
    let done = bench.cvsh_until(what, Duration::from_secs(120), served).await?;
    // Where the lower one was accepted first, the higher one is a request of its own and follows.
    let wished = text(&done, "/spec/desiredUpdate/version").to_owned();
    let fulfilled = |c: &Value| is_completed_at(c, &wished);
    let told = |c: &Value| text(condition(c, "Stalled"), "/reason") == "RequestRefused";
    let what = format!("{wished} to be there, or to be refused as lower");
    let end =
        bench.cvsh_until(&what, Duration::from_secs(120), |c| fulfilled(c) || told(c)).await?;
    let versions: Vec<&str> = end["status"]["history"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| text(entry, "/version"))
        .collect();
    let fits = [&["4.3.0", "4.2.1"][..], &["4.3.1", "4.2.1"][..], &["4.3.1", "4.3.0", "4.2.1"][..]];
    ensure!(fits.contains(&&versions[..]), "{versions:?}: {}", operator.said());
    let partial = end.pointer("/status/history/0/state").and_then(Value::as_str);
    ensure!(partial == Some("Completed"), "{end:#}");
    operator.terminate().await?;
    let start = Start { identity: "operator-b".to_owned(), ..Start::default() };
    let _operator = bench.operator(&start).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ensure!(entries(&bench.cvsh().await?) == versions.len(), "the next leader began it again");
    Ok(())
}
