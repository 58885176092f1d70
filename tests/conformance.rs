//! Every rule of docs/protocol.md and docs/files.md, tried from outside: `conformance.py` against
//! the program as built.

mod program;

use std::path::Path;
use std::process::Command;

#[test]
fn every_rule_holds() {
    if !program::has_python("every rule") {
        return;
    }
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance.py");
    let output =
        Command::new("python3").arg(suite).arg(env!("CARGO_BIN_EXE_mailconsole")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let off: Vec<&str> = told.lines().filter(|line| !line.starts_with("PASS ")).collect();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{complaints}", off.join("\n"));
}
