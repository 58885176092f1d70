"""Sends with aiosmtplib."""

import asyncio
from email.message import EmailMessage
from os import environ

import aiosmtplib

host, port, tls = environ["MAIL_HOST"], int(environ["MAIL_PORT"]), environ["MAIL_TLS"]
user, password = environ["MAIL_USER"] or None, environ["MAIL_PASSWORD"] or None
message = EmailMessage()
message["From"], message["To"] = environ["MAIL_FROM"], environ["MAIL_TO"]
message["Subject"] = environ["MAIL_SUBJECT"]
message.set_content("Hello from aiosmtplib.\n")


async def main():
    # shown in docs/clients.md: from here
    # Begins TLS by itself if STARTTLS is offered. Trusts SSL_CERT_FILE.
    await aiosmtplib.send(
        message, hostname=host, port=port, use_tls=tls == "implicit", username=user, password=password
    )
    # to here


asyncio.run(asyncio.wait_for(main(), 20))
