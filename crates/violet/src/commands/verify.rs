//! `violet verify`: whether a plugin package is whole, and signed by a key that is trusted: the one
//! that is given, else those that the platform recorded. Says what was verified and what was not.

use crate::arguments::Verify;
use crate::connection::Connection;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::package::{name, open};
use crate::printer::Printer;
use crate::signature::{Keys, Maker, maker, small};
use artifacts::build::package::SUMS_SIGNATURE_FILE;
use artifacts::digest;
use std::path::{Path, PathBuf};

/// Verifies.
pub(super) async fn run(
    flags: &Verify,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let beside = beside(&flags.file)?;
    let opened = open(&flags.file, &environment.temporary)?;
    printer.say(&format!("Package:   {}", opened.words()))?;
    printer.say("Sums:      every file is as its sum inside says")?;
    printer.say(&format!("Checksum:  {beside}"))?;
    let connection = match &flags.public_key {
        Some(_) => None,
        None => platform(flags, environment, printer).await?,
    };
    let public_key = flags.public_key.as_deref();
    let keys = Keys::of(public_key, connection.as_ref(), (environment.now)()).await?;
    match maker(&opened.package, &flags.file, &keys)? {
        Maker::Unsigned if public_key.is_some() => Err(Failure::refused(
            format!("{} is not signed: it holds no {SUMS_SIGNATURE_FILE}", name(&flags.file)),
            "get the package as its publisher signed it",
        )),
        Maker::Unsigned => {
            printer.say("Signature: none, so not verified")?;
            printer.say("The package is whole. Who made it is not known.")
        }
        Maker::Unknown(why) => {
            printer.say(&format!("Signature: not verified: {why}"))?;
            printer.say(
                "The package is whole. Who made it is not known: verify it with --public-key FILE.",
            )
        }
        Maker::Signed(words) => {
            printer.say(&format!("Signature: {words}"))?;
            printer.say("The package is whole and signed.")
        }
    }
}

/// The platform, where there is one to ask.
async fn platform(
    flags: &Verify,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<Option<Connection>, Failure> {
    let need = "the keys of the platform are read from the cluster";
    match Connection::open(&flags.platform, environment, need, printer).await {
        Ok(connection) => Ok(Some(connection)),
        Err(Failure::NoKubeconfig { .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Compares with the sum in the file beside the package.
fn beside(file: &Path) -> Result<String, Failure> {
    let mut sum = file.as_os_str().to_owned();
    sum.push(".sha256");
    let sum = PathBuf::from(sum);
    let shown = name(&sum);
    let Some(text) = small(&sum)? else {
        return Ok(format!("there is no {shown}, so not compared"));
    };
    let unread = |source| Failure::File { action: "read", path: file.to_owned(), source };
    let (found, _) =
        digest::of_reader(std::fs::File::open(file).map_err(unread)?).map_err(unread)?;
    let text = String::from_utf8_lossy(&text);
    let said = text.split_whitespace().next().unwrap_or_default();
    if said.eq_ignore_ascii_case(found.hex()) {
        return Ok(format!("as {shown} says"));
    }
    Err(Failure::refused(
        format!(
            "{} is not the file that {shown} is about: its sum is {}, and there stands {}",
            name(file),
            found.hex(),
            api::text::line(said, 80)
        ),
        "fetch both files again from the publisher",
    ))
}
