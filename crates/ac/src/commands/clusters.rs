//! `ac get clusters` and `ac adm upgrade status --all-clusters`: every cluster of the platform.

use super::{Session, watch};
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

/// Shows how every cluster stands, the worst first; once or until each is at its target.
pub(super) async fn status(flags: &Status, session: &mut Session<'_, '_>) -> Result<u8, Failure> {
    let shadows = session.server.shadows().await?;
    if flags.watch {
        return watch::run(watch::Whom::All, &shadows, flags, session).await;
    }
    let all = worst_first(shadows.iter().map(Assessment::of).collect());
    let view = session.view(Detail::Brief);
    let each = || all.iter().map(|one| UpgradeStatus::of(one, view.now)).collect::<Vec<_>>();
    let text = match flags.output {
        Some(Output::Json) => upgrade_status::json(&each())?,
        Some(Output::Yaml) => upgrade_status::yaml(&each())?,
        Some(Output::Wide) | None => render::fleet(&all, &view),
    };
    session.printer.data(&text)?;
    Ok(if flags.exit_code { exit_code(&all) } else { 0 })
}

/// The exit status of many clusters is that of the worst: a person must act, nothing is known, it
/// runs, it is at its target.
pub(super) fn exit_code<'a>(all: impl IntoIterator<Item = &'a Assessment>) -> u8 {
    let codes: Vec<u8> = all.into_iter().map(|one| one.state.exit_code()).collect();
    [4, 5, 3].into_iter().find(|code| codes.contains(code)).unwrap_or_default()
}

/// Who must act first, then what is not known, what runs, what is at its target.
pub(super) fn worst_first(mut all: Vec<Assessment>) -> Vec<Assessment> {
    all.sort_by_key(|one| (one.state.rank(), one.cluster.clone()));
    all
}
