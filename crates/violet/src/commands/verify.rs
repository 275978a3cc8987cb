//! `violet verify`: whether a plugin package is whole, and signed by a key that is trusted: the one
//! that is given, else those that the platform recorded. Says what was verified and what was not.

use crate::arguments::Verify;
use crate::connection::Connection;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::package::{Opened, name};
use crate::printer::Printer;
use api::failure::chain;
use api::names::{NAMESPACE, RELEASE_KEYS};
use api::signature::KEYS_BACK_REMEDY;
use api::signing_key::SigningKey;
use artifacts::build::package::SUMS_SIGNATURE_FILE;
use artifacts::digest;
use artifacts::package::UntrustedError;
use cluster::platform::release_keys;
use jiff::Timestamp;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Longest file of a key or of one sum, in bytes.
const SMALL_LIMIT: u64 = 16 * 1024;

/// Whose signature counts.
enum Keys {
    /// These; and who says so, and from when on they have expired.
    Known { keys: Vec<SigningKey>, whose: String, at: Option<Timestamp> },
    /// Nobody's, and why.
    None(String),
}

/// Verifies.
pub(super) async fn run(
    flags: &Verify,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let beside = beside(&flags.file)?;
    let opened = Opened::open(&flags.file, &environment.temporary)?;
    printer.say(&format!("Package:   {}", opened.words()))?;
    printer.say("Sums:      every file is as its sum inside says")?;
    printer.say(&format!("Checksum:  {beside}"))?;
    let refused = |source| Failure::Package { file: name(&flags.file), source };
    if !opened.package.is_signed().map_err(refused)? {
        if flags.public_key.is_some() {
            return Err(Failure::refused(
                format!("{} is not signed: it holds no {SUMS_SIGNATURE_FILE}", name(&flags.file)),
                "get the package as its publisher signed it",
            ));
        }
        printer.say("Signature: none, so not verified")?;
        return printer.say("The package is whole. Who made it is not known.");
    }
    let (keys, whose, at) = match keys(flags, environment, printer).await? {
        Keys::Known { keys, whose, at } => (keys, whose, at),
        Keys::None(why) => {
            printer.say(&format!("Signature: not verified: {why}"))?;
            return printer.say(
                "The package is whole. Who made it is not known: verify it with --public-key FILE.",
            );
        }
    };
    let key = opened.package.verify_sums(&keys, at).map_err(|error| {
        let hint = match &error {
            UntrustedError::Sums { .. } if flags.public_key.is_some() => {
                "name the key of its publisher, or get the package as its publisher signed it"
                    .to_owned()
            }
            UntrustedError::Sums { source } | UntrustedError::Image { source } => source.remedy(),
            UntrustedError::Package(_) => "fetch the package again from its publisher".to_owned(),
        };
        Failure::refused(format!("{}: {} ({whose})", name(&flags.file), chain(&error)), hint)
    })?;
    printer.say(&format!("Signature: of key {} ({whose})", api::text::line(&key, 64)))?;
    printer.say("The package is whole and signed.")
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

async fn keys(
    flags: &Verify,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<Keys, Failure> {
    if let Some(file) = &flags.public_key {
        let whose = format!("given with {}", name(file));
        return Ok(Keys::Known { keys: vec![key(file)?], whose, at: None });
    }
    let need = "the keys of the platform are read from the cluster";
    let connection = match Connection::open(&flags.platform, environment, need, printer).await {
        Ok(connection) => connection,
        Err(Failure::NoKubeconfig { .. }) => {
            return Ok(Keys::None("neither --public-key nor a platform is at hand".to_owned()));
        }
        Err(failure) => return Err(failure),
    };
    let read = release_keys(&connection.server).await;
    let read = read.map_err(connection.failed(format!("read ConfigMap {RELEASE_KEYS}")))?;
    let recorded = read.map_err(|error| {
        Failure::refused(
            format!("whom this platform trusts is not known: ConfigMap {NAMESPACE}/{RELEASE_KEYS}: {error}"),
            KEYS_BACK_REMEDY,
        )
    })?;
    Ok(match recorded.signing {
        Some(keys) => Keys::Known {
            keys,
            whose: format!("recorded by the installed release, {NAMESPACE}/{RELEASE_KEYS}"),
            at: Some((environment.now)()),
        },
        None => Keys::None("no installed release has recorded keys on this platform".to_owned()),
    })
}

fn key(file: &Path) -> Result<SigningKey, Failure> {
    let text = small(file)?.unwrap_or_default();
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    SigningKey::given(&name, &String::from_utf8_lossy(&text)).map_err(|error| {
        Failure::refused(
            format!("the key {} cannot be used: {error}", file.display()),
            "name the public half of an ed25519 key: openssl pkey -in KEY.pem -pubout",
        )
    })
}

/// A small file; None where there is none.
fn small(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let unread = |source| Failure::File { action: "read", path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unread(error)),
    };
    let mut bytes = Vec::new();
    file.take(SMALL_LIMIT + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > SMALL_LIMIT {
        return Err(Failure::refused(
            format!("{} is longer than {SMALL_LIMIT} bytes", path.display()),
            "see that it is the right file",
        ));
    }
    Ok(Some(bytes))
}
