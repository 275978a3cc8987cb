//! `ac adm release verify`: whether an extracted core package is whole, and signed by a key that is
//! trusted: by the platform, or by whoever names the key.
//!
//! Runs nothing of the package and changes nothing.

use super::Session;
use crate::arguments::Verify;
use crate::failure::Failure;
use crate::printer::Printer;
use api::failure::{Failed as _, chain};
use api::names::{GLOBAL, NAMESPACE, RELEASE_KEYS};
use api::signature::{KEYS_BACK_REMEDY, KEYS_LOST_REMEDY, is_first_adoption};
use api::signing_key::{KeyError, ReleaseKeys, SigningKey};
use artifacts::package::{Package, PackageError, UntrustedError};
use jiff::Timestamp;
use std::io::Read as _;
use std::path::Path;

/// Longest file of a key, in bytes.
const KEY_LIMIT: u64 = 16 * 1024;

/// Whose keys count.
struct Trusted {
    keys: Vec<SigningKey>,
    /// In words.
    whose: String,
}

/// Verifies with keys of files.
pub(super) fn offline(flags: &Verify, printer: &mut Printer<'_>) -> Result<u8, Failure> {
    let keys: Result<Vec<_>, _> = flags.key.iter().map(|file| key(file)).collect();
    let trusted = Trusted { keys: keys?, whose: "the keys that were given with --key".to_owned() };
    let package = open(&flags.package)?;
    let text = verify(&package, &trusted, None)?;
    printer.data(&text).map(|()| 0)
}

/// There is no platform to ask whom it trusts: that is not the only way.
pub(super) fn without_platform(failure: &Failure, program: &str) -> Failure {
    let mut hints = failure.hints(program);
    hints.push(format!(
        "or verify it anywhere with the publisher's key: {program} adm release verify PACKAGE --key KEY.pub"
    ));
    Failure::refused(chain(failure), hints)
}

/// Verifies with the keys that the platform trusts.
pub(super) async fn run(flags: &Verify, session: &mut Session<'_, '_>) -> Result<u8, Failure> {
    let recorded = ReleaseKeys::parse(&session.server.release_keys().await?);
    let recorded = recorded.map_err(|error| unknown(&error))?;
    let package = open(&flags.package)?;
    let trusted = match recorded.signing {
        Some(keys) => Trusted {
            keys,
            whose: format!("the keys of the installed release ({NAMESPACE}/{RELEASE_KEYS})"),
        },
        None => first_adoption(&package, session).await?,
    };
    let text = verify(&package, &trusted, Some((session.environment.now)()))?;
    session.printer.data(&text).map(|()| 0)
}

/// No release has recorded keys; where one should have, nobody is trusted.
async fn first_adoption(
    package: &Package,
    session: &mut Session<'_, '_>,
) -> Result<Trusted, Failure> {
    let current = session.server.current(GLOBAL).await?;
    if !is_first_adoption(current.as_ref()) {
        let version = current.unwrap_or_default().version;
        return Err(Failure::refused(
            format!(
                "the installed release {version} was signed, but ConfigMap {NAMESPACE}/{RELEASE_KEYS} no longer says whom it trusts"
            ),
            vec![KEYS_LOST_REMEDY.to_owned()],
        ));
    }
    let content = package.release().map_err(refused)?;
    Ok(Trusted {
        keys: content.release.signing_keys,
        whose: "the keys of this package itself, for no installed release has recorded any (first adoption): compare them with what its publisher says".to_owned(),
    })
}

fn unknown(error: &KeyError) -> Failure {
    Failure::refused(
        format!(
            "whom this platform trusts is not known: ConfigMap {NAMESPACE}/{RELEASE_KEYS}: {error}"
        ),
        vec![KEYS_BACK_REMEDY.to_owned()],
    )
}

fn key(file: &Path) -> Result<SigningKey, Failure> {
    let mut text = String::new();
    let read = std::fs::File::open(file)
        .and_then(|opened| opened.take(KEY_LIMIT).read_to_string(&mut text));
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let problem = match read {
        Err(error) => error.to_string(),
        Ok(_) => match SigningKey::given(&name, &text) {
            Ok(key) => return Ok(key),
            Err(error) => error.to_string(),
        },
    };
    Err(Failure::refused(
        format!("the key {} cannot be used: {problem}", file.display()),
        vec!["name the public half of an ed25519 key: openssl pkey -in KEY.pem -pubout".to_owned()],
    ))
}

fn open(folder: &Path) -> Result<Package, Failure> {
    if folder.is_file() {
        let name = folder.display();
        return Err(Failure::refused(
            format!("{name} is a file; what is verified is the folder of an extracted package"),
            vec![format!("extract it, without running anything of it: tar -xzf {name}")],
        ));
    }
    Package::read(folder).map_err(refused)
}

/// Everything, the cheapest first; the text says what was verified and by whom.
fn verify(package: &Package, trusted: &Trusted, at: Option<Timestamp>) -> Result<String, Failure> {
    let sums = package.verify_sums(&trusted.keys, at).map_err(untrusted)?;
    let image = package.verify_image(&trusted.keys, at).map_err(untrusted)?;
    let mut bytes = 0;
    package.verify(|read| bytes += read).map_err(refused)?;
    let release = package.release().map_err(refused)?.release;
    let product = package.product_image();
    let rows = [
        ("Package", package.folder().display().to_string()),
        ("Release", release.version.to_string()),
        ("Files", format!("{} files, {bytes} bytes: as they were made", package.count())),
        ("Sums", format!("signed by key {sums}")),
        ("Image", format!("{}@{} signed by key {image}", product.repository, product.digest())),
        ("Trusted", trusted.whose.clone()),
    ];
    let added = package.plugins().iter().filter(|plugin| plugin.digest.is_none());
    let added: Vec<String> = added.map(|plugin| plugin.stem.clone()).collect();
    let mut text: String = rows.iter().map(|(name, said)| format!("{name:<9}{said}\n")).collect();
    if !added.is_empty() {
        text.push_str(&format!(
            "Not of the package, and not verified: plugins/ {}\n",
            api::text::names(&added)
        ));
    }
    Ok(text + "The package holds.\n")
}

fn refused(error: PackageError) -> Failure {
    let again =
        "compare the sum of the downloaded .tgz, then extract it again into an empty folder";
    let hint = match &error {
        PackageError::NotPackage { .. } => "name the folder of an extracted core package",
        _ => again,
    };
    Failure::refused(chain(&error), vec![hint.to_owned()])
}

fn untrusted(error: UntrustedError) -> Failure {
    match error {
        UntrustedError::Package(error) => refused(error),
        UntrustedError::Image { ref source } | UntrustedError::Sums { ref source } => {
            Failure::refused(chain(&error), vec![source.remedy()])
        }
    }
}
