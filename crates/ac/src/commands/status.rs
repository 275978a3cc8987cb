//! `ac adm upgrade status`.

use super::{Session, watch};
use crate::arguments::{Output, Status};
use crate::assessment::Assessment;
use crate::failure::Failure;
use crate::render::{self, Detail, View};
use crate::upgrade_status::UpgradeStatus;

/// Shows how a cluster stands, once or until it is at its target.
pub(super) async fn run(
    cluster: &str,
    flags: &Status,
    session: &mut Session<'_, '_>,
) -> Result<u8, Failure> {
    let shadow = session.server.shadow(cluster).await?;
    if flags.watch {
        let whom = watch::Whom::One(cluster.to_owned());
        return watch::run(whom, &[shadow], flags, session).await;
    }
    let assessment = Assessment::of(&shadow);
    let text = shown(&assessment, &session.view(detail(flags)), flags.output)?;
    session.printer.data(&text)?;
    Ok(if flags.exit_code { assessment.state.exit_code() } else { 0 })
}

/// How much the flags ask for.
pub(super) fn detail(flags: &Status) -> Detail {
    match (flags.output, flags.verbose) {
        (Some(Output::Wide), _) => Detail::Wide,
        (_, true) => Detail::Verbose,
        _ => Detail::Brief,
    }
}

/// The status in the form that was asked for.
pub(super) fn shown(
    assessment: &Assessment,
    view: &View<'_>,
    output: Option<Output>,
) -> Result<String, Failure> {
    match output {
        Some(Output::Json) => UpgradeStatus::of(assessment, view.now).json(),
        Some(Output::Yaml) => UpgradeStatus::of(assessment, view.now).yaml(),
        Some(Output::Wide) | None => Ok(render::status(assessment, view)),
    }
}
