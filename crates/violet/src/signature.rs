//! Decides whose signature of a plugin package counts: of the key that is given, else of those that
//! the platform recorded; and whether a package bears one of them.

use crate::connection::Connection;
use crate::failure::Failure;
use crate::package::name;
use api::failure::chain;
use api::names::{NAMESPACE, RELEASE_KEYS};
use api::signature::KEYS_BACK_REMEDY;
use api::signing_key::SigningKey;
use artifacts::package::UntrustedError;
use artifacts::plugin::PluginPackage;
use cluster::platform::release_keys;
use jiff::Timestamp;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// Longest file of a key or of one sum, in bytes.
const SMALL_LIMIT: u64 = 16 * 1024;

/// Whose signature counts.
pub(crate) enum Keys {
    /// These; and who says so, and from when on they have expired.
    Known { keys: Vec<SigningKey>, whose: String, at: Option<Timestamp> },
    /// Nobody's, and why.
    None(String),
}

impl Keys {
    /// Those of a file, else those of the platform, where one is at hand.
    ///
    /// # Errors
    /// When the file holds no key, or the record of the platform cannot be read.
    pub(crate) async fn of(
        public_key: Option<&Path>,
        connection: Option<&Connection>,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        if let Some(file) = public_key {
            let whose = format!("given with {}", name(file));
            return Ok(Self::Known { keys: vec![key(file)?], whose, at: None });
        }
        let Some(connection) = connection else {
            return Ok(Self::None("neither --public-key nor a platform is at hand".to_owned()));
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
            Some(keys) => Self::Known {
                keys,
                whose: format!("recorded by the installed release, {NAMESPACE}/{RELEASE_KEYS}"),
                at: Some(now),
            },
            None => {
                Self::None("no installed release has recorded keys on this platform".to_owned())
            }
        })
    }
}

/// What is known of who made a package.
pub(crate) enum Maker {
    /// It bears no signature.
    Unsigned,
    /// It bears one, and nobody says whose counts; why.
    Unknown(String),
    /// It bears one that counts; in words.
    Signed(String),
}

/// Looks at the signature of a package, whose file is named for people.
///
/// # Errors
/// When it bears one and none counts, or it cannot be read.
pub(crate) fn maker(package: &PluginPackage, file: &Path, keys: &Keys) -> Result<Maker, Failure> {
    let refused = |source| Failure::Package { file: name(file), source };
    if !package.is_signed().map_err(refused)? {
        return Ok(Maker::Unsigned);
    }
    let (keys, whose, at) = match keys {
        Keys::Known { keys, whose, at } => (keys, whose, at),
        Keys::None(why) => return Ok(Maker::Unknown(why.clone())),
    };
    let key = package.verify_sums(keys, *at).map_err(|error| {
        let hint = match &error {
            UntrustedError::Sums { .. } if at.is_none() => {
                "name the key of its publisher, or get the package as its publisher signed it"
                    .to_owned()
            }
            UntrustedError::Sums { source } | UntrustedError::Image { source } => format!(
                "{}; where you trust another publisher, name its key: --public-key FILE",
                source.remedy()
            ),
            UntrustedError::Package(_) => "fetch the package again from its publisher".to_owned(),
        };
        Failure::refused(format!("{}: {} ({whose})", name(file), chain(&error)), hint)
    })?;
    Ok(Maker::Signed(format!("of key {} ({whose})", api::text::line(&key, 64))))
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
pub(crate) fn small(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
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
