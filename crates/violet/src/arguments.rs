//! The command line: names, flags and help. What they do is in `commands`.

mod parse;

pub(crate) use parse::{Parsed, parse};

use artifacts::registry::Password;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Plugin packages: shows and verifies them, and brings them into the catalogue of a platform.
#[derive(Debug, Parser)]
#[command(
    name = "violet",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit status: 0 done; 1 error; 64 wrong usage.
Without --platform-address the platform is that of the kubeconfig: KUBECONFIG,
else /etc/kubernetes/admin.conf."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sends a plugin package to the registry and publishes it in the catalogue.
    Push(Box<Push>),
    /// Shows what a plugin package holds. Asks nobody.
    Show(Show),
    /// Lists the plugins of the catalogue, and where they are installed.
    List(List),
    /// Says whether a plugin package is whole, and signed by a key that is trusted.
    Verify(Verify),
    /// Takes published versions that nobody uses out of the catalogue.
    Gc(Gc),
    /// Prints the script that completes commands in a shell.
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Prints the version of this program. Asks nobody.
    Version,
}

/// Which platform, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Platform {
    /// Address of the platform, or of the API server of its global cluster.
    #[arg(long, value_name = "URL", env = "VIOLET_PLATFORM_ADDRESS",
        value_parser = NonEmptyStringValueParser::new())]
    pub(crate) platform_address: Option<String>,
    /// Token for that address. Others on this machine can see it: prefer the variable.
    #[arg(long, value_name = "TOKEN", env = "VIOLET_PLATFORM_TOKEN", hide_env_values = true,
        allow_hyphen_values = true, conflicts_with_all = ["platform_username", "platform_password"])]
    pub(crate) platform_token: Option<Password>,
    /// Account for that address, in place of a token.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) platform_username: Option<String>,
    /// Its password. Others on this machine can see it: prefer the variable.
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "VIOLET_PLATFORM_PASSWORD",
        hide_env_values = true,
        allow_hyphen_values = true
    )]
    pub(crate) platform_password: Option<Password>,
    /// Certificates that sign the address's (PEM); otherwise those of the machine.
    #[arg(long, value_name = "FILE")]
    pub(crate) platform_ca: Option<PathBuf>,
    /// Says more of what is asked and decided. No secret is ever shown.
    #[arg(long)]
    pub(crate) debug: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Running it again is safe: what the registry has is not sent again, and what the
catalogue has is left as it is. A published version never changes."
)]
pub(crate) struct Push {
    /// A plugin package (.tgz), an extracted one, or a folder of packages.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Which catalogue.
    #[arg(long, value_name = "NAME", value_enum, default_value = "platform")]
    pub(crate) target_catalog_source: CatalogSource,
    #[command(flatten)]
    pub(crate) platform: Platform,
    /// Clusters of which it is said whether the plugin fits them; the catalogue is one for all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) clusters: Vec<String>,
    /// Registry to push to, as host:port; otherwise the platform's own, from ProductBase.
    #[arg(long, value_name = "HOST:PORT", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) dest_repo: Option<String>,
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
    /// Reads the password of the registry from standard input.
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// File with the accounts of registries, as docker and podman write it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["username", "password"])]
    pub(crate) authfile: Option<PathBuf>,
    /// Uses the registry without an account.
    #[arg(long, conflicts_with_all = ["username", "password", "password_stdin", "authfile"])]
    pub(crate) no_auth: bool,
    /// Speaks HTTP with the registry in place of HTTPS: whoever is in between reads everything, the
    /// password too.
    #[arg(long, conflicts_with = "registry_ca")]
    pub(crate) plain: bool,
    /// Certificates that sign the registry's (PEM); otherwise key ca.crt of Secret registry-admin.
    #[arg(long, value_name = "FILE")]
    pub(crate) registry_ca: Option<PathBuf>,
    /// The public key (PEM, ed25519) whose signature a signed package must bear; otherwise those
    /// that the installed release recorded (ConfigMap release-keys).
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
    /// Sends nothing to the registry; publishes only.
    #[arg(long, conflicts_with = "skip_crs")]
    pub(crate) skip_push: bool,
    /// Publishes nothing; sends to the registry only.
    #[arg(long)]
    pub(crate) skip_crs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CatalogSource {
    /// The catalogue of cluster plugins.
    Platform,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The plugin package (.tgz).
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Shows images, settings and rights too.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) platform: Platform,
    /// Only what is installed on these clusters.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) clusters: Vec<String>,
    /// Writes the list to this file as YAML.
    #[arg(long, value_name = "FILE")]
    pub(crate) output_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without --public-key the keys are those that the installed release recorded
(ConfigMap release-keys); where no platform is at hand, the signature is not
verified, and it is said so."
)]
pub(crate) struct Verify {
    /// The plugin package (.tgz).
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The publisher's public key (PEM, ed25519); asks no platform.
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) platform: Platform,
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    #[command(flatten)]
    pub(crate) platform: Platform,
    /// Lists what would go; changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

/// The command line's definition.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}
