#!/usr/bin/env python3
"""What Cargo.lock pulls in: may we use it, does it come from crates.io, has it been yanked?

Known vulnerabilities are NOT looked for. Their list, the RustSec advisory database, lies on
GitHub, and this check works with crates.io alone; run `cargo audit` where GitHub can be reached.
Several versions of one crate are allowed: `cargo tree --duplicates` shows them.
"""

import json
import re
import subprocess
import sys

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "WTFPL",
    "Zlib",
}


def main():
    packages = json.loads(cargo("metadata", "--format-version", "1", "--locked").stdout)["packages"]
    others = [package for package in packages if package["source"] is not None]
    findings = [
        f"{package['name']} {package['version']}: {finding}"
        for package in others
        for finding in (wrong_source(package), wrong_licence(package))
        if finding
    ]
    findings += yanked()
    print(*findings, f"{len(others)} crates, {len(findings)} findings", sep="\n")
    return 1 if findings else 0


def wrong_source(package):
    if package["source"] != CRATES_IO:
        return f"comes from {package['source']}"


def wrong_licence(package):
    expression = package["license"] or ""
    if not allowed(re.sub(r"\s*/\s*", " OR ", expression)):
        return f"has the licence {expression or '(none)'!r}"


def allowed(expression):
    """Whether an SPDX expression can be met with ALLOWED licences: AND binds tighter than OR."""
    while "(" in expression:
        expression = re.sub(r"\(([^()]*)\)", lambda m: "MIT" if allowed(m[1]) else "-", expression)
    choices = expression.split(" OR ")
    return any(all(part.strip() in ALLOWED for part in each.split(" AND ")) for each in choices)


def yanked():
    """Cargo itself knows, and says so only when it packs a crate."""
    packed = cargo("package", "--locked", "--no-verify", "--allow-dirty")
    return [line for line in packed.stderr.splitlines() if "is yanked" in line]


def cargo(*arguments):
    done = subprocess.run(["cargo", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cargo {arguments[0]} failed: {done.stderr.strip()}")
    return done


if __name__ == "__main__":
    sys.exit(main())
