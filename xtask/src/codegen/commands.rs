//! Decides how the commands and flags of our programs are shown in the reference: what their own
//! definitions say.

use api::names::{CVO, PREPARE, VIOLET};
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::Files;
use super::markdown::{code, page, table};

/// One page a program.
pub(super) fn generate(files: &mut Files) {
    let operator = operator::settings::Settings::command();
    let programs = [
        ("ac", ac::command("ac")),
        (PREPARE, prepare::command()),
        (CVO, operator),
        (VIOLET, violet::command()),
    ];
    for (name, program) in programs {
        files.insert(format!("docs/reference/{name}.md"), reference(program));
    }
}

fn reference(mut program: Command) -> String {
    program.build();
    let name = program.get_display_name().unwrap_or(program.get_name()).to_owned();
    let mut text = String::new();
    describe(&program, None, &name, &mut text);
    page(&name, &text)
}

/// A command and those below it. What a command takes from its parent is said there.
fn describe(command: &Command, parent: Option<&Command>, path: &str, text: &mut String) {
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        text.push_str(&format!("{}\n\n", sentence(&about.to_string())));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    text.push_str(&format!("```\n{usage}\n```\n\n"));
    let inherited = |arg: &Arg| {
        let mut above = parent.into_iter().flat_map(Command::get_arguments);
        above.any(|other| other.is_global_set() && other.get_id() == arg.get_id())
    };
    let shown = |arg: &&Arg| !arg.is_hide_set() && !answers_itself(arg) && !inherited(arg);
    let (shared, own): (Vec<&Arg>, Vec<&Arg>) =
        command.get_arguments().filter(shown).partition(|arg| arg.is_global_set());
    if !own.is_empty() {
        text.push_str(&format!("{}\n", flags(&own)));
    }
    if !shared.is_empty() {
        let scope =
            if parent.is_some() { "This command and those below it" } else { "Every command" };
        text.push_str(&format!("{scope} also takes:\n\n{}\n", flags(&shared)));
    }
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    if let Some(after) = after {
        text.push_str(&format!("```\n{}\n```\n\n", after.to_string().trim()));
    }
    for below in command.get_subcommands() {
        if below.is_hide_set() || below.get_name() == "help" {
            continue;
        }
        let path = format!("{path} {}", below.get_name());
        text.push_str(&format!("## {path}\n\n"));
        describe(below, Some(command), &path, text);
    }
}

/// `--help` and `--version`.
fn answers_itself(arg: &Arg) -> bool {
    use ArgAction::{Help, HelpLong, HelpShort, Version};
    matches!(arg.get_action(), Help | HelpLong | HelpShort | Version)
}

fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with('.') { text.to_owned() } else { format!("{text}.") }
}

fn flags(all: &[&Arg]) -> String {
    let rows: Vec<Vec<String>> = all.iter().map(|arg| vec![spelling(arg), meaning(arg)]).collect();
    table(&["Argument", "Meaning"], &rows)
}

fn spelling(arg: &Arg) -> String {
    let values = values(arg);
    let optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| match (values.is_empty(), optional) {
        (true, _) => format!("--{long}"),
        (false, true) => format!("--{long}[={values}]"),
        (false, false) => format!("--{long} {values}"),
    });
    let mut forms: Vec<String> = short.into_iter().chain(long).collect();
    if forms.is_empty() {
        forms.push(values);
    }
    forms.iter().map(|form| code(form)).collect::<Vec<_>>().join(", ")
}

/// A switch may take a value too: `--to-latest=false`.
fn takes_value(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.max_values() > 0)
}

/// The values as usage spells them: `<FILE>`.
fn values(arg: &Arg) -> String {
    if !takes_value(arg) {
        return String::new();
    }
    match arg.get_value_names() {
        Some(names) => names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" "),
        None if arg.get_num_args().is_some_and(|range| range.min_values() == 0) => {
            "true|false".to_owned()
        }
        None => format!("<{}>", arg.get_id().as_str().to_uppercase()),
    }
}

fn meaning(arg: &Arg) -> String {
    let said = arg.get_long_help().or_else(|| arg.get_help());
    let mut text = sentence(&said.map(ToString::to_string).unwrap_or_default());
    if !takes_value(arg) {
        return text;
    }
    let list = |all: Vec<String>| all.iter().map(|word| code(word)).collect::<Vec<_>>().join(", ");
    let words = arg.get_possible_values();
    let words: Vec<String> = words.iter().map(|value| value.get_name().to_owned()).collect();
    let boolean = words.iter().any(|word| word == "true");
    if !words.is_empty() && !boolean {
        text.push_str(&format!(" One of {}.", list(words)));
    }
    let defaults = arg.get_default_values().iter();
    let defaults: Vec<String> = defaults.map(|value| value.to_string_lossy().into()).collect();
    if !defaults.is_empty() && !boolean {
        text.push_str(&format!(" Default {}.", list(defaults)));
    }
    if let Some(variable) = arg.get_env() {
        text.push_str(&format!(" Also from {}.", code(&variable.to_string_lossy())));
    }
    text.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_flags_values_and_defaults_are_shown() {
        let flag = Arg::new("wait").long("wait").short('w').action(clap::ArgAction::SetTrue);
        let switch = Arg::new("all").long("all").action(clap::ArgAction::SetTrue);
        let switch = switch.num_args(0..=1).value_name("BOOL");
        let value = Arg::new("format").long("format").value_name("WORD").default_value("text");
        let value = value.value_parser(["text", "json"]).help("How it is written.");
        let below = Command::new("show").about("Shows.").arg(flag).arg(switch).arg(value);
        let shared = Arg::new("where").long("where").value_name("PLACE").global(true);
        let text = reference(Command::new("prog").arg(shared).subcommand(below));
        assert!(text.contains("## prog show\n\nShows.\n"), "{text}");
        assert!(text.contains("| `-w`, `--wait` |"), "{text}");
        assert!(text.contains("| `--all[=<BOOL>]` |"), "{text}");
        assert_eq!(text.matches("`--where <PLACE>`").count(), 1, "{text}");
        let row =
            "| `--format <WORD>` | How it is written. One of `text`, `json`. Default `text`. |";
        assert!(text.contains(row), "{text}");
    }
}
