"""Mail clients for `mailconsole check client`: a right one of each protocol, and ones with one flaw.

    check_client.py FLAW smtp HOST PORT FROM MESSAGE TO...
    check_client.py FLAW pop3 HOST PORT USER PASSWORD OUT

FLAW is `none` for the right one. The exit status is 0 if all was done, else 1. They wait as many
seconds for a line as CHECK_CLIENT_PATIENCE says.
"""

import os
import re
import socket
import ssl
import sys

# How long the right clients wait for a line, in seconds.
PATIENCE = float(os.environ.get('CHECK_CLIENT_PATIENCE', '3.5'))
# The longest line of a reply (RFC 5321 section 4.5.3.1.5, RFC 1939 section 3), generously.
LINE_MOST = 4096
# The longest message that is taken.
TEXT_MOST = 1 << 20


class Trouble(Exception):
    """The server has said no, or nothing that can be understood."""


class Wire:
    def __init__(self, host, port, flaw):
        self.flaw = flaw
        patience = None if flaw in ('waits', 'spins', 'skips') else PATIENCE
        self.socket = socket.create_connection((host, int(port)), timeout=patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b''

    def send(self, octets):
        self.socket.sendall(octets)

    def say(self, line):
        self.send(line.encode() + b'\r\n')

    def more(self):
        if self.flaw == 'spins':
            self.socket.setblocking(False)
            while True:
                try:
                    piece = self.socket.recv(4096)
                    if piece:
                        break
                except BlockingIOError:
                    pass
        else:
            piece = self.socket.recv(4096)
        if not piece:
            raise Trouble('the connection ended')
        self.buffer += piece

    def line(self):
        while b'\n' not in self.buffer:
            if len(self.buffer) > LINE_MOST and self.flaw != 'swallows':
                raise Trouble('a line is too long')
            self.more()
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line.rstrip(b'\r')


class Smtp(Wire):
    def reply(self):
        """The code of a reply: of all its lines, which must agree."""
        codes, line = set(), b'   -'
        while line[3:4] == b'-':
            line = self.line()
            if self.flaw == 'careless':
                codes.add(int(line[:1] + b'00') if line[:1].isdigit() else 200)
                continue
            if not re.fullmatch(rb'[2-5][0-9]{2}([ -].*)?', line):
                if self.flaw == 'skips':
                    line = b'   -'
                    continue
                raise Trouble(f'no reply: {line!r}')
            codes.add(int(line[:3]))
            if self.flaw == 'first-line':
                while line[3:4] == b'-':
                    line = self.line()
        if len(codes) != 1:
            raise Trouble('the lines of a reply disagree')
        return codes.pop()

    def ask(self, line):
        self.say(line)
        return self.reply()

    def demand(self, line, kind=2):
        code = self.ask(line)
        if self.flaw != 'careless' and (code // 100 != kind or self.buffer):
            raise Trouble(f'{line}: {code}')
        return code


def quit_politely(wire):
    """The message counts already: whatever comes of QUIT is of no interest."""
    try:
        wire.socket.settimeout(None if wire.flaw == 'waits' else 0.5)
        wire.demand('QUIT')
    except (Trouble, OSError):
        if wire.flaw == 'says-failed':
            raise


def log_in(wire):
    """With TLS if that can be had, else without."""
    wire.reply()
    wire.demand('EHLO client')
    wire.demand('STARTTLS')
    peer = wire.socket.getpeername()
    try:
        ssl.create_default_context().wrap_socket(wire.socket, server_hostname='localhost')
    except (ssl.SSLError, OSError):
        wire = Smtp(*peer, wire.flaw)
        wire.reply()
        wire.demand('EHLO client')
        wire.demand('AUTH PLAIN AHVzZXIAcGFzc3dvcmQ=')


def send(flaw, host, port, sender, message, recipients):
    wire = Smtp(host, port, flaw)
    if flaw == 'no-tls-no-matter':
        log_in(wire)
        raise Trouble('it has done enough')
    if flaw == 'talks-first':
        wire.say('EHLO client')
        wire.reply()
        wire.reply()
    else:
        if wire.reply() // 100 != 2 or wire.buffer and flaw != 'careless':
            raise Trouble('no service')
        code = wire.ask('EHLO client')
        if code == 421 and flaw != 'goes-on':
            raise Trouble('421')
        if code // 100 != 2:
            wire.demand('HELO client')
    mail = f'MAIL FROM:<{sender}>'
    if flaw == 'repeats' and wire.ask(mail) // 100 != 2 or flaw != 'repeats':
        wire.demand(mail)
    taken, final = [], None
    for recipient in recipients:
        code = wire.ask(f'RCPT TO:<{recipient}>')
        if code in (250, 251) or flaw == 'careless':
            taken.append(recipient)
        elif code == 421 or flaw == 'gives-up':
            raise Trouble(f'RCPT: {code}')
    if not taken:
        raise Trouble('no recipient')
    code = wire.ask('DATA')
    if code != 354 and flaw not in ('text-anyway', 'careless'):
        raise Trouble(f'DATA: {code}')
    with open(message, 'rb') as file:
        lines = file.read().split(b'\n')[:-1]
    text = b''.join(b'.' * line.startswith(b'.') + line + b'\r\n' for line in lines)
    wire.send(text + b'.\r\n')
    if flaw == 'says-sent':
        return
    wire.socket.settimeout(None if flaw in ('waits', 'spins') else PATIENCE)
    code = wire.reply()
    if code // 100 != 2 and flaw != 'careless':
        raise Trouble(f'the message: {code}')
    quit_politely(wire)
    if len(taken) < len(recipients):
        raise Trouble('not for all recipients')


class Pop3(Wire):
    def ok(self, line=None):
        if line:
            self.say(line)
        reply = self.line()
        if not reply.startswith(b'+OK'):
            raise Trouble(f'{line}: {reply!r}')
        return reply

    def lines(self):
        lines, octets = [], 0
        while (line := self.line()) != b'.':
            octets += len(line) + 2
            if octets > TEXT_MOST and self.flaw != 'endless':
                raise Trouble('a text without an end')
            if len(lines) < 10_000:
                lines.append(line[1:] if line.startswith(b'.') else line)
        return lines

    def counted(self, octets):
        """By its size, as if that were to be trusted."""
        while len(self.buffer) < octets:
            self.more()
        text, self.buffer = self.buffer[:octets], self.buffer[octets:]
        self.line()
        return text.split(b'\r\n')


def keep(out, name, lines):
    # First whole elsewhere: a part of a message is no message.
    place = os.path.join(out, 'tmp')
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, name), 'wb') as file:
        file.write(b'\n'.join(lines) + b'\n')
    os.rename(os.path.join(place, name), os.path.join(out, name))


def fetch(flaw, host, port, user, password, out):
    seen_file = os.path.join(out, '..', 'seen')
    seen = set(open(seen_file).read().split()) if os.path.exists(seen_file) else set()
    wire = Pop3(host, port, flaw)
    wire.ok()
    wire.ok(f'USER {user}')
    for _ in range(4 if flaw == 'tries-again' else 0):
        wire.say(f'PASS {password}')
        if wire.line().startswith(b'+OK'):
            break
    else:
        wire.ok(f'PASS {password}')
    try:
        wire.ok('UIDL')
        rows = [row.split(b' ', 1) for row in wire.lines()]
        ids = {int(row[0]): row[1].decode() if len(row) > 1 else '' for row in rows}
    except Trouble:
        ids = {}
    wire.ok('LIST')
    sizes = {int(row.split()[0]): int(row.split()[1]) for row in wire.lines()}
    # Identifiers that are not what RFC 1939 section 7 says tell nothing.
    good = len(set(ids.values())) == len(ids) and all(re.fullmatch('[!-~]{1,70}', uid) for uid in ids.values())
    if flaw != 'trusts-ids' and not good:
        ids = {}
    failed = False
    for number in sorted(sizes):
        uid = ids.get(number)
        if uid is None or uid not in seen:
            try:
                wire.ok(f'RETR {number}')
            except Trouble:
                failed = True
                if flaw == 'deletes-all':
                    wire.say(f'DELE {number}')
                    wire.line()
                continue
            lines = text_of(wire, sizes[number], flaw, out, number)
            keep(out, f'{os.getpid()}-{number}', lines)
            if uid is not None:
                seen.add(uid)
                if flaw != 'forgets':
                    with open(seen_file, 'a') as file:
                        file.write(uid + '\n')
        wire.say(f'DELE {number}')
        failed |= not wire.line().startswith(b'+OK')
    wire.ok('QUIT')
    if failed:
        raise Trouble('not everything')


def text_of(wire, size, flaw, out, number):
    if flaw == 'counts':
        return wire.counted(size)
    if flaw != 'takes-parts':
        return wire.lines()
    lines = []
    try:
        while (line := wire.line()) != b'.':
            lines.append(line)
    except (Trouble, OSError):
        keep(out, f'{os.getpid()}-{number}', lines + [wire.buffer])
        raise
    return lines


def main():
    flaw, protocol, host, port, *rest = sys.argv[1:]
    try:
        if protocol == 'smtp':
            send(flaw, host, port, rest[0], rest[1], rest[2:])
        else:
            fetch(flaw, host, port, *rest)
    except (Trouble, OSError) as error:
        print(error, file=sys.stderr)
        if flaw == 'spins':
            while True:
                pass
        sys.exit(0 if flaw == 'never-fails' else 1)


main()
