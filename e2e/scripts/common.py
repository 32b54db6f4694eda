"""What the scripts share: the site they talk to, as JSON in the first argument, and a way to complain."""

import email.utils
import imaplib
import json
import poplib
import smtplib
import ssl
import sys

imaplib._MAXLINE = 64 << 20  # a SEARCH or BODYSTRUCTURE may be long
poplib._MAXLINE = 1 << 20

SITE = json.loads(sys.argv[1])
HOST = "127.0.0.1"
TRACE = {"return-path", "received", "delivered-to", "x-original-to", "authentication-results"}


def check(holds, what):
    """Unlike assert it stays under -O, and it shows what was found."""
    if not holds:
        raise SystemExit(f"check failed: {what!r}")


def tls():
    """The site signs its own certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def imap(account=None):
    """A session over TLS."""
    account = account or SITE["account"]
    session = imaplib.IMAP4_SSL(HOST, SITE["imaps"], ssl_context=tls(), timeout=60)
    ok(session.login(account["address"], account["password"]))
    return session


def pop3(account=None):
    """A session over TLS."""
    account = account or SITE["account"]
    session = poplib.POP3_SSL(HOST, SITE["pop3s"], context=tls(), timeout=60)
    session.user(account["address"])
    session.pass_(account["password"])
    return session


def ok(answer):
    """The data of an answer that must be OK."""
    status, data = answer
    check(status == "OK", answer)
    return data


def letter(subject, body="Hello\r\n", extra=""):
    """A small message."""
    return (
        f"From: Ann Sender <ann@far.example>\r\nTo: {SITE['account']['address']}\r\nSubject: {subject}\r\n"
        f"Date: {email.utils.formatdate(1770000000)}\r\nMessage-ID: <{subject}@scripts.example>\r\n{extra}\r\n{body}"
    ).encode()


def deliver(message, to=None, sender="ann@far.example"):
    """Hands a message to the relay."""
    with smtplib.SMTP(HOST, SITE["smtp"], timeout=60) as smtp:
        smtp.sendmail(sender, [to or SITE["account"]["address"]], message)


def without_trace(message):
    """A message without what was put on top of it on its way."""
    rest = message
    while True:
        line, _, after = rest.partition(b"\r\n")
        name = line.split(b":")[0].decode("ascii", "replace").lower()
        if name not in TRACE:
            return rest
        while after[:1] in (b" ", b"\t"):
            after = after.partition(b"\r\n")[2]
        rest = after
