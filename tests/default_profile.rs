//! The default profile answers as before there were profiles: `default_profile.py` against the
//! program as built.

mod program;

use std::path::Path;
use std::process::Command;

#[test]
fn every_octet_of_recorded_conversations_is_the_same() {
    if !program::has_python("the default profile") {
        return;
    }
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/default_profile.py");
    let output =
        Command::new("python3").arg(suite).arg(env!("CARGO_BIN_EXE_mailconsole")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}
