"""Fetches the first message with poplib, of Python itself, and prints it."""

import poplib
import ssl
from os import environ

host, port, tls = environ["MAIL_HOST"], int(environ["MAIL_PORT"]), environ["MAIL_TLS"]
user, password = environ["MAIL_USER"], environ["MAIL_PASSWORD"]

# shown in docs/clients.md: from here
context = ssl.create_default_context()  # trusts SSL_CERT_FILE
if tls == "implicit":
    server = poplib.POP3_SSL(host, port, context=context, timeout=20)
else:
    server = poplib.POP3(host, port, timeout=20)
if tls == "starttls":
    server.stls(context=context)
server.user(user)
server.pass_(password)
lines = server.retr(1)[1]
server.quit()
# to here
print(b"\n".join(lines).decode())
