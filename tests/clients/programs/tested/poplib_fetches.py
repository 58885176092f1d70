"""Fetches what it has not fetched yet with poplib, and deletes it: HOST PORT SECONDS USER PASSWORD OUT"""

import os
import poplib
import sys

host, port, seconds, user, password, out = sys.argv[1:]
known = os.path.join(out, "known")
fetched = open(known).read().split() if os.path.exists(known) else []
server = poplib.POP3(host, int(port), timeout=float(seconds))
server.user(user)
server.pass_(password)
sizes = server.list()[1]
try:
    ids = [row.decode().split(maxsplit=1)[1] for row in server.uidl()[1]]
except poplib.error_proto:
    ids = []  # the server has none
except IndexError:
    sys.exit("a unique-id is empty")
if ids and (len(ids) != len(sizes) or len(set(ids)) != len(ids)):
    sys.exit("the unique-ids do not fit the messages")
for number, row in enumerate(sizes, 1):
    if not ids or ids[number - 1] not in fetched:
        lines = server.retr(number)[1]
        with open(os.path.join(out, f"{os.getpid()}-{number}"), "wb") as file:
            file.write(b"\n".join(lines) + b"\n")
        with open(known, "a") as file:
            file.writelines(f"{uid}\n" for uid in ids[number - 1 : number])
    server.dele(number)
server.quit()
