"""Sends with the mail backend of Django."""

from os import environ

from django.conf import settings
from django.core.mail import send_mail

host, port, tls = environ["MAIL_HOST"], int(environ["MAIL_PORT"]), environ["MAIL_TLS"]
user, password = environ["MAIL_USER"], environ["MAIL_PASSWORD"]
settings.configure(
    # shown in docs/clients.md: from here
    EMAIL_HOST=host,
    EMAIL_PORT=port,
    EMAIL_HOST_USER=user,
    EMAIL_HOST_PASSWORD=password,
    EMAIL_USE_TLS=tls == "starttls",  # trusts SSL_CERT_FILE
    EMAIL_USE_SSL=tls == "implicit",
    # to here
    EMAIL_TIMEOUT=20,
)
text = "Hello from Django.\n"
send_mail(environ["MAIL_SUBJECT"], text, environ["MAIL_FROM"], [environ["MAIL_TO"]])
