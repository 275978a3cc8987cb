//! `ac get clusters` and `ac adm upgrade status --all-clusters`: every cluster of the platform.

use super::Session;
use crate::arguments::{Output, Status};
use crate::assessment::Assessment;
use crate::failure::Failure;
use crate::render::{self, Detail};
use crate::upgrade_status::{self, UpgradeStatus};

/// Lists the clusters of the platform.
pub(super) async fn run(session: &mut Session<'_, '_>) -> Result<u8, Failure> {
    let (clusters, shadows) =
        tokio::try_join!(session.server.registered(), session.server.shadows())?;
    let all: Vec<Assessment> = shadows.iter().map(Assessment::of).collect();
    let text = render::clusters(&clusters, &all, &session.view(Detail::Brief));
    session.printer.data(&text)?;
    Ok(0)
}

/// Shows how every cluster stands, the worst first.
pub(super) async fn status(flags: &Status, session: &mut Session<'_, '_>) -> Result<u8, Failure> {
    let shadows = session.server.shadows().await?;
    let mut all: Vec<Assessment> = shadows.iter().map(Assessment::of).collect();
    all.sort_by_key(|one| (one.state.rank(), one.cluster.clone()));
    let view = session.view(Detail::Brief);
    let each = || all.iter().map(|one| UpgradeStatus::of(one, view.now)).collect::<Vec<_>>();
    let text = match flags.output {
        Some(Output::Json) => upgrade_status::json(&each())?,
        Some(Output::Yaml) => upgrade_status::yaml(&each())?,
        Some(Output::Wide) | None => render::fleet(&all, &view),
    };
    session.printer.data(&text)?;
    // The list is sorted by the same rank.
    let worst = all.first().map_or(0, |one| one.state.exit_code());
    Ok(if flags.exit_code { worst } else { 0 })
}
