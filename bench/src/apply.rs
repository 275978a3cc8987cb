//! Changing every object of a large chart: the product's own executor beside what a user would
//! take, on one API server, each in a namespace of its own.

mod chart;
mod patches;

use crate::measure::{median, say, settle, timed};
use crate::results::{Goal, Row};
use anyhow::{Context as _, Result, bail, ensure};
use api::release::Component;
pub(crate) use chart::TEMPLATE;
use chart::{NAME, OBJECTS};
use cluster::Live;
use cluster::execute::{ContentError, Contents, Executor};
use cluster::render::Helm;
use e2e::t2::{ADMINISTRATOR, Bench};
use jiff::Timestamp;
pub(crate) use patches::Patches;
use planner::plan::ApplyStep;
use planner::{Step, StepResult};
use sandbox::process::{command, run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The least that any program must do that renders the chart with Helm.
pub(crate) const LOOP_AND_TEMPLATE: &str = "bare loop, 16 in flight, and helm template";
/// How often each is measured; the first time, the objects are made, which does not count.
const RUNS: u32 = 3;
/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(180);
/// The digest in the name of the release: its content is handed in.
const IMAGE: &str = "registry.invalid/acp/product-image@sha256:\
                     0000000000000000000000000000000000000000000000000000000000000000";

struct Chart(Arc<Vec<u8>>);

impl Contents for Chart {
    async fn content(&self, _: &str, _: &str) -> Result<Arc<Vec<u8>>, ContentError> {
        Ok(Arc::clone(&self.0))
    }
}

/// What every contestant works with.
struct Contest<'a> {
    bench: &'a Bench,
    helm: PathBuf,
    chart: PathBuf,
    content: Chart,
    renderer: Helm,
    server: Live,
}

/// Seconds of each contestant, one figure a run.
#[derive(Default)]
struct Figures {
    ours: Vec<f64>,
    kubectl: Vec<f64>,
    helm: Vec<f64>,
    patches: Vec<f64>,
    template: Vec<f64>,
}

/// The rows of this work.
///
/// # Errors
/// When a contestant fails.
pub(crate) async fn rows(bench: &Bench, helm: &Path) -> Result<Vec<Row>> {
    let contest = Contest::prepare(bench, helm).await?;
    let mut figures = Figures::default();
    for revision in 0..=RUNS {
        say(&format!("{OBJECTS} objects, revision {revision} of {RUNS}"));
        contest.round(revision, &mut figures).await?;
    }
    let unchanged = contest.unchanged(RUNS).await?;
    figures.rows(unchanged)
}

impl<'a> Contest<'a> {
    async fn prepare(bench: &'a Bench, helm: &Path) -> Result<Self> {
        let archive = chart::archive()?;
        let path = bench.folder().join("many-1.0.0.tgz");
        std::fs::write(&path, &archive)?;
        for namespace in ["ours", "kubectl", "helm", "patches"] {
            bench.kubectl(&["create", "namespace", namespace]).await?;
        }
        let kubeconfig = bench.folder().join("bench.kubeconfig");
        let token = bench.token("kube-system", "administrator").await?;
        std::fs::write(&kubeconfig, bench.kubeconfig_of(&token)?)?;
        let read = kube::config::Kubeconfig::read_from(&kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(read, &Default::default()).await?;
        Ok(Self {
            bench,
            helm: helm.to_owned(),
            chart: path,
            content: Chart(Arc::new(archive)),
            renderer: Helm::new(helm.to_owned(), bench.folder().join("charts")),
            server: Live::new(config)?,
        })
    }

    /// One revision by each; that of revision 0 makes the objects and is not kept.
    async fn round(&self, revision: u32, figures: &mut Figures) -> Result<()> {
        let (ours, _) = timed(self.ours(revision)).await?;
        self.until_recorded(revision).await?;
        settle().await;
        let rendered = self.bench.folder().join("rendered.yaml");
        std::fs::write(&rendered, self.template("kubectl", revision).await?)?;
        let (kubectl, ()) = timed(self.kubectl(&rendered)).await?;
        settle().await;
        let (helm, ()) = timed(self.helm(revision)).await?;
        settle().await;
        let (template, text) = timed(self.template("patches", revision)).await?;
        let patches = Patches::of(&text, self.bench)?;
        let (sent, count) = timed(patches.send()).await?;
        ensure!(count == OBJECTS, "the loop sent {count} patches");
        settle().await;
        if revision > 0 {
            figures.ours.push(ours);
            figures.kubectl.push(kubectl);
            figures.helm.push(helm);
            figures.patches.push(sent);
            figures.template.push(template);
        }
        say(&format!(
            "ours {ours:.2} s, kubectl {kubectl:.2} s, helm {helm:.2} s, loop {sent:.2} s, \
             template {template:.2} s"
        ));
        Ok(())
    }

    /// One attempt of the executor: it renders, reads, plans, records what it intends and sends
    /// everything; then it looks at the health, which it does not wait for.
    async fn ours(&self, revision: u32) -> Result<StepResult> {
        let Value::Object(values) = json!({ "revision": revision }) else { bail!("an object") };
        let component: Component = serde_json::from_value(json!({
            "name": NAME,
            "version": format!("1.0.{revision}"),
            "chart": "charts/many-1.0.0.tgz",
            "namespace": "ours",
            "values": values,
        }))?;
        let step = Step::Apply(Box::new(ApplyStep {
            component,
            release: "4.3.0".to_owned(),
            image: IMAGE.to_owned(),
            images: Default::default(),
            predecessors: Default::default(),
            module_info: String::new(),
        }));
        let executor = Executor {
            home: &self.server,
            server: &self.server,
            renderer: &self.renderer,
            contents: &self.content,
            cluster: api::names::GLOBAL,
            now: Timestamp::now(),
            kinds: Default::default(),
        };
        let outcome = executor.execute(&step).await;
        match outcome.result {
            StepResult::Blocked { reason, message, .. } => bail!("{}: {message}", reason.as_str()),
            result => Ok(result),
        }
    }

    /// All objects carry the revision, the AppRelease lists them all under it, and the component is
    /// Ready in the end.
    async fn until_recorded(&self, revision: u32) -> Result<()> {
        let path =
            format!("/apis/operator.alauda.io/v1alpha1/namespaces/cpaas-system/appreleases/{NAME}");
        let record = self.bench.get(&path).await?;
        let version = record.pointer("/spec/version").and_then(Value::as_str);
        let listed =
            record.pointer("/status/inventory").and_then(Value::as_array).map_or(0, Vec::len);
        let wanted = format!("1.0.{revision}");
        ensure!(
            version == Some(&wanted) && listed == OBJECTS,
            "the AppRelease records {listed} objects of version {version:?}"
        );
        let owned = format!("{}={NAME}", api::names::OWNER_LABEL);
        let words = ["get", "cm,deploy", "-n", "ours", "-l", &owned, "-o", "json"];
        let live: Value = serde_json::from_str(&self.bench.kubectl(&words).await?)?;
        let revision_text = revision.to_string();
        let carries = |object: &&Value| {
            let of_map = object.pointer("/data/revision");
            let env = "/spec/template/spec/containers/0/env/0/value";
            of_map.or_else(|| object.pointer(env)).and_then(Value::as_str) == Some(&revision_text)
        };
        let items = live["items"].as_array().context("a list")?;
        let carrying = items.iter().filter(carries).count();
        ensure!(carrying == OBJECTS, "{carrying} objects carry revision {revision}");
        // The controllers of a platform answer some twenty requests a second.
        let end = Instant::now() + LIMIT;
        loop {
            let result = self.ours(revision).await?;
            if result == StepResult::Done {
                return Ok(());
            }
            ensure!(Instant::now() < end, "the component does not become Ready: {result:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Applies the same again and counts the changing requests.
    async fn unchanged(&self, revision: u32) -> Result<usize> {
        let (_, from) = self.bench.requests(0)?;
        let result = self.ours(revision).await?;
        ensure!(result == StepResult::Done, "unchanged objects are not Ready: {result:?}");
        // The API server writes its log a moment later.
        settle().await;
        let (requests, _) = self.bench.requests(from)?;
        let ours = requests.iter().filter(|r| r.user == ADMINISTRATOR);
        let (changes, reads): (Vec<_>, Vec<_>) = ours.partition(|r| r.is_change());
        ensure!(!reads.is_empty(), "the audit log shows nothing of ours");
        Ok(changes.len())
    }

    async fn template(&self, namespace: &str, revision: u32) -> Result<String> {
        let mut helm = command(&self.helm, ["template", NAME]);
        helm.arg(&self.chart).args(["--namespace", namespace]);
        helm.args(["--set", &format!("revision={revision}")]);
        run(&mut helm, LIMIT).await
    }

    async fn kubectl(&self, rendered: &Path) -> Result<()> {
        let mut kubectl = self.bench.plane.kubectl();
        kubectl.args(["apply", "--server-side", "-f"]).arg(rendered);
        run(&mut kubectl, LIMIT).await.context("kubectl")?;
        Ok(())
    }

    async fn helm(&self, revision: u32) -> Result<()> {
        let mut helm = command(&self.helm, ["upgrade", "--install", NAME]);
        helm.arg(&self.chart).args(["--namespace", "helm"]);
        helm.args(["--set", &format!("revision={revision}"), "--kubeconfig"]);
        helm.arg(self.bench.plane.kubeconfig());
        run(&mut helm, LIMIT).await.context("helm")?;
        Ok(())
    }
}

impl Figures {
    fn rows(self, unchanged: usize) -> Result<Vec<Row>> {
        let name = format!("change all of {OBJECTS} objects of one chart");
        let ours = median(self.ours)?;
        let bare = median(self.patches)? + median(self.template)?;
        let row = |peer, value, goal| Row {
            name: name.clone(),
            unit: "s",
            ours,
            peer: Some((peer, value)),
            goal,
        };
        Ok(vec![
            row("kubectl apply --server-side", median(self.kubectl)?, Goal::TimesBetter(10.0)),
            row("helm upgrade", median(self.helm)?, Goal::TimesBetter(5.0)),
            row(LOOP_AND_TEMPLATE, bare, Goal::AtMostTimes(1.3)),
            Row {
                name: "the same, unchanged".to_owned(),
                unit: "changing requests",
                ours: f64::from(u32::try_from(unchanged)?),
                peer: None,
                goal: Goal::Nothing,
            },
        ])
    }
}
