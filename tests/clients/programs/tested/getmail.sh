#!/bin/sh
# Fetches with getmail, which reads its settings from a file: HOST PORT SECONDS USER PASSWORD OUT
set -eu
umask 077
out=$6
cat >"$out/getmailrc" <<END
[retriever]
type = SimplePOP3Retriever
server = $1
port = $2
timeout = $3
username = $4
password = $5
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >>'$out/mbox'")
allow_root_commands = true
[options]
delete = true
read_all = false
END
exec getmail --rcfile "$out/getmailrc" --getmaildir "$out"
