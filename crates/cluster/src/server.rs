//! The narrow trait through which everything is read from and written to a cluster, so that the
//! simulation runs the same executor as the product.

use crate::call::CallError;
use api::objects::ObjectRef;
use planner::apply::Scopes;
use serde_json::Value;

/// Which objects are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only objects with these labels.
    pub labels: Option<String>,
    /// Only metadata is wanted: large lists of which little is read.
    pub metadata_only: bool,
}

impl ListQuery {
    /// Every object of a kind.
    #[must_use]
    pub fn all(api_version: &str, kind: &str) -> Self {
        Self { api_version: api_version.to_owned(), kind: kind.to_owned(), ..Self::default() }
    }

    /// Only in a namespace.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// Only with these labels.
    #[must_use]
    pub fn labelled(mut self, labels: &str) -> Self {
        self.labels = Some(labels.to_owned());
        self
    }
}

/// How an object is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApplyOptions {
    /// Fields of others are taken over.
    pub force: bool,
    /// Nothing is changed; only the answer counts.
    pub dry_run: bool,
}

/// How a status, or an object in place, is patched.
#[derive(Debug, Clone, PartialEq)]
pub enum PatchBody {
    /// RFC 7386.
    Merge(Value),
    /// RFC 6902.
    Json(Value),
}

/// A right, as an access review asks for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `create`, `patch`, `delete`.
    pub verb: String,
    /// The kind.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Empty for the whole cluster.
    pub namespace: String,
}

/// An API server.
pub trait ApiServer: Sync {
    /// The version it answers.
    fn version(&self) -> impl Future<Output = Result<String, CallError>> + Send;

    /// An object; None where there is none.
    fn get(
        &self,
        object: &ObjectRef,
    ) -> impl Future<Output = Result<Option<Value>, CallError>> + Send;

    /// Objects of a kind, all pages.
    fn list(&self, query: &ListQuery)
    -> impl Future<Output = Result<Vec<Value>, CallError>> + Send;

    /// Those objects of a kind that are wanted. Of a large list nothing else need be kept.
    fn list_where(
        &self,
        query: &ListQuery,
        wanted: fn(&Value) -> bool,
    ) -> impl Future<Output = Result<Vec<Value>, CallError>> + Send {
        async move {
            let mut all = self.list(query).await?;
            all.retain(wanted);
            Ok(all)
        }
    }

    /// Server-side apply under our field manager.
    fn apply(
        &self,
        body: &Value,
        options: ApplyOptions,
    ) -> impl Future<Output = Result<Value, CallError>> + Send;

    /// Creates an object; it must not be there.
    fn create(&self, body: &Value) -> impl Future<Output = Result<Value, CallError>> + Send;

    /// Deletes the object that was read, by its uid and resourceVersion.
    fn delete(&self, live: &Value) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Patches an object, or its status.
    fn patch(
        &self,
        object: &ObjectRef,
        subresource: Option<&str>,
        body: &PatchBody,
    ) -> impl Future<Output = Result<Value, CallError>> + Send;

    /// Which of these kinds live in a namespace; kinds that are not served are left out.
    fn scopes(
        &self,
        kinds: &[(String, String)],
    ) -> impl Future<Output = Result<Scopes, CallError>> + Send;

    /// Every kind that is served, as charts ask for them (`apps/v1`, `apps/v1/Deployment`).
    fn api_versions(&self) -> impl Future<Output = Result<Vec<String>, CallError>> + Send;

    /// Kinds may have come or gone: the next look is a fresh one.
    fn forget_kinds(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Whether we have a right.
    fn allowed(&self, right: &Right) -> impl Future<Output = Result<bool, CallError>> + Send;
}
