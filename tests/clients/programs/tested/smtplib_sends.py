"""Sends a message with smtplib: HOST PORT SECONDS plain|login|tls USER PASSWORD FROM MESSAGE TO..."""

import smtplib
import ssl
import sys
from os import environ

host, port, seconds, way, user, password, sender, message, *recipients = sys.argv[1:]
with open(message, "rb") as file:
    text = file.read()
server = smtplib.SMTP(host, int(port), timeout=float(seconds))
if way == "tls":
    server.starttls(context=ssl.create_default_context(cafile=environ["MAILCONSOLE_CA"]))
if way != "plain":
    server.login(user, password)
refused = server.sendmail(sender, recipients, text)
try:
    server.quit()
except (smtplib.SMTPException, OSError):
    pass  # the message counts already
sys.exit(f"not for {', '.join(refused)}" if refused else 0)
