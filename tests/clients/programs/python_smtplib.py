"""Sends with smtplib, of Python itself."""

import smtplib
import ssl
from email.message import EmailMessage
from os import environ

host, port, tls = environ["MAIL_HOST"], int(environ["MAIL_PORT"]), environ["MAIL_TLS"]
user, password = environ["MAIL_USER"], environ["MAIL_PASSWORD"]
message = EmailMessage()
message["From"], message["To"] = environ["MAIL_FROM"], environ["MAIL_TO"]
message["Subject"] = environ["MAIL_SUBJECT"]
message.set_content("Hello from smtplib.\n")

# shown in docs/clients.md: from here
context = ssl.create_default_context()  # trusts SSL_CERT_FILE
if tls == "implicit":
    server = smtplib.SMTP_SSL(host, port, context=context, timeout=20)
else:
    server = smtplib.SMTP(host, port, timeout=20)
with server:
    if tls == "starttls":
        server.starttls(context=context)
    if user:
        server.login(user, password)
    server.send_message(message)
# to here
