//! Credentials that a kubeconfig holds stand in no output, whatever goes wrong.

use super::*;

/// Stands in every credential.
const CANARY: &str = "c4n4ry-s3cret";
/// The same as a kubeconfig holds data.
const IN_BASE64: &str = "YzRuNHJ5LXMzY3JldA==";

/// A kubeconfig whose user is this piece of YAML.
fn kubeconfig_of(user: &str, server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         users:\n- name: u\n  user: {user}\n"
    )
}

fn assert_silent(shell: &Shell, line: &str, about: &str) -> Ran {
    let mut command = shell.command(Path::new(env!("CARGO_BIN_EXE_ac")), line);
    let ran = shell.ran(command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1"));
    let text = ran.text(None);
    assert!(!text.contains(CANARY) && !text.contains(IN_BASE64), "{about}: {line}: {text}");
    ran
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_not_repeated() {
    for user in [
        CANARY.to_owned(),
        format!("[{CANARY}]"),
        format!("{{token: [{CANARY}]}}"),
        format!("{{token: {CANARY}: x}}"),
        format!("{{token: \"{CANARY}"),
        format!("{{token: {CANARY}, token: {CANARY}}}"),
        format!("{{client-key-data: '{CANARY}!'}}"),
        format!("{{client-certificate-data: {IN_BASE64}, client-key-data: {IN_BASE64}}}"),
        format!("{{username: {CANARY}, password: \"{CANARY}\\n\"}}"),
        format!("{{token: \"{CANARY}\\u0007\"}}"),
        format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, 'echo {CANARY}; echo {CANARY} >&2; exit 3'], interactiveMode: Never}}}}"
        ),
    ] {
        let shell = Shell::new();
        shell.write("config", &kubeconfig_of(&user, "https://127.0.0.1:1"));
        let ran = assert_silent(&shell, "adm upgrade status --request-timeout=2s", &user);
        assert_eq!(ran.code, 1, "{user}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{user}: {}", ran.stderr);
    }
}

#[test]
fn a_server_hears_the_token_and_nobody_else() {
    let answers: [fn() -> Answer; 5] = [
        || ok(&recorded("offered_passed")),
        || refusal(401, "Unauthorized", "Unauthorized"),
        || refusal(403, "Forbidden", "no"),
        || Answer::Now(200, "{".to_owned()),
        || Answer::Now(500, "oops".to_owned()),
    ];
    for answer in answers {
        let server = Server::start(move |_| answer());
        for user in [format!("{{token: {CANARY}}}"), format!("{{username: u, password: {CANARY}}}")]
        {
            let shell = Shell::new();
            let address = format!("http://{}", server.address);
            shell.write("config", &kubeconfig_of(&user, &address));
            for line in [
                "adm upgrade",
                "adm upgrade status --verbose",
                "adm upgrade status -o json",
                "adm upgrade status --watch --timeout=1s",
                "adm upgrade --to-latest",
                "adm release import-manifest --version=4.3.0",
            ] {
                assert_silent(&shell, line, &user);
            }
        }
    }
}
