//! The commands: each is a function that returns an exit status.

mod clusters;
mod completion;
mod import_manifest;
mod request;
mod status;
mod summary;
mod verify;
mod version;
mod watch;

use crate::api_server::ApiServer;
use crate::arguments::{Adm, Arguments, Command, Get, Release, Upgrade, UpgradeCommand};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::render::{Detail, View};

/// What every command that asks an API server has at hand.
struct Session<'a, 'b> {
    server: ApiServer,
    environment: &'a Environment,
    printer: &'a mut Printer<'b>,
}

impl Session<'_, '_> {
    /// The view of this moment.
    fn view(&self, detail: Detail) -> View<'_> {
        View {
            look: self.environment.look(),
            now: (self.environment.now)(),
            program: &self.environment.program,
            detail,
        }
    }
}

/// Runs a command.
///
/// # Errors
/// Says why it cannot do what it is asked to.
pub(crate) async fn run(
    arguments: Arguments,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<u8, Failure> {
    let adm = match arguments.command {
        Command::Version => return version::run(environment, printer),
        Command::Completion { shell } => return completion::run(shell, environment, printer),
        Command::Get(Get::Clusters) => {
            let server = ApiServer::connect(&arguments.connection, environment).await?;
            return clusters::run(&mut Session { server, environment, printer }).await;
        }
        Command::Adm(adm) => adm,
    };
    // What is wrong with the command line is told before any server is asked.
    let wish = match &adm {
        Adm::Upgrade(upgrade) => request::wish(upgrade, environment)?,
        Adm::Release(Release::ImportManifest(flags)) => {
            request::well_formed(&flags.version, "--version").map(|_version| None)?
        }
        Adm::Release(Release::Verify(_)) => None,
    };
    if let Adm::Release(Release::Verify(flags)) = &adm
        && !flags.key.is_empty()
    {
        return verify::offline(flags, printer);
    }
    let connected = ApiServer::connect(&arguments.connection, environment).await;
    let server = match (connected, &adm) {
        (Err(failure @ Failure::NoKubeconfig { .. }), Adm::Release(Release::Verify(_))) => {
            return Err(verify::without_platform(&failure, &environment.program));
        }
        (connected, _) => connected?,
    };
    let mut session = Session { server, environment, printer };
    match adm {
        Adm::Release(Release::ImportManifest(flags)) => {
            import_manifest::run(&flags, &mut session).await
        }
        Adm::Release(Release::Verify(flags)) => verify::run(&flags, &mut session).await,
        Adm::Upgrade(Upgrade { cluster, command: Some(UpgradeCommand::Status(flags)), .. }) => {
            match flags.all_clusters {
                true => clusters::status(&flags, &mut session).await,
                false => status::run(&cluster, &flags, &mut session).await,
            }
        }
        Adm::Upgrade(Upgrade { cluster, .. }) => match wish {
            Some(wish) => request::run(&cluster, &wish, &mut session).await,
            None => summary::run(&cluster, &mut session).await,
        },
    }
}
