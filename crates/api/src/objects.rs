//! The objects of the API: types, columns and schemas of their CRDs.

mod app_release;
mod cvsh;
mod modules;
mod platform;
mod product_base;
mod product_manifest;
mod resource_patch;

pub use app_release::*;
pub use cvsh::*;
pub use modules::*;
pub use platform::*;
pub use product_base::*;
pub use product_manifest::*;
pub use resource_patch::*;

/// A schema that keeps fields it does not know; the platform's objects carry more than we read.
fn open_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Any value at all.
fn any_value(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}
