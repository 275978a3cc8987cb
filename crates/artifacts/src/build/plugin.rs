//! Decides how the chart of a plugin stands in a layout: a Helm artifact, as `helm push` makes one.
//! Knows nothing of what the chart holds.

use api::release::ReleaseImage;
use serde_json::Value;

use super::layout::json;
use super::{BuildError, LayoutWriter};
use crate::oci::{HELM_CHART_TYPE, HELM_CONFIG_TYPE, Manifest};

impl LayoutWriter {
    /// Writes a packed chart; `about` is its Chart.yaml.
    ///
    /// # Errors
    /// When the layout cannot be written or the name is none.
    pub fn chart(
        &mut self,
        repository: &str,
        version: &str,
        about: &Value,
        chart: &[u8],
    ) -> Result<ReleaseImage, BuildError> {
        let config = self.blob(HELM_CONFIG_TYPE, &json(about))?;
        let layer = self.blob(HELM_CHART_TYPE, chart)?;
        self.image(repository, version, &Manifest::new(config, vec![layer]), None)
    }
}
