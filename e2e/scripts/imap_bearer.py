"""imaplib shows a token by XOAUTH2; arguments: port, user, token, what becomes of it (good, bad, away), and perhaps a token that
is good, to be shown on the same connection."""

import imaplib
import sys

port, user, token, expected, *better = sys.argv[1:]
shown = 0


def show(challenge):
    """What a client says to a challenge: its token, then nothing more to whatever is said against it."""
    global shown
    shown += 1
    return f"user={user}\x01auth=Bearer {token}\x01\x01".encode() if shown == 1 else b""


def log_in():
    try:
        session.authenticate("XOAUTH2", show)
        return "good"
    except imaplib.IMAP4.error as error:
        # What is wrong with a token is said before the end; a good one of somebody else is not to be replaced.
        worthless = "AUTHENTICATIONFAILED" in str(error) and shown == 2
        if worthless or "AUTHORIZATIONFAILED" in str(error):
            return "bad"
        return "away" if "UNAVAILABLE" in str(error) and shown == 1 else repr(error)


session = imaplib.IMAP4("127.0.0.1", int(port), timeout=60)
answer = log_in()
if answer != expected:
    raise SystemExit(f"the token is {answer}, not {expected}")
if better:
    token, shown = better[0], 0
    answer = log_in()
    if answer != "good":
        raise SystemExit(f"the second token is {answer}")
if answer == "good" and session.select("INBOX")[0] != "OK":
    raise SystemExit("no INBOX")
session.logout()
