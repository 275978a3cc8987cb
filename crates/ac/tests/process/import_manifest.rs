//! `ac adm release import-manifest` on a server.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server that has no, or one, ProductManifest, and shows it differently with every look.
fn releases(exists: bool, looks: Vec<serde_json::Value>) -> Server {
    let count = AtomicUsize::new(0);
    let name = format!("{MANIFESTS}/v4.3.0");
    Server::start(move |asked| match asked.method.as_str() {
        "POST" if exists => {
            refusal(409, "AlreadyExists", "productmanifests \"v4.3.0\" already exists")
        }
        "POST" => Answer::Now(201, asked.body.clone()),
        _ if path(asked) == name => {
            let at = count.fetch_add(1, Ordering::SeqCst).min(looks.len() - 1);
            ok(&looks[at])
        }
        _ => not_found(),
    })
}

fn not_yet() -> serde_json::Value {
    manifest("4.3.0", "False", "ImageNotFound", "product-image:v4.3.0: manifest unknown")
}

#[test]
fn a_release_is_published_once() {
    let server = releases(false, vec![not_yet()]);
    let ran = Shell::at(&server).run("adm release import-manifest --version 4.3.0");
    let created: serde_json::Value = serde_json::from_str(&server.changes()[0].body).unwrap();
    assert_eq!(created["metadata"]["name"], "v4.3.0");
    assert_eq!(created["spec"], serde_json::json!({ "version": "4.3.0" }));
    insta::assert_snapshot!(ran.text(Some(&server)));
    let again = releases(true, vec![not_yet()]);
    let ran = Shell::at(&again).run("adm release import-manifest --version 4.3.0");
    insta::assert_snapshot!(ran.text(Some(&again)));
}

#[test]
fn another_version_under_that_name_is_never_overwritten() {
    let mut other = not_yet();
    other["spec"]["version"] = "4.2.9".into();
    let server = releases(true, vec![other]);
    let ran = Shell::at(&server).run("adm release import-manifest --version 4.3.0 --wait");
    assert_eq!(server.changes().len(), 1, "only the creation that was refused");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn waiting_ends_when_it_is_ready() {
    let ready = manifest("4.3.0", "True", "Resolved", "");
    let server = releases(false, vec![manifest("4.3.0", "", "", ""), not_yet(), ready]);
    let ran = Shell::at(&server).run("adm release import-manifest --version=4.3.0 --wait");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn waiting_ends_at_once_where_it_can_never_be_ready() {
    let wrong = manifest("4.3.0", "False", "VersionMismatch", "the image holds 4.2.9");
    let server = releases(false, vec![wrong]);
    let ran = Shell::at(&server).run("adm release import-manifest --version=4.3.0 --wait");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn waiting_has_an_end() {
    let server = releases(true, vec![not_yet()]);
    let ran =
        Shell::at(&server).run("adm release import-manifest --version=4.3.0 --wait --timeout=2s");
    insta::assert_snapshot!(ran.text(Some(&server)));
}
