//! How a call to an API server may fail, told apart by what follows from it.

use std::fmt;

/// A field that another manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldConflict {
    /// The manager that owns it.
    pub manager: String,
    /// Path of the field, as the API server writes it.
    pub field: String,
}

impl fmt::Display for FieldConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is owned by \"{}\"", self.field, self.manager)
    }
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no such object.
    #[error("not found: {0}")]
    NotFound(String),
    /// The API server does not know the kind.
    #[error("the API server does not know the kind {0}")]
    KindAbsent(String),
    /// The object is not the one that was read, or it is there already.
    #[error("changed meanwhile: {0}")]
    Conflict(String),
    /// Fields belong to other managers.
    #[error("fields belong to others: {}", list(.0))]
    FieldConflict(Vec<FieldConflict>),
    /// The credentials are not accepted.
    #[error("the API server does not accept the credentials: {0}")]
    Unauthorized(String),
    /// A right is missing; the text names the verb.
    #[error("{0}")]
    Forbidden(String),
    /// The API server refuses the object.
    #[error("{0}")]
    Invalid(String),
    /// No answer, or a failure that may pass.
    #[error("{0}")]
    Unavailable(String),
    /// The answer is not what the API promises.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
    /// This process may no longer write: another one leads.
    #[error("the lease is not held any more; nothing was sent")]
    NotLeader,
}

fn list(conflicts: &[FieldConflict]) -> String {
    let all: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    api::text::names(&all)
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => of_status(&status),
            kube::Error::SerdeError(error) => {
                Self::Unexpected(api::text::line(&error.to_string(), 256))
            }
            // What such a program prints, and is called with, may be a credential.
            kube::Error::Auth(kube::client::AuthError::AuthExecRun { out, .. }) => {
                let what = "the program of the kubeconfig that gives the credentials failed";
                Self::Unauthorized(format!("{what} ({})", out.status))
            }
            other => {
                let said = api::failure::chain(&other);
                Self::Unavailable(api::text::line(steady(&said), 512))
            }
        }
    }
}

/// Without how long ago a certificate ended: that is another text at each look, and a status that
/// says it would be written each time.
fn steady(said: &str) -> &str {
    said.split_once(": verification time ").map_or(said, |(head, _)| head)
}

pub(crate) fn of_status(status: &kube::core::Status) -> CallError {
    let message = api::text::line(&status.message, 512);
    match status.code {
        401 => CallError::Unauthorized(message),
        403 => CallError::Forbidden(message),
        // A kind that is not served has no details; a missing object names itself.
        404 if status.details.as_ref().is_none_or(|d| d.name.is_empty()) => {
            CallError::KindAbsent(message)
        }
        404 => CallError::NotFound(message),
        409 => match field_conflicts(status) {
            conflicts if conflicts.is_empty() => CallError::Conflict(message),
            conflicts => CallError::FieldConflict(conflicts),
        },
        400 | 405 | 406 | 413 | 415 | 422 => CallError::Invalid(message),
        500 if is_unreadable(&status.message) => CallError::Invalid(message),
        _ => CallError::Unavailable(format!("{} ({})", message, status.code)),
    }
}

/// Whether the API server could not read what it was sent: a word in the place of a number. It says
/// so with the code of a failure of its own, but no waiting changes it.
fn is_unreadable(message: &str) -> bool {
    let words = ["cannot unmarshal", "failed to create typed", "quantities must match"];
    words.iter().any(|word| message.contains(word))
}

fn field_conflicts(status: &kube::core::Status) -> Vec<FieldConflict> {
    let causes = status.details.iter().flat_map(|d| &d.causes);
    causes
        .filter(|c| c.reason == "FieldManagerConflict")
        .map(|c| FieldConflict {
            // The message reads: conflict with "NAME" using v1 at TIME
            manager: c.message.split('"').nth(1).unwrap_or("another manager").to_owned(),
            field: c.field.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_certificate_is_told_in_the_same_words_each_time() {
        let said = "invalid peer certificate: certificate expired: verification time 1795771431 \
            (UNIX), but certificate is not valid after 1609459200 (186312231 seconds ago)";
        assert_eq!(steady(said), "invalid peer certificate: certificate expired");
        assert_eq!(steady("no route to host"), "no route to host");
    }

    #[test]
    fn only_what_no_waiting_changes_is_the_fault_of_the_object() {
        let of = |message: &str| {
            of_status(&kube::core::Status { code: 500, ..kube::core::Status::failure(message, "") })
        };
        for message in [
            "failed to create typed patch object (a/b; apps/v1, Kind=Deployment): expected string",
            "quantities must match the regular expression '^([+-]?[0-9.]+)$'",
        ] {
            assert!(matches!(of(message), CallError::Invalid(_)), "{message}");
        }
        for message in ["etcdserver: request timed out", "unable to decode an event", ""] {
            assert!(matches!(of(message), CallError::Unavailable(_)), "{message}");
        }
    }
}
