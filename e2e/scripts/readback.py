"""Every message of a folder of files is in the account, octet for octet, by imaplib and by poplib."""

import pathlib

from common import SITE, check, imap, ok, pop3, without_trace

expected = sorted(file.read_bytes() for file in pathlib.Path(SITE["messages"]).iterdir())
check(expected, "no messages to look for")


def compare(how, found):
    found = sorted(without_trace(message) for message in found)
    check(len(found) == len(expected), (how, len(found), len(expected)))
    for one, other in zip(found, expected):
        check(one == other, (how, one[:400], other[:400], len(one), len(other)))


session = imap()
ok(session.select("INBOX", readonly=True))
parts = ok(session.uid("FETCH", "1:*", "(BODY.PEEK[])"))
compare("imap", [part[1] for part in parts if isinstance(part, tuple)])
session.logout()

session = pop3()
count, _octets = session.stat()
# RETR gives lines without their CRLF and without byte-stuffing.
compare("pop3", [b"".join(line + b"\r\n" for line in session.retr(n)[1]) for n in range(1, count + 1)])
session.quit()
