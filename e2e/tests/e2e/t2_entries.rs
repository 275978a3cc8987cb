//! The entry points of the documents, each from a platform at 4.2.1 to its end, and what else may
//! be asked for on the way.

use anyhow::{Result, ensure};
use e2e::t2::{Bench, text};

/// A platform at 4.2.1 to which 4.3.0 is offered and whose preflight passes.
async fn offered() -> Result<(Bench, e2e::t2::Operator)> {
    let (bench, operator) = Bench::installed().await?;
    bench.publish("4.3.0").await?;
    bench.offered("4.3.0").await?;
    bench.condition_becomes("PreflightReady", "True", "Passed").await?;
    Ok((bench, operator))
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_by_kubectl_patch() -> Result<()> {
    let (bench, _operator) = offered().await?;
    bench
        .must(
            "kubectl patch cvsh global -n cpaas-system --type merge -p '{
  \"spec\": {
    \"desiredUpdate\": {
      \"version\": \"4.3.0\"
    }
  }
}'",
        )
        .await?;
    let cvsh = bench.completed("4.3.0").await?;
    ensure!(text(&cvsh, "/status/current/image").contains("@sha256:"), "{cvsh}");
    Ok(())
}
