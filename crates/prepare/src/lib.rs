//! `acp-prepare`, the program behind `upgrade.sh`: sync, preflight of the package in hand, deploy.
//!
//! Decides the order of the phases and what each needs. Must not know how artifacts are copied, how
//! a check is judged or what an upgrade does: `artifacts` and `planner` do.

mod arguments;
mod credentials;
pub mod decision;
mod deploy;
mod environment;
mod failure;
mod kubeconfig;
mod lock;
mod platform;
mod preflight;
mod printer;
mod sync;

pub use arguments::command;
pub use environment::Environment;
pub use failure::Failure;
pub use printer::Printer;

use api::names::GLOBAL;
use arguments::{Arguments, Parsed};
use artifacts::content::ReleaseContent;
use artifacts::package::Package;
use credentials::{Given, Held, Use};
use decision::{Decision, Sync, Wishes, decide};
use environment::SKIP_SYNC_IMAGE;
use kubeconfig::Connection;
use platform::Platform;
use std::ffi::OsString;

/// Runs one command line to its end and answers its exit status.
pub async fn run(
    arguments: Vec<OsString>,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> u8 {
    let outcome = match arguments::parse(arguments) {
        Ok(Parsed::Run(parsed)) => phases(&parsed, environment, printer).await,
        Ok(Parsed::Show(text)) => printer.say(&text).map(|()| 0),
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(status) => status,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit_code()
        }
    }
}

/// A package that was opened, and the release inside.
pub(crate) struct InHand {
    pub(crate) package: Package,
    pub(crate) content: ReleaseContent,
}

async fn phases(
    arguments: &Arguments,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<u8, Failure> {
    if arguments.cluster != GLOBAL {
        let shown = api::text::line(&arguments.cluster, 64);
        return Err(Failure::Usage {
            message: format!("--cluster={shown} is not supported yet: this version prepares and checks cluster {GLOBAL} only"),
            hint: format!("leave --cluster out, or write --cluster={GLOBAL}"),
        });
    }
    let wishes = wishes(arguments, environment)?;
    if arguments.password.is_some() {
        printer.note("warning: others on this machine can see a password on the command line; prefer --password-stdin");
    }
    let given = Given::read(arguments, std::io::stdin())?;
    let in_hand = open(environment)?;
    if arguments.preflight {
        let need = "preflight reads the cluster";
        let connection = Connection::open(&environment.kubeconfig, need).await?;
        return preflight::run(&in_hand, &connection, wishes.registry, environment, printer).await;
    }
    let _lock = lock::Lock::take(in_hand.package.folder())?;
    prepare(arguments, &wishes, &given, &in_hand, environment, printer).await.map(|()| 0)
}

fn wishes(arguments: &Arguments, environment: &Environment) -> Result<Wishes, Failure> {
    let text = environment.skip_sync_image.as_ref().map(|text| text.to_string_lossy());
    let skip_in_environment = match text.as_deref().map(str::to_lowercase).as_deref() {
        None | Some("false" | "0" | "no") => false,
        Some("true" | "1" | "yes") => true,
        Some(other) => {
            return Err(Failure::Usage {
                message: format!(
                    "{SKIP_SYNC_IMAGE} in the environment is '{}'",
                    api::text::line(other, 64)
                ),
                hint: format!("write {SKIP_SYNC_IMAGE}=true or {SKIP_SYNC_IMAGE}=false"),
            });
        }
    };
    Ok(Wishes {
        registry: arguments.registry.clone(),
        only_sync: arguments.only_sync_image,
        skip_sync: arguments.skip_sync_image,
        skip_in_environment,
    })
}

fn open(environment: &Environment) -> Result<InHand, Failure> {
    let folder = environment.package.as_deref().ok_or(Failure::NoPackage)?;
    let package = Package::open(folder, environment.architecture)?;
    let content = package.release()?;
    Ok(InHand { package, content })
}

/// Sync and deploy, as far as they are asked for.
async fn prepare(
    arguments: &Arguments,
    wishes: &Wishes,
    given: &Given,
    in_hand: &InHand,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let connection = connect(wishes, given, environment).await?;
    let platform = match &connection {
        Some(connection) => Platform::read(connection).await?,
        None => Platform::default(),
    };
    let decision = decide(wishes, platform.registry.as_ref())?;
    printer.say(&format!("Release:  {}", in_hand.content.release.version))?;
    for line in decision.lines() {
        printer.say(&line)?;
    }
    let held = match &connection {
        Some(connection) => Held::read(connection, &platform).await?,
        None => Held::default(),
    };
    let arriving = deploy::Arriving::of(in_hand, &platform, &decision.registry);
    if let (true, Some(connection)) = (decision.deploy, &connection) {
        // What must not be deployed is not worth two hours of sending first.
        deploy::judge(connection, &arriving).await?;
    }
    artifacts(arguments, given, &held, in_hand, &platform, &decision, environment, printer).await?;
    match (decision.deploy, connection) {
        (true, Some(connection)) => {
            let ca = deploy::authority(given.ca.as_deref(), held.ca().map(String::as_str));
            let deployment = deploy::Deployment { in_hand, arriving, ca, timeout: arguments.timeout };
            deploy::run(&deployment, &connection, environment, printer).await
        }
        (true, None) | (false, _) => Ok(()),
    }
}

/// Connects where something must be read from the cluster. Where nothing must, a cluster that is
/// named all the same may tell the certificate of its registry.
async fn connect(
    wishes: &Wishes,
    given: &Given,
    environment: &Environment,
) -> Result<Option<Connection>, Failure> {
    let skips = wishes.skip_sync.unwrap_or(wishes.skip_in_environment);
    let need = if !wishes.only_sync {
        "deploy writes to the cluster"
    } else if wishes.registry.is_none() {
        "the address of the registry is read from the cluster (or give --registry)"
    } else if !given.has_account() && !skips {
        "the account of the registry is read from the cluster (or give --username and --password-stdin)"
    } else {
        return Ok(None);
    };
    Connection::open(&environment.kubeconfig, need).await.map(Some)
}

/// Sends the artifacts, or checks that they are there.
#[expect(clippy::too_many_arguments, reason = "each is decided elsewhere and used once here")]
async fn artifacts(
    arguments: &Arguments,
    given: &Given,
    held: &Held,
    in_hand: &InHand,
    platform: &Platform,
    decision: &Decision,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let package = &in_hand.package;
    if !arguments.skip_check_artifacts {
        package.check()?;
    }
    if decision.sync == Sync::Run {
        let registry = credentials::registry(given, held, decision, platform, Use::Push)?;
        return sync::run(package, &registry, environment.is_terminal, printer).await;
    }
    if decision.deploy && !arguments.skip_check_artifacts {
        let registry = credentials::registry(given, held, decision, platform, Use::Look)?;
        return sync::verify(package, &registry, printer).await;
    }
    Ok(())
}
