//! The whole process: arguments in; stdout, stderr and exit status out.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod canaries;
mod errors;
mod hostile;
mod import_manifest;
mod record;
mod request;
mod server;
mod status;
mod verify;
mod watch;

use server::{Answer, Asked, Server};
use std::path::Path;
use std::process::{Command, Output};

/// Path of the objects that the commands read.
const SHADOWS: &str =
    "/apis/product.alauda.io/v1alpha1/namespaces/cpaas-system/clusterversionshadows";
const SHADOW: &str =
    "/apis/product.alauda.io/v1alpha1/namespaces/cpaas-system/clusterversionshadows/global";
const MANIFESTS: &str = "/apis/product.alauda.io/v1alpha1/productmanifests";
const PRODUCT_BASE: &str = "/apis/product.alauda.io/v1alpha2/productbases/base";

/// A user at a shell, with a kubeconfig of their own.
struct Shell {
    folder: tempfile::TempDir,
}

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Shell {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With a kubeconfig whose context `prod/global` is this server.
    fn at(server: &Server) -> Self {
        let shell = Self::new();
        shell.write("config", &kubeconfig("prod/global", &server.address.to_string()));
        shell
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The command as the user would run it, with nothing of this machine's environment.
    fn command(&self, program: &Path, line: &str) -> Command {
        let mut command = Command::new(program);
        command.args(line.split_whitespace()).env_clear().env("HOME", self.folder.path());
        if self.folder.path().join("config").exists() {
            command.env("KUBECONFIG", self.path("config"));
        }
        command
    }

    fn run(&self, line: &str) -> Ran {
        self.ran(&mut self.command(Path::new(env!("CARGO_BIN_EXE_ac")), line))
    }

    fn ran(&self, command: &mut Command) -> Ran {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            text.replace(&self.folder.path().display().to_string(), "~")
        };
        Ran { code: status.code().unwrap(), stdout: text(stdout), stderr: text(stderr) }
    }
}

impl Ran {
    /// Everything that the user sees, with the server's address made the same every time.
    fn text(&self, server: Option<&Server>) -> String {
        let address = server.map_or_else(|| "nowhere".to_owned(), |s| s.address.to_string());
        let Self { code, stdout, stderr } = self;
        format!("exit {code}\n--- stdout\n{stdout}--- stderr\n{stderr}").replace(&address, "SERVER")
    }
}

fn kubeconfig(context: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {context}\n\
         clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: u, user: {{token: secret-token}}}}]\n\
         contexts: [{{name: {context}, context: {{cluster: c, user: u}}}}]\n"
    )
}

/// A recorded object as the API server would send it.
fn recorded(name: &str) -> serde_json::Value {
    record::value(name)
}

fn ok(value: &serde_json::Value) -> Answer {
    Answer::Now(200, value.to_string())
}

fn list(kind: &str, items: &[serde_json::Value]) -> Answer {
    ok(&serde_json::json!({
        "apiVersion": "product.alauda.io/v1alpha1", "kind": format!("{kind}List"),
        "metadata": { "resourceVersion": "4711" }, "items": items,
    }))
}

/// An error as Kubernetes sends it.
fn refusal(code: u16, reason: &str, message: &str) -> Answer {
    let status = serde_json::json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": reason, "message": message, "metadata": {},
    });
    Answer::Now(code, status.to_string())
}

fn not_found() -> Answer {
    refusal(404, "NotFound", "the server could not find the requested resource")
}

/// A server that has one ClusterVersionShadow and some ProductManifests.
fn platform(shadow: &str, manifests: Vec<serde_json::Value>) -> Server {
    let shadow = recorded(shadow);
    Server::start(move |asked: &Asked| match (asked.method.as_str(), path(asked)) {
        ("GET" | "PATCH", SHADOW) => ok(&shadow),
        ("GET", SHADOWS) => list("ClusterVersionShadow", std::slice::from_ref(&shadow)),
        ("GET", MANIFESTS) => list("ProductManifest", &manifests),
        _ => not_found(),
    })
}

/// The path without its query.
fn path(asked: &Asked) -> &str {
    asked.path.split('?').next().unwrap()
}

/// A ProductManifest with the Ready condition given; none where the status is empty.
fn manifest(version: &str, ready: &str, reason: &str, message: &str) -> serde_json::Value {
    let mut value = serde_json::json!({
        "apiVersion": "product.alauda.io/v1alpha1", "kind": "ProductManifest",
        "metadata": { "name": format!("v{version}"), "resourceVersion": "5" },
        "spec": { "version": version },
    });
    if !ready.is_empty() {
        value["status"] = serde_json::json!({
            "image": "10.0.0.10:11443/acp/product-image@sha256:1ab4",
            "conditions": [{
                "type": "Ready", "status": ready, "reason": reason, "message": message,
                "lastTransitionTime": "2026-11-22T09:56:00Z",
            }],
        });
    }
    value
}
