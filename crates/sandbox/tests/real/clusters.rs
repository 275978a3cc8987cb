//! A real cluster and the platform registry: needs root and takes about a minute. It uses addresses
//! and names of its own, so it runs beside a sandbox that is up.

use std::path::Path;
use std::time::Duration;

use crate::pushing::{client, push, reference};
use sandbox::image::{Contents, Image};
use sandbox::lifecycle::{GLOBAL, Options, Sandbox};
use sandbox::process::{command, run, run_with_input, wait_until};
use sandbox::{Narrator, default_cache};

const MINUTE: Duration = Duration::from_secs(60);

fn sandbox() -> Sandbox {
    let environment = |name: &str| std::env::var_os(name);
    let cache =
        default_cache(environment("XDG_CACHE_HOME").as_deref(), environment("HOME").as_deref())
            .unwrap();
    let mut options = Options::of_sandboxes(&cache);
    options.clusters = vec![GLOBAL.to_owned()];
    Sandbox::new(options, Narrator::stderr())
}

/// What a sandbox with the tag makes outside its folder.
fn traces() -> Vec<String> {
    let mut found = Vec::new();
    let mut hierarchies: Vec<_> = std::fs::read_dir("/sys/fs/cgroup").unwrap().collect();
    let mut folders = vec![Path::new("/run/netns").to_owned(), "/sys/class/net".into()];
    folders.extend(hierarchies.drain(..).map(|one| one.unwrap().path()).filter(|one| one.is_dir()));
    for folder in folders {
        let Ok(listed) = std::fs::read_dir(&folder) else { continue };
        let names = listed.map(|entry| entry.unwrap().path().display().to_string());
        found.extend(names.filter(|name| name.contains("/acpt-")));
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains("sandbox-test")).map(str::to_owned));
    for process in std::fs::read_dir("/proc").unwrap() {
        let process = process.unwrap().path();
        let said = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).replace('\0', " ");
        if said.contains("sandbox-test/") {
            found.push(said);
        }
    }
    found
}

fn pod(name: &str, image: &str, secret: Option<&str>) -> String {
    let secrets =
        secret.map_or(String::new(), |name| format!("imagePullSecrets: [{{name: {name}}}]"));
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  {secrets}\n  containers:\n  \
         - {{name: it, image: {image}, command: [/bin/busybox, sh, -c, 'echo hello; sleep 3600']}}\n"
    )
}

async fn apply(sandbox: &Sandbox, text: &str) {
    let mut apply = sandbox.kubectl(GLOBAL).unwrap();
    run_with_input(apply.args(["apply", "-f", "-"]), text.as_bytes(), MINUTE).await.unwrap();
}

async fn get(sandbox: &Sandbox, words: &[&str]) -> String {
    run(sandbox.kubectl(GLOBAL).unwrap().args(words), MINUTE).await.unwrap()
}

async fn pods_need_the_pull_secret(sandbox: &Sandbox) {
    let registry = sandbox.registry();
    let accounts = registry.credentials().unwrap();
    let image = Image::build(&Contents {
        programs: vec![("bin/busybox".to_owned(), "/bin/busybox".into())],
        links: Vec::new(),
        entrypoint: vec!["/bin/busybox".to_owned()],
    })
    .unwrap();
    // A client keeps the first account it is given for a registry, so each account gets its own.
    let authority = registry.authority();
    let name = format!("{}/test/busybox:1", registry.address());
    let refused =
        push(&client(&authority), &reference(&name), &accounts.pull, &image).await.unwrap_err();
    assert!(format!("{refused:?}").contains("can only pull"), "{refused:?}");
    push(&client(&authority), &reference(&name), &accounts.push, &image).await.unwrap();

    let mut secret = sandbox.kubectl(GLOBAL).unwrap();
    secret.args(["create", "secret", "docker-registry", "pull", "--docker-server"]);
    secret.arg(registry.address());
    secret.args(["--docker-username", &accounts.pull.name]);
    secret.args(["--docker-password", &accounts.pull.password]);
    run(&mut secret, MINUTE).await.unwrap();
    apply(sandbox, &pod("without-secret", &name, None)).await;
    let reason = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
    wait_until("the Pod without the pull secret to be refused", MINUTE, || async {
        let said = get(sandbox, &["get", "pod", "without-secret", "-o", reason]).await;
        Ok(said == "ErrImagePull" || said == "ImagePullBackOff")
    })
    .await
    .unwrap();

    // Only now: an image that is on the node would not be asked for again.
    apply(sandbox, &pod("with-secret", &name, Some("pull"))).await;
    wait_until("the Pod with the pull secret to be Running", MINUTE, || async {
        let phase = ["get", "pod", "with-secret", "-o", "jsonpath={.status.phase}"];
        Ok(get(sandbox, &phase).await == "Running")
    })
    .await
    .unwrap();
    assert_eq!(get(sandbox, &["logs", "with-secret"]).await.trim(), "hello");

    let log = registry.access_log().unwrap();
    let pulled = |account: &str, status: u16| {
        let path = "/v2/test/busybox/manifests/1";
        log.iter().any(|one| {
            one.account == account && one.status == status && one.path == path && !one.writes()
        })
    };
    assert!(pulled(&accounts.pull.name, 200), "{log:?}");
    assert!(pulled("", 401), "{log:?}");
    assert!(log.iter().any(|one| one.writes() && one.status == 403), "{log:?}");
    let bytes = image.layer.len() as u64;
    assert!(log.iter().any(|one| one.received == bytes && one.account == accounts.push.name));
}

async fn pods_reach_services_on_their_own_node(sandbox: &Sandbox) {
    let name = format!("{}/test/busybox:1", sandbox.registry().address());
    let server = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: server, labels: {{app: server}}}}\nspec:\n  \
         imagePullSecrets: [{{name: pull}}]\n  containers:\n  - name: it\n    image: {name}\n    \
         command: [/bin/busybox, sh, -c, 'mkdir /w; echo served > /w/index.html; \
         exec busybox httpd -f -p 80 -h /w']\n---\napiVersion: v1\nkind: Service\nmetadata: \
         {{name: server}}\nspec: {{selector: {{app: server}}, ports: [{{port: 80}}]}}\n"
    );
    apply(sandbox, &server).await;
    let ip = get(sandbox, &["get", "service", "server", "-o", "jsonpath={.spec.clusterIP}"]).await;
    // Of the static busybox only what needs no name services works; its wget does not.
    let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 3 {ip} 80");
    wait_until("a Pod to reach a Service of its own node", MINUTE, || async {
        let mut fetch = sandbox.kubectl(GLOBAL).unwrap();
        fetch.args(["exec", "with-secret", "--", "/bin/busybox", "sh", "-c", &ask]);
        Ok(run(&mut fetch, MINUTE).await?.trim().ends_with("served"))
    })
    .await
    .unwrap();
}

async fn the_node_is_a_machine_of_its_own(sandbox: &Sandbox) {
    let mut there = sandbox.on_node(GLOBAL, "sh").unwrap();
    there.args(["-c", "hostname; test -s /etc/kubernetes/admin.conf && kubectl get node -o name"]);
    // On the node the default kubeconfig of the documents is there.
    there.env("KUBECONFIG", "/etc/kubernetes/admin.conf");
    let said = run(&mut there, MINUTE).await.unwrap();
    assert_eq!(said.trim(), "global-cp-1\nnode/global-cp-1");
    let pods = ["get", "pod", "-n", "kube-system", "-o", "name"];
    let listed = get(sandbox, &pods).await;
    for part in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
        assert!(listed.contains(&format!("{part}-global-cp-1")), "{listed}");
    }
    let audit = std::fs::read_to_string(sandbox.audit_log(GLOBAL).unwrap()).unwrap();
    assert!(audit.lines().any(|line| line.contains("\"name\":\"with-secret\"")));
    let version = get(sandbox, &["version", "-o", "json"]).await;
    assert_eq!(version.matches("v1.33.13").count(), 2, "{version}");
}

/// The platform as it is before Core: everything known, nothing installed.
async fn the_platform_is_described(sandbox: &Sandbox) {
    let registry = sandbox.registry();
    let base = "jsonpath={.status.phase}|{.status.version}|{.spec.registry.address}";
    let shown = get(sandbox, &["get", "productbase", "base", "-o", base]).await;
    assert_eq!(shown, format!("Running||{}", registry.address()));
    let vip = "jsonpath={.status.phase} {.status.addresses[?(@.type==\"Advertise\")].host}";
    let shown = get(sandbox, &["get", "clusters.platform.tkestack.io", "global", "-o", vip]).await;
    assert_eq!(shown, format!("Running {}", registry.vip()));
    let machines = get(sandbox, &["get", "machines.platform.tkestack.io", "--no-headers"]).await;
    assert!(machines.contains("Running"), "{machines}");

    // The token of the credential reaches the cluster, and the VIP leads to it.
    let token = "jsonpath={.token}";
    let token = get(sandbox, &["get", "clustercredential", "global", "-o", token]).await;
    let server = format!("https://{}:6443", registry.vip());
    let mut plain = command(sandbox.bin().join("kubectl"), ["--kubeconfig", "/dev/null"]);
    plain.args(["--server", &server, "--token", &token, "--insecure-skip-tls-verify"]);
    plain.args(["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
    let who = run(&mut plain, MINUTE).await.unwrap();
    assert_eq!(who, "system:serviceaccount:cpaas-system:k8sadmin");
}

#[tokio::test]
async fn a_real_cluster_pulls_from_the_registry_and_leaves_nothing() {
    let id = run(&mut command("id", ["-u"]), MINUTE).await.unwrap();
    assert_eq!(id.trim(), "0", "this test makes namespaces: run it as root");
    let sandbox = sandbox();
    sandbox.down().await.unwrap();
    sandbox.up().await.unwrap();
    pods_need_the_pull_secret(&sandbox).await;
    pods_reach_services_on_their_own_node(&sandbox).await;
    the_node_is_a_machine_of_its_own(&sandbox).await;
    the_platform_is_described(&sandbox).await;

    // A second run finds everything up and changes nothing.
    let uid = ["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"];
    let before = get(&sandbox, &uid).await;
    sandbox.up().await.unwrap();
    assert_eq!(get(&sandbox, &uid).await, before);

    // The remains of a run that was killed: no records, everything still running.
    let folder = sandbox.folder().to_owned();
    std::fs::remove_file(folder.join("clusters/global/processes.json")).unwrap();
    assert!(!traces().is_empty());
    sandbox.down().await.unwrap();
    assert_eq!(traces(), Vec::<String>::new());
    assert!(!folder.exists());
    sandbox.down().await.unwrap();
    assert!(!folder.exists());
}
