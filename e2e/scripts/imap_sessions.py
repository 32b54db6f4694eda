"""Two sessions in one mailbox: what one expunges, the other learns at a time that keeps his numbers right."""

import imaplib

from common import check, imap, letter, ok


def responses(session, name):
    """The untagged responses that came since the last look."""
    _, data = session.response(name)
    return [entry for entry in data if entry is not None]


one, other = imap(), imap()
ok(one.create("Shared"))
for n in range(1, 6):
    ok(one.append("Shared", "", None, letter(f"m{n}")))
check(ok(one.select("Shared")) == [b"5"], "five for one")
check(ok(other.select("Shared")) == [b"5"], "five for the other")

ok(one.store("2,4", "+FLAGS.SILENT", r"(\Deleted)"))
check(sorted(ok(one.expunge())) in ([b"2", b"3"], [b"2", b"4"]), "two are gone for one")

# RFC 9051 §7.5.1: no EXPUNGE during FETCH, STORE and SEARCH; the other's numbers still mean what they meant.
subject = ok(other.fetch("5", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
check(subject[0] is not None and b"m5" in subject[0][1], subject)
check(not responses(other, "EXPUNGE"), "EXPUNGE during FETCH")
ok(other.noop())
gone = responses(other, "EXPUNGE")
check(len(gone) == 2, gone)
check(ok(other.search(None, "ALL")) == [b"1 2 3"], "three are left for the other")
subject = ok(other.fetch("3", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
check(b"m5" in subject[0][1], subject)

# Flags and new messages reach the other too.
ok(one.store("1", "+FLAGS", r"(\Flagged)"))
ok(one.append("Shared", "", None, letter("m6")))
ok(other.noop())
check(any(rb"\Flagged" in entry for entry in responses(other, "FETCH")), "the flag")
check(responses(other, "EXISTS")[-1:] == [b"4"], "the new one")

# UIDs never come back: expunge the last, append again.
last = int(ok(one.uid("SEARCH", "ALL"))[0].split()[-1])
ok(one.uid("STORE", str(last), "+FLAGS.SILENT", r"(\Deleted)"))
ok(one.expunge())
ok(one.append("Shared", "", None, letter("m7")))
ok(other.noop())
check(int(ok(other.uid("SEARCH", "ALL"))[0].split()[-1]) > last, "a UID came back")

# A mailbox that goes away under a session: the other is told, by BYE at the latest, and can come back.
ok(one.close())
ok(one.delete("Shared"))
try:
    check(other.noop()[0] in ("OK", "NO"), "a session without its mailbox")
    other.logout()
except imaplib.IMAP4.abort as bye:
    check("deleted" in str(bye), bye)
check(imap().select("Shared")[0] == "NO", "a deleted mailbox was selected")
one.logout()
