//! Turns charts and manifests into objects: charts by the real `helm template`, with values on
//! stdin, limits on time and output, and at most two children at a time.

use crate::kept::Kept;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

/// How long one rendering may take.
const RENDER_TIMEOUT: Duration = Duration::from_secs(12);
/// Largest output of one rendering, in bytes.
const OUTPUT_LIMIT: u64 = 32 * 1024 * 1024;
/// Helm children at a time: each may take a hundred megabytes.
const CHILDREN: usize = 2;
/// How long a rendering waits for the others; the rest of a round is for its own.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of renderings that are kept, counted as text, of which they take a few times as much; the
/// same inputs always give the same objects.
const KEPT: usize = 16 * 1024 * 1024;

/// What is rendered.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderRequest {
    /// Name of the Helm release.
    pub name: String,
    /// Namespace of the Helm release.
    pub namespace: String,
    /// The chart (a tgz), or the text of plain manifests.
    pub content: Arc<Vec<u8>>,
    /// Whether the content is a chart.
    pub is_chart: bool,
    /// Values of the chart.
    pub values: Value,
    /// Version of the API server.
    pub kubernetes: String,
    /// Kinds that the API server serves.
    pub api_versions: Vec<String>,
    /// Whether the component is new.
    pub is_install: bool,
}

impl RenderRequest {
    /// The same request has the same key.
    fn key(&self) -> api::Digest {
        let content = api::Digest::of(&self.content);
        let rest = serde_json::json!([
            self.name,
            self.namespace,
            content,
            self.is_chart,
            self.values,
            self.kubernetes,
            self.api_versions,
            self.is_install
        ]);
        api::Digest::of(rest.to_string().as_bytes())
    }
}

/// A chart or manifest that gives no objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Helm refuses the chart.
    #[error("helm: {0}")]
    Refused(String),
    /// The output is no list of objects.
    #[error("{0}")]
    Output(String),
    /// Helm could not be run, or did not end in time.
    #[error("{0}")]
    Unavailable(String),
}

/// Renders charts.
pub trait Renderer: Sync {
    /// The objects of a chart, hooks included.
    fn render(
        &self,
        request: &RenderRequest,
    ) -> impl Future<Output = Result<Vec<Value>, RenderError>> + Send;
}

/// The real helm.
#[derive(Debug)]
pub struct Helm {
    program: PathBuf,
    folder: PathBuf,
    children: Semaphore,
    kept: Mutex<Kept<Vec<Value>>>,
}

impl Helm {
    /// `program` is the helm binary, `folder` a place for charts while they are rendered.
    #[must_use]
    pub fn new(program: PathBuf, folder: PathBuf) -> Self {
        let (children, kept) = (Semaphore::new(CHILDREN), Mutex::new(Kept::new(KEPT)));
        Self { program, folder, children, kept }
    }

    /// The turn of a rendering, within a round.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, RenderError> {
        match tokio::time::timeout(TURN_TIMEOUT, self.children.acquire()).await {
            Ok(turn) => turn.map_err(|e| RenderError::Unavailable(format!("helm: {e}"))),
            Err(_) => Err(RenderError::Unavailable(format!(
                "helm renders other charts for {} s",
                TURN_TIMEOUT.as_secs()
            ))),
        }
    }

    async fn kept(&self, key: &api::Digest) -> Option<Vec<Value>> {
        self.kept.lock().await.get(key).map(|kept| kept.as_ref().clone())
    }

    async fn template(&self, request: &RenderRequest) -> Result<String, RenderError> {
        let unavailable = |what: &str, error: &dyn std::fmt::Display| {
            RenderError::Unavailable(format!("{what}: {error}"))
        };
        tokio::fs::create_dir_all(&self.folder)
            .await
            .map_err(|e| unavailable("the folder for charts", &e))?;
        let chart = self.folder.join(format!("{}.tgz", api::Digest::of(&request.content).hex()));
        if !tokio::fs::try_exists(&chart).await.unwrap_or(false) {
            let partial = chart.with_extension("partial");
            tokio::fs::write(&partial, request.content.as_slice())
                .await
                .map_err(|e| unavailable("the chart", &e))?;
            tokio::fs::rename(&partial, &chart).await.map_err(|e| unavailable("the chart", &e))?;
        }
        let mut command = tokio::process::Command::new(&self.program);
        command
            .env_clear()
            .env("HOME", &self.folder)
            .arg("template")
            .arg(&request.name)
            .arg(&chart)
            .args(["--namespace", &request.namespace, "--values", "-", "--include-crds"])
            .args(["--kube-version", &request.kubernetes])
            .args(if request.is_install { &[][..] } else { &["--is-upgrade"][..] })
            .args(request.api_versions.iter().flat_map(|v| ["--api-versions", v.as_str()]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let run = run(command, request.values.to_string());
        match tokio::time::timeout(RENDER_TIMEOUT, run).await {
            Ok(result) => result,
            Err(_) => Err(RenderError::Unavailable(format!(
                "helm did not end within {} s",
                RENDER_TIMEOUT.as_secs()
            ))),
        }
    }
}

async fn run(mut command: tokio::process::Command, values: String) -> Result<String, RenderError> {
    let unavailable = |error: std::io::Error| RenderError::Unavailable(format!("helm: {error}"));
    let mut child = command.spawn().map_err(|error| match error.kind() {
        // No waiting brings a program that is not there.
        ErrorKind::NotFound | ErrorKind::PermissionDenied => {
            RenderError::Refused(format!("the program cannot be run: {error}"))
        }
        _ => unavailable(error),
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // Helm may end before it read everything; its own words say why.
            if stdin.write_all(values.as_bytes()).await.is_ok() {
                stdin.shutdown().await.ok();
            }
        }
    };
    let read = async |stream: Option<tokio::process::ChildStdout>| {
        let mut out = Vec::new();
        if let Some(stream) = stream {
            stream.take(OUTPUT_LIMIT + 1).read_to_end(&mut out).await.map_err(unavailable)?;
        }
        Ok::<_, RenderError>(out)
    };
    let read_error = async {
        let mut out = Vec::new();
        if let Some(stream) = stderr {
            stream.take(16 * 1024).read_to_end(&mut out).await.map_err(unavailable)?;
        }
        Ok::<_, RenderError>(out)
    };
    let ((), out, errors) = tokio::join!(feed, read(stdout), read_error);
    let (out, errors) = (out?, errors?);
    if out.len() as u64 > OUTPUT_LIMIT {
        return Err(RenderError::Output(format!("the chart gives more than {OUTPUT_LIMIT} bytes")));
    }
    let status = child.wait().await.map_err(unavailable)?;
    if !status.success() {
        return Err(RenderError::Refused(api::text::line(&String::from_utf8_lossy(&errors), 512)));
    }
    String::from_utf8(out)
        .map_err(|_| RenderError::Output("the chart gives text that is not UTF-8".to_owned()))
}

impl Renderer for Helm {
    async fn render(&self, request: &RenderRequest) -> Result<Vec<Value>, RenderError> {
        let key = request.key();
        if let Some(kept) = self.kept(&key).await {
            return Ok(kept);
        }
        let (objects, bytes) = if request.is_chart {
            let _turn = self.turn().await?;
            // Others that waited as well asked for the same: clusters share their charts.
            if let Some(kept) = self.kept(&key).await {
                return Ok(kept);
            }
            let text = self.template(request).await?;
            (objects(&text)?, text.len())
        } else {
            let text = std::str::from_utf8(&request.content)
                .map_err(|_| RenderError::Output("the manifests are not UTF-8".to_owned()))?;
            (objects(text)?, text.len())
        };
        self.kept.lock().await.keep(key, Arc::new(objects.clone()), bytes);
        Ok(objects)
    }
}

/// The objects of a stream of YAML documents; `List`s are taken apart.
///
/// # Errors
/// When a document is no YAML or no object.
pub fn objects(text: &str) -> Result<Vec<Value>, RenderError> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| {
        RenderError::Output(format!("not YAML: {}", api::text::line(&error.to_string(), 256)))
    })?;
    let mut all = Vec::new();
    for mut document in documents {
        match &document {
            Value::Null => {}
            Value::Object(map) if map.is_empty() => {}
            Value::Object(map) if map.get("kind").and_then(Value::as_str) == Some("List") => {
                if let Some(Value::Array(items)) = document.get_mut("items").map(Value::take) {
                    all.extend(items);
                }
            }
            Value::Object(_) => all.push(document),
            _ => return Err(RenderError::Output("a document is no object".to_owned())),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rendering_does_not_wait_for_others_beyond_its_round() {
        let helm = Helm::new("/nonexistent/helm".into(), std::env::temp_dir());
        let _others = helm.children.acquire_many(u32::try_from(CHILDREN).unwrap()).await.unwrap();
        let request = RenderRequest {
            name: "own".to_owned(),
            namespace: "kube-system".to_owned(),
            content: Arc::new(b"chart".to_vec()),
            is_chart: true,
            values: Value::Null,
            kubernetes: "v1.33.13".to_owned(),
            api_versions: Vec::new(),
            is_install: true,
        };
        let begun = std::time::Instant::now();
        let error = helm.render(&request).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(matches!(error, RenderError::Unavailable(_)), "it is tried again: {error}");
        // What was rendered meanwhile needs no turn.
        helm.kept.lock().await.keep(request.key(), Arc::new(vec![Value::Bool(true)]), 4);
        assert_eq!(helm.render(&request).await.unwrap(), [Value::Bool(true)]);
    }
}
