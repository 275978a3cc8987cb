//! A real API server: plain requests over the kube client, each with a time-out, each write behind
//! the fence of the Lease.

mod answer;
mod depth;
mod discovery;
mod together;

use crate::call::CallError;
use crate::server::{ApiServer, ApplyOptions, ListQuery, PatchBody, Right};
use answer::Answer;
use api::names::FIELD_MANAGER;
use api::objects::ObjectRef;
use discovery::{Discovered, Kind};
use http::{Method, Request};
use kube::{Client, Config};
use planner::apply::Scopes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use together::Together;
use tokio::sync::RwLock;

/// How long a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a read is repeated that the server has no time for: a kind that was just defined is
/// not served from the first moment.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// How long the kinds that a server serves are taken as they were seen, unless a component that
/// brings kinds was just found healthy: a chart is never rendered without those of an earlier one.
const KINDS_FRESH: Duration = Duration::from_millis(900);
/// Objects in one page of a list.
const PAGE: usize = 500;
/// Most objects that one list may look at; more is an error, not a cut.
const LIST_LIMIT: usize = 200_000;

/// Tells whether this process may still write.
pub trait Fence: Send + Sync {
    /// Lets a write be sent while the Lease is held, by a monotonic clock. What is given is kept
    /// until the write is answered or given up.
    fn pass(&self) -> Option<Box<dyn Send>>;
}

/// Is told that the server tells what it holds.
pub trait Hearing: Send + Sync {
    /// A list just succeeded.
    fn listed(&self);
}

/// A real API server.
#[derive(Clone)]
pub struct Live {
    /// The error: why it is not known how the server is reached.
    client: Result<Client, CallError>,
    manager: &'static str,
    fence: Option<Arc<dyn Fence>>,
    hearing: Option<Arc<dyn Hearing>>,
    /// Where many ask.
    together: Option<Arc<Together>>,
    /// The kinds that are served, and when that was seen.
    discovered: Arc<RwLock<Option<(Instant, Discovered)>>>,
}

impl Live {
    /// A server under a configuration; calls are never repeated behind our back.
    ///
    /// # Errors
    /// When the configuration holds no usable credentials.
    pub fn new(mut config: Config) -> Result<Self, CallError> {
        // The client's own retries wait up to 1000 s and repeat writes: a round decides instead.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(5));
        let client = Client::try_from(config)?;
        Ok(Self::of_client(client))
    }

    /// A server behind an existing client.
    #[must_use]
    pub fn of_client(client: Client) -> Self {
        Self::with(Ok(client))
    }

    /// A server of which it is not known how it is reached: every call says so.
    #[must_use]
    pub fn unreachable(why: &str) -> Self {
        Self::with(Err(CallError::Unavailable(api::text::message(why))))
    }

    fn with(client: Result<Client, CallError>) -> Self {
        Self {
            client,
            manager: FIELD_MANAGER,
            fence: None,
            hearing: None,
            together: None,
            discovered: Arc::default(),
        }
    }

    /// Writes only while the fence lets it.
    #[must_use]
    pub fn behind(mut self, fence: Arc<dyn Fence>) -> Self {
        self.fence = Some(fence);
        self
    }

    /// The other server, with writes behind the same fence as those of this one.
    #[must_use]
    pub fn fenced_like(&self, other: Self) -> Self {
        Self { fence: self.fence.clone(), ..other }
    }

    /// Tells of every list that succeeds.
    #[must_use]
    pub fn heard_by(mut self, hearing: Arc<dyn Hearing>) -> Self {
        self.hearing = Some(hearing);
        self
    }

    /// Is read by many: what they ask for at the same time is read once for all of them, and only
    /// so much at a time.
    #[must_use]
    pub fn together(mut self) -> Self {
        self.together = Some(Arc::default());
        self
    }

    /// Applies under another field manager.
    #[must_use]
    pub const fn managed_by(mut self, manager: &'static str) -> Self {
        self.manager = manager;
        self
    }

    /// The client below, for watches.
    ///
    /// # Errors
    /// When it is not known how the server is reached.
    pub fn client(&self) -> Result<Client, CallError> {
        self.client.clone()
    }

    /// Reads, together with whoever asks for the same.
    async fn read(&self, request: Request<Vec<u8>>) -> Result<Value, CallError> {
        let Some(together) = &self.together else { return self.send(request).await };
        let accept = request.headers().get(http::header::ACCEPT).map(|a| a.as_bytes());
        let key = format!("{} {:?}", request.uri(), accept.map(String::from_utf8_lossy));
        let server = self.clone();
        together.read(key, async move { server.send(request).await }).await
    }

    /// Sends a request. A read for which the server has no time yet is sent again for a moment; a
    /// write never is: whoever made the round decides anew.
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Value, CallError> {
        let until = Instant::now() + BUSY_LIMIT;
        let is_read = request.method() == Method::GET;
        loop {
            match self.attempt(request.clone()).await? {
                Answer::Value(value) => return Ok(value),
                Answer::Busy { wait, error } => {
                    if !is_read || Instant::now() + wait > until {
                        return Err(error);
                    }
                    tracing::debug!(%error, ?wait, "asked again");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn attempt(&self, request: Request<Vec<u8>>) -> Result<Answer, CallError> {
        let path = request.uri().path().to_owned();
        let client = self.client()?;
        match tokio::time::timeout(CALL_TIMEOUT, answer::of(&client, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Unavailable(format!(
                "no answer to {path} within {} s",
                CALL_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Sends a write, where the fence lets it.
    async fn write(&self, request: Request<Vec<u8>>) -> Result<Value, CallError> {
        let _pass = match &self.fence {
            Some(fence) => Some(fence.pass().ok_or(CallError::NotLeader)?),
            None => None,
        };
        self.send(request).await
    }

    async fn kind(&self, api_version: &str, kind: &str) -> Result<Kind, CallError> {
        if let Some(found) = discovery::known(api_version, kind) {
            return Ok(found);
        }
        let cached =
            self.discovered.read().await.as_ref().and_then(|(_, d)| d.find(api_version, kind));
        if let Some(found) = cached {
            return Ok(found);
        }
        // A kind that is not known may have come since the last look.
        let discovered = self.discover().await?;
        discovered
            .find(api_version, kind)
            .ok_or_else(|| CallError::KindAbsent(format!("{kind} of {api_version}")))
    }

    async fn discover(&self) -> Result<Discovered, CallError> {
        let until = Instant::now() + BUSY_LIMIT;
        let client = self.client()?;
        let fresh = loop {
            let look = tokio::time::timeout(CALL_TIMEOUT, Discovered::read(&client)).await;
            match look.map_err(|_| CallError::Unavailable("no answer to discovery".to_owned()))? {
                Ok(fresh) => break fresh,
                Err(kube::Error::Api(status))
                    if status.code == 429 && Instant::now() + answer::DEFAULT_WAIT < until =>
                {
                    tokio::time::sleep(answer::DEFAULT_WAIT).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        *self.discovered.write().await = Some((Instant::now(), fresh.clone()));
        Ok(fresh)
    }

    async fn path(&self, object: &ObjectRef) -> Result<String, CallError> {
        let kind = self.kind(&object.api_version, &object.kind).await?;
        let namespace = Some(object.namespace.as_str()).filter(|n| !n.is_empty());
        Ok(format!("{}/{}", kind.path(&object.api_version, namespace), object.name))
    }
}

fn request(
    method: Method,
    path: &str,
    content: Option<(&str, &Value)>,
) -> Result<Request<Vec<u8>>, CallError> {
    let mut builder =
        Request::builder().method(method).uri(path).header("accept", "application/json");
    let mut body = Vec::new();
    if let Some((kind, value)) = content {
        builder = builder.header("content-type", kind);
        body = value.to_string().into_bytes();
    }
    builder.body(body).map_err(|error| CallError::Invalid(error.to_string()))
}

impl ApiServer for Live {
    async fn version(&self) -> Result<String, CallError> {
        let answer = self.send(request(Method::GET, "/version", None)?).await?;
        let version = answer.get("gitVersion").and_then(Value::as_str);
        version
            .map(str::to_owned)
            .ok_or_else(|| CallError::Unexpected("/version without gitVersion".to_owned()))
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, CallError> {
        let path = match self.path(object).await {
            Ok(path) => path,
            // Where the kind is not served there is no such object either.
            Err(CallError::KindAbsent(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        match self.read(request(Method::GET, &path, None)?).await {
            Ok(value) => Ok(Some(value)),
            Err(CallError::NotFound(_) | CallError::KindAbsent(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Value>, CallError> {
        self.list_where(query, |_| true).await
    }

    async fn list_where(
        &self,
        query: &ListQuery,
        wanted: fn(&Value) -> bool,
    ) -> Result<Vec<Value>, CallError> {
        let kind = self.kind(&query.api_version, &query.kind).await?;
        let base = kind.path(&query.api_version, query.namespace.as_deref());
        let labels = query
            .labels
            .as_ref()
            .map_or_else(String::new, |l| format!("&labelSelector={}", escape(l)));
        let mut next = String::new();
        let (mut all, mut seen) = (Vec::new(), 0);
        loop {
            let path = format!("{base}?limit={PAGE}{labels}{next}");
            let mut list = request(Method::GET, &path, None)?;
            if query.metadata_only {
                let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
                list.headers_mut().insert("accept", http::HeaderValue::from_static(accept));
            }
            let mut page = self.read(list).await?;
            if let Some(hearing) = &self.hearing {
                hearing.listed();
            }
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                seen += items.len();
                let items = items.into_iter().map(|item| listed(item, query)).filter(wanted);
                all.extend(items);
            }
            if seen > LIST_LIMIT {
                return Err(CallError::Unexpected(format!(
                    "more than {LIST_LIMIT} objects of kind {}",
                    query.kind
                )));
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => next = format!("&continue={}", escape(token)),
                _ => return Ok(all),
            }
        }
    }

    async fn apply(&self, body: &Value, options: ApplyOptions) -> Result<Value, CallError> {
        let object =
            planner::apply::reference(body).map_err(|e| CallError::Invalid(e.to_string()))?;
        let path = self.path(&object).await?;
        let force = options.force;
        let dry_run = if options.dry_run { "&dryRun=All" } else { "" };
        let path = format!("{path}?fieldManager={}&force={force}{dry_run}", self.manager);
        let content = Some(("application/apply-patch+yaml", body));
        self.write(request(Method::PATCH, &path, content)?).await
    }

    async fn create(&self, body: &Value) -> Result<Value, CallError> {
        let object =
            planner::apply::reference(body).map_err(|e| CallError::Invalid(e.to_string()))?;
        let path = self.path(&object).await?;
        let collection = path.rsplit_once('/').map_or(path.as_str(), |(head, _)| head);
        let path = format!("{collection}?fieldManager={}", self.manager);
        self.write(request(Method::POST, &path, Some(("application/json", body)))?).await
    }

    async fn delete(&self, live: &Value) -> Result<(), CallError> {
        let object =
            planner::apply::reference(live).map_err(|e| CallError::Invalid(e.to_string()))?;
        let path = self.path(&object).await?;
        let of_live = |pointer: &str| live.pointer(pointer).cloned().unwrap_or(Value::Null);
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {
                "uid": of_live("/metadata/uid"),
                "resourceVersion": of_live("/metadata/resourceVersion"),
            },
        });
        let content = Some(("application/json", &options));
        match self.write(request(Method::DELETE, &path, content)?).await {
            Ok(_) | Err(CallError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn patch(
        &self,
        object: &ObjectRef,
        subresource: Option<&str>,
        body: &PatchBody,
    ) -> Result<Value, CallError> {
        let path = self.path(object).await?;
        let below = subresource.map_or_else(String::new, |s| format!("/{s}"));
        let path = format!("{path}{below}?fieldManager={}", self.manager);
        let content = match body {
            PatchBody::Merge(value) => ("application/merge-patch+json", value),
            PatchBody::Json(value) => ("application/json-patch+json", value),
        };
        self.write(request(Method::PATCH, &path, Some(content))?).await
    }

    async fn scopes(&self, kinds: &[(String, String)]) -> Result<Scopes, CallError> {
        let mut scopes = Scopes::new();
        for (api_version, kind) in kinds {
            match self.kind(api_version, kind).await {
                Ok(found) => {
                    let group = api_version.split_once('/').map_or("", |(group, _)| group);
                    scopes.insert((group.to_owned(), kind.clone()), found.namespaced);
                }
                Err(CallError::KindAbsent(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(scopes)
    }

    async fn api_versions(&self) -> Result<Vec<String>, CallError> {
        if let Some((seen, discovered)) = self.discovered.read().await.as_ref()
            && seen.elapsed() < KINDS_FRESH
        {
            return Ok(discovered.api_versions());
        }
        Ok(self.discover().await?.api_versions())
    }

    async fn forget_kinds(&self) {
        *self.discovered.write().await = None;
    }

    async fn allowed(&self, right: &Right) -> Result<bool, CallError> {
        let kind = self.kind(&right.api_version, &right.kind).await?;
        let group = right.api_version.split_once('/').map_or("", |(group, _)| group);
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "verb": right.verb, "group": group, "resource": kind.plural, "namespace": right.namespace,
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer =
            self.send(request(Method::POST, path, Some(("application/json", &review)))?).await?;
        Ok(answer.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false))
    }
}

/// An item of a list, which carries neither apiVersion nor kind. Where only metadata is wanted,
/// nobody asks who wrote it, and that is most of it.
fn listed(mut item: Value, query: &ListQuery) -> Value {
    if let Some(item) = item.as_object_mut() {
        item.insert("apiVersion".to_owned(), json!(query.api_version));
        item.insert("kind".to_owned(), json!(query.kind));
    }
    let metadata = item.get_mut("metadata").filter(|_| query.metadata_only);
    if let Some(metadata) = metadata.and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    item
}

/// Escapes a value of a query.
fn escape(text: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
