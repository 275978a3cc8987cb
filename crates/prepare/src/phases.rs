//! Decides which phases run in which order, and what is read from the cluster for them. Must not
//! do the work of a phase.

use crate::arguments::Arguments;
use crate::credentials::{self, Held, Use};
use crate::decision::{Decision, Sync, Wishes, decide};
use crate::environment::{Environment, SKIP_SYNC_IMAGE};
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::lock::Lock;
use crate::plugins::{self, Plugin};
use crate::printer::Printer;
use crate::{deploy, platform, preflight, sync, trust};
use api::failure::chain;
use api::names::GLOBAL;
use artifacts::content::ReleaseContent;
use artifacts::package::Package;
use artifacts::registry::Given;
use cluster::platform::Platform;

/// A package, and the release inside. It is read last: where the cluster says whom it trusts,
/// nothing of it is read before that is asked.
pub(crate) struct InHand<'a> {
    pub(crate) package: &'a Package,
    pub(crate) content: ReleaseContent,
}

impl<'a> InHand<'a> {
    /// # Errors
    /// When the release is refused or does not agree with the package.
    pub(crate) fn of(package: &'a Package) -> Result<Self, Failure> {
        Ok(Self { package, content: package.release()? })
    }
}

/// What a run is asked for and has in hand.
struct Job<'a> {
    arguments: &'a Arguments,
    environment: &'a Environment,
    wishes: Wishes,
    given: Given,
    package: Package,
}

/// What the cluster says; empty where it is not asked.
#[derive(Default)]
struct World {
    connection: Option<Connection>,
    platform: Platform,
    held: Held,
}

/// Runs what the command line asks for; gives the exit status.
///
/// # Errors
/// Whatever goes wrong first.
pub(crate) async fn run(
    arguments: &Arguments,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<u8, Failure> {
    if arguments.cluster != GLOBAL && !arguments.preflight {
        let shown = api::text::line(&arguments.cluster, 64);
        return Err(Failure::Usage {
            message: format!(
                "--cluster={shown} goes with --preflight: a release is sent and deployed once, for the whole platform"
            ),
            hint: format!(
                "leave --cluster out, or write: bash upgrade.sh --preflight --cluster={shown}"
            ),
        });
    }
    let wishes = wishes(arguments, environment)?;
    if arguments.password.is_some() {
        printer.note("warning: others on this machine can see a password on the command line; prefer --password-stdin");
    }
    let given = credentials::given(arguments, std::io::stdin())?;
    let job = Job { arguments, environment, wishes, given, package: open(environment)? };
    if arguments.preflight {
        let need = "preflight reads the cluster";
        let connection = Connection::open(&environment.kubeconfig, need).await?;
        let subject = preflight::Asked {
            cluster: &arguments.cluster,
            registry: job.wishes.registry.as_deref().unwrap_or_default(),
        };
        return preflight::run(&job.package, &connection, &subject, environment, printer).await;
    }
    let _lock = Lock::take(job.package.folder())?;
    job.prepare(printer).await.map(|()| 0)
}

fn wishes(arguments: &Arguments, environment: &Environment) -> Result<Wishes, Failure> {
    let text = environment.skip_sync_image.as_ref().map(|text| text.to_string_lossy());
    let skip_in_environment = match text.as_deref().map(str::to_lowercase).as_deref() {
        None | Some("false" | "0" | "no") => false,
        Some("true" | "1" | "yes") => true,
        Some(other) => {
            let shown = api::text::line(other, 64);
            return Err(Failure::Usage {
                message: format!("{SKIP_SYNC_IMAGE} in the environment is '{shown}'"),
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

fn open(environment: &Environment) -> Result<Package, Failure> {
    let folder = environment.package.as_deref().ok_or(Failure::NoPackage)?;
    Ok(Package::open(folder, environment.architecture)?)
}

impl Job<'_> {
    /// Sync and deploy, as far as they are asked for.
    async fn prepare(&self, printer: &mut Printer<'_>) -> Result<(), Failure> {
        let world = self.look(printer).await?;
        let decision = decide(&self.wishes, world.platform.registry.as_ref())?;
        let trusted = match (&world.connection, self.need()) {
            (Some(connection), Some(_)) => {
                Some(trust::verify(&self.package, connection, (self.environment.now)()).await?)
            }
            _ => None,
        };
        let in_hand = InHand::of(&self.package)?;
        printer.say(&format!("Release:  {}", in_hand.content.release.version))?;
        for line in decision.lines() {
            printer.say(&line)?;
        }
        if let Some(trusted) = &trusted {
            printer.say(&format!("Trusted:  {}", trusted.signature.words()))?;
        }
        let plugins = self.plugins(trusted.as_ref(), printer)?;
        let connection = world.connection.as_ref().filter(|_| decision.deploy);
        let arriving = deploy::Arriving::of(&in_hand, &world.platform, &decision.registry);
        if let Some(connection) = connection {
            // What must not be deployed is not worth two hours of sending first.
            deploy::judge(connection, &arriving).await?;
            for plugin in &plugins {
                plugin.judge(connection).await?;
            }
        }
        self.artifacts(&plugins, &world, &decision, printer).await?;
        let Some(connection) = connection else { return Ok(()) };
        let ca = deploy::authority(self.given.ca.as_deref(), world.held.ca().map(String::as_str));
        let timeout = self.arguments.timeout;
        let (package, plugins) = (&self.package, plugins.as_slice());
        let deployment = deploy::Deployment { package, plugins, arriving, ca, timeout };
        deploy::run(&deployment, connection, self.environment, printer).await
    }

    /// Reads the cluster where something must be read from it. Where nothing must, a cluster that
    /// is at hand all the same may tell the certificate of its registry.
    async fn look(&self, printer: &mut Printer<'_>) -> Result<World, Failure> {
        if let Some(need) = self.need() {
            return self.read(need).await;
        }
        let is_at_hand = self.environment.kubeconfig.iter().any(|path| path.exists());
        if self.given.ca.is_some() || !is_at_hand {
            return Ok(World::default());
        }
        match self.read("the certificate of the registry is looked for there").await {
            Ok(world) => Ok(world),
            Err(failure) => {
                printer.note(&format!(
                    "warning: whether the platform has a certificate of the registry is not known, so those of this machine are used: {}",
                    chain(&failure)
                ));
                Ok(World::default())
            }
        }
    }

    /// What the cluster must be read for.
    fn need(&self) -> Option<&'static str> {
        let wishes = &self.wishes;
        let skips = wishes.skip_sync.unwrap_or(wishes.skip_in_environment);
        if !wishes.only_sync {
            Some("deploy writes to the cluster")
        } else if wishes.registry.is_none() {
            Some("the address of the registry is read from the cluster (or give --registry)")
        } else if !self.given.has_account() && !skips {
            Some(
                "the account of the registry is read from the cluster (or give --username and --password-stdin)",
            )
        } else {
            None
        }
    }

    async fn read(&self, need: &'static str) -> Result<World, Failure> {
        let connection = Connection::open(&self.environment.kubeconfig, need).await?;
        let platform = platform::read(&connection).await?;
        let held = Held::read(&connection, &platform).await?;
        Ok(World { connection: Some(connection), platform, held })
    }

    /// The plugin packages; where the cluster says whom it trusts, their signatures must count.
    fn plugins(
        &self,
        trusted: Option<&trust::Trusted>,
        printer: &mut Printer<'_>,
    ) -> Result<Vec<Plugin>, Failure> {
        let Environment { temporary, architecture, .. } = self.environment;
        let plugins = plugins::open(&self.package, temporary, architecture)?;
        let titles: Vec<String> = plugins.iter().map(|plugin| plugin.opened().title()).collect();
        if !titles.is_empty() {
            printer.say(&format!("Plugins:  {}", api::text::names(&titles)))?;
        }
        if let Some(trusted) = trusted {
            for plugin in &plugins {
                plugin.verify(trusted, printer)?;
            }
        }
        Ok(plugins)
    }

    /// Sends the artifacts, or checks that they are there.
    async fn artifacts(
        &self,
        plugins: &[Plugin],
        world: &World,
        decision: &Decision,
        printer: &mut Printer<'_>,
    ) -> Result<(), Failure> {
        let package = &self.package;
        let checks = !self.arguments.skip_check_artifacts;
        let registry = |purpose| {
            credentials::registry(&self.given, &world.held, decision, &world.platform, purpose)
        };
        if checks {
            package.check()?;
        }
        if decision.sync == Sync::Run {
            let registry = registry(Use::Push)?;
            let plan = sync::plan(package, plugins)?;
            return sync::run(plan, &registry, self.environment.is_terminal, printer).await;
        }
        if decision.deploy && checks {
            let plan = sync::plan(package, plugins)?;
            return sync::verify(&plan, &registry(Use::Look)?, printer).await;
        }
        Ok(())
    }
}
