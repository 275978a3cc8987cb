//! What runs beside the operator, a tick at a time: workloads roll out, Jobs end, definitions are
//! served, what lost its owner is collected.

use crate::store::{Key, Store, reference};
use serde_json::{Value, json};

const CONTROLLER: &str = "kube-controller-manager";
/// Ticks until a workload is rolled out.
const ROLLOUT: u32 = 3;
/// Ticks until a Job ends.
const JOB: u32 = 2;

impl Store {
    /// One tick; tells whether anything is still under way.
    pub(crate) fn tick(&mut self) -> bool {
        let of_controllers = |key: &Key, value: &Value| {
            ["Deployment", "DaemonSet", "Job", "CustomResourceDefinition"].contains(&key.1.as_str())
                || value["metadata"].get("ownerReferences").is_some()
        };
        let found = self.objects.iter().filter(|(key, s)| of_controllers(key, &s.value));
        let all: Vec<(Key, Value)> = found.map(|(key, s)| (key.clone(), s.value.clone())).collect();
        let mut busy = false;
        for (key, value) in all {
            busy |= match key.1.as_str() {
                "Deployment" | "DaemonSet" => self.roll_out(&key.1, &value),
                "Job" => self.run_job(&value),
                "CustomResourceDefinition" => self.establish(&value),
                _ => self.collect(&key, &value),
            };
        }
        busy
    }

    fn roll_out(&mut self, kind: &str, value: &Value) -> bool {
        let metadata = &value["metadata"];
        let generation = metadata["generation"].as_i64().unwrap_or(1);
        let uid = metadata["uid"].as_str().unwrap_or_default().to_owned();
        let ticks = self.progress.entry((uid, generation)).or_insert(0);
        if *ticks >= ROLLOUT {
            return false;
        }
        *ticks += 1;
        let done = *ticks == ROLLOUT;
        let number = |wanted: i64| if done { wanted } else { 0 };
        let wanted = value["spec"]["replicas"].as_i64().unwrap_or(1);
        let status = if kind == "Deployment" {
            json!({
                "observedGeneration": generation,
                "replicas": wanted,
                "updatedReplicas": number(wanted),
                "availableReplicas": number(wanted),
            })
        } else {
            json!({
                "observedGeneration": generation,
                "desiredNumberScheduled": 1,
                "updatedNumberScheduled": number(1),
                "numberAvailable": number(1),
            })
        };
        self.set_status(value, status);
        true
    }

    fn run_job(&mut self, value: &Value) -> bool {
        let uid = value["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let ticks = self.progress.entry((uid.clone(), 0)).or_insert(0);
        if *ticks >= JOB {
            return false;
        }
        *ticks += 1;
        if *ticks == 1 {
            let pod = json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": format!("{name}-{uid}"),
                    "namespace": value["metadata"]["namespace"],
                    "ownerReferences": [{ "uid": uid, "kind": "Job", "name": name }],
                },
            });
            self.create(&pod, CONTROLLER).expect("the Pod of a Job is new");
            return true;
        }
        // The migration of an upgrade reads the ConfigMap that is a hook beside it.
        let starved = self.needs_config(value) && !self.has_config(value);
        let end = if self.failing_jobs.contains(&name) || starved { "Failed" } else { "Complete" };
        let condition =
            json!({ "type": end, "status": "True", "reason": "Ended", "message": "exit code 1" });
        self.set_status(value, json!({ "conditions": [condition] }));
        true
    }

    fn needs_config(&self, job: &Value) -> bool {
        let image = job.pointer("/spec/template/spec/containers/0/image").and_then(Value::as_str);
        job["metadata"]["name"] == "portal-migrate" && image.is_some_and(|i| !i.ends_with(":1.0.0"))
    }

    fn has_config(&self, job: &Value) -> bool {
        let job = reference(job);
        let config = crate::platform::object("ConfigMap", &job.namespace, &job.name);
        self.get(&config).is_ok_and(|found| found.is_some())
    }

    fn establish(&mut self, value: &Value) -> bool {
        let text = |pointer: &str| {
            value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let (group, kind) = (text("/spec/group"), text("/spec/names/kind"));
        for version in value["spec"]["versions"].as_array().into_iter().flatten() {
            let name = version["name"].as_str().unwrap_or_default();
            self.serve(&format!("{group}/{name}"), &kind, text("/spec/scope") == "Namespaced");
        }
        if value["status"]["conditions"].is_array() {
            return false;
        }
        let condition = json!({ "type": "Established", "status": "True", "reason": "Served" });
        self.set_status(value, json!({ "conditions": [condition] }));
        true
    }

    fn collect(&mut self, key: &Key, value: &Value) -> bool {
        let Some(owners) = value["metadata"]["ownerReferences"].as_array() else { return false };
        let alive = |owner: &Value| {
            self.objects.values().any(|s| s.value["metadata"]["uid"] == owner["uid"])
        };
        if owners.iter().any(alive) {
            return false;
        }
        self.remove(key, CONTROLLER);
        true
    }

    fn set_status(&mut self, value: &Value, status: Value) {
        let object = reference(value);
        let set = |value: &mut Value| {
            value["status"] = status;
            Ok(())
        };
        self.update(&object, true, CONTROLLER, set).expect("the object was just read");
    }
}
