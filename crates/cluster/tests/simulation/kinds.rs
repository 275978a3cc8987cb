//! The kinds of what is recorded on a workload cluster: brought before anything is, waited for, and
//! brought anew where an older operator left them.

use crate::faults::Faults;
use crate::platform::object;
use crate::prng::Prng;
use crate::releases::{Shelf, Templates, image, release};
use crate::store::Store;
use crate::world::{World, start};
use api::names::{GLOBAL, NAMESPACE};
use api::objects::{AppRelease, ObjectRef, object_ref};
use cluster::execute::{Executor, Kinds};
use planner::plan::ApplyStep;
use planner::{Step, StepResult};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NAME: &str = "workload-a";
const COMPONENT: &str = "coredns";
const DEFINITION: &str = "appreleases.operator.alauda.io";
/// Attempts until a step must have come to its end.
const ATTEMPTS: usize = 20;

/// A workload cluster that nothing of the product was brought to.
fn world(name: &str) -> World {
    let stores =
        BTreeMap::from([(GLOBAL, Store::platform(start())), (NAME, Store::workload(start()))]);
    let world = World::of_all(stores, Faults::default(), Prng::new(0), name);
    world.server.outside(|store| store.register(NAME));
    world
}

/// The application of a component with a value.
fn step(value: &str) -> Step {
    let release = release("4.2.1");
    let (_, component) = release.components().find(|(_, c)| c.name == COMPONENT).unwrap();
    let mut component = component.clone();
    component.values.insert("value".to_owned(), json!(value));
    Step::Apply(Box::new(ApplyStep {
        component,
        image: image("4.2.1"),
        images: release.images.clone(),
        predecessors: release.predecessors.clone(),
        release: release.version.to_string(),
        module_info: String::new(),
    }))
}

/// One attempt on the workload cluster, as a round makes it.
fn attempt(world: &World, step: &Step) -> StepResult {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let executor = Executor {
        home: &world.server.of(GLOBAL, NAME),
        server: &world.server.of(NAME, NAME),
        renderer: &Templates,
        contents: &Shelf,
        cluster: NAME,
        now: world.now(),
        kinds: Kinds::default(),
    };
    runtime.block_on(executor.execute(step)).result
}

/// Attempts until it is done.
fn done(world: &World, step: &Step) {
    for _ in 0..ATTEMPTS {
        match attempt(world, step) {
            StepResult::Done => return,
            StepResult::Waiting(_) => drop(world.server.of(NAME, NAME).outside(Store::tick)),
            blocked @ StepResult::Blocked { .. } => world.panic(&format!("{blocked:?}")),
        }
    }
    world.panic("the component is not applied");
}

fn record() -> ObjectRef {
    object_ref::<AppRelease>(NAMESPACE, COMPONENT)
}

fn definition() -> ObjectRef {
    object("CustomResourceDefinition", "", DEFINITION)
}

/// The requests that change something, from the one with this number on.
fn changes(world: &World, from: usize) -> Vec<String> {
    let inner = world.server.lock();
    let all = inner.log.iter().filter(|line| !line.starts_with("     "));
    all.skip(from).cloned().collect()
}

fn at(all: &[String], what: &str) -> usize {
    let found = all.iter().position(|line| line.contains(what));
    found.unwrap_or_else(|| panic!("no {what} in {all:#?}"))
}

#[test]
fn nothing_is_recorded_before_its_kind_is_established() {
    let world = world("kinds that are not served yet");
    let waits = attempt(&world, &step("first"));
    let StepResult::Waiting(what) = waits else { panic!("{waits:?}") };
    assert!(what.contains(DEFINITION), "{what}");
    assert!(what.ends_with(" on cluster workload-a to be Established"), "{what}");
    let all = changes(&world, 0);
    assert!(!all.iter().any(|line| line.contains("AppRelease ")), "{all:#?}");
    done(&world, &step("first"));
    assert!(world.store_of(NAME).get(&record()).unwrap().is_some(), "it is recorded");
}

#[test]
fn an_older_definition_grows_before_anything_is_recorded_under_it() {
    let world = world("an operator that was upgraded meanwhile");
    done(&world, &step("first"));
    let whole = world.store_of(NAME).get(&definition()).unwrap().unwrap();
    world.server.of(NAME, NAME).outside(|store| {
        let older = |value: &mut Value| {
            let of_version = &mut value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            let status = of_version["properties"]["status"]["properties"].as_object_mut().unwrap();
            status.remove("drift").unwrap();
        };
        store.edit(&definition(), older).unwrap();
    });
    let before = changes(&world, 0).len();
    assert_eq!(attempt(&world, &step("first")), StepResult::Done);
    assert_eq!(changes(&world, before), [""; 0], "nothing is to be recorded");
    done(&world, &step("second"));
    let all = changes(&world, before);
    assert!(at(&all, DEFINITION) < at(&all, &record().to_string()), "{all:#?}");
    let grown = world.store_of(NAME).get(&definition()).unwrap().unwrap();
    assert_eq!(grown["spec"], whole["spec"]);
}
