//! What a program pays for features that it does not turn on: nothing. It must not know what the features do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

use std::process::Command;

/// The names of all crates that this one brings into a program.
fn crates(features: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree =
        ["tree", "--offline", "--package", "gatebridge-interface", "--edges", "normal", "--prefix", "none"];
    let output = Command::new(cargo)
        .args(tree)
        .args(["--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

#[test]
fn without_features_there_is_no_runtime() {
    let has = |features: &str, name: &str| crates(features).iter().any(|other| other == name);
    for name in ["tokio", "tower-service", "http-body", "futures-core", "gatebridge-http1"] {
        assert!(!has("", name), "{name} is in every program");
    }
    assert!(has("tokio", "tokio") && !has("tokio", "tower-service"));
    assert!(has("tower", "tower-service") && !has("tower", "axum"));
}
