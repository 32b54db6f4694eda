"""What mail clients do over IMAP, with imaplib."""

import imaplib
import re

from common import HOST, SITE, check, deliver, imap, letter, ok, tls

MULTIPART = (
    b"From: Ann Sender <ann@far.example>\r\nTo: Bob <bob@here.example>, carol@here.example\r\n"
    b"Cc: dan@here.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Mon, 02 Feb 2026 10:00:00 +0100\r\n"
    b"Message-ID: <multi@scripts.example>\r\nIn-Reply-To: <before@scripts.example>\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="sep"\r\n\r\npreamble\r\n'
    b"--sep\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    b'--sep\r\nContent-Type: application/octet-stream; name="a.bin"\r\nContent-Transfer-Encoding: base64\r\n'
    b'Content-Disposition: attachment; filename="a.bin"\r\n\r\nAAECAw==\r\n'
    b"--sep\r\nContent-Type: message/rfc822\r\n\r\nFrom: inner@far.example\r\nSubject: inner\r\n\r\ninner body\r\n"
    b"--sep--\r\n"
)


def text(data):
    """All of an answer as one text."""
    flat = []
    for part in data:
        flat.extend(part if isinstance(part, tuple) else [part])
    flat = [part.encode() if isinstance(part, str) else part for part in flat if part]
    return b" ".join(flat).decode("utf-8", "replace")


def numbers(data):
    return [int(word) for word in data[0].split()]


def uid_code(session, name):
    """The last response code of a name, which imaplib keeps with its numbers."""
    _, data = session.response(name)
    check(data and data[0], f"no {name}")
    return data[-1].decode().split()


# Before login: what a newcomer may know, and a wrong password that keeps the connection.
session = imaplib.IMAP4(HOST, SITE["imap"], timeout=60)
check("STARTTLS" in session.capabilities, session.capabilities)
session.starttls(ssl_context=tls())
check("STARTTLS" not in session.capabilities, session.capabilities)
try:
    session.login(SITE["account"]["address"], "wrong")
    check(False, "a wrong password was good")
except imaplib.IMAP4.error as error:
    check("AUTHENTICATIONFAILED" in str(error), error)
check(session.noop()[0] == "OK", "the connection did not survive a wrong password")
ok(session.login(SITE["account"]["address"], SITE["account"]["password"]))
capabilities = text(ok(session.capability()))
for wanted in ["IMAP4rev1", "IDLE", "UIDPLUS", "MOVE", "NAMESPACE"]:
    check(wanted in capabilities.split(), (wanted, capabilities))
ok(session.namespace())

# Mailboxes.
ok(session.create("Work"))
ok(session.create("Work/2026"))
ok(session.create('"With space"'))
check(session.create("Work")[0] == "NO", "created twice")
listed = text(ok(session.list('""', '"*"')))
for name in ["INBOX", "Work/2026", "With space"]:
    check(name in listed, (name, listed))
check("2026" not in text(ok(session.list('""', '"%"'))), "% goes down")
ok(session.subscribe("Work"))
check("Work" in text(ok(session.lsub('""', '"*"'))), "not subscribed")
ok(session.unsubscribe("Work"))
ok(session.rename("Work/2026", "Work/now"))
listed = text(ok(session.list('""', '"Work/*"')))
check("Work/now" in listed and "2026" not in listed, listed)
check(session.select("Nowhere")[0] == "NO", "selected what is not there")

# APPEND and UIDPLUS.
ok(session.append("Work", r"(\Seen $Todo)", '" 1-Feb-2026 08:00:00 +0100"', MULTIPART))
status = text(ok(session.status("Work", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")))
check("MESSAGES 1" in status and "UNSEEN 0" in status, status)
refused, why = session.append("Nowhere", "", None, MULTIPART)
check(refused == "NO" and b"[TRYCREATE]" in why[0], (refused, why))
validity = int(re.search(r"UIDVALIDITY (\d+)", status).group(1))

# FETCH.
check(numbers(ok(session.select("Work"))) == [1], "one message")
envelope = text(ok(session.fetch("1", "(ENVELOPE)")))
for wanted in ['("Ann Sender" NIL "ann" "far.example")', '"carol" "here.example"', '"<multi@scripts.example>"',
               '"<before@scripts.example>"', '"=?utf-8?q?Gr=C3=BC=C3=9Fe?="']:
    check(wanted in envelope, (wanted, envelope))
structure = text(ok(session.fetch("1", "(BODYSTRUCTURE)"))).upper()
for wanted in ['("TEXT" "PLAIN" ("CHARSET" "UTF-8") NIL NIL "8BIT"', '"APPLICATION" "OCTET-STREAM"',
               '("ATTACHMENT" ("FILENAME" "A.BIN"))', '("MESSAGE" "RFC822"', '"MIXED" ("BOUNDARY" "SEP")', '"INNER"']:
    check(wanted in structure, (wanted, structure))
whole = ok(session.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"))
check(whole[0][1] == MULTIPART, "APPEND changed the message")
check(f"RFC822.SIZE {len(MULTIPART)}" in text(whole), whole)
check(r"\Seen" in text(whole) and "$Todo" in text(whole), whole)
stamp = imaplib.Internaldate2tuple(whole[0][0] + (whole[-1] if isinstance(whole[-1], bytes) else b""))
check(stamp is not None and "Feb-2026" in text(whole), whole)
check(ok(session.fetch("1", "(BODY.PEEK[1])"))[0][1] == "Grüße".encode(), "part 1")
check(ok(session.fetch("1", "(BODY.PEEK[2])"))[0][1] == b"AAECAw==", "part 2")
check(b"Subject: inner" in ok(session.fetch("1", "(BODY.PEEK[3.HEADER])"))[0][1], "part 3")
fields = ok(session.fetch("1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)])"))[0][1]
check(fields.startswith(b"Subject:") and b"Date:" in fields and b"From:" not in fields, fields)
check(ok(session.fetch("1", "(BODY.PEEK[]<5.10>)"))[0][1] == MULTIPART[5:15], "a partial fetch")

# STORE and SEARCH.
for subject in ["one", "two", "three"]:
    ok(session.append("Work", "", None, letter(subject, body=f"the body of {subject}\r\n")))
ok(session.noop())
answer = text(ok(session.store("2", "+FLAGS", r"(\Flagged)")))
check(r"\Flagged" in answer, answer)
check(ok(session.store("2", "+FLAGS.SILENT", r"(\Answered)")) == [None], "SILENT answers")
check(numbers(ok(session.search(None, "FLAGGED"))) == [2], "FLAGGED")
check(numbers(ok(session.search(None, "UNSEEN"))) == [2, 3, 4], "UNSEEN")
check(numbers(ok(session.search(None, 'SUBJECT "three"'))) == [4], "SUBJECT")
check(numbers(ok(session.search(None, 'BODY "body of two"'))) == [3], "BODY")
check(numbers(ok(session.search(None, '(OR SUBJECT "one" FROM "nobody") NOT DELETED'))) == [2], "OR")
check(numbers(ok(session.search(None, 'LARGER 300 KEYWORD $Todo'))) == [1], "LARGER and KEYWORD")
check(numbers(ok(session.search(None, "BEFORE 2-Feb-2026"))) == [1], "BEFORE")
check(numbers(ok(session.search(None, 'HEADER Message-ID "<two@"'))) == [3], "HEADER")
ok(session.store("2", "-FLAGS", r"(\Flagged)"))
check(numbers(ok(session.search(None, "FLAGGED"))) == [], "no longer flagged")
ok(session.fetch("3", "(BODY[TEXT])"))
check(numbers(ok(session.search(None, "UNSEEN"))) == [2, 4], "BODY[] sets Seen")

# COPY, MOVE, EXPUNGE, with the UIDs they assign.
uids = numbers(ok(session.uid("SEARCH", "ALL")))
check(len(uids) == 4 and uids == sorted(uids), uids)
ok(session.uid("COPY", f"{uids[0]}:{uids[1]}", '"With space"'))
_, source, target = uid_code(session, "COPYUID")
check(source in (f"{uids[0]}:{uids[1]}", f"{uids[0]},{uids[1]}") and len(re.findall(r"\d+", target)) == 2, (source, target))
ok(session.uid("MOVE", str(uids[3]), "INBOX"))
check(numbers(ok(session.uid("SEARCH", "ALL"))) == uids[:3], "MOVE leaves the message")
ok(session.store("1:2", "+FLAGS.SILENT", r"(\Deleted)"))
ok(session.uid("EXPUNGE", str(uids[0])))
check(numbers(ok(session.uid("SEARCH", "ALL"))) == uids[1:3], "UID EXPUNGE of one")
session.response("EXPUNGE")  # imaplib keeps what UID EXPUNGE told
check(ok(session.expunge()) == [b"1"], "EXPUNGE")
check(numbers(ok(session.uid("SEARCH", "ALL"))) == uids[2:3], "what is left")

# EXAMINE changes nothing; CLOSE expunges; UNSELECT does not.
ok(session.select("Work", readonly=True))
check(session.store("1", "+FLAGS", r"(\Deleted)")[0] == "NO", "a read-only mailbox was changed")
ok(session.unselect() if hasattr(session, "unselect") else session._simple_command("UNSELECT"))
session.state = "AUTH"
ok(session.select("Work"))
ok(session.store("1", "+FLAGS.SILENT", r"(\Deleted)"))
ok(session.close())
status = text(ok(session.status("Work", "(MESSAGES UIDNEXT UIDVALIDITY)")))
check("MESSAGES 0" in status and f"UIDVALIDITY {validity}" in status, status)
check(int(re.search(r"UIDNEXT (\d+)", status).group(1)) > uids[-1], status)

# A deleted mailbox that comes back has new UIDs: another UIDVALIDITY.
ok(session.delete("Work/now"))
ok(session.delete("Work"))
ok(session.create("Work"))
status = text(ok(session.status("Work", "(UIDVALIDITY)")))
check(int(re.search(r"UIDVALIDITY (\d+)", status).group(1)) > validity, (status, validity))

# A delivery becomes visible to a session that is there already.
ok(session.select("INBOX"))
before = numbers(ok(session.search(None, "ALL")))
deliver(letter("fresh"))
ok(session.noop())
check(len(numbers(ok(session.search(None, "ALL")))) == len(before) + 1, "a delivery is not seen")
ok(session.check())
check(session.logout()[0] == "BYE", "LOGOUT")
imap().logout()
