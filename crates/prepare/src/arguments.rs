//! The command line: names, flags and help. What they do is decided elsewhere.

use crate::failure::Failure;
use artifacts::registry::Password;
use clap::builder::{BoolishValueParser, NonEmptyStringValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How users call this program.
const CALLED: &str = "bash upgrade.sh";

/// Brings a release of the platform into the registry, checks that the platform may move to it, and
/// publishes it.
#[derive(Debug, Parser)]
#[command(
    name = "upgrade.sh",
    version,
    max_term_width = 100,
    args_override_self = true,
    after_help = "Without --only-sync-image, --skip-sync-image and --preflight: sync, then deploy.
Exit status: 0 done; 1 error; 64 wrong usage; 69 the package has no program for
this machine. With --preflight: 0 passed, 1 failed, 2 only Retry.
Environment: KUBECONFIG names the cluster (/etc/kubernetes/admin.conf where it
is not set); SKIP_SYNC_IMAGE=true is --skip-sync-image."
)]
pub(crate) struct Arguments {
    /// Registry to push to, as host:port; otherwise the platform's own, from ProductBase.
    #[arg(long, value_name = "HOST:PORT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) registry: Option<String>,
    /// Account of the registry; otherwise the one in Secret registry-admin.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) username: Option<String>,
    /// Its password. Others on this machine can see it: prefer --password-stdin.
    #[arg(
        long,
        value_name = "PASSWORD",
        allow_hyphen_values = true,
        requires = "username",
        conflicts_with = "password_stdin"
    )]
    pub(crate) password: Option<Password>,
    /// Reads the password from standard input.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(crate) password_stdin: bool,
    /// File with the accounts of registries, as docker and podman write it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["username", "password"])]
    pub(crate) authfile: Option<PathBuf>,
    /// Certificates that sign the registry's (PEM); otherwise key ca.crt of Secret registry-admin.
    #[arg(long, value_name = "FILE")]
    pub(crate) registry_ca: Option<PathBuf>,
    /// Synchronises images and plugin artifacts only; changes nothing in the cluster.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(crate) only_sync_image: bool,
    /// Deploys only; also SKIP_SYNC_IMAGE=true in the environment.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(crate) skip_sync_image: Option<bool>,
    /// Skips the check that package and registry are complete; bytes that are sent are hashed all
    /// the same.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(crate) skip_check_artifacts: bool,
    /// Checks whether the platform may move to the release of this package; changes nothing.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(crate) preflight: bool,
    /// The cluster that preflight is about; sync and deploy are always about global.
    #[arg(long, value_name = "NAME", default_value = api::names::GLOBAL)]
    pub(crate) cluster: String,
    /// How long deploy waits for the operator: 5m, 90s, or a number of seconds.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = api::time_limit::parse)]
    pub(crate) timeout: Duration,
}

/// The command line's definition.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command().bin_name(CALLED).display_name("upgrade.sh")
}

/// What a command line amounts to.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A run.
    Run(Box<Arguments>),
    /// Help or a version that was asked for.
    Show(String),
}

/// Parses a command line.
///
/// # Errors
/// When it is wrong. What may be a part of a password is not repeated.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Parsed, Failure> {
    let outcome = command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match outcome {
        Ok(arguments) => arguments,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            return Ok(Parsed::Show(error.render().to_string().trim_end().to_owned()));
        }
        Err(error) => return Err(usage(words(&error))),
    };
    let wrong = |message: &str| Err(usage(message.to_owned()));
    let given = arguments.password.is_some() || arguments.password_stdin;
    if arguments.password.as_ref().is_some_and(|p| p.0.is_empty()) {
        return wrong("--password is empty");
    }
    if arguments.username.is_some() && !given {
        return wrong("--username needs --password-stdin or --password");
    }
    if arguments.password_stdin && arguments.username.is_none() {
        return wrong("--password-stdin needs --username");
    }
    if arguments.only_sync_image && arguments.skip_sync_image == Some(true) {
        return wrong("--only-sync-image and --skip-sync-image together leave nothing to do");
    }
    if arguments.only_sync_image && arguments.preflight {
        return wrong("--preflight synchronises nothing: run --only-sync-image by itself");
    }
    if let Some(registry) = arguments.registry.as_deref().filter(|r| !api::image::is_address(r)) {
        let shown = api::text::line(registry, 128);
        return Err(usage(format!(
            "--registry must be host:port without scheme and path, not '{shown}'"
        )));
    }
    Ok(Parsed::Run(Box::new(arguments)))
}

fn usage(message: String) -> Failure {
    Failure::Usage { message, hint: format!("see every flag with: {CALLED} --help") }
}

/// What is wrong, on one line.
fn words(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::UnknownArgument {
        let flag = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(text)) => text.split('=').next().unwrap_or_default(),
            _ => "",
        };
        let meant = match error.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(flag)) => format!("; did you mean {flag}?"),
            _ => String::new(),
        };
        return if flag.starts_with("--") {
            format!("there is no flag {}{meant}", api::text::line(flag, 64))
        } else {
            "there is an argument that belongs to no flag (write --flag=value; it is not shown, for it may be a part of a password)".to_owned()
        };
    }
    let text = error.render().to_string();
    let first: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).collect();
    api::text::line(first.join(" ").trim_start_matches("error: "), 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Arguments, Failure> {
        let all = std::iter::once("acp-prepare").chain(words.iter().copied());
        match parse(all.map(OsString::from).collect())? {
            Parsed::Run(arguments) => Ok(*arguments),
            Parsed::Show(text) => panic!("{text}"),
        }
    }

    /// What is not signed by a trusted key is refused, and nobody can ask otherwise.
    #[test]
    fn no_flag_forces_anything() {
        let command = Arguments::command();
        let flags: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        assert!(flags.contains(&"preflight"), "{flags:?}");
        let forces = |flag: &&&str| api::signature::FORCING.iter().any(|word| flag.contains(word));
        assert_eq!(flags.iter().find(forces), None);
    }

    fn refused(words: &[&str]) -> String {
        let failure = parsed(words).unwrap_err();
        assert!(api::failure::Failed::is_usage(&failure));
        failure.to_string()
    }

    #[test]
    fn the_definition_holds() {
        command().debug_assert();
    }

    #[test]
    fn flags_occur_in_both_forms() {
        let plain = parsed(&["--only-sync-image", "--registry", "r:1", "--skip-check-artifacts"]);
        let plain = plain.unwrap();
        assert!(plain.only_sync_image && plain.skip_check_artifacts && !plain.preflight);
        let equals = ["--only-sync-image=true", "--registry=r:1", "--skip-check-artifacts=true"];
        let equals = parsed(&equals).unwrap();
        assert!(equals.only_sync_image && equals.skip_check_artifacts);
        assert_eq!((plain.registry, equals.registry), (Some("r:1".into()), Some("r:1".into())));
        assert_eq!(parsed(&[]).unwrap().skip_sync_image, None);
        assert_eq!(parsed(&["--skip-sync-image"]).unwrap().skip_sync_image, Some(true));
        assert_eq!(parsed(&["--skip-sync-image=false"]).unwrap().skip_sync_image, Some(false));
        assert!(!parsed(&["--preflight=false"]).unwrap().preflight);
        assert_eq!(parsed(&["--cluster=workload-a"]).unwrap().cluster, "workload-a");
    }

    #[test]
    fn wrong_usage_is_named() {
        assert!(refused(&["--only-sync-image", "--skip-sync-image"]).contains("nothing to do"));
        assert!(refused(&["--username", "u"]).contains("--password-stdin"));
        assert!(refused(&["--password", "x"]).contains("--username"));
        assert!(refused(&["--registry=https://r:1"]).contains("without scheme"));
        assert!(refused(&["--registry="]).contains("--registry"));
        assert!(refused(&["--preflight=perhaps"]).contains("--preflight"));
        assert_eq!(
            refused(&["--pre-flight"]),
            "there is no flag --pre-flight; did you mean --preflight?"
        );
    }

    #[test]
    fn a_password_is_never_repeated() {
        for words in [
            &["--username", "u", "--password", "S3cret", "S3cret"][..],
            &["--passwrod=S3cret"],
            &["-S3cret"],
            &["--username=u", "--password=S3cret", "--password-stdin"],
        ] {
            let text = refused(words);
            assert!(!text.contains("S3cret") && !text.contains("-S"), "{text}");
        }
        let arguments = parsed(&["--username=u", "--password", "-S3cret"]).unwrap();
        assert!(!format!("{arguments:?}").contains("S3cret"));
        assert_eq!(arguments.password, Some(Password("-S3cret".to_owned())));
    }
}
