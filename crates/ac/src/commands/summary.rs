//! `ac adm upgrade` without a request: the summary.

use super::Session;
use crate::assessment::Assessment;
use crate::failure::Failure;
use crate::render::{self, Detail};

/// Shows the versions, offers and conditions of a cluster.
pub(super) async fn run(cluster: &str, session: &mut Session<'_, '_>) -> Result<u8, Failure> {
    let shadow = session.server.shadow(cluster).await?;
    let text = render::summary(&Assessment::of(&shadow), &session.view(Detail::Brief));
    session.printer.data(&text)?;
    Ok(0)
}
