"""IDLE (RFC 2177), octet by octet: EXISTS comes by itself after a delivery."""

import socket

from common import HOST, SITE, check, deliver, letter, tls

plain = socket.create_connection((HOST, SITE["imaps"]), timeout=30)
stream = tls().wrap_socket(plain).makefile("rwb", buffering=0)


def send(line):
    stream.write(line.encode() + b"\r\n")


def until(wanted):
    """Lines up to the one that begins or ends as wanted."""
    lines = []
    while True:
        line = stream.readline().decode("utf-8", "replace").rstrip("\r\n")
        check(line, ("closed", wanted, lines))
        lines.append(line)
        if line.startswith(wanted) or line.endswith(wanted):
            return lines


def exists(lines):
    return next(int(line.split()[1]) for line in lines if line.endswith(" EXISTS"))


until("* OK")
send(f'a LOGIN "{SITE["account"]["address"]}" "{SITE["account"]["password"]}"')
until("a OK")
send("b SELECT INBOX")
count = exists(until("b OK"))

send("c IDLE")
until("+")
deliver(letter("during-idle"))
check(exists(until(" EXISTS")) == count + 1, "EXISTS by itself")
deliver(letter("during-idle-2"))
check(exists(until(" EXISTS")) == count + 2, "EXISTS again")
send("DONE")
until("c OK")

# Commands go on, and IDLE can be entered again.
send("d IDLE")
until("+")
send("DONE")
until("d OK")

# What is neither DONE nor silence ends IDLE with BAD; the session goes on or is told BYE.
send("e FETCH %d (FLAGS)" % (count + 2))
check(any(line.startswith(f"* {count + 2} FETCH") for line in until("e OK")), "FETCH after IDLE")
send("f LOGOUT")
until("f OK")
