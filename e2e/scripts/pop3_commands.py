"""What mail clients do over POP3, with poplib."""

import poplib

from common import HOST, SITE, check, deliver, letter, pop3, tls, without_trace

MESSAGES = [letter(f"pop{n}", body=f"line one\r\n.\r\n..dots\r\nline four of {n}\r\n") for n in (1, 2, 3)]
for message in MESSAGES:
    deliver(message)

# STLS, a wrong password, and the same connection again.
session = poplib.POP3(HOST, SITE["pop3"], timeout=60)
check("STLS" in session.capa(), session.capa())
session.stls(context=tls())
check("STLS" not in session.capa(), session.capa())
session.user(SITE["account"]["address"])
try:
    session.pass_("wrong")
    check(False, "a wrong password was good")
except poplib.error_proto as error:
    check(b"-ERR" in error.args[0], error)
session.user(SITE["account"]["address"])
check(session.pass_(SITE["account"]["password"]).startswith(b"+OK"), "the connection did not survive")

count, octets = session.stat()
check(count == 3, count)
sizes = [int(line.split()[1]) for line in session.list()[1]]
check(sum(sizes) == octets, (sizes, octets))
check(session.list(2).startswith(b"+OK 2 "), session.list(2))
uids = [line.split()[1] for line in session.uidl()[1]]
check(len(set(uids)) == 3 and all(1 <= len(uid) <= 70 for uid in uids), uids)
check(session.uidl(3).split()[2] == uids[2], session.uidl(3))
for n, size in zip((1, 2, 3), sizes):
    whole = b"".join(line + b"\r\n" for line in session.retr(n)[1])
    check(len(whole) == size, (n, len(whole), size))
    check(without_trace(whole) == MESSAGES[n - 1], whole)
top = session.top(1, 2)[1]
check(top[-3:] == [b"", b"line one", b"."], top)
check(session.top(1, 0)[1][-1] == b"", "TOP 0 is the header")

# DELE hides, RSET brings back, only QUIT takes away.
session.dele(1)
check(session.stat()[0] == 2, "DELE")
for refused in (lambda: session.retr(1), lambda: session.dele(1), lambda: session.retr(9)):
    try:
        refused()
        check(False, "a message that is not there")
    except poplib.error_proto:
        pass
session.rset()
check(session.stat()[0] == 3, "RSET")
session.dele(2)
session.close()  # without QUIT: nothing is deleted (RFC 1939 §6)

session = pop3()
check(session.stat()[0] == 3, "a connection that breaks deletes nothing")
session.dele(2)
check(session.quit().startswith(b"+OK"), "QUIT")

session = pop3()
check([line.split()[1] for line in session.uidl()[1]] == [uids[0], uids[2]], "the other two, with their names")
session.noop()
session.quit()
