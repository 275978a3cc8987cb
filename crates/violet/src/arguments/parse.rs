//! Reads a command line, and says what is wrong with it on one line. What may be a part of a
//! password or of a token is not repeated.

use super::{Arguments, Command, Platform, Push, command};
use crate::failure::Failure;
use clap::FromArgMatches as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// What a command line amounts to.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A command.
    Run(Box<Arguments>),
    /// Help or a version that was asked for.
    Show(String),
}

/// Parses a command line.
///
/// # Errors
/// When it is wrong.
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
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return Err(usage("there is no command".to_owned()));
        }
        Err(error) => return Err(usage(words(&error))),
    };
    let wrong = match &arguments.command {
        Command::Push(push) => of_push(push),
        Command::List(list) => of_platform(&list.platform),
        Command::Verify(verify) => of_platform(&verify.platform),
        Command::Gc(gc) => of_platform(&gc.platform),
        Command::Show(_) | Command::Completion { .. } | Command::Version => None,
    };
    match wrong {
        Some(message) => Err(usage(message)),
        None => Ok(Parsed::Run(Box::new(arguments))),
    }
}

/// What is wrong with how the platform is named.
fn of_platform(platform: &Platform) -> Option<String> {
    let Platform { platform_address, platform_token, platform_username, platform_password, .. } =
        platform;
    let wrong = |text: &str| Some(text.to_owned());
    let Some(address) = platform_address else {
        return match (platform_token, platform_username, platform_password, &platform.platform_ca) {
            (None, None, None, None) => None,
            (Some(_), ..) => wrong("--platform-token needs --platform-address"),
            (_, _, _, Some(_)) => wrong("--platform-ca needs --platform-address"),
            _ => wrong("--platform-username and --platform-password need --platform-address"),
        };
    };
    let is_url = address.starts_with("https://") || address.starts_with("http://");
    if !is_url || address.contains(['@', '?', '#']) {
        return wrong("--platform-address must be https://HOST[:PORT], without an account in it");
    }
    match (platform_token, platform_username, platform_password) {
        (None, None, _) => wrong(
            "--platform-address needs --platform-token, or --platform-username and --platform-password",
        ),
        (None, Some(_), None) => wrong("--platform-username needs --platform-password"),
        (Some(token), ..) if token.0.trim().is_empty() => wrong("--platform-token is empty"),
        (Some(token), ..) if !api::text::is_token(&token.0) => {
            wrong("--platform-token holds a character that no token has")
        }
        _ => None,
    }
}

fn of_push(push: &Push) -> Option<String> {
    let wrong = |text: &str| Some(text.to_owned());
    let given = push.password.is_some() || push.password_stdin;
    if push.password.as_ref().is_some_and(|p| p.0.is_empty()) {
        return wrong("--password is empty");
    }
    if push.username.is_some() && !given {
        return wrong("--username needs --password-stdin or --password");
    }
    if push.password_stdin && push.username.is_none() {
        return wrong("--password-stdin needs --username");
    }
    if push.clusters.iter().any(String::is_empty) {
        return wrong("--clusters holds an empty name");
    }
    if let Some(registry) = push.dest_repo.as_deref().filter(|r| !api::image::is_address(r)) {
        let shown = api::text::line(registry, 128);
        return Some(format!(
            "--dest-repo must be host:port without scheme and path, not '{shown}'"
        ));
    }
    of_platform(&push.platform)
}

fn usage(message: String) -> Failure {
    Failure::Usage { message, hint: "see every command with: violet --help".to_owned() }
}

/// What is wrong, on one line.
fn words(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.split('=').next().unwrap_or_default()),
        _ => None,
    };
    let meant = |kind| match error.get(kind) {
        Some(ContextValue::String(word)) => format!("; did you mean {word}?"),
        Some(ContextValue::Strings(words)) if !words.is_empty() => {
            format!("; did you mean {}?", words.join(" or "))
        }
        _ => String::new(),
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let flag = context(ContextKind::InvalidArg).unwrap_or_default();
            if flag.starts_with("--") {
                let meant = meant(ContextKind::SuggestedArg);
                format!("there is no flag {}{meant}", api::text::line(flag, 64))
            } else {
                "there is an argument that belongs to no flag (it is not shown, for it may be a part of a password)".to_owned()
            }
        }
        ErrorKind::InvalidSubcommand => {
            format!("there is no such command{}", meant(ContextKind::SuggestedSubcommand))
        }
        ErrorKind::TooManyValues => {
            let flag = context(ContextKind::InvalidArg).unwrap_or_default();
            format!("{} takes no value", api::text::line(flag, 64))
        }
        _ => {
            let text = error.render().to_string();
            let lines = text.lines().take_while(|line| !line.starts_with("Usage"));
            let said: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
            let said = said.join(" ");
            let said = said.trim_start_matches("error: ");
            api::text::line(said.split(" For more information").next().unwrap_or(said), 512)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    fn flags(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(Arg::get_long).map(str::to_owned);
        own.chain(command.get_subcommands().flat_map(flags)).collect()
    }

    /// What does not hold is refused, and nobody can ask otherwise.
    #[test]
    fn no_flag_forces_anything() {
        let flags = flags(&command());
        assert!(flags.iter().any(|flag| flag == "skip-crs"), "{flags:?}");
        let forces = |flag: &&String| api::signature::FORCING.iter().any(|w| flag.contains(w));
        assert_eq!(flags.iter().find(forces), None);
    }

    #[test]
    fn the_definition_holds() {
        command().debug_assert();
    }

    #[test]
    fn a_secret_is_never_repeated() {
        let lines = [
            "push a.tgz --platform-token S3cret S3cret",
            "push a.tgz --platform-tokn=S3cret",
            "push a.tgz -S3cret",
            "push a.tgz --no-auth=S3cret",
            "push a.tgz --password S3cret",
            "push a.tgz --username u --password S3cret --password-stdin",
            "push a.tgz --platform-token S3cret --platform-username u",
            "push a.tgz --platform-address S3cret --platform-token S3cret",
            "list --platform-token S3cret",
            "S3cret",
        ];
        for line in lines {
            let words = ["violet"].into_iter().chain(line.split(' ')).map(OsString::from);
            let failure = parse(words.collect()).unwrap_err();
            assert!(matches!(failure, Failure::Usage { .. }), "{line}");
            assert!(!failure.to_string().contains("S3cret"), "{line}: {failure}");
        }
        let line = "push a.tgz --platform-address=https://p --platform-token=S3cret";
        let words = ["violet"].into_iter().chain(line.split(' ')).map(OsString::from);
        let parsed = parse(words.collect()).unwrap();
        assert!(!format!("{parsed:?}").contains("S3cret"));
    }
}
