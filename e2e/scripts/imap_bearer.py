"""imaplib shows a token by XOAUTH2; arguments: port, user, token, and whether it is good."""

import imaplib
import sys

port, user, token, expected = sys.argv[1:]
shown = 0


def show(challenge):
    """What a client says to a challenge: its token, then nothing more to whatever is said against it."""
    global shown
    shown += 1
    return f"user={user}\x01auth=Bearer {token}\x01\x01".encode() if shown == 1 else b""


session = imaplib.IMAP4("127.0.0.1", int(port), timeout=60)
try:
    session.authenticate("XOAUTH2", show)
    answer = "good"
except imaplib.IMAP4.error as error:
    # What is wrong with a token is said before the end; a good one of somebody else is not to be replaced.
    worthless = "AUTHENTICATIONFAILED" in str(error) and shown == 2
    answer = "bad" if worthless or "AUTHORIZATIONFAILED" in str(error) else repr(error)
if answer != expected:
    raise SystemExit(f"the token is {answer}, not {expected}")
if answer == "good" and session.select("INBOX")[0] != "OK":
    raise SystemExit("no INBOX")
session.logout()
