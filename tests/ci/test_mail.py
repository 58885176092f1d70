"""A test of an application that sends mail, as docs/ci.md has it: run by

    mailconsole exec --profile catch -- python3 -m pytest tests/ci/test_mail.py
"""

import os
import poplib
import smtplib
import unittest
from email import message_from_bytes
from email.message import EmailMessage


def send_welcome(to):
    """What the application does."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "app@example.org", to, "Welcome"
    message.set_content("Hello Bob: https://example.org/confirm/1")
    with smtplib.SMTP(os.environ["SMTP_HOST"], int(os.environ["SMTP_PORT"])) as smtp:
        smtp.send_message(message)


def fetch(user):
    pop3 = poplib.POP3(os.environ["POP3_HOST"], int(os.environ["POP3_PORT"]))
    pop3.user(user)
    pop3.pass_(os.environ["MAILCONSOLE_PASSWORD"])
    count, _ = pop3.stat()
    messages = [message_from_bytes(b"\r\n".join(pop3.retr(n + 1)[1])) for n in range(count)]
    pop3.quit()
    return messages


class Welcome(unittest.TestCase):
    def test_it_is_sent(self):
        send_welcome("bob@example.org")
        [message] = fetch("catch")
        self.assertEqual((message["To"], message["Subject"]), ("bob@example.org", "Welcome"))
        self.assertIn("/confirm/", message.get_payload())
