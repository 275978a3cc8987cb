//! Plugins each of which leads to the next and the last to the first: by what they need, or by what
//! has to move before them.

use super::dependencies::matches;
use super::world::{InfoFacts, World};
use api::objects::{Dependency, ModuleName};
use std::collections::BTreeSet;

/// Most names that are followed from one to the next.
const DEPTH_LIMIT: usize = 64;

/// A way from a name back to itself; None: there is none.
pub(crate) fn circle(first: &str, leads_to: &dyn Fn(&str) -> Vec<String>) -> Option<Vec<String>> {
    let mut path = vec![first.to_owned()];
    closes(leads_to(first), &mut path, &mut BTreeSet::new(), leads_to).then_some(path)
}

/// What was followed once leads nowhere a second time.
fn closes(
    next: Vec<String>,
    path: &mut Vec<String>,
    seen: &mut BTreeSet<String>,
    leads_to: &dyn Fn(&str) -> Vec<String>,
) -> bool {
    for name in next {
        let is_first = path.first() == Some(&name);
        if !is_first && (path.len() > DEPTH_LIMIT || !seen.insert(name.clone())) {
            continue;
        }
        path.push(name.clone());
        if is_first || closes(leads_to(&name), path, seen, leads_to) {
            return true;
        }
        path.pop();
    }
    false
}

/// What is said of plugins that wait for each other, and what to do.
pub(crate) fn circle_words(names: &[String]) -> (String, String) {
    (format!("they wait for each other: {}", names.join(" -> ")), OTHERS.to_owned())
}

/// What to do about plugins that lead in a circle.
pub(super) const OTHERS: &str = "ask the publisher of these plugins for other packages";

/// The plugins that move before one does: those that it needs in another version than they have,
/// and those that its publisher puts before it. `moving` gives the version of a plugin that is
/// still to move.
pub(crate) fn move_before<'a>(
    needs: &[Dependency],
    first: &[ModuleName],
    moving: impl Fn(&str) -> Option<&'a str>,
) -> Vec<String> {
    let needs = needs.iter().filter(|wanted| {
        moving(&wanted.module_name).is_some_and(|version| !matches(wanted, version))
    });
    let first = first.iter().filter(|other| moving(&other.module_name).is_some());
    let needs = needs.map(|wanted| &wanted.module_name);
    needs.chain(first.map(|other| &other.module_name)).cloned().collect()
}

/// The plugins that the upgrade of the cluster moves, each after the next, with this one.
pub(super) fn waits(world: &World, info: &InfoFacts) -> Option<Vec<String>> {
    let moving = |module: &str| {
        let info = world.info_of(module)?;
        world.moved_to(info).map(|_| info.status.version.as_str())
    };
    circle(&info.module, &|module| {
        let target = world.info_of(module).and_then(|info| world.moved_to(info));
        let config = target.and_then(|target| world.config(module, target));
        config.map_or_else(Vec::new, |config| {
            move_before(&config.spec.dependencies, &config.spec.upgrade_before, moving)
        })
    })
}
