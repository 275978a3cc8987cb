//! Decides how the rights of the operator are shown in the reference: those of the package, and
//! why each is granted that the job of the documents does not use.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use xtask::rights::{UNUSED, granted};

use super::Files;
use super::markdown::{code, page, table};

/// The roles whatever a release holds.
const ROLES: &str = "package/deploy/20-rbac.yaml";

/// The page of rights.
pub(super) fn generate(root: &Path, files: &mut Files) -> Result<()> {
    let roles = fs::read_to_string(root.join(ROLES)).with_context(|| ROLES.to_owned())?;
    let mut verbs: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for right in granted(&roles)? {
        let place = right.place();
        verbs.entry((right.resource, place)).or_default().push(code(&right.verb));
    }
    let rows: Vec<Vec<String>> = verbs
        .into_iter()
        .map(|((resource, place), verbs)| vec![code(&resource), verbs.join(" "), place])
        .collect();
    let reasons: Vec<Vec<String>> = UNUSED
        .iter()
        .map(|unused| {
            let resource = match unused.resource {
                "*" => "every kind of a release".to_owned(),
                name => code(name),
            };
            let verbs: Vec<String> = unused.verbs.iter().map(|verb| code(verb)).collect();
            vec![resource, verbs.join(" "), unused.why.to_owned()]
        })
        .collect();
    let text = format!(
        "\
What the operator may do on the global cluster, whatever a release holds.

{}
Each release brings one more ClusterRole, generated from its charts: for every kind in them `get`,
`list`, `create`, `patch` and, where objects of the kind may be deleted, `delete`.

## Rights that are rarely used

A test compares what is granted with what the operator asked for during the job of the documents.
Whatever is left over stands here with its reason; there is nothing else.

{}
",
        table(&["Resource", "Verbs", "Where"], &rows),
        table(&["Resource", "Verbs", "Why"], &reasons),
    );
    files.insert("docs/reference/rights.md".to_owned(), page("Rights of the operator", &text));
    Ok(())
}
