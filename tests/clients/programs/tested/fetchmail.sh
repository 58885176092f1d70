#!/bin/sh
# Fetches with fetchmail, which reads its settings from a file:
# HOST PORT SECONDS USER PASSWORD OUT [FURTHER WORDS OF THE FILE...]
set -eu
umask 077
host=$1 port=$2 seconds=$3 user=$4 password=$5 out=$6
shift 6
cat >"$out/fetchmailrc" <<END
poll $host service $port protocol pop3 uidl
    timeout $seconds
    user "$user" password "$password"
    sslproto '' $*
    mda "cat >>'$out/mbox'"
END
exec fetchmail --silent -f "$out/fetchmailrc" --pidfile "$out/pid" --idfile "$out/ids"
