//! Who a platform and a registry let in, by every way to say it.

use super::packages::Plugin;
use super::platform::{Platform, Ways};
use super::{CANARY, Ran, Shell, registry};
use std::io::Write as _;
use std::process::Stdio;

/// `u` with the canary as its password.
const U: &str = "Basic dTpjNG40cnktczNjcmV0";
/// The same of `admin`, the account in the platform's Secret.
const ADMIN: &str = "Basic YWRtaW46YzRuNHJ5LXMzY3JldA==";

#[test]
fn a_platform_lets_in_by_token_and_by_account() {
    let by_token = Platform::start("127.0.0.1:11443", Ways::default());
    let by_account = Platform::start("127.0.0.1:11443", Ways { account: U, ..Ways::default() });
    let list = |platform: &Platform, flags: &str, password: Option<&str>| {
        let shell = Shell::new();
        let address = platform.server.address;
        let line = format!("list --platform-address http://{address} {flags}");
        let mut command = shell.command(&line);
        command.envs(password.map(|password| ("VIOLET_PLATFORM_PASSWORD", password)));
        shell.ran(&mut command).code
    };
    assert_eq!(list(&by_token, &format!("--platform-token {CANARY}"), None), 0);
    assert_eq!(list(&by_token, "--platform-token another", None), 1);
    let account = format!("--platform-username u --platform-password {CANARY}");
    assert_eq!(list(&by_account, &account, None), 0);
    assert_eq!(list(&by_account, "--platform-username u", Some(CANARY)), 0);
    assert_eq!(list(&by_account, "--platform-username u", Some("another")), 1);
}

/// A push to a registry that only lets in this account.
fn push(account: &'static str, flags: &str, entered: &str) -> Ran {
    let registry = registry::of_one(account);
    let platform = Platform::start(&registry.address.to_string(), Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let auth = account.trim_start_matches("Basic ");
    let known = format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.address);
    std::fs::write(shell.path("auth.json"), known).unwrap();
    let mut command = shell.command(&format!("push podinfo-1.0.0.tgz --plain {flags}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever does not read it is gone before it is written.
    let _unread = child.stdin.take().unwrap().write_all(entered.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    Ran { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn a_registry_lets_in_the_account_that_is_given() {
    for (account, flags, entered) in [
        // Nothing is given: the account of the platform's own registry.
        (ADMIN, String::new(), ""),
        (U, format!("--username u --password {CANARY}"), ""),
        (U, "--username u --password-stdin".to_owned(), CANARY),
        (U, "--authfile auth.json".to_owned(), ""),
    ] {
        let ran = push(account, &flags, entered);
        assert_eq!(ran.code, 0, "{flags}: {ran:?}");
    }
    for flags in ["--username u --password another", "--no-auth", ""] {
        let ran = push(U, flags, "");
        assert_eq!(ran.code, 1, "{flags}: {ran:?}");
        assert!(ran.stderr.contains("\nhint: "), "{ran:?}");
    }
}
