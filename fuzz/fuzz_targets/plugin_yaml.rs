//! `plugin_yaml` of `targets.rs` under libFuzzer.

#![no_main]

#[path = "../targets.rs"]
#[expect(dead_code, reason = "each program runs one target")]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::plugin_yaml(data));
