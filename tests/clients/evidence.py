"""What must lie in the mailbox and stand in the transcript after an errand."""

import base64
import re

from checks import Failure


def checks_of_sending(server, errand, _, mechanism):
    mailbox, queue = server.mailbox(), server.queue()
    transcript = transcript_of_client(server, errand)
    subject = f"Subject: {errand.subject}\r\n".encode()
    if mailbox.count(subject) != 1:
        raise Failure(f"the mailbox has it {mailbox.count(subject)} times: {tail(transcript)}")
    if queue:
        raise Failure(f"the message is queued: {queue}")
    redirected = mailbox.partition(b"\n")[2].startswith(f"X-Original-To: {errand.to}\r\n".encode())
    if redirected != (errand.way.profile == "catch"):
        raise Failure(f"X-Original-To is {'' if redirected else 'not '}there: {mailbox[:300]!r}")
    hello = "HELO|EHLO" if errand.way.profile == "rfc821" else "EHLO"
    stands(rf"C: ({hello}) ", transcript)
    if errand.user:
        stands(rf"C: AUTH {mechanism or '[A-Z0-9-]+'}\b", transcript)
        stands(r"S: 235 ", transcript)
    stands_only_if(errand.user, r"C: AUTH\b", transcript)
    holds_tls(errand, "STARTTLS", transcript)
    shows_no_secret(errand, transcript)


def checks_of_fetching(server, errand, got, mechanism):
    transcript = transcript_of_client(server, errand)
    if f"Subject: {errand.subject}".encode() not in got or b"A dot stood alone." not in got:
        raise Failure(f"it fetched {got[-300:]!r}: {tail(transcript)}")
    if errand.way.profile == "catch" and f"X-Original-To: {errand.to}".encode() not in got:
        raise Failure(f"X-Original-To is not there: {got[:300]!r}")
    stands(rf"C: {mechanism}\b" if mechanism else r"C: (USER|APOP|AUTH) ", transcript)
    stands(r"C: (RETR|TOP) 1\b", transcript)
    holds_tls(errand, "STLS", transcript)
    shows_no_secret(errand, transcript)


def transcript_of_client(server, errand):
    """All of the transcript; before somebody fetched, the first connection had put a message there."""
    transcript = server.finished_transcript()
    return transcript if errand.service == "smtp" else "".join(conversations(transcript)[1:])


def conversations(transcript):
    """The transcript, connection by connection; a number is used again when its connection is closed."""
    begun, open_ones = [], {}
    for line in transcript.splitlines(keepends=True):
        number = line.partition("]")[0]
        if line.endswith("] New connection\n"):
            open_ones[number] = []
            begun.append(open_ones[number])
        open_ones.get(number, []).append(line)
    return ["".join(lines) for lines in begun]


def holds_tls(errand, verb, transcript):
    """TLS is there if and only if it must be, and is begun as it must be."""
    stands_only_if(errand.tls != "none", r"\] \.\. TLS 1\.[23]", transcript)
    stands_only_if(errand.tls == "starttls", rf"C: {verb}\n", transcript)


def shows_no_secret(errand, transcript):
    """Of AUTH nothing is shown; PASS is, in a headless transcript."""
    name, password = errand.user, errand.password
    for token in (password, f"\0{name}\0{password}", f"{name}\0{name}\0{password}"):
        if token and base64.b64encode(token.encode()).decode() in transcript:
            raise Failure(f"a secret stands in the transcript: {tail(transcript)}")


def stands(pattern, transcript):
    if not re.search(pattern, transcript, re.IGNORECASE):
        raise Failure(f"{pattern!r} is not in the transcript: {tail(transcript)}")


def stands_only_if(wanted, pattern, transcript):
    if wanted:
        stands(pattern, transcript)
    elif re.search(pattern, transcript, re.IGNORECASE):
        raise Failure(f"{pattern!r} is in the transcript: {tail(transcript)}")


def tail(transcript):
    """The end of a transcript, for whoever has to find out what went wrong."""
    return f"the transcript ends with {transcript[-1500:]!r}"
