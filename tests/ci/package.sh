#!/usr/bin/env bash
# Tries the Debian package after it was installed: the program, its pages, its completions, its config
# file and its unit. As root, on Debian.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "package.sh: $1" >&2
    exit 1
}

[ "$(command -v mailconsole)" = /usr/bin/mailconsole ] || fail "mailconsole is not /usr/bin/mailconsole"
mailconsole --version
man -w mailconsole mailconsole-exec mailconsole-wait >/dev/null || fail "there is no manual page"

# What the package installs as the config file is read, and changes nothing.
mailconsole config --json --config /etc/mailconsole.toml >"$work/sample.json"
XDG_CONFIG_HOME="$work" mailconsole config --json >"$work/none.json"
cmp <(tr -d ' ' <"$work/sample.json" | sed 's/"config":{[^}]*}//') \
    <(tr -d ' ' <"$work/none.json" | sed 's/"config":{[^}]*}//') || fail "the sample changes settings"

# Completions load, and offer a command.
bash -c '. /usr/share/bash-completion/completions/mailconsole
    COMP_WORDS=(mailconsole wa) COMP_CWORD=1
    _mailconsole mailconsole wa mailconsole
    [[ " ${COMPREPLY[*]} " == *" wait "* ]]' || fail "bash completes nothing"

unit=/lib/systemd/system/mailconsole.service
[ -e "$unit" ] || unit=/usr$unit
systemd-analyze verify "$unit" || fail "systemd does not understand the unit"
# 0 is closed, 10 open. What is left is the network, which servers need.
systemd-analyze security --offline=true --threshold=20 "$unit" >"$work/security" ||
    fail "the unit is more open than 2.0: $(tail -n 1 "$work/security")"
tail -n 1 "$work/security"

# It says READY=1, and ends within a second, as the unit expects.
python3 - "$work" <<'PYTHON'
import os, signal, socket, subprocess, sys, time
place = sys.argv[1] + "/notify"
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.bind(place)
    notify.settimeout(20)
    line = ["mailconsole", "--no-tui", "--dir", sys.argv[1] + "/mail", "--user", "bob"]
    line += ["--echo-port", "0", "--smtp-port", "0", "--pop3-port", "0"]
    with subprocess.Popen(line, env={**os.environ, "NOTIFY_SOCKET": place}) as server:
        assert b"READY=1" in notify.recv(4096)
        begun = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert b"STOPPING=1" in notify.recv(4096)
        assert server.wait(20) == 0
        print(f"ended after {time.monotonic() - begun:.2f} s")
PYTHON
