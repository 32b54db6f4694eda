"""What imaplib and poplib do with an account of another server, through the proxy in front of it."""

import imaplib
import poplib

from common import HOST, SITE, check, letter, ok

USER, PASSWORD = SITE["account"]["address"], SITE["account"]["password"]


def plain(password):
    """SASL PLAIN: imaplib's LOGIN knows only ASCII."""
    return lambda _challenge: f"\0{USER}\0{password}".encode()


def numbers(data):
    return [int(word) for word in data[0].split()]


session = imaplib.IMAP4(HOST, SITE["imap"], timeout=60)
try:
    session.authenticate("PLAIN", plain("wrong"))
    check(False, "a wrong password was good")
except imaplib.IMAP4.error as error:
    check("AUTHENTICATIONFAILED" in str(error), error)
ok(session.authenticate("PLAIN", plain(PASSWORD)))
capabilities = ok(session.capability())[0].decode().split()
for wanted in ["IMAP4rev1", "UIDPLUS", "NAMESPACE", "IDLE"]:
    check(wanted in capabilities, (wanted, capabilities))
check("INBOX" in str(ok(session.list('""', '"*"'))), "no INBOX")
check(numbers(ok(session.select("INBOX"))) == [0], "mail before any came")

message = letter("behind", body="the body\r\n.\r\n..dots\r\n")
for flags in (r"(\Seen)", "", ""):
    ok(session.append("INBOX", flags, None, message))
ok(session.noop())
check(numbers(ok(session.search(None, "SUBJECT", '"behind"'))) == [1, 2, 3], "SEARCH")
check(numbers(ok(session.search(None, "UNSEEN"))) == [2, 3], "UNSEEN")
check(ok(session.fetch("2", "(BODY.PEEK[])"))[0][1] == message, "FETCH changed the message")
check(r"\Flagged" in str(ok(session.store("2", "+FLAGS", r"(\Flagged)"))), "STORE")
ok(session.store("3", "+FLAGS.SILENT", r"(\Deleted)"))
check(numbers(ok(session.expunge())) == [3], "EXPUNGE")
check(session.logout()[0] == "BYE", "LOGOUT")

session = poplib.POP3(HOST, SITE["pop3"], timeout=60)
session.encoding = "UTF-8"
session.user(USER)
try:
    session.pass_("wrong")
    check(False, "a wrong password was good")
except poplib.error_proto as error:
    check(b"[AUTH]" in error.args[0], error)
session.user(USER)
session.pass_(PASSWORD)
check(session.stat()[0] == 2, session.stat())
uids = [line.split()[1] for line in session.uidl()[1]]
check(len(set(uids)) == 2, uids)
check(b"".join(line + b"\r\n" for line in session.retr(2)[1]) == message, "RETR changed the message")
session.dele(1)
check(session.quit().startswith(b"+OK"), "QUIT")

session = imaplib.IMAP4(HOST, SITE["imap"], timeout=60)
ok(session.authenticate("PLAIN", plain(PASSWORD)))
check(numbers(ok(session.select("INBOX"))) == [1], "what POP3 deleted")
check(r"\Flagged" in str(ok(session.fetch("1", "(FLAGS)"))), "what IMAP flagged")
session.logout()
