//! What an error of the client means to the user.

use crate::failure::Failure;
use crate::foreign::plain;
use api::names::NAMESPACE;
use kube::{Resource, core::Status};

/// What a call is about, for the words of its failure.
pub(super) struct Call {
    pub(super) verb: &'static str,
    pub(super) resource: String,
    pub(super) namespace: Option<&'static str>,
}

impl Call {
    pub(super) fn of<K: Resource<DynamicType = ()>>(verb: &'static str, namespaced: bool) -> Self {
        let (plural, group) = (K::plural(&()), K::group(&()));
        let namespace = namespaced.then_some(NAMESPACE);
        Self { verb, resource: format!("{plural}.{group}"), namespace }
    }
}

/// The failure that an error of a call is.
pub(super) fn failure(error: kube::Error, call: &Call, server: &str, context: &str) -> Failure {
    match error {
        kube::Error::Api(status) => answered(&status, call, server, context),
        kube::Error::SerdeError(source) => Failure::Malformed(source),
        // The client's own word for a failed exchange tells the user nothing.
        kube::Error::Service(source) => unreachable_at(server, context, source),
        kube::Error::HyperError(source) => unreachable_at(server, context, Box::new(source)),
        other => unreachable_at(server, context, Box::new(other)),
    }
}

/// The API server does not answer.
pub(super) fn unreachable_at(
    server: &str,
    context: &str,
    source: Box<dyn std::error::Error + Send + Sync>,
) -> Failure {
    Failure::Unreachable { server: server.to_owned(), context: context.to_owned(), source }
}

/// The failure that an answer of the API server is.
pub(super) fn answered(status: &Status, call: &Call, server: &str, context: &str) -> Failure {
    let answer = plain(&status.message);
    match status.code {
        401 => Failure::Unauthorized { server: server.to_owned(), context: context.to_owned() },
        403 => Failure::Forbidden {
            verb: call.verb,
            resource: call.resource.clone(),
            namespace: call.namespace,
            answer,
        },
        code => Failure::Answer { verb: call.verb, resource: call.resource.clone(), code, answer },
    }
}
