//! The command line: names, flags and help. What they do is in `commands`.

use crate::failure::Failure;
use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The platform's command line: upgrades clusters and shows how it goes.
#[derive(Debug, Parser)]
#[command(name = "ac", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which API server, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// The kubeconfig; otherwise the list in KUBECONFIG, otherwise ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; otherwise its current one.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// How long one request may take: 30s, 2m, or a number of seconds.
    #[arg(long, global = true, value_name = "TIME", default_value = "30s")]
    #[arg(value_parser = api::time_limit::parse)]
    pub(crate) request_timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What an administrator of the platform does.
    #[command(subcommand)]
    Adm(Adm),
    /// Lists what the platform consists of.
    #[command(subcommand)]
    Get(Get),
    /// Prints the script that completes commands in a shell.
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Prints the version of this program. Asks no cluster.
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Get {
    /// The clusters of the platform, each with its version: the global one first.
    #[command(visible_alias = "cluster")]
    Clusters,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Adm {
    /// Shows the versions of a cluster, or asks for an upgrade.
    Upgrade(Upgrade),
    /// Releases that can be offered to clusters.
    #[command(subcommand)]
    Release(Release),
}

#[derive(Debug, Args)]
pub(crate) struct Upgrade {
    #[command(subcommand)]
    pub(crate) command: Option<UpgradeCommand>,
    /// The cluster, whatever the context says.
    #[arg(long, global = true, value_name = "NAME", default_value = api::names::GLOBAL,
        value_parser = cluster)]
    pub(crate) cluster: String,
    /// Asks for this version, which must be among the available updates.
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: Option<String>,
    /// Asks for the highest of the available updates.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(crate) to_latest: bool,
    /// Lets --to name a version that is not among the available updates; preflight still decides.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub(crate) allow_explicit_upgrade: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UpgradeCommand {
    /// Shows preflight, stages and history: what is done, why it waits and what to do.
    Status(Status),
}

/// Flags of `ac adm upgrade status`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Exit status: 0 shown; with --watch 0 at target, 1 when --timeout is over; 1 error; 2 wrong usage; 130 after Ctrl-C.
With --exit-code, also when --timeout is over: 0 at target, 3 running or waiting for a retry, 4 a person must act, 5 no result yet;
with --all-clusters the worst of all clusters: 4, then 5, then 3, then 0."
)]
pub(crate) struct Status {
    /// Shows one line for each cluster of the platform, the worst first.
    #[arg(long, short = 'A', conflicts_with_all = ["verbose", "cluster"])]
    pub(crate) all_clusters: bool,
    /// Shows every check, operation, condition and upgrade.
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Follows until the cluster, or each of all, is at its target; one line a change where stdout
    /// is no terminal.
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// How long --watch follows: 30m, 2h, or a number of seconds. Without it there is no end.
    #[arg(long, value_name = "TIME", requires = "watch", value_parser = api::time_limit::parse)]
    pub(crate) timeout: Option<Duration>,
    /// Another form: json and yaml are stable, text is not; wide shows images too.
    #[arg(long, short, value_enum, value_name = "FORM")]
    pub(crate) output: Option<Output>,
    /// Answers with the state as exit status.
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Json,
    Yaml,
    Wide,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    /// Publishes a release whose product image is in the registry, as ProductManifest v<VERSION>.
    ImportManifest(ImportManifest),
    /// Says whether an extracted core package is whole and signed by a key that is trusted.
    Verify(Verify),
}

/// Flags of `ac adm release verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "The keys are those that the installed release recorded (ConfigMap release-keys); where
none ever did, those that the package itself lists, and it is said so. Changes nothing.
Exit status: 0 the package holds; 1 it does not, or that cannot be known; 2 wrong usage."
)]
pub(crate) struct Verify {
    /// The folder of the extracted core package.
    #[arg(value_name = "PACKAGE")]
    pub(crate) package: PathBuf,
    /// A public key to trust instead of those of the platform (PEM, ed25519); asks no cluster. May
    /// be given more than once.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportManifest {
    /// The Distribution Version, for example 4.3.0.
    #[arg(long, value_name = "VERSION")]
    pub(crate) version: String,
    /// Waits until the ProductManifest is Ready.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long --wait waits: 10m, 90s, or a number of seconds.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = api::time_limit::parse)]
    pub(crate) timeout: Duration,
}

/// The name of a cluster, which is one of an object: never a part of a path.
fn cluster(text: &str) -> Result<String, String> {
    let is_end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let named = is_end(text.chars().next()) && is_end(text.chars().last());
    if named && text.len() <= 253 && text.chars().all(is_inner) {
        return Ok(text.to_owned());
    }
    let namespace = api::names::NAMESPACE;
    Err(format!("not the name of a cluster; see: kubectl get cvsh -n {namespace}"))
}

/// The command line's definition, under the name that the user calls it by.
#[must_use]
pub fn command(program: &str) -> clap::Command {
    Arguments::command().bin_name(program.to_owned()).display_name(program.to_owned())
}

/// What a command line amounts to.
pub(crate) enum Parsed {
    /// A command.
    Run(Box<Arguments>),
    /// Help or a version that was asked for.
    Show(String),
}

/// Parses a command line.
///
/// # Errors
/// It is wrong; the whole text stands in `rendered`.
pub(crate) fn parse(arguments: Vec<OsString>, program: &str) -> Result<Parsed, Failure> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    let about_upgrades = arguments.iter().any(|word| word == "upgrade");
    let outcome = command(program)
        .try_get_matches_from(arguments)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    match outcome {
        Ok(arguments) => Ok(Parsed::Run(Box::new(arguments))),
        Err(error) if matches!(error.kind(), DisplayHelp | DisplayVersion) => {
            Ok(Parsed::Show(error.render().to_string()))
        }
        Err(error) => {
            let text = error.render().to_string();
            let mut rendered = text.replace("For more information, try", "hint: for more, try");
            if let Some(hint) = about_upgrades.then(|| meant(&error, program)).flatten() {
                rendered.push_str(&format!("hint: {hint}\n"));
            }
            Err(Failure::Usage {
                message: error.kind().to_string(),
                hint: format!("{program} --help"),
                rendered: Some(rendered),
            })
        }
    }
}

/// What a word without a flag was meant to be: a version, or a cluster.
fn meant(error: &clap::Error, program: &str) -> Option<String> {
    use clap::error::{ContextKind, ContextValue};
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) if !word.starts_with('-') => {
            Some(api::text::line(word, 64))
        }
        _ => None,
    };
    if error.get(ContextKind::SuggestedSubcommand).is_some() {
        // It is a word that was mistyped, and the right one is named already.
        return None;
    }
    let word = of(ContextKind::InvalidSubcommand).or_else(|| of(ContextKind::InvalidArg))?;
    if ["upgrade", "release"].contains(&word.as_str()) {
        return Some(format!("write: {program} adm {word}"));
    }
    let flag = if word.parse::<api::Version>().is_ok() { "to" } else { "cluster" };
    Some(format!("a {} is named with --{flag}={word}", if flag == "to" { "version" } else { flag }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_without_a_flag_is_told_which_one_it_needs() {
        let said = |words: &[&str]| {
            let words = words.iter().map(OsString::from).collect();
            match parse(words, "ac") {
                Err(Failure::Usage { rendered, .. }) => rendered.unwrap_or_default(),
                _ => String::new(),
            }
        };
        let version = said(&["ac", "adm", "upgrade", "4.3.0"]);
        assert!(version.contains("hint: a version is named with --to=4.3.0"), "{version}");
        let cluster = said(&["ac", "adm", "upgrade", "status", "workload-a"]);
        assert!(
            cluster.contains("hint: a cluster is named with --cluster=workload-a"),
            "{cluster}"
        );
        assert!(!said(&["ac", "nothing"]).contains("--cluster"));
        let mistyped = said(&["ac", "adm", "upgrade", "statsu"]);
        assert!(mistyped.contains("'status'") && !mistyped.contains("--cluster="), "{mistyped}");
        let other = said(&["ac", "upgrade", "status"]);
        assert!(other.contains("hint: write: ac adm upgrade\n"), "{other}");
        let both = said(&["ac", "adm", "upgrade", "status", "-A", "--cluster=workload-a"]);
        assert!(both.contains("cannot be used with"), "{both}");
    }

    #[test]
    fn the_definition_holds() {
        command("ac").debug_assert();
    }

    fn flags(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned);
        own.chain(command.get_subcommands().flat_map(flags)).collect()
    }

    /// What is not signed by a trusted key is refused, and nobody can ask otherwise.
    #[test]
    fn no_flag_forces_anything() {
        let flags = flags(&command("ac"));
        assert!(flags.iter().any(|flag| flag == "to-latest"), "{flags:?}");
        let forces = |flag: &&String| api::signature::FORCING.iter().any(|w| flag.contains(w));
        assert_eq!(flags.iter().find(forces), None);
    }

    #[test]
    fn a_cluster_is_a_name_and_no_path() {
        assert_eq!(cluster("workload-a"), Ok("workload-a".to_owned()));
        for wrong in ["", "global/status", "../x", "Global", "-a", "a-", "a b", "a?b"] {
            assert!(cluster(wrong).is_err(), "{wrong}");
        }
    }
}
