//! Passwords, tokens and keys stand in no output, whatever goes wrong, at any level of logs.

use std::fs;
use std::path::Path;

use crate::packages::{Contents, package};
use crate::stage::{Ended, upgrade};

/// Stands in every credential.
const CANARY: &str = "c4n4ry-s3cret";
/// The same as a file holds data.
const IN_BASE64: &str = "YzRuNHJ5LXMzY3JldA==";

async fn silent(folder: &Path, flags: &[&str], variables: &[(&str, &str)], input: &str) -> Ended {
    let trace = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1")];
    let ended = upgrade(folder, flags, &[variables, &trace].concat(), input).await;
    for text in [&ended.out, &ended.err] {
        assert!(!text.contains(CANARY) && !text.contains(IN_BASE64), "{ended:?}");
    }
    ended
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = package(folder.path(), &Contents::default());
    for user in [
        CANARY.to_owned(),
        format!("{{token: [{CANARY}]}}"),
        format!("{{token: {CANARY}: x}}"),
        format!("{{token: \"{CANARY}"),
        format!("{{client-key-data: '{CANARY}!'}}"),
        format!("{{client-certificate-data: {IN_BASE64}, client-key-data: {IN_BASE64}}}"),
        format!("{{token: \"{CANARY}\\u0007\"}}"),
        format!("{{token: {CANARY}}}"),
    ] {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             users:\n- name: u\n  user: {user}\n"
        );
        fs::write(folder.join("mine"), text).unwrap();
        let ended = silent(&folder, &["--preflight"], &[("KUBECONFIG", "mine")], "").await;
        assert_eq!(ended.code, 1, "{user}: {ended:?}");
        assert!(ended.err.contains("error: "), "{user}: {ended:?}");
    }
}

#[tokio::test]
async fn an_account_of_the_registry_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let folder = package(folder.path(), &Contents::default());
    let to_nowhere = ["--only-sync-image", "--registry=127.0.0.1:1"];
    let by_input = [&to_nowhere[..], &["--username=u", "--password-stdin"]].concat();
    let ended = silent(&folder, &by_input, &[], &format!("{CANARY}\n")).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    for accounts in [
        format!("{{\"auths\": {{\"127.0.0.1:1\": \"{CANARY}\"}}}}"),
        format!("{{\"auths\": {{\"127.0.0.1:1\": {{\"auth\": \"{CANARY}!\"}}}}}}"),
        format!("{{\"auths\": {{\"127.0.0.1:1\": {{\"auth\": \"{IN_BASE64}\"}}}}}}"),
        format!(
            "{{\"auths\": {{\"other:1\": {{\"username\": \"u\", \"password\": \"{CANARY}\"}}}}}}"
        ),
        format!(
            "{{\"auths\": {{\"127.0.0.1:1\": {{\"username\": \"u\", \"password\": \"{CANARY}\"}}}}}}"
        ),
        format!("{{\"auths\": {CANARY}"),
    ] {
        fs::write(folder.join("accounts"), &accounts).unwrap();
        let flags = [&to_nowhere[..], &["--authfile=accounts"]].concat();
        let ended = silent(&folder, &flags, &[], "").await;
        assert_eq!(ended.code, 1, "{accounts}: {ended:?}");
    }
}
