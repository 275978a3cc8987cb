//! How large a status may become. Messages are cut long before an entry is lost.

use api::objects::ClusterVersionShadowStatus;

/// Largest status, in bytes of JSON.
pub(crate) const STATUS_LIMIT: usize = 256 * 1024;
/// Lengths to which messages of operations are cut, one after the other, until the status fits.
const MESSAGE_LIMITS: [usize; 3] = [256, 64, 8];

/// Cuts messages until the status fits. Those of the conditions stay: they are four.
pub(super) fn keep(status: &mut ClusterVersionShadowStatus) {
    for limit in MESSAGE_LIMITS {
        if size(status) <= STATUS_LIMIT {
            return;
        }
        let cut = |message: &mut String| *message = api::text::line(message, limit);
        for stage in &mut status.stages {
            cut(&mut stage.message);
            for operation in &mut stage.operations {
                cut(&mut operation.message);
                if let Some(blocker) = &mut operation.blocker {
                    cut(&mut blocker.message);
                    // Half a command helps nobody; the table of reasons has a remedy too.
                    if limit < MESSAGE_LIMITS[0] {
                        blocker.remedy.clear();
                    }
                }
            }
        }
        for other in &mut status.not_offered {
            cut(&mut other.message);
        }
    }
}

/// Its size as it is stored.
pub(crate) fn size(status: &ClusterVersionShadowStatus) -> usize {
    serde_json::to_vec(status).map_or(usize::MAX, |bytes| bytes.len())
}
