"""LMTP into the relay, by smtplib: an answer for each recipient, whatever their stores, and one copy for each account."""

import smtplib

from common import HOST, SITE, check, imap, letter, ok, without_trace

ACCOUNTS = SITE["accounts"]
check(len(ACCOUNTS) >= 2, ACCOUNTS)
addresses = [account["address"] for account in ACCOUNTS]
message = letter("by-lmtp", "Hello\r\n..dot\r\n")

with smtplib.LMTP(HOST, SITE["lmtp"], timeout=60) as lmtp:
    lmtp.ehlo()  # smtplib says LHLO
    check(lmtp.has_extn("pipelining") and lmtp.has_extn("starttls"), lmtp.esmtp_features)
    # Who has no mailbox is refused by itself.
    refused = lmtp.sendmail("ann@far.example", [*addresses, "nobody@" + SITE["domain"]], message)
    check([code for code, _ in refused.values()] == [550], refused)
    # sendmail reads the first answer only.
    others = [lmtp.getreply() for _ in addresses[1:]]
    check([code for code, _ in others] == [250] * len(others), others)

    # Twice the same recipient: two answers, one copy.
    check(lmtp.mail("ann@far.example")[0] == 250, "MAIL")
    twice = [addresses[0], addresses[1], addresses[0]]
    check([lmtp.rcpt(address)[0] for address in twice] == [250] * 3, "RCPT")
    check(lmtp.docmd("DATA")[0] == 354, "DATA")
    lmtp.send(letter("twice").replace(b"\r\n.", b"\r\n..") + b".\r\n")
    answers = [lmtp.getreply() for _ in twice]
    check(all(code == 250 and b"on stable storage" in text for code, text in answers), answers)

    # RFC 2033 section 4.1.
    check(lmtp.docmd("EHLO client.far.example")[0] == 500, "EHLO")

for account in ACCOUNTS:
    with imap(account) as session:
        ok(session.select("INBOX"))
        found = {}
        for subject in ("by-lmtp", "twice"):
            (numbers,) = ok(session.search(None, "SUBJECT", subject))
            check(len(numbers.split()) == 1, (account["address"], subject, numbers))
            found[subject] = ok(session.fetch(numbers.decode(), "(BODY.PEEK[])"))[0][1]
        check(without_trace(found["by-lmtp"]) == message, found["by-lmtp"])
        check(b" with LMTP id " in found["by-lmtp"], found["by-lmtp"])
